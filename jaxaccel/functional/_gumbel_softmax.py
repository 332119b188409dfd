"""A random choice that has a gradient."""

from __future__ import annotations

import jax
import jax.numpy as jnp

from jaxaccel._checked import checked
from jaxaccel._math import compute_dtype
from jaxaccel._types import Key
from jaxaccel.functional._softmax import softmax
from jaxaccel.functional._wide import axis_of, check_floating


@checked
def gumbel_softmax(
    logits: jax.Array,
    tau: float = 1,
    hard: bool = False,
    eps: float = 1e-10,
    dim: int = -1,
    *,
    key: Key,
) -> jax.Array:
    r"""Draw from the Gumbel-softmax distribution: a choice, softened by the temperature.

    .. math::
        y = \text{softmax}((x + g) / \tau), \qquad g \sim \text{Gumbel}(0, 1)

    Args:
        logits: Logarithms of probabilities, up to a constant; floating point.
        tau: The temperature, positive.
        hard: Whether to return the choice itself, a one and zeros, with the gradient of ``y``.
        eps: Has no effect, in PyTorch neither.
        dim: The axis of the choices.
        key: Draws g.

    Returns:
        Shape and dtype of the logits; along ``dim`` it sums to 1.

    Raises:
        IndexError: there is no axis ``dim``.
        TypeError: ``logits`` are not floating point.

    PyTorch:
        ``torch.nn.functional.gumbel_softmax``: the same distribution, with JAX's random bits, and a
        key in place of the global generator.

    Example:
        >>> import jax
        >>> import jax.numpy as jnp
        >>> import jaxaccel as ja
        >>> logits = jnp.array([0.0, 9.0, 0.0])
        >>> ja.functional.gumbel_softmax(logits, hard=True, key=jax.random.key(0)).tolist()
        [0.0, 1.0, 0.0]

    References:
        Jang, Gu, Poole. Categorical Reparameterization with Gumbel-Softmax. 2016.
        https://arxiv.org/abs/1611.01144
    """
    del eps
    check_floating(logits)
    axis = axis_of(dim, logits.ndim)
    wide = logits.astype(compute_dtype(logits.dtype))
    noise = jax.random.gumbel(key, logits.shape, wide.dtype)
    soft = softmax((wide + noise) / tau, axis)
    if hard:
        chosen = jnp.argmax(soft, axis)
        choice = jax.nn.one_hot(chosen, logits.shape[axis], axis=axis, dtype=soft.dtype)
        soft = choice - jax.lax.stop_gradient(soft) + soft
    return soft.astype(logits.dtype)
