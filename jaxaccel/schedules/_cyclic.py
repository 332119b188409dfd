"""The triangles that ``cyclic_lr`` and ``cyclic_momentum`` run along."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from jaxaccel.schedules._inputs import given_number, known_count
from jaxaccel.schedules._power import power
from jaxaccel.schedules._schedule import Curve
from jaxaccel.schedules._user_function import call_at, check_function


def cycle_height(
    step_size_up: Any,
    step_size_down: Any,
    mode: Any,
    gamma: Any,
    scale_fn: Callable[[int], Any] | None,
    scale_mode: Any,
) -> Curve:
    """Check the arguments and return the height in the triangle, scaled; 1 is its top."""
    up = known_count("step_size_up", step_size_up, least=1)
    down = up if step_size_down is None else known_count("step_size_down", step_size_down, least=0)
    total = up + down
    scale = _scale(mode, given_number("gamma", gamma), scale_fn, scale_mode)

    def height(xp: Any, k: Any) -> Any:
        position = k % total
        rising = position.astype(float) / up
        falling = (total - position).astype(float) / max(down, 1)
        return xp.where(position <= up, rising, falling) * scale(xp, 1 + k // total, k)

    return height


def _scale(mode: Any, gamma: Any, scale_fn: Any, scale_mode: Any) -> Callable[..., Any]:
    """Return what the triangle is multiplied by, from the number of its cycle and the step."""
    if scale_fn is not None:
        check_function("scale_fn", scale_fn)
        if scale_mode not in ("cycle", "iterations"):
            raise ValueError(f"scale_mode must be 'cycle' or 'iterations', got {scale_mode!r}")
        by_cycle = scale_mode == "cycle"
        return lambda xp, cycle, k: call_at("scale_fn", scale_fn, cycle if by_cycle else k)
    if mode not in ("triangular", "triangular2", "exp_range"):
        raise ValueError("mode is invalid and scale_fn is None")
    if mode == "triangular2":
        return lambda xp, cycle, k: power(xp, 0.5, cycle - 1)
    if mode == "exp_range":
        return lambda xp, cycle, k: power(xp, gamma, k)
    return lambda xp, cycle, k: 1.0
