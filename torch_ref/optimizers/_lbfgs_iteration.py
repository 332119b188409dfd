"""One iteration of L-BFGS: a direction from the history, a step along it, the stopping rules."""

from collections.abc import Callable
from typing import Any, NamedTuple

import torch

from torch_ref.optimizers._flat_vector import dot, largest
from torch_ref.optimizers._strong_wolfe import strong_wolfe


class Iterate(NamedTuple):
    """Where an update has got to."""

    state: Any
    position: torch.Tensor
    moved: torch.Tensor
    loss: torch.Tensor
    flat_grad: torch.Tensor
    current_evals: int
    n_iter: int
    ended: bool


class Rules(NamedTuple):
    """What an iteration knows besides where it is: the loss, and the hyperparameters in force."""

    evaluate: Callable[[torch.Tensor], tuple[torch.Tensor, torch.Tensor]]
    lr: Any
    max_iter: int
    max_eval: int
    tolerance_grad: Any
    tolerance_change: Any
    line_search_fn: str | None


def iterate(at, rules):
    """Return where one iteration leads, and whether PyTorch's loop ends with it."""
    state = _remember(at.state, at.flat_grad)
    state = state._replace(
        n_iter=state.n_iter + 1,
        d=_direction(state, at.flat_grad),
        prev_flat_grad=at.flat_grad,
        prev_loss=at.loss,
    )
    inverse = 1 / at.flat_grad.abs().sum()
    first = state.n_iter == 1 and bool(inverse < 1)
    t = torch.as_tensor(inverse * rules.lr if first else rules.lr, dtype=at.loss.dtype)
    gtd = dot(at.flat_grad, state.d)
    level = bool(gtd > -rules.tolerance_change)
    at = at._replace(state=state, n_iter=at.n_iter + 1)
    loss, flat_grad, ls_func_evals = at.loss, at.flat_grad, 0
    if not level:
        t, loss, flat_grad, ls_func_evals = _look_ahead(at, t, gtd, rules)
    moved = torch.full_like(state.d, -0.0) if level else t * state.d
    current_evals = at.current_evals + ls_func_evals
    ended = (
        level
        or current_evals >= rules.max_eval
        or bool(largest(flat_grad) <= rules.tolerance_grad)
        or bool(largest(state.d * t) <= rules.tolerance_change)
        or bool((loss - at.loss).abs() < rules.tolerance_change)
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


def _look_ahead(at, t, gtd, rules):
    """Return the step along the direction, the loss and gradient it leads to, and evaluations."""
    d = at.state.d

    def obj_func(t):
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
    if at.n_iter == rules.max_iter:
        return t, at.loss, at.flat_grad, 0
    return t, *obj_func(t), 1


def _remember(state, flat_grad):
    """Return the state with the last step's pair in its history, if it shows a curvature."""
    y = flat_grad - state.prev_flat_grad
    s = state.d * state.t
    ys = dot(y, s)
    if not ys > 1e-10:
        return state
    row = state.num_stored % len(state.ro)

    def put(rows, new):
        return torch.cat([rows[:row], new.unsqueeze(0), rows[row + 1 :]])

    return state._replace(
        old_dirs=put(state.old_dirs, y),
        old_stps=put(state.old_stps, s),
        ro=put(state.ro, 1 / ys),
        H_diag=ys / dot(y, y),
        num_stored=state.num_stored + 1,
    )


def _direction(state, flat_grad):
    """Return the gradient's negative times the approximate inverse Hessian (two loops)."""
    history_size = len(state.ro)
    num_old = min(state.num_stored, history_size)
    oldest = state.num_stored - num_old
    q, al = -flat_grad, {}
    for k in range(num_old):
        row = (state.num_stored - 1 - k) % history_size
        al[row] = dot(state.old_stps[row], q) * state.ro[row]
        q = q - al[row] * state.old_dirs[row]
    r = q * state.H_diag
    for k in range(num_old):
        row = (oldest + k) % history_size
        be_row = dot(state.old_dirs[row], r) * state.ro[row]
        r = r + (al[row] - be_row) * state.old_stps[row]
    return r
