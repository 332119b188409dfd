"""The input times its sigmoid."""

from __future__ import annotations

import jax

from jaxaccel._checked import checked
from jaxaccel._operations import operation
from jaxaccel.functional._wide import in_wide


@checked
@operation("silu")
def silu(input: jax.Array) -> jax.Array:
    r"""Multiply by the sigmoid (also known as swish).

    .. math::
        y = x \sigma(x)

    Args:
        input: Floating point, of any shape.

    Returns:
        Shape and dtype of the input.

    Raises:
        TypeError: ``input`` is not floating point.

    PyTorch:
        ``torch.nn.functional.silu``: the same. Left out: ``inplace``.

    Example:
        >>> import jax.numpy as jnp
        >>> import jaxaccel as ja
        >>> round(float(ja.functional.silu(jnp.array(1.0))), 4)
        0.7311
    """
    return in_wide(jax.nn.silu, input)
