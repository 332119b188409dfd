"""Normal draws."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from jaxaccel._checks import check_std
from jaxaccel.random._box_muller import block_normals32, block_normals64, pair_normals64
from jaxaccel.random._dtypes import FLOATING, PARTS, check_supported, rounded, scalar_type
from jaxaccel.random._fill import Layout, layout_of
from jaxaccel.random._fma import fma32, fma64

_BLOCK = 16
_TINY = 2.0**-80
"""With a larger factor no normal number becomes zero."""
_CHUNK = 1 << 15
"""Numbers at a time, whole blocks: they stay in the processor's cache."""


def randn(
    generator: Any,
    shape: Any,
    dtype: Any = np.float32,
    memory_format: str = "contiguous",
    strides: Any = None,
) -> np.ndarray:
    """Draw from the standard normal distribution.

    Args:
        shape: The shape, or the size of a vector.
        dtype: A floating-point or complex dtype of PyTorch.
        memory_format: The order of the tensor in PyTorch's memory: ``"contiguous"``,
            ``"channels_last"`` or ``"channels_last_3d"``.
        strides: The same for any other tensor: its strides in elements.

    Returns:
        A NumPy array of ``shape`` and ``dtype``.

    Raises:
        NotImplementedError: ``dtype`` is an integer.
        RuntimeError: JAX is tracing, or the memory format has another rank.

    PyTorch:
        ``torch.randn``: the same bits.

    Example:
        >>> import jaxaccel as ja
        >>> ja.random.manual_seed(0).randn((3,))
        array([ 1.5409961, -0.2934289, -2.1787894], dtype=float32)
    """
    return normal(generator, shape, 0.0, 1.0, dtype, memory_format, strides)


def normal(
    generator: Any,
    shape: Any,
    mean: Any = 0.0,
    std: Any = 1.0,
    dtype: Any = np.float32,
    memory_format: str = "contiguous",
    strides: Any = None,
) -> np.ndarray:
    r"""Draw from a normal distribution.

    Two uniform numbers make two normal ones (Box and Muller). From 16 contiguous numbers on they
    are computed in blocks of 16; fewer, or others, one pair after the other in double precision.
    The second of such a pair waits in the generator for the next draw of this kind.

    .. math::
        \text{mean} + \text{std} \, \sqrt{-2 \log u_1} \, \cos 2 \pi u_2,
        \qquad \text{mean} + \text{std} \, \sqrt{-2 \log u_1} \, \sin 2 \pi u_2

    Args:
        shape: The shape, or the size of a vector.
        mean: The mean: a number, or an array that broadcasts to ``shape``.
        std: The standard deviation, at least 0: a number, or an array that broadcasts to ``shape``.
        dtype: A floating-point or complex dtype of PyTorch. Half precision is computed in float32
            and rounded; a complex number has half of the variance in each of its parts.
        memory_format: The order of the tensor in PyTorch's memory: ``"contiguous"``,
            ``"channels_last"`` or ``"channels_last_3d"``.
        strides: The same for any other tensor: its strides in elements.

    Returns:
        A NumPy array of ``shape`` and ``dtype``.

    Raises:
        NotImplementedError: ``dtype`` is an integer, or complex with an array.
        RuntimeError: ``std`` is negative; JAX is tracing; the memory format has another rank.
        ValueError: An array does not broadcast to ``shape``, or has a memory format beside it.

    PyTorch:
        ``torch.Tensor.normal_`` and ``torch.nn.init.normal_``: the same bits. With an array those
        of ``torch.normal``, which rounds the product with ``std`` and the sum with ``mean``, each
        in ``dtype``; for other numbers it rounds once.

    Example:
        >>> import jaxaccel as ja
        >>> ja.random.manual_seed(0).normal((3,), 10.0, 0.5)
        array([10.770498,  9.853286,  8.910605], dtype=float32)

    References:
        Box and Muller. A note on the generation of random normal deviates. 1958.
    """
    layout, dtype = layout_of(shape, memory_format, strides), np.dtype(dtype)
    if np.ndim(mean) or np.ndim(std):
        return _each_its_own(generator, layout, np.asarray(mean), np.asarray(std), dtype)
    mean, std = float(mean), float(std)
    check_std(std, RuntimeError)
    if dtype.name in PARTS:
        std /= math.sqrt(2)
    return layout.place(draw_normal(generator, layout, mean, std, dtype))


