"""One iteration of L-BFGS: a direction from the history, a step along it, the stopping rules."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from jaxaccel.optimizers._flat_vector import dot, largest
from jaxaccel.optimizers._strong_wolfe import strong_wolfe


class Iterate(NamedTuple):
    """Where an update has got to."""

    state: Any
    """The optimizer's state."""
    position: jax.Array
    """(n,): the parameters here."""
    moved: jax.Array
    """(n,): the sum of the steps, with digits that it loses beside larger parameters."""
    loss: jax.Array
    flat_grad: jax.Array
    current_evals: jax.Array
    n_iter: jax.Array
    ended: jax.Array


class Rules(NamedTuple):
    """What an iteration knows besides where it is: the loss, and the hyperparameters in force."""

    evaluate: Callable[[jax.Array], tuple[jax.Array, jax.Array]]
    max_iter: int
    max_eval: int
    line_search_fn: str | None
    lr: Any
    tolerance_grad: Any
    tolerance_change: Any


def iterate(at: Iterate, rules: Rules) -> Iterate:
    """Return where one iteration leads, and whether PyTorch's loop ends with it."""
    state = _remember(at.state, at.flat_grad)
    state = state._replace(
        n_iter=state.n_iter + 1,
        d=_direction(state, at.flat_grad),
        prev_flat_grad=at.flat_grad,
        prev_loss=at.loss,
    )
    inverse = 1 / jnp.sum(jnp.abs(at.flat_grad))
    first = (state.n_iter == 1) & (inverse < 1)
    t = jnp.asarray(jnp.where(first, inverse * rules.lr, rules.lr), at.loss.dtype)
    gtd = dot(at.flat_grad, state.d)
    level = gtd > -rules.tolerance_change
    at = at._replace(state=state, n_iter=at.n_iter + 1)
    # The state stays outside: a branch that returned the history would copy it.
    t, loss, flat_grad, ls_func_evals = jax.lax.cond(
        level,
        lambda: (t, at.loss, at.flat_grad, jnp.zeros_like(at.n_iter)),
        lambda: _look_ahead(at, t, gtd, rules),
    )
    moved = jnp.where(level, -0.0, t * state.d)
    current_evals = at.current_evals + ls_func_evals
    ended = (
        level
        | (current_evals >= rules.max_eval)
        | (largest(flat_grad) <= rules.tolerance_grad)
        | (largest(state.d * t) <= rules.tolerance_change)
        | (jnp.abs(loss - at.loss) < rules.tolerance_change)
    )
    return Iterate(
        state=state._replace(t=t, func_evals=state.func_evals + ls_func_evals),
        position=at.position + moved,
        moved=at.moved + moved,
        loss=loss,
        flat_grad=flat_grad,
        current_evals=current_evals,
        n_iter=at.n_iter,
        ended=ended,
    )


def _look_ahead(at: Iterate, t: jax.Array, gtd: jax.Array, rules: Rules) -> Any:
    """Return the step along the direction, the loss and gradient it leads to, and evaluations."""
    d = at.state.d

    def obj_func(t: jax.Array) -> tuple[jax.Array, jax.Array]:
        return rules.evaluate(at.position + t * d)

    if rules.line_search_fn is not None:
        loss, flat_grad, t, ls_func_evals = strong_wolfe(
            obj_func,
            t,
            d,
            at.loss,
            at.flat_grad,
            gtd,
            tolerance_change=rules.tolerance_change,
            max_ls=rules.max_eval - at.current_evals,
        )
        return t, loss, flat_grad, ls_func_evals
    if rules.max_iter == 1:
        return t, at.loss, at.flat_grad, jnp.zeros_like(at.n_iter)
    # Nobody reads the loss after the last iteration.
    goes_on = at.n_iter != rules.max_iter
    loss, flat_grad = jax.lax.cond(goes_on, lambda: obj_func(t), lambda: (at.loss, at.flat_grad))
    return t, loss, flat_grad, goes_on.astype(at.n_iter.dtype)


def _remember(state: Any, flat_grad: jax.Array) -> Any:
    """Return the state with the last step's pair in its history, if it shows a curvature.

    Before the first step the direction is 0, and there is no pair.
    """
    y = flat_grad - state.prev_flat_grad
    s = state.d * state.t
    ys = dot(y, s)
    keep = ys > 1e-10
    row = state.num_stored % state.ro.size

    def put(rows: jax.Array, new: jax.Array) -> jax.Array:
        new = jnp.where(keep, new, rows[row])
        return jax.lax.dynamic_update_index_in_dim(rows, new, row, 0)

    return state._replace(
        old_dirs=put(state.old_dirs, y),
        old_stps=put(state.old_stps, s),
        ro=put(state.ro, 1 / ys),
        H_diag=jnp.where(keep, ys / dot(y, y), state.H_diag),
        num_stored=state.num_stored + keep.astype(jnp.int32),
    )


def _direction(state: Any, flat_grad: jax.Array) -> jax.Array:
    """Return the gradient's negative times the approximate inverse Hessian (two loops)."""
    history_size = state.ro.size
    num_old = jnp.minimum(state.num_stored, history_size)
    oldest = state.num_stored - num_old

    def to_older(k, carry):
        q, al = carry
        row = (state.num_stored - 1 - k) % history_size
        al_row = dot(state.old_stps[row], q) * state.ro[row]
        return q - al_row * state.old_dirs[row], al.at[row].set(al_row)

    def to_newer(k, r):
        row = (oldest + k) % history_size
        be_row = dot(state.old_dirs[row], r) * state.ro[row]
        return r + (al[row] - be_row) * state.old_stps[row]

    none = jnp.zeros_like(num_old)
    q, al = jax.lax.fori_loop(none, num_old, to_older, (-flat_grad, jnp.zeros_like(state.ro)))
    return jax.lax.fori_loop(none, num_old, to_newer, q * state.H_diag)
