"""What a GradScaler keeps from step to step, and PyTorch's ``state_dict`` of it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

import jax
import numpy as np

from jaxaccel._check_trees import check_state
from jaxaccel._tree import initial_scalar, short_repr

STATE_DICT = {
    "scale": float,
    "growth_factor": float,
    "backoff_factor": float,
    "growth_interval": int,
    "_growth_tracker": int,
}
"""The keys of PyTorch's ``state_dict``; a field of the state has no underscore in front."""


class GradScalerState(NamedTuple):
    """State of a :class:`GradScaler`: scalars, under the keys of PyTorch's ``state_dict``."""

    scale: jax.Array
    """float32: what the loss is multiplied with."""
    growth_factor: jax.Array
    """float32."""
    backoff_factor: jax.Array
    """float32."""
    growth_interval: jax.Array
    """int32."""
    growth_tracker: jax.Array
    """int32: steps in a row without an infinity; PyTorch's ``_growth_tracker``."""
    hysteresis: jax.Array | None
    """int32: infinities until the scale is reduced; ``None`` where the first one does it."""
    skipped: jax.Array
    """int32: updates so far for which an infinity was found. PyTorch counts none."""

    is_elementwise = True
    __repr__ = short_repr


def initial_state(numbers: Mapping[str, Any], waits: bool, params: Any) -> GradScalerState:
    """Return a state of scalars beside the parameters."""
    integers = ("growth_interval", "growth_tracker", "hysteresis", "skipped")
    scalars: dict[str, Any] = {
        name: initial_scalar(params, np.int32 if name in integers else np.float32, value)
        for name, value in numbers.items()
    }
    if not waits:
        scalars["hysteresis"] = None
    return GradScalerState(**scalars)


def state_dict_of(state: Any) -> dict[str, Any]:
    """Return PyTorch's keys; factors as the shortest decimals that float32 rounds to them."""
    check_state("state_dict of a grad_scaler", GradScalerState, state)
    found = {key: np.asarray(getattr(state, key.lstrip("_"))) for key in STATE_DICT}
    return {
        key: kind(str(found[key])) if key.endswith("factor") else kind(found[key])
        for key, kind in STATE_DICT.items()
    }


def state_from(first: Mapping[str, Any], waits: bool, state_dict: Mapping[str, Any]) -> Any:
    """Return the state that a ``state_dict`` holds."""
    if not state_dict:
        raise ValueError(
            "The source state dict is empty, possibly because it was saved from a disabled "
            "instance of GradScaler.\nGot {}; begin with init()"
        )
    missing = [key for key in STATE_DICT if key not in state_dict]
    if missing:
        raise ValueError(
            f"a state_dict of a GradScaler has {', '.join(STATE_DICT)}, this one lacks "
            f"{', '.join(missing)}; take scaler.state_dict() of PyTorch's"
        )
    loaded = {key.lstrip("_"): kind(state_dict[key]) for key, kind in STATE_DICT.items()}
    return initial_state({**first, **loaded}, waits, ())
