"""A smooth ramp."""

from __future__ import annotations

import jax
import jax.numpy as jnp

from jaxaccel._checked import checked
from jaxaccel._operations import operation
from jaxaccel.functional._wide import in_wide


@checked
@operation("softplus")
def softplus(input: jax.Array, beta: float = 1.0, threshold: float = 20.0) -> jax.Array:
    r"""Return a smooth version of the positive part.

    .. math::
        y = \tfrac{1}{\beta} \log(1 + e^{\beta x})
        \text{ if } \beta x \le \text{threshold} \text{ else } x

    Args:
        input: Floating point, of any shape.
        beta: How sharp the bend is, not 0.
        threshold: From where on the function is the identity, with gradient 1.

    Returns:
        Shape and dtype of the input.

    Raises:
        TypeError: ``input`` is not floating point.

    PyTorch:
        ``torch.nn.functional.softplus``: the same, but for a ``threshold`` beyond which the
        exponential overflows (88 in float32): there it is infinite in PyTorch and right here.

    Example:
        >>> import jax.numpy as jnp
        >>> import jaxaccel as ja
        >>> round(float(ja.functional.softplus(jnp.array(0.0))), 4)
        0.6931
    """

    def ramp(x: jax.Array) -> jax.Array:
        return jnp.where(beta * x > threshold, x, jax.nn.softplus(beta * x) / beta)

    return in_wide(ramp, input)
