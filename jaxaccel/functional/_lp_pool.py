"""Pooling by p-norms."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import jax
import jax.numpy as jnp

from jaxaccel._checked import checked
from jaxaccel._math import compute_dtype
from jaxaccel._spatial import pool_windows
from jaxaccel.functional._avg_pool import avg_pool1d, avg_pool2d, avg_pool3d
from jaxaccel.functional._max_pool import max_pool1d, max_pool2d, max_pool3d
from jaxaccel.functional._relu import relu
from jaxaccel.functional._wide import check_floating


@checked
def lp_pool2d(
    input: jax.Array,
    norm_type: float,
    kernel_size: int | Sequence[int],
    stride: int | Sequence[int] | None = None,
    ceil_mode: bool = False,
) -> jax.Array:
    r"""Return the p-norm of each window, channels last. Sums are in float32 at least.

    .. math::
        y = \left(\sum_{x \in \text{window}} x^p\right)^{1/p}

    The powers keep their signs: for an odd p it is no norm, for a fraction a negative number has
    none (NaN). Where the sum is 0 the gradient is NaN for p above 1.

    Args:
        input: (N, H, W, C), or (H, W, C), floating point.
        norm_type: p; infinity for the largest magnitude, minus infinity for the smallest.
        kernel_size: Size of the window, one number or (height, width).
        stride: Step of the window, one number or (height, width); None for ``kernel_size``.
        ceil_mode: Whether a window may hang over the end.

    Returns:
        (N, H', W', C), or (H', W', C), in the input's dtype.

    Raises:
        ValueError: a bad argument, an input without three or four axes or too small.
        TypeError: ``input`` is not floating point.
        ZeroDivisionError: ``norm_type`` is 0.

    PyTorch:
        ``torch.nn.functional.lp_pool2d``: the same values and gradients, channels last. PyTorch
        raises ``RuntimeError``.

    Example:
        >>> import jax.numpy as jnp
        >>> import jaxaccel as ja
        >>> x = jnp.array([[[[3.0], [4.0]]]])
        >>> ja.functional.lp_pool2d(x, 2, (1, 2)).ravel().tolist()
        [5.0]
    """
    window = (kernel_size, stride)
    return _lp_pool("lp_pool2d", avg_pool2d, max_pool2d, 2, input, norm_type, window, ceil_mode)


@checked
def lp_pool1d(
    input: jax.Array,
    norm_type: float,
    kernel_size: int,
    stride: int | Sequence[int] | None = None,
    ceil_mode: bool = False,
) -> jax.Array:
    """Return the p-norm of each window of series, channels last.

    Args:
        as :func:`lp_pool2d`, for an input (N, L, C) or (L, C).

    Returns:
        (N, L', C), or (L', C), in the input's dtype.

    Raises:
        as :func:`lp_pool2d`, of an input without two or three axes.

    PyTorch:
        as :func:`lp_pool2d`, of ``torch.nn.functional.lp_pool1d``.

    Example:
        >>> import jax.numpy as jnp
        >>> import jaxaccel as ja
        >>> ja.functional.lp_pool1d(jnp.array([[3.0], [4.0]]), 2, 2).ravel().tolist()
        [5.0]
    """
    window = (kernel_size, stride)
    return _lp_pool("lp_pool1d", avg_pool1d, max_pool1d, 1, input, norm_type, window, ceil_mode)


@checked
def lp_pool3d(
    input: jax.Array,
    norm_type: float,
    kernel_size: int | Sequence[int],
    stride: int | Sequence[int] | None = None,
    ceil_mode: bool = False,
) -> jax.Array:
    """Return the p-norm of each window of volumes, channels last.

    Args:
        as :func:`lp_pool2d`, for an input (N, D, H, W, C) or (D, H, W, C): three numbers, or one.

    Returns:
        (N, D', H', W', C), or (D', H', W', C), in the input's dtype.

    Raises:
        as :func:`lp_pool2d`, of an input without four or five axes.

    PyTorch:
        as :func:`lp_pool2d`, of ``torch.nn.functional.lp_pool3d``.

    Example:
        >>> import jax.numpy as jnp
        >>> import jaxaccel as ja
        >>> x = jnp.array([3.0, 4.0]).reshape(1, 1, 2, 1)
        >>> ja.functional.lp_pool3d(x, 2, (1, 1, 2)).ravel().tolist()
        [5.0]
    """
    window = (kernel_size, stride)
    return _lp_pool("lp_pool3d", avg_pool3d, max_pool3d, 3, input, norm_type, window, ceil_mode)


def _lp_pool(
    name: str,
    avg_pool: Callable[..., jax.Array],
    max_pool: Callable[..., jax.Array],
    axes: int,
    input: jax.Array,
    norm_type: float,
    window: tuple[int | Sequence[int], int | Sequence[int] | None],
    ceil_mode: bool,
) -> jax.Array:
    """Return the norms, as the mean of powers."""
    check_floating(input)
    windows = pool_windows(name, axes, *window, 0)
    if norm_type == math.inf:
        return max_pool(jnp.abs(input), *window, ceil_mode=ceil_mode)
    if norm_type == -math.inf:
        return -max_pool(-jnp.abs(input), *window, ceil_mode=ceil_mode)
    root = 1.0 / norm_type  # which raises for 0, as in PyTorch
    wide = input.astype(compute_dtype(input.dtype))
    mean = avg_pool(wide**norm_type, *window, 0, ceil_mode)
    count = math.prod(each.kernel for each in windows)
    norm = (jnp.sign(mean) * relu(jnp.abs(mean)) * count) ** root
    return norm.astype(input.dtype)
