"""The hinge losses of classes: one is right for each example, or several."""

from __future__ import annotations

import jax
import jax.numpy as jnp

from jaxaccel._arrays import known_values
from jaxaccel._checked import checked
from jaxaccel._math import compute_dtype
from jaxaccel._operations import operation
from jaxaccel.functional._class_indices import number_at
from jaxaccel.functional._reduction import check_reduction, result_dtype
from jaxaccel.functional._wide import torch_name


@checked
@operation("multi_margin_loss", low=())
def multi_margin_loss(
    input: jax.Array,
    target: jax.Array,
    p: int = 1,
    margin: float = 1.0,
    weight: jax.Array | None = None,
    reduction: str = "mean",
) -> jax.Array:
    r"""Return by how much the scores of the wrong classes come too near to that of the right one.

    .. math::
        \ell_n = \frac{w_{y_n}}{C} \sum_{c \neq y_n}
        \max(\text{margin} - x_{n, y_n} + x_{n, c},\, 0)^p

    Args:
        input: Scores, (N, C) or (C,), floating point.
        target: Indices of classes, (N,) or a number, integers.
        p: The power, 1 or 2.
        margin: The difference that is enough.
        weight: (C,), the weight of each class; None for 1.
        reduction: ``"none"``, ``"mean"`` or ``"sum"``. A mean is divided by N, weighted or not.

    Returns:
        The loss: a number, or the target's shape without reduction, in the input's dtype; inside it
        is float32 at least. At the margin the gradient is 0.

    Raises:
        ValueError: another ``reduction`` or ``p``, a bad shape, or a target out of range. A
            compiled program cannot raise: there, the loss of such a target is nan.
        TypeError: ``input`` is not floating point, or ``target`` has no integers.

    PyTorch:
        ``torch.nn.functional.multi_margin_loss``: the same, with targets of any integer type. Left
        out: ``size_average`` and ``reduce``, which are deprecated. PyTorch raises ``RuntimeError``
        for shapes and targets.

    Example:
        >>> import jax.numpy as jnp
        >>> import jaxaccel as ja
        >>> x = jnp.array([[1.0, 2.0, 0.5, 0.0]])
        >>> float(ja.functional.multi_margin_loss(x, jnp.array([1])))
        0.0
        >>> float(ja.functional.multi_margin_loss(x, jnp.array([0])))
        0.625
    """
    check_reduction(reduction)
    if p not in (1, 2):
        raise ValueError("only p == 1 and p == 2 supported")
    if weight is not None and weight.ndim != 1:
        raise ValueError("weight must be one-dimensional")
    scores = as_rows(input)
    rows, classes = scores.shape
    if target.size != rows or target.ndim > 1:
        raise ValueError(
            "multi_margin_loss: target tensor should be 1-D with size equal to the number of input "
            f"samples (batch size). Expected target size [{rows}], but got {[*target.shape]}. "
            f"Input has shape {[*input.shape]}."
        )
    check_integers(target)
    if weight is not None and weight.size != classes:
        raise ValueError(f"inconsistent weight size, expected {classes} but got {[*weight.shape]}")
    known = known_values(target)
    if known is not None and ((known < 0) | (known >= classes)).any():
        raise ValueError("target out of range")
    index = target.reshape(rows).astype(jnp.int32)
    inside = (index >= 0) & (index < classes)
    right = jnp.expand_dims(number_at(index, scores, scores), -1)
    is_wrong = jnp.arange(classes, dtype=jnp.int32)[None] != index[:, None]
    loss = jnp.sum(too_near(margin - right + scores, is_wrong) ** p, -1) / classes
    if weight is not None:
        loss = loss * jnp.asarray(weight, loss.dtype)[jnp.where(inside, index, 0)]
    loss = jnp.where(inside, loss, jnp.full_like(loss, jnp.nan))
    return of_rows(loss, reduction, target.shape).astype(result_dtype(input))


def as_rows(input: jax.Array) -> jax.Array:
    """Return the scores as (N, C), in float32 at least, or raise in PyTorch's words."""
    dtype = compute_dtype(result_dtype(input))
    if input.ndim > 2 or (input.ndim > 0 and input.shape[-1] == 0):
        raise ValueError(
            "Expected non-empty vector or matrix with optional 0-dim batch size, but got: "
            f"{[*input.shape]}"
        )
    return input.reshape((1,) * (2 - input.ndim) + input.shape).astype(dtype)


def check_integers(target: jax.Array) -> None:
    """Raise unless targets are integers, in PyTorch's words."""
    if not jnp.issubdtype(target.dtype, jnp.integer):
        raise TypeError(f"expected scalar type Long but found {torch_name(target)}")


def too_near(short: jax.Array, counts: jax.Array) -> jax.Array:
    """Return what is missing to the margin where it counts, else 0.

    A comparison with NaN is false, so NaN counts nothing, as in PyTorch's kernels.
    """
    return jnp.where(counts & (short > 0), short, jnp.zeros_like(short))


def of_rows(loss: jax.Array, reduction: str, shape: tuple[int, ...]) -> jax.Array:
    """Return the losses of rows in a shape, or reduced; of no rows the mean is 0."""
    if reduction == "none":
        return loss.reshape(shape)
    return jnp.sum(loss) / (max(loss.size, 1) if reduction == "mean" else 1)
