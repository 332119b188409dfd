"""A leaky ReLU whose slopes are drawn."""

from __future__ import annotations

import math

import jax
import jax.numpy as jnp
from jax.core import Tracer

from jaxaccel._checked import checked
from jaxaccel._types import Key
from jaxaccel.functional._wide import check_floating, in_wide


@checked
def rrelu(
    input: jax.Array,
    lower: float = 1.0 / 8,
    upper: float = 1.0 / 3,
    training: bool = False,
    *,
    key: Key | None = None,
) -> jax.Array:
    r"""Scale what is negative by a slope that is drawn for each element.

    .. math::
        y = x \text{ if } x > 0 \text{ else } s x, \qquad s \sim U(l, u)

    Args:
        input: Floating point, of any shape.
        lower: The smallest slope.
        upper: The largest slope.
        training: Whether to draw; else the slope is the mean of both.
        key: Draws the slopes; it may be missing without ``training`` and where both are equal.

    Returns:
        Shape and dtype of the input. The gradient at 0 is the slope.

    Raises:
        ValueError: slopes that are not finite or out of order, or slopes are needed and there is no
            ``key``.
        TypeError: ``input`` is not floating point.

    PyTorch:
        ``torch.nn.functional.rrelu``: the same distribution, with JAX's random bits, and a key in
        place of the global generator. Left out: ``inplace`` (arrays are immutable). PyTorch raises
        ``RuntimeError``.

    Example:
        >>> import jax.numpy as jnp
        >>> import jaxaccel as ja
        >>> ja.functional.rrelu(jnp.array([-8.0, 2.0]), 0.25, 0.75).tolist()
        [-4.0, 2.0]

    References:
        Xu et al. Empirical Evaluation of Rectified Activations in Convolutional Network. 2015.
        https://arxiv.org/abs/1505.00853
    """
    _check_slopes(lower, upper)
    check_floating(input)
    is_traced = isinstance(lower, Tracer) or isinstance(upper, Tracer)
    if not training or (not is_traced and lower == upper):
        mean = (lower + upper) / 2
        return in_wide(lambda x: jnp.where(x > 0, x, mean * x), input)
    if key is None:
        raise ValueError(
            "rrelu() in training draws slopes and needs a key: "
            "rrelu(input, training=True, key=jax.random.key(0))"
        )
    unit = jax.random.uniform(key, input.shape, jnp.float32)

    def scaled(x: jax.Array) -> jax.Array:
        slope = lower + (upper - lower) * unit.astype(x.dtype)
        return jnp.where(x > 0, x, slope * x)

    return in_wide(scaled, input)


def _check_slopes(lower: float, upper: float) -> None:
    """Raise PyTorch's texts unless the slopes are two ends."""
    for name, value in (("lower", lower), ("upper", upper)):
        if not isinstance(value, Tracer) and not math.isfinite(value):
            raise ValueError(f"rrelu: {name} bound must be finite, got {value}")
    if not (isinstance(lower, Tracer) or isinstance(upper, Tracer)) and lower > upper:
        raise ValueError(
            "Lower bound should be less than or equal to the upper bound\n"
            f"Got lower={lower} and upper={upper}"
        )
