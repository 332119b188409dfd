"""The hinge loss of examples to which several classes belong."""

from __future__ import annotations

import functools

import jax
import jax.numpy as jnp

from jaxaccel._arrays import known_values
from jaxaccel._checked import checked
from jaxaccel._gradient import varying_like
from jaxaccel._operations import operation
from jaxaccel.functional._multi_margin_loss import as_rows, check_integers, of_rows, too_near
from jaxaccel.functional._reduction import check_reduction, result_dtype


@checked
@operation("multilabel_margin_loss", low=())
def multilabel_margin_loss(
    input: jax.Array, target: jax.Array, reduction: str = "mean"
) -> jax.Array:
    r"""Return by how much the scores of the wrong classes come too near to those of the right ones.

    .. math::
        \ell_n = \frac{1}{C} \sum_{t} \sum_{c \notin y_n} \max(1 - x_{n, y_{n, t}} + x_{n, c},\, 0)

    Args:
        input: Scores, (N, C) or (C,), floating point.
        target: Indices of the right classes and -1 behind the last one, of the input's shape,
            integers; what follows the first -1 does not count.
        reduction: ``"none"``, ``"mean"`` or ``"sum"``.

    Returns:
        The loss: a number, or (N,) without reduction, in the input's dtype; inside it is float32 at
        least. At the margin the gradient is 0.

    Raises:
        ValueError: another ``reduction``, a bad shape, or a target out of range. A compiled program
            cannot raise: there, the loss of an example with such a target is nan.
        TypeError: ``input`` is not floating point, or ``target`` has no integers.

    PyTorch:
        ``torch.nn.functional.multilabel_margin_loss``: the same, with targets of any integer type.
        Left out: ``size_average`` and ``reduce``, which are deprecated. PyTorch raises
        ``RuntimeError`` for shapes and targets.

    Example:
        >>> import jax.numpy as jnp
        >>> import jaxaccel as ja
        >>> x = jnp.array([[1.0, 2.0, 0.5, 0.0]])
        >>> float(ja.functional.multilabel_margin_loss(x, jnp.array([[1, 0, -1, -1]])))
        0.125
    """
    check_reduction(reduction)
    scores = as_rows(input)
    _, classes = scores.shape
    if (
        (target.shape != input.shape)
        if input.ndim == 2
        else (target.ndim > 1 or target.size != input.size)
    ):
        raise ValueError(
            f"inconsistent target size: {[*target.shape]} for input of size: {[*input.shape]}"
        )
    check_integers(target)
    known = known_values(target)
    if known is not None and ((known < -1) | (known >= classes)).any():
        raise ValueError("argument #2 'target' is out of range")
    index = target.reshape(scores.shape).astype(jnp.int32)
    counts = jnp.cumsum(index == -1, -1) == 0
    place = jnp.clip(index, 0, classes - 1)
    own_classes = jax.vmap(lambda wrong, at: wrong.at[at].set(False, mode="drop"))
    is_wrong = own_classes(
        jnp.ones_like(scores, dtype=bool), jnp.where(counts, place, jnp.full_like(place, classes))
    )
    right = jnp.take_along_axis(scores, place, -1)

    # One place of the targets after the other, also in the gradient: all at once are (N, C, C).
    @functools.partial(jax.checkpoint, prevent_cse=False)
    def step(total: jax.Array, now: tuple[jax.Array, jax.Array]) -> tuple[jax.Array, None]:
        of_right, is_target = now
        short = too_near(1 - of_right[:, None] + scores, is_target[:, None] & is_wrong)
        return total + jnp.sum(short, -1), None

    start = varying_like(right, jnp.zeros_like(right[:, 0]))
    loss = jax.lax.scan(step, start, (right.T, counts.T))[0] / classes
    inside = jnp.all((index >= -1) & (index < classes), -1)
    loss = jnp.where(inside, loss, jnp.full_like(loss, jnp.nan))
    return of_rows(loss, reduction, input.shape[: input.ndim - 1]).astype(result_dtype(input))
