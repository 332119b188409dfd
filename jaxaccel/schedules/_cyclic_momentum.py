"""CyclicLR: the momentum, or beta1."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Literal

from jaxaccel._call_repr import shows_call
from jaxaccel._checked import checked_after
from jaxaccel._types import Count, Scalar, Schedule
from jaxaccel.schedules._cyclic import cycle_height
from jaxaccel.schedules._inputs import any_traced, given_number
from jaxaccel.schedules._schedule import absolute_schedule


@shows_call
@checked_after
def cyclic_momentum(
    step_size_up: Count = 2000,
    step_size_down: Count | None = None,
    mode: Literal["triangular", "triangular2", "exp_range"] = "triangular",
    gamma: Scalar = 1.0,
    scale_fn: Callable[[int], Any] | None = None,
    scale_mode: Literal["cycle", "iterations"] = "cycle",
    base_momentum: Scalar = 0.8,
    max_momentum: Scalar = 0.9,
) -> Schedule:
    r"""Lower the momentum while ``cyclic_lr`` raises the learning rate, and back.

    .. math::
        \mu_k = \mu_{\max} - (\mu_{\max} - \mu_{\text{base}})\, h(k)\, s

    The height :math:`h` and the scale :math:`s` are those of ``cyclic_lr``. Give it to SGD as
    ``momentum`` or to Adam and AdamW as the first of ``betas``.

    Args:
        step_size_up: The number of steps down to ``base_momentum``, a whole number of at least 1.
        step_size_down: The number of steps back, at least 0; ``None`` means as many.
        mode: How the triangles shrink; not read when ``scale_fn`` is given.
        gamma: The factor :math:`\gamma` of ``"exp_range"``.
        scale_fn: The scale as a function of the cycle's number, from 1 on, or of the step. Known
            numbers reach it as Python ints; inside ``jit`` it must be traceable.
        scale_mode: ``"cycle"`` or ``"iterations"``: what ``scale_fn`` is given.
        base_momentum: The lowest momentum.
        max_momentum: The highest momentum, at which it starts.

    Returns:
        A schedule ``step -> momentum``: a Python int gives a float, a NumPy array float64
        values of its shape, a JAX array values of its shape in JAX's default float.

    Raises:
        ValueError: A step size is out of its range, or ``mode`` or ``scale_mode`` is unknown.
        TypeError: A momentum is not a number, ``scale_fn`` is not a function, or a traced step met
            one that cannot be traced.

    PyTorch:
        What ``torch.optim.lr_scheduler.CyclicLR`` with ``cycle_momentum=True`` writes to the
        optimizer's ``momentum``, or to the first of its ``betas``; equal at every step.

    Example:
        >>> import jaxaccel as ja
        >>> schedule = ja.schedules.cyclic_momentum(step_size_up=2)
        >>> [round(schedule(k), 4) for k in range(5)]
        [0.9, 0.85, 0.8, 0.85, 0.9]

    References:
        Smith. Cyclical Learning Rates for Training Neural Networks. 2017.
        https://arxiv.org/abs/1506.01186
    """
    lowest = given_number("base_momentum", base_momentum)
    highest = given_number("max_momentum", max_momentum)
    height = cycle_height(step_size_up, step_size_down, mode, gamma, scale_fn, scale_mode)

    def curve(xp: Any, k: Any) -> Any:
        return highest - (highest - lowest) * height(xp, k)

    is_traced = any_traced(lowest, highest, gamma)
    return absolute_schedule(lambda start: curve, is_traced=is_traced)
