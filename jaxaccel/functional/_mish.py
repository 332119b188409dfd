"""The input times the hyperbolic tangent of its softplus."""

from __future__ import annotations

import jax

from jaxaccel._checked import checked
from jaxaccel._operations import operation
from jaxaccel.functional._wide import in_wide


@checked
@operation("mish")
def mish(input: jax.Array) -> jax.Array:
    r"""Multiply by the hyperbolic tangent of the softplus.

    .. math::
        y = x \tanh(\log(1 + e^x))

    Args:
        input: Floating point, of any shape.

    Returns:
        Shape and dtype of the input.

    Raises:
        TypeError: ``input`` is not floating point.

    PyTorch:
        ``torch.nn.functional.mish``: the same. Left out: ``inplace``.

    Example:
        >>> import jax.numpy as jnp
        >>> import jaxaccel as ja
        >>> round(float(ja.functional.mish(jnp.array(1.0))), 4)
        0.8651

    References:
        Misra. Mish: A Self Regularized Non-Monotonic Activation Function. 2019.
        https://arxiv.org/abs/1908.08681
    """
    return in_wide(jax.nn.mish, input)
