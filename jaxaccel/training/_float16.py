"""A step that computes in float16 without a scaler."""

from __future__ import annotations

import warnings
from typing import Any

import jax
import jax.numpy as jnp
from jax.extend.core import jaxprs_in_params

from jaxaccel.precision import ScaledGradientsState

_ARITHMETIC = ("dot_general", "conv_general_dilated", "mul", "add", "add_any", "sub", "div")
"""What computes, and does not only move numbers that are float16 on their way to float32."""


def warn_of_float16(state: Any, program: Any) -> None:
    """Warn where a step computes in float16, and no scaler keeps small gradients from being 0."""

    def is_scaled(node: Any) -> bool:
        return isinstance(node, ScaledGradientsState)

    if _computes_in_float16(program.jaxpr) and not any(
        map(is_scaled, jax.tree.leaves(state.opt_state, is_leaf=is_scaled))
    ):
        warnings.warn(
            "the step computes in float16 without a scaler: gradients below 6e-8 are 0, and "
            "nothing says so; give train_state and train_step scaler=precision.grad_scaler(), or "
            "compute in bfloat16",
            stacklevel=6,
        )


def _computes_in_float16(program: Any) -> bool:
    """Return whether a traced program has arithmetic in float16."""
    return any(
        (
            equation.primitive.name in _ARITHMETIC
            and all(getattr(v.aval, "dtype", None) == jnp.float16 for v in equation.outvars)
        )
        or any(map(_computes_in_float16, jaxprs_in_params(equation.params)))
        for equation in program.eqns
    )
