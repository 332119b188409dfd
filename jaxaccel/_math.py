"""Formulas on arrays that more than one algorithm needs, in the form that keeps float32 honest."""

from __future__ import annotations

import functools
import math
import numbers
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax.core import Tracer
from jax.sharding import AxisType, NamedSharding, PartitionSpec, auto_axes

from jaxaccel._functions import name_of, number_of
from jaxaccel._untraceable import schedules_are_traced


class Complement(NamedTuple):
    """A decay factor held as its distance from 1, which an array keeps with all its digits.

    A float32 ``0.999`` has lost four of the seven digits of ``1 - 0.999``.
    """

    one_minus: Any
    """``1 - beta``, formed in double."""

    __array_ufunc__ = None  # NumPy's numbers leave the arithmetic to it

    def __jax_array__(self) -> jax.Array:
        return jnp.asarray(1 - self.one_minus)

    def __rsub__(self, one: Any) -> Any:
        """Return ``one - beta``, which for 1 is what is held."""
        return self.one_minus if isinstance(one, int) and one == 1 else one - self.__jax_array__()

    def __mul__(self, other: Any) -> Any:
        return self.__jax_array__() * other

    __rmul__ = __mul__

    def __pow__(self, exponent: Any) -> Any:
        return self.__jax_array__() ** exponent


def one_minus(beta: Any) -> Any:
    """Return ``1 - beta`` in beta's own precision: double for a Python number."""
    return beta.one_minus if isinstance(beta, Complement) else 1 - beta


def value_at(hyperparameter: Any, step: Any, name: str = "a hyperparameter") -> Any:
    """Return a hyperparameter's value, a scalar: a schedule read at ``step``, or what was given.

    Numbers and NumPy arrays become Python floats, because JAX gives the latter a dtype of their
    own. A :class:`Complement` stays one.
    """
    if isinstance(hyperparameter, Complement):
        return Complement(value_at(hyperparameter.one_minus, step, name))
    if not callable(hyperparameter):
        return number_of(name, hyperparameter)
    given = f"{name}={name_of(hyperparameter)}"
    with schedules_are_traced(given):
        found = hyperparameter(step)
    return number_of(given, found, "return")


def values_at(step: Any, **hyperparameters: Any) -> dict[str, Any]:
    """Return the values of hyperparameters, each a scalar: see :func:`value_at`."""
    return {name: value_at(each, step, name) for name, each in hyperparameters.items()}


def is_zero(hyperparameter: Any) -> bool:
    """Return whether a hyperparameter is the plain number 0, so that its term can be left out."""
    return isinstance(hyperparameter, numbers.Real) and hyperparameter == 0


def compute_dtype(dtype: Any) -> Any:
    """Return the dtype arithmetic runs in: float32 for half precision, else the dtype itself."""
    return widest(dtype, jnp.float32) if jnp.issubdtype(dtype, jnp.floating) else jnp.dtype(dtype)


def widest(*dtypes: Any) -> Any:
    """Return the smallest dtype that holds all: NumPy's rule, under JAX's strict promotion too."""
    return functools.reduce(np.promote_types, dtypes)


def in_dtype(dtype: Any, *values: Any) -> tuple[Any, ...]:
    """Return scalars ready to multiply arrays of ``dtype``: numbers as they are, arrays cast."""

    def cast(value: Any) -> Any:
        if isinstance(value, Complement):
            return jnp.asarray(1 - value.one_minus, dtype)
        return value if isinstance(value, (int, float)) else jnp.asarray(value, dtype)

    return tuple(map(cast, values))


def as_real_pairs(array: jax.Array) -> jax.Array:
    """Return a complex array as real pairs on a new last axis (``torch.view_as_real``)."""
    return jnp.stack([array.real, array.imag], axis=-1)


def as_complex(pairs: jax.Array) -> jax.Array:
    """Undo :func:`as_real_pairs` (``torch.view_as_complex``)."""
    return jax.lax.complex(pairs[..., 0], pairs[..., 1])


def lerp(start: jax.Array, end: jax.Array, weight: Any) -> jax.Array:
    """Return ``start + weight (end - start)`` as ``torch.lerp`` does, exact at both ends.

    PyTorch has two branches, below and above weight 0.5, so that cancellation never meets the
    larger share. A weight that is a Python number picks its branch before tracing.
    """
    if isinstance(weight, (int, float)):
        if abs(weight) < 0.5:
            return start + weight * (end - start)
        return end - (1 - weight) * (end - start)
    near_start = start + jnp.asarray(weight, start.dtype) * (end - start)
    near_end = end - jnp.asarray(1 - weight, start.dtype) * (end - start)
    return jnp.where(jnp.abs(weight) < 0.5, near_start, near_end)


def ema(average: jax.Array, value: jax.Array, beta: Any) -> jax.Array:
    """Return the exponential moving average ``beta average + (1 - beta) value``.

    ``1 - beta`` is formed in beta's own precision (double for a Python number), not the arrays'.
    """
    return lerp(average, value, one_minus(beta))


