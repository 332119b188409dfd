"""What the transposed convolutions of one, two and three spatial axes share."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar

import jax
import jax.numpy as jnp
from flax import nnx

from jaxaccel._types import Generator
from jaxaccel.nn._arguments import add_bias, check_same_dtype
from jaxaccel.nn._convolution import (
    as_plane,
    check_axes,
    check_geometry,
    dimension_numbers,
    draw,
    per_axis,
)

_NAMES = ("depth", "height", "width")


class TransposedConvolution(nnx.Module):
    """A transposed convolution of ``axes`` spatial axes; the public classes name their number."""

    torch_transposed = ("weight",)

    axes: ClassVar[int]

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: int | Sequence[int],
        stride: int | Sequence[int] = 1,
        padding: int | Sequence[int] = 0,
        output_padding: int | Sequence[int] = 0,
        groups: int = 1,
        bias: bool = True,
        dilation: int | Sequence[int] = 1,
        padding_mode: str = "zeros",
        dtype: Any = None,
        *,
        rngs: nnx.Rngs | Generator,
    ):
        if isinstance(padding, str):
            raise TypeError(
                f"conv_transpose{self.axes}d(): argument 'padding' (position 5) must be tuple of "
                f"ints, but found element of type str at pos 0: {padding!r}"
            )
        if padding_mode != "zeros":
            raise ValueError(
                f'Only "zeros" padding mode is supported for ConvTranspose{self.axes}d'
            )
        self.in_channels = in_channels
        self.out_channels = out_channels
        self.kernel_size = per_axis("kernel_size", kernel_size, self.axes)
        self.stride = per_axis("stride", stride, self.axes)
        self.padding = per_axis("padding", padding, self.axes)
        self.output_padding = per_axis("output_padding", output_padding, self.axes)
        self.groups = groups
        self.dilation = per_axis("dilation", dilation, self.axes)
        self.padding_mode = padding_mode
        check_geometry(self)
        _check_padding(self)
        self.weight, self.bias = draw(out_channels // groups, in_channels, self, bias, dtype, rngs)

    def __call__(self, input: jax.Array, output_size: Sequence[int] | None = None) -> jax.Array:
        """Return the output, in the input's dtype.

        With a stride several sizes have the same convolution: ``output_size``, in place of
        ``output_padding``, names the spatial ones, or the whole output's.
        """
        if output_size is not None:
            output_size = _spatial_sizes(output_size, input.ndim, self.axes)
        if input.ndim == self.axes + 1:
            return self(input[None], output_size)[0]
        weight = self.weight[...]
        bias = None if self.bias is None else self.bias[...]
        check_axes(input, self.axes, "conv_transpose")
        _check_channels(self, input)
        check_same_dtype(input, weight, bias)
        smallest = _smallest_sizes(self, input.shape[1:-1])
        extra = self.output_padding
        if output_size is not None:
            extra = _extra_points(self, input.shape[1:-1], smallest, output_size)
        _check_sizes(input.shape[1:-1], [s + e for s, e in zip(smallest, extra, strict=True)])
        # What the window reaches beyond a point, less the padding that the forward one added.
        reach = [
            d * (k - 1) - p
            for d, k, p in zip(self.dilation, self.kernel_size, self.padding, strict=True)
        ]
        output = jax.lax.conv_general_dilated(
            input,
            _regrouped(weight, self.groups),
            (1,) * self.axes,
            [(r, r + e) for r, e in zip(reach, extra, strict=True)],
            lhs_dilation=self.stride,
            rhs_dilation=self.dilation,
            dimension_numbers=dimension_numbers(self.axes),
            feature_group_count=self.groups,
        )
        return add_bias(output, bias)


def _regrouped(weight: jax.Array, groups: int) -> jax.Array:
    """Return the kernel (*k, in / groups, out), turned round, of a weight (*k, out / groups, in).

    Each group's block is a matrix, and transposed by itself.
    """
    *window, outputs, inputs = weight.shape
    axes = len(window)
    weight = jnp.flip(weight, range(axes)).reshape(*window, outputs, groups, inputs // groups)
    weight = weight.transpose(*range(axes), axes + 2, axes + 1, axes)
    return weight.reshape(*window, inputs // groups, groups * outputs)


def _smallest_sizes(layer: TransposedConvolution, sizes: Sequence[int]) -> list[int]:
    """Return the spatial sizes of the output without ``output_padding``."""
    each = zip(sizes, layer.stride, layer.padding, layer.dilation, layer.kernel_size, strict=True)
    return [(n - 1) * s - 2 * p + d * (k - 1) + 1 for n, s, p, d, k in each]


def _spatial_sizes(output_size: Sequence[int], ndim: int, axes: int) -> list[int]:
    """Return the spatial ones of the output's sizes, with PyTorch's text."""
    if len(output_size) == ndim:
        output_size = output_size[:-1][-axes:]
    if len(output_size) != axes:
        raise ValueError(
            f"ConvTranspose{axes}D: for {ndim}D input, output_size must have {axes} or {ndim} "
            f"elements (got {len(output_size)})"
        )
    return [*output_size]


def _extra_points(
    layer: TransposedConvolution,
    sizes: Sequence[int],
    smallest: list[int],
    wanted: Sequence[int],
) -> tuple[int, ...]:
    """Return the output padding that gives the sizes wanted, with PyTorch's text."""
    largest = [size + stride - 1 for size, stride in zip(smallest, layer.stride, strict=True)]
    each = zip(smallest, wanted, largest, strict=True)
    if not all(low <= size <= high for low, size, high in each):
        raise ValueError(
            f"requested an output size of {[*wanted]}, but valid sizes range from {smallest} to "
            f"{largest} (for an input of {[*sizes]})"
        )
    return tuple(size - low for low, size in zip(smallest, wanted, strict=True))


