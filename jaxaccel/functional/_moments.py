"""Mean and variance that survive a large mean, and the dtypes around them."""

from __future__ import annotations

import functools
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from jaxaccel._math import compute_dtype
from jaxaccel._types import AxisName


class Moments(NamedTuple):
    """The moments of an array over some axes, which are kept with length 1."""

    shifted: jax.Array
    """The array minus its mean, as far as one pass knows it."""
    delta: jax.Array
    """The mean of ``shifted``: what rounding left of it."""
    mean: jax.Array
    var: jax.Array
    """The biased variance: divided by n."""


def moments(x: jax.Array, axes: tuple[int, ...], axis_name: AxisName | None = None) -> Moments:
    """Return the moments of ``x`` in two passes, over a mapped axis too when it is named."""
    shift, delta, var = _two_passes(x, axes, axis_name)
    return Moments(x - shift, delta, shift + delta, var)


def moments_near(
    x: jax.Array, guess: jax.Array, axes: tuple[int, ...], axis_name: AxisName | None = None
) -> Moments:
    """Return the moments of ``x`` in one pass, where ``guess`` is near the mean, in float32.

    The guess is known before the input is: so a compiler takes the sums where it computes the
    input, a convolution's output, and need not read that again. They cancel as far as the guess is
    off. Where it is by more than a standard deviation, which costs one bit, for any of the means,
    the moments are those of :func:`moments`, at its cost. Devices of a mapped axis guess alike:
    their sums are about one number, and all of them take the same branch.
    """
    guess = jax.lax.stop_gradient(guess)
    if axis_name is not None:
        guess = jax.lax.pmean(guess, axis_name)
    wide = x.astype(compute_dtype(x.dtype))
    shift, delta, var = _near(x, wide, guess, axes, axis_name)
    shift = jax.lax.stop_gradient(shift)
    return Moments(wide - shift, delta, shift + delta, var)


@functools.partial(jax.custom_jvp, nondiff_argnums=(3, 4))
def _near(
    x: jax.Array,
    wide: jax.Array,
    guess: jax.Array,
    axes: tuple[int, ...],
    axis_name: AxisName | None,
) -> tuple[jax.Array, jax.Array, jax.Array]:
    """Return a shift, the mean less the shift, and the variance.

    ``wide`` is ``x`` in at least float32, of which the derivative is: where half precision is
    normalized, all parts of its gradient are added up before they are rounded.
    """
    del wide
    return _shift_delta_var(x, guess, axes, axis_name)


# Compiled: called op by op, a branch is another function every time, and is compiled anew.
@functools.partial(jax.jit, static_argnums=(2, 3))
def _shift_delta_var(
    x: jax.Array, guess: jax.Array, axes: tuple[int, ...], axis_name: AxisName | None
) -> tuple[jax.Array, jax.Array, jax.Array]:
    """Return a shift, the mean less the shift, and the variance."""
    wide = x.astype(compute_dtype(x.dtype))
    shifted = wide - guess
    first, second = _means((shifted, shifted * shifted), axes, axis_name)
    square = first * first
    mean, var = guess + first, second - square
    # Equal numbers have no variance, and are never nearer than rounding. What is nan is not near,
    # nor what is too large to be squared.
    rounding = 4 * jnp.finfo(wide.dtype).eps * mean
    is_near = (square <= var) | (square <= rounding * rounding)
    near = jnp.all(is_near & (second < jnp.inf))

    def in_one_pass(_: jax.Array) -> tuple[jax.Array, jax.Array, jax.Array]:
        return mean, (guess - mean) + first, jnp.maximum(var, 0.0)

    def in_two_passes(x: jax.Array) -> tuple[jax.Array, jax.Array, jax.Array]:
        return _two_passes(x.astype(first.dtype), axes, axis_name)

    # The input in its own dtype: a branch would read a copy in the wider one.
    return jax.lax.cond(near, in_one_pass, in_two_passes, x)


@_near.defjvp
def _near_jvp(axes: tuple[int, ...], axis_name: Any, primals: Any, tangents: Any) -> Any:
    """Return the moments and their tangents, which ask for no pass that found the moments."""
    x, wide, guess = primals
    shift, delta, var = _near(x, wide, guess, axes, axis_name)
    shifted, moving = wide - shift, tangents[1]
    of_delta, of_second = _means((moving, shifted * moving), axes, axis_name)
    of_var = 2 * (of_second - delta * of_delta)
    return (shift, delta, var), (jnp.zeros_like(shift), of_delta, of_var)


def check_dtypes(input: jax.Array, **parameters: jax.Array | None) -> None:
    """Raise unless each parameter has the input's dtype, or float32 beside a half one."""
    if not jnp.issubdtype(input.dtype, jnp.floating):
        raise TypeError(f"expected a floating point input, got dtype {input.dtype}")
    allowed = {jnp.dtype(input.dtype)}
    if jnp.finfo(input.dtype).bits < 32:
        allowed.add(jnp.dtype(jnp.float32))
    for name, value in parameters.items():
        if value is not None and value.dtype not in allowed:
            raise TypeError(
                f"mixed dtype: {name} should have dtype {' or '.join(sorted(map(str, allowed)))} "
                f"for an input of dtype {input.dtype}, got {value.dtype}"
            )


def _two_passes(
    x: jax.Array, axes: tuple[int, ...], axis_name: AxisName | None
) -> tuple[jax.Array, jax.Array, jax.Array]:
    """Return a shift, the mean less the shift, and the variance."""
    # The first mean is rounded; the second pass corrects it, which costs no further pass. As a
    # mere shift it needs no gradient.
    (shift,) = _means((jax.lax.stop_gradient(x),), axes, axis_name)
    shifted = x - shift
    delta, second = _means((shifted, shifted * shifted), axes, axis_name)
    return shift, delta, second - delta * delta


def _means(
    arrays: tuple[jax.Array, ...], axes: tuple[int, ...], axis_name: AxisName | None
) -> tuple[jax.Array, ...]:
    """Return the means over ``axes``, which are kept, and over a mapped axis where it is named."""
    means = tuple(jnp.mean(x, axes, keepdims=True) for x in arrays)
    return means if axis_name is None else jax.lax.pmean(means, axis_name)