def ema_of_square(average: jax.Array, value: jax.Array, beta: Any) -> jax.Array:
    """Return ``beta average + (1 - beta) value**2``, in PyTorch's order of operations."""
    keep, weight = in_dtype(average.dtype, beta, one_minus(beta))
    return average * keep + weight * value * value


def log_of(beta: Any, dtype: Any) -> Any:
    """Return the logarithm of a decay factor: a Python double for a number, -inf for 0.

    For an array it is an array, in at least ``dtype``.
    """
    if isinstance(beta, (int, float)):
        return math.log(beta) if beta > 0 else -math.inf
    if isinstance(beta, Complement):
        wide = widest(jnp.result_type(beta.one_minus), dtype)
        return jnp.log1p(-jnp.asarray(beta.one_minus, wide))
    return jnp.log(jnp.asarray(beta, widest(jnp.result_type(beta), dtype)))


def bias_correction(beta: Any, step: jax.Array, dtype: Any) -> jax.Array:
    """Return ``1 - beta**step`` in ``dtype`` as ``-expm1(step log(beta))``.

    In float32, ``1 - beta**step`` cancels: for beta = 0.999 it is off by 1e-5 at step 1. The
    logarithm is taken in Python double when beta is a Python number.
    """
    log_beta = log_of(beta, dtype)
    if isinstance(log_beta, float):
        return -jnp.expm1(step.astype(dtype) * log_beta)
    return -jnp.expm1(step.astype(log_beta.dtype) * log_beta).astype(dtype)


def newton_schulz(
    matrix: jax.Array,
    coefficients: tuple[Any, Any, Any],
    steps: int,
    eps: Any,
    *,
    dtype: Any = jnp.bfloat16,
) -> jax.Array:
    """Return the matrix with its singular values moved towards 1 by ``steps`` quintic steps.

    Each maps a singular value ``s`` to ``a s + b s**3 + c s**5``, after all were divided by the
    Frobenius norm (or ``eps``, if that is larger). What PyTorch rounds to ``dtype`` is rounded
    here: the matrix, its norm, and every sum of products when it is complete.
    """
    sharding: Any = jax.typeof(matrix).sharding
    orthogonalize: Any = functools.partial(
        _newton_schulz,
        coefficients=coefficients,
        steps=steps,
        eps=eps,
        dtype=dtype,
        is_whole=min(matrix.shape) <= WHOLE and isinstance(matrix, Tracer),
    )
    if AxisType.Explicit in sharding.mesh.axis_types:
        # Where a sum over a sharded axis lives is the compiler's to choose.
        orthogonalize = auto_axes(orthogonalize, out_sharding=sharding)
    return orthogonalize(matrix)


WHOLE = 1024
"""The shorter side up to which a matrix in shares is gathered once, and each device does it all.

Left to the compiler the devices share the work, and gather in every iteration. That saves up to 1.5
operations a byte for each row of the shorter side; chips do 1,500 to 2,000 in the time of a byte.
"""


def _whole_on(mesh: Any) -> Callable[[Any], Any]:
    """Return what says of an array that each device has all of it, where a compiler splits."""
    if AxisType.Auto not in mesh.axis_types or mesh.size == 1:
        return _anywhere
    everywhere = NamedSharding(mesh, PartitionSpec())
    return lambda array: jax.lax.with_sharding_constraint(array, everywhere)


def _anywhere(array: Any) -> Any:
    """Return an array that lives where the compiler wants it."""
    return array


def _newton_schulz(matrix, coefficients, steps, eps, dtype, is_whole):
    """Return the result of :func:`newton_schulz`, in the matrix's own dtype.

    Everything is ``placed``: a compiler splits what stands free between two whole arrays.
    """
    # Of the mesh as it is in here, where axes that were Explicit are the compiler's.
    placed = _whole_on(jax.typeof(matrix).sharding.mesh) if is_whole else _anywhere
    is_tall = matrix.shape[0] > matrix.shape[1]
    iterate = placed((matrix.T if is_tall else matrix).astype(dtype))
    dtype, wide = iterate.dtype, compute_dtype(iterate.dtype)
    eps, a, b, c = in_dtype(wide, eps, *coefficients)
    norm = jnp.linalg.norm(placed(iterate.astype(wide))).astype(dtype).astype(wide)
    iterate = placed((iterate.astype(wide) / jnp.maximum(norm, eps)).astype(dtype))

    def product(left, right):
        return placed(jnp.matmul(left, right, preferred_element_type=wide))

    for _ in range(steps):
        gram = placed(product(iterate, iterate.T).astype(dtype))
        factor = placed((b * gram.astype(wide) + c * product(gram, gram)).astype(dtype))
        iterate = placed((a * iterate.astype(wide) + product(factor, iterate)).astype(dtype))
    return (iterate.T if is_tall else iterate).astype(matrix.dtype)
