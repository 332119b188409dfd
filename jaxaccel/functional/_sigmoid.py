"""The logistic function and its logarithm."""

from __future__ import annotations

import jax

from jaxaccel._checked import checked
from jaxaccel._operations import operation
from jaxaccel.functional._wide import in_wide


@checked
@operation("sigmoid")
def sigmoid(input: jax.Array) -> jax.Array:
    r"""Return the logistic function.

    .. math::
        y = \sigma(x) = \frac{1}{1 + e^{-x}}

    Args:
        input: Floating point, of any shape.

    Returns:
        Shape and dtype of the input.

    Raises:
        TypeError: ``input`` is not floating point.

    PyTorch:
        ``torch.nn.functional.sigmoid``: the same. Left out: integer inputs.

    Example:
        >>> import jax.numpy as jnp
        >>> import jaxaccel as ja
        >>> float(ja.functional.sigmoid(jnp.array(0.0)))
        0.5
    """
    return in_wide(jax.nn.sigmoid, input)


@checked
@operation("log_sigmoid")
def logsigmoid(input: jax.Array) -> jax.Array:
    r"""Return the logarithm of the logistic function, which does not underflow.

    .. math::
        y = \log \sigma(x) = \min(x, 0) - \log(1 + e^{-|x|})

    Args:
        input: Floating point, of any shape.

    Returns:
        Shape and dtype of the input.

    Raises:
        TypeError: ``input`` is not floating point.

    PyTorch:
        ``torch.nn.functional.logsigmoid``: the same.

    Example:
        >>> import jax.numpy as jnp
        >>> import jaxaccel as ja
        >>> float(ja.functional.logsigmoid(jnp.array(-1000.0)))
        -1000.0
    """
    return in_wide(jax.nn.log_sigmoid, input)
