"""Hyperparameter checks, with PyTorch's error texts.

Only numbers that are known now are checked: a schedule or a traced value passes.
"""

from __future__ import annotations

import numbers
import operator
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.core import Tracer

from jaxaccel._functions import as_float, check_takes
from jaxaccel._math import Complement, is_zero


def known_value(name: str, value: Any) -> float | None:
    """Return ``value`` as a float, or None when it is a schedule or traced.

    Raises:
        TypeError: ``value`` is neither a real number, a real scalar array nor callable.
        ValueError: ``value`` is an array with more than one element.
    """
    if isinstance(value, Complement):
        distance = known_value(name, value.one_minus)
        return None if distance is None else 1.0 - distance
    if isinstance(value, Tracer):
        return None
    if callable(value):
        check_takes(name, "(step) -> number", value, 0)
        return None
    if isinstance(value, (jax.Array, np.ndarray, np.generic)):
        if value.size != 1:
            raise ValueError(f"{name} as an array must be 1-element, got shape {value.shape}")
        if jnp.issubdtype(value.dtype, jnp.number) and not jnp.iscomplexobj(value):
            return float(value.reshape(()))
    elif isinstance(value, numbers.Real) and not isinstance(value, bool):
        return as_float(name, value)
    raise TypeError(
        f"{name} must be a number, a JAX scalar or a schedule (a function of the step), "
        f"got {value!r}"
    )


def check_non_negative(name: str, value: Any, text: str) -> None:
    """Raise ``ValueError(f"{text}: {value}")`` for a known value that is negative or NaN."""
    known = known_value(name, value)
    if known is not None and not known >= 0.0:
        raise ValueError(f"{text}: {value}")


def check_positive(name: str, value: Any, text: str) -> None:
    """Raise ``ValueError(f"{text}: {value}")`` for a known value that is not above 0."""
    known = known_value(name, value)
    if known is not None and not known > 0.0:
        raise ValueError(f"{text}: {value}")


def check_lr(lr: Any) -> None:
    """Check a learning rate: at least 0."""
    check_non_negative("lr", lr, "Invalid learning rate")


def check_weight_decay(weight_decay: Any) -> None:
    """Check a weight decay: at least 0."""
    check_non_negative("weight_decay", weight_decay, "Invalid weight_decay value")


def check_eps(eps: Any) -> None:
    """Check an epsilon: at least 0."""
    check_non_negative("eps", eps, "Invalid epsilon value")


def check_betas(betas: Any) -> None:
    """Check a pair of decay factors: each in [0, 1)."""
    if not isinstance(betas, (tuple, list)) or len(betas) != 2:
        raise TypeError(f"betas must be a pair (beta1, beta2), got {betas!r}")
    for index, beta in enumerate(betas):
        known = known_value(f"betas[{index}]", beta)
        if known is not None and not 0.0 <= known < 1.0:
            raise ValueError(f"Invalid beta parameter at index {index}: {beta}")


def check_std(std: float, error: type[Exception] = ValueError) -> None:
    """Check the standard deviation of a draw: at least 0."""
    if not std >= 0.0:
        raise error(f"normal expects std >= 0.0, but found std {std:g}")


def as_integer(value: Any) -> int | None:
    """Return an integer, NumPy's or that of an array of no axes too, as Python's; else None.

    A bool is not a number here, as in PyTorch, nor is an integer of more than 64 bits.
    """
    if isinstance(value, bool):
        return None
    try:
        found = operator.index(value)
    except (TypeError, AttributeError):  # a variable of nnx that holds nothing has no index
        return None
    return found if -(2**63) <= found < 2**64 else None


def check_positive_integer(name: str, value: Any) -> int:
    """Return a count as Python's integer, which is at least 1."""
    count = as_integer(value)
    if count is None:
        raise TypeError(f"{name} must be an integer, got {value!r}")
    if count < 1:
        raise ValueError(f"{name} must be at least 1, got {count}")
    return count


def check_params_given(params: Any, reader: str) -> None:
    """Raise when an update that reads the parameters was called without them."""
    if params is None:
        raise ValueError(
            f"update(updates, state, params) of {reader} needs the parameters, "
            "got params=None; pass the current ones as the third argument"
        )


def check_params_for_decay(weight_decay: Any, params: Any) -> None:
    """Raise when an update that decays the parameters was called without them."""
    if not is_zero(weight_decay):
        check_params_given(params, "an optimizer with weight_decay")
