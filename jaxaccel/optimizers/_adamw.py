"""AdamW: Adam whose weight decay shrinks the parameters and leaves the gradient alone."""

from __future__ import annotations

import optax

from jaxaccel._call_repr import shows_call
from jaxaccel._checked import checked_after
from jaxaccel._types import DecayFactor, Hyperparameter
from jaxaccel.optimizers._adam import adam


@shows_call
@checked_after
def adamw(
    lr: Hyperparameter = 1e-3,
    betas: tuple[DecayFactor, DecayFactor] = (0.9, 0.999),
    eps: Hyperparameter = 1e-8,
    weight_decay: Hyperparameter = 1e-2,
    amsgrad: bool = False,
    *,
    maximize: bool = False,
) -> optax.GradientTransformationExtraArgs:
    r"""Adam with decoupled weight decay, as in PyTorch.

    .. math::
        m_t &= \beta_1 m_{t-1} + (1 - \beta_1) g_t, \qquad
        v_t = \beta_2 v_{t-1} + (1 - \beta_2) g_t^2 \\
        \theta_t &= (1 - \gamma \lambda)\,\theta_{t-1}
        - \gamma\,\frac{m_t / (1 - \beta_1^t)}{\sqrt{v_t} / \sqrt{1 - \beta_2^t} + \epsilon}

    It is :func:`adam` with ``decoupled_weight_decay=True`` and a different default decay, as
    PyTorch's class is.

    Args:
        lr: Learning rate, at least 0. Like every numeric argument here a number, a JAX scalar or a
            schedule ``step -> value``, read as :obj:`Hyperparameter` says.
        betas: Decay factors of the two moments, each in [0, 1).
        eps: Added to the root of the corrected second moment, at least 0.
        weight_decay: Weight decay, at least 0; the learning rate scales it.
        amsgrad: Divide by the largest second moment so far.
        maximize: Climb instead of descend: the gradient's sign is flipped first.

    Returns:
        A transformation whose ``update(updates, state, params)`` returns additive updates in the
        parameters' dtypes and an :class:`AdamState` in the parameters' shapes, dtypes and
        shardings. Half-precision leaves are computed in float32 and rounded once.

    Raises:
        ValueError: ``lr``, ``eps`` or ``weight_decay`` is negative, or a beta is outside [0, 1);
            or ``update`` is called without parameters while ``weight_decay`` is in use.
        TypeError: A numeric argument is not a number, a JAX scalar or a schedule.

    PyTorch:
        ``torch.optim.AdamW``: same arguments, defaults (weight decay 1e-2, where ``optax.adamw``
        has 1e-4), state keys, errors and numbers. Left out as in :func:`adam`.

    Example:
        >>> import jax.numpy as jnp
        >>> import jaxaccel as ja
        >>> tx = ja.optimizers.adamw(lr=0.1, weight_decay=0.5)
        >>> w = jnp.array([1.0, -2.0])
        >>> updates, state = tx.update(2 * w, tx.init(w), w)
        >>> print(updates)
        [-0.15  0.2 ]

    References:
        Loshchilov, Hutter. Decoupled Weight Decay Regularization. 2019.
        https://arxiv.org/abs/1711.05101
    """
    return adam(
        lr, betas, eps, weight_decay, amsgrad, maximize=maximize, decoupled_weight_decay=True
    )
