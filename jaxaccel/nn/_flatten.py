"""From many axes to one and back, in PyTorch's order."""

from __future__ import annotations

import math
from collections.abc import Sequence

import jax
import jax.numpy as jnp
from flax import nnx

from jaxaccel._checked import checked, checked_after


class Flatten(nnx.Module):
    """Merge neighbouring axes into one, in the order that PyTorch's arrays have them.

    PyTorch's images are (N, C, H, W), and the weights of a linear layer behind ``Flatten`` expect
    their numbers channels first. So an array of three or more axes, (N, ..., C), is flattened as if
    its channels came second: weights go over unpermuted.

    Args:
        start_dim: The first axis to merge, counted as in PyTorch's (N, C, ...).
        end_dim: The last axis to merge, counted likewise.
        channel_axis: Where the input has its channels; None where it has none, or features as
            PyTorch has them (a sequence (N, L, E), say), and is flattened as it is. Channels that
            are not merged come back last (with ``channel_axis=1``, second).

    Raises:
        ValueError: ``start_dim`` comes after ``end_dim``; from a call, an axis that the input does
            not have.

    PyTorch:
        ``torch.nn.Flatten``: the same but for the channels, which come last here; axes are counted
        as PyTorch counts them. PyTorch raises ``RuntimeError`` and ``IndexError``, when the layer
        is called.

    Example:
        >>> import jax.numpy as jnp
        >>> import jaxaccel as ja
        >>> image = jnp.array([[[[1.0, 10.0], [2.0, 20.0]]]])  # one row of two pixels, two channels
        >>> ja.nn.Flatten()(image).tolist()
        [[1.0, 2.0, 10.0, 20.0]]
    """

    @checked_after
    def __init__(self, start_dim: int = 1, end_dim: int = -1, *, channel_axis: int | None = -1):
        if start_dim > end_dim and (start_dim < 0) == (end_dim < 0):
            raise ValueError("flatten() has invalid args: start_dim cannot come after end_dim")
        self.start_dim = start_dim
        self.end_dim = end_dim
        self.channel_axis = channel_axis

    @checked
    def __call__(self, input: jax.Array) -> jax.Array:
        """Return the input with its axes merged."""
        ndim = max(input.ndim, 1)  # a number counts as a vector, as in PyTorch
        start, end = _axis(self.start_dim, ndim), _axis(self.end_dim, ndim)
        if start > end:
            raise ValueError("flatten() has invalid args: start_dim cannot come after end_dim")
        if start == end and input.ndim > 0:
            return input
        last = _has_channels_last(input.ndim, self.channel_axis)
        if last:
            input = jnp.moveaxis(input, _of(self.channel_axis), 1)
        merged = input.reshape(
            *input.shape[:start], math.prod(input.shape[start : end + 1]), *input.shape[end + 1 :]
        )
        return jnp.moveaxis(merged, 1, -1) if last and start > 1 else merged


class Unflatten(nnx.Module):
    """Split an axis into several, in the order that PyTorch's arrays have them.

    The reverse of :class:`Flatten`: after ``Unflatten(1, (C, H, W))`` the channels come last.

    Args:
        dim: The axis to split, counted as in PyTorch's (N, C, ...).
        unflattened_size: The sizes of the new axes; one may be -1, and is what is left.
        channel_axis: Where an input of three or more axes has its channels, and, unless it is 1 or
            None, the sign that they come last in the output; None for arrays without channels.

    Raises:
        TypeError: ``unflattened_size`` is not a sequence of integers.
        ValueError: it is empty or has a second -1; from a call, sizes that do not fit the input.

    PyTorch:
        ``torch.nn.Unflatten``: the same but for the channels, which come last here. Left out:
        named tensors. PyTorch raises ``RuntimeError`` and ``IndexError``, when the layer is called.

    Example:
        >>> import jax.numpy as jnp
        >>> import jaxaccel as ja
        >>> ja.nn.Unflatten(1, (3, 4, 5))(jnp.ones((2, 60))).shape
        (2, 4, 5, 3)
    """

    @checked_after
    def __init__(self, dim: int, unflattened_size: Sequence[int], *, channel_axis: int | None = -1):
        if not isinstance(unflattened_size, (tuple, list)):
            raise TypeError(
                "unflattened_size must be a tuple of ints, "
                f"but found type {type(unflattened_size).__name__}"
            )
        for position, size in enumerate(unflattened_size):
            if not isinstance(size, int):
                raise TypeError(
                    "unflattened_size must be tuple of ints, but found element of type "
                    f"{type(size).__name__} at pos {position}"
                )
        if len(unflattened_size) == 0:
            raise ValueError("unflatten: sizes must be non-empty")
        if unflattened_size.count(-1) > 1:
            raise ValueError(
                "unflatten got an unexpected error:\nonly one dimension can be inferred"
            )
        self.dim = dim
        self.unflattened_size = tuple(unflattened_size)
        self.channel_axis = channel_axis

    @checked
    def __call__(self, input: jax.Array) -> jax.Array:
        """Return the input with its axis split."""
        dim = _axis(self.dim, input.ndim)
        if _has_channels_last(input.ndim, self.channel_axis):
            input = jnp.moveaxis(input, _of(self.channel_axis), 1)
        length, sizes = input.shape[dim], self.unflattened_size
        known = math.prod(size for size in sizes if size != -1)
        inferred = -1 in sizes and known > 0 and length % known == 0
        if min(sizes) < -1 or not (known == length or inferred):
            raise ValueError(
                f"unflatten: Provided sizes {list(sizes)} don't multiply up to the size of dim "
                f"{self.dim} ({length}) in the input tensor"
            )
        sizes = tuple(length // known if size == -1 else size for size in sizes)
        split = input.reshape(*input.shape[:dim], *sizes, *input.shape[dim + 1 :])
        if not _has_channels_last(split.ndim, self.channel_axis):
            return split
        return jnp.moveaxis(split, 1 if dim else len(sizes), -1)


def _axis(axis: int, ndim: int) -> int:
    """Return an axis counted from the front, with PyTorch's text."""
    if not -ndim <= axis < ndim:
        raise ValueError(
            f"Dimension out of range (expected to be in range of [{-ndim}, {ndim - 1}], "
            f"but got {axis})"
        )
    return axis % ndim


def _has_channels_last(ndim: int, channel_axis: int | None) -> bool:
    """Return whether an array's channels are somewhere else than PyTorch's, which are second."""
    return channel_axis is not None and ndim > 2 and _axis(channel_axis, ndim) != 1


def _of(channel_axis: int | None) -> int:
    """Return the axis of arrays that have channels."""
    assert channel_axis is not None
    return channel_axis
