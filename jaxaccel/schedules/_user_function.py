"""Functions of the step that users bring."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from jaxaccel._functions import check_takes, number_of
from jaxaccel._untraceable import schedules_are_traced


def call_at(name: str, function: Callable[[Any], Any], k: Any) -> Any:
    """Return the values of a user's function at the integers ``k``.

    Known integers are Python ints, as in PyTorch, and one at a time. Traced ones are JAX scalars.
    """

    def number(value: Any) -> Any:
        return number_of(name, value, "return")

    if not isinstance(k, jax.Array):
        # Most return Python's floats, of which nothing is to be asked: there may be a million.
        values = [
            value if type(value := function(step)) is float else float(number(value))
            for step in k.ravel().tolist()
        ]
        return np.array(values, dtype=np.float64).reshape(k.shape)
    # The user's own arithmetic mixes integers and floats.
    with schedules_are_traced(name), jax.numpy_dtype_promotion("standard"):
        call = lambda step: jnp.asarray(number(function(step))).astype(float)  # noqa: E731
        return call(k) if k.ndim == 0 else jax.vmap(call)(k.ravel()).reshape(k.shape)


def check_function(name: str, function: Any) -> None:
    """Raise unless ``function`` can be called, with PyTorch's text."""
    if not callable(function):
        raise TypeError(f"{name} should be a function, but got {type(function).__name__}")
    check_takes(name, "(step) -> number", function, 0)
