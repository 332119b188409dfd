"""Random crop: each image moves by its own offset, and something comes in at the edges."""

from __future__ import annotations

import functools
from collections.abc import Sequence
from typing import Any, Literal

import jax
import jax.numpy as jnp
import numpy as np

from jaxaccel._checked import checked
from jaxaccel._types import Generator, Key, is_generator
from jaxaccel.data._image_batch import check_images, colours, height_and_width
from jaxaccel.data._random_box import drawn_place

_MODES = ("constant", "edge", "reflect", "symmetric")


@checked
def random_crop(
    key: Key | Generator,
    images: jax.Array | np.ndarray,
    padding: int | Sequence[int] = 4,
    fill: float | Sequence[float] = 0.0,
    padding_mode: Literal["constant", "edge", "reflect", "symmetric"] = "constant",
    *,
    size: int | Sequence[int] | None = None,
) -> jax.Array:
    """Pad each image and cut a random window out of it, of the old size unless ``size`` is given.

    A pure function on the raw bytes, for the inside of a compiled step, before ``normalize``:
    what comes in at the edges is black, not the mean. Each image has its own offset. On a
    batch that is sharded over devices each device crops its own images, and the result does not
    depend on the number of devices; inside ``shard_map`` every device needs its own key.

    Args:
        key: A JAX key: the same key gives the same windows, whatever the images. Or a
            :class:`jaxaccel.random.Generator`, for PyTorch's own windows, drawn on the host.
        images: Shape ``(N, height, width, channels)``, any dtype.
        padding: Pixels that are added, at least 0: on each side; left and right, top and bottom;
            or left, top, right, bottom.
        fill: What a constant padding consists of: a number, or one for each channel.
        padding_mode: ``"constant"``; ``"edge"``, the last pixel again and again; ``"reflect"``, the
            picture in a mirror on its last pixel; or ``"symmetric"``, in one behind it.
        size: The window's height and width; None for those of the image.

    Returns:
        An array of the dtype of ``images``, and of their shape but for ``size``.

    Raises:
        ValueError: ``images`` does not have four axes, ``padding`` is negative or more than there
            is to mirror, or the window is larger than the padded image.
        TypeError: ``padding`` is not an integer.

    PyTorch:
        ``torchvision.transforms.v2.RandomCrop(size, padding)``: the same windows with the same
        probabilities (each offset uniform from 0 to what is left, both ends included). With a
        generator they are those that it draws, called for one image after another, after the same
        seed. Left out: ``pad_if_needed``. ``padding`` is 4 unless it is given, as in the recipes
        for CIFAR.

    Example:
        >>> import jax
        >>> import jax.numpy as jnp
        >>> import jaxaccel as ja
        >>> image = jnp.arange(1, 10, dtype=jnp.uint8).reshape(1, 3, 3, 1)
        >>> ja.data.random_crop(jax.random.key(0), image, padding=1)[0, :, :, 0].tolist()
        [[0, 1, 2], [0, 4, 5], [0, 7, 8]]
        >>> mirrored = ja.data.random_crop(jax.random.key(0), image, 1, padding_mode="reflect")
        >>> mirrored[0, :, :, 0].tolist()
        [[2, 1, 2], [5, 4, 5], [8, 7, 8]]

    References:
        He, Zhang, Ren, Sun, "Deep residual learning for image recognition", 2016, section 4.2.
    """
    check_images("random_crop", images)
    if padding_mode not in _MODES:
        raise ValueError(
            f"Padding mode should be either constant, edge, reflect or symmetric\n"
            f"random_crop: padding_mode must be one of {_MODES}, got {padding_mode!r}"
        )
    height, width = images.shape[1:3]
    left, top, right, bottom = _sides(padding)
    if padding_mode in ("reflect", "symmetric"):
        _check_mirrored(padding_mode, ((height, top, bottom), (width, left, right)))
    window = (height, width) if size is None else height_and_width("random_crop", size)
    padded = (height + top + bottom, width + left + right)
    room = (padded[0] - window[0], padded[1] - window[1])
    if min(room) < 0:
        word = "padded " if any((left, top, right, bottom)) else ""
        raise ValueError(
            f"Required crop size {window} is larger than {word}input image size {padded}.\n"
            "Give a smaller size or more padding"
        )
    colour = colours("random_crop", "fill", fill, images)
    offsets = _offsets(key, len(images), room)
    return _crop(images, offsets, (top, left), window, padding_mode, colour)


