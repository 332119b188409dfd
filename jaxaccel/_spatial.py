"""Arguments about spatial axes: one number for each, checked with PyTorch's texts."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

from jaxaccel._checks import as_integer

_COUNTS = ("one int", "two ints", "three ints")
_AXES = ("T", "H", "W")
_NAMES = ("depth", "height", "width")

INTERPOLATION_AXES = {"linear": 1, "bilinear": 2, "trilinear": 3, "bicubic": 2}
"""How many spatial axes a mode of interpolation is for; the nearest ones are for any number."""


def integers(where: str, value: Any) -> tuple[int, ...]:
    """Return one integer or several, Python's or NumPy's, as a tuple of Python's."""
    several = isinstance(value, Iterable) and as_integer(value) is None
    numbers = [as_integer(number) for number in (value if several else (value,))]
    found = tuple(number for number in numbers if number is not None)
    if len(found) < len(numbers):
        raise TypeError(f"{where} must be an int or a tuple of ints, got {value!r}")
    return found


# --- pools --------------------------------------------------------------------------------------


class Window(NamedTuple):
    """A window that moves along one axis."""

    kernel: int
    stride: int
    padding: int
    dilation: int

    @property
    def reach(self) -> int:
        """From the first point to the last, both included."""
        return self.dilation * (self.kernel - 1) + 1


def pool_windows(
    name: str,
    axes: int,
    kernel_size: int | Sequence[int],
    stride: int | Sequence[int] | None,
    padding: int | Sequence[int],
    dilation: int | Sequence[int] = 1,
) -> tuple[Window, ...]:
    """Return the checked windows of a pool's axes."""
    arguments = {
        "kernel_size": kernel_size,
        # PyTorch's functions take no numbers for None.
        "stride": kernel_size if stride is None or stride == () else stride,
        "padding": padding,
        "dilation": dilation,
    }
    numbers = (each_of_pool(name, key, value, axes) for key, value in arguments.items())
    found = tuple(Window(*of_axis) for of_axis in zip(*numbers, strict=True))
    if name == "max_pool1d":
        _check_max_pool1d(*found)
    else:
        _check_windows(found)
    return found


def each_of_pool(name: str, key: str, value: int | Sequence[int], axes: int) -> tuple[int, ...]:
    """Return one number for each axis."""
    numbers = integers(f"{name}: {key}", value)
    if len(numbers) not in (1, axes):
        either = "either be omitted," if key == "stride" else "either be"
        raise ValueError(
            f"{name}: {key} must {either} a single int, or a tuple of {_COUNTS[axes - 1]}"
        )
    return numbers if len(numbers) == axes else numbers * axes


def _check_windows(windows: tuple[Window, ...]) -> None:
    """Raise for numbers that make no window."""
    # PyTorch averages over one axis as over the two of an image one pixel high, and says so.
    shown = (Window(1, 1, 0, 1), *windows) if len(windows) == 1 else windows

    def listed(prefix: str, numbers: Iterable[int]) -> str:
        return " ".join(
            f"{prefix}{axis}: {number}"
            for axis, number in zip(_AXES[-len(shown) :], numbers, strict=True)
        )

    kernels, strides, _, dilations = zip(*shown, strict=True)
    if 0 in strides:
        raise ValueError("stride should not be zero")
    if min(kernels) <= 0:
        raise ValueError(f"kernel size should be greater than zero, but got {listed('k', kernels)}")
    if min(strides) <= 0:
        raise ValueError(f"stride should be greater than zero, but got {listed('d', strides)}")
    if min(dilations) <= 0:
        raise ValueError(
            f"dilation should be greater than zero, but got {listed('dilation', dilations)}"
        )
    for window in windows:
        if window.padding < 0:
            raise ValueError(f"pad must be non-negative, but got pad: {window.padding}")
        if 2 * window.padding > window.reach:
            raise ValueError(
                "pad should be at most half of effective kernel size, but got "
                f"pad={window.padding}, kernel_size={window.kernel} and dilation={window.dilation}"
            )


def _check_max_pool1d(window: Window) -> None:
    """Raise for numbers that make no window; here a dilation does not make room for padding."""
    for key, number in (
        ("kernel_size", window.kernel),
        ("stride", window.stride),
        ("dilation", window.dilation),
    ):
        if number <= 0:
            raise ValueError(f"max_pool1d() {key} must be greater than zero, but got {number}")
    if window.padding < 0:
        raise ValueError(f"max_pool1d() padding must be non-negative, but got {window.padding}")
    if 2 * window.padding > window.kernel:
        raise ValueError(
            "max_pool1d() padding should be at most half of kernel size, but got "
            f"padding={window.padding} and kernel_size={window.kernel}"
        )


def pool_output_size(
    name: str, axes: int, output_size: int | Sequence[int | None] | None
) -> tuple[int | None, ...]:
    """Return an adaptive pool's checked size along each axis, None for the input's own."""
    sizes = tuple(output_size) if isinstance(output_size, Sequence) else (output_size,) * axes
    if len(sizes) != axes:
        text = f"{name}: output_size must be {axes}"
        if axes == 1:
            text = f"{name}() argument 'output_size' should contain one int (got {len(sizes)})"
        either = "" if axes == 1 else ", or one for all"
        raise ValueError(f"{text}\nGive {_COUNTS[axes - 1]}{either}, got {output_size}")
    found = tuple(None if size is None else as_integer(size) for size in sizes)
    if any((size is None) != (number is None) for size, number in zip(sizes, found, strict=True)):
        raise TypeError(f"{name}: output_size must be made of ints and None, got {output_size}")
    if any(size is not None and size < 0 for size in found):
        raise ValueError(
            f"{name}: elements of output_size must be greater than or equal to 0 "
            f"but received {{{', '.join(map(str, found))}}}"
        )
    return found


