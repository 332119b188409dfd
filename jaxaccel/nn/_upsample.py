"""The layers that change the number of points by interpolation."""

from __future__ import annotations

from collections.abc import Sequence

import jax
from flax import nnx

from jaxaccel._checked import checked
from jaxaccel._spatial import check_interpolation
from jaxaccel.functional import interpolate


class Upsample(nnx.Module):
    """Make images, series or volumes larger or smaller (:func:`jaxaccel.functional.interpolate`).

    Channels last: (N, ..., C). One of ``size`` and ``scale_factor`` says how large. Every axis is
    interpolated by itself, with weights from double precision; sums are in float32 at least.

    Args:
        size: The output's spatial sizes, one number or one for each axis.
        scale_factor: The output's sizes over the input's (rounded down), one number or one for each
            axis. The points are taken at this scale, even where the rounding made the sizes differ.
        mode: ``"nearest"`` (the point at or below), ``"nearest-exact"``, ``"area"`` (the mean of
            an area), ``"linear"`` for (N, L, C), ``"bilinear"`` or ``"bicubic"`` for (N, H, W, C),
            ``"trilinear"`` for (N, D, H, W, C).
        align_corners: Whether the outermost points of input and output coincide, rather than the
            outermost edges of their pixels; None for False, and for the nearest modes.
        recompute_scale_factor: Whether to take the points at the ratio of the rounded sizes.

    Raises:
        ValueError: a bad argument; from a call, an input or output of another number of axes, or of
            no points.
        TypeError: ``size`` is not of integers; from a call, an input to interpolate that is not
            floating point.

    PyTorch:
        ``torch.nn.Upsample``: the same, channels last. Left out: the mode ``"lanczos"``. PyTorch
        raises ``NotImplementedError`` or
        ``RuntimeError`` in places, and when the layer is called. Two of its gradients are not those
        of its values, as they are here: ``"nearest"`` of doubles (positions in float32), and
        ``"bicubic"`` where the sizes stay though a factor moves the points.

    Example:
        >>> import jax.numpy as jnp
        >>> import jaxaccel as ja
        >>> layer = ja.nn.Upsample(scale_factor=2, mode="linear")
        >>> layer(jnp.array([[[1.0], [3.0]]])).ravel().tolist()
        [1.0, 1.5, 2.5, 3.0]
    """

    @checked
    def __init__(
        self,
        size: int | Sequence[int] | None = None,
        scale_factor: float | Sequence[float] | None = None,
        mode: str = "nearest",
        align_corners: bool | None = None,
        recompute_scale_factor: bool | None = None,
    ):
        check_interpolation(size, scale_factor, mode, align_corners, recompute_scale_factor)
        self.size = tuple(size) if isinstance(size, Sequence) else size
        self.scale_factor = (
            tuple(map(float, scale_factor))
            if isinstance(scale_factor, Sequence)
            else (float(scale_factor) if scale_factor else None)
        )
        self.mode = mode
        self.align_corners = align_corners
        self.recompute_scale_factor = recompute_scale_factor

    @checked
    def __call__(self, input: jax.Array) -> jax.Array:
        """Return the output, in the input's dtype."""
        how = (self.mode, self.align_corners, self.recompute_scale_factor)
        return interpolate(input, self.size, self.scale_factor, *how)


class UpsamplingNearest2d(Upsample):
    """Make images larger or smaller by the point at or below.

    Args:
        as :class:`Upsample`, of ``mode="nearest"``.

    Raises:
        as :class:`Upsample`.

    PyTorch:
        as :class:`Upsample`, of ``torch.nn.UpsamplingNearest2d``.

    Example:
        >>> import jax.numpy as jnp
        >>> import jaxaccel as ja
        >>> layer = ja.nn.UpsamplingNearest2d(scale_factor=2)
        >>> layer(jnp.array([[[[1.0], [3.0]]]])).ravel().tolist()
        [1.0, 1.0, 3.0, 3.0, 1.0, 1.0, 3.0, 3.0]
    """

    @checked
    def __init__(
        self,
        size: int | Sequence[int] | None = None,
        scale_factor: float | Sequence[float] | None = None,
    ):
        super().__init__(size, scale_factor, "nearest")


class UpsamplingBilinear2d(Upsample):
    """Make images larger or smaller by interpolation between their outermost points.

    Args:
        as :class:`Upsample`, of ``mode="bilinear"`` and ``align_corners=True``.

    Raises:
        as :class:`Upsample`.

    PyTorch:
        as :class:`Upsample`, of ``torch.nn.UpsamplingBilinear2d``.

    Example:
        >>> import jax.numpy as jnp
        >>> import jaxaccel as ja
        >>> layer = ja.nn.UpsamplingBilinear2d(size=(1, 3))
        >>> layer(jnp.array([[[[1.0], [3.0]]]])).ravel().tolist()
        [1.0, 2.0, 3.0]
    """

    @checked
    def __init__(
        self,
        size: int | Sequence[int] | None = None,
        scale_factor: float | Sequence[float] | None = None,
    ):
        super().__init__(size, scale_factor, "bilinear", True)
