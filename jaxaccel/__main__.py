"""The commands: ``python -m jaxaccel {aot,info,launch}``."""

from __future__ import annotations

import functools
import importlib
import importlib.util
import sys
import traceback
from collections.abc import Callable
from json import loads
from pathlib import Path
from typing import Any

import jax

from jaxaccel import aot as _aot
from jaxaccel import parallel
from jaxaccel._functions import name_of, taken_by, takes

OFFERS = "step_and_shapes"
"""The function that a script or module has to offer."""


def aot(
    target: str,
    /,
    topology: str,
    mesh: dict[str, int] | None = None,
    options: dict[str, str] | None = None,
    json: bool = False,
    hlo: Path | None = None,
) -> int:
    """Compile a training step for a machine that is not here, and print what its compiler says.

    The exit status is 1 if the program does not fit.

    Args:
        target: A script, or module:function. The function, by default step_and_shapes, is given
            the mesh and returns a step and its arguments' shapes, (step, state, batch).
        topology: Such as tpu:v5e:2x2, tpu:v5e:16x16:4 (four slices) or gpu:h100:8.
        mesh: Axes and their sizes, such as data 4 model 2, or data=4,model=2; default: data, all
            devices.
        options: Options of the compiler, name and value in turns.
        json: Print JSON instead of a table.
        hlo: Write the program's text into this file.
    """
    jax.config.update("jax_platforms", "cpu")  # what is here takes no part
    make = offered(target)
    try:
        devices = _aot.topology_devices(topology)
        axes = parallel.make_mesh(mesh or None, devices=devices)
    except (ValueError, ImportError) as error:
        raise SystemExit(str(error)) from error
    step, *shapes = _made(make, axes)
    values = {name: _value(text) for name, text in (options or {}).items()}
    try:
        report = _aot.compile_for(
            step, *shapes, topology=topology, mesh=axes, options=values, keep_hlo=hlo is not None
        )
    except (ValueError, TypeError) as error:
        _end_with_ours(target, error)
        raise
    if hlo is not None:
        hlo.write_text(report.hlo or "")
    print(report.to_json() if json else report)
    return 1 if report.fits is False else 0


def _made(make: Callable[..., Any], mesh: Any) -> tuple[Any, ...]:
    """Return a step and its shapes, as a function of a mesh makes them."""
    name, form = name_of(make), f"such as `def {OFFERS}(mesh): return step, state, batch`"
    if not takes(make, mesh):
        raise SystemExit(f"{name} must take a mesh, {form}, and takes {taken_by(make)}")
    try:
        found = make(mesh)
    except (ValueError, TypeError) as error:
        _end_with_ours(f"{name}, given a mesh of {dict(mesh.shape)}", error)
        raise
    if not isinstance(found, (tuple, list)) or not found or not callable(found[0]):
        raise SystemExit(f"{name} must return (step, *shapes), {form}, and returned {found!r:.80}")
    return tuple(found)


def _end_with_ours(where: str, error: Exception) -> None:
    """End with an error's words where this package has refused; others need their traceback."""
    *_, (frame, _) = traceback.walk_tb(error.__traceback__)
    if Path(frame.f_code.co_filename).is_relative_to(Path(__file__).parent):
        raise SystemExit(f"{where}: {error}") from error


def info(json: bool = False) -> int:
    """Print the devices and their memory, versions, and which extras are installed.

    Args:
        json: Print JSON instead of a table.
    """
    found = _aot.info()
    print(found.to_json() if json else found)
    return 0


