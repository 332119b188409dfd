"""The grid of an affine map."""

from __future__ import annotations

from collections.abc import Sequence

import jax
import jax.numpy as jnp
import numpy as np

from jaxaccel._checked import checked
from jaxaccel._math import compute_dtype


@checked
def affine_grid(
    theta: jax.Array, size: Sequence[int], align_corners: bool | None = None
) -> jax.Array:
    """Return the points that :func:`grid_sample` looks up for an affine map of images or volumes.

    Args:
        theta: (N, 2, 3) for images, (N, 3, 4) for volumes: the matrices of the maps, which take a
            point (x, y, 1) or (x, y, z, 1) of the output to one of the input.
        size: The output's shape, channels last: (N, H, W, C) or (N, D, H, W, C).
        align_corners: Whether -1 and 1 are the centers of the outermost points, rather than their
            outer edges; None for False.

    Returns:
        (N, H, W, 2) or (N, D, H, W, 3), in the dtype of ``theta``.

    Raises:
        ValueError: a ``size`` of another number of axes or without points, ``theta`` of another
            shape.
        TypeError: ``theta`` is not floating point.

    PyTorch:
        ``torch.nn.functional.affine_grid``: the same, but for the channels in ``size``, which are
        last. PyTorch raises ``NotImplementedError`` or ``RuntimeError`` in places, and warns where
        ``align_corners`` is not given.

    Example:
        >>> import jax.numpy as jnp
        >>> import jaxaccel as ja
        >>> flip = jnp.array([[[-1.0, 0.0, 0.0], [0.0, 1.0, 0.0]]])
        >>> ja.functional.affine_grid(flip, (1, 1, 2, 3)).tolist()
        [[[[0.5, 0.0], [-0.5, 0.0]]]]
    """
    if not jnp.issubdtype(theta.dtype, jnp.floating):
        raise TypeError(f"Expected theta to have floating point type, but got {theta.dtype}")
    axes = len(size) - 2
    if axes not in (2, 3):
        raise ValueError(
            "affine_grid only supports 4D and 5D sizes, for 2D and 3D affine transforms, "
            f"respectively. Got size {tuple(size)}."
        )
    if theta.shape != (size[0], axes, axes + 1):
        raise ValueError(
            f"Expected a batch of {axes}D affine matrices of shape Nx{axes}x{axes + 1} for size "
            f"{tuple(size)}. Got {theta.shape}."
        )
    if min(size) <= 0:
        raise ValueError(f"Expected non-zero, positive output size. Got {tuple(size)}")
    dtype = compute_dtype(theta.dtype)
    lines = [_line(length, bool(align_corners)).astype(dtype) for length in size[1:-1]]
    base = np.meshgrid(*lines, indexing="ij")[::-1]  # x first
    matrix = theta.astype(dtype).reshape(size[0], *(1,) * axes, axes, axes + 1)
    grid = jnp.broadcast_to(matrix[..., -1], (size[0], *size[1:-1], axes))
    for column, points in enumerate(base):
        grid = grid + matrix[..., column] * jnp.asarray(points)[None, ..., None]
    return grid.astype(theta.dtype)


def _line(length: int, aligned: bool) -> np.ndarray:
    """Return the points of an axis between -1 and 1."""
    if length == 1:
        return np.zeros(1)
    line = np.linspace(-1, 1, length)
    return line if aligned else line * ((length - 1) / length)
