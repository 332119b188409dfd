"""Devices that are not here, to compile for."""

from __future__ import annotations

import functools
import importlib.util
import re
from typing import Any

from jaxaccel._checked import checked
from jaxaccel.aot._describe import described, refusal_of
from jaxaccel.aot._gpu_targets import GPUS, target_config

_TPUS = {
    "v2": "16x16",
    "v3": "32x32",
    "v4": "16x16x16",
    "v5e": "16x16",
    "v5p": "28x28x28",
    "v6e": "16x16",
    "v7x": "24x24x24",
}
"""Generation -> the most chips along each axis of its torus."""

_GPUS_PER_HOST = 8

_COUNTS = re.compile(r"[1-9]\d*(x[1-9]\d*)*")


@checked
def topology_devices(topology: str) -> list[Any]:
    """Return the devices of a machine that is not here, to compile for.

    The vendor's own compiler runs, on any CPU: a program for these devices is the one that the
    machine would run, and :func:`report` tells what it moves and holds. Nothing runs on them.

    Args:
        topology: ``"tpu:<generation>:<chips along each axis>"``, such as ``"tpu:v5e:2x2"``,
            ``"tpu:v5p:2x2x4"`` and, for one chip, ``"tpu:v6e:1x1"``; of several slices with their
            number behind it, ``"tpu:v5e:16x16:4"``. Or ``"gpu:<name>:<number>"``, such as
            ``"gpu:h100:8"``, eight to a host, or ``"gpu:a100:1x128x4"``, 128 hosts of 4.
            Generations: v2, v3, v4, v5e, v5p, v6e, v7x; GPUs: a100, h100. Other TPUs are asked for
            in a process of their own, since some end the process that asks.

    Returns:
        The devices, in the topology's order. Put them into a mesh
        (:func:`jaxaccel.parallel.make_mesh`) or a ``jax.sharding.SingleDeviceSharding``, and this
        into the ``jax.ShapeDtypeStruct`` of every argument of ``jax.jit(f).lower(...)``;
        :func:`compile_for` does it.

    Raises:
        ValueError: There is no such topology.
        ModuleNotFoundError: The compiler is not installed: ``pip install "jaxaccel[aot]"`` brings
            that for TPUs, ``"jaxaccel[aot-gpu]"`` that for GPUs.
        RuntimeError: The compiler is installed and cannot be loaded.

    PyTorch:
        Nothing: ``torch.compile`` and ``torch.export`` compile for a device that is there.

    Example:
        >>> import jaxaccel as ja
        >>> devices = ja.aot.topology_devices("tpu:v5e:2x2")
        >>> print(len(devices), devices[0].device_kind)
        4 TPU v5 lite
    """
    platform, _, rest = topology.partition(":")
    chip, _, size = rest.partition(":")
    known = {"tpu": _TPUS, "gpu": GPUS}.get(platform)
    if known is None or not size:
        raise ValueError(
            f"topology must be like 'tpu:v5e:2x2' or 'gpu:h100:8', got {topology!r}; "
            f"TPUs: {', '.join(_TPUS)}; GPUs: {', '.join(GPUS)}"
        )
    if platform == "tpu":
        return list(_tpu_devices(chip, *size.partition(":")[::2]))
    if chip not in known:
        raise ValueError(
            f"topology {topology!r} names an unknown GPU, {chip!r}; use one of {', '.join(known)}"
        )
    return list(_gpu_devices(chip, size))


@functools.cache
def _tpu_devices(generation: str, size: str, slices: str) -> tuple[Any, ...]:
    """Return the devices of a slice or several; those of a machine are the same at each call."""
    topology = ":".join(filter(None, ("tpu", generation, size, slices)))
    if not all(map(_COUNTS.fullmatch, (size, slices or "1"))) or "x" in slices:
        raise ValueError(
            f"topology {topology!r} must end with the chips along each axis, such as 2x2, and "
            "maybe the number of slices, 2x2:4"
        )
    fault = _fault(generation, size)
    arguments: dict[str, Any] = {"num_slices": int(slices)} if slices else {}
    if set(size) <= {"1", "x"}:
        arguments["chips_per_host_bounds"] = [1, 1, 1]
    name = f"{'tpu7x' if generation == 'v7x' else generation}:{size}"
    if fault is not None:
        _ask_compiler(f"topology {topology!r} {fault}", name, arguments)
    _check_installed("libtpu", "a TPU", "libtpu", "aot")
    return tuple(described(name, "tpu", **arguments))


def _fault(generation: str, size: str) -> str | None:
    """Return what is wrong with a slice, as far as is known here."""
    if generation not in _TPUS:
        return f"names an unknown TPU, {generation!r}; use one of {', '.join(_TPUS)}"
    largest = [*map(int, _TPUS[generation].split("x"))]
    counts, ones = [*map(int, size.split("x"))], [1] * len(largest)
    fits = len(counts) == len(largest) and all(map(int.__le__, counts, largest))
    if fits and (counts == ones or not (counts[0] % 2 or counts[1] % 2)):
        return None
    return (
        f"is not a slice of a TPU {generation}: it has {len(largest)} axes, "
        f"{'x'.join(map(str, ones))} or even numbers of chips along the first two, and at most "
        f"{_TPUS[generation]}"
    )


def _ask_compiler(fault: str, name: str, arguments: dict[str, Any]) -> None:
    """Raise unless the compiler knows a topology after all, which is asked where it may abort."""
    answer = "" if importlib.util.find_spec("libtpu") is None else refusal_of(name, arguments)
    if answer is not None:
        raise ValueError(f"{fault}{answer and f'; its compiler: {answer}'}")


@functools.cache
def _gpu_devices(name: str, size: str) -> tuple[Any, ...]:
    """Return the GPUs of one host, or of several with equally many."""
    given = [*map(int, size.split("x"))] if _COUNTS.fullmatch(size) else []
    count = given[0] if len(given) == 1 else 0
    if count:
        hosts, left = divmod(count, _GPUS_PER_HOST)
        given = [1, max(1, hosts), _GPUS_PER_HOST if hosts else left] if not hosts * left else []
    if len(given) != 3 or given[0] != 1:
        raise ValueError(
            f"topology 'gpu:{name}:{size}' must end with a number of GPUs: at most "
            f"{_GPUS_PER_HOST}, which is one host, or a multiple of it; or with 1x<hosts>x<GPUs of "
            "a host>"
        )
    _check_installed("jax_plugins.xla_cuda12", "a GPU", "JAX's CUDA plugin", "aot-gpu")
    shape, config = "x".join(map(str, given)), target_config(GPUS[name])
    return tuple(described("", "cuda", target_config=config, topology=shape))


def _check_installed(module: str, what: str, package: str, extra: str) -> None:
    """Raise where a compiler is missing, with what brings it."""
    try:
        found = importlib.util.find_spec(module)
    except ModuleNotFoundError:  # of the package that the module would be in
        found = None
    if found is None:
        raise ModuleNotFoundError(
            f"compiling for {what} that is not here needs {package}: "
            f'pip install "jaxaccel[{extra}]"'
        )
