"""The logistic loss of two classes that are called 1 and -1."""

from __future__ import annotations

import jax

from jaxaccel._checked import checked
from jaxaccel._operations import operation
from jaxaccel.functional._reduction import as_pair, check_reduction, reduced, result_dtype


@checked
@operation("soft_margin_loss", low=())
def soft_margin_loss(input: jax.Array, target: jax.Array, reduction: str = "mean") -> jax.Array:
    r"""Return the logistic loss of scores and their signs.

    .. math::
        \ell_i = \log(1 + \exp(-y_i x_i))

    computed so that it does not overflow.

    Args:
        input: The scores, floating point, of any shape.
        target: 1 or -1, of a shape that broadcasts to the input's.
        reduction: ``"none"``, ``"mean"`` or ``"sum"``.

    Returns:
        The loss: a number, or the input's shape without reduction, in the input's dtype; inside it
        is float32 at least.

    Raises:
        ValueError: another ``reduction``, or a ``target`` that does not broadcast.
        TypeError: ``input`` is not floating point.

    PyTorch:
        ``torch.nn.functional.soft_margin_loss``: the same, but where the exponential overflows
        (beyond 88 in float32), where PyTorch's loss is infinite and its gradient nan. Left out:
        ``size_average`` and ``reduce``, which are deprecated. PyTorch raises ``RuntimeError`` for
        shapes.

    Example:
        >>> import jax.numpy as jnp
        >>> import jaxaccel as ja
        >>> x, y = jnp.array([0.0, -100.0]), jnp.array([1, 1])
        >>> ja.functional.soft_margin_loss(x, y, "none").round(4).tolist()
        [0.6930999755859375, 100.0]
    """
    check_reduction(reduction)
    x, y = as_pair(input, target)
    if x.shape != input.shape:
        raise ValueError(
            f"output with shape {[*input.shape]} doesn't match the broadcast shape {[*x.shape]}"
        )
    return reduced(jax.nn.softplus(-y * x), reduction).astype(result_dtype(input))
