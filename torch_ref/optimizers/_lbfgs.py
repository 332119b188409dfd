"""L-BFGS: steps along the gradient, shaped by a curvature that the last steps have shown."""

import math
from typing import NamedTuple

import torch
from torch.utils import _pytree as pytree

from torch_ref._checks import (
    check_lr,
    check_params_given,
    check_positive_integer,
    known_value,
)
from torch_ref._math import value_at
from torch_ref._tree import initial_step, is_none, unmoved_like
from torch_ref._types import GradientTransformation
from torch_ref.optimizers._flat_vector import flat_dtype, largest, ravel, real_size, unravel
from torch_ref.optimizers._lbfgs_iteration import Iterate, Rules, iterate


class LBFGSState(NamedTuple):
    """State of :func:`lbfgs`, under PyTorch's keys."""

    step: int
    func_evals: int
    n_iter: int
    d: torch.Tensor
    t: torch.Tensor
    old_dirs: torch.Tensor
    old_stps: torch.Tensor
    ro: torch.Tensor
    H_diag: torch.Tensor
    prev_flat_grad: torch.Tensor
    prev_loss: torch.Tensor
    num_stored: int


def lbfgs(
    lr: float = 1,
    max_iter=20,
    max_eval=None,
    tolerance_grad=1e-7,
    tolerance_change=1e-9,
    history_size=100,
    line_search_fn=None,
):
    """L-BFGS: one update is a whole ``step(closure)`` of PyTorch's."""
    check_lr(lr)
    known_value("tolerance_grad", tolerance_grad)
    known_value("tolerance_change", tolerance_change)
    check_positive_integer("max_iter", max_iter)
    max_eval = max_iter * 5 // 4 if max_eval is None else max_eval
    check_positive_integer("max_eval", max_eval)
    check_positive_integer("history_size", history_size)
    if line_search_fn not in (None, "strong_wolfe"):
        raise RuntimeError("only 'strong_wolfe' is supported")

    def init(params):
        leaves = [leaf for leaf in pytree.tree_leaves(params) if leaf is not None]
        dtype, n = flat_dtype(leaves), sum(map(real_size, leaves))

        def zeros(*shape):
            return torch.zeros(shape, dtype=dtype)

        return LBFGSState(
            step=initial_step(params),
            func_evals=0,
            n_iter=0,
            d=zeros(n),
            t=zeros(),
            old_dirs=zeros(history_size, n),
            old_stps=zeros(history_size, n),
            ro=zeros(history_size),
            H_diag=zeros() + 1,
            prev_flat_grad=zeros(n),
            prev_loss=zeros(),
            num_stored=0,
        )

    def update(updates, state, params=None, *, value=None, value_fn=None):
        check_params_given(params, "lbfgs")
        if max_iter > 1 or line_search_fn is not None:
            _check_closure(value, value_fn)
        grads, treedef = pytree.tree_flatten(updates, is_leaf=is_none)
        leaves, dtype = treedef.flatten_up_to(params), state.d.dtype
        start = ravel(leaves, leaves, dtype)

        def tree(vector, still):
            moving = zip(unravel(vector, leaves), still, grads, strict=True)
            leaves_now = [rest if g is None else leaf for leaf, rest, g in moving]
            return pytree.tree_unflatten(leaves_now, treedef)

        def loss_at(position):
            assert value_fn is not None
            return value_fn(tree(position, leaves)).reshape(()).to(dtype)

        def evaluate(position):
            position = position.detach().requires_grad_()
            loss = loss_at(position)
            return loss.detach(), torch.autograd.grad(loss, position)[0]

        rules = Rules(
            evaluate,
            value_at(lr, state.step),
            max_iter,
            max_eval,
            value_at(tolerance_grad, state.step),
            value_at(tolerance_change, state.step),
            line_search_fn,
        )
        flat_grad = ravel(grads, leaves, dtype)
        loss = torch.as_tensor(math.nan if value is None else value, dtype=dtype)
        at = Iterate(
            state=state._replace(step=state.step + 1, func_evals=state.func_evals + 1),
            position=start,
            moved=torch.full_like(start, -0.0),
            loss=loss.detach().reshape(()),
            flat_grad=flat_grad,
            current_evals=1,
            n_iter=0,
            ended=bool(largest(flat_grad) <= rules.tolerance_grad),
        )
        while not at.ended and at.n_iter < max_iter:
            at = iterate(at, rules)
        unmoved = [None if leaf is None else unmoved_like(leaf) for leaf in leaves]
        short = at.moved.abs() < start.abs() / 2
        return tree(torch.where(short, at.moved, at.position - start), unmoved), at.state

    return GradientTransformation(init, update)


def _check_closure(value, value_fn):
    """Raise when an update that evaluates the loss was called without it."""
    if value is None or value_fn is None:
        raise ValueError(
            "lbfgs evaluates the loss: call update(grads, state, params, value=loss, "
            "value_fn=loss_fn), where loss is loss_fn(params); "
            f"got {'value' if value is None else 'value_fn'}=None"
        )
