"""Rows of a table, added up in bags."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
from jax.core import Tracer

from jaxaccel._checked import checked
from jaxaccel._gradient import with_gradient_of
from jaxaccel._math import compute_dtype
from jaxaccel._operations import operation
from jaxaccel.functional._embedding import embedding_renorm
from jaxaccel.functional._embedding_rows import (
    check_integers,
    check_table,
    first_outside,
    frequencies,
    padding_row,
    wide_rows_of,
)


@checked
@operation("embedding_bag", low=("weight", "per_sample_weights"))
def embedding_bag(
    input: jax.Array,
    weight: jax.Array,
    offsets: jax.Array | None = None,
    max_norm: float | None = None,
    norm_type: float = 2,
    scale_grad_by_freq: bool = False,
    mode: str = "mean",
    per_sample_weights: jax.Array | None = None,
    include_last_offset: bool = False,
    padding_idx: int | None = None,
) -> jax.Array:
    """Return the sum, mean or maximum of the rows that each bag of integers names.

    Bags of one length are the rows of a two-dimensional input. Others are written one after the
    other in a one-dimensional input, and ``offsets`` says where each starts. Half precision is
    added up in float32.

    What is wrong with integers or offsets raises where their values are known; under a trace, an
    integer outside the table makes its bag NaN.

    Args:
        input: Integers, (bags, length), or (integers of all bags,).
        weight: The table, (num_embeddings, embedding_dim), as in PyTorch.
        offsets: Where each bag starts, (bags,); None for an input of two axes.
        max_norm: Rows that are looked up and longer are first scaled to this norm. The gradient is
            that of the scaled row.
        norm_type: Which norm: the p of the p-norm, infinity included.
        scale_grad_by_freq: Whether a row's gradient is divided by how often the input names it;
            not with the maximum.
        mode: ``"sum"``, ``"mean"`` or ``"max"``.
        per_sample_weights: What the rows are multiplied by before they are summed, of the input's
            shape; for the sum alone.
        include_last_offset: Whether ``offsets`` has one more number, where the last bag ends; what
            follows belongs to no bag.
        padding_idx: A row that belongs to no bag, counted from the end when negative.

    Returns:
        (bags, embedding_dim), in the table's dtype; zeros for an empty bag.

    Raises:
        ValueError: a ``padding_idx`` outside the table, an unknown ``mode``, an input with other
            axes, offsets that do not start at 0, fall or end beyond the input, weights of another
            shape or for another mode than the sum.
        TypeError: integers that are neither int32 nor int64, a table of integers, weights of
            another dtype than the table.
        IndexError: an integer outside the table, where its value is known.

    PyTorch:
        ``torch.nn.functional.embedding_bag``: the same numbers, with three exceptions. Its CPU
        kernel (2.13) divides by another row's frequency where frequencies differ
        (``scale_grad_by_freq``), and what it makes of integers behind the last offset depends on
        dtype and mode; here both are as documented. A NaN in a bag's maximum gives NaN; there only
        when it is the first. With ``max_norm`` PyTorch scales the rows in the table as well:
        :func:`embedding_renorm` returns that table. Left out: ``sparse`` (a gradient in JAX is
        dense). PyTorch raises ``NotImplementedError`` for weights with another mode,
        ``RuntimeError`` for integers, offsets and dtypes.

    Example:
        >>> import jax.numpy as jnp
        >>> import jaxaccel as ja
        >>> table = jnp.array([[1.0, 2.0], [3.0, 4.0], [5.0, 6.0]])
        >>> words, starts = jnp.array([0, 2, 1]), jnp.array([0, 2, 2])
        >>> ja.functional.embedding_bag(words, table, starts, mode="sum").tolist()
        [[6.0, 8.0], [0.0, 0.0], [3.0, 4.0]]
    """
    _check(weight, mode, scale_grad_by_freq)
    _check_input(input, weight, mode, per_sample_weights)
    padding_idx = padding_row(padding_idx, len(weight), "padding_idx must be within num_embeddings")
    bag_of, bags = _bags(input, offsets, include_last_offset)
    input = input.reshape(-1)
    if max_norm is not None:
        weight = embedding_renorm(weight, input, max_norm, norm_type)
    rows, wide = wide_rows_of(weight, input), compute_dtype(weight.dtype)
    if scale_grad_by_freq:
        times = jnp.expand_dims(frequencies(input, len(weight)), -1)
        rows = with_gradient_of(rows / times.astype(wide), rows)
    if per_sample_weights is not None:
        rows = rows * jnp.expand_dims(per_sample_weights.reshape(-1).astype(wide), -1)
    if padding_idx is not None:
        # To a bag that there is not.
        bag_of = jnp.where(input == padding_idx, bags, bag_of)
    combine = _largest if mode == "max" else _sum
    result = combine(rows, bag_of, bags)
    if mode == "mean":
        counts = jax.ops.segment_sum(jnp.ones(input.shape, wide), bag_of, bags)
        result = result / jnp.expand_dims(jnp.maximum(counts, 1), -1)
    return result.astype(weight.dtype)


def _bags(
    input: jax.Array, offsets: jax.Array | None, include_last_offset: bool
) -> tuple[jax.Array, int]:
    """Return the bag of each integer, ``bags`` or more for none, and how many bags there are."""
    if input.ndim == 2:
        if offsets is not None:
            raise ValueError(
                "if input is 2D, then offsets has to be None, as input is treated is a mini-batch "
                f"of fixed length sequences. However, found offsets of type {type(offsets)}"
            )
        return jnp.repeat(jnp.arange(len(input)), input.shape[1]), len(input)
    if offsets is None:
        raise ValueError("offsets has to be a 1D Tensor but got None")
    _check_offsets(offsets, len(input))
    positions = jnp.arange(len(input), dtype=offsets.dtype)
    bag_of = jnp.searchsorted(offsets[1:], positions, side="right")
    return bag_of, len(offsets) - include_last_offset


def _sum(rows: jax.Array, bag_of: jax.Array, bags: int) -> jax.Array:
    """Add up the rows of each bag."""
    return jax.ops.segment_sum(rows, bag_of, bags)


def _largest(rows: jax.Array, bag_of: jax.Array, bags: int) -> jax.Array:
    """Return the largest numbers of each bag, the first of equal ones; zeros of no rows.

    Each number is looked up where it stands, so that the first alone takes the gradient.
    """
    length = len(rows)
    if length == 0:
        return jnp.zeros((bags, rows.shape[1]), rows.dtype)
    values = jax.lax.stop_gradient(rows)
    largest = jax.ops.segment_max(values, bag_of, bags)
    of_bag = largest.at[bag_of].get(mode="fill", fill_value=jnp.nan)
    # NaN equals nothing: its bag finds no place, and is filled with NaN.
    place = jnp.where(values == of_bag, jnp.expand_dims(jnp.arange(length), -1), length)
    first = jnp.minimum(jax.ops.segment_min(place, bag_of, bags), length)
    found = jnp.take_along_axis(rows, first, axis=0, mode="fill", fill_value=jnp.nan)
    counts = jax.ops.segment_sum(jnp.ones(length, jnp.int32), bag_of, bags)
    return jnp.where(jnp.expand_dims(counts > 0, -1), found, jnp.zeros((), rows.dtype))


def _check(weight: jax.Array, mode: str, scale_grad_by_freq: bool) -> None:
    """Check the table and the mode, with PyTorch's texts."""
    check_table("embedding_bag", weight)
    if not jnp.issubdtype(weight.dtype, jnp.inexact):
        raise TypeError(
            "Expected tensor for argument #1 'weight' to have one of the following scalar types: "
            f"Half, BFloat16, Float, Double; but got {weight.dtype} instead (while checking "
            "arguments for embedding_bag)"
        )
    if mode not in ("sum", "mean", "max"):
        raise ValueError("mode has to be one of sum, mean or max")
    if mode == "max" and scale_grad_by_freq:
        raise ValueError("max mode does not support scaling the gradient by the frequency")


