"""The lookup table."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
from flax import nnx
from jax.core import Tracer

from jaxaccel._types import Generator
from jaxaccel.init import normal
from jaxaccel.nn._arguments import parameter_dtype, params_key


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
        shape = (num_embeddings, embedding_dim)
        if min(shape) < 0:
            raise ValueError(
                f"Trying to create tensor with negative dimension {min(shape)}: {[*shape]}"
            )
        if padding_idx is not None:
            if not -num_embeddings <= padding_idx < num_embeddings:
                raise ValueError("Padding_idx must be within num_embeddings")
            padding_idx %= num_embeddings
        self.num_embeddings = num_embeddings
        self.embedding_dim = embedding_dim
        self.padding_idx = padding_idx
        self.max_norm = max_norm
        self.norm_type = norm_type
        self.scale_grad_by_freq = scale_grad_by_freq
        weight = normal(layout="torch")(params_key(rngs), shape, parameter_dtype(dtype))
        if padding_idx is not None:
            weight = weight.at[padding_idx].set(0)
        self.weight = nnx.Param(weight)

    def __call__(self, input: jax.Array) -> jax.Array:
        """Return the rows; with ``max_norm``, scale them in the table."""
        _check_indices(input, self.num_embeddings)
        weight = self.weight[...]
        if self.max_norm is not None:
            weight = _renormalized(weight, input, self.max_norm, self.norm_type)
            self.weight[...] = weight
        rows = _rows(weight, input)
        if self.padding_idx is not None:
            is_padding = jnp.expand_dims(input == self.padding_idx, -1)
            rows = jnp.where(is_padding, jax.lax.stop_gradient(rows), rows)
        if self.scale_grad_by_freq:
            times = jnp.expand_dims(_frequencies(input, len(weight)), -1)
            rows = _with_gradient_of(rows / times.astype(rows.dtype), rows)
        return rows


def _check_indices(input: jax.Array, rows: int) -> None:
    """Raise unless the input is of integers and, where they are known, within the table."""
    if input.dtype not in (jnp.int32, jnp.int64):
        raise TypeError(
            "Expected tensor for argument #1 'indices' to have one of the following scalar types: "
            f"Long, Int; but got {input.dtype} instead (while checking arguments for embedding)"
        )
    if not isinstance(input, Tracer) and not jnp.all((input >= 0) & (input < rows)):
        raise IndexError("index out of range in self")


def _rows(weight: jax.Array, input: jax.Array) -> jax.Array:
    """Look the rows up; NaN where there is none."""
    return weight.at[input].get(mode="fill", fill_value=jnp.nan, wrap_negative_indices=False)


def _renormalized(
    weight: jax.Array, input: jax.Array, max_norm: float, norm_type: float
) -> jax.Array:
    """Return the table with the rows that are looked up at most ``max_norm`` long.

    Its gradient is the table's: in PyTorch this happens before the differentiated part.
    """
    fixed = jax.lax.stop_gradient(weight)
    rows = _rows(fixed, input)
    norm = jnp.linalg.norm(rows, norm_type, axis=-1, keepdims=True)
    scaled = jnp.where(norm > max_norm, rows * (max_norm / (norm + 1e-7)), rows)
    new = fixed.at[input].set(scaled, mode="drop", wrap_negative_indices=False)
    return _with_gradient_of(weight, new)


def _frequencies(input: jax.Array, rows: int) -> jax.Array:
    """Return for each integer of the input how often the input names it."""
    counts = jnp.zeros(rows, jnp.int32)
    counts = counts.at[input].add(1, mode="drop", wrap_negative_indices=False)
    return counts.at[input].get(mode="fill", fill_value=1, wrap_negative_indices=False)


@jax.custom_jvp
def _with_gradient_of(carrier: jax.Array, value: jax.Array) -> jax.Array:
    """Return ``value`` with the derivative of ``carrier``, in both modes of differentiation."""
    return value


@_with_gradient_of.defjvp
def _with_gradient_of_jvp(primals: Any, tangents: Any) -> Any:
    """Return the value and the carrier's tangent."""
    return primals[1], tangents[0]
