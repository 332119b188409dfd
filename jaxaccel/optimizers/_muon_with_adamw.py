"""Muon for the matrices that one names, AdamW for everything else."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import optax

from jaxaccel._call_repr import shows_call
from jaxaccel._check_trees import check_parameters, check_state
from jaxaccel._checked import checked_after
from jaxaccel._tree import short_repr, takes_shapes
from jaxaccel._types import Params, State, Updates
from jaxaccel.optimizers._adamw import adamw as adamw_alone
from jaxaccel.optimizers._muon import muon as muon_alone
from jaxaccel.optimizers._param_groups import (
    ParamGroupsState,
    check_each_matches,
    merged,
    of_owner,
    owners_of,
    param_groups,
    selector_of,
)


class MuonWithAdamWState(NamedTuple):
    """State of :func:`muon_with_adamw`: two optimizers', each over its own parameters."""

    muon: ParamGroupsState
    """Muon's numbers and momentum, over the matrices."""
    adamw: ParamGroupsState
    """AdamW's numbers and moments, over the rest."""

    __repr__ = short_repr


@shows_call
@checked_after
def muon_with_adamw(
    matrices: Any,
    muon: Mapping[str, Any] | None = None,
    adamw: Mapping[str, Any] | None = None,
    *,
    adamw_groups: Sequence[Mapping[str, Any]] = (),
) -> optax.GradientTransformationExtraArgs:
    """Muon for hidden matrices and AdamW for the rest, as one optimizer.

    Numbers of both are held in the state, as those of :func:`param_groups` are:
    :func:`get_hyperparams` reads them, :func:`set_hyperparams` changes them between steps, and a
    step has ``metrics["lr/muon.default"]`` and ``metrics["lr/adamw.default"]``.

    Args:
        matrices: Which parameters are Muon's, as ``"params"`` of a group of :func:`param_groups`
            says it: a regular expression, a predicate ``(path, leaf) -> bool`` or a mask. Usually
            the matrices of the blocks, without embeddings and the last layer.
        muon: Arguments of :func:`muon`: ``{"lr": 0.02}``; its defaults without.
        adamw: Arguments of :func:`adamw`, likewise.
        adamw_groups: Groups among the rest, as :func:`param_groups` has them.

    Returns:
        A transformation whose state is a :class:`MuonWithAdamWState`.

    Raises:
        ValueError: A hyperparameter is out of its optimizer's bounds, with PyTorch's text; in
            ``init``, a chosen parameter is not a matrix, or a pattern matches nothing.
        TypeError: An optimizer has no such argument, or ``matrices`` is neither pattern, predicate
            nor mask.

    PyTorch:
        Two optimizers, ``torch.optim.Muon`` over the matrices and ``torch.optim.AdamW`` over the
        rest, both stepped: same numbers. Their state dicts are those of the two parts:
        ``state_dict(state.muon, params, model=model, trainable_only=True)``.

    Example:
        >>> import jax.numpy as jnp
        >>> import jaxaccel as ja
        >>> tx = ja.optimizers.muon_with_adamw("kernel$", muon={"lr": 0.5}, adamw={"lr": 0.1})
        >>> params = {"kernel": jnp.array([[1.0, 2.0], [-2.0, 1.0]]), "bias": jnp.ones(2)}
        >>> state = tx.init(params)
        >>> updates, state = tx.update(params, state, params)
        >>> print(updates["bias"])
        [-0.101 -0.101]
        >>> for group in ja.optimizers.get_hyperparams(state):
        ...     print(group["name"], group["lr"])
        muon.default 0.5
        adamw.default 0.10000000149011612

    References:
        Jordan et al. Muon: An optimizer for hidden layers in neural networks. 2024.
        https://kellerjordan.github.io/posts/muon/
    """
    selector = selector_of(0, {"params": matrices})
    parts = (
        param_groups(muon_alone, [], **(muon or {})),
        param_groups(adamw_alone, adamw_groups, **(adamw or {})),
    )

    @takes_shapes
    def init(params: Params) -> State:
        check_parameters(params)
        owners = owners_of([selector], params)
        check_each_matches([selector], owners, params, "matrices")
        states: list[Any] = [
            part.init(of_owner(index, owners, params, params)) for index, part in enumerate(parts)
        ]
        return MuonWithAdamWState(*states)

    def update(
        updates: Updates, state: State, params: Params | None = None, **extra: object
    ) -> tuple[Updates, State]:
        check_state("muon_with_adamw", MuonWithAdamWState, state)
        like = updates if params is None else params
        owners = owners_of([selector], like)
        found: list[Any] = []
        states: list[Any] = []
        for index, (part, inner) in enumerate(zip(parts, state, strict=True)):
            own = of_owner(index, owners, updates, like)
            given = None if params is None else of_owner(index, owners, params, like)
            own_updates, own_state = part.update(own, inner, given, **extra)
            found.append(own_updates)
            states.append(own_state)
        return merged(owners, found, like), MuonWithAdamWState(*states)

    return optax.GradientTransformationExtraArgs(init, update)
