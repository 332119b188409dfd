"""The cross entropy of independent yes and no decisions, averaged over classes."""

from __future__ import annotations

import jax
import jax.numpy as jnp

from jaxaccel._checked import checked
from jaxaccel._operations import operation
from jaxaccel.functional._reduction import (
    as_pair,
    check_reduction_of_python,
    reduced,
    result_dtype,
    times,
)


@checked
@operation("multilabel_soft_margin_loss")
def multilabel_soft_margin_loss(
    input: jax.Array,
    target: jax.Array,
    weight: jax.Array | None = None,
    reduction: str = "mean",
) -> jax.Array:
    r"""Return the mean over classes of the cross entropy of yes and no.

    .. math::
        \ell_n = -\frac{1}{C} \sum_c w_c \left(y_{n, c} \log \sigma(x_{n, c})
        + (1 - y_{n, c}) \log \sigma(-x_{n, c})\right)

    Args:
        input: Logits, (..., C), floating point.
        target: Probabilities, of a shape that broadcasts to the input's.
        weight: The weights :math:`w`, of a shape that broadcasts to the input's; None for 1.
        reduction: ``"none"``, ``"mean"`` or ``"sum"``.

    Returns:
        The loss: a number, or (...) without reduction. Its dtype is the widest floating one given;
        inside it is float32 at least.

    Raises:
        ValueError: another ``reduction``, or a target or weights that do not broadcast.
        IndexError: ``input`` has no axes.
        TypeError: ``input`` is not floating point.

    PyTorch:
        ``torch.nn.functional.multilabel_soft_margin_loss``: the same. Left out: ``size_average``
        and ``reduce``, which are deprecated, and targets and weights with more axes than the input,
        of which PyTorch sums another axis than that of the classes. PyTorch raises
        ``RuntimeError`` for shapes.

    Example:
        >>> import jax.numpy as jnp
        >>> import jaxaccel as ja
        >>> x, y = jnp.array([[0.0, 0.0]]), jnp.array([[1, 0]])
        >>> round(float(ja.functional.multilabel_soft_margin_loss(x, y)), 4)
        0.6931
    """
    y, x = as_pair(target.astype(result_dtype(input, target)), input)
    if input.ndim == 0:
        raise IndexError("Dimension specified as -1 but tensor has no dimensions")
    if x.shape != input.shape:
        raise ValueError(
            f"target of shape {target.shape} does not broadcast to the input of shape {input.shape}"
        )
    check_reduction_of_python(reduction)
    loss = -(y * jax.nn.log_sigmoid(x) + (1 - y) * jax.nn.log_sigmoid(-x))
    loss = loss if weight is None else times(loss, weight)
    loss = jnp.sum(loss, -1) / input.shape[-1]
    return reduced(loss, reduction).astype(result_dtype(input, target, weight))
