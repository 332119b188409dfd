"""The cycle that ``one_cycle_lr`` and ``one_cycle_momentum`` go through."""

from __future__ import annotations

import functools
import math
from collections.abc import Sequence
from typing import Any, NamedTuple

from jaxaccel.schedules._anneal import anneal
from jaxaccel.schedules._ending import ending
from jaxaccel.schedules._inputs import plain
from jaxaccel.schedules._schedule import Curve


class Cycle(NamedTuple):
    """The checked shape of a cycle: its length, where its phases end, and how they bend."""

    total_steps: int
    ends: tuple[float, ...]
    anneal_strategy: str


def make_cycle(
    total_steps: Any,
    epochs: Any,
    steps_per_epoch: Any,
    pct_start: Any,
    anneal_strategy: Any,
    three_phase: Any,
) -> Cycle:
    """Check the arguments in PyTorch's order and return the cycle."""
    total_steps = _check_total_steps(plain(total_steps), plain(epochs), plain(steps_per_epoch))
    pct_start = plain(pct_start)
    if not isinstance(pct_start, float) or not 0.0 <= pct_start <= 1.0:
        raise ValueError(f"Expected float between 0 and 1 pct_start, but got {pct_start}")
    if anneal_strategy not in ("cos", "linear"):
        raise ValueError(
            f"anneal_strategy must be one of 'cos' or 'linear', instead got {anneal_strategy}"
        )
    peak = float(pct_start * total_steps) - 1
    middle = (float(2 * pct_start * total_steps) - 2,) if three_phase else ()
    if peak == 0.0:
        raise ValueError(
            f"pct_start * total_steps is 1 ({pct_start} * {total_steps}): the first phase has no "
            "length, and PyTorch divides by zero; choose another pct_start"
        )
    return Cycle(total_steps, (peak, *middle, float(total_steps - 1)), anneal_strategy)


def cycle_curve(cycle: Cycle, turns: Sequence[Any]) -> Curve:
    """Return the curve that runs through ``turns``, one more than there are phases."""
    begins = (0.0, *cycle.ends[:-1])
    phases = list(zip(begins, cycle.ends, turns[:-1], turns[1:], strict=True))

    def curve(xp: Any, k: Any) -> Any:
        values = None
        for begin, end, from_value, to_value in phases:
            if begin == end:
                continue
            done = _distance(k, begin) / (end - begin)
            left = -_distance(k, end) / (end - begin)
            value = anneal(xp, cycle.anneal_strategy, from_value, to_value, done, left)
            # k > begin, for integers.
            values = value if values is None else xp.where(k > math.floor(begin), value, values)
        return values

    error = functools.partial(_past_end, cycle.total_steps)
    # total_steps itself can be asked for; what a traced step holds is the last of training.
    return ending(curve, last_step(cycle), error, held=cycle.total_steps - 1)


def last_step(cycle: Cycle) -> int:
    """Return the last step PyTorch can be asked for: total_steps, one after the last of training.

    A last phase without length is entered at total_steps only, where PyTorch divides by zero.
    """
    begin, end = (0.0, *cycle.ends)[-2:]
    return cycle.total_steps - (begin == end)


def _distance(k: Any, point: float) -> Any:
    """Return ``k - point``, the whole part subtracted in integers."""
    whole = math.floor(point)
    return (k - whole).astype(float) - (point - whole)


def _past_end(total_steps: int, k: int) -> Exception:
    """Return the error of step ``k`` past the cycle, as of ``scheduler.step()``."""
    if k > total_steps:
        return ValueError(
            f"Tried to step {k} times. The specified number of total steps is {total_steps}"
        )
    return ZeroDivisionError(
        f"step {total_steps} is past the end of a cycle whose last phase has no length, "
        "where PyTorch divides by zero"
    )


def _check_total_steps(total_steps: Any, epochs: Any, steps_per_epoch: Any) -> int:
    """Return the length of the cycle; its two spellings are checked as PyTorch does."""
    if total_steps is not None:
        _check_positive_int("total_steps", total_steps)
        return total_steps
    if epochs is None or steps_per_epoch is None:
        raise ValueError("You must define either total_steps OR (epochs AND steps_per_epoch)")
    _check_positive_int("epochs", epochs)
    _check_positive_int("steps_per_epoch", steps_per_epoch)
    return epochs * steps_per_epoch


def _check_positive_int(name: str, value: Any) -> None:
    """Raise unless ``value`` is a Python int above 0."""
    if not isinstance(value, int) or value <= 0:
        raise ValueError(f"Expected positive integer {name}, but got {value}")