def launch(
    script: Path,
    /,
    *arguments: str,
    nproc: int = 1,
    devices_per_process: int | None = None,
    max_restarts: int = 0,
) -> int:
    """Start a script in several processes of this machine, as torchrun does.

    Each is told by torchrun's variables who it is, which parallel.initialize() reads. When one
    fails the others are ended, and the exit status is that of the first that failed.

    Args:
        script: What every process runs; behind it come its own arguments, as they are.
        arguments: The script's.
        nproc: How many processes.
        devices_per_process: How many devices the CPU plays in each; default: what JAX finds.
        max_restarts: How often all are started again after a failure.
    """
    if not script.is_file():
        raise SystemExit(f"there is no file {script}")
    command = [sys.executable, str(script), *arguments]
    try:
        return parallel.launch(
            command, nproc, devices_per_process=devices_per_process, max_restarts=max_restarts
        )
    except ValueError as error:
        raise SystemExit(str(error)) from error


def main() -> int:
    """Run a command."""
    try:
        import tyro
    except ModuleNotFoundError:
        raise SystemExit('the commands need tyro: pip install "jaxaccel[aot]"') from None
    commands: dict[str, Callable[..., Any]] = {"aot": aot, "info": info, "launch": launch}
    own, of_script = _split(_mesh_in_pairs(sys.argv[1:]))
    if of_script:
        commands["launch"] = functools.partial(launch, Path(of_script[0]), *of_script[1:])
    return tyro.extras.subcommand_cli_from_dict(
        commands, args=own, prog="python -m jaxaccel", description="Tools of jaxaccel."
    )


def _split(arguments: list[str]) -> tuple[list[str], list[str]]:
    """Return what is for ``launch``, and the script with its own arguments, which are not ours."""
    if arguments[:1] != ["launch"]:
        return arguments, []
    place = 1
    while place < len(arguments) and arguments[place].startswith("-"):
        place += 1 if "=" in arguments[place] or arguments[place] in ("-h", "--help") else 2
    return arguments[:place], arguments[place:]


def _mesh_in_pairs(arguments: list[str]) -> list[str]:
    """Return what was given, with axes that are written as data=2,model=4 as data 2 model 4."""
    if arguments[:1] != ["aot"]:
        return arguments
    found: list[str] = []
    for before, each in zip(["", *arguments], arguments, strict=False):
        is_mesh = before == "--mesh" and "=" in each
        found += each.replace("=", ",").split(",") if is_mesh else [each]
    return found


def _value(text: str) -> Any:
    """Return a number or truth value as what it is, and any other text."""
    try:
        return loads(text.lower())
    except ValueError:
        return text


def offered(target: str) -> Callable[..., Any]:
    """Return the function that makes a step and its shapes."""
    place, _, name = target.rpartition(":")
    if not place or name.endswith(".py"):
        place, name = target, OFFERS
    module = _script(Path(place)) if place.endswith(".py") else _module(place)
    function = getattr(module, name, None)
    if not callable(function):
        raise SystemExit(
            f"{place} has no function {name!r}; write one that is given a mesh and returns "
            f"(step, *shapes), such as `def {OFFERS}(mesh): return step, state, batch`, or name "
            f"another: {place}:<function>"
        )
    return function


def _script(path: Path) -> Any:
    """Return a script as a module; it finds its neighbours as if it were run."""
    if not path.is_file():
        raise SystemExit(f"there is no file {path}")
    sys.path.insert(0, str(path.parent.resolve()))
    spec = importlib.util.spec_from_file_location(path.stem, path)
    if spec is None or spec.loader is None:
        raise SystemExit(f"{path} cannot be imported")
    module = importlib.util.module_from_spec(spec)
    sys.modules[path.stem] = module  # where dataclasses look for their module
    spec.loader.exec_module(module)
    return module


def _module(name: str) -> Any:
    """Return a module, those of the working directory too."""
    sys.path.insert(0, "")
    try:
        return importlib.import_module(name)
    except ModuleNotFoundError as error:
        if error.name is None or not f"{name}.".startswith(f"{error.name}."):
            raise
        raise SystemExit(
            f"there is no module {name!r}; give a script, path/to/script.py, or module:function"
        ) from error


if __name__ == "__main__":
    sys.exit(main())
