"""One of several augmentations, chosen at random."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from jaxaccel._checked import checked
from jaxaccel._types import Generator, Key, is_generator


@checked
def random_choice(
    key: Key | Generator,
    inputs: Any,
    transforms: Sequence[Callable[..., Any]],
    p: Sequence[float] | None = None,
) -> Any:
    """Apply one of several functions, chosen for the whole batch.

    Mixup or cutmix, as torchvision's reference trains:
    ``random_choice(key, (images, labels), [mixup, cutmix])``, both with their ``num_classes``.

    Args:
        key: A JAX key: the same key makes the same choice. Or a :class:`jaxaccel.random.Generator`,
            for PyTorch's own choice, drawn on the host.
        inputs: What the functions take after the key: an array, or a tuple of several arguments.
        transforms: Functions ``(key, *inputs)``; with a JAX key, their results are of equal shapes
            and dtypes.
        p: How likely each is, up to a factor; None for equal chances.

    Returns:
        What the chosen function returns.

    Raises:
        ValueError: There is no function, or ``p`` has another length or no positive sum.
        TypeError: The functions return unequal shapes or dtypes.

    PyTorch:
        ``torchvision.transforms.v2.RandomChoice``, with the inputs and the key first: the same
        choice with a generator, which the chosen function draws from next.

    Example:
        >>> import jax.numpy as jnp
        >>> import jaxaccel as ja
        >>> flips = [ja.data.random_horizontal_flip, ja.data.random_vertical_flip]
        >>> image = jnp.array([[[[1], [2]]]], jnp.uint8)
        >>> ja.data.random_choice(ja.random.manual_seed(0), image, flips).ravel().tolist()
        [1, 2]
    """
    if not transforms:
        raise ValueError("Pass at least one transform\nrandom_choice: transforms is empty")
    weights = np.ones(len(transforms)) if p is None else np.asarray(p, np.float64)
    if weights.shape != (len(transforms),):
        raise ValueError(
            f"Length of p doesn't match the number of transforms: {weights.size} != "
            f"{len(transforms)}\nrandom_choice: pass one number for each"
        )
    if not (np.all(weights >= 0) and 0 < weights.sum() < np.inf):
        raise ValueError(f"random_choice: p must be at least 0 with a sum above 0, got {p}")
    given = inputs if isinstance(inputs, tuple) else (inputs,)
    chances = (weights / weights.sum()).astype(np.float32)
    source: Any = key
    if is_generator(source):
        return transforms[int(source.multinomial(chances, 1)[0])](source, *given)
    of_choice, of_transform = jax.random.split(source)
    # float32 by name: the default float, and with it the draw, would change with x64.
    drawn = jax.random.uniform(of_choice, (), jnp.float32)
    ends = jnp.asarray(np.cumsum(chances)[:-1].astype(np.float32))
    return jax.lax.switch(jnp.sum(drawn >= ends), transforms, of_transform, *given)
