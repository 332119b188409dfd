"""The lookup table whose rows are added up in bags."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx
from jax.core import Tracer

from jaxaccel._math import compute_dtype
from jaxaccel._types import Generator
from jaxaccel.nn._lookup import (
    check_integers,
    first_outside,
    frequencies,
    new_table,
    renormalized,
    rows_of,
    with_gradient_of,
)


class EmbeddingBag(nnx.Module):
    r"""A table of vectors: the sum, mean or maximum of the rows that a bag of integers names.

    Bags of one length are the rows of a two-dimensional input (bags, length). Others are written
    one after the other in a one-dimensional input, and ``offsets`` (bags,) says where each starts.
    The output is (bags, embedding_dim), zeros for an empty bag. ``weight`` is (num_embeddings,
    embedding_dim), as in PyTorch. Half precision is added up in float32.

    What is wrong with integers or offsets raises where their values are known; under a trace, an
    integer outside the table makes its bag NaN.

    Args:
        num_embeddings: How many rows there are.
        embedding_dim: The length of a row.
        max_norm: Rows that are looked up and longer are first scaled to this norm, in the table
            too. The gradient is that of the scaled row.
        norm_type: Which norm: the p of the p-norm, infinity included.
        scale_grad_by_freq: Whether a row's gradient is divided by how often the input names it;
            not with the maximum.
        mode: ``"sum"``, ``"mean"`` or ``"max"``.
        include_last_offset: Whether ``offsets`` has one more number, where the last bag ends; what
            follows belongs to no bag.
        padding_idx: A row that starts as zeros and belongs to no bag, counted from the end when
            negative.
        dtype: Of the table; None for float32.
        rngs: Draws the table from PyTorch's default distribution, N(0, 1): the ``params`` stream of
            an ``nnx.Rngs``, or a :class:`jaxaccel.random.Generator` for PyTorch's own numbers.

    Raises:
        ValueError: A negative size, a ``padding_idx`` outside the table, an unknown ``mode``; from
            a call, an input with other axes, offsets that do not start at 0, fall or end beyond the
            input, weights of another shape or for another mode than the sum.
        TypeError: From a call, integers that are neither int32 nor int64, weights of another dtype
            than the table.
        IndexError: From a call, an integer outside the table.

    PyTorch:
        ``torch.nn.EmbeddingBag``: same arguments, defaults and numbers, with three exceptions. Its
        CPU kernel (2.13) divides by another row's frequency where frequencies differ
        (``scale_grad_by_freq``), and what it makes of integers behind the last offset depends on
        dtype and mode; here both are as documented. A NaN in a bag's maximum gives NaN; there only
        when it is the first. With ``max_norm`` a call changes ``weight``, as in
        :class:`jaxaccel.nn.Embedding`. Left out: ``sparse`` (a gradient in JAX is dense),
        ``_weight`` and ``from_pretrained`` (:func:`jaxaccel.nn.load_state_dict` fills a table),
        ``device`` (JAX places arrays). PyTorch raises ``AssertionError`` for ``padding_idx``,
        ``NotImplementedError`` for weights with another mode, ``RuntimeError`` for integers,
        offsets and dtypes.

    Example:
        >>> import jax.numpy as jnp
        >>> import jaxaccel as ja
        >>> layer = ja.nn.EmbeddingBag(5, 2, mode="sum", rngs=ja.random.manual_seed(0))
        >>> bags = layer(jnp.array([4, 0, 4]), jnp.array([0, 2, 2]))
        >>> [[round(x, 4) for x in row] for row in bags.tolist()]
        [[0.8217, -0.6968], [0.0, 0.0], [-0.7193, -0.4033]]
    """

    torch_transposed = ()

    def __init__(
        self,
        num_embeddings: int,
        embedding_dim: int,
        max_norm: float | None = None,
        norm_type: float = 2.0,
        scale_grad_by_freq: bool = False,
        mode: str = "mean",
        include_last_offset: bool = False,
        padding_idx: int | None = None,
        dtype: Any = None,
        *,
        rngs: nnx.Rngs | Generator,
    ):
        if padding_idx is not None and num_embeddings >= 0:
            if not -num_embeddings <= padding_idx < num_embeddings:
                raise ValueError("padding_idx must be within num_embeddings")
            padding_idx %= num_embeddings
        if mode not in ("sum", "mean", "max"):
            raise ValueError("mode has to be one of sum, mean or max")
        if mode == "max" and scale_grad_by_freq:
            raise ValueError("max mode does not support scaling the gradient by the frequency")
        self.num_embeddings = num_embeddings
        self.embedding_dim = embedding_dim
        self.max_norm = max_norm
        self.norm_type = norm_type
        self.scale_grad_by_freq = scale_grad_by_freq
        self.mode = mode
        self.include_last_offset = include_last_offset
        self.padding_idx = padding_idx
        self.weight = new_table(num_embeddings, embedding_dim, padding_idx, dtype, rngs)

    def __call__(
        self,
        input: jax.Array,
        offsets: jax.Array | None = None,
        per_sample_weights: jax.Array | None = None,
    ) -> jax.Array:
        """Return a vector for each bag.

        ``per_sample_weights``, of the input's shape, multiply the rows before they are summed.
        """
        _check_input(self, input, per_sample_weights)
        bag_of, bags = _bags(self, input, offsets)
        input = input.reshape(-1)
        weight = self.weight[...]
        if self.max_norm is not None:
            weight = renormalized(weight, input, self.max_norm, self.norm_type)
            self.weight[...] = weight
        rows = rows_of(weight, input)
        wide = compute_dtype(rows.dtype)
        rows = rows.astype(wide)
        if self.scale_grad_by_freq:
            times = jnp.expand_dims(frequencies(input, len(weight)), -1)
            rows = with_gradient_of(rows / times.astype(wide), rows)
        if per_sample_weights is not None:
            rows = rows * jnp.expand_dims(per_sample_weights.reshape(-1).astype(wide), -1)
        if self.padding_idx is not None:
            # To a bag that there is not.
            bag_of = jnp.where(input == self.padding_idx, bags, bag_of)
        combine = _largest if self.mode == "max" else _sum
        result = combine(rows, bag_of, bags)
        if self.mode == "mean":
            counts = jax.ops.segment_sum(jnp.ones(input.shape, wide), bag_of, bags)
            result = result / jnp.expand_dims(jnp.maximum(counts, 1), -1)
        return result.astype(weight.dtype)


def _bags(
    layer: EmbeddingBag, input: jax.Array, offsets: jax.Array | None
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
    return bag_of, len(offsets) - layer.include_last_offset


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


def _check_input(layer: EmbeddingBag, input: jax.Array, weights: jax.Array | None) -> None:
    """Check the integers and the weights, with PyTorch's texts."""
    if weights is not None and weights.shape != input.shape:
        raise ValueError(
            f"embedding_bag: If per_sample_weights ({weights.shape}) is not None, then it must "
            f"have the same shape as the input ({input.shape})"
        )
    if input.ndim not in (1, 2):
        raise ValueError(
            f"input has to be 1D or 2D Tensor, but got Tensor of dimension {input.ndim}"
        )
    if weights is not None and layer.mode != "sum":
        raise ValueError(
            "embedding_bag: per_sample_weights was not None. per_sample_weights is only supported "
            f"for mode='sum' (got mode='{layer.mode}')."
        )
    check_integers(input, "embedding_bag")
    if weights is not None and weights.dtype != layer.weight.dtype:
        raise TypeError(
            "expected weight and per_sample_weights to have the same dtype, but got: "
            f"{layer.weight.dtype} != {weights.dtype}"
        )
    outside = first_outside(input, layer.num_embeddings)
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
