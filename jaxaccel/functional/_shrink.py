"""Functions that take small inputs away."""

from __future__ import annotations

import jax
import jax.numpy as jnp

from jaxaccel._checked import checked
from jaxaccel._operations import operation
from jaxaccel.functional._wide import check_floating, in_wide, torch_name


@checked
@operation("tanhshrink")
def tanhshrink(input: jax.Array) -> jax.Array:
    r"""Subtract the hyperbolic tangent.

    .. math::
        y = x - \tanh x

    Args:
        input: Floating point, of any shape.

    Returns:
        Shape and dtype of the input.

    Raises:
        TypeError: ``input`` is not floating point.

    PyTorch:
        ``torch.nn.functional.tanhshrink``: the same, but for half precision, where PyTorch rounds
        the tangent before it subtracts. Left out: integer inputs.

    Example:
        >>> import jax.numpy as jnp
        >>> import jaxaccel as ja
        >>> round(float(ja.functional.tanhshrink(jnp.array(1.0))), 4)
        0.2384
    """
    return in_wide(lambda x: x - jnp.tanh(x), input)


@checked
@operation("softshrink")
def softshrink(input: jax.Array, lambd: float = 0.5) -> jax.Array:
    r"""Move everything towards 0 by ``lambd``, and no further than 0.

    .. math::
        y = \text{sign}(x) \max(|x| - \lambda, 0)

    Args:
        input: Floating point, of any shape.
        lambd: How far, at least 0.

    Returns:
        Shape and dtype of the input. The gradients at both ends of the flat piece are 0.

    Raises:
        ValueError: ``lambd`` is negative.
        TypeError: ``input`` is not floating point.

    PyTorch:
        ``torch.nn.functional.softshrink``: the same. PyTorch raises ``RuntimeError``.

    Example:
        >>> import jax.numpy as jnp
        >>> import jaxaccel as ja
        >>> ja.functional.softshrink(jnp.array([-2.0, 0.25, 2.0])).tolist()
        [-1.5, 0.0, 1.5]
    """
    check_floating(input)
    largest = float(jnp.finfo(input.dtype).max)
    if not 0 <= lambd <= largest:
        raise ValueError(
            f"lambda must be in range [0, {largest:g}] for input dtype {torch_name(input)}, "
            f"but found {lambd:g}"
        )

    def shrunk(x: jax.Array) -> jax.Array:
        return jnp.where(x > lambd, x - lambd, jnp.where(x < -lambd, x + lambd, _zero(x)))

    return in_wide(shrunk, input)


@checked
@operation("hardshrink")
def hardshrink(input: jax.Array, lambd: float = 0.5) -> jax.Array:
    r"""Zero what is within ``lambd`` of 0.

    .. math::
        y = x \text{ if } |x| > \lambda \text{ else } 0

    Args:
        input: Floating point, of any shape.
        lambd: How far from 0.

    Returns:
        Shape and dtype of the input. The gradients at both ends of the flat piece are 0.

    Raises:
        TypeError: ``input`` is not floating point.

    PyTorch:
        ``torch.nn.functional.hardshrink``: the same.

    Example:
        >>> import jax.numpy as jnp
        >>> import jaxaccel as ja
        >>> ja.functional.hardshrink(jnp.array([-2.0, 0.25, 2.0])).tolist()
        [-2.0, 0.0, 2.0]
    """

    def shrunk(x: jax.Array) -> jax.Array:
        return jnp.where((x >= -lambd) & (x <= lambd), jnp.zeros_like(x), x)

    return in_wide(shrunk, input)


def _zero(x: jax.Array) -> jax.Array:
    """Return 0, or nan where ``x`` is: PyTorch lets it through."""
    return jnp.where(jnp.isnan(x), x, jnp.zeros_like(x))
