"""Over which mesh axes a gradient function spreads its batch: a mark that its wrappers hand on."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from typing import Any, NamedTuple

import jax

from jaxaccel._tree import path_name
from jaxaccel._types import GradientFunction, Placement


class Spread(NamedTuple):
    """What a gradient function says of itself."""

    axes: tuple[str, ...]
    devices: int
    """Those of the mesh."""
    placement: Placement | None
    """Where it expects the arrays of a state; None: everywhere."""


def spread_of(gradient_fn: GradientFunction) -> Spread | None:
    """Return the mark of a gradient function, None where it has none."""
    return getattr(gradient_fn, "spread", None)


def with_spread(gradient_fn: GradientFunction, spread: Spread | None) -> GradientFunction:
    """Return a gradient function with a mark: its own, or that of the one it wraps."""
    if spread is not None:
        gradient_fn.spread = spread  # pyright: ignore[reportAttributeAccessIssue]
    return gradient_fn


def check_not_spread(taker: str, gradient_fn: GradientFunction, axes: Sequence[str]) -> None:
    """Raise for a gradient function whose batch is split over an axis already."""
    spread = spread_of(gradient_fn)
    both = [] if spread is None else [name for name in axes if name in spread.axes]
    if both:
        raise ValueError(
            f"{taker}: the batch of this gradient function is split over mesh axis {both[0]!r} "
            "already, by data_parallel, fully_shard or zero; give one of them "
            "training.gradients(loss_fn), or that inside accumulate"
        )


def warn_of_whole_arrays(state: Any, spread: Spread | None) -> None:
    """Warn of a state whose arrays are whole where a gradient function expects shares."""
    if spread is None or spread.placement is None or spread.devices == 1:
        return
    placement, devices = spread.placement, spread.devices
    for path, leaf in jax.tree_util.tree_leaves_with_path(state):
        where = getattr(leaf, "sharding", None)
        is_whole = where is not None and where.is_fully_replicated
        name = path_name(path)
        if is_whole and any(entry is not None for entry in placement(name, leaf)):
            warnings.warn(
                f"{name} is whole, and the gradient function has a share of it on each of "
                f"{devices} devices: nothing is saved. Make the state with the placement that came "
                "with the gradient function: train_state(..., mesh=mesh, placement=placement)",
                stacklevel=6,
            )
            return
