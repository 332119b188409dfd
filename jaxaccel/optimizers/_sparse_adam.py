"""SparseAdam: Adam on the rows of a table that a gradient touches, at the cost of those rows."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax

from jaxaccel._call_repr import shows_call
from jaxaccel._check_packed import check_not_packed
from jaxaccel._check_trees import check_gradients, check_parameters, check_state
from jaxaccel._checked import checked_after
from jaxaccel._checks import check_betas, check_positive
from jaxaccel._counts import next_counts, of_leaves, schedule_step
from jaxaccel._math import bias_correction, ema, in_dtype, values_at
from jaxaccel._tree import (
    initial_step,
    path_name,
    short_repr,
    takes_shapes,
    update_leaves,
    zeros_like,
)
from jaxaccel._types import DecayFactor, Hyperparameter, Params, State, Updates
from jaxaccel.optimizers._sparse_rows import SparseRows, coalesce
from jaxaccel.optimizers._torch_fields import TorchFields


class SparseAdamState(NamedTuple):
    """State of :func:`sparse_adam`, under PyTorch's keys."""

    step: jax.Array
    """int32 scalar: finished updates."""
    exp_avg: Params
    """First moment, like the parameters (dense)."""
    exp_avg_sq: Params
    """Second moment, like the parameters (dense)."""

    torch_fields = TorchFields(
        ("exp_avg", "exp_avg_sq"),
        shared_integers=("step",),
        group_lacks=("weight_decay",),
    )
    own_counts = ("step",)
    __repr__ = short_repr


@shows_call
@checked_after
def sparse_adam(
    lr: Hyperparameter = 1e-3,
    betas: tuple[DecayFactor, DecayFactor] = (0.9, 0.999),
    eps: Hyperparameter = 1e-8,
    maximize: bool = False,
) -> optax.GradientTransformationExtraArgs:
    r"""Adam for embedding tables: only the rows that a gradient names move, or cost anything.

    .. math::
        m_r &\leftarrow \beta_1 m_r + (1 - \beta_1) g_r, \qquad
        v_r \leftarrow \beta_2 v_r + (1 - \beta_2) g_r^2 \qquad
        \text{for the rows } r \text{ of } g_t \\
        \theta_r &\leftarrow \theta_r - \gamma\,\frac{\sqrt{1 - \beta_2^t}}{1 - \beta_1^t}\,
        \frac{m_r}{\sqrt{v_r} + \epsilon}

    The moments of other rows do not decay, so this is not Adam on a gradient filled with zeros.
    :math:`t` counts all steps, not those of a row. Rows given more than once are summed first.

    The gradient of a table with respect to all of itself is dense. Take it with respect to the
    rows that were looked up, as in the example, and pass the row numbers beside it. Updates come
    back in the same form; :func:`apply_sparse_updates` adds them. Both inside one ``jax.jit`` that
    donates parameters and state work in place. Functions that treat every leaf as numbers to
    scale, add or take the norm of would do so to the row numbers too: put none of them before or
    behind. ``optax.partition`` lets another optimizer have the rest of the model.

    Args:
        lr: Learning rate, above 0. Like every numeric argument here a number, a JAX scalar or a
            schedule ``step -> value``, read as :obj:`Hyperparameter` says.
        betas: Decay factors of the two moments, each in [0, 1).
        eps: Added to the root of the second moment before its bias is corrected, above 0.
        maximize: Climb instead of descend: the gradient's sign is flipped first.

    Returns:
        A transformation whose ``update(updates, state, params)`` takes for every table a
        :class:`SparseRows`, a pair ``(indices, rows)`` or a ``jax.experimental.sparse.BCOO`` of
        whole rows (``n_sparse=1``), or ``None`` for one that stays. It returns for each a
        :class:`SparseRows` with every touched row once, additive, in the table's dtype (padded
        with zeros at indices past its end) or ``None``; and a :class:`SparseAdamState` in the
        parameters' shapes, dtypes and shardings. An index outside the table, a negative one too,
        is padding. Half-precision tables are computed in float32 and rounded once.

    Raises:
        ValueError: ``lr`` or ``eps`` is not above 0, a beta is outside [0, 1), a parameter is
            complex, or the indices, rows and table do not fit each other.
        TypeError: A numeric argument is not a number, a JAX scalar or a schedule; or a gradient
            is none of the kinds above.
        RuntimeError: A gradient is dense.

    PyTorch:
        ``torch.optim.SparseAdam``: same arguments, defaults, state keys, errors and numbers. One
        leading sparse dimension, as ``nn.Embedding(sparse=True)`` gives it; ``padding_idx`` is an
        index outside the table, where PyTorch raises. ``step`` is one int32 for the whole tree,
        where PyTorch counts per parameter.

    Example:
        >>> import jax
        >>> import jax.numpy as jnp
        >>> import jaxaccel as ja
        >>> tx = ja.optimizers.sparse_adam(lr=0.1)
        >>> table = jnp.ones((5, 2))
        >>> state = tx.init(table)
        >>> ids = jnp.array([3, 1, 3])
        >>> grad = jax.grad(lambda rows: jnp.sum(rows**2))(table[ids])
        >>> updates, state = tx.update(ja.optimizers.SparseRows(ids, grad), state)
        >>> table = ja.optimizers.apply_sparse_updates(table, updates)
        >>> print(table[:, 0])
        [1.  0.9 1.  0.9 1. ]

    References:
        Kingma, Ba. Adam: A Method for Stochastic Optimization. 2015.
        https://arxiv.org/abs/1412.6980
    """
    check_positive("lr", lr, "Invalid learning rate")
    check_positive("eps", eps, "Invalid epsilon value")
    check_betas(betas)

    @takes_shapes
    def init(params: Params) -> State:
        check_not_packed("sparse_adam", params)
        check_parameters(params)
        _check_real(params)
        return SparseAdamState(
            step=initial_step(params),
            exp_avg=zeros_like(params),
            exp_avg_sq=zeros_like(params),
        )

    def update(
        updates: Updates, state: State, params: Params | None = None, **extra: object
    ) -> tuple[Updates, State]:
        del params
        check_state("sparse_adam", SparseAdamState, state)
        check_gradients("sparse_adam", updates, state.exp_avg, dense=False)
        step = next_counts(state.step, updates)
        at = schedule_step(extra, state.step)
        now = values_at(at, lr=lr, beta1=betas[0], beta2=betas[1], eps=eps)
        update_leaf = functools.partial(_update_leaf, maximize=maximize, **now)
        treedef = jax.tree.structure(state.exp_avg)
        steps = of_leaves(step, state.exp_avg)
        rows = [
            _update_rows(functools.partial(update_leaf, step=own), *leaves)
            for own, *leaves in zip(
                *map(treedef.flatten_up_to, (steps, updates, *state[1:])), strict=True
            )
        ]
        columns = list(zip(*rows, strict=True)) or [()] * 3
        updates, *moments = map(treedef.unflatten, columns)
        return updates, SparseAdamState(step, *moments)

    return optax.GradientTransformationExtraArgs(init, update)