# --- convolutions -------------------------------------------------------------------------------


def conv_axes(name: str, value: int | Sequence[int], axes: int) -> tuple[int, ...]:
    """Return one number for each spatial axis: one may stand for all, as in PyTorch."""
    numbers = integers(name, value)
    if len(numbers) == 1 and (name != "kernel_size" or not isinstance(value, Sequence)):
        return numbers * axes
    if len(numbers) != axes:
        raise ValueError(
            f"expected {name} to be a single integer value or a list of {axes} values to match the "
            f"convolution dimensions, but got {name}={[*numbers]}"
        )
    return numbers


def as_plane(sizes: Sequence[int], fill: int = 1) -> tuple[int, ...]:
    """Return sizes as PyTorch's texts have them: a line is a plane, one point high."""
    return (fill, *sizes) if len(sizes) == 1 else tuple(sizes)


def check_kernel_size(kernel_size: tuple[int, ...]) -> None:
    """Raise for a window of no points."""
    if 0 not in kernel_size:
        return
    sizes = as_plane(kernel_size)
    shown = " x ".join(map(str, sizes)) + " (TxHxW)"
    if len(sizes) == 2:
        shown = f"kernel_height: {sizes[0]} kernel_width: {sizes[1]}"
    colon = ":" if len(sizes) == 3 else ""
    raise ValueError(f"kernel size should be greater than zero, but got{colon} {shown}")


def check_stride(stride: tuple[int, ...]) -> None:
    """Raise unless every step is positive."""
    if min(stride) <= 0:
        raise ValueError("non-positive stride is not supported")


def check_conv_padding(padding: tuple[int, ...] | str, stride: tuple[int, ...]) -> None:
    """Check a convolution's padding."""
    if not isinstance(padding, str):
        if min(padding) < 0:
            raise ValueError("negative padding is not supported")
    elif padding not in ("same", "valid"):
        raise ValueError(
            f"Invalid padding string {padding!r}, should be one of {{'same', 'valid'}}"
        )
    elif padding == "same" and max(stride) != 1:
        raise ValueError("padding='same' is not supported for strided convolutions")


def check_conv_dilation(dilation: tuple[int, ...]) -> None:
    """Check a convolution's dilation."""
    if min(dilation) <= 0:
        raise ValueError(f"dilation should be greater than zero, but got {[*as_plane(dilation)]}")


def check_conv_transpose(
    stride: tuple[int, ...],
    padding: tuple[int, ...],
    output_padding: tuple[int, ...],
    dilation: tuple[int, ...],
) -> None:
    """Check the paddings and the dilation of a transposed convolution."""
    if min(padding) < 0:
        raise ValueError("negative padding is not supported")
    if min(output_padding) < 0:
        raise ValueError("negative output_padding is not supported")
    if min(dilation) <= 0:
        shown = ", ".join(_labelled("dilation", dilation))
        raise ValueError(f"dilation should be greater than zero, but got {shown}")
    largest = [max(s, d) for s, d in zip(stride, dilation, strict=True)]
    if any(o >= limit for o, limit in zip(output_padding, largest, strict=True)):
        shown = (
            *_labelled("output_padding", output_padding, 0),
            *_labelled("stride", stride),
            *_labelled("dilation", dilation),
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


# --- interpolation ------------------------------------------------------------------------------


def check_interpolation(
    size: int | Sequence[int] | None,
    scale_factor: float | Sequence[float] | None,
    mode: str,
    align_corners: bool | None,
    recompute_scale_factor: bool | None,
) -> None:
    """Check what an interpolation is asked for."""
    if mode not in (*INTERPOLATION_AXES, "nearest", "nearest-exact", "area"):
        raise ValueError(
            "mode must be one of 'nearest', 'nearest-exact', 'area', 'linear', 'bilinear', "
            f"'bicubic', 'trilinear', got {mode!r}"
        )
    if mode not in INTERPOLATION_AXES and align_corners is not None:
        raise ValueError(
            "align_corners option can only be set with the "
            "interpolating modes: linear | bilinear | bicubic | trilinear"
        )
    if size is not None and scale_factor:
        raise ValueError("only one of size or scale_factor should be defined")
    if size is None and not scale_factor:
        raise ValueError("either size or scale_factor should be defined")
    if recompute_scale_factor and size is not None:
        raise ValueError("recompute_scale_factor is not meaningful with an explicit size.")
    sizes = () if size is None else (size if isinstance(size, Sequence) else (size,))
    if any(as_integer(number) is None for number in sizes):
        raise TypeError(f"expected size to be an int or a tuple of ints, got {size}")


def channels_last_remedy(shape: tuple[int, ...], axis: int, expected: int) -> str:
    """Return what to do where channels stand after the batch, as in PyTorch; "" elsewhere."""
    if len(shape) < 3 or axis % len(shape) != len(shape) - 1 or shape[1] != expected:
        return ""
    axes = ", ".join(map(str, (0, *range(2, len(shape)), 1)))
    return f"\nChannels are last here: got {tuple(shape)}; pass x.transpose({axes})."
