"""Coin flips, and the mask of a dropout layer."""

from __future__ import annotations

from typing import Any

import numpy as np

from jaxaccel.random._dtypes import (
    COMPLEX,
    FLOATING,
    UNSIGNED,
    check_supported,
    names_but,
    scalar_type,
)
from jaxaccel.random._fill import Layout, layout_of
from jaxaccel.random._uniform import chunks, unit32, unit64


def bernoulli(
    generator: Any,
    shape: Any,
    p: Any = 0.5,
    dtype: Any = np.float32,
    memory_format: str = "contiguous",
    strides: Any = None,
) -> np.ndarray:
    """Draw ones with probability ``p``, and zeros.

    Args:
        shape: The shape, or the size of a vector.
        p: The probability, from 0 to 1: a number, or an array that expands to ``shape``. A number
            is compared with a double for every dtype, an array with numbers of its own precision.
        dtype: An integer, floating-point or boolean dtype of PyTorch.
        memory_format: The order of the tensor in PyTorch's memory, which is filled from its start:
            ``"contiguous"``, ``"channels_last"`` or ``"channels_last_3d"``.
        strides: The same for any other tensor: its strides in elements.

    Returns:
        A NumPy array of ``shape`` and ``dtype``.

    Raises:
        NotImplementedError: PyTorch does not draw ``dtype``, or ``p`` is an array of integers.
        RuntimeError: ``p`` is not in [0, 1]; JAX is tracing.
        ValueError: ``p`` does not expand to ``shape``.

    PyTorch:
        ``torch.Tensor.bernoulli_(p)``, and ``torch.bernoulli(p)`` with the shape and dtype of an
        array ``p``: the same bits.

    Example:
        >>> import jaxaccel as ja
        >>> ja.random.manual_seed(0).bernoulli((5,), 0.5, "int32")
        array([0, 0, 1, 0, 0], dtype=int32)
    """
    layout = layout_of(shape, memory_format, strides)
    scalar, names = scalar_type(dtype), names_but(*UNSIGNED, *COMPLEX)
    values = np.empty(layout.size, scalar.dtype)
    if isinstance(p, (int, float, np.floating)):
        p = float(p)
        if not 0.0 <= p <= 1.0:
            raise RuntimeError(f"bernoulli_ expects p to be in [0, 1], but got p={p:g}")
        check_supported(scalar, names, "bernoulli_scalar_cpu_")
        for part in chunks(values):
            part[...] = unit64(generator.words64(part.size)) < p
        return layout.place(values)
    check_supported(scalar, names, "bernoulli_tensor_cpu_self_")
    _fill_each(generator, values, _probabilities(p, layout))
    return layout.place(values)


def dropout_mask(
    generator: Any,
    shape: Any,
    p: float = 0.5,
    dtype: Any = np.float32,
    memory_format: str = "contiguous",
    strides: Any = None,
) -> np.ndarray:
    """Draw what a dropout layer multiplies its input with: 0, or 1 / (1 - p).

    Args:
        shape: The input's shape; ``(N, C, 1, 1)`` for a dropout of whole channels.
        p: The probability of a 0, from 0 to 1. With 0 or 1 nothing is drawn.
        dtype: The input's dtype, floating-point.
        memory_format: The order of the tensor in PyTorch's memory, which is filled from its start:
            ``"contiguous"``, ``"channels_last"`` or ``"channels_last_3d"``.
        strides: The same for any other tensor: its strides in elements.

    Returns:
        A NumPy array of ``shape`` and ``dtype``.

    Raises:
        ValueError: ``p`` is not in [0, 1].
        NotImplementedError: ``dtype`` is not floating-point.
        RuntimeError: JAX is tracing.

    PyTorch:
        ``torch.nn.functional.dropout`` on the CPU: the product with the input has the same bits.
        PyTorch's ``dropout1d`` to ``dropout3d`` draw one number a channel.

    Example:
        >>> import jaxaccel as ja
        >>> ja.random.manual_seed(0).dropout_mask((5,), 0.5)
        array([0., 0., 2., 0., 0.], dtype=float32)
    """
    layout, scalar = layout_of(shape, memory_format, strides), scalar_type(dtype)
    check_supported(scalar, FLOATING, "bernoulli_scalar_cpu_")
    if not 0.0 <= p <= 1.0:
        raise ValueError(f"dropout probability has to be between 0 and 1, but got {p}")
    if p in (0, 1):
        return layout.place(np.full(layout.size, 1 - p, scalar.dtype))
    mask = bernoulli(generator, shape, 1.0 - p, dtype, memory_format, strides)
    # The number kept is divided by in the precision that PyTorch computes in: float32 at least.
    wide = np.float64 if scalar.name == "Double" else np.float32
    mask *= (wide(1) / wide(1.0 - p)).astype(scalar.dtype)
    return mask


def _probabilities(p: Any, layout: Layout) -> np.ndarray:
    """Return an array of probabilities, one for each number, in the order of memory."""
    given = np.asarray(p)
    check_supported(scalar_type(given.dtype), FLOATING, "bernoulli_tensor_cpu_p_")
    if not ((given >= 0) & (given <= 1)).all():
        raise RuntimeError(
            "Expected p_in >= 0 && p_in <= 1 to be true, but got false: p must be in [0, 1]"
        )
    try:
        expanded = np.broadcast_to(given, layout.shape)
    except ValueError:
        raise ValueError(
            f"p must be expandable to the shape {layout.shape}, got shape {given.shape}"
        ) from None
    return expanded.transpose(layout.order).reshape(-1)


def _fill_each(generator: Any, values: np.ndarray, p: np.ndarray) -> None:
    for part, limit in zip(chunks(values), chunks(p), strict=True):
        if p.dtype == np.float64:
            part[...] = unit64(generator.words64(part.size)) < limit
        else:
            part[...] = unit32(generator.words32(part.size)) < limit.astype(np.float32)
