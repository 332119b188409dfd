"""A batch normalization folded into the layer before it, for inference."""

from __future__ import annotations

from typing import TypeVar

import jax
import jax.numpy as jnp
from flax import nnx

from jaxaccel._checked import checked
from jaxaccel._math import widest
from jaxaccel.nn._arguments import array_of
from jaxaccel.nn._batch_norm import BatchNormBase
from jaxaccel.nn._conv import Convolution
from jaxaccel.nn._conv_transpose import TransposedConvolution
from jaxaccel.nn._linear import Linear

Conv = TypeVar("Conv", bound=Convolution | TransposedConvolution)
Layer = TypeVar("Layer", bound=Convolution | TransposedConvolution | Linear)


@checked
def fuse_conv_bn(conv: Conv, bn: BatchNormBase, transpose: bool = False) -> Conv:
    r"""Fold a batch normalization in evaluation into the convolution before it.

    .. math::
        W' = W \frac{w}{\sqrt{\sigma^2 + \epsilon}}, \qquad
        b' = (b - \mu) \frac{w}{\sqrt{\sigma^2 + \epsilon}} + \beta

    The arithmetic is in float32 at least; weight and bias keep their dtypes.

    Args:
        conv: A convolution, or a transposed one, of any number of axes.
        bn: The batch normalization of its output, after ``eval()``.
        transpose: Whether ``conv`` is a transposed convolution.

    Returns:
        A new convolution of the same kind, with a bias; the two layers stay as they are.

    Raises:
        ValueError: ``bn`` is in training mode, has no running statistics, other channels than
            ``conv`` or another ``channel_axis``, or ``transpose`` does not say what ``conv`` is.

    PyTorch:
        ``torch.nn.utils.fusion.fuse_conv_bn_eval``: the same numbers; grouped transposed
        convolutions work as well. PyTorch raises ``AssertionError``, or ``RuntimeError`` for
        shapes. A convolution has no mode here, and is not asked for it.

    Example:
        >>> import jax.numpy as jnp
        >>> from flax import nnx
        >>> import jaxaccel as ja
        >>> conv = ja.nn.Conv2d(3, 8, 3, bias=False, rngs=nnx.Rngs(0))
        >>> bn = ja.nn.BatchNorm2d(8)
        >>> bn.eval()
        >>> fused, x = ja.nn.fuse_conv_bn(conv, bn), jnp.ones((1, 5, 5, 3), jnp.float32)
        >>> bool(jnp.allclose(fused(x), bn(conv(x)), atol=1e-6))
        True
    """
    if transpose != isinstance(conv, TransposedConvolution):
        raise ValueError(
            f"transpose={transpose} does not go with a {type(conv).__name__}: it says whether the "
            "convolution is a transposed one"
        )
    if bn.num_features != conv.out_channels:
        raise ValueError(
            f"To fuse, conv.out_channels == bn.num_features, got conv.out_channels="
            f"{conv.out_channels} and bn.num_features={bn.num_features}"
        )
    if bn.channel_axis not in (-1, conv.axes + 1):
        raise ValueError(
            f"To fuse, bn.channel_axis must be -1, as the convolution's, got {bn.channel_axis}"
        )
    scale, bias = _folded(conv, bn)
    if transpose:
        # The kernel ends with (out / groups, in): an input sees the outputs of its own group.
        of_group = scale.reshape(conv.groups, -1)
        scale = jnp.repeat(of_group, conv.in_channels // conv.groups, axis=0).T
    return _copy(conv, scale, bias)


@checked
def fuse_linear_bn(linear: Linear, bn: BatchNormBase) -> Linear:
    r"""Fold a batch normalization in evaluation into the linear layer before it.

    .. math::
        W' = W \frac{w}{\sqrt{\sigma^2 + \epsilon}}, \qquad
        b' = (b - \mu) \frac{w}{\sqrt{\sigma^2 + \epsilon}} + \beta

    The arithmetic is in float32 at least; weight and bias keep their dtypes.

    Args:
        linear: A linear layer.
        bn: The batch normalization of its output, after ``eval()``, with the output's features or
            one for all.

    Returns:
        A new linear layer, with a bias; the two layers stay as they are.

    Raises:
        ValueError: ``bn`` is in training mode, has no running statistics, or another number of
            features.

    PyTorch:
        ``torch.nn.utils.fusion.fuse_linear_bn_eval``: the same numbers; a ``bn`` without weight and
        bias works as well. PyTorch raises ``AssertionError``. A linear layer has no mode here, and
        is not asked for it.

    Example:
        >>> import jax.numpy as jnp
        >>> from flax import nnx
        >>> import jaxaccel as ja
        >>> linear, bn = ja.nn.Linear(3, 2, rngs=nnx.Rngs(0)), ja.nn.BatchNorm1d(2)
        >>> bn.eval()
        >>> fused, x = ja.nn.fuse_linear_bn(linear, bn), jnp.ones((4, 3), jnp.float32)
        >>> bool(jnp.allclose(fused(x), bn(linear(x)), atol=1e-6))
        True
    """
    if bn.num_features not in (linear.out_features, 1):
        raise ValueError(
            "To fuse, linear.out_features == bn.num_features or bn.num_features == 1, got "
            f"linear.out_features={linear.out_features} and bn.num_features={bn.num_features}"
        )
    return _copy(linear, *_folded(linear, bn))


def _folded(
    layer: Convolution | TransposedConvolution | Linear, bn: BatchNormBase
) -> tuple[jax.Array, jax.Array]:
    """Return what scales each output of the kernel, and the new bias, wide enough for both."""
    if not bn.use_running_average:
        raise ValueError("Fusion only for eval! Call bn.eval() first.")
    if bn.running_mean is None or bn.running_var is None:
        raise ValueError("bn.running_mean and bn.running_var must not be None")
    dtype = widest(jnp.float32, layer.weight.dtype, bn.running_var.dtype)
    bias, weight, shift = (
        None if variable is None else variable[...].astype(dtype)
        for variable in (layer.bias, bn.weight, bn.bias)
    )
    scale = jax.lax.rsqrt(bn.running_var[...].astype(dtype) + bn.eps)
    if weight is not None:
        scale = scale * weight
    mean = bn.running_mean[...].astype(dtype)
    new_bias = (-mean if bias is None else bias - mean) * scale
    return scale, new_bias if shift is None else new_bias + shift


def _copy(layer: Layer, factor: jax.Array, new_bias: jax.Array) -> Layer:
    """Return a copy of a layer, its kernel times ``factor``, which fits the last axes."""
    kernel = array_of(layer, "weight")
    factor = jax.lax.expand_dims(factor, range(kernel.ndim - factor.ndim))
    outputs = layer.out_features if isinstance(layer, Linear) else layer.out_channels
    fused = nnx.clone(layer)
    scaled = (kernel.astype(factor.dtype) * factor).astype(kernel.dtype)
    fused.weight = nnx.Param(scaled, layout="flax")
    bias_dtype = kernel.dtype if layer.bias is None else layer.bias.dtype
    fused.bias = nnx.Param(jnp.broadcast_to(new_bias, (outputs,)).astype(bias_dtype))
    return fused
