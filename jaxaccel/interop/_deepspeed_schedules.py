"""DeepSpeed's five learning-rate schedules, by their own formulas and argument names.

Its engine calls ``step()`` after each update, and its schedules read ``i = k - 1`` after ``k``
calls: the first two steps of a warm-up are taken with the same learning rate.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from jaxaccel._call_repr import shows_call
from jaxaccel._types import Schedule

Curve = Callable[[Any, Any], Any]


@shows_call
def warmup_lr(
    lr: float | None,
    warmup_min_lr: float = 0.0,
    warmup_max_lr: float | None = None,
    warmup_num_steps: int = 1000,
    warmup_type: str = "log",
) -> Schedule:
    """WarmupLR: up to ``warmup_max_lr``, or to the optimizer's learning rate, and on."""
    top = _base("WarmupLR", lr) if warmup_max_lr is None else warmup_max_lr
    rising = _rising(warmup_num_steps, warmup_type)
    return _warmup(warmup_min_lr, top, rising, max(2, warmup_num_steps), lambda xp, i: 1.0)


@shows_call
def warmup_decay_lr(
    lr: float | None,
    total_num_steps: int,
    warmup_min_lr: float = 0.0,
    warmup_max_lr: float = 0.001,
    warmup_num_steps: int = 1000,
    warmup_type: str = "log",
) -> Schedule:
    """WarmupDecayLR: up, and down to 0 on a straight line."""
    del lr
    rising = _rising(warmup_num_steps, warmup_type)
    steps = max(2, warmup_num_steps)
    length = max(1.0, total_num_steps - steps)

    def falling(xp: Any, i: Any) -> Any:
        return xp.maximum((total_num_steps - i).astype(float) / length, 0.0)

    return _warmup(warmup_min_lr, warmup_max_lr, rising, steps, falling)


@shows_call
def warmup_cosine_lr(
    lr: float | None,
    total_num_steps: int,
    warmup_min_ratio: float = 0.0,
    warmup_num_steps: int = 1000,
    cos_min_ratio: float = 0.0001,
    warmup_type: str = "log",
) -> Schedule:
    """WarmupCosineLR: the optimizer's learning rate times a rising line, then half a cosine."""
    base = _base("WarmupCosineLR", lr)
    rising = _rising(warmup_num_steps, warmup_type)
    steps = max(2, warmup_num_steps)
    length = max(1, total_num_steps - steps)

    def curve(xp: Any, k: Any) -> Any:
        i = xp.maximum(k - 1, 0)
        up = warmup_min_ratio + rising(xp, i) * (1.0 - warmup_min_ratio)
        progress = xp.minimum((i - steps + 1).astype(float) / length, 1.0)
        half = (1.0 + xp.cos(math.pi * progress)) / 2.0
        down = xp.maximum(cos_min_ratio + (1.0 - cos_min_ratio) * half, 0.0)
        # Before its first step it has set the learning rate to 0, whatever its least ratio is.
        return base * xp.where(k == 0, 0.0, xp.where(i < steps, up, down))

    return _schedule(curve)


@shows_call
def lr_range_test(
    lr: float | None,
    lr_range_test_min_lr: float = 1e-3,
    lr_range_test_step_size: int = 2000,
    lr_range_test_step_rate: float = 1.0,
    lr_range_test_staircase: bool = False,
) -> Schedule:
    """LRRangeTest: up from a small one without end, on a line or in stairs."""
    del lr
    if not isinstance(lr_range_test_step_size, int) or lr_range_test_step_size <= 0:
        raise ValueError(
            f"lr_range_test_step_size must be a positive integer, got {lr_range_test_step_size}"
        )

    def curve(xp: Any, k: Any) -> Any:
        whole = k // lr_range_test_step_size if lr_range_test_staircase else k
        size = 1 if lr_range_test_staircase else lr_range_test_step_size
        interval = whole.astype(float) / size
        return lr_range_test_min_lr * (1.0 + lr_range_test_step_rate * interval)

    return _schedule(curve)


