"""Functions that users bring: how they are called, and what they return."""

from __future__ import annotations

import inspect
import numbers
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.core import Tracer

_PACKAGE = __name__.partition(".")[0] + "."


def check_takes(name: str, form: str, function: Any, *args: Any, **kwargs: Any) -> None:
    """Raise for a function that cannot be called as it will be.

    Args:
        name: What the user gave it as.
        form: What it takes and returns, in short: ``(step) -> number``.
        function: The function.
        *args: As many arguments as it will be given; they are not looked at.
        **kwargs: The same, by name.

    Raises:
        TypeError: It takes others.
    """
    if takes(function, *args, **kwargs):
        return
    remedy = f"; call it first: {name_of(function)}(...)" if _is_of_this_library(function) else ""
    raise TypeError(
        f"{name} must be a function {form}, got {name_of(function)}, which takes "
        f"{taken_by(function)}{remedy}"
    )


def takes(function: Any, *args: Any, **kwargs: Any) -> bool:
    """Return whether a function can be called so; of a callable without a signature, yes."""
    if (signature := _signature(function)) is None:
        return True
    try:
        signature.bind(*args, **kwargs)
    except TypeError:
        return False
    return True


def taken_by(function: Any) -> str:
    """Return what a function takes, as it may be written."""
    signature = _signature(function)
    assert signature is not None
    parameters = signature.parameters.values()
    bare = [each.replace(annotation=inspect.Parameter.empty) for each in parameters]
    return str(signature.replace(parameters=bare, return_annotation=inspect.Signature.empty))


def number_of(name: str, value: Any, found: str = "") -> Any:
    """Return one real number: Python's and NumPy's as a float, JAX's as an array of no axes.

    Args:
        name: What stands for it in the error.
        value: What must be one.
        found: What is said to have returned it.

    Raises:
        TypeError: It is something else.
        ValueError: It is an integer that no float holds.
    """
    if hasattr(value, "__jax_array__") and not isinstance(value, jax.Array):
        value = value.__jax_array__()
    if isinstance(value, numbers.Real) and not isinstance(value, bool):
        return as_float(name, value)
    if _is_real_number(value):
        return jnp.reshape(value, ()) if isinstance(value, jax.Array) else float(value.item())
    given = value.aval.str_short() if isinstance(value, Tracer) else f"{value!r:.80}"
    remedy = "; what makes a function is called first" if callable(value) else ""
    raise TypeError(f"{name} must {found or 'be'} one real number, got {given}{remedy}")


def _is_real_number(value: Any) -> bool:
    """Return whether an array holds one real number."""
    is_one = isinstance(value, (jax.Array, np.ndarray, np.generic)) and value.size == 1
    return is_one and jnp.issubdtype(value.dtype, jnp.number) and not jnp.iscomplexobj(value)


def as_float(name: str, value: Any) -> float:
    """Return a real number as a float.

    Raises:
        ValueError: It is an integer that no float holds.
    """
    try:
        return float(value)
    except OverflowError:
        raise ValueError(f"{name} must be a number that a float holds, got {value!r:.80}") from None


def name_of(function: Any) -> str:
    """Return a function's name, or how it prints."""
    return getattr(function, "__name__", None) or f"{function!r:.80}"


def _signature(function: Any) -> inspect.Signature | None:
    """Return a function's signature, where it has one."""
    try:
        return inspect.signature(function)
    except (TypeError, ValueError):
        return None


def _is_of_this_library(function: Any) -> bool:
    """Return whether a function is one of ours, which make what is wanted and are not it."""
    return (getattr(function, "__module__", None) or "").startswith(_PACKAGE)
