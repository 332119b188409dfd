"""The windows of what undoes pools and takes images apart, checked with PyTorch's texts."""

from __future__ import annotations

from collections.abc import Sequence

from jaxaccel._spatial import Window, each_of_pool, integers


def unpool_windows(
    name: str,
    axes: int,
    kernel_size: int | Sequence[int],
    stride: int | Sequence[int] | None,
    padding: int | Sequence[int],
) -> tuple[Window, ...]:
    """Return the windows of the pool that is undone; PyTorch asks its numbers for their signs."""
    arguments = {
        "kernel_size": kernel_size,
        "stride": kernel_size if stride is None or stride == () else stride,
        "padding": padding,
    }
    numbers = (each_of_pool(name, key, value, axes) for key, value in arguments.items())
    found = tuple(Window(k, s, p, 1) for k, s, p in zip(*numbers, strict=True))
    strides = [window.stride for window in found]
    if axes == 3 and min(strides) <= 0:
        raise ValueError(f"strides should be greater than zero, but got stride: {strides}")
    return found


def block_windows(
    kernel_size: int | Sequence[int],
    dilation: int | Sequence[int],
    padding: int | Sequence[int],
    stride: int | Sequence[int],
) -> tuple[Window, ...]:
    """Return the checked windows of ``unfold`` and ``fold``, over two axes."""
    arguments = {
        "kernel_size": kernel_size,
        "stride": stride,
        "padding": padding,
        "dilation": dilation,
    }
    found = {name: integers(name, value) for name, value in arguments.items()}
    for name, numbers in found.items():
        if len(numbers) not in (1, 2):
            raise ValueError(f"It is expected {name} equals to 2, but got size {len(numbers)}")
        found[name] = numbers if len(numbers) == 2 else numbers * 2
    for name, least, words in (
        ("kernel_size", 1, ("kernel size should be greater than zero", "kernel")),
        ("dilation", 1, ("dilation should be greater than zero", "dilation")),
        ("padding", 0, ("padding should be non-negative", "pad")),
        ("stride", 1, ("stride should be greater than zero", "stride")),
    ):
        height, width = found[name]
        if min(height, width) < least:
            shown = f"{words[1]}_height: {height} {words[1]}_width: {width}"
            raise ValueError(f"{words[0]}, but got {shown}")
    return tuple(Window(*of_axis) for of_axis in zip(*found.values(), strict=True))
