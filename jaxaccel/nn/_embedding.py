"""The lookup tables: a row for each integer, or the rows of a bag added up."""

from __future__ import annotations

from typing import Any

import jax
from flax import nnx

from jaxaccel._checked import checked
from jaxaccel._types import DType, Generator
from jaxaccel.functional import embedding, embedding_bag, embedding_renorm
from jaxaccel.init import normal
from jaxaccel.nn._arguments import array_of, parameter_dtype, params_key, store_array


class Embedding(nnx.Module):
    r"""A table of vectors: a row for each integer (:func:`jaxaccel.functional.embedding`).

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
    reads_any_layout = True

    @checked
    def __init__(
        self,
        num_embeddings: int,
        embedding_dim: int,
        padding_idx: int | None = None,
        max_norm: float | None = None,
        norm_type: float = 2.0,
        scale_grad_by_freq: bool = False,
        dtype: DType | None = None,
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
        self.weight = _new_table(num_embeddings, embedding_dim, padding_idx, dtype, rngs)

    @checked
    def __call__(self, input: jax.Array) -> jax.Array:
        """Return the rows; with ``max_norm``, scale them in the table."""
        weight = array_of(self, "weight")
        if self.max_norm is not None:
            weight = embedding_renorm(weight, input, self.max_norm, self.norm_type)
        options = {"padding_idx": self.padding_idx, "scale_grad_by_freq": self.scale_grad_by_freq}
        rows = embedding(input, weight, **options)
        if self.max_norm is not None:
            store_array(self, "weight", weight)
        return rows


class EmbeddingBag(nnx.Module):
    r"""A table of vectors: the sum, mean or maximum of the rows that a bag of integers names.

    :func:`jaxaccel.functional.embedding_bag`. Bags of one length are the rows of a two-dimensional
    input (bags, length). Others are written
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
    reads_any_layout = True

    @checked
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
        dtype: DType | None = None,
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
        self.weight = _new_table(num_embeddings, embedding_dim, padding_idx, dtype, rngs)

    @checked
    def __call__(
        self,
        input: jax.Array,
        offsets: jax.Array | None = None,
        per_sample_weights: jax.Array | None = None,
    ) -> jax.Array:
        """Return a vector for each bag.

        ``per_sample_weights``, of the input's shape, multiply the rows before they are summed.
        """
        weight = array_of(self, "weight")
        if self.max_norm is not None:
            weight = embedding_renorm(weight, input, self.max_norm, self.norm_type)
        result = embedding_bag(
            input,
            weight,
            offsets,
            scale_grad_by_freq=self.scale_grad_by_freq,
            mode=self.mode,
            per_sample_weights=per_sample_weights,
            include_last_offset=self.include_last_offset,
            padding_idx=self.padding_idx,
        )
        if self.max_norm is not None:
            store_array(self, "weight", weight)
        return result


def _new_table(
    num_embeddings: int,
    embedding_dim: int,
    padding_idx: int | None,
    dtype: Any,
    rngs: nnx.Rngs | Generator,
) -> nnx.Param[jax.Array]:
    """Draw a table from PyTorch's N(0, 1), the padding's row as zeros."""
    shape = (num_embeddings, embedding_dim)
    if min(shape) < 0:
        raise ValueError(
            f"Trying to create tensor with negative dimension {min(shape)}: {[*shape]}"
        )
    weight = normal(layout="torch")(params_key(rngs), shape, parameter_dtype(dtype))
    if padding_idx is not None:
        weight = weight.at[padding_idx].set(0)
    return nnx.Param(weight, layout="torch")
