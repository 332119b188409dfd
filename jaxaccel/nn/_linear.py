"""The fully connected layer."""

from __future__ import annotations

import math
from typing import Any

import jax
import jax.numpy as jnp
from flax import nnx

from jaxaccel._types import Generator
from jaxaccel.init import default_bias, default_weight
from jaxaccel.nn._arguments import add_bias, check_same_dtype, parameter_dtype, params_key


class Linear(nnx.Module):
    r"""Map the last axis through a matrix: (..., in_features) to (..., out_features).

    .. math::
        y = x W + b

    ``weight`` is (in_features, out_features), ``bias`` (out_features,) or None. TPUs and many GPUs
    multiply float32 with fewer digits unless asked for all of them, by
    ``jax.default_matmul_precision("highest")``.

    Args:
        in_features: The length of the input's last axis.
        out_features: The length of the output's last axis.
        bias: Whether to add a bias.
        dtype: Of the parameters and so of the input; None for float32.
        rngs: Draws ``weight``, then ``bias``, from PyTorch's default distribution
            (:func:`jaxaccel.init.default_weight`): the ``params`` stream of an ``nnx.Rngs``, or a
            :class:`jaxaccel.random.Generator` for PyTorch's own numbers.

    Raises:
        ValueError: from a call, an input whose last axis is not in_features.
        TypeError: from a call, an input of another dtype than the parameters.

    PyTorch:
        ``torch.nn.Linear``: the same, but for the weight, which is transposed (flax's layout;
        :func:`jaxaccel.nn.state_dict` gives PyTorch's). Left out: ``device`` (JAX places arrays).
        PyTorch raises ``RuntimeError`` for shapes and dtypes. The counterpart of
        ``jax.default_matmul_precision`` is ``torch.set_float32_matmul_precision``.

    Example:
        >>> import jax.numpy as jnp
        >>> from flax import nnx
        >>> import jaxaccel as ja
        >>> layer = ja.nn.Linear(3, 2, rngs=nnx.Rngs(0))
        >>> layer(jnp.ones((5, 3), jnp.float32)).shape
        (5, 2)
    """

    torch_transposed = ("weight",)

    def __init__(
        self,
        in_features: int,
        out_features: int,
        bias: bool = True,
        dtype: Any = None,
        *,
        rngs: nnx.Rngs | Generator,
    ):
        dtype = parameter_dtype(dtype)
        shape = (in_features, out_features)
        self.in_features = in_features
        self.out_features = out_features
        self.weight = nnx.Param(default_weight()(params_key(rngs), shape, dtype))
        self.bias: nnx.Param[jax.Array] | None = nnx.data(None)
        if bias:
            draw = default_bias(in_features)
            self.bias = nnx.Param(draw(params_key(rngs), (out_features,), dtype))

    def __call__(self, input: jax.Array) -> jax.Array:
        """Return the output, in the input's dtype."""
        weight = self.weight[...]
        bias = None if self.bias is None else self.bias[...]
        if input.shape[-1] != self.in_features:
            raise ValueError(
                "mat1 and mat2 shapes cannot be multiplied "
                f"({math.prod(input.shape[:-1])}x{input.shape[-1]} and "
                f"{self.in_features}x{self.out_features})"
            )
        check_same_dtype(input, weight, bias)
        return add_bias(jnp.dot(input, weight), bias)
