"""The lookup table."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
from flax import nnx

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


class Embedding(nnx.Module):
    r"""A table of vectors: a row for each integer of the input.

    ``weight`` is (num_embeddings, embedding_dim), as in PyTorch; the input has any shape, the
    output one axis more.

    An integer outside the table, a negative one too, raises ``IndexError``; under a trace, where
    its value is not known, its row is NaN and has no gradient.

    Args:
        num_embeddings: How many rows there are.
        embedding_dim: The length of a row.
        padding_idx: A row that starts as zeros and has no gradient, counted from the end when
            negative.
        max_norm: Rows that are looked up and longer are first scaled to this norm, in the table
            too. The gradient is that of the scaled row.
        norm_type: Which norm: the p of the p-norm, infinity included.
        scale_grad_by_freq: Whether a row's gradient is divided by how often the input names it.
        dtype: Of the table; None for float32.
        rngs: Draws the table from PyTorch's default distribution, N(0, 1): the ``params`` stream of
            an ``nnx.Rngs``, or a :class:`jaxaccel.random.Generator` for PyTorch's own numbers.

    Raises:
        ValueError: A negative size, a ``padding_idx`` outside the table.
        TypeError: From a call, an input that is neither int32 nor int64.
        IndexError: From a call that is not traced, an integer outside the table.

    PyTorch:
        ``torch.nn.Embedding``: same arguments, defaults and numbers. With ``max_norm`` a call
        changes ``weight``, as there: ``nnx.value_and_grad`` and ``nnx.jit`` keep the change, a pure
        function of the parameters (:func:`jaxaccel.training.split_model`) does not return it and
        scales the rows anew in each call. Left out: ``sparse`` (a gradient in JAX is dense;
        :func:`jaxaccel.optimizers.sparse_adam` takes one with respect to the rows looked up),
        ``_weight``, ``_freeze`` and ``from_pretrained`` (:func:`jaxaccel.nn.load_state_dict` fills
        a table), ``device`` (JAX places arrays). PyTorch raises ``AssertionError`` for
        ``padding_idx`` and ``RuntimeError`` for dtypes.

    Example:
        >>> import jax.numpy as jnp
        >>> import jaxaccel as ja
        >>> layer = ja.nn.Embedding(5, 2, padding_idx=0, rngs=ja.random.manual_seed(0))
        >>> [[round(x, 4) for x in row] for row in layer(jnp.array([4, 0])).tolist()]
        [[-0.7193, -0.4033], [0.0, 0.0]]
    """

    torch_transposed = ()

    def __init__(
        self,
        num_embeddings: int,
        embedding_dim: int,
        padding_idx: int | None = None,
        max_norm: float | None = None,
        norm_type: float = 2.0,
        scale_grad_by_freq: bool = False,
        dtype: Any = None,
        *,
        rngs: nnx.Rngs | Generator,
    ):
        if padding_idx is not None and num_embeddings >= 0:
            if not -num_embeddings <= padding_idx < num_embeddings:
                raise ValueError("Padding_idx must be within num_embeddings")
            padding_idx %= num_embeddings
        self.num_embeddings = num_embeddings
        self.embedding_dim = embedding_dim
        self.padding_idx = padding_idx
        self.max_norm = max_norm
        self.norm_type = norm_type
        self.scale_grad_by_freq = scale_grad_by_freq
        self.weight = new_table(num_embeddings, embedding_dim, padding_idx, dtype, rngs)

    def __call__(self, input: jax.Array) -> jax.Array:
        """Return the rows; with ``max_norm``, scale them in the table."""
        check_integers(input, "embedding")
        if first_outside(input, self.num_embeddings) is not None:
            raise IndexError("index out of range in self")
        weight = self.weight[...]
        if self.max_norm is not None:
            weight = renormalized(weight, input, self.max_norm, self.norm_type)
            self.weight[...] = weight
        rows = rows_of(weight, input)
        if self.padding_idx is not None:
            is_padding = jnp.expand_dims(input == self.padding_idx, -1)
            rows = jnp.where(is_padding, jax.lax.stop_gradient(rows), rows)
        if self.scale_grad_by_freq:
            times = jnp.expand_dims(frequencies(input, len(weight)), -1)
            rows = with_gradient_of(rows / times.astype(rows.dtype), rows)
        return rows
