"""The cross entropy of probabilities of yes and no."""

from __future__ import annotations

from typing import Any, Final

import jax
import jax.numpy as jnp
import numpy as np
from jax.custom_derivatives import SymbolicZero

from jaxaccel._arrays import known_values
from jaxaccel._checked import checked
from jaxaccel._operations import operation
from jaxaccel.functional._reduction import (
    as_pair,
    check_reduction,
    reduced,
    result_dtype,
    times,
)

_LEAST_LOG: Final = -100.0
_LEAST_VARIANCE: Final = float(np.float32(1e-12))


@checked
@operation("binary_cross_entropy", low=())
def binary_cross_entropy(
    input: jax.Array,
    target: jax.Array,
    weight: jax.Array | None = None,
    reduction: str = "mean",
) -> jax.Array:
    r"""Return the cross entropy between two probabilities.

    .. math::
        \ell_i = -w_i \left(y_i \log x_i + (1 - y_i) \log(1 - x_i)\right)

    where no logarithm is below -100. A model that ends in a sigmoid loses digits on the way:
    :func:`binary_cross_entropy_with_logits` of what the sigmoid is of has all of them.

    Args:
        input: The probabilities of a model, in [0, 1], of any shape.
        target: The true ones, in [0, 1], of the input's shape.
        weight: The weights :math:`w`, of a shape that broadcasts to the input's; None for 1.
        reduction: ``"none"``, ``"mean"`` or ``"sum"``. A mean is divided by the number of
            elements, weighted or not.

    Returns:
        The loss: a number, or the input's shape without reduction. Its dtype is the widest
        floating one given; inside it is float32 at least. Its derivative by ``input`` is
        :math:`(x - y) / \max(x (1 - x), 10^{-12})`, that by ``target`` infinite at 0 and 1.

    Raises:
        ValueError: another ``reduction``, a ``target`` of another shape, weights that do not
            broadcast, or a number outside of [0, 1]. A compiled program cannot raise: there, the
            loss of such a number is nan.
        TypeError: ``input`` is not floating point.

    PyTorch:
        ``torch.nn.functional.binary_cross_entropy``: the same. Left out: ``size_average`` and
        ``reduce``, which are deprecated. PyTorch raises ``RuntimeError`` for weights and numbers,
        and for targets of another dtype, which work here. Under ``precision.autocast`` it raises,
        as there.

    Example:
        >>> import jax.numpy as jnp
        >>> import jaxaccel as ja
        >>> x, y = jnp.array([0.5, 0.0]), jnp.array([1.0, 1.0])
        >>> ja.functional.binary_cross_entropy(x, y, reduction="none").round(4).tolist()
        [0.6930999755859375, 100.0]
    """
    check_reduction(reduction)
    if target.shape != input.shape:
        raise ValueError(
            f"Using a target size ({target.shape}) that is different to the input size "
            f"({input.shape}) is deprecated. Please ensure they have the same size."
        )
    dtype = result_dtype(input, target, weight)
    for name, array in (("input", input), ("target", target)):
        known = known_values(array)
        if known is not None and not ((known >= 0) & (known <= 1)).all():
            raise ValueError(f"all elements of {name} should be between 0 and 1")
    loss = _cross_entropy(*as_pair(input, target))
    loss = loss if weight is None else times(loss, weight)
    return reduced(loss, reduction).astype(dtype)


@jax.custom_jvp
def _cross_entropy(x: jax.Array, y: jax.Array) -> jax.Array:
    """Return the loss of each element; nan outside of [0, 1]."""
    is_probability = (x >= 0) & (x <= 1) & (y >= 0) & (y <= 1)
    yes, no = (jnp.maximum(each, _LEAST_LOG) for each in (jnp.log(x), jnp.log1p(-x)))
    return jnp.where(is_probability, (y - 1) * no - y * yes, jnp.full_like(x, jnp.nan))


def _jvp(primals: Any, tangents: Any) -> Any:
    """Return the loss and its tangent, of which the bounds are not those of the loss."""
    (x, y), (x_dot, y_dot) = primals, tangents
    tangent = jnp.zeros_like(x)
    if not isinstance(x_dot, SymbolicZero):
        tangent = tangent + (x - y) / jnp.maximum((1 - x) * x, _LEAST_VARIANCE) * x_dot
    if not isinstance(y_dot, SymbolicZero):  # times an infinite number it would be none
        tangent = tangent + (jnp.log1p(-x) - jnp.log(x)) * y_dot
    return _cross_entropy(x, y), tangent


_cross_entropy.defjvp(_jvp, symbolic_zeros=True)
