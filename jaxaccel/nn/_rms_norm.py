"""The root mean square normalization layer."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp
from flax import nnx

from jaxaccel.functional import rms_norm
from jaxaccel.nn._arguments import parameter_dtype, value_of


class RMSNorm(nnx.Module):
    """Divide the last axes of each sample by their root mean square.

    See :func:`jaxaccel.functional.rms_norm`. ``weight`` has the shape ``normalized_shape``, or
    is None.

    Args:
        normalized_shape: The lengths of the last axes, or the length of the last.
        eps: Added to the mean square; None for the smallest step from 1 of the dtype that the
            arithmetic runs in: float64's for a float64 input, else float32's.
        elementwise_affine: Whether to scale each element.
        dtype: Of the weight; None for float32.

    Raises:
        ValueError: from a call, an input whose shape does not end with ``normalized_shape``.
        TypeError: from a call, an input that is not floating point.

    PyTorch:
        ``torch.nn.RMSNorm``: the same. Left out: ``device`` (JAX places arrays). PyTorch raises
        ``RuntimeError`` for shapes and dtypes.

    Example:
        >>> import jax.numpy as jnp
        >>> import jaxaccel as ja
        >>> round(float(ja.nn.RMSNorm(2)(jnp.array([1.0, 7.0], jnp.float32))[1]), 4)
        1.4

    References:
        Zhang, Sennrich. Root Mean Square Layer Normalization. 2019.
        https://arxiv.org/abs/1910.07467
    """

    torch_transposed = ()

    def __init__(
        self,
        normalized_shape: int | Sequence[int],
        eps: float | None = None,
        elementwise_affine: bool = True,
        dtype: Any = None,
    ):
        shape = (normalized_shape,) if isinstance(normalized_shape, int) else normalized_shape
        self.normalized_shape = tuple(shape)
        self.eps = eps
        self.elementwise_affine = elementwise_affine
        self.weight: nnx.Param[jax.Array] | None = nnx.data(None)
        if elementwise_affine:
            self.weight = nnx.Param(jnp.ones(self.normalized_shape, parameter_dtype(dtype)))

    def __call__(self, x: jax.Array) -> jax.Array:
        """Return the output, in the input's dtype."""
        return rms_norm(x, self.normalized_shape, value_of(self.weight), self.eps)
