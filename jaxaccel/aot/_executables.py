"""Finished programs in files: compiled by one process, run by others without compiling."""

from __future__ import annotations

import hashlib
import importlib.metadata
import os
import pickle
import re
import tempfile
from json import dumps, loads
from pathlib import Path
from typing import Any

import jax
from jax.stages import Compiled, Lowered

from jaxaccel._checked import checked_but
from jaxaccel._lowering import without_cache
from jaxaccel._meshes import is_here
from jaxaccel.aot._cache import as_path
from jaxaccel.aot._loaded import in_own_words
from jaxaccel.aot._report import where_of

_TITLE = b"jaxaccel executable 2\n"
_MACHINE_CODE = (b"\x7fELF", b"\xcf\xfa\xed\xfe")
"""What a CPU's begins with, on Linux and on macOS."""
_INSTRUCTIONS = re.compile(r"avx|s?sse|fma|bmi|f16c|amx|v?aes|sha|gfni|asimd|sve|neon")


@checked_but("compiled", "path")
def save_executable(compiled: Compiled | Lowered, path: str | os.PathLike[str]) -> None:
    """Write a finished program into a file, for processes that run it without compiling it.

    It is for the same versions of JAX and for as many devices of the same kind, a CPU with the same
    instructions; :func:`load_executable` checks it. The file is there as a whole or not at all.

    Args:
        compiled: A program that is lowered, ``jax.jit(step, donate_argnums=0).lower(state, batch)``
            (a ``train_step`` too), which is compiled here without the cache of compiled programs;
            or one that is compiled.
        path: The file; one that is there is replaced.

    Returns:
        Nothing.

    Raises:
        TypeError: ``compiled`` is neither compiled nor lowered, or ``path`` is not a path.
        ValueError: The program is for devices that are not here, calls Python, has arguments of a
            class that cannot be pickled, or came from the cache (:func:`compilation_cache`), which
            on a CPU loses what it needs.
        OSError: The file cannot be written.

    PyTorch:
        ``torch._inductor.aoti_compile_and_package`` and ``torch.export.save``, for a model's
        forward pass. Here it is any step, which overwrites what it donates.

    Example:
        >>> import tempfile
        >>> import jax, jax.numpy as jnp
        >>> import jaxaccel as ja
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     path = f"{folder}/double.executable"
        ...     ja.aot.save_executable(jax.jit(lambda x: 2 * x).lower(jnp.ones(3)), path)
        ...     print(ja.aot.load_executable(path)(jnp.ones(3)))
        [2. 2. 2.]
    """
    place = as_path("path", path)
    if isinstance(compiled, Lowered):
        with without_cache():
            compiled = compiled.compile()
    if not isinstance(compiled, Compiled):
        raise TypeError(
            "compiled must be a program that is lowered or compiled, such as jax.jit(f).lower(x), "
            f"got {compiled!r}"
        )
    device, count, _ = where_of(compiled)
    if not is_here(device):
        raise ValueError(
            f"the program is for {count} x {device.device_kind}, which is not here: its compiler "
            "alone cannot finish it; save it on a machine that has such a device"
        )
    code, pickled = _serialized(compiled)
    if device.platform == "cpu" and _lacks_code(compiled, code):
        raise ValueError(
            "the program came from the cache of compiled programs, without what a CPU needs to run "
            "it elsewhere; pass the lowered one, save_executable(jax.jit(f).lower(x), path), and "
            "call jax.clear_caches() before lowering it if this process has compiled it already"
        )
    runs: Any = compiled.runtime_executable()
    facts = _facts(device) | {"devices": [each.id for each in runs.local_devices()]}
    facts["sha256"] = hashlib.sha256(pickled).hexdigest()
    _write(place, _TITLE + dumps(facts).encode() + b"\n" + pickled)


