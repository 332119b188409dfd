"""The Kullback-Leibler divergence."""

from __future__ import annotations

import jax
import jax.numpy as jnp
from jax.scipy.special import xlogy

from jaxaccel._checked import checked
from jaxaccel._operations import operation
from jaxaccel.functional._reduction import as_pair, check_reduction, reduced, result_dtype


@checked
@operation("kl_div", low=())
def kl_div(
    input: jax.Array, target: jax.Array, reduction: str = "mean", log_target: bool = False
) -> jax.Array:
    r"""Return the Kullback-Leibler divergence, element by element.

    .. math::
        \ell_i = y_i (\log y_i - x_i), \qquad 0 \log 0 = 0

    The divergence of two distributions is the *sum* over their elements: ``"batchmean"`` gives its
    mean over a batch, and ``"mean"`` divides by the number of all elements.

    Args:
        input: Log-probabilities, floating point, of any shape.
        target: Probabilities, or log-probabilities with ``log_target``; of the input's shape, or
            one that broadcasts with it.
        reduction: ``"none"``, ``"mean"``, ``"sum"``, or ``"batchmean"`` for the sum over the length
            of the first axis.
        log_target: Whether ``target`` is a logarithm.

    Returns:
        The loss: a number, or the input's shape without reduction. Its dtype is the wider floating
        one given; inside it is float32 at least. As a function of ``target`` it has no gradient at
        probability 0 (it is nan).

    Raises:
        ValueError: another ``reduction``.
        TypeError: ``input`` is not floating point.

    PyTorch:
        ``torch.nn.functional.kl_div``: the same. Left out: ``size_average`` and ``reduce``, which
        are deprecated, and the warning about ``"mean"``. PyTorch refuses an integer target.

    Example:
        >>> import jax.numpy as jnp
        >>> import jaxaccel as ja
        >>> p, q = jnp.array([[0.5, 0.5]]), jnp.array([[0.25, 0.75]])
        >>> round(float(ja.functional.kl_div(jnp.log(q), p, reduction="batchmean")), 4)
        0.1438

    References:
        Kullback, Leibler. On Information and Sufficiency. 1951.
    """
    batchmean = reduction == "batchmean"
    reduction = "sum" if batchmean else reduction
    check_reduction(reduction)
    x, y = as_pair(input, target)
    loss = reduced(jnp.exp(y) * (y - x) if log_target else xlogy(y, y) - y * x, reduction)
    if batchmean and input.ndim:
        loss = loss / input.shape[0]
    return loss.astype(result_dtype(input, target))
