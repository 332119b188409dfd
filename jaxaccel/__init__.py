"""PyTorch's training semantics as pure JAX functions.

``import jaxaccel as ja`` is enough: ``ja.optimizers.adamw``, ``ja.schedules.one_cycle_lr``,
``ja.nn.Linear``. Rooms that need more than jax, optax and numpy are loaded on first use.
"""

from importlib import import_module as _import_module
from typing import TYPE_CHECKING as _TYPE_CHECKING

if _TYPE_CHECKING:
    from jaxaccel import (
        data,
        functional,
        init,
        models,
        nn,
        optimizers,
        parallel,
        precision,
        random,
        schedules,
        training,
        transforms,
    )

__version__ = "0.1.0"

__all__ = [
    "optimizers",
    "schedules",
    "transforms",
    "init",
    "random",
    "functional",
    "nn",
    "models",
    "precision",
    "parallel",
    "data",
    "training",
]


def __getattr__(name: str):
    """Load a room when it is first asked for."""
    if name in __all__:
        return _import_module(f"{__name__}.{name}")
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted([*globals(), *__all__])
