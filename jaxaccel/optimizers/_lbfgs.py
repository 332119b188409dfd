"""L-BFGS: steps along the gradient, shaped by a curvature that the last steps have shown."""

from __future__ import annotations

import functools
import math
from collections.abc import Callable
from typing import Annotated, Any, NamedTuple, TypeAlias

import jax
import jax.numpy as jnp
import numpy as np
import optax

from jaxaccel._call_repr import shows_call
from jaxaccel._check_packed import check_not_packed
from jaxaccel._check_trees import check_parameters, check_update
from jaxaccel._checked import checked_after
from jaxaccel._checks import check_lr, check_params_given, check_positive_integer, known_value
from jaxaccel._counts import schedule_step
from jaxaccel._functions import check_takes, number_of
from jaxaccel._math import in_dtype, values_at
from jaxaccel._tree import (
    initial_scalar,
    initial_step,
    is_none,
    next_step,
    short_repr,
    takes_shapes,
    unmoved_like,
)
from jaxaccel._types import Hyperparameter, Params, State, Updates
from jaxaccel.optimizers._arguments import Indivisible
from jaxaccel.optimizers._flat_vector import flat_dtype, largest, ravel, real_size, unravel
from jaxaccel.optimizers._lbfgs_iteration import Iterate, Rules, iterate
from jaxaccel.optimizers._torch_fields import FlatFields


class LBFGSState(NamedTuple):
    """State of :func:`lbfgs`, under PyTorch's keys.

    Vectors hold all n numbers of the parameters, in the order of the tree's leaves (complex ones
    as pairs of reals), and scalars are in the vectors' dtype, unless another is named.
    """

    step: jax.Array
    """int32 scalar: finished updates."""
    func_evals: jax.Array
    """int32 scalar: evaluations of the loss, the given one of each update included."""
    n_iter: jax.Array
    """int32 scalar: iterations."""
    d: jax.Array
    """(n,): the last direction."""
    t: jax.Array
    """Scalar: the last step length along it."""
    old_dirs: jax.Array
    """(history_size, n): changes of the gradient, a ring: pair k is in row k mod history_size."""
    old_stps: jax.Array
    """(history_size, n): the steps that made them."""
    ro: jax.Array
    """(history_size,): 1 over the inner product of each pair."""
    H_diag: jax.Array
    """Scalar: the inverse Hessian before the pairs correct it."""
    prev_flat_grad: jax.Array
    """(n,): the gradient where the last iteration began."""
    prev_loss: jax.Array
    """Scalar: the loss there; NaN where it is not needed and was not given."""
    num_stored: jax.Array
    """int32 scalar: pairs stored so far (PyTorch's lists know their length)."""

    torch_fields = FlatFields(
        integers=("func_evals", "n_iter"),
        numbers=("t", "prev_loss"),
        arrays=("d", "H_diag", "prev_flat_grad"),
        lists=("old_dirs", "old_stps", "ro"),
    )
    own_counts = ()
    __repr__ = short_repr


WholeTransformation: TypeAlias = Annotated[
    optax.GradientTransformationExtraArgs,
    Indivisible("LBFGS doesn't support per-parameter options (parameter groups)"),
]


