"""What a schedule is given: numbers, counts that must be known when it is built, and steps."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.core import Tracer

from jaxaccel._checks import check_lr, known_value


def known_number(name: str, value: Any) -> float:
    """Return ``value`` as a float, or raise when it is a schedule, traced or not a number."""
    known = known_value(name, value)
    if known is None:
        raise TypeError(f"{name} must be a number that is known now, got {value!r}")
    return known


def given_number(name: str, value: Any) -> Any:
    """Return ``value`` as a float, or where it is traced as a scalar of JAX's default float."""
    if not isinstance(value, Tracer):
        return known_number(name, value)
    dtype, kinds = value.dtype, (jnp.floating, jnp.integer)
    if value.size != 1 or not any(jnp.issubdtype(dtype, kind) for kind in kinds):
        raise TypeError(f"{name} must be one real number, got a traced {value.aval.str_short()}")
    return value.reshape(()).astype(float)


def is_known(value: Any) -> bool:
    """Return whether a number has its value now, so that it can be compared."""
    return not isinstance(value, Tracer)


def any_traced(*numbers: Any) -> bool:
    """Return whether one of the numbers is traced."""
    return not all(map(is_known, numbers))


def same_number(one: Any, other: Any) -> bool:
    """Return whether two numbers are known to be equal."""
    return one is other or (not any_traced(one, other) and one == other)


def plain(value: Any) -> Any:
    """Return a scalar of NumPy's or JAX's as Python's number, and anything else as it is.

    Where PyTorch asks for a Python number by its type, this comes before its check.
    """
    is_array = isinstance(value, (np.generic, np.ndarray, jax.Array))
    return value.item() if is_array and value.size == 1 and not isinstance(value, Tracer) else value


def known_lr(lr: Any) -> float:
    """Return a learning rate, at least 0, as a float."""
    check_lr(lr)
    return known_number("lr", lr)


def given_lr(lr: Any) -> Any:
    """Return a learning rate, at least 0 where it is known: see :func:`given_number`."""
    check_lr(lr)
    return given_number("lr", lr)


def known_count(name: str, value: Any, least: int) -> int:
    """Return ``value``, a whole number of at least ``least``, as an int."""
    known = known_number(name, value)
    if known >= 2**63:
        raise ValueError(f"{name} is too large, got {value!r:.80}")
    if not known.is_integer() or known < least:
        raise ValueError(f"{name} must be a whole number of at least {least}, got {value!r}")
    return int(known)


def known_total_steps(total_steps: Any) -> int | None:
    """Return the length of a table for traced steps as an int, or None when none is asked for."""
    return None if total_steps is None else known_count("total_steps", total_steps, least=0)


def known_steps(step: Any, fractional: bool = False) -> np.ndarray:
    """Return a Python or NumPy step, or an array of them, as int64 (as float64 if allowed)."""
    if isinstance(step, Tracer):
        raise TypeError(f"step must be known now, got {step!r}")
    steps = np.asarray(step)
    whole = np.issubdtype(steps.dtype, np.integer)
    if not whole and not (fractional and np.issubdtype(steps.dtype, np.floating)):
        raise TypeError(f"step must be an integer or an array of integers, got {step!r}")
    _check_range(steps, np.int64)
    return steps.astype(np.int64 if whole else np.float64)


def traced_steps(step: jax.Array, fractional: bool = False) -> jax.Array:
    """Return a JAX step, or an array of them, as JAX's default integer (or float if allowed)."""
    if fractional and jnp.issubdtype(step.dtype, jnp.floating):
        return step.astype(float)
    if not jnp.issubdtype(step.dtype, jnp.integer):
        raise TypeError(f"step must be an integer or an array of integers, got {step!r}")
    ours = jax.dtypes.canonicalize_dtype(int)
    if jnp.iinfo(step.dtype).max > jnp.iinfo(ours).max:
        if isinstance(step, Tracer):
            raise TypeError(
                f"step must be of a type whose values {ours} holds, got a traced {step.dtype}, "
                f"which would turn negative at {jnp.iinfo(ours).max + 1}; count in {ours}, or set "
                "jax_enable_x64"
            )
        _check_range(np.asarray(step), ours)
    return step.astype(int)


def fitting_steps(steps: np.ndarray) -> np.ndarray:
    """Return known steps that meet a traced number, and so JAX's default integer."""
    _check_range(steps, jax.dtypes.canonicalize_dtype(int))
    return steps


def _check_range(steps: np.ndarray, dtype: Any) -> None:
    """Raise for whole steps beyond what ``dtype`` holds."""
    if np.issubdtype(steps.dtype, np.integer) and (steps > jnp.iinfo(dtype).max).any():
        raise ValueError(
            f"step is too large for {np.dtype(dtype)}, got {steps.max()}, which it would turn "
            "negative"
        )
