"""The layer normalization layer."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp
from flax import nnx

from jaxaccel.functional import layer_norm
from jaxaccel.nn._arguments import parameter_dtype


class LayerNorm(nnx.Module):
    """Normalise the last axes of each sample (:func:`jaxaccel.functional.layer_norm`).

    ``weight`` and ``bias`` have the shape ``normalized_shape``, or are None.

    Args:
        normalized_shape: The lengths of the last axes, or the length of the last.
        eps: Added to the variance (flax adds 1e-6 by default).
        elementwise_affine: Whether to scale and shift each element.
        bias: Whether ``elementwise_affine`` shifts too.
        dtype: Of the parameters; None for float32, which also serves float16 and bfloat16 inputs.

    Raises:
        ValueError: from a call, an input whose shape does not end with ``normalized_shape``.
        TypeError: from a call, a dtype of the input that does not go with the parameters'.

    PyTorch:
        ``torch.nn.LayerNorm``: the same. Left out: ``device`` (JAX places arrays). The layer draws
        nothing and takes no ``rngs``. PyTorch raises ``RuntimeError`` for shapes and dtypes.

    Example:
        >>> import jax.numpy as jnp
        >>> import jaxaccel as ja
        >>> round(float(ja.nn.LayerNorm(3)(jnp.array([1.0, 2.0, 3.0], jnp.float32))[2]), 4)
        1.2247

    References:
        Ba, Kiros, Hinton. Layer Normalization. 2016. https://arxiv.org/abs/1607.06450
    """

    torch_transposed = ()

    def __init__(
        self,
        normalized_shape: int | Sequence[int],
        eps: float = 1e-5,
        elementwise_affine: bool = True,
        bias: bool = True,
        dtype: Any = None,
    ):
        shape = (normalized_shape,) if isinstance(normalized_shape, int) else normalized_shape
        dtype = parameter_dtype(dtype)
        self.normalized_shape = tuple(shape)
        self.eps = eps
        self.elementwise_affine = elementwise_affine
        self.weight: nnx.Param[jax.Array] | None = nnx.data(None)
        self.bias: nnx.Param[jax.Array] | None = nnx.data(None)
        if elementwise_affine:
            self.weight = nnx.Param(jnp.ones(self.normalized_shape, dtype))
        if elementwise_affine and bias:
            self.bias = nnx.Param(jnp.zeros(self.normalized_shape, dtype))

    def __call__(self, input: jax.Array) -> jax.Array:
        """Return the output, in the input's dtype."""
        weight = None if self.weight is None else self.weight[...]
        bias = None if self.bias is None else self.bias[...]
        return layer_norm(input, self.normalized_shape, weight, bias, self.eps)
