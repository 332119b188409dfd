"""How much memory a program may hold on a device."""

from __future__ import annotations

from typing import Any

from jaxaccel.aot._gpu_targets import GPUS

_GIB = 2**30

_TPUS = {
    "TPU v2": 7.48,
    "TPU v3": 15.48,
    "TPU v4": 15.25,  # of one core; a chip has two
    "TPU v5 lite": 15.75,
    "TPU v5": 95.74,
    "TPU v6 lite": 31.25,
    "TPU7x": 94.75,
}
"""Kind of device -> GiB that its compiler grants a program, by its own words."""


def capacity_of(device: Any) -> int | None:
    """Return the bytes that a program may hold on a device, or None if nobody says so.

    On one that is here it is what this process may hold, by the device's own word.
    """
    try:
        stats = device.memory_stats() or {}
    except Exception:  # of a device that is not here, which has no memory to ask for
        stats = {}
    if "bytes_limit" in stats:
        return stats["bytes_limit"]
    if device.platform == "tpu":
        known = _TPUS.get(device.device_kind)
        return None if known is None else int(known * _GIB)
    for gpu in GPUS.values():
        if gpu.name == device.device_kind:
            return int(gpu.facts["device_memory_size"])
    return None
