"""The negative log-likelihood."""

from __future__ import annotations

import jax

from jaxaccel._checked import checked
from jaxaccel._math import compute_dtype
from jaxaccel._operations import operation
from jaxaccel.functional._class_indices import (
    as_indices,
    check_weight,
    class_mean,
    classes_last,
    number_at,
    picked,
)
from jaxaccel.functional._reduction import check_reduction


@checked
@operation("nll_loss", low=())
def nll_loss(
    input: jax.Array,
    target: jax.Array,
    weight: jax.Array | None = None,
    ignore_index: int = -100,
    reduction: str = "mean",
    *,
    class_axis: int = -1,
) -> jax.Array:
    r"""Return minus the log-probability of the right class.

    .. math::
        \ell_n = -w_{y_n} x_{n, y_n}, \qquad \text{mean} = \frac{\sum_n \ell_n}{\sum_n w_{y_n}}

    Args:
        input: Log-probabilities, (N, ..., C) or (C,), floating point.
        target: Indices of classes, (N, ...), integers: the input's shape without its classes.
        weight: (C,), the weight of each class; None for 1.
        ignore_index: The target that counts nowhere: not in the sum, not in what divides it.
        reduction: ``"none"``, ``"mean"`` (divided by the sum of the targets' weights) or ``"sum"``.
        class_axis: The axis of length C; -1 is classes last, 1 is PyTorch's.

    Returns:
        The loss: a number, or the target's shape without reduction, in the input's dtype. Inside it
        is float32 at least. The mean is nan where all targets are ignored.

    Raises:
        ValueError: another ``reduction``, or a bad shape.
        TypeError: ``input`` is not floating point, ``target`` has no integers, or ``weight`` has
            neither the input's dtype nor (beside float16 or bfloat16) float32.
        IndexError: a target is out of bounds. A compiled program cannot raise: there, the loss of
            such a target is nan.

    PyTorch:
        ``torch.nn.functional.nll_loss``: the same, classes last, and with targets of any integer
        type. Left out: ``size_average`` and ``reduce``, which are deprecated. PyTorch raises
        ``RuntimeError`` for most shapes and dtypes.

    Example:
        >>> import jax.numpy as jnp
        >>> import jaxaccel as ja
        >>> log_probs = jnp.log(jnp.array([[0.25, 0.75], [0.5, 0.5]]))
        >>> round(float(ja.functional.nll_loss(log_probs, jnp.array([1, -100]))), 4)
        0.2877
    """
    check_reduction(reduction)
    log_probs = classes_last(input, class_axis)
    check_weight(input, weight, log_probs.shape[-1])
    index = as_indices(log_probs, target, ignore_index)
    wide = log_probs.astype(compute_dtype(input.dtype))
    log_prob = number_at(index, wide, log_probs)
    losses = picked(log_prob, index, log_probs.shape[-1], weight, ignore_index)
    loss = class_mean(*losses, reduction)
    return loss.astype(input.dtype)
