"""The two-dimensional convolution."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp
from flax import nnx

from jaxaccel._types import Generator
from jaxaccel.init import default_bias, default_weight
from jaxaccel.nn._arguments import (
    add_bias,
    check_same_dtype,
    pair,
    parameter_dtype,
    params_key,
)

_PAD_MODES = {"reflect": "reflect", "replicate": "edge", "circular": "wrap"}


class Conv2d(nnx.Module):
    """Convolve images, channels last: (N, H, W, in_channels) to (N, H', W', out_channels).

    An image without a batch axis works too. ``weight`` is (kernel height, kernel width,
    in_channels / groups, out_channels), ``bias`` (out_channels,) or None.

    Args:
        in_channels: Channels of the input, a multiple of ``groups``.
        out_channels: Channels of the output, a multiple of ``groups``.
        kernel_size: Size of the window, one number or (height, width).
        stride: Step of the window, one number or (height, width).
        padding: Rows and columns added on every side, one number or (height, width); ``"valid"``
            adds none, ``"same"`` as many as keep the size (stride 1 only; the odd one goes to the
            bottom and right).
        dilation: Distance of the window's points, one number or (height, width).
        groups: The channels fall into so many blocks that do not see each other.
        bias: Whether to add a bias.
        padding_mode: What is added: ``"zeros"``, ``"reflect"``, ``"replicate"`` or ``"circular"``.
        dtype: Of the parameters and so of the input; None for float32.
        rngs: Draws ``weight``, then ``bias``, from PyTorch's default distribution
            (:func:`jaxaccel.init.default_weight`): the ``params`` stream of an ``nnx.Rngs``, or a
            :class:`jaxaccel.random.Generator` for PyTorch's own numbers.

    Raises:
        ValueError: a bad argument; from a call, an input of another shape or smaller than the
            window.
        TypeError: from a call, an input of another dtype than the parameters.

    PyTorch:
        ``torch.nn.Conv2d``: the same, but for the axes: channels are last, and the weight is in
        flax's layout (:func:`jaxaccel.nn.state_dict` gives PyTorch's). Left out: ``device`` (JAX
        places arrays). Where PyTorch raises ``RuntimeError``, and for many arguments only when the
        layer is called, this raises ``ValueError`` or ``TypeError``, at once where it can.

    Example:
        >>> import jax.numpy as jnp
        >>> from flax import nnx
        >>> import jaxaccel as ja
        >>> layer = ja.nn.Conv2d(3, 8, 3, stride=2, padding=1, rngs=nnx.Rngs(0))
        >>> layer(jnp.ones((4, 32, 32, 3), jnp.float32)).shape
        (4, 16, 16, 8)
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: int | Sequence[int],
        stride: int | Sequence[int] = 1,
        padding: int | Sequence[int] | str = 0,
        dilation: int | Sequence[int] = 1,
        groups: int = 1,
        bias: bool = True,
        padding_mode: str = "zeros",
        dtype: Any = None,
        *,
        rngs: nnx.Rngs | Generator,
    ):
        self.in_channels = in_channels
        self.out_channels = out_channels
        self.kernel_size = _pair("kernel_size", kernel_size)
        self.stride = _pair("stride", stride)
        self.padding = padding if isinstance(padding, str) else _pair("padding", padding)
        self.dilation = _pair("dilation", dilation)
        self.groups = groups
        self.padding_mode = padding_mode
        _check_arguments(self)
        dtype = parameter_dtype(dtype)
        shape = (*self.kernel_size, in_channels // groups, out_channels)
        self.weight = nnx.Param(default_weight()(params_key(rngs), shape, dtype))
        self.bias: nnx.Param[jax.Array] | None = nnx.data(None)
        if bias:
            draw = default_bias(math.prod(shape[:-1]))
            self.bias = nnx.Param(draw(params_key(rngs), (out_channels,), dtype))

    def __call__(self, input: jax.Array) -> jax.Array:
        """Return the output, in the input's dtype."""
        if input.ndim == 3:
            return self(input[None])[0]
        weight = self.weight[...]
        bias = None if self.bias is None else self.bias[...]
        padding = _explicit_padding(self)
        _check_input(self, input, padding)
        check_same_dtype(input, weight, bias)
        if self.padding_mode != "zeros":
            width = ((0, 0), *padding, (0, 0))
            input = jnp.pad(input, width, _PAD_MODES[self.padding_mode])
            padding = ((0, 0), (0, 0))
        output = jax.lax.conv_general_dilated(
            input,
            weight,
            self.stride,
            padding,
            rhs_dilation=self.dilation,
            dimension_numbers=("NHWC", "HWIO", "NHWC"),
            feature_group_count=self.groups,
        )
        return add_bias(output, bias)


def _pair(name: str, value: int | Sequence[int]) -> tuple[int, int]:
    """Return one number for each spatial axis."""
    return pair(
        value,
        f"expected {name} to be a single integer value or a list of 2 values to match the "
        f"convolution dimensions, but got {name}={value}",
    )


def _explicit_padding(layer: Conv2d) -> tuple[tuple[int, int], ...]:
    """Return (before, after) for each spatial axis."""
    if layer.padding == "valid":
        return (0, 0), (0, 0)
    if layer.padding == "same":
        total = [d * (k - 1) for d, k in zip(layer.dilation, layer.kernel_size, strict=True)]
        return tuple((t // 2, t - t // 2) for t in total)
    return tuple((int(p), int(p)) for p in layer.padding)


def _check_arguments(layer: Conv2d) -> None:
    """Check the constructor's arguments, with PyTorch's texts."""
    if layer.groups <= 0:
        raise ValueError("groups must be a positive integer")
    if layer.in_channels % layer.groups != 0:
        raise ValueError("in_channels must be divisible by groups")
    if layer.out_channels % layer.groups != 0:
        raise ValueError("out_channels must be divisible by groups")
    if isinstance(layer.padding, str):
        if layer.padding not in ("same", "valid"):
            raise ValueError(
                f"Invalid padding string {layer.padding!r}, should be one of {{'same', 'valid'}}"
            )
        if layer.padding == "same" and layer.stride != (1, 1):
            raise ValueError("padding='same' is not supported for strided convolutions")
    elif min(layer.padding) < 0:
        raise ValueError("negative padding is not supported")
    if layer.padding_mode != "zeros" and layer.padding_mode not in _PAD_MODES:
        raise ValueError(
            f"padding_mode must be one of {{'zeros', 'reflect', 'replicate', 'circular'}}, "
            f"but got padding_mode='{layer.padding_mode}'"
        )
    if min(layer.kernel_size) <= 0:
        height, width = layer.kernel_size
        raise ValueError(
            "kernel size should be greater than zero, but got "
            f"kernel_height: {height} kernel_width: {width}"
        )
    if min(layer.stride) <= 0:
        raise ValueError("non-positive stride is not supported")
    if min(layer.dilation) <= 0:
        raise ValueError(f"dilation should be greater than zero, but got {list(layer.dilation)}")


def _check_input(layer: Conv2d, input: jax.Array, padding: Sequence[tuple[int, int]]) -> None:
    """Check the shape of an input, with PyTorch's texts."""
    if input.ndim != 4:
        raise ValueError(
            "Expected 3D (unbatched) or 4D (batched) input to conv2d, "
            f"but got input of size: {list(input.shape)}"
        )
    if input.shape[-1] != layer.in_channels:
        raise ValueError(
            f"Given groups={layer.groups}, weight of size {list(layer.weight.shape)}, expected "
            f"input{list(input.shape)} to have {layer.in_channels} channels, "
            f"but got {input.shape[-1]} channels instead"
        )
    sizes = input.shape[1:3]
    limit = {"reflect": 1, "circular": 0}.get(layer.padding_mode)
    for size, pads in zip(sizes, padding, strict=True):
        if limit is not None and max(pads) > size - limit:
            raise ValueError(
                f"{layer.padding_mode} padding {pads} is too large for {size} rows or columns"
            )
    padded = [size + sum(pads) for size, pads in zip(sizes, padding, strict=True)]
    window = [d * (k - 1) + 1 for d, k in zip(layer.dilation, layer.kernel_size, strict=True)]
    if padded[0] < window[0] or padded[1] < window[1]:
        raise ValueError(
            f"Calculated padded input size per channel: ({padded[0]} x {padded[1]}). "
            f"Kernel size: ({window[0]} x {window[1]}). "
            "Kernel size can't be greater than actual input size"
        )
