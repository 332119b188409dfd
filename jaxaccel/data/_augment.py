"""Several augmentations, one after another."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from jaxaccel._checked import checked
from jaxaccel._types import Generator, Key, is_generator
from jaxaccel.data._image_set import Augmentation


@checked
def augment(
    key: Key | Generator, images: jax.Array | np.ndarray, augmentations: Sequence[Augmentation]
) -> Any:
    """Apply each augmentation in turn, with a key of its own.

    ``ImageSet.augmentations`` says which augmentations keep the labels of a set true: a mirrored
    shirt is a shirt, a mirrored 3 is not a 3. Any function ``(key, images) -> images`` will do:
    ``functools.partial(random_crop, padding=2)``.

    Args:
        key: A JAX key, new for every step: ``jax.random.fold_in(key, step)``. Or a
            :class:`jaxaccel.random.Generator`, which draws PyTorch's numbers on the host: each
            image goes through all augmentations before the next one does.
        images: Shape ``(N, height, width, channels)``, as a rule uint8 and not yet normalized.
        augmentations: Functions ``(key, images) -> images``, from first to last.

    Returns:
        What the last augmentation returns: as a rule an array of the shape and dtype of ``images``.

    PyTorch:
        ``torchvision.transforms.v2.Compose``, on a batch and on the device, with explicit
        keys. With a generator, the images of ``[compose(image) for image in images]`` after the
        same seed, as a data set without worker processes makes them.

    Example:
        >>> import jax
        >>> import jaxaccel as ja
        >>> digits = ja.data.load("mnist5k")
        >>> batch = digits.train_images[:8]
        >>> ja.data.augment(jax.random.key(0), batch, digits.augmentations).shape
        (8, 28, 28, 1)
    """
    if is_generator(key) and len(images) > 1:
        return jnp.concatenate(
            [_applied(key, images[n : n + 1], augmentations) for n in range(len(images))]
        )
    return _applied(key, images, augmentations)


def _applied(key: Any, images: Any, augmentations: Sequence[Augmentation]) -> Any:
    """Return a batch after all augmentations."""
    for index, augmentation in enumerate(augmentations):
        own = key if is_generator(key) else jax.random.fold_in(key, index)
        images = augmentation(own, images)
    return images
