"""Where a DeepSpeed configuration keeps the optimizer's state between steps."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import optax

from jaxaccel import memory
from jaxaccel.interop._unchanged import unchanged


class Offload(NamedTuple):
    """What is done to an optimizer, and what is said of it."""

    wrap: Callable[[Any], optax.GradientTransformation]
    notes: tuple[str, ...] = ()


def offload_of(zero: dict[str, Any]) -> Offload:
    """Return what a section ``zero_optimization`` says of the optimizer's state."""
    section = zero.get("offload_optimizer") or {}
    if not isinstance(section, dict):
        raise TypeError(
            f"zero_optimization.offload_optimizer must be a section, got {section!r}; write "
            '{"device": "cpu"}'
        )
    device = section.get("device", "none") or "none"
    if device not in ("none", "cpu", "nvme"):
        raise ValueError(
            "zero_optimization.offload_optimizer.device must be 'cpu', 'nvme' or 'none', got "
            f"{device!r}"
        )
    if device == "none":  # the older key asks for the same
        device = "cpu" if zero.get("cpu_offload") else "none"
    if device == "none":
        return Offload(unchanged)
    note = (
        "zero_optimization.offload_optimizer.device: the optimizer's state waits in the host's "
        "memory, because nothing is on a disk"
    )
    return Offload(memory.offload_optimizer, (note,) if device == "nvme" else ())
