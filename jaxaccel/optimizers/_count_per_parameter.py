"""A step count for every parameter, as PyTorch keeps it."""

from __future__ import annotations

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax

from jaxaccel._call_repr import shows_call
from jaxaccel._check_trees import check_state
from jaxaccel._checked import checked_but
from jaxaccel._functions import check_transformation
from jaxaccel._tree import (
    Counts,
    holds_hyperparams,
    is_named_tuple,
    is_none,
    short_repr,
    takes_shapes,
)
from jaxaccel._types import Params, State, Updates


class CountPerParameterState(NamedTuple):
    """State of :func:`count_per_parameter`."""

    inner_state: State
    """State of the transformation inside. Where it had one step (NAdam: and a product, ASGD: and
    two more numbers) it has :class:`Counts`: a tree like the parameters."""

    is_elementwise = True
    __repr__ = short_repr


@shows_call
@checked_but("tx")
def count_per_parameter(tx: optax.GradientTransformation) -> optax.GradientTransformationExtraArgs:
    """Let every parameter count its own steps: those in which a gradient reached it.

    An optimizer of this room has one step for the whole tree. While the gradient of a leaf is
    ``None`` the leaf and its moments stay, but the step goes on; when the gradient comes, the leaf
    would be treated as if it had been there from the start: no bias correction, a dampened first
    momentum. Whoever thaws parameters during a run wraps the optimizer in this, and each of them
    begins when its gradient does.

    Schedules are read where they were: at the number of updates (or ``schedule_step=``), which
    stays in ``Counts.of_all``.

    Args:
        tx: An optimizer, or a chain or wrapper with optimizers inside, :func:`param_groups` too.
            What is counted apart already stays so. A state of your own takes part when its class
            says which fields are such counts (``own_counts = ("step",)``, ``()`` for none);
            ``update`` then finds :class:`Counts` there.

    Returns:
        A transformation with a :class:`CountPerParameterState`. A leaf that gets its first gradient
        makes a jitted step compile once more, since it is another tree.

    Raises:
        TypeError: ``tx`` is not a transformation, or one of its states does not say what it counts.

    PyTorch:
        ``optimizer.state[p]["step"]``, which begins with the first ``p.grad`` that is not ``None``,
        whether ``p`` was in the optimizer from the start or came by ``add_param_group``. Same
        numbers. Without this the count is one number instead of one a parameter.

    Example:
        >>> import jax.numpy as jnp
        >>> import jaxaccel as ja
        >>> params = {"body": jnp.ones(()), "head": jnp.ones(())}
        >>> tx = ja.optimizers.count_per_parameter(ja.optimizers.adam(lr=0.1))
        >>> state = tx.init(params)
        >>> _, state = tx.update({"body": None, "head": jnp.ones(())}, state, params)
        >>> updates, state = tx.update(params, state, params)
        >>> print(updates["body"], state.inner_state.step)
        -0.1 Counts(of_leaves={body: 1, head: 2}, of_all=2)
    """
    check_transformation("count_per_parameter", tx)
    inner = optax.with_extra_args_support(tx)

    @takes_shapes
    def init(params: Params) -> State:
        return CountPerParameterState(_counted(inner.init(params)))

    def update(
        updates: Updates, state: State, params: Params | None = None, **extra: object
    ) -> tuple[Updates, State]:
        check_state("count_per_parameter", CountPerParameterState, state)
        updates, inner_state = inner.update(updates, state.inner_state, params, **extra)
        return updates, CountPerParameterState(inner_state)

    return optax.GradientTransformationExtraArgs(init, update)


def _counted(state: Any) -> Any:
    """Return a state with a count for every parameter wherever it has one for all."""
    if is_named_tuple(state):
        if getattr(state, "own_counts", None) is not None:
            return _with_counts(state)  # what else it has are arrays
        _check_counts_nothing(state)
        return state._replace(**{name: _counted(part) for name, part in state._asdict().items()})
    return jax.tree.map(
        lambda node: _counted(node) if is_named_tuple(node) else node, state, is_leaf=is_named_tuple
    )


def _with_counts(state: Any) -> Any:
    """Return one state with its own counts apart."""
    counts = {name: getattr(state, name) for name in state.own_counts}
    trees = [x for name, x in state._asdict().items() if name not in counts and x is not None]
    if not trees:
        return state  # nothing of it begins

    def apart(count: Any) -> Any:
        if isinstance(count, Counts):
            return count

        def own(*leaves: Any) -> Any:
            return None if all(map(is_none, leaves)) else jnp.copy(count)

        tree = jax.tree.map(own, *trees, is_leaf=is_none)
        if not jax.tree.leaves(tree):
            return count
        return Counts(tree, count if jnp.issubdtype(count.dtype, jnp.integer) else None)

    return state._replace(**{name: apart(count) for name, count in counts.items()})


def _check_counts_nothing(state: Any) -> None:
    """Raise for the state of an optimizer that does not say what it counts.

    Optax's have a count beside averages; alone, or beside a random key, it is that of a schedule.
    """
    is_optax = "count" in state._fields and not holds_hyperparams(state)
    if hasattr(state, "torch_fields") or (is_optax and _has_averages(state)):
        raise TypeError(
            f"{type(state).__name__} does not say which of its numbers every parameter could have "
            'of its own; say so in its class: own_counts = ("step",), and read it there, or leave '
            "it outside count_per_parameter"
        )


def _has_averages(state: Any) -> bool:
    """Return whether a state has floating-point arrays beside its count."""
    others = [part for name, part in state._asdict().items() if name != "count"]
    dtypes = [getattr(leaf, "dtype", type(leaf)) for leaf in jax.tree.leaves(others)]
    return any(jnp.issubdtype(dtype, jnp.inexact) for dtype in dtypes)
