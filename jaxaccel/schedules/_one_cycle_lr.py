"""OneCycleLR: the learning rate."""

from __future__ import annotations

from typing import Any, Literal

from jaxaccel._call_repr import shows_call
from jaxaccel._checked import checked_after
from jaxaccel._math import is_zero
from jaxaccel._types import Count, Scalar, Schedule
from jaxaccel.schedules._inputs import any_traced, given_number
from jaxaccel.schedules._one_cycle import cycle_curve, last_step, make_cycle
from jaxaccel.schedules._schedule import Curve, Group, Start, absolute_schedule


@shows_call
@checked_after
def one_cycle_lr(
    max_lr: Scalar,
    total_steps: Count | None = None,
    epochs: Count | None = None,
    steps_per_epoch: Count | None = None,
    pct_start: Scalar = 0.3,
    anneal_strategy: Literal["cos", "linear"] = "cos",
    cycle_momentum: bool = True,
    base_momentum: Scalar = 0.85,
    max_momentum: Scalar = 0.95,
    div_factor: Scalar = 25.0,
    final_div_factor: Scalar = 1e4,
    three_phase: bool = False,
) -> Schedule:
    r"""Raise the learning rate to ``max_lr`` and anneal it far below where it started.

    The length is ``total_steps``, or ``epochs * steps_per_epoch``; :math:`T` below. The first
    phase goes from ``max_lr / div_factor`` to ``max_lr`` and ends at step
    :math:`p T - 1` (:math:`p` is ``pct_start``; the step need not be whole), the second goes to
    ``max_lr / div_factor / final_div_factor`` and ends at step :math:`T - 1`. With
    ``three_phase`` the way down to ``max_lr / div_factor`` is as long as the way up, and a
    third phase does the rest. Within a phase, with :math:`x` from 0 to 1:

    .. math::
        \eta = \eta_\text{end} + (\eta_\text{start} - \eta_\text{end})
            \frac{1 + \cos \pi x}{2}
        \quad\text{or}\quad
        \eta = \eta_\text{start} + (\eta_\text{end} - \eta_\text{start}) x

    Args:
        max_lr: The highest learning rate.
        total_steps: The length in steps, an int above 0; it takes precedence over the next two.
        epochs: The number of epochs, an int above 0.
        steps_per_epoch: The number of steps in each, an int above 0.
        pct_start: The part of the cycle spent on the way up, a float in [0, 1].
        anneal_strategy: ``"cos"`` or ``"linear"``.
        cycle_momentum: Accepted so that PyTorch's call can be copied; changes nothing here.
        base_momentum: Likewise: give it to ``one_cycle_momentum``.
        max_momentum: Likewise: give it to ``one_cycle_momentum``.
        div_factor: ``max_lr`` over the first learning rate.
        final_div_factor: The first learning rate over the last.
        three_phase: Whether the way down mirrors the way up before the end is reached.

    Returns:
        A schedule ``step -> learning rate``: a Python int gives a float, a NumPy array float64
        values of its shape, a JAX array values of its shape in JAX's default float.

    Raises:
        ValueError: An argument is out of its range, or no length is given. The schedule raises
            for a Python or NumPy step beyond ``total_steps``.
        TypeError: A learning rate or factor is not a number.
        ZeroDivisionError: ``div_factor`` or ``final_div_factor`` is 0.

    PyTorch:
        ``torch.optim.lr_scheduler.OneCycleLR``, equal at every step up to and including
        ``total_steps``, the last one PyTorch can be asked for. Training uses steps 0 to
        ``total_steps - 1``; at ``total_steps`` PyTorch runs past the end of the phase (with
        ``"linear"`` to a learning rate below 0), and so does this. Beyond, PyTorch raises; a
        traced step cannot, and holds the value of ``total_steps - 1``. PyTorch's object
        also writes the momentum: that is ``one_cycle_momentum``, to be given to the optimizer
        as its momentum or beta1. Left out: ``last_epoch``, and lists (one schedule a group).
        A ``pct_start * total_steps`` of 1, where PyTorch fails with a ZeroDivisionError, is
        refused.

    Example:
        >>> import jaxaccel as ja
        >>> schedule = ja.schedules.one_cycle_lr(1.0, total_steps=10)
        >>> [round(schedule(k), 3) for k in range(10)]
        [0.04, 0.52, 1.0, 0.95, 0.812, 0.611, 0.389, 0.188, 0.05, 0.0]

    References:
        Smith, Topin. Super-Convergence: Very Fast Training of Neural Networks Using Large Learning
        Rates. 2018. https://arxiv.org/abs/1708.07120
    """
    cycle = make_cycle(
        total_steps, epochs, steps_per_epoch, pct_start, anneal_strategy, three_phase
    )
    max_lr = given_number("max_lr", max_lr)
    initial_lr = max_lr / _divisor("div_factor", div_factor)
    min_lr = initial_lr / _divisor("final_div_factor", final_div_factor)

    def values(start: Start) -> Curve:
        # PyTorch reads these from the group at every step: a later OneCycleLR replaces them.
        initial, peak, final = start.group.initial_lr, start.group.max_lr, start.group.min_lr
        turns = (initial, peak, initial, final) if three_phase else (initial, peak, final)
        return cycle_curve(cycle, turns)

    writes = Group(initial_lr=initial_lr, max_lr=max_lr, min_lr=min_lr)
    is_traced = any_traced(max_lr, initial_lr, min_lr)
    return absolute_schedule(values, writes=writes, last_step=last_step(cycle), is_traced=is_traced)


def _divisor(name: str, value: Scalar) -> Any:
    """Return a number that is not 0, with Python's text for one that is."""
    number = given_number(name, value)
    if is_zero(number):
        raise ZeroDivisionError(f"float division by zero\n{name} must not be 0, got {value!r}")
    return number
