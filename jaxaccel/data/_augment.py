"""Several augmentations, one after another."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import jax
import numpy as np

from jaxaccel._checked import checked
from jaxaccel._types import Key
from jaxaccel.data._image_set import Augmentation


@checked
def augment(key: Key, images: jax.Array | np.ndarray, augmentations: Sequence[Augmentation]) -> Any:
    """Apply each augmentation in turn, with a key of its own.

    ``ImageSet.augmentations`` says which augmentations keep the labels of a set true: a mirrored
    shirt is a shirt, a mirrored 3 is not a 3. Any function ``(key, images) -> images`` will do:
    ``functools.partial(random_crop, padding=2)``.

    Args:
        key: A JAX key, new for every step: ``jax.random.fold_in(key, step)``.
        images: uint8, shape ``(N, height, width, channels)``, not yet normalized.
        augmentations: Functions ``(key, images) -> images``, from first to last.

    Returns:
        An array of the shape and dtype of ``images``.

    PyTorch:
        ``torchvision.transforms.Compose``, on a batch and on the device, with explicit
        keys.

    Example:
        >>> import jax
        >>> import jaxaccel as ja
        >>> digits = ja.data.load("mnist5k")
        >>> batch = digits.train_images[:8]
        >>> ja.data.augment(jax.random.key(0), batch, digits.augmentations).shape
        (8, 28, 28, 1)
    """
    for index, augmentation in enumerate(augmentations):
        images = augmentation(jax.random.fold_in(key, index), images)
    return images
