"""Rows of a table."""

from __future__ import annotations

import jax
import jax.numpy as jnp

from jaxaccel._checked import checked
from jaxaccel._gradient import with_gradient_of
from jaxaccel._operations import operation
from jaxaccel.functional._embedding_rows import (
    check_integers,
    check_table,
    first_outside,
    frequencies,
    padding_row,
    rows_of,
    wide_rows_of,
)


@checked
@operation("embedding", low=("weight",))
def embedding(
    input: jax.Array,
    weight: jax.Array,
    padding_idx: int | None = None,
    max_norm: float | None = None,
    norm_type: float = 2.0,
    scale_grad_by_freq: bool = False,
) -> jax.Array:
    """Return a row of a table for each integer.

    An integer outside the table, a negative one too, raises ``IndexError``; under a trace, where
    its value is not known, its row is NaN and has no gradient.

    Args:
        input: Integers, of any shape.
        weight: The table, (num_embeddings, embedding_dim), as in PyTorch.
        padding_idx: A row that gets no gradient, counted from the end when negative.
        max_norm: Rows that are looked up and longer are first scaled to this norm. The gradient is
            that of the scaled row.
        norm_type: Which norm: the p of the p-norm, infinity included.
        scale_grad_by_freq: Whether a row's gradient is divided by how often the input names it.

    Returns:
        The input's shape and one axis more, in the table's dtype.

    Raises:
        ValueError: a ``padding_idx`` outside the table.
        TypeError: an input that is neither int32 nor int64.
        IndexError: an integer outside the table, where its value is known.

    PyTorch:
        ``torch.nn.functional.embedding``: the same rows and gradients. With ``max_norm`` PyTorch
        scales the rows in the table as well: :func:`embedding_renorm` returns that table. Left out:
        ``sparse`` (a gradient in JAX is dense; :func:`jaxaccel.optimizers.sparse_adam` takes one
        with respect to the rows looked up). PyTorch raises ``AssertionError`` for ``padding_idx``
        and ``RuntimeError`` for dtypes.

    Example:
        >>> import jax.numpy as jnp
        >>> import jaxaccel as ja
        >>> table = jnp.array([[0.0, 0.0], [1.0, 2.0], [3.0, 4.0]])
        >>> ja.functional.embedding(jnp.array([2, 1]), table).tolist()
        [[3.0, 4.0], [1.0, 2.0]]
    """
    check_table("embedding", weight)
    padding_idx = padding_row(padding_idx, len(weight), "Padding_idx must be within num_embeddings")
    check_integers(input, "embedding")
    if first_outside(input, len(weight)) is not None:
        raise IndexError("index out of range in self")
    if max_norm is not None:
        weight = embedding_renorm(weight, input, max_norm, norm_type)
    rows = wide_rows_of(weight, input)
    if padding_idx is not None:
        is_padding = jnp.expand_dims(input == padding_idx, -1)
        rows = jnp.where(is_padding, jax.lax.stop_gradient(rows), rows)
    if scale_grad_by_freq:
        times = jnp.expand_dims(frequencies(input, len(weight)), -1)
        rows = with_gradient_of(rows / times.astype(rows.dtype), rows)
    return rows.astype(weight.dtype)


@checked
def embedding_renorm(
    input: jax.Array, indices: jax.Array, max_norm: float, norm_type: float
) -> jax.Array:
    """Return a table whose rows that are looked up are at most ``max_norm`` long.

    Its gradient is the table's: in PyTorch this happens before the differentiated part.

    Args:
        input: The table, (num_embeddings, embedding_dim).
        indices: The rows that are looked up, integers of any shape; others stay as they are.
        max_norm: The largest norm.
        norm_type: Which norm: the p of the p-norm, infinity included.

    Returns:
        The new table.

    Raises:
        ValueError: a table without two axes.
        TypeError: ``indices`` that are neither int32 nor int64, or a table of integers.

    PyTorch:
        ``torch.embedding_renorm_``, which changes the table in place, and by which
        ``torch.nn.functional.embedding`` and ``embedding_bag`` do so where they have a
        ``max_norm``. Indices outside the table, which PyTorch does not check, change nothing.

    Example:
        >>> import jax.numpy as jnp
        >>> import jaxaccel as ja
        >>> table = jnp.array([[3.0, 4.0], [6.0, 8.0]])
        >>> new = ja.functional.embedding_renorm(table, jnp.array([1]), 5.0, 2.0)
        >>> [[round(x, 3) for x in row] for row in new.tolist()]
        [[3.0, 4.0], [3.0, 4.0]]
    """
    check_integers(indices, "embedding_renorm")
    _check_renormalized(input)
    fixed = jax.lax.stop_gradient(jnp.asarray(input))
    rows = rows_of(fixed, indices)
    norm = jnp.linalg.norm(rows, float(norm_type), axis=-1, keepdims=True)
    scaled = jnp.where(norm > max_norm, rows * (max_norm / (norm + 1e-7)), rows)
    new = fixed.at[indices].set(scaled, mode="drop", wrap_negative_indices=False)
    return with_gradient_of(input, new)


def _check_renormalized(input: jax.Array) -> None:
    """Raise PyTorch's texts unless an array is a table whose rows have a norm."""
    if input.ndim != 2:
        raise ValueError(
            f"Expected 2-dimensional tensor, but got {input.ndim}-dimensional tensor for argument "
            "#1 'self' (while checking arguments for embedding_renorm_)\n"
            f"input is the table, (num_embeddings, embedding_dim), got shape {input.shape}"
        )
    if not jnp.issubdtype(input.dtype, jnp.inexact):
        raise TypeError(
            "norm(): input dtype should be either floating point or complex. Got "
            f"{input.dtype} instead.\ninput.astype(jnp.float32) converts the table"
        )