@checked_but("path")
def load_executable(path: str | os.PathLike[str]) -> Compiled:
    """Return a program that :func:`save_executable` wrote, ready to run: nothing is compiled.

    The file is a pickle and machine code: load only what you have saved yourself, or have from whom
    you would run a program.

    Args:
        path: The file.

    Returns:
        The program. It takes arguments of the shapes, dtypes and places that it was compiled for,
        and overwrites what it was to donate; of others, and of what was donated before, it says
        which they are and what to hand in.

    Raises:
        TypeError: ``path`` is not a path.
        ValueError: The file is not such a program, is damaged, or is for other versions, another
            kind of device, more devices than are here, or a CPU with other instructions.
        OSError: The file cannot be read.

    PyTorch:
        ``torch._inductor.aoti_load_package``.

    Example:
        >>> import tempfile
        >>> import jax, jax.numpy as jnp
        >>> import jaxaccel as ja
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     path = f"{folder}/sum.executable"
        ...     ja.aot.save_executable(jax.jit(jnp.sum).lower(jnp.ones(3)), path)
        ...     print(ja.aot.load_executable(path)(jnp.arange(3.0)))
        3.0
    """
    place = as_path("path", path)
    title, _, rest = place.read_bytes().partition(b"\n")
    head, _, pickled = rest.partition(b"\n")
    if title + b"\n" != _TITLE:
        raise ValueError(f"{place} is not a program that save_executable has written")
    facts = _facts_of(place, head, pickled)
    try:
        here = {device.id: device for device in jax.devices(facts["platform"])}
    except RuntimeError:
        here = {}
    if not here.keys() >= {*facts["devices"]}:
        raise ValueError(
            f"{place} is for {len(facts['devices'])} devices ({facts['platform']}, "
            f"{facts['device']}), and {len(here)} of that platform are here; run it where it was "
            "saved, or save it here"
        )
    devices = [here[each] for each in facts["devices"]]
    for name, value in _facts(devices[0]).items():
        _check_same(place, name, facts[name], value)
    content = pickle.loads(pickled)
    from jax.experimental import serialize_executable

    loaded = serialize_executable.deserialize_and_load(
        *content, backend=devices[0].client, execution_devices=devices
    )
    return in_own_words(loaded, place)


def _facts_of(place: Path, head: bytes, pickled: bytes) -> dict[str, Any]:
    """Return what a file says of its program, which has to be there as it was written."""
    try:
        facts = loads(head)
        is_whole = facts["sha256"] == hashlib.sha256(pickled).hexdigest()
    except (ValueError, KeyError):
        facts, is_whole = {}, False
    if not is_whole:
        raise ValueError(f"{place} is damaged (its checksum is another); save it again")
    return facts


def _serialized(compiled: Compiled) -> tuple[bytes, bytes]:
    """Return a program's code, and all of it as a pickle."""
    from jax.experimental import serialize_executable

    try:
        content = serialize_executable.serialize(compiled)
        pickled = pickle.dumps(content)
    except pickle.PicklingError as error:
        raise ValueError(
            f"the program cannot be saved, since a class of its arguments or results cannot "
            f"({error}); lower a function of the state itself: jax.jit(step, "
            "donate_argnums=0).lower(state, batch)"
        ) from error
    except (ValueError, TypeError, NotImplementedError, AttributeError, RuntimeError) as error:
        raise ValueError(
            f"the program cannot be saved ({error}); call no Python inside of it, and pass it "
            "arrays as arguments instead of closing over them"
        ) from error
    return content[0], pickled


def _facts(device: Any) -> dict[str, Any]:
    """Return what has to be the same where a program is loaded."""
    return {
        "platform": device.platform,
        "device": device.device_kind,
        "jax": jax.__version__,
        "jaxlib": importlib.metadata.version("jaxlib"),
        "runtime": device.client.platform_version,
        "processes": jax.process_count(),
        "instructions": _instructions() if device.platform == "cpu" else [],
    }


def _instructions() -> list[str]:
    """Return the sets of instructions that this CPU has, where the system says it."""
    try:
        text = Path("/proc/cpuinfo").read_text(encoding="utf-8")
    except OSError:
        return []
    found = re.search(r"^(?:flags|Features)\s*:(.*)$", text, re.MULTILINE)
    return sorted(name for name in found[1].split() if _INSTRUCTIONS.match(name)) if found else []


def _check_same(place: Path, name: str, saved: Any, here: Any) -> None:
    """Raise where a program was compiled for something else."""
    if name == "instructions" and {*saved} <= {*here}:
        return
    if saved != here:
        what = {"runtime": "compiler", "processes": "number of processes"}.get(name, name)
        if isinstance(saved, list):
            saved, here = " ".join(sorted({*saved} - {*here})), "a CPU without them"
        raise ValueError(
            f"{place} was compiled for another {what}, {saved}, and here is {here}; save it here"
        )


def _lacks_code(compiled: Compiled, content: bytes) -> bool:
    """Return whether a CPU's program is without its machine code, as what comes from the cache."""
    if any(begin in content for begin in _MACHINE_CODE):
        return False
    config: Any = jax.config
    may_be_cached = config.jax_compilation_cache_dir and config.jax_enable_compilation_cache
    # Without a cache, a program that only calls libraries has none.
    return bool(may_be_cached or re.search("kind=k(Loop|Input|Output)", compiled.as_text() or ""))


def _write(place: Path, content: bytes) -> None:
    """Write a file as a whole."""
    with tempfile.NamedTemporaryFile(dir=place.parent, delete=False) as file:
        try:
            file.write(content)
            file.close()
            os.replace(file.name, place)
        except BaseException:
            os.unlink(file.name)
            raise