def draw_normal(
    generator: Any, layout: Layout, mean: float, std: float, dtype: np.dtype
) -> np.ndarray:
    """Return the numbers of a layout in the order of its memory; ``std`` is that of a part."""
    scalar = scalar_type(PARTS.get(dtype.name, dtype))
    check_supported(scalar, FLOATING, "normal_kernel_cpu")
    size = layout.size * dtype.itemsize // scalar.dtype.itemsize
    if size >= _BLOCK and layout.is_contiguous:
        return _blocks(generator, size, mean, std, scalar.dtype).view(dtype)
    return rounded(_pairs(generator, size, mean, std), scalar.dtype).view(dtype)


def _blocks(generator: Any, size: int, mean: float, std: float, dtype: np.dtype) -> np.ndarray:
    """Draw blocks of 16; what is left of ``size`` draws the last 16 numbers again."""
    is_double = dtype == np.float64
    words, block = (generator.words64, _block64) if is_double else (generator.words32, _block32)
    values, left = np.empty(size, dtype), size % _BLOCK
    for start in range(0, size - left, _CHUNK):
        part = values[start : min(start + _CHUNK, size - left)]
        part[...] = rounded(block(words(part.size), mean, std), dtype)
    if left:
        if dtype.itemsize > 2:
            # Of these dtypes PyTorch fills the whole tensor with uniform numbers first.
            words(left)
        values[-_BLOCK:] = rounded(block(words(_BLOCK), mean, std), dtype)
    return values


def _block64(words: np.ndarray, mean: float, std: float) -> np.ndarray:
    return fma64(block_normals64(words), std, mean)


def _block32(words: np.ndarray, mean: float, std: float) -> np.ndarray:
    with np.errstate(over="ignore"):
        offset, scale = np.float32(mean), np.float32(std)
    normals = block_normals32(words)
    if offset != 0:
        return fma32(normals, float(scale), float(offset))
    # Without an offset one product is rounded; the sum only makes 0.0 of -0.0.
    with np.errstate(over="ignore"):
        if scale < _TINY:  # a product that rounds to -0.0 is not zero, and stays
            return (normals * np.float64(scale) + offset).astype(np.float32)
        if scale != 1:
            normals *= scale
        normals += offset
    return normals


def _pairs(generator: Any, size: int, mean: float, std: float) -> np.ndarray:
    """Draw one number after the other, in double; a second of a pair waits for the next draw."""
    if size == 0:
        return np.empty(0)
    waiting = [] if generator.next_normal is None else [generator.next_normal]
    fresh = size - len(waiting)
    normals = np.append(waiting, pair_normals64(generator.words64(fresh + fresh % 2)))
    generator.next_normal = float(normals[-1]) if fresh % 2 else None
    return fma64(normals[:size], std, mean)


def _each_its_own(
    generator: Any, layout: Layout, mean: np.ndarray, std: np.ndarray, dtype: np.dtype
) -> np.ndarray:
    """Draw as ``torch.normal`` does with tensors: the product and the sum are each rounded."""
    check_supported(scalar_type(dtype), FLOATING, "normal_kernel_cpu")
    if not layout.is_contiguous:
        raise ValueError("a draw with an array as mean or std is contiguous: leave its layout out")
    for name, given in (("mean", mean), ("std", std)):
        ends = zip(reversed(given.shape), reversed(layout.shape), strict=False)
        if given.ndim > len(layout.shape) or not all(size in (1, whole) for size, whole in ends):
            raise ValueError(
                f"{name} of shape {given.shape} does not broadcast to shape {layout.shape}"
            )
    if not std.ndim:
        check_std(float(std), RuntimeError)
    elif not (std >= 0.0).all():
        raise RuntimeError("normal expects all elements of std >= 0.0")
    drawn = draw_normal(generator, layout, 0.0, 1.0 if std.ndim else float(std), dtype)
    values = layout.place(drawn)
    if std.ndim:
        values = values * std.astype(dtype)
    return values + mean.astype(dtype)
