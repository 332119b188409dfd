"""Parameter groups: one optimizer with other hyperparameters for some of the parameters."""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import jax
import optax

from jaxaccel._call_repr import shows_call
from jaxaccel._check_trees import check_gradients, check_parameters, check_state
from jaxaccel._checked import checked_after
from jaxaccel._counts import is_counted, schedule_step
from jaxaccel._functions import check_factory, check_takes
from jaxaccel._math import is_zero
from jaxaccel._selectors import path_test, paths_in_words, selected
from jaxaccel._tree import initial_step, is_none, next_step, short_repr, takes_shapes
from jaxaccel._types import Params, State, Updates
from jaxaccel.optimizers._arguments import check_divisible, number_kinds
from jaxaccel.optimizers._held import in_force, rewritten, written


class ParamGroupsState(NamedTuple):
    """State of :func:`param_groups`."""

    step: jax.Array
    """int32 scalar: finished updates, which the schedules are read at."""
    hyperparams: tuple[dict[str, Any], ...]
    """Per group the numbers that the next update uses, scalars of JAX's default float; after an
    update with ``schedule_step=`` or ``skipped_steps=`` those that it used."""
    inner_states: tuple[State, ...]
    """Per group the optimizer's own state, over the parameters of that group."""

    reads_schedules = True  # at its step
    is_elementwise = True
    __repr__ = short_repr


@shows_call
@checked_after
def param_groups(
    optimizer: Callable[..., optax.GradientTransformationExtraArgs],
    groups: Sequence[Mapping[str, Any]],
    **defaults: Any,
) -> optax.GradientTransformationExtraArgs:
    """Give groups of parameters hyperparameters of their own, as PyTorch's list of groups does.

    Hyperparameters live in the state as arrays, where :func:`get_hyperparams` reads them and
    :func:`set_hyperparams` changes them between steps without compiling again. A schedule writes
    its value there.

    Args:
        optimizer: An optimizer of this room, such as :func:`adamw`, or your own function that
            returns a transformation. Its annotations say which arguments are numbers to be held in
            the state: ``lr: ja.optimizers.Hyperparameter``, ``beta: ja.optimizers.DecayFactor``,
            ``momentum: ja.optimizers.BufferDecay``.
        groups: One mapping a group: ``"params"`` says which parameters, the other keys are
            arguments of the optimizer. ``"params"`` is a regular expression that is searched for
            in the parameter's path (``"blocks.0.attention.bias"``: the keys of the user's own tree
            joined by dots, without the ``.value`` of nnx), a predicate ``(path, leaf) -> bool``
            such as :func:`no_decay`, or a mask: a tree of bools like the parameters or a prefix
            of it; the last two may choose no parameter at all, as a group of PyTorch may be empty.
            The first group that matches has the parameter. One that layers share, in
            parameters of ``training.split_model``, is meant by its name in PyTorch.
        **defaults: Arguments of the optimizer for all groups that do not name them, and for the
            default group of all other parameters, which comes last.

    Returns:
        A transformation whose state is a :class:`ParamGroupsState`.

    Raises:
        ValueError: A hyperparameter of a group is out of the optimizer's bounds, with PyTorch's
            text; a group has no ``"params"``, or a pattern that does not compile; or, in
            ``init``, a pattern matches nothing, the text lists the paths, or a second name alone of
            a parameter that layers share.
        TypeError: The optimizer has no such argument, or does not say which are numbers; ``groups``
            is not a list of mappings; ``"params"`` is neither pattern, predicate nor mask.

    PyTorch:
        ``torch.optim.X([{"params": ..., "lr": ...}, ...], lr=...)``: same numbers. PyTorch takes
        the parameters themselves and refuses overlaps; here they are named, and what no group
        names is the default group. A momentum given as the number 0 has no buffer, for good.
        Decay factors are held as ``1 - value``, so that float32 keeps their digits. A group's own
        ``initial_accumulator_value`` counts here; PyTorch's Adagrad reads only the default one.

    Example:
        >>> import jax.numpy as jnp
        >>> import jaxaccel as ja
        >>> tx = ja.optimizers.param_groups(
        ...     ja.optimizers.adamw, [{"params": "bias$", "weight_decay": 0.0}], lr=0.1
        ... )
        >>> params = {"kernel": jnp.ones(()), "bias": jnp.ones(())}
        >>> state = tx.init(params)
        >>> updates, state = tx.update(params, state, params)
        >>> print(updates["kernel"], updates["bias"])
        -0.101 -0.1
    """
    check_factory("param_groups", optimizer)
    check_divisible(optimizer)
    selectors = [selector_of(index, group) for index, group in enumerate(groups)]
    arguments = [{**defaults, **group} for group in [*groups, {}]]
    kinds = number_kinds(optimizer)
    for group in arguments:
        group.pop("params", None)
        _check_arguments(optimizer, group)
    numbers = [_numbers(optimizer, kinds, group) for group in arguments]

    @takes_shapes
    def init(params: Params) -> State:
        check_parameters(params)
        owners = owners_of(selectors, params)
        check_each_matches(selectors, owners, params)
        hyperparams = tuple(written(kinds, group, params) for group in numbers)
        inner_states = tuple(
            optimizer(**group).init(of_owner(index, owners, params, params))
            for index, group in enumerate(arguments)
        )
        return ParamGroupsState(initial_step(params), hyperparams, inner_states)

    def update(
        updates: Updates, state: State, params: Params | None = None, **extra: object
    ) -> tuple[Updates, State]:
        check_state("param_groups", ParamGroupsState, state)
        like = updates if params is None else params
        check_gradients("param_groups", updates, like, dense=False)
        owners = owners_of(selectors, like)
        step, in_use = next_step(state.step), state.hyperparams
        by_caller = is_counted(extra)
        if by_caller:
            in_use = _all_rewritten(in_use, numbers, schedule_step(extra, state.step))
        found, inner_states = [], []
        for index, (group, held) in enumerate(zip(arguments, in_use, strict=True)):
            own_updates, inner_state = optimizer(**{**group, **in_force(held)}).update(
                of_owner(index, owners, updates, like),
                state.inner_states[index],
                None if params is None else of_owner(index, owners, params, like),
                **extra,
            )
            found.append(own_updates)
            inner_states.append(inner_state)
        hyperparams = in_use if by_caller else _all_rewritten(in_use, numbers, step)
        return merged(owners, found, like), ParamGroupsState(step, hyperparams, tuple(inner_states))

    return optax.GradientTransformationExtraArgs(init, update)


