"""Padding."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import jax
import jax.numpy as jnp

from jaxaccel._checked import checked
from jaxaccel._operations import operation

_MODES = {"reflect": "reflect", "replicate": "edge", "circular": "wrap"}
"""PyTorch's names, and NumPy's."""


_NAMES = [f"{word}_pad{axes}d" for word in ("reflection", "replication") for axes in "123"]


def _name(arguments: Mapping[str, Any]) -> str | None:
    """Return PyTorch's name of the operation; what only adds constants is none of its lists."""
    word = {"reflect": "reflection", "replicate": "replication"}.get(arguments.get("mode", ""))
    return word and f"{word}_pad{len(arguments['pad']) // 2}d"


@checked
@operation(_name, names=_NAMES)
def pad(
    input: jax.Array,
    pad: Sequence[int],
    mode: str = "constant",
    value: float | bool | None = None,
    *,
    channel_axis: int | None = -1,
) -> jax.Array:
    """Add points at the ends of axes, or take them off.

    Pairs (before, after) are in PyTorch's order, the last axis first, and that is the axis before
    the channels: of an array (N, ..., C) of three or more axes the first pair is for the width, the
    second for the height, the third for the depth. To pad the channels, or an array without any
    (a batch of sequences of embeddings, say), count the array's own axes, from the last one on,
    with ``channel_axis=None``. Constants in an array of one or two axes are always so counted.

    Args:
        input: (N, ..., C). Without a batch axis only where other numbers than constants are added.
        pad: ``(left, right, top, bottom, front, back)``, as many pairs as there are axes to pad.
            Negative numbers take points off.
        mode: ``"constant"``, or what is repeated: ``"reflect"`` (the inside, mirrored at the
            outermost points), ``"replicate"`` (the outermost points), ``"circular"`` (the other
            end).
        value: The constant; None for 0.
        channel_axis: -1 for channels last; None, or 1 for PyTorch's layout, to count the array's
            own axes.

    Returns:
        The padded array, in the input's dtype.

    Raises:
        ValueError: an odd number of lengths, more pairs than axes, another ``mode`` or number of
            axes, a ``value`` without a constant, more points than there are to repeat, or a pair
            that could be meant for the channels.

    PyTorch:
        ``torch.nn.functional.pad``: the same, but for the channels, which come last here. PyTorch
        raises ``RuntimeError`` and ``NotImplementedError``.

    Example:
        >>> import jax.numpy as jnp
        >>> import jaxaccel as ja
        >>> image = jnp.array([[[[1.0], [2.0], [3.0]]]])  # one row of three pixels
        >>> ja.functional.pad(image, (1, 0, 0, 1))[0, :, :, 0].tolist()
        [[0.0, 1.0, 2.0, 3.0], [0.0, 0.0, 0.0, 0.0]]
        >>> ja.functional.pad(image, (2, 0, 0, 0), "reflect").ravel().tolist()
        [3.0, 2.0, 1.0, 2.0, 3.0]
    """
    if mode != "constant" and mode not in _MODES:
        raise ValueError(
            f"Unrecognised padding mode {mode}\n"
            f"It must be one of 'constant', {', '.join(map(repr, _MODES))}."
        )
    if channel_axis not in (-1, 1, None):
        raise ValueError(f"channel_axis must be -1, 1 or None, but got {channel_axis}")
    pairs = _pairs(input, pad)
    if mode == "constant":
        axes = _axes_of_constants(input, pairs, channel_axis)
    else:
        axes = _axes_of_repeats(input, pairs, channel_axis)
        if value not in (None, 0):
            raise ValueError(f'Padding mode "{mode}" doesn\'t take in value argument')
    _check_lengths(input, axes, pairs)
    config = [(0, 0)] * input.ndim
    for axis, pair in zip(axes, pairs, strict=True):
        config[axis] = pair
    if mode == "constant":
        fill = jnp.asarray(0 if value is None else value).astype(input.dtype)
        return jax.lax.pad(input, fill, [(*pair, 0) for pair in config])
    width = [(max(before, 0), max(after, 0)) for before, after in config]
    if mode == "replicate":  # the edge is the input's, also where that is taken off
        _check_repeats(mode, input, config)
        return _cropped(jnp.pad(input, width, _MODES[mode]), config)
    cropped = _cropped(input, config)
    _check_repeats(mode, cropped, config)
    return jnp.pad(cropped, width, _MODES[mode])


