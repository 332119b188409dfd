"""PyTorch's training semantics as pure JAX functions.

``import jaxaccel as ja`` is enough: ``ja.optimizers.adamw``, ``ja.schedules.one_cycle_lr``,
``ja.nn.Linear``. Rooms are loaded on first use, and a wrong name is answered with the right one.
"""

from importlib import import_module as _import_module
from typing import TYPE_CHECKING

from jaxaccel._names import public as _public
from jaxaccel._names import unknown_name as _unknown_name

__version__ = "0.13.0"

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
    "aot",
    "memory",
    "data",
    "training",
    "tuning",
    "interop",
    "monitoring",
]

if TYPE_CHECKING:
    from jaxaccel import (
        aot,
        data,
        functional,
        init,
        interop,
        memory,
        models,
        monitoring,
        nn,
        optimizers,
        parallel,
        precision,
        random,
        schedules,
        training,
        transforms,
        tuning,
    )
else:  # a type checker would take any name for one that this answers

    def __getattr__(name: str):
        """Load a room when it is first asked for."""
        if name in __all__:
            return _import_module(f"{__name__}.{name}")
        raise _unknown_name(__name__, name)

    def __dir__() -> list[str]:
        return _public(globals())
