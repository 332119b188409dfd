"""The loss of a wrong order."""

from __future__ import annotations

import jax

from jaxaccel._checked import checked
from jaxaccel._operations import operation
from jaxaccel.functional._reduction import (
    at_least_zero,
    check_reduction,
    in_one_shape,
    reduced,
    result_dtype,
)


@checked
@operation("margin_ranking_loss", low=())
def margin_ranking_loss(
    input1: jax.Array,
    input2: jax.Array,
    target: jax.Array,
    margin: float = 0,
    reduction: str = "mean",
) -> jax.Array:
    r"""Return by how much two scores are in the wrong order.

    .. math::
        \ell_i = \max(-y_i (a_i - b_i) + \text{margin},\, 0)

    Args:
        input1: The scores :math:`a`, floating point, of any shape.
        input2: The scores :math:`b`, of a shape that broadcasts with that of ``input1``.
        target: 1 where the first one is to be higher, -1 where the second one is.
        margin: The difference that is enough.
        reduction: ``"none"``, ``"mean"`` or ``"sum"``.

    Returns:
        The loss: a number, or the common shape without reduction. Its dtype is the widest floating
        one given; inside it is float32 at least. At the margin the gradient is that of a loss.

    Raises:
        ValueError: another ``reduction``, or shapes that do not broadcast or differ in their number
            of axes.
        TypeError: ``input1`` is not floating point.

    PyTorch:
        ``torch.nn.functional.margin_ranking_loss``: the same. Left out: ``size_average`` and
        ``reduce``, which are deprecated. PyTorch raises ``RuntimeError`` for shapes.

    Example:
        >>> import jax.numpy as jnp
        >>> import jaxaccel as ja
        >>> a, b, y = jnp.array([1.0, 3.0]), jnp.array([2.0, 1.0]), jnp.array([1.0, 1.0])
        >>> float(ja.functional.margin_ranking_loss(a, b, y))
        0.5
    """
    check_reduction(reduction)
    if not input1.ndim == input2.ndim == target.ndim:
        raise ValueError(
            "margin_ranking_loss : All input tensors should have same dimension but got sizes: "
            f"input1: {input1.shape}, input2: {input2.shape}, target: {target.shape} "
        )
    a, b, y = in_one_shape(input1, input2, target)
    loss = at_least_zero(-y * (a - b) + margin)
    return reduced(loss, reduction).astype(result_dtype(input1, input2, target))