def selector_of(index: int, group: Mapping[str, Any]) -> Any:
    """Return what says which parameters a group has."""
    if not isinstance(group, Mapping):
        raise TypeError(f"group {index} of groups must be a mapping, got {group!r:.80}")
    if "params" not in group:
        raise ValueError(
            f'group {index} ({dict(group)}) has no "params"; give it a regular expression, a '
            "predicate (path, leaf) -> bool or a mask"
        )
    path_test(f'"params" of group {index}', group["params"])
    return group["params"]


def _check_arguments(optimizer: Callable[..., Any], group: Mapping[str, Any]) -> None:
    """Raise what an optimizer says about its arguments, or what is said about one's own."""
    try:
        optimizer(**group)
    except TypeError as error:
        # The call itself has failed where no frame of the function is in the traceback.
        if error.__traceback__ is not None and error.__traceback__.tb_next is None:
            check_takes("optimizer", f"of {', '.join(group)}", optimizer, **group)
        raise


def _numbers(
    optimizer: Callable[..., Any], kinds: Mapping[str, Any], arguments: Mapping[str, Any]
) -> dict[str, Any]:
    """Return the hyperparameters that the state holds.

    The number 0 is not one of them where it decides that the state has no buffer.
    """
    signature = inspect.signature(optimizer)
    bound = signature.bind(**arguments)
    bound.apply_defaults()
    return {
        name: bound.arguments[name]
        for name, kind in kinds.items()
        if not (is_zero(bound.arguments[name]) and kind.has_buffer)
    }


def owners_of(selectors: Sequence[Any], params: Any) -> list[int]:
    """Return for every parameter the index of the first group that selects it."""
    columns = [selected('"params"', selector, params) for selector in selectors]
    default = [True] * len(jax.tree.leaves(params, is_leaf=is_none))
    return [row.index(True) for row in zip(*columns, default, strict=True)]


def check_each_matches(
    selectors: Sequence[Any], owners: list[int], params: Any, argument: str | None = None
) -> None:
    """Raise for a pattern that matches no parameter: what is misspelt would go unnoticed.

    Args:
        argument: What the only selector was given as, where it is not of a group.
    """
    for index, selector in enumerate(selectors):
        if not isinstance(selector, (str, re.Pattern)):
            continue
        if owners and index not in owners:  # optax's tree.map_params has no parameters
            said = f"{argument}={selector!r} matches no parameter"
            if argument is None:
                said = (
                    f"group {index} with params={selector!r} matches no parameter that an earlier "
                    "group has not taken"
                )
            raise ValueError(
                f"{said}; {paths_in_words(params)}. {'What' if argument else 'A group that'} may "
                "be empty is given by a predicate or a mask"
            )


def _all_rewritten(held: Any, numbers: Sequence[Any], step: Any) -> tuple[dict[str, Any], ...]:
    """Return the hyperparameters of all groups with what is scheduled read at a step."""
    return tuple(rewritten(*both, step) for both in zip(held, numbers, strict=True))


def of_owner(index: int, owners: list[int], tree: Any, like: Any) -> Any:
    """Return a tree with nothing in the places of other groups' parameters."""
    treedef = jax.tree.structure(like, is_leaf=is_none)
    leaves = treedef.flatten_up_to(tree)
    return treedef.unflatten(
        leaf if owner == index else optax.MaskedNode()
        for owner, leaf in zip(owners, leaves, strict=True)
    )


def merged(owners: list[int], trees: Sequence[Any], like: Any) -> Any:
    """Return one tree with every leaf from the tree of its own group."""
    treedef = jax.tree.structure(like, is_leaf=is_none)
    columns = zip(*map(treedef.flatten_up_to, trees), strict=True)
    return treedef.unflatten(row[owner] for owner, row in zip(owners, columns, strict=True))
