"""The learning rate for another batch size."""

from __future__ import annotations

import math
from typing import Any, Literal

from jaxaccel._checked import checked_after
from jaxaccel._checks import check_positive_integer
from jaxaccel._types import Count, Scalar
from jaxaccel.schedules._inputs import given_number, is_known, plain


@checked_after
def scale_lr(
    base_lr: Scalar,
    base_batch_size: Count,
    batch_size: Count,
    rule: Literal["linear", "sqrt"] = "linear",
) -> float:
    r"""Scale a learning rate that was tuned for one batch size to another.

    A batch is what one update averages over: all devices and accumulation steps together. The
    linear rule is for SGD, where it is combined with a warm-up; the square root rule keeps the
    noise of an update, and is the one for Adam, whose :math:`1 - \beta_1` and
    :math:`1 - \beta_2` are then multiplied by :math:`B / B_0` and ``eps`` is divided by its root.

    .. math::
        \eta = \eta_0\, \frac{B}{B_0} \quad \text{or} \quad \eta = \eta_0 \sqrt{\frac{B}{B_0}}

    Args:
        base_lr: The learning rate :math:`\eta_0` that is known to work, at least 0.
        base_batch_size: The batch size :math:`B_0` that it was found with, an integer of at
            least 1.
        batch_size: The batch size :math:`B` to train with, an integer of at least 1.
        rule: ``"linear"`` or ``"sqrt"``.

    Returns:
        The learning rate as a float, to be given to an optimizer or a schedule.

    Raises:
        ValueError: ``base_lr`` is negative, a size is below 1, or the rule is unknown.
        TypeError: ``base_lr`` is not a number, or a size is not an integer.

    PyTorch:
        PyTorch has no such function; recipes write ``lr * batch_size / 256``, which this is.

    Example:
        >>> import jaxaccel as ja
        >>> ja.schedules.scale_lr(0.1, base_batch_size=256, batch_size=1024)
        0.4
        >>> ja.schedules.scale_lr(0.1, base_batch_size=256, batch_size=1024, rule="sqrt")
        0.2

    References:
        Goyal et al. Accurate, Large Minibatch SGD: Training ImageNet in 1 Hour (the linear
        rule). 2017. https://arxiv.org/abs/1706.02677
        Krizhevsky. One Weird Trick for Parallelizing Convolutional Neural Networks (the square
        root rule). 2014. https://arxiv.org/abs/1404.5997
        Malladi, Lyu, Panigrahi, Arora. On the SDEs and Scaling Rules for Adaptive Gradient
        Algorithms (the square root rule for Adam). 2022. https://arxiv.org/abs/2205.10287
    """
    number = given_number("base_lr", base_lr)
    if is_known(number) and not number >= 0.0:
        raise ValueError(f"base_lr must be at least 0, got {base_lr!r}")
    base_batch_size, batch_size = plain(base_batch_size), plain(batch_size)
    check_positive_integer("base_batch_size", base_batch_size)
    check_positive_integer("batch_size", batch_size)
    _check_rule(rule)
    ratio = batch_size / base_batch_size
    return number * (ratio if rule == "linear" else math.sqrt(ratio))


def _check_rule(rule: Any) -> None:
    """Raise unless ``rule`` is one of the two."""
    if rule not in ("linear", "sqrt"):
        raise ValueError(f"rule must be 'linear' or 'sqrt', got {rule!r}")
