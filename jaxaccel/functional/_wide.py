"""The precision that the formulas run in, and the axes that they run along."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

import jax
import jax.numpy as jnp

from jaxaccel._math import compute_dtype

_NAMES: Final = {
    "float64": "Double",
    "float32": "Float",
    "float16": "Half",
    "bfloat16": "BFloat16",
    "bool": "Bool",
}


def torch_name(array: jax.Array) -> str:
    """Return what PyTorch calls an array's dtype in its errors."""
    return _NAMES.get(str(array.dtype), str(array.dtype))


def in_wide(formula: Callable[[jax.Array], jax.Array], input: jax.Array) -> jax.Array:
    """Return ``formula(input)`` computed in float32 at least and rounded once, gradients too.

    In half precision the gradient starts from the input again, as in PyTorch: what is kept between
    the passes would otherwise be in float32, and larger than the activations themselves.
    """
    check_floating(input)
    wide = compute_dtype(input.dtype)
    if input.dtype == wide:
        return formula(input)
    return jax.checkpoint(lambda x: formula(x.astype(wide)).astype(x.dtype))(input)


def check_floating(input: jax.Array) -> None:
    """Raise for an input of integers, bools or complex numbers."""
    if not jnp.issubdtype(input.dtype, jnp.floating):
        raise TypeError(f"expected a floating point input, got dtype {input.dtype}")


def axis_of(dim: int, ndim: int) -> int:
    """Return an axis counted from the front; an array without axes has one, as in PyTorch."""
    ndim = max(ndim, 1)
    if not -ndim <= dim < ndim:
        raise IndexError(
            f"Dimension out of range (expected to be in range of [{-ndim}, {ndim - 1}], "
            f"but got {dim})"
        )
    return dim % ndim
