"""CyclicLR: the learning rate."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Literal

from jaxaccel._call_repr import shows_call
from jaxaccel._checked import checked_after
from jaxaccel._types import Count, Scalar, Schedule
from jaxaccel.schedules._cyclic import cycle_height
from jaxaccel.schedules._inputs import any_traced, given_number, same_number
from jaxaccel.schedules._schedule import Curve, Group, Start, absolute_schedule


@shows_call
@checked_after
def cyclic_lr(
    base_lr: Scalar,
    max_lr: Scalar,
    step_size_up: Count = 2000,
    step_size_down: Count | None = None,
    mode: Literal["triangular", "triangular2", "exp_range"] = "triangular",
    gamma: Scalar = 1.0,
    scale_fn: Callable[[int], Any] | None = None,
    scale_mode: Literal["cycle", "iterations"] = "cycle",
    cycle_momentum: bool = True,
    base_momentum: Scalar = 0.8,
    max_momentum: Scalar = 0.9,
) -> Schedule:
    r"""Move the learning rate up and down between two bounds on straight lines.

    .. math::
        \eta_k = \eta_{\text{base}} + (\eta_{\max} - \eta_{\text{base}})\, h(k)\, s

    The height :math:`h` rises from 0 to 1 in ``step_size_up`` steps and falls back in
    ``step_size_down``. The scale :math:`s` is 1 (``"triangular"``), halves with every cycle
    (``"triangular2"``), is :math:`\gamma^k` (``"exp_range"``) or what ``scale_fn`` returns.

    Args:
        base_lr: The learning rate at the bottom, at which it starts.
        max_lr: The learning rate at the top.
        step_size_up: The number of steps up, a whole number of at least 1.
        step_size_down: The number of steps down, at least 0; ``None`` means as many as up.
        mode: How the triangles shrink; not read when ``scale_fn`` is given.
        gamma: The factor :math:`\gamma` of ``"exp_range"``.
        scale_fn: The scale as a function of the cycle's number, from 1 on, or of the step. Known
            numbers reach it as Python ints; inside ``jit`` it must be traceable.
        scale_mode: ``"cycle"`` or ``"iterations"``: what ``scale_fn`` is given.
        cycle_momentum: Has no effect here: the momentum is :func:`cyclic_momentum`.
        base_momentum: Likewise: give it to ``cyclic_momentum``.
        max_momentum: Likewise: give it to ``cyclic_momentum``.

    Returns:
        A schedule ``step -> learning rate``: a Python int gives a float, a NumPy array float64
        values of its shape, a JAX array values of its shape in JAX's default float.

    Raises:
        ValueError: A step size is out of its range, or ``mode`` or ``scale_mode`` is unknown.
        TypeError: A bound is not a number, ``scale_fn`` is not a function, or a traced step met one
            that cannot be traced.

    PyTorch:
        ``torch.optim.lr_scheduler.CyclicLR``, equal at every step. PyTorch's object also writes
        the momentum: that is ``cyclic_momentum``, to be given to the optimizer as its momentum or
        beta1. Left out: ``last_epoch``, lists (one schedule a group), step sizes that are not
        whole, and a ``scale_mode`` of another name, which PyTorch takes for ``"iterations"``.

    Example:
        >>> import jaxaccel as ja
        >>> schedule = ja.schedules.cyclic_lr(0.1, 0.5, step_size_up=2, mode="triangular2")
        >>> [round(schedule(k), 4) for k in range(9)]
        [0.1, 0.3, 0.5, 0.3, 0.1, 0.2, 0.3, 0.2, 0.1]

    References:
        Smith. Cyclical Learning Rates for Training Neural Networks. 2017.
        https://arxiv.org/abs/1506.01186
    """
    base_lr, max_lr = given_number("base_lr", base_lr), given_number("max_lr", max_lr)
    height = cycle_height(step_size_up, step_size_down, mode, gamma, scale_fn, scale_mode)

    def values(start: Start) -> Curve:
        # Until its constructor has finished, PyTorch's object takes the optimizer's initial_lr
        # for its own base_lr. That shows behind a scheduler that was constructed earlier.
        first = start.base_lr if start.entry == "constructor" else base_lr

        def curve(xp: Any, k: Any) -> Any:
            value = base_lr + (max_lr - base_lr) * height(xp, k)
            return value if same_number(first, base_lr) else xp.where(k == 0, first, value)

        return curve

    is_traced = any_traced(base_lr, max_lr, gamma)
    return absolute_schedule(values, writes=Group(lr=base_lr), is_traced=is_traced)
