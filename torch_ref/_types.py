"""The types that the mirror speaks."""

from collections.abc import Callable
from typing import Any, NamedTuple


class GradientTransformation(NamedTuple):
    """A pair of pure functions, optax's shape."""

    init: Callable[[Any], Any]
    """``init(params) -> state``"""
    update: Callable[..., tuple[Any, Any]]
    """``update(updates, state, params) -> (updates, state)``"""
