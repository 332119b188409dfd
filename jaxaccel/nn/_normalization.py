"""The normalization layers that look at one sample at a time."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

import jax
from flax import nnx

from jaxaccel._checked import checked
from jaxaccel._filled import filled
from jaxaccel._shapes import checked_shape
from jaxaccel._types import DType
from jaxaccel.functional import group_norm, layer_norm, local_response_norm, rms_norm
from jaxaccel.nn._arguments import parameter_dtype, value_of


class LayerNorm(nnx.Module):
    """Normalize the last axes of each sample (:func:`jaxaccel.functional.layer_norm`).

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
    is_norm: ClassVar[bool] = True

    @checked
    def __init__(
        self,
        normalized_shape: int | Sequence[int],
        eps: float = 1e-5,
        elementwise_affine: bool = True,
        bias: bool = True,
        dtype: DType | None = None,
    ):
        shape = (normalized_shape,) if isinstance(normalized_shape, int) else normalized_shape
        dtype = parameter_dtype(dtype)
        self.normalized_shape = checked_shape(shape)
        self.eps = eps
        self.elementwise_affine = elementwise_affine
        self.weight: nnx.Param[jax.Array] | None = nnx.data(None)
        self.bias: nnx.Param[jax.Array] | None = nnx.data(None)
        if elementwise_affine:
            self.weight = nnx.Param(filled(self.normalized_shape, 1, dtype))
        if elementwise_affine and bias:
            self.bias = nnx.Param(filled(self.normalized_shape, 0, dtype))

    @checked
    def __call__(self, input: jax.Array) -> jax.Array:
        """Return the output, in the input's dtype."""
        weight, bias = value_of(self.weight), value_of(self.bias)
        return layer_norm(input, self.normalized_shape, weight, bias, self.eps)


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

    @checked
    def __init__(
        self,
        normalized_shape: int | Sequence[int],
        eps: float | None = None,
        elementwise_affine: bool = True,
        dtype: DType | None = None,
    ):
        shape = (normalized_shape,) if isinstance(normalized_shape, int) else normalized_shape
        self.normalized_shape = checked_shape(shape)
        self.eps = eps
        self.elementwise_affine = elementwise_affine
        self.weight: nnx.Param[jax.Array] | None = nnx.data(None)
        if elementwise_affine:
            self.weight = nnx.Param(filled(self.normalized_shape, 1, parameter_dtype(dtype)))

    @checked
    def __call__(self, x: jax.Array) -> jax.Array:
        """Return the output, in the input's dtype."""
        return rms_norm(x, self.normalized_shape, value_of(self.weight), self.eps)


class GroupNorm(nnx.Module):
    """Normalize groups of channels of each sample: (N, ..., num_channels).

    Each group of a sample has its own mean and variance
    (:func:`jaxaccel.functional.group_norm`). ``weight`` and ``bias`` are (num_channels,) or
    None.

    Args:
        num_groups: The groups, of neighbouring channels.
        num_channels: The channels, a multiple of ``num_groups``.
        eps: Added to the variance.
        affine: Whether to scale and shift each channel.
        dtype: Of the parameters; None for float32, which also serves float16 and bfloat16 inputs.
        bias: Whether ``affine`` shifts too.
        channel_axis: The axis of the channels; -1 is channels last, 1 is PyTorch's.

    Raises:
        ValueError: the channels do not fall into so many groups; from a call, an input of another
            number of channels.
        TypeError: from a call, a dtype of the input that does not go with the parameters'.

    PyTorch:
        ``torch.nn.GroupNorm``: the same, but channels are last. Left out: ``device`` (JAX places
        arrays). For no group at all PyTorch raises ``ZeroDivisionError``, and ``RuntimeError`` for
        shapes and dtypes.

    Example:
        >>> import jax.numpy as jnp
        >>> import jaxaccel as ja
        >>> layer = ja.nn.GroupNorm(2, 4)
        >>> layer(jnp.array([[1.0, 3.0, 10.0, 30.0]], jnp.float32)).round(4).tolist()
        [[-1.0, 1.0, -1.0, 1.0]]

    References:
        Wu, He. Group Normalization. 2018. https://arxiv.org/abs/1803.08494
    """

    torch_transposed = ()
    is_norm: ClassVar[bool] = True

    @checked
    def __init__(
        self,
        num_groups: int,
        num_channels: int,
        eps: float = 1e-5,
        affine: bool = True,
        dtype: DType | None = None,
        *,
        bias: bool = True,
        channel_axis: int = -1,
    ):
        if num_groups < 1:
            raise ValueError(f"Expected num groups to be greater than 0, got {num_groups}")
        if num_channels % num_groups != 0:
            raise ValueError(
                f"num_channels ({num_channels}) must be divisible by num_groups ({num_groups})"
            )
        self.num_groups = num_groups
        self.num_channels = num_channels
        self.eps = eps
        self.affine = affine
        self.channel_axis = channel_axis
        dtype = parameter_dtype(dtype)
        self.weight: nnx.Param[jax.Array] | None = nnx.data(None)
        self.bias: nnx.Param[jax.Array] | None = nnx.data(None)
        if affine:
            self.weight = nnx.Param(filled((num_channels,), 1, dtype))
        if affine and bias:
            self.bias = nnx.Param(filled((num_channels,), 0, dtype))

    @checked
    def __call__(self, input: jax.Array) -> jax.Array:
        """Return the output, in the input's dtype."""
        weight, bias = value_of(self.weight), value_of(self.bias)
        return group_norm(
            input, self.num_groups, weight, bias, self.eps, channel_axis=self.channel_axis
        )


class LocalResponseNorm(nnx.Module):
    """Divide each value by a power of what its neighbouring channels sum to.

    See :func:`jaxaccel.functional.local_response_norm`.

    Args:
        size: The channels of a neighbourhood.
        alpha: Factor of the neighbourhood's mean square.
        beta: The power.
        k: Added to it.
        channel_axis: The axis of the channels; -1 is channels last, 1 is PyTorch's.

    Raises:
        ValueError: from a call, an input with less than three axes.
        TypeError: from a call, an input that is not floating point.

    PyTorch:
        ``torch.nn.LocalResponseNorm``: the same, but channels are last.

    Example:
        >>> import jax.numpy as jnp
        >>> import jaxaccel as ja
        >>> layer = ja.nn.LocalResponseNorm(2, alpha=1.0, beta=1.0)
        >>> round(float(layer(jnp.ones((1, 1, 2), jnp.float32))[0, 0, 0]), 4)
        0.6667

    References:
        Krizhevsky, Sutskever, Hinton. ImageNet Classification with Deep Convolutional Neural
        Networks. 2012.
    """

    @checked
    def __init__(
        self,
        size: int,
        alpha: float = 1e-4,
        beta: float = 0.75,
        k: float = 1.0,
        *,
        channel_axis: int = -1,
    ):
        self.size = size
        self.alpha = alpha
        self.beta = beta
        self.k = k
        self.channel_axis = channel_axis

    @checked
    def __call__(self, input: jax.Array) -> jax.Array:
        """Return the output, in the input's dtype."""
        return local_response_norm(
            input, self.size, self.alpha, self.beta, self.k, channel_axis=self.channel_axis
        )