def _update_rows(
    update_leaf: Callable[..., tuple[Any, ...]], grad: Any, *moments: jax.Array
) -> tuple[Any, ...]:
    """Apply ``update_leaf`` to the touched rows; return their update and the whole moments."""
    if grad is None:
        return (None, *moments)
    table = moments[0]
    if isinstance(grad, (jax.Array, np.ndarray)):
        raise RuntimeError(
            "SparseAdam does not support dense gradients, please consider Adam instead"
        )
    indices, grad_rows = coalesce(grad, table)
    old_rows = [moment.at[indices].get(mode="fill", fill_value=0) for moment in moments]
    update, *new_rows = update_leaves(update_leaf, grad_rows, None, old_rows)
    moments = tuple(
        moment.at[indices].set(rows, mode="drop")
        for moment, rows in zip(moments, new_rows, strict=True)
    )
    return (SparseRows(indices, update.astype(table.dtype)), *moments)


def _update_leaf(
    param, grad, exp_avg, exp_avg_sq, step, *, lr, beta1, beta2, eps, maximize,
):  # fmt: skip
    """Return the update of the touched rows of one table and their new moments."""
    dtype = grad.dtype
    lr, eps = in_dtype(dtype, lr, eps)
    grad = -grad if maximize else grad
    exp_avg = ema(exp_avg, grad, beta1)
    exp_avg_sq = ema(exp_avg_sq, grad * grad, beta2)
    root = jnp.sqrt(bias_correction(beta2, step, dtype))
    step_size = lr * root / bias_correction(beta1, step, dtype)
    return -step_size * (exp_avg / (jnp.sqrt(exp_avg_sq) + eps)), exp_avg, exp_avg_sq


def _check_real(params: Params) -> None:
    """Raise when a parameter is complex."""
    leaves = jax.tree.leaves_with_path(params)
    paths = [path_name(path) for path, leaf in leaves if jnp.iscomplexobj(leaf)]
    if paths:
        raise ValueError(
            f"Complex params at {paths}: SparseAdam does not support complex parameters"
        )
