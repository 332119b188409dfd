"""The arithmetic of jaxaccel in PyTorch: the same files, functions and order, one tensor a time.

A bridge for the reader of both worlds. It is not the judge: that is ``torch.optim``, ``torch.nn``
and the rest of PyTorch itself.
"""

from importlib import import_module as _import_module
from typing import TYPE_CHECKING as _TYPE_CHECKING

if _TYPE_CHECKING:
    from torch_ref import (
        functional,
        init,
        models,
        optimizers,
        parallel,
        precision,
        schedules,
        transforms,
    )

__all__ = [
    *("optimizers", "schedules", "transforms", "init", "functional", "models", "precision"),
    "parallel",
]


def __getattr__(name: str):
    """Load a room when it is first asked for."""
    if name in __all__:
        return _import_module(f"{__name__}.{name}")
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted([*globals(), *__all__])