def _cropped(input: jax.Array, config: list[tuple[int, int]]) -> jax.Array:
    """Return the input without the points that negative numbers take off."""
    off = [(min(before, 0), min(after, 0), 0) for before, after in config]
    return jax.lax.pad(input, jnp.zeros((), input.dtype), off)


def _pairs(input: jax.Array, pad: Sequence[int]) -> list[tuple[int, int]]:
    """Return (before, after) for each axis that is padded, with PyTorch's texts."""
    if len(pad) % 2 != 0:
        raise ValueError("Padding length must be divisible by 2")
    if len(pad) > 2 * input.ndim:
        raise ValueError(
            "Padding length should be less than or equal to two times the input dimension but got "
            f"padding length {len(pad)} and input of dimension {input.ndim}"
        )
    return [(int(before), int(after)) for before, after in zip(pad[::2], pad[1::2], strict=True)]


def _axes_of_constants(
    input: jax.Array, pairs: list[tuple[int, int]], channel_axis: int | None
) -> list[int]:
    """Return the axis of each pair of constants."""
    if channel_axis != -1 or input.ndim < 3:
        return [input.ndim - 1 - i for i in range(len(pairs))]
    spatial = input.ndim - 2
    if any(pair != (0, 0) for pair in pairs[spatial:]):
        raise ValueError(
            f"a pair beyond the {spatial} spatial axes of an array (N, ..., C) of shape "
            f"{input.shape} could be meant for the channels, or for an array without a batch axis. "
            "For the channels, count the array's own axes, from the last one on: "
            "channel_axis=None. For an array without a batch axis: pad x[None]."
        )
    return [input.ndim - 2 - i for i in range(spatial)][: len(pairs)] + [0] * max(
        len(pairs) - spatial, 0
    )


def _axes_of_repeats(
    input: jax.Array, pairs: list[tuple[int, int]], channel_axis: int | None
) -> list[int]:
    """Return the axis of each pair of repeated points, with PyTorch's text."""
    count = len(pairs)
    if not 1 <= count <= 3 or input.ndim not in (count + 1, count + 2):
        raise ValueError(
            f"Padding size {2 * count} is not supported for {input.ndim}D input tensor.\n"
            "Supported combinations for non-constant padding:\n"
            "  - 2D or 3D input: padding size = 2 (pads last dimension)\n"
            "  - 3D or 4D input: padding size = 4 (pads last 2 dimensions)\n"
            "  - 4D or 5D input: padding size = 6 (pads last 3 dimensions)"
        )
    last = input.ndim - (2 if channel_axis == -1 else 1)
    return [last - i for i in range(count)]


def _check_lengths(input: jax.Array, axes: list[int], pairs: list[tuple[int, int]]) -> None:
    """Raise where more points are taken off than there are."""
    for axis, pair in zip(axes, pairs, strict=True):
        if input.shape[axis] + sum(pair) < 0 or -min(*pair, 0) > input.shape[axis]:
            raise ValueError(
                f"The input size {input.shape[axis]}, plus negative padding {pair[0]} and "
                f"{pair[1]} resulted in a negative output size, which is invalid. Check dimension "
                f"{axis} of your input."
            )


def _check_repeats(mode: str, input: jax.Array, config: list[tuple[int, int]]) -> None:
    """Raise where more points are wanted than there are to repeat, with PyTorch's texts."""
    for axis, (pair, size) in enumerate(zip(config, input.shape, strict=True)):
        remedy = f"\n{mode} padding {pair} is too large for an axis of {size} points."
        if mode == "circular" and max(pair) > size:
            raise ValueError(f"Padding value causes wrapping around more than once.{remedy}")
        if mode == "reflect" and max(pair) >= max(size, 1):
            raise ValueError(
                "Padding size should be less than the corresponding input dimension, but got: "
                f"padding {pair} at dimension {axis} of input {[*input.shape]}{remedy}"
            )
        if mode == "replicate" and max(pair) > 0 and size == 0:
            raise ValueError(f"Expected a tensor of non-zero dimensions to repeat.{remedy}")
