"""A factory that was handed on uncalled, in the place of the transformation that it makes."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NoReturn

import optax


def says_call_it(factory: Callable[..., Any]) -> None:
    """Let a factory of transformations say so where another library takes it for one.

    ``optax.chain(adamw)`` or an optimizer of flax looks for ``init`` and ``update`` and knows
    nothing else; it finds both, and either tells what was meant.
    """

    def uncalled(*args: Any, **kwargs: Any) -> NoReturn:
        raise TypeError(
            f"{factory.__name__} is a function that makes a transformation, got {factory.__name__} "
            f"itself in its place; call it first: {factory.__name__}(...)"
        )

    own: Any = factory
    own.init = own.update = uncalled


def is_transformation(value: Any) -> bool:
    """Return whether something is a transformation: optax's, or like one."""
    if isinstance(value, optax.GradientTransformation):
        return True
    # What is called has them to say that it was not, or, as nnx.Rngs, whatever it is asked for.
    is_other = callable(value) or is_plateau(value)
    return not is_other and hasattr(value, "init") and hasattr(value, "update")


def is_plateau(value: Any) -> bool:
    """Return whether something has a transformation and is none: ``reduce_lr_on_plateau(...)``."""
    return hasattr(type(value), "transformation")
