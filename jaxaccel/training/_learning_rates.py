"""The learning rates of a step, where the optimizer's state holds them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import jax
import jax.numpy as jnp

from jaxaccel._tree import holds_hyperparams
from jaxaccel.optimizers import get_hyperparams, has_hyperparams


def learning_rates(before: Any, after: Any, is_counted: bool) -> dict[str, jax.Array]:
    """Return what an update used: ``{"lr": rate}``, or one ``"lr/<name>"`` for each of groups.

    Nothing where the optimizer's state, before and after the update, holds none. ``is_counted``:
    the update was given ``schedule_step``.
    """
    if not has_hyperparams(before):
        return {}
    # Parameter groups hold what the next update uses (what the last one used, where the caller
    # counts the steps), optax what the last one used.
    used = jax.tree.map(
        lambda old, new: new if is_counted or _is_optax(old) else old,
        before,
        after,
        is_leaf=holds_hyperparams,
    )
    rates = {
        group["name"]: jnp.asarray(group[name])
        for group in get_hyperparams(used)
        for name in ("lr", "learning_rate")
        if group.get(name) is not None
    }
    return {"lr" if len(rates) == 1 else f"lr/{name}": rate for name, rate in rates.items()}


def _is_optax(node: Any) -> bool:
    """Return whether a node is the state of ``optax.inject_hyperparams``."""
    return holds_hyperparams(node) and isinstance(node.hyperparams, Mapping)
