"""The input over one more than its magnitude."""

from __future__ import annotations

import jax

from jaxaccel._checked import checked
from jaxaccel._operations import operation
from jaxaccel.functional._wide import in_wide


@checked
@operation("softsign")
def softsign(input: jax.Array) -> jax.Array:
    r"""Divide by one more than the magnitude.

    .. math::
        y = \frac{x}{1 + |x|}

    Args:
        input: Floating point, of any shape.

    Returns:
        Shape and dtype of the input.

    Raises:
        TypeError: ``input`` is not floating point.

    PyTorch:
        ``torch.nn.functional.softsign``: the same. Left out: integer inputs.

    Example:
        >>> import jax.numpy as jnp
        >>> import jaxaccel as ja
        >>> float(ja.functional.softsign(jnp.array(-1.0)))
        -0.5
    """
    return in_wide(jax.nn.soft_sign, input)
