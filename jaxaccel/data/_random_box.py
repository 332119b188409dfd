"""Boxes of a random area and shape: ten tries, and the first that fits, as torchvision draws."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

TRIES = 10


def check_ranges(function: str, scale: Sequence[float], ratio: Sequence[float]) -> None:
    """Raise for bounds that no area and no shape is between."""
    for name, bounds in (("scale", scale), ("ratio", ratio)):
        if len(bounds) != 2 or not bounds[0] <= bounds[1]:
            raise ValueError(
                "Scale and ratio should be of kind (min, max)\n"
                f"{function}: {name} must be two numbers, the smaller one first, got {bounds}"
            )
    if not 0 <= scale[0] <= scale[1] <= 1:
        raise ValueError(
            f"Scale should be between 0 and 1\n{function}: scale must be a part of 1, got {scale}"
        )
    if not 0 < ratio[0] <= ratio[1] < math.inf:
        raise ValueError(f"{function}: ratio must be above 0 and finite, got {ratio}")


def drawn_sizes(
    key: jax.Array, count: int, area: int, scale: Sequence[float], ratio: Sequence[float]
) -> tuple[jax.Array, jax.Array]:
    """Return ``count`` times ten pairs of sides, int32: of a shape, and of its inverse."""
    of_area, of_shape = jax.random.split(key)
    # float32 by name: the default float, and with it the draw, would change with x64.
    tries = (count, TRIES)
    areas = jax.random.uniform(of_area, tries, jnp.float32, area * scale[0], area * scale[1])
    low, high = map(math.log, ratio)
    shapes = jnp.exp(jax.random.uniform(of_shape, tries, jnp.float32, low, high))
    along, across = jnp.sqrt(areas * shapes), jnp.sqrt(areas / shapes)
    return jnp.round(along).astype(jnp.int32), jnp.round(across).astype(jnp.int32)


def first_that_fits(fits: jax.Array, *sides: jax.Array) -> tuple[jax.Array, ...]:
    """Return whether any of ten tries fits, and the sides of the first."""
    first = jnp.argmax(fits, 1)[:, None]
    return jnp.any(fits, 1), *(jnp.take_along_axis(each, first, 1)[:, 0] for each in sides)


def drawn_size(
    generator: Any, area: int, scale: Sequence[float], ratio: Sequence[float]
) -> tuple[int, int]:
    """Return two sides, of a shape and of its inverse, from the words that torchvision takes."""
    wanted = area * float(generator.uniform((1,), float(scale[0]), float(scale[1]))[0])
    low, high = (_rounded(math.log(np.float32(each))) for each in ratio)
    shape = _rounded(math.exp(generator.uniform((1,), low, high)[0]))
    return round(math.sqrt(wanted * shape)), round(math.sqrt(wanted / shape))


def drawn_place(generator: Any, room: int) -> int:
    """Return where a box begins that leaves ``room`` pixels, as ``torch.randint`` draws it."""
    return int(generator.randint(0, room + 1, (1,))[0])


def _rounded(number: float) -> float:
    """Return a number as float32 holds it."""
    return float(np.float32(number))