def one_cycle(
    lr: float | None,
    cycle_min_lr: float,
    cycle_max_lr: float,
    decay_lr_rate: float = 0.0,
    cycle_first_step_size: int = 2000,
    cycle_second_step_size: int | None = None,
    cycle_first_stair_count: int = 0,
    cycle_second_stair_count: int | None = None,
    decay_step_size: int = 0,
    cycle_momentum: bool = True,
    cycle_min_mom: float = 0.8,
    cycle_max_mom: float = 0.9,
    decay_mom_rate: float = 0.0,
) -> tuple[Schedule, Schedule | None]:
    """OneCycle: up, down and further down; the first of ``betas`` goes the other way."""
    del lr
    first = int(cycle_first_step_size)
    second = first if cycle_second_step_size is None else int(cycle_second_step_size)
    stairs = cycle_first_stair_count, cycle_second_stair_count
    if first <= 0:
        raise ValueError(f"cycle_first_step_size must be positive, got {first}")
    if second < 0:
        raise ValueError(f"cycle_second_step_size must be non-negative, got {second}")
    total = first + second
    height = _cycle(first, second, stairs[0], stairs[0] if stairs[1] is None else stairs[1])

    def decayed(xp: Any, rate: float, k: Any) -> Any:
        after = xp.maximum(k - total, 0).astype(float)
        return 1.0 + (rate if decay_step_size else 0.0) * after / (decay_step_size or 1)

    def rate_at(xp: Any, k: Any) -> Any:
        inside = cycle_min_lr + (cycle_max_lr - cycle_min_lr) * height(xp, k)
        after = cycle_min_lr / decayed(xp, decay_lr_rate, k)
        return xp.where(k <= total, inside, after)

    def momentum_at(xp: Any, k: Any) -> Any:
        inside = cycle_max_mom - (cycle_max_mom - cycle_min_mom) * height(xp, k)
        after = cycle_max_mom * decayed(xp, decay_mom_rate, k)
        # Before its first step it has set the least momentum beside the least learning rate.
        return xp.where(k == 0, cycle_min_mom, xp.where(k <= total, inside, after))

    return _schedule(rate_at), _schedule(momentum_at) if cycle_momentum else None


def _cycle(first: int, second: int, up_stairs: int, down_stairs: int) -> Curve:
    """Return the height within a cycle: 0, up to 1 and back, in stairs where there are any."""

    def half(xp: Any, steps: Any, size: int, count: int) -> Any:
        if count > 0:
            return (steps * count // max(size, 1)).astype(float) / count
        return steps.astype(float) / max(size, 1)

    def height(xp: Any, k: Any) -> Any:
        at = k % (first + second)
        up = half(xp, at, first, up_stairs)
        return xp.where(at <= first, up, half(xp, first + second - at, second, down_stairs))

    return height


def _rising(warmup_num_steps: int, warmup_type: str) -> Curve:
    """Return the way from 0 to 1, by DeepSpeed's two words."""
    if not isinstance(warmup_num_steps, int) or warmup_num_steps <= 0:
        raise ValueError(f"warmup_num_steps must be a positive integer, got {warmup_num_steps}")
    steps = max(2, warmup_num_steps)
    if warmup_type == "linear":
        return lambda xp, i: i.astype(float) / steps
    if warmup_type != "log":  # DeepSpeed warns, and takes log
        raise ValueError(f"warmup_type must be 'log' or 'linear', got {warmup_type!r}")
    return lambda xp, i: xp.log((i + 1).astype(float)) * (1.0 / math.log(steps))


def _warmup(low: float, top: float, rising: Curve, steps: int, later: Curve) -> Schedule:
    def curve(xp: Any, k: Any) -> Any:
        i = xp.maximum(k - 1, 0)
        return low + (top - low) * xp.where(i < steps, rising(xp, i), later(xp, i))

    return _schedule(curve)


def _schedule(curve: Curve) -> Schedule:
    """Return a schedule: in double for known steps, in JAX's default float for traced ones."""
    return functools.partial(_evaluate, curve)


def _evaluate(curve: Curve, step: Any, /) -> Any:
    if isinstance(step, jax.Array):
        return curve(jnp, step.astype(int))
    values = np.asarray(curve(np, np.asarray(step, np.int64)), np.float64)
    return float(values) if values.ndim == 0 else values


def _base(name: str, lr: float | None) -> float:
    if lr is None:
        raise ValueError(
            f"{name} starts from the optimizer's learning rate, and the configuration has none; "
            "pass learning_rate="
        )
    return lr
