"""Windows of images as vectors, and images as the sum of them."""

from __future__ import annotations

from collections.abc import Sequence

import jax
import jax.numpy as jnp

from jaxaccel._checked import checked
from jaxaccel._math import compute_dtype
from jaxaccel._reversed_windows import block_windows
from jaxaccel._spatial import Window
from jaxaccel.functional._wide import check_floating


@checked
def unfold(
    input: jax.Array,
    kernel_size: int | Sequence[int],
    dilation: int | Sequence[int] = 1,
    padding: int | Sequence[int] = 0,
    stride: int | Sequence[int] = 1,
) -> jax.Array:
    """Return every window of images as a vector, channels last.

    Args:
        input: (N, H, W, C), or (H, W, C), floating point.
        kernel_size: Size of the window, one number or (height, width).
        dilation: Distance of the window's points, one number or (height, width).
        padding: Rows and columns of zeros on every side, one number or (height, width).
        stride: Step of the window, one number or (height, width).

    Returns:
        (N, L, C * height * width), or without N: L windows, row by row; in a vector the first
        channel's points stand first, as in PyTorch, so that its weights fit.

    Raises:
        ValueError: a bad argument, an input without three or four axes or too small.
        TypeError: ``input`` is not floating point.

    PyTorch:
        ``torch.nn.functional.unfold``, whose (N, C * height * width, L) has its last axes swapped
        here. PyTorch raises ``RuntimeError``.

    Example:
        >>> import jax.numpy as jnp
        >>> import jaxaccel as ja
        >>> ja.functional.unfold(jnp.arange(6.0).reshape(2, 3, 1), 2).tolist()
        [[0.0, 1.0, 3.0, 4.0], [1.0, 2.0, 4.0, 5.0]]
    """
    windows = block_windows(kernel_size, dilation, padding, stride)
    shape = input.shape
    if len(shape) not in (3, 4) or 0 in shape[-3:]:
        raise ValueError(
            "Expected 3D or 4D (batch mode) tensor with possibly 0 batch size and other non-zero "
            f"dimensions for input, but got: {[*shape]}"
        )
    check_floating(input)
    counts = _counts(shape[-3:-1], windows)
    if min(counts) < 1:
        raise ValueError(
            f"Given input with spatial size ({shape[-3]}, {shape[-2]}), {_shown(windows)}, "
            f"calculated shape of the array of sliding blocks as ({counts[0]}, {counts[1]}), "
            "but its components must be at least one."
        )
    batch = input[None] if len(shape) == 3 else input
    blocks = _blocks(batch, windows, counts)
    return blocks[0] if len(shape) == 3 else blocks


@checked
def fold(
    input: jax.Array,
    output_size: int | Sequence[int],
    kernel_size: int | Sequence[int],
    dilation: int | Sequence[int] = 1,
    padding: int | Sequence[int] = 0,
    stride: int | Sequence[int] = 1,
) -> jax.Array:
    """Add vectors up to the images whose windows they are, channels last.

    Where windows overlap their numbers are added, in float32 at least: this is the transpose of
    :func:`unfold`, and not its reverse.

    Args:
        input: (N, L, C * height * width), or without N, floating point, as :func:`unfold` has it.
        output_size: The images' size, one number or (height, width).
        kernel_size: Size of the window, one number or (height, width).
        dilation: Distance of the window's points, one number or (height, width).
        padding: Rows and columns that are left out on every side, one number or (height, width).
        stride: Step of the window, one number or (height, width).

    Returns:
        (N, H, W, C), or (H, W, C), in the input's dtype.

    Raises:
        ValueError: a bad argument, or an input of another number of axes, windows or points.
        TypeError: ``input`` is not floating point.

    PyTorch:
        ``torch.nn.functional.fold``, whose input (N, C * height * width, L) has its last axes
        swapped here. PyTorch raises ``RuntimeError``.

    Example:
        >>> import jax.numpy as jnp
        >>> import jaxaccel as ja
        >>> blocks = jnp.array([[0.0, 1.0, 3.0, 4.0], [1.0, 2.0, 4.0, 5.0]])
        >>> ja.functional.fold(blocks, (2, 3), 2)[..., 0].tolist()
        [[0.0, 2.0, 2.0], [3.0, 8.0, 5.0]]
    """
    size = (output_size,) * 2 if isinstance(output_size, int) else tuple(output_size)
    if len(size) != 2:
        raise ValueError(f"It is expected output_size equals to 2, but got size {len(size)}")
    windows = block_windows(kernel_size, dilation, padding, stride)
    counts = _counts(size, windows)
    channels = _channels(input, size, windows, counts)
    wide = compute_dtype(input.dtype)
    batch = (input[None] if input.ndim == 2 else input).astype(wide)
    like = jax.ShapeDtypeStruct((batch.shape[0], *size, channels), wide)
    (images,) = jax.linear_transpose(lambda x: _blocks(x, windows, counts), like)(batch)
    images = images.astype(input.dtype)
    return images[0] if input.ndim == 2 else images


