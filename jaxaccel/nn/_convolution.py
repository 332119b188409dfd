"""What the convolutions of one, two and three spatial axes share."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, ClassVar, Protocol

import jax
import jax.numpy as jnp
from flax import nnx

from jaxaccel._types import Generator
from jaxaccel.init import default_bias, default_weight
from jaxaccel.nn._arguments import add_bias, check_same_dtype, parameter_dtype, params_key

_PAD_MODES = {"reflect": "reflect", "replicate": "edge", "circular": "wrap"}
_SPATIAL = "DHW"


class Convolution(nnx.Module):
    """A convolution of ``axes`` spatial axes; the public classes only name their number."""

    torch_transposed = ("weight",)

    axes: ClassVar[int]

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
        self.kernel_size = per_axis("kernel_size", kernel_size, self.axes)
        self.stride = per_axis("stride", stride, self.axes)
        self.padding = (
            padding if isinstance(padding, str) else per_axis("padding", padding, self.axes)
        )
        self.dilation = per_axis("dilation", dilation, self.axes)
        self.groups = groups
        self.padding_mode = padding_mode
        _check_padding(self)
        check_geometry(self)
        if min(self.dilation) <= 0:
            text = f"dilation should be greater than zero, but got {[*as_plane(self.dilation)]}"
            raise ValueError(text)
        self.weight, self.bias = draw(in_channels // groups, out_channels, self, bias, dtype, rngs)

    def __call__(self, input: jax.Array) -> jax.Array:
        """Return the output, in the input's dtype."""
        if input.ndim == self.axes + 1:
            return self(input[None])[0]
        weight = self.weight[...]
        bias = None if self.bias is None else self.bias[...]
        padding = _explicit_padding(self)
        check_axes(input, self.axes, "conv")
        _check_input(self, input, padding)
        check_same_dtype(input, weight, bias)
        if self.padding_mode != "zeros":
            width = ((0, 0), *padding, (0, 0))
            input = jnp.pad(input, width, _PAD_MODES[self.padding_mode])
            padding = [(0, 0)] * self.axes
        output = jax.lax.conv_general_dilated(
            input,
            weight,
            self.stride,
            padding,
            rhs_dilation=self.dilation,
            dimension_numbers=dimension_numbers(self.axes),
            feature_group_count=self.groups,
        )
        return add_bias(output, bias)


class Geometry(Protocol):
    """What a convolution knows before it has arrays."""

    in_channels: int
    out_channels: int
    kernel_size: tuple[int, ...]
    stride: tuple[int, ...]
    groups: int


def per_axis(name: str, value: int | Sequence[int], axes: int) -> tuple[int, ...]:
    """Return one number for each spatial axis: one may stand for all, as in PyTorch."""
    if not isinstance(value, Sequence):
        return (value,) * axes
    if len(value) == 1 and name != "kernel_size":
        return (value[0],) * axes
    if len(value) != axes:
        raise ValueError(
            f"expected {name} to be a single integer value or a list of {axes} values to match the "
            f"convolution dimensions, but got {name}={[*value]}"
        )
    return tuple(value)


def as_plane(sizes: Sequence[int], fill: int = 1) -> tuple[int, ...]:
    """Return sizes as PyTorch's texts have them: a line is a plane, one point high."""
    return (fill, *sizes) if len(sizes) == 1 else tuple(sizes)


def dimension_numbers(axes: int) -> tuple[str, str, str]:
    """Return the axes' names for ``lax``: channels last."""
    spatial = _SPATIAL[-axes:]
    return f"N{spatial}C", f"{spatial}IO", f"N{spatial}C"


def draw(
    inputs: int, outputs: int, layer: Geometry, bias: bool, dtype: Any, rngs: nnx.Rngs | Generator
) -> tuple[nnx.Param[jax.Array], nnx.Param[jax.Array] | None]:
    """Draw the weight (*k, inputs, outputs), then the bias, as PyTorch's ``_ConvNd`` does."""
    dtype = parameter_dtype(dtype)
    shape = (*layer.kernel_size, inputs, outputs)
    torch_shape = [outputs, inputs, *layer.kernel_size]
    if min(shape) < 0:
        text = f"Trying to create tensor with negative dimension {min(shape)}: {torch_shape}"
        raise ValueError(text)
    if outputs == 0:
        raise ValueError(
            f"Given groups={layer.groups}, expected weight to be at least {layer.groups} at "
            f"dimension 0, but got weight of size {torch_shape} instead"
        )
    weight = nnx.Param(default_weight()(params_key(rngs), shape, dtype))
    if not bias:
        return weight, nnx.data(None)
    start = default_bias(math.prod(shape[:-1]))
    return weight, nnx.Param(start(params_key(rngs), (layer.out_channels,), dtype))


