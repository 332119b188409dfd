"""Kernel layouts: torch's (O, I, *k) and flax's (*k, I, O). Nothing else knows about them.

Who takes a layout checks it, once, where it is given; the functions below take it as checked.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, Literal, TypeAlias

from jaxaccel._functions import check_takes

Layout: TypeAlias = Literal["flax", "torch"]
"""Where a kernel keeps its axes: ``"flax"`` is (*k, I, O), ``"torch"`` is (O, I, *k)."""

Layouts: TypeAlias = str | Callable[[str], str]
"""One layout for every leaf, or a function from a leaf's path to its layout."""


def check_layout(layout: str) -> None:
    """Raise unless ``layout`` is ``"flax"`` or ``"torch"``."""
    if layout not in ("flax", "torch"):
        raise ValueError(f'layout must be "flax" or "torch", got {layout!r}')


def check_layouts(layout: Layouts) -> None:
    """Raise unless ``layout`` is a layout or a function."""
    if callable(layout):
        check_takes("layout", '(path) -> "flax" or "torch"', layout, "")
    else:
        check_layout(layout)


def layout_at(layout: Layouts, path: str) -> str:
    """Return the layout of the leaf at ``path``: the one for all, or what the function says.

    The one for all was checked where it was given; a function's answers are checked here.
    """
    if not callable(layout):
        return layout
    own = layout(path)
    check_layout(own)
    return own


def axis_from_torch(axis: int, ndim: int, layout: str) -> int:
    """Return where a kernel keeps the axis that PyTorch's (O, I, *k) has at ``axis``."""
    order = (ndim - 1, ndim - 2, *range(ndim - 2)) if layout == "flax" else range(ndim)
    return order[axis]


def axes_except(dim: int | None, ndim: int, layout: str) -> tuple[int, ...]:
    """Return the axes over which ``torch.norm_except_dim`` sums: all for None and -1."""
    if dim is None or dim == -1:
        return tuple(range(ndim))
    if not -ndim <= dim < ndim:
        raise IndexError(
            f"Dimension out of range (expected to be in range of [-{ndim}, {ndim - 1}], "
            f"but got {dim})"
        )
    kept = axis_from_torch(dim, ndim, layout) % ndim
    return tuple(axis for axis in range(ndim) if axis != kept)


def output_axis(layout: str) -> int:
    """Return the axis that counts the outputs: the last in flax, the first in torch."""
    return -1 if layout == "flax" else 0


def input_axis(layout: str) -> int:
    """Return the axis that counts the inputs (of one group): next to the output axis."""
    return -2 if layout == "flax" else 1


def fans(shape: tuple[int, ...], layout: str) -> tuple[int, int]:
    """Return (fan_in, fan_out) of a kernel, as ``torch.nn.init`` counts them."""
    if len(shape) < 2:
        raise ValueError(
            "Fan in and fan out can not be computed for tensor with fewer than 2 dimensions"
        )
    window = math.prod(shape[:-2] if layout == "flax" else shape[2:])
    return shape[input_axis(layout)] * window, shape[output_axis(layout)] * window


def to_torch(array: Any) -> Any:
    """Turn a kernel (*k, I, O) into (O, I, *k); vectors and scalars have no layout."""
    if array.ndim < 2:
        return array
    return array.transpose((array.ndim - 1, array.ndim - 2, *range(array.ndim - 2)))


def to_flax(array: Any) -> Any:
    """Turn a kernel (O, I, *k) into (*k, I, O); vectors and scalars have no layout."""
    if array.ndim < 2:
        return array
    return array.transpose((*range(2, array.ndim), 1, 0))


def shape_in_torch(shape: tuple[int, ...], layout: str) -> tuple[int, ...]:
    """Return the shape that a kernel of ``shape`` has in PyTorch."""
    if layout == "torch" or len(shape) < 2:
        return tuple(shape)
    return (shape[-1], shape[-2], *shape[:-2])


def from_torch(array: Any, layout: str) -> Any:
    """Turn a kernel (O, I, *k) into the layout asked for."""
    return to_flax(array) if layout == "flax" else array