def _channels(
    input: jax.Array, size: tuple[int, ...], windows: tuple[Window, ...], counts: tuple[int, ...]
) -> int:
    """Return the images' channels, or raise PyTorch's texts."""
    if input.ndim not in (2, 3) or 0 in input.shape[-2:]:
        raise ValueError(
            "Expected 2D or 3D (batch mode) tensor for input with possibly 0 batch size and "
            f"non-zero dimensions for input, but got: {[*input.shape]}"
        )
    check_floating(input)
    points, axis = windows[0].kernel * windows[1].kernel, input.ndim - 1
    swapped = "\nThe windows' points are last here: pass PyTorch's input with its last axes swapped"
    if input.shape[-1] % points != 0:
        raise ValueError(
            f"Expected size of input's dimension {axis} to be divisible by the product of "
            f"kernel_size, but got input.shape[{axis}]={input.shape[-1]} and "
            f"kernel_size={_each(windows, 'kernel')}.{swapped}"
        )
    expected = counts[0] * counts[1]
    if min(counts) < 1 or input.shape[-2] != expected:
        raise ValueError(
            f"Given output_size={size}, {_shown(windows)}, stride={_each(windows, 'stride')}, "
            f"expected size of input's dimension {axis - 1} to match the calculated number of "
            f"sliding blocks {counts[0]} * {counts[1]} = {expected}, but got "
            f"input.shape[{axis - 1}]={input.shape[-2]}.{swapped}"
        )
    return input.shape[-1] // points


def _counts(size: Sequence[int], windows: tuple[Window, ...]) -> tuple[int, ...]:
    """Return how many windows fit along each axis."""
    return tuple(
        (length + 2 * window.padding - window.reach) // window.stride + 1
        for length, window in zip(size, windows, strict=True)
    )


def _blocks(x: jax.Array, windows: tuple[Window, ...], counts: tuple[int, ...]) -> jax.Array:
    """Return the windows of (N, H, W, C) as vectors: one slice for each of a window's points."""
    pads = [(window.padding, window.padding, 0) for window in windows]
    x = jax.lax.pad(x, jnp.zeros((), x.dtype), [(0, 0, 0), *pads, (0, 0, 0)])
    starts, stops = zip(
        *(
            (range(0, window.reach, window.dilation), (count - 1) * window.stride + 1)
            for window, count in zip(windows, counts, strict=True)
        ),
        strict=True,
    )
    strides = (windows[0].stride, windows[1].stride)
    points = [
        x[:, top : top + stops[0] : strides[0], left : left + stops[1] : strides[1]]
        for top in starts[0]
        for left in starts[1]
    ]
    rows, _, _, channels = x.shape
    return jnp.stack(points, -1).reshape(rows, counts[0] * counts[1], channels * len(points))


def _each(windows: tuple[Window, ...], field: str) -> tuple[int, ...]:
    return tuple(getattr(window, field) for window in windows)


def _shown(windows: tuple[Window, ...]) -> str:
    """Return the windows' numbers as PyTorch's texts have them."""
    fields = (("kernel_size", "kernel"), ("dilation", "dilation"), ("padding", "padding"))
    return ", ".join(f"{name}={_each(windows, field)}" for name, field in fields)
