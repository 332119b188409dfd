"""An image classification set: what ``load`` returns."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple, TypeAlias

import jax
import numpy as np

from jaxaccel._tree import short_repr
from jaxaccel._types import Key

Augmentation: TypeAlias = Callable[[Key, Any], jax.Array]
"""A function ``(key, images) -> images`` on a uint8 batch, shape and dtype kept."""


class ImageSet(NamedTuple):
    """An image classification set in the host's memory, with what a recipe needs to know of it.

    Args:
        name: The name that ``load`` was given.
        train_images: uint8, shape ``(N, height, width, channels)``.
        train_labels: int32, shape ``(N,)``, values from 0 to ``len(classes) - 1``.
        test_images: uint8, shape ``(M, height, width, channels)``.
        test_labels: int32, shape ``(M,)``.
        classes: The name of each class.
        mean: The mean of each channel of the training images, scaled to [0, 1].
        std: The standard deviation of each channel (population, not sample), on the same scale.
        augmentations: The augmentations that keep the labels of this set true, for ``augment``.

    Returns:
        An immutable record of arrays and facts.

    PyTorch:
        A ``torchvision.datasets`` pair (``train=True``, ``train=False``) without the transforms:
        ``data``, ``targets`` and ``classes`` of both, and the constants that recipes hand to
        ``Normalize``.

    Example:
        >>> import jaxaccel as ja
        >>> digits = ja.data.load("mnist5k")
        >>> int(digits.train_labels.sum()), len(digits.classes)
        (18000, 10)
    """

    name: str
    train_images: np.ndarray
    train_labels: np.ndarray
    test_images: np.ndarray
    test_labels: np.ndarray
    classes: tuple[str, ...]
    mean: tuple[float, ...]
    std: tuple[float, ...]
    augmentations: tuple[Augmentation, ...]

    __repr__ = short_repr


class Split(NamedTuple):
    """What a file format gives: images and labels, still without a meaning."""

    train_images: np.ndarray
    train_labels: np.ndarray
    test_images: np.ndarray
    test_labels: np.ndarray


def channel_statistics(images: np.ndarray) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Return the mean and standard deviation of each channel of uint8 images over 255.

    From the counts of the 256 values, so exact but for the last rounding, at any size.
    """
    channels = images.shape[-1]
    counts = np.zeros((channels, 256), np.int64)
    for start in range(0, len(images), 1000):
        block = images[start : start + 1000]
        for channel in range(channels):
            counts[channel] += np.bincount(block[..., channel].ravel(), minlength=256)
    value = np.arange(256) / 255.0
    total = counts.sum(axis=1)
    mean = counts @ value / total
    deviation = value[None, :] - mean[:, None]
    std = np.sqrt((counts * deviation**2).sum(axis=1) / total)
    return tuple(mean.tolist()), tuple(std.tolist())
