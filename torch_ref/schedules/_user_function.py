"""Functions of the step that users bring."""

from __future__ import annotations

from typing import Any


def check_function(name: str, function: Any) -> None:
    """Raise unless ``function`` can be called, with PyTorch's text."""
    if not callable(function):
        raise TypeError(f"{name} should be a function, but got {type(function).__name__}")
