"""A value with another's derivative."""

from __future__ import annotations

from typing import Any

import jax


@jax.custom_jvp
def with_gradient_of(carrier: jax.Array, value: jax.Array) -> jax.Array:
    """Return ``value`` with the derivative of ``carrier``, in both modes of differentiation."""
    return value


@with_gradient_of.defjvp
def _jvp(primals: Any, tangents: Any) -> Any:
    """Return the value and the carrier's tangent."""
    return primals[1], tangents[0]