@shows_call
@checked_after
def lbfgs(
    lr: Hyperparameter = 1,
    max_iter: int = 20,
    max_eval: int | None = None,
    tolerance_grad: Hyperparameter = 1e-7,
    tolerance_change: Hyperparameter = 1e-9,
    history_size: int = 100,
    line_search_fn: str | None = None,
) -> WholeTransformation:
    r"""L-BFGS: one update is a whole ``step(closure)`` of PyTorch's, up to ``max_iter`` iterations.

    .. math::
        y_i &= g_{k-i+1} - g_{k-i}, \qquad s_i = \theta_{k-i+1} - \theta_{k-i}, \qquad
        \rho_i = 1 / y_i^\top s_i \\
        d_k &= -H_k\,g_k, \qquad H_k = V_i^\top H_k^{(i+1)} V_i + \rho_i\,s_i s_i^\top,
        \qquad V_i = I - \rho_i\,y_i s_i^\top \\
        \theta_{k+1} &= \theta_k + t\,d_k

    The innermost :math:`H_k` is :math:`(y_1^\top s_1 / y_1^\top y_1)\,I`. A pair enters the history
    where :math:`y^\top s > 10^{-10}`. The step :math:`t` is the learning rate (in the very first
    iteration times :math:`\min(1, 1/\lVert g \rVert_1)`), or what a line search finds from there.

    ``update(grads, state, params, value=loss, value_fn=loss_fn)`` takes the loss and gradients at
    ``params``, PyTorch's first call of the closure, and calls ``loss_fn(params) -> loss`` for the
    others, inside the compiled program. With ``max_iter=1`` and no line search there are no others,
    and both may be left out.

    Args:
        lr: Learning rate, at least 0: a number, a JAX scalar or a schedule ``step -> value``, read
            as :obj:`Hyperparameter` says. One update is one step.
        max_iter: Most iterations in one update, at least 1.
        max_eval: Evaluations in one update, the given one included, after which no iteration
            begins, at least 1. ``None`` is ``max_iter * 5 // 4``.
        tolerance_grad: Stop where no entry of the gradient is larger; like ``lr`` a number, a JAX
            scalar or a schedule.
        tolerance_change: Stop where no parameter, or where the loss, changes by more; likewise.
        history_size: Pairs that are kept, at least 1.
        line_search_fn: ``"strong_wolfe"``, or ``None`` for the learning rate itself.

    Returns:
        A transformation whose ``update`` returns additive updates in the parameters' dtypes and an
        :class:`LBFGSState` of vectors, in the parameters' widest real dtype, at least float32.
        Its history is allocated at once: ``2 * history_size`` times the parameters.

    Raises:
        ValueError: ``lr`` is negative, or ``max_iter``, ``max_eval`` or ``history_size`` is below
            1; or ``update`` is called without parameters, or without ``value`` and ``value_fn``
            where it needs them.
        TypeError: A numeric argument is not a number, a JAX scalar or a schedule, or a count is
            not an integer.
        RuntimeError: ``line_search_fn`` is another name.

    PyTorch:
        ``torch.optim.LBFGS``: same arguments, defaults, state keys, errors, order of evaluations,
        stopping rules and numbers. The vectors follow the order of the tree's leaves. Lists are
        rings with a counter, ``num_stored``; the scratch ``al`` is not kept. PyTorch holds losses
        as Python doubles, here they have the vectors' dtype. Between evaluations the position is
        held in that dtype and rounded once, where PyTorch rounds half-precision parameters, or
        float32 ones beside float64 ones, in every iteration. An additive update cannot hold more
        digits than itself: each call ends within a rounding of ``params`` of PyTorch's end. A
        complex leaf is a pair of reals; its gradient is PyTorch's, the conjugate of
        ``jax.grad``'s. A leaf whose gradient is ``None`` stays as it is and has zeros in the
        vectors. Under ``shard_map`` the parameters must be whole on every device, and ``value_fn``
        must average over them.

    Example:
        >>> import jax
        >>> import jax.numpy as jnp
        >>> import jaxaccel as ja
        >>> def rosenbrock(w):
        ...     return (1 - w[0]) ** 2 + 100 * (w[1] - w[0] ** 2) ** 2
        >>> tx = ja.optimizers.lbfgs(max_iter=40, line_search_fn="strong_wolfe")
        >>> w = jnp.array([-1.2, 1.0])
        >>> loss, grads = jax.value_and_grad(rosenbrock)(w)
        >>> updates, state = tx.update(grads, tx.init(w), w, value=loss, value_fn=rosenbrock)
        >>> print((w + updates).round(2))
        [1. 1.]

    References:
        Liu, Nocedal. On the limited memory BFGS method for large scale optimization. 1989.
        https://doi.org/10.1007/BF01589116

        Nocedal, Wright. Numerical Optimization, algorithms 3.5, 3.6 and 7.4. 2006.
    """
    check_lr(lr)
    known_value("tolerance_grad", tolerance_grad)
    known_value("tolerance_change", tolerance_change)
    max_iter = check_positive_integer("max_iter", max_iter)
    max_eval = max_iter * 5 // 4 if max_eval is None else max_eval
    max_eval = check_positive_integer("max_eval", max_eval)
    history_size = check_positive_integer("history_size", history_size)
    if line_search_fn not in (None, "strong_wolfe"):
        raise RuntimeError("only 'strong_wolfe' is supported")

    @takes_shapes
    def init(params: Params) -> State:
        check_not_packed("lbfgs", params)
        check_parameters(params)
        return _initial_state(params, history_size)

    def update(
        updates: Updates,
        state: State,
        params: Params | None = None,
        *,
        value: Any = None,
        value_fn: Callable[[Params], Any] | None = None,
        **extra: object,
    ) -> tuple[Updates, State]:
        check_update("lbfgs", LBFGSState, updates, state, params, slots_alike=False)
        check_params_given(params, "lbfgs")
        if max_iter > 1 or line_search_fn is not None:
            _check_closure(value, value_fn)
        if value_fn is not None:
            check_takes("value_fn", "(params) -> loss", value_fn, params)
        grads, treedef = jax.tree.flatten(updates, is_leaf=is_none)
        leaves, dtype = treedef.flatten_up_to(params), state.d.dtype
        tree = functools.partial(_in_tree, treedef, grads, leaves)
        evaluate = _evaluation(value_fn, lambda position: tree(position, leaves), dtype)
        at = schedule_step(extra, state.step)
        in_force = values_at(
            at, lr=lr, tolerance_grad=tolerance_grad, tolerance_change=tolerance_change
        )
        numbers = in_dtype(dtype, *in_force.values())
        rules = Rules(evaluate, max_iter, max_eval, line_search_fn, *numbers)
        start, flat_grad = ravel(leaves, leaves, dtype), ravel(grads, leaves, dtype)
        state, moved = _iterated(state, start, value, flat_grad, rules)
        return tree(moved, [None if p is None else unmoved_like(p) for p in leaves]), state

    return optax.GradientTransformationExtraArgs(init, update)


