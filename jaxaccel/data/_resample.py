"""What pixels of a box a resized picture is made of: one matrix an axis."""

from __future__ import annotations

import functools
from typing import Any

import jax
import jax.numpy as jnp
from jax.sharding import NamedSharding
from jax.sharding import PartitionSpec as P

from jaxaccel.data._image_batch import computed_in

MODES = ("nearest", "nearest-exact", "bilinear", "bicubic")


@functools.partial(jax.jit, static_argnames=("size", "interpolation", "antialias"))
def resized_boxes(
    images: jax.Array, boxes: jax.Array, size: tuple[int, int], interpolation: str, antialias: bool
) -> jax.Array:
    """Cut a box ``(top, left, height, width)`` out of each image and resize it.

    All boxes have the program's one shape: a matrix with zeros outside of the box, for rows and
    for columns, takes the place of a cut of unknown size.
    """
    dtype, where = images.dtype, jax.typeof(images).sharding
    if any(where.spec):  # known where a mesh has explicit axes: boxes go where their images are
        boxes = jax.sharding.reshard(boxes, NamedSharding(where.mesh, P(where.spec[0], None)))
    weights = functools.partial(
        _weights, interpolation=interpolation, antialias=antialias, dtype=computed_in(dtype)
    )
    rows, columns = (
        weights(boxes[:, axis], boxes[:, axis + 2], pixels, wanted)
        for axis, (pixels, wanted) in enumerate(zip(images.shape[1:3], size, strict=True))
    )
    images = _combined("nqw,nhwc->nhqc", columns, images, dtype)
    return _combined("nph,nhqc->npqc", rows, images, dtype)


def _combined(axes: str, weights: jax.Array, images: jax.Array, dtype: Any) -> jax.Array:
    """Return sums of weighted lines as pixels; of bytes with PyTorch's weights of 16 bits."""
    is_whole = jnp.issubdtype(dtype, jnp.integer)
    if is_whole:
        highest = jnp.max(weights, (1, 2), keepdims=True)
        # The most binary digits with which the greatest weight is below 2**15.
        digits = jnp.floor(jnp.log2((2.0**15 - 0.5) / highest)).astype(jnp.int32)
        digits = jnp.minimum(digits, 22)
        whole = jnp.floor(jnp.ldexp(jnp.abs(weights), digits) + 0.5)
        weights = jnp.sign(weights) * jnp.ldexp(whole, -digits)
    wide = weights.dtype
    exact = jax.lax.Precision.HIGHEST
    sums = jnp.einsum(axes, weights.astype(wide), images.astype(wide), precision=exact)
    if is_whole:
        info = jnp.iinfo(dtype)
        sums = jnp.clip(jnp.floor(sums + 0.5), info.min, info.max)
    return sums if axes.endswith("nhqc") and not is_whole else sums.astype(dtype)


def _weights(
    start: jax.Array,
    length: jax.Array,
    pixels: int,
    size: int,
    *,
    interpolation: str,
    antialias: bool,
    dtype: Any,
) -> jax.Array:
    """Return (N, size, pixels): the weight of each pixel of a line in each of the result's.

    A distance is a quotient of whole numbers, rounded once.
    """
    start, length = start[:, None, None], length[:, None, None]
    places = jnp.arange(pixels, dtype=jnp.int32)[None, None, :] - start
    new = jnp.arange(size, dtype=jnp.int32)[None, :, None]
    if interpolation.startswith("nearest"):
        shift = 0.5 if interpolation == "nearest-exact" else 0.0
        scale = length.astype(jnp.float32) / size
        nearest = jnp.floor((new.astype(jnp.float32) + shift) * scale).astype(jnp.int32)
        return (places == jnp.minimum(nearest, length - 1)).astype(dtype)
    centre = (2 * new + 1) * length
    if antialias:
        filter_ = _triangle if interpolation == "bilinear" else functools.partial(_cubic, a=-0.5)
        wide = 2 * jnp.maximum(length, size)  # a filter as wide as what a new pixel stands for
        distance = jnp.abs((2 * places + 1) * size - centre)
        weights = filter_(distance.astype(dtype) / wide.astype(dtype))
        weights = jnp.where((places >= 0) & (places < length), weights, 0.0)
        return weights / jnp.sum(weights, -1, keepdims=True)
    centre = centre - size
    if interpolation == "bilinear":
        centre, taps, filter_ = jnp.maximum(centre, 0), (0, 1), _triangle
    else:
        taps, filter_ = (-1, 0, 1, 2), functools.partial(_cubic, a=-0.75)
    first = centre // (2 * size)
    part = (centre - first * (2 * size)).astype(dtype) / (2 * size)
    weights = jnp.zeros(jnp.broadcast_shapes(places.shape, new.shape), dtype)
    for tap in taps:
        at = jnp.clip(first + tap, 0, length - 1)  # what is outside is the pixel at the edge
        weights = weights + jnp.where(places == at, filter_(jnp.abs(part - tap)), 0.0)
    return weights


def _triangle(distance: jax.Array) -> jax.Array:
    """Return what is left of 1 at a distance of 0 or more."""
    return jnp.maximum(1 - distance, 0.0)


def _cubic(distance: jax.Array, a: float) -> jax.Array:
    """Return Keys' cubic at a distance of 0 or more; it is 0 from 2 on."""
    near = ((a + 2) * distance - (a + 3)) * distance * distance + 1
    far = a * (((distance - 5) * distance + 8) * distance - 4)
    return jnp.where(distance < 1, near, jnp.where(distance < 2, far, 0.0))
