"""A threshold that what stays must exceed."""

from __future__ import annotations

import jax
import jax.numpy as jnp

from jaxaccel._checked import checked
from jaxaccel.functional._wide import in_wide


@checked
def threshold(input: jax.Array, threshold: float, value: float) -> jax.Array:
    r"""Replace what is not above a threshold.

    .. math::
        y = x \text{ if } x > \text{threshold} \text{ else value}

    Args:
        input: Floating point, of any shape.
        threshold: What an element must exceed to stay.
        value: What the others become.

    Returns:
        Shape and dtype of the input. The gradient at the threshold is 0.

    Raises:
        TypeError: ``input`` is not floating point.

    PyTorch:
        ``torch.nn.functional.threshold``: the same. Left out: ``inplace``, and integer inputs.

    Example:
        >>> import jax.numpy as jnp
        >>> import jaxaccel as ja
        >>> ja.functional.threshold(jnp.array([1.0, 3.0]), 2.0, -1.0).tolist()
        [-1.0, 3.0]
    """
    # Not x > threshold: nan stays nan.
    return in_wide(lambda x: jnp.where(x <= threshold, jnp.full_like(x, value), x), input)
