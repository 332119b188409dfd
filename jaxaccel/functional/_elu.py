"""Exponential linear units."""

from __future__ import annotations

import jax
import jax.numpy as jnp

from jaxaccel._checked import checked
from jaxaccel._operations import operation
from jaxaccel.functional._wide import in_wide

_ALPHA = 1.6732632423543772848170429916717
_SCALE = 1.0507009873554804934193349852946
"""They make mean 0 and variance 1 a fixed point."""


@checked
@operation("elu")
def elu(input: jax.Array, alpha: float = 1.0) -> jax.Array:
    r"""Let what is negative saturate at ``-alpha``.

    .. math::
        y = x \text{ if } x > 0 \text{ else } \alpha (e^x - 1)

    Args:
        input: Floating point, of any shape.
        alpha: Minus the limit at minus infinity.

    Returns:
        Shape and dtype of the input. The gradient at 0 is ``alpha``.

    Raises:
        TypeError: ``input`` is not floating point.

    PyTorch:
        ``torch.nn.functional.elu``: the same. Left out: ``inplace``.

    Example:
        >>> import jax.numpy as jnp
        >>> import jaxaccel as ja
        >>> round(float(ja.functional.elu(jnp.array(-1.0))), 4)
        -0.6321

    References:
        Clevert, Unterthiner, Hochreiter. Fast and Accurate Deep Network Learning by Exponential
        Linear Units (ELUs). 2015. https://arxiv.org/abs/1511.07289
    """
    return in_wide(lambda x: _elu(x, alpha), input)


@checked
@operation("selu")
def selu(input: jax.Array) -> jax.Array:
    r"""Normalize by itself, layer after layer: an ELU with two constants.

    .. math::
        y = 1.0507 \cdot \text{elu}(x, 1.6733)

    Args:
        input: Floating point, of any shape.

    Returns:
        Shape and dtype of the input. The gradient at 0 is 1.7581.

    Raises:
        TypeError: ``input`` is not floating point.

    PyTorch:
        ``torch.nn.functional.selu``: the same. Left out: ``inplace``.

    Example:
        >>> import jax.numpy as jnp
        >>> import jaxaccel as ja
        >>> round(float(ja.functional.selu(jnp.array(1.0))), 4)
        1.0507

    References:
        Klambauer et al. Self-Normalizing Neural Networks. 2017. https://arxiv.org/abs/1706.02515
    """
    return in_wide(lambda x: _SCALE * _elu(x, _ALPHA), input)


@checked
@operation("celu")
def celu(input: jax.Array, alpha: float = 1.0) -> jax.Array:
    r"""Let what is negative saturate at ``-alpha``, with no bend at 0.

    .. math::
        y = x \text{ if } x > 0 \text{ else } \alpha (e^{x / \alpha} - 1)

    Args:
        input: Floating point, of any shape.
        alpha: Minus the limit at minus infinity, not 0.

    Returns:
        Shape and dtype of the input. The gradient at 0 is 1.

    Raises:
        ValueError: ``alpha`` is 0.
        TypeError: ``input`` is not floating point.

    PyTorch:
        ``torch.nn.functional.celu``: the same. Left out: ``inplace``. PyTorch raises
        ``RuntimeError``.

    Example:
        >>> import jax.numpy as jnp
        >>> import jaxaccel as ja
        >>> round(float(ja.functional.celu(jnp.array(-2.0), alpha=2.0)), 4)
        -1.2642

    References:
        Barron. Continuously Differentiable Exponential Linear Units. 2017.
        https://arxiv.org/abs/1704.07483
    """
    if alpha == 0:
        raise ValueError("ZeroDivisionError: alpha cannot be 0 for CELU")
    return in_wide(lambda x: _elu(x, alpha, alpha), input)


def _elu(x: jax.Array, alpha: float, width: float = 1.0) -> jax.Array:
    """Return the formula; the exponential never overflows, not even where it is not chosen."""
    return jnp.where(x > 0, x, alpha * jnp.expm1(jnp.where(x > 0, jnp.zeros_like(x), x) / width))
