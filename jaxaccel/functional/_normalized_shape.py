"""The ``normalized_shape`` of layer and RMS normalization."""

from __future__ import annotations

from collections.abc import Sequence

import jax


def checked_shape(
    function: str,
    input: jax.Array,
    normalized_shape: Sequence[int],
    **parameters: jax.Array | None,
) -> tuple[int, ...]:
    """Return the shape as a tuple; PyTorch's texts unless the input ends with it."""
    if not isinstance(normalized_shape, Sequence):
        raise TypeError(
            f"{function}(): argument 'normalized_shape' (position 2) must be tuple of ints, "
            f"not {type(normalized_shape).__name__}"
        )
    shape = tuple(normalized_shape)
    if not shape:
        raise ValueError(
            "Expected normalized_shape to be at least 1-dimensional, i.e., containing at least "
            "one element, but got normalized_shape = []"
        )
    for name, value in parameters.items():
        if value is not None and value.shape != shape:
            raise ValueError(
                f"Expected {name} to be of same shape as normalized_shape, but got {name} of "
                f"shape {list(value.shape)} and normalized_shape = {list(shape)}"
            )
    if input.shape[-len(shape) :] != shape:
        wanted = ", ".join(["*", *map(str, shape)])
        raise ValueError(
            f"Given normalized_shape={list(shape)}, expected input with shape [{wanted}], "
            f"but got input of size{list(input.shape)}"
        )
    return shape


def over_lead(value: jax.Array, x: jax.Array) -> jax.Array:
    """Return a parameter of the last axes so that it multiplies ``x`` in its dtype."""
    return jax.lax.expand_dims(value.astype(x.dtype), range(x.ndim - value.ndim))
