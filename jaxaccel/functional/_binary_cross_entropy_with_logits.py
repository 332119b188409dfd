"""The cross entropy of independent yes and no decisions."""

from __future__ import annotations

import jax

from jaxaccel._checked import checked
from jaxaccel._operations import operation
from jaxaccel.functional._reduction import as_pair, check_reduction, reduced, result_dtype, times


@checked
@operation("binary_cross_entropy_with_logits", low=())
def binary_cross_entropy_with_logits(
    input: jax.Array,
    target: jax.Array,
    weight: jax.Array | None = None,
    reduction: str = "mean",
    pos_weight: jax.Array | None = None,
) -> jax.Array:
    r"""Return the cross entropy between probabilities and sigmoids of the input.

    .. math::
        \ell_i = -w_i \left(p_i y_i \log \sigma(x_i) + (1 - y_i) \log(1 - \sigma(x_i))\right)

    computed so that it neither overflows nor loses digits.

    Args:
        input: The logits, floating point, of any shape.
        target: The probabilities, of the input's shape.
        weight: The weights :math:`w`, of a shape that broadcasts to the input's; None for 1.
        reduction: ``"none"``, ``"mean"`` or ``"sum"``. A mean is divided by the number of
            elements, weighted or not.
        pos_weight: The weights :math:`p` of positive targets, of a shape that broadcasts to the
            input's: (C,) where classes are last, which is (C, 1, 1) of PyTorch's images; None for
            1.

    Returns:
        The loss: a number, or the input's shape without reduction. Its dtype is the widest
        floating one given; inside it is float32 at least.

    Raises:
        ValueError: another ``reduction``, a ``target`` of another shape, or weights that do not
            broadcast.
        TypeError: ``input`` is not floating point.

    PyTorch:
        ``torch.nn.functional.binary_cross_entropy_with_logits``: the same. Left out:
        ``size_average`` and ``reduce``, which are deprecated. PyTorch raises ``RuntimeError`` for
        weights, and for an integer target, which works here.

    Example:
        >>> import jax.numpy as jnp
        >>> import jaxaccel as ja
        >>> x, y = jnp.array([0.0, 100.0]), jnp.array([1.0, 0.0])
        >>> ja.functional.binary_cross_entropy_with_logits(x, y, reduction="none").round(4).tolist()
        [0.6930999755859375, 100.0]
    """
    check_reduction(reduction)
    if target.shape != input.shape:
        raise ValueError(
            f"Target size ({target.shape}) must be the same as input size ({input.shape})"
        )
    x, y = as_pair(input, target)
    positive = jax.nn.log_sigmoid(x)
    if pos_weight is not None:
        # p y + (1 - y), the weight of both logarithms in what follows.
        positive = positive * (times(y, pos_weight.astype(y.dtype) - 1) + 1)
    loss = (1 - y) * x - positive
    loss = loss if weight is None else times(loss, weight)
    return reduced(loss, reduction).astype(result_dtype(input, target, weight, pos_weight))
