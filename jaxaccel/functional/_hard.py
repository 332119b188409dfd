"""Piecewise approximations with bends at both ends."""

from __future__ import annotations

import jax
import jax.numpy as jnp

from jaxaccel._checked import checked
from jaxaccel._operations import operation
from jaxaccel.functional._wide import in_wide


@checked
def hardtanh(input: jax.Array, min_val: float = -1.0, max_val: float = 1.0) -> jax.Array:
    r"""Clip to an interval.

    .. math::
        y = \min(\max(x, \text{min\_val}), \text{max\_val})

    Args:
        input: Floating point, of any shape.
        min_val: The lower end.
        max_val: The upper end, not below ``min_val``.

    Returns:
        Shape and dtype of the input. The gradient at both ends is 0 (``jnp.clip`` has 1/2 or 1).

    Raises:
        ValueError: ``min_val`` is greater than ``max_val``.
        TypeError: ``input`` is not floating point.

    PyTorch:
        ``torch.nn.functional.hardtanh``: the same. Left out: ``inplace``, and integer inputs.

    Example:
        >>> import jax.numpy as jnp
        >>> import jaxaccel as ja
        >>> ja.functional.hardtanh(jnp.array([-3.0, 0.5, 3.0])).tolist()
        [-1.0, 0.5, 1.0]
    """
    if min_val > max_val:
        raise ValueError("min_val cannot be greater than max_val")
    return in_wide(lambda x: _clip(x, min_val, max_val), input)


@checked
@operation("hardsigmoid")
def hardsigmoid(input: jax.Array) -> jax.Array:
    r"""Return a sigmoid of three straight lines.

    .. math::
        y = \tfrac{1}{6} \min(\max(x + 3, 0), 6)

    Args:
        input: Floating point, of any shape.

    Returns:
        Shape and dtype of the input. The gradients at -3 and 3 are 0.

    Raises:
        TypeError: ``input`` is not floating point.

    PyTorch:
        ``torch.nn.functional.hardsigmoid``: the same. Left out: ``inplace``. PyTorch's kernel takes
        the gradient's 1/6 in single precision, whatever the dtype: in double precision its
        gradients are 3e-8 off, and these are not.

    Example:
        >>> import jax.numpy as jnp
        >>> import jaxaccel as ja
        >>> ja.functional.hardsigmoid(jnp.array([-4.0, 0.0, 3.0])).tolist()
        [0.0, 0.5, 1.0]
    """
    return in_wide(_hardsigmoid, input)


@checked
@operation("hardswish")
def hardswish(input: jax.Array) -> jax.Array:
    r"""Multiply by a sigmoid of three straight lines.

    .. math::
        y = \tfrac{1}{6} x \min(\max(x + 3, 0), 6)

    Args:
        input: Floating point, of any shape.

    Returns:
        Shape and dtype of the input. The gradients at -3 and 3 are 0 and 1.

    Raises:
        TypeError: ``input`` is not floating point.

    PyTorch:
        ``torch.nn.functional.hardswish``: the same. Left out: ``inplace``.

    Example:
        >>> import jax.numpy as jnp
        >>> import jaxaccel as ja
        >>> ja.functional.hardswish(jnp.array([0.0, 3.0])).tolist()
        [0.0, 3.0]

    References:
        Howard et al. Searching for MobileNetV3. 2019. https://arxiv.org/abs/1905.02244
    """
    return in_wide(lambda x: x * _hardsigmoid(x), input)


def _clip(x: jax.Array, low: float, high: float) -> jax.Array:
    """Return ``x`` within both ends, where the gradient is 0; nan stays nan."""
    clipped = jnp.where(x >= high, jnp.full_like(x, high), x)
    return jnp.where(x <= low, jnp.full_like(x, low), clipped)


def _hardsigmoid(x: jax.Array) -> jax.Array:
    """Return the formula."""
    return _clip(x + 3.0, 0.0, 6.0) / 6.0