def _check_input(
    input: jax.Array, weight: jax.Array, mode: str, per_sample_weights: jax.Array | None
) -> None:
    """Check the integers and their weights, with PyTorch's texts."""
    if per_sample_weights is not None and per_sample_weights.shape != input.shape:
        raise ValueError(
            f"embedding_bag: If per_sample_weights ({per_sample_weights.shape}) is not None, then "
            f"it must have the same shape as the input ({input.shape})"
        )
    if input.ndim not in (1, 2):
        raise ValueError(
            f"input has to be 1D or 2D Tensor, but got Tensor of dimension {input.ndim}"
        )
    if per_sample_weights is not None and mode != "sum":
        raise ValueError(
            "embedding_bag: per_sample_weights was not None. per_sample_weights is only supported "
            f"for mode='sum' (got mode='{mode}')."
        )
    check_integers(input, "embedding_bag")
    if per_sample_weights is not None and per_sample_weights.dtype != weight.dtype:
        raise TypeError(
            "expected weight and per_sample_weights to have the same dtype, but got: "
            f"{weight.dtype} != {per_sample_weights.dtype}"
        )
    outside = first_outside(input, len(weight))
    if outside is not None:
        raise IndexError(
            "embedding_bag: Expected idx >= 0 && idx < num_embeddings but found idx to be "
            f"{outside}"
        )


def _check_offsets(offsets: jax.Array, length: int) -> None:
    """Check where the bags start, with PyTorch's texts as far as it looks."""
    if offsets.ndim != 1:
        raise ValueError("offsets has to be a 1D Tensor")
    check_integers(offsets, "embedding_bag")
    if len(offsets) == 0:
        raise ValueError("offsets has to hold at least one number, but got none")
    if isinstance(offsets, Tracer):
        return
    values = np.asarray(offsets)
    if values[0] != 0:
        raise ValueError(
            "offsets[0] has to be 0, i.e., the first sequence in the mini-batch has to start from "
            f"position 0. However, got {values[0]}"
        )
    if values[-1] > length:
        raise ValueError(
            f"offsets[-1] can not be greater than input's length {length} but got offsets[-1] of "
            f"{values[-1]}"
        )
    if (values[1:] < values[:-1]).any():
        raise ValueError(f"offsets must not fall, but got {values.tolist()}")
