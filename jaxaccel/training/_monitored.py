"""The one number that a callback follows, and which way is better."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any


def monitored(callback: str, metrics: Mapping[str, Any], monitor: str) -> float:
    """Return the number of that name, of which all processes have the same."""
    if monitor not in metrics:
        raise ValueError(
            f"{callback} follows {monitor!r}, which is not among {sorted(metrics)}; what evaluate= "
            "and callbacks before this one return is, after the same steps or epochs as they look "
            "(steps=, epochs=)"
        )
    return float(metrics[monitor])


def check_mode(mode: str) -> None:
    """Raise unless it says whether small or large numbers are good."""
    if mode not in ("min", "max"):
        raise ValueError(f"mode must be 'min' or 'max', got {mode!r}")
