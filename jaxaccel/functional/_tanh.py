"""The hyperbolic tangent."""

from __future__ import annotations

import jax
import jax.numpy as jnp

from jaxaccel._checked import checked
from jaxaccel._operations import operation
from jaxaccel.functional._wide import in_wide


@checked
@operation("tanh")
def tanh(input: jax.Array) -> jax.Array:
    r"""Return the hyperbolic tangent.

    .. math::
        y = \tanh x

    Args:
        input: Floating point, of any shape.

    Returns:
        Shape and dtype of the input.

    Raises:
        TypeError: ``input`` is not floating point.

    PyTorch:
        ``torch.nn.functional.tanh``: the same. Left out: integer inputs.

    Example:
        >>> import jax.numpy as jnp
        >>> import jaxaccel as ja
        >>> round(float(ja.functional.tanh(jnp.array(1.0))), 4)
        0.7616
    """
    return in_wide(jnp.tanh, input)