def _initial_state(params: Params, history_size: int) -> LBFGSState:
    """Return the state before the first update, its vectors as long as all leaves together."""
    leaves = jax.tree.leaves(params)
    dtype, n = flat_dtype(leaves), sum(map(real_size, leaves))
    scalar = functools.partial(initial_scalar, params)

    def zeros(*shape: int) -> jax.Array:
        return jnp.broadcast_to(scalar(dtype), shape)

    return LBFGSState(
        step=initial_step(params),
        func_evals=scalar(np.int32),
        n_iter=scalar(np.int32),
        d=zeros(n),
        t=scalar(dtype),
        old_dirs=zeros(history_size, n),
        old_stps=zeros(history_size, n),
        ro=zeros(history_size),
        H_diag=scalar(dtype, 1),
        prev_flat_grad=zeros(n),
        prev_loss=scalar(dtype),
        num_stored=scalar(np.int32),
    )


def _in_tree(
    treedef: Any, grads: list[Any], leaves: list[Any], vector: jax.Array, still: list[Any]
) -> Any:
    """Return a vector as a tree, and of ``still`` the leaves that no gradient reaches."""
    moving = zip(unravel(vector, leaves), still, grads, strict=True)
    return treedef.unflatten([rest if g is None else leaf for leaf, rest, g in moving])


def _evaluation(value_fn: Any, tree: Callable[[jax.Array], Any], dtype: Any) -> Any:
    """Return the function of a position that evaluates the loss there, and its gradient."""

    def loss_at(position: jax.Array) -> jax.Array:
        return jnp.asarray(number_of("value_fn", value_fn(tree(position)), "return"), dtype)

    return jax.value_and_grad(loss_at)


def _iterated(
    state: State, start: jax.Array, value: Any, flat_grad: jax.Array, rules: Rules
) -> tuple[State, jax.Array]:
    """Iterate until a rule ends it; return the state, and the way from the start."""
    last = jax.lax.while_loop(
        lambda at: ~at.ended & (at.n_iter < rules.max_iter),
        functools.partial(iterate, rules=rules),
        Iterate(
            state=state._replace(step=next_step(state.step), func_evals=state.func_evals + 1),
            position=start,
            # p + (-0.0) is p for every p; p + 0.0 would turn -0.0 into 0.0.
            moved=jnp.full_like(start, -0.0),
            loss=jnp.asarray(math.nan if value is None else value, start.dtype).reshape(()),
            flat_grad=flat_grad,
            current_evals=jnp.ones((), jnp.int32),
            n_iter=jnp.zeros((), jnp.int32),
            ended=largest(flat_grad) <= rules.tolerance_grad,
        ),
    )
    # A short way keeps digits that the position has lost; a long one must end on the position.
    short = jnp.abs(last.moved) < jnp.abs(start) / 2
    return last.state, jnp.where(short, last.moved, last.position - start)


def _check_closure(value: Any, value_fn: Any) -> None:
    """Raise when an update that evaluates the loss was called without it."""
    if value is None or value_fn is None:
        raise ValueError(
            "lbfgs evaluates the loss: call update(grads, state, params, value=loss, "
            "value_fn=loss_fn), where loss is loss_fn(params); "
            f"got {'value' if value is None else 'value_fn'}=None"
        )