def _check_padding(layer: TransposedConvolution) -> None:
    """Check paddings and dilation, with PyTorch's texts."""
    if min(layer.padding) < 0:
        raise ValueError("negative padding is not supported")
    if min(layer.output_padding) < 0:
        raise ValueError("negative output_padding is not supported")
    if min(layer.dilation) <= 0:
        shown = ", ".join(_labelled("dilation", layer.dilation))
        raise ValueError(f"dilation should be greater than zero, but got {shown}")
    largest = [max(s, d) for s, d in zip(layer.stride, layer.dilation, strict=True)]
    if any(o >= limit for o, limit in zip(layer.output_padding, largest, strict=True)):
        shown = (
            *_labelled("output_padding", layer.output_padding, 0),
            *_labelled("stride", layer.stride),
            *_labelled("dilation", layer.dilation),
        )
        raise ValueError(
            "output padding must be smaller than either stride or dilation, but got "
            + " ".join(shown)
        )


def _labelled(name: str, values: Sequence[int], fill: int = 1) -> list[str]:
    """Return ``name_height: 1`` and so on, as PyTorch's texts have it."""
    plane = as_plane(values, fill)
    axes = zip(_NAMES[-len(plane) :], plane, strict=True)
    return [f"{name}_{axis}: {value}" for axis, value in axes]


def _check_channels(layer: TransposedConvolution, input: jax.Array) -> None:
    """Check a batch's channels and that it has points, with PyTorch's texts."""
    if input.shape[-1] != layer.in_channels:
        raise ValueError(
            f"Given transposed=1, weight of size {list(layer.weight.shape)}, expected "
            f"input{list(input.shape)} to have {layer.in_channels} channels, "
            f"but got {input.shape[-1]} channels instead"
        )
    if 0 in input.shape[1:-1]:
        raise ValueError(
            "Only zero batch or zero channel inputs are supported, "
            f"but got input shape: {list(input.shape)}"
        )


def _check_sizes(sizes: Sequence[int], output: list[int]) -> None:
    """Raise unless there is an output, with PyTorch's text."""
    if min(output) < 1:
        before, after = (" x ".join(map(str, as_plane(s))) for s in (sizes, output))
        raise ValueError(
            f"Given input size per channel: ({before}). Calculated output size per channel: "
            f"({after}). Output size is too small"
        )
