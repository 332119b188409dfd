"""The negative log-likelihood of numbers with a variance each."""

from __future__ import annotations

import math

import jax
import jax.numpy as jnp

from jaxaccel._arrays import known_values
from jaxaccel._checked import checked
from jaxaccel._gradient import with_gradient_of
from jaxaccel._operations import operation
from jaxaccel.functional._reduction import (
    check_reduction_of_python,
    in_one_shape,
    reduced,
    result_dtype,
)


@checked
@operation("gaussian_nll_loss", low=("input", "target", "var"))
def gaussian_nll_loss(
    input: jax.Array,
    target: jax.Array,
    var: jax.Array | float,
    full: bool = False,
    eps: float = 1e-6,
    reduction: str = "mean",
) -> jax.Array:
    r"""Return the negative log-likelihood of numbers under normal distributions.

    .. math::
        \ell_i = \frac{1}{2} \left(\log v_i + \frac{(x_i - y_i)^2}{v_i}\right), \qquad
        v_i = \max(\text{var}_i, \epsilon)

    and, with ``full``, :math:`\tfrac{1}{2} \log(2 \pi)` besides.

    Args:
        input: The means, floating point, of any shape.
        target: The numbers, of a shape that broadcasts with the input's.
        var: The variances, not negative: of the input's shape, that without its last axis, that
            with one axis of length 1, or one number.
        full: Whether to add the constant.
        eps: The least variance. Below it the gradient is that of the formula at it.
        reduction: ``"none"``, ``"mean"`` or ``"sum"``.

    Returns:
        The loss: a number, or the common shape without reduction. Its dtype is the widest floating
        one given; inside it is float32 at least.

    Raises:
        ValueError: another ``reduction``, a ``var`` of another shape, or a negative one. A compiled
            program cannot raise: there, the loss of such a variance is nan.
        TypeError: ``input`` is not floating point.

    PyTorch:
        ``torch.nn.functional.gaussian_nll_loss``: the same. PyTorch raises ``RuntimeError`` for
        the target's shape, and ``TypeError`` for an integer ``var``.

    Example:
        >>> import jax.numpy as jnp
        >>> import jaxaccel as ja
        >>> x, y = jnp.array([1.0, 3.0]), jnp.zeros(2)
        >>> ja.functional.gaussian_nll_loss(x, y, 1.0, reduction="none").tolist()
        [0.5, 4.5]

    References:
        Nix, Weigend. Estimating the Mean and Variance of the Target Probability Distribution. 1994.
    """
    dtype = result_dtype(input, target)
    var = jnp.full(input.shape, var, input.dtype) if isinstance(var, (int, float)) else var
    known = known_values(var)
    if known is not None and (known < 0).any():
        raise ValueError("var has negative entry/entries")
    var = _checked_shape(input, var)
    check_reduction_of_python(reduction)
    x, y, given = in_one_shape(input, target, var)
    bounded = jnp.where(given < 0, jnp.nan, jnp.maximum(given, jnp.asarray(eps, given.dtype)))
    variance = with_gradient_of(given, bounded)
    loss = 0.5 * (jnp.log(variance) + (x - y) ** 2 / variance)
    if full:
        loss = loss + 0.5 * math.log(2 * math.pi)
    dtype = result_dtype(input, target, var)
    return reduced(loss, reduction).astype(dtype)


def _checked_shape(input: jax.Array, var: jax.Array) -> jax.Array:
    """Return the variances with as many axes as the input, or raise in PyTorch's words."""
    if var.shape == input.shape:
        return var
    if var.shape == input.shape[:-1]:
        return jnp.expand_dims(var, -1)
    shared = [mine for own, mine in zip(input.shape, var.shape, strict=False) if own != mine]
    if var.ndim != input.ndim or sum(shared) != 1:
        raise ValueError(
            f"var is of incorrect size\nGot shape {var.shape} for an input of shape {input.shape}"
        )
    return var
