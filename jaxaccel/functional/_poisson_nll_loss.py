"""The negative log-likelihood of counts."""

from __future__ import annotations

import math

import jax
import jax.numpy as jnp

from jaxaccel._checked import checked
from jaxaccel._operations import operation
from jaxaccel.functional._reduction import as_pair, check_reduction, reduced, result_dtype


@checked
@operation("poisson_nll_loss", low=())
def poisson_nll_loss(
    input: jax.Array,
    target: jax.Array,
    log_input: bool = True,
    full: bool = False,
    eps: float = 1e-8,
    reduction: str = "mean",
) -> jax.Array:
    r"""Return the negative log-likelihood of counts under a Poisson distribution.

    .. math::
        \ell_i = e^{x_i} - y_i x_i \qquad \text{or} \qquad \ell_i = x_i - y_i \log(x_i + \epsilon)

    and, with ``full``, Stirling's :math:`y_i \log y_i - y_i + \tfrac{1}{2} \log(2 \pi y_i)` besides
    where :math:`y_i > 1`.

    Args:
        input: The logarithm of the expected count, floating point, of any shape; the expected count
            itself without ``log_input``.
        target: The counts, of a shape that broadcasts with the input's.
        log_input: Whether the input is a logarithm.
        full: Whether to add what depends on the target alone.
        eps: Added to an input that is not a logarithm, so that it has one.
        reduction: ``"none"``, ``"mean"`` or ``"sum"``.

    Returns:
        The loss: a number, or the common shape without reduction. Its dtype is the widest floating
        one given; inside it is float32 at least.

    Raises:
        ValueError: another ``reduction``, or shapes that do not broadcast.
        TypeError: ``input`` is not floating point.

    PyTorch:
        ``torch.nn.functional.poisson_nll_loss``: the same, but for the gradient of a ``target`` of
        0 with ``full``, which is nan there. Left out: ``size_average`` and ``reduce``, which are
        deprecated. PyTorch raises ``RuntimeError`` for shapes.

    Example:
        >>> import jax.numpy as jnp
        >>> import jaxaccel as ja
        >>> x, y = jnp.array([0.0, 0.0]), jnp.array([3, 0])
        >>> float(ja.functional.poisson_nll_loss(x, y))
        1.0
    """
    check_reduction(reduction)
    dtype = result_dtype(input, target)
    y, x = as_pair(target.astype(dtype), input)
    loss = jnp.exp(x) - y * x if log_input else x - y * jnp.log(x + eps)
    if full:
        count = jnp.where(y > 1, y, jnp.ones_like(y))
        stirling = count * jnp.log(count) - count + 0.5 * jnp.log(2 * math.pi * count)
        loss = loss + jnp.where(y > 1, stirling, jnp.zeros_like(y))
    return reduced(loss, reduction).astype(dtype)