def check_geometry(layer: Geometry) -> None:
    """Check channels, window and stride, with PyTorch's texts."""
    if layer.groups <= 0:
        raise ValueError("groups must be a positive integer")
    if layer.in_channels % layer.groups != 0:
        raise ValueError("in_channels must be divisible by groups")
    if layer.out_channels % layer.groups != 0:
        raise ValueError("out_channels must be divisible by groups")
    if min(layer.kernel_size) == 0:
        sizes = as_plane(layer.kernel_size)
        shown = " x ".join(map(str, sizes)) + " (TxHxW)"
        if len(sizes) == 2:
            shown = f"kernel_height: {sizes[0]} kernel_width: {sizes[1]}"
        colon = ":" if len(sizes) == 3 else ""
        raise ValueError(f"kernel size should be greater than zero, but got{colon} {shown}")
    if min(layer.stride) <= 0:
        raise ValueError("non-positive stride is not supported")


def check_axes(input: jax.Array, axes: int, name: str) -> None:
    """Raise unless a batch has its axes, with PyTorch's text."""
    if input.ndim != axes + 2:
        raise ValueError(
            f"Expected {axes + 1}D (unbatched) or {axes + 2}D (batched) input to {name}{axes}d, "
            f"but got input of size: {list(input.shape)}"
        )


def _explicit_padding(layer: Convolution) -> list[tuple[int, int]]:
    """Return (before, after) for each spatial axis."""
    if layer.padding == "valid":
        return [(0, 0)] * layer.axes
    if layer.padding == "same":
        total = [d * (k - 1) for d, k in zip(layer.dilation, layer.kernel_size, strict=True)]
        return [(t // 2, t - t // 2) for t in total]
    return [(int(p), int(p)) for p in layer.padding]


def _check_padding(layer: Convolution) -> None:
    """Check the padding, with PyTorch's texts."""
    if isinstance(layer.padding, str):
        if layer.padding not in ("same", "valid"):
            raise ValueError(
                f"Invalid padding string {layer.padding!r}, should be one of {{'same', 'valid'}}"
            )
        if layer.padding == "same" and max(layer.stride) != 1:
            raise ValueError("padding='same' is not supported for strided convolutions")
    elif min(layer.padding) < 0:
        raise ValueError("negative padding is not supported")
    if layer.padding_mode != "zeros" and layer.padding_mode not in _PAD_MODES:
        raise ValueError(
            f"padding_mode must be one of {{'zeros', 'reflect', 'replicate', 'circular'}}, "
            f"but got padding_mode='{layer.padding_mode}'"
        )


def _check_input(layer: Convolution, input: jax.Array, padding: list[tuple[int, int]]) -> None:
    """Check the shape of a batch, with PyTorch's texts."""
    if input.shape[-1] != layer.in_channels:
        raise ValueError(
            f"Given groups={layer.groups}, weight of size {list(layer.weight.shape)}, expected "
            f"input{list(input.shape)} to have {layer.in_channels} channels, "
            f"but got {input.shape[-1]} channels instead"
        )
    sizes = input.shape[1:-1]
    limit = {"reflect": 1, "circular": 0}.get(layer.padding_mode)
    for size, pads in zip(sizes, padding, strict=True):
        if limit is not None and max(pads) > size - limit:
            raise ValueError(
                f"{layer.padding_mode} padding {pads} is too large for an axis of {size} points"
            )
    padded = [size + sum(pads) for size, pads in zip(sizes, padding, strict=True)]
    window = [d * (k - 1) + 1 for d, k in zip(layer.dilation, layer.kernel_size, strict=True)]
    if any(size < points for size, points in zip(padded, window, strict=True)):
        raise ValueError(
            f"Calculated padded input size per channel: ({' x '.join(map(str, padded))}). "
            f"Kernel size: ({' x '.join(map(str, window))}). "
            "Kernel size can't be greater than actual input size"
        )
