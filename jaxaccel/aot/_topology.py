"""Devices that are not here, to compile for."""

from __future__ import annotations

import functools
import importlib.util
import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from jaxaccel._checked import checked
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

_QUIET = {
    "TPU_SKIP_MDS_QUERY": "1",
    "TPU_ACCELERATOR_TYPE": "v5litepod-16",
    "TPU_WORKER_HOSTNAMES": "localhost",
    "ALLOW_MULTIPLE_LIBTPU_LOAD": "true",
}
"""What libtpu would ask a TPU's host for, with complaints where there is none. The type need not
match the topology; the last lets several processes compile at once."""


@checked
def topology_devices(topology: str) -> list[Any]:
    """Return the devices of a machine that is not here, to compile for.

    The vendor's own compiler runs, on any CPU: a program for these devices is the one that the
    machine would run, and :func:`report` tells what it moves and holds. Nothing runs on them.

    Args:
        topology: ``"tpu:<generation>:<chips along each axis>"``, such as ``"tpu:v5e:2x2"``,
            ``"tpu:v5p:2x2x4"`` and, for one chip, ``"tpu:v6e:1x1"``; or ``"gpu:<name>:<number>"``,
            such as ``"gpu:h100:8"``, eight to a host. Generations: v2, v3, v4, v5e, v5p, v6e, v7x;
            GPUs: a100, h100.

    Returns:
        The devices, in the topology's order. Put them into a mesh
        (:func:`jaxaccel.parallel.make_mesh`) or a ``jax.sharding.SingleDeviceSharding``, and this
        into the ``jax.ShapeDtypeStruct`` of every argument of ``jax.jit(f).lower(...)``.

    Raises:
        ValueError: There is no such topology.
        ModuleNotFoundError: The compiler is not installed: ``pip install "jaxaccel[aot]"`` brings
            that for TPUs, ``"jaxaccel[aot-gpu]"`` that for GPUs.

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
    if chip not in known:
        raise ValueError(
            f"topology {topology!r} names an unknown {platform.upper()}, {chip!r}; "
            f"use one of {', '.join(known)}"
        )
    return list(_tpu_devices(chip, size) if platform == "tpu" else _gpu_devices(chip, size))


@functools.cache
def _tpu_devices(generation: str, size: str) -> tuple[Any, ...]:
    """Return the devices of a slice; those of a machine are the same at each call."""
    largest = _TPUS[generation].split("x")
    chips = size.split("x") if re.fullmatch(r"[1-9]\d*(x[1-9]\d*)*", size) else []
    ones = [1] * len(largest)
    counts = [*map(int, chips)]
    fits = len(counts) == len(largest) and all(map(int.__le__, counts, map(int, largest)))
    if not fits or (counts != ones and (counts[0] % 2 or counts[1] % 2)):
        raise ValueError(
            f"topology 'tpu:{generation}:{size}' is not a slice of a TPU {generation}: it has "
            f"{len(largest)} axes, {'x'.join(map(str, ones))} or even numbers of chips along the "
            f"first two, and at most {_TPUS[generation]}"
        )
    _check_installed("libtpu", "a TPU", "libtpu", "aot")
    from jax.experimental import topologies

    one_chip: dict[str, Any] = {"chips_per_host_bounds": [1, 1, 1]} if counts == ones else {}
    name = f"{'tpu7x' if generation == 'v7x' else generation}:{size}"
    with _quiet_libtpu():
        return tuple(topologies.get_topology_desc(name, "tpu", **one_chip).devices)


@functools.cache
def _gpu_devices(name: str, size: str) -> tuple[Any, ...]:
    """Return the GPUs of one host, or of several full ones."""
    count = int(size) if re.fullmatch(r"[1-9]\d*", size) else 0
    hosts, left = divmod(count, _GPUS_PER_HOST)
    if not count or (hosts and left):
        raise ValueError(
            f"topology 'gpu:{name}:{size}' must end with a number of GPUs: at most "
            f"{_GPUS_PER_HOST}, which is one host, or a multiple of it"
        )
    _check_installed("jax_plugins.xla_cuda12", "a GPU", "JAX's CUDA plugin", "aot-gpu")
    from jax.experimental import topologies

    shape = f"1x{max(1, hosts)}x{_GPUS_PER_HOST if hosts else left}"
    config = target_config(GPUS[name])
    found = topologies.get_topology_desc(platform="cuda", target_config=config, topology=shape)
    return tuple(found.devices)


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


@contextmanager
def _quiet_libtpu() -> Iterator[None]:
    """Keep libtpu from looking for the TPU that is not here while it is loaded."""
    missing = {name: value for name, value in _QUIET.items() if name not in os.environ}
    os.environ.update(missing)
    try:
        yield
    finally:
        for name in missing:
            os.environ.pop(name, None)