def _offsets(key: Any, count: int, room: tuple[int, int]) -> Any:
    """Return where each image's window begins, int32 of shape (N, 2)."""
    if is_generator(key):
        drawn = [[drawn_place(key, each) if each else 0 for each in room] for _ in range(count)]
        return np.array(drawn, np.int32).reshape(count, 2)
    # int32 by name: the default integer, and with it the draw, would change with x64.
    ends = jnp.array([[room[0] + 1, room[1] + 1]], jnp.int32)
    return jax.random.randint(key, (count, 2), 0, ends, jnp.int32)


def _sides(padding: int | Sequence[int]) -> tuple[int, int, int, int]:
    """Return the padding as left, top, right and bottom."""
    sides = (padding,) if isinstance(padding, int) else tuple(padding)
    if len(sides) not in (1, 2, 4):
        raise ValueError(
            f"Padding must be an int or a 1, 2, or 4 element of tuple or list, got {padding}.\n"
            "random_crop: padding is for all sides, for left/right and top/bottom, or for each"
        )
    if min(sides) < 0:
        raise ValueError(f"random_crop: padding must be at least 0, got {padding}")
    left, top, right, bottom = (sides * 4)[:4]
    return left, top, right, bottom


def _check_mirrored(mode: str, axes: tuple[tuple[int, int, int], ...]) -> None:
    """Raise where more would be mirrored than there is."""
    for length, *sides in axes:
        if max(sides) > length - (mode == "reflect"):
            raise ValueError(
                "Padding size should be less than the corresponding input dimension\n"
                f"random_crop: {mode!r} mirrors up to {length - (mode == 'reflect')} of {length} "
                f"pixels, got padding={max(sides)}"
            )


@functools.partial(jax.jit, static_argnames=("before", "window", "mode"))
def _crop(
    images: jax.Array,
    offsets: jax.Array,
    before: tuple[int, int],
    window: tuple[int, int],
    mode: str,
    colour: jax.Array,
) -> jax.Array:
    """Cut the window that starts at ``offsets[n] = (top, left)`` out of padded image n.

    The padded image does not exist: its pixels are looked up.
    """
    is_inside: Any = True
    for axis, (added, length) in enumerate(zip(before, window, strict=True)):
        pixels = images.shape[axis + 1]
        at = offsets[:, axis, None] - added + jnp.arange(length, dtype=jnp.int32)[None, :]
        shape = (len(images), length, 1, 1) if axis == 0 else (len(images), 1, length, 1)
        inside = ((at >= 0) & (at < pixels)).reshape(shape)
        is_inside = is_inside & inside
        source = _source(at, pixels, mode).reshape(shape)
        images = jnp.take_along_axis(images, source, axis=axis + 1)
    return jnp.where(is_inside, images, colour) if mode == "constant" else images


def _source(at: jax.Array, pixels: int, mode: str) -> jax.Array:
    """Return which of an image's lines stands at a place, which may be outside of it."""
    if mode == "reflect":
        at = jnp.where(at < 0, -at, jnp.where(at >= pixels, 2 * (pixels - 1) - at, at))
    elif mode == "symmetric":
        at = jnp.where(at < 0, -1 - at, jnp.where(at >= pixels, 2 * pixels - 1 - at, at))
    return jnp.clip(at, 0, pixels - 1)
