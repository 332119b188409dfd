"""Channels in another order."""

from __future__ import annotations

import jax

from jaxaccel._checked import checked


@checked
def channel_shuffle(input: jax.Array, groups: int) -> jax.Array:
    """Let the groups of channels take turns, channels last.

    The first channel of each group, then the second of each, and so on.

    Args:
        input: (N, ..., C), of three axes or more.
        groups: How many groups of channels stand one after the other; C is a multiple of it.

    Returns:
        Shape and dtype of the input.

    Raises:
        ValueError: an input of fewer axes, ``groups`` that is not positive, or does not divide C.

    PyTorch:
        ``torch.nn.functional.channel_shuffle``: the same order of channels, which are last here.
        PyTorch raises ``RuntimeError``.

    Example:
        >>> import jax.numpy as jnp
        >>> import jaxaccel as ja
        >>> ja.functional.channel_shuffle(jnp.arange(6.0).reshape(1, 1, 6), 2).ravel().tolist()
        [0.0, 3.0, 1.0, 4.0, 2.0, 5.0]

    References:
        Zhang et al. ShuffleNet: An Extremely Efficient Convolutional Neural Network for Mobile
        Devices. 2017. https://arxiv.org/abs/1707.01083
    """
    if input.ndim < 3:
        raise ValueError(
            "channel_shuffle expects input with > 2 dims, but got input with sizes "
            f"{[*input.shape]}"
        )
    check_groups(groups)
    channels = input.shape[-1]
    if channels % groups != 0:
        raise ValueError(
            f"Number of channels must be divisible by groups. Got {channels} channels and "
            f"{groups} groups."
        )
    apart = input.reshape(*input.shape[:-1], groups, channels // groups)
    return apart.swapaxes(-1, -2).reshape(input.shape)


def check_groups(groups: int) -> None:
    """Raise PyTorch's text unless there is a group."""
    if groups <= 0:
        raise ValueError(
            f"Number of groups to divide channels in must be positive. Value of groups:{groups}"
        )
