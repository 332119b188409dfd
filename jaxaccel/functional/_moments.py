"""Mean and variance that survive a large mean, and the dtypes around them."""

from __future__ import annotations

from typing import NamedTuple

import jax
import jax.numpy as jnp

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
    # The first mean is rounded; the second pass corrects it, which costs no further pass. As a
    # mere shift it needs no gradient.
    shift = _mean(jax.lax.stop_gradient(x), axes)
    if axis_name is not None:
        shift = jax.lax.pmean(shift, axis_name)
    shifted = x - shift
    delta, second = _mean(shifted, axes), _mean(shifted * shifted, axes)
    if axis_name is not None:
        delta, second = jax.lax.pmean((delta, second), axis_name)
    return Moments(shifted, delta, shift + delta, second - delta * delta)


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


def _mean(x: jax.Array, axes: tuple[int, ...]) -> jax.Array:
    """Return the mean over ``axes``, which are kept."""
    return jnp.mean(x, axes, keepdims=True)
