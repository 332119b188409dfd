"""Shapes of convolutions and transposed ones, checked with PyTorch's texts."""

from __future__ import annotations

import jax

from jaxaccel._spatial import check_kernel_size, check_stride

_SPATIAL = "DHW"


def dimension_numbers(axes: int) -> tuple[str, str, str]:
    """Return the axes' names for ``lax``: channels last."""
    spatial = _SPATIAL[-axes:]
    return f"N{spatial}C", f"{spatial}IO", f"N{spatial}C"


def check_conv(
    name: str,
    axes: int,
    input: jax.Array,
    weight: jax.Array,
    stride: tuple[int, ...],
    groups: int,
) -> jax.Array:
    """Check what a convolution and a transposed one both take; return the input as a batch."""
    if groups <= 0:
        raise ValueError("non-positive groups is not supported")
    if weight.ndim != axes + 2:
        text = (
            f"Expected {weight.ndim}-dimensional input for {weight.ndim}-dimensional weight "
            f"{[*weight.shape]}, but got {input.ndim}-dimensional input of size {[*input.shape]} "
            "instead"
        )
        if weight.ndim < 3:
            text = "weight should have at least three dimensions"
        raise ValueError(
            f"{text}\n{name}() needs a weight of {axes + 2} axes, the window's {axes} first "
            f"(flax's layout), but got one of shape {weight.shape}"
        )
    check_kernel_size(weight.shape[:axes])
    check_stride(stride)
    if input.ndim not in (axes + 1, axes + 2):
        raise ValueError(
            f"Expected {axes + 1}D (unbatched) or {axes + 2}D (batched) input to {name}, "
            f"but got input of size: {list(input.shape)}"
        )
    return input[None] if input.ndim == axes + 1 else input


def check_points(input: jax.Array) -> None:
    """Raise unless every spatial axis of a batch has points."""
    if 0 in input.shape[1:-1]:
        raise ValueError(
            "Only zero batch or zero channel inputs are supported, "
            f"but got input shape: {list(input.shape)}"
        )


def check_bias(given: str, input: jax.Array, channels: int, bias: jax.Array | None) -> None:
    """Raise unless a bias has one number, like the input's, for each channel of the output."""
    if bias is not None and bias.dtype != input.dtype:
        raise TypeError(
            f"Input type ({input.dtype}) and bias type ({bias.dtype}) should be the same\n"
            f"Make the layer in it (dtype=jnp.{input.dtype}), or pass "
            f"input.astype(jnp.{bias.dtype})"
        )
    if bias is not None and bias.shape != (channels,):
        raise ValueError(
            f"Given {given}, expected bias to be 1-dimensional with {channels} elements, "
            f"but got bias of size {[*bias.shape]} instead"
        )


def wrong_channels(given: str, input: jax.Array, expected: int) -> ValueError:
    """Return the error of a batch with other channels than the weight is for."""
    shape = input.shape
    text = (
        f"Given {given}, expected input{[*shape]} to have {expected} channels, "
        f"but got {shape[-1]} channels instead"
    )
    if shape[1] == expected:
        axes = ", ".join(map(str, (0, *range(2, input.ndim), 1)))
        text += f"\nChannels are last here: got {shape}; pass x.transpose({axes})."
    return ValueError(text)
