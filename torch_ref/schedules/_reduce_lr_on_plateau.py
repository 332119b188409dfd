"""ReduceLROnPlateau."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, Literal, NamedTuple

from torch_ref._checks import check_eps
from torch_ref._tree import initial_step, update_leaves
from torch_ref._types import GradientTransformation
from torch_ref.schedules._inputs import known_count, known_lr, known_number


class PlateauState(NamedTuple):
    """State of a :class:`Plateau`, under the keys of PyTorch's ``state_dict``."""

    best: float
    num_bad_epochs: int
    cooldown_counter: int
    last_epoch: int
    lr: float


class Plateau(NamedTuple):
    """A learning rate that follows a metric: pure functions, alone or behind an optimizer."""

    init: Callable[[], PlateauState]
    update: Callable[[PlateauState, Any], PlateauState]
    transformation: GradientTransformation


def reduce_lr_on_plateau(
    lr: float,
    mode: Literal["min", "max"] = "min",
    factor: float = 0.1,
    patience: int = 10,
    threshold: float = 1e-4,
    threshold_mode: Literal["rel", "abs"] = "rel",
    cooldown: int = 0,
    min_lr: float = 0,
    eps: float = 1e-8,
) -> Plateau:
    """Reduce the learning rate when a metric has stopped improving."""
    lr = known_lr(lr)
    if mode not in ("min", "max"):
        raise ValueError(f"mode {mode} is unknown!")
    if threshold_mode not in ("rel", "abs"):
        raise ValueError(f"threshold mode {threshold_mode} is unknown!")
    factor = _known_factor(factor)
    most_bad = known_count("patience", patience, least=0)
    pause = known_count("cooldown", cooldown, least=0)
    check_eps(eps)
    is_better = _comparison(mode, _known("threshold", threshold), threshold_mode)
    reduce = _reduction(factor, _known_min_lr(min_lr), known_number("eps", eps))

    def init(params: Any = None) -> PlateauState:
        worst = math.inf if mode == "min" else -math.inf
        bad, cooldown_counter, epoch = (initial_step(params) for _ in range(3))
        return PlateauState(worst, bad, cooldown_counter, epoch, lr)

    def update(state: PlateauState, metric: Any) -> PlateauState:
        metric = float(metric)
        better = is_better(metric, state.best)
        is_cooling = state.cooldown_counter > 0
        bad = 0 if better or is_cooling else state.num_bad_epochs + 1
        reduces = bad > most_bad
        cooled = max(state.cooldown_counter - 1, 0)
        return PlateauState(
            best=metric if better else state.best,
            num_bad_epochs=0 if reduces else bad,
            cooldown_counter=pause if reduces else cooled,
            last_epoch=state.last_epoch + 1,
            lr=reduce(state.lr) if reduces else state.lr,
        )

    return Plateau(init, update, _transformation(lr, init, update))


def _transformation(lr, init, update_plateau):
    """Return the transformation that scales the updates of an optimizer with that ``lr``."""

    def update(updates, state, params=None, *, value):
        del params
        if lr > 0:  # 0 / 0 otherwise
            scale = state.lr / lr
            (updates,) = update_leaves(lambda _, leaf: (leaf * scale,), updates, None, ())
        return updates, state if value is None else update_plateau(state, value)

    return GradientTransformation(init, update)


def _comparison(mode, threshold, threshold_mode):
    """Return the test ``is_better(metric, best)``, in PyTorch's order of operations."""
    share = 1.0 - threshold if mode == "min" else threshold + 1.0
    distance = -threshold if mode == "min" else threshold

    def is_better(metric, best):
        bound = best * share if threshold_mode == "rel" else best + distance
        return metric < bound if mode == "min" else metric > bound

    return is_better


def _reduction(factor, min_lr, eps):
    """Return the function that reduces a learning rate."""

    def reduce(lr):
        new = max(lr * factor, min_lr)
        return new if lr - new > eps else lr

    return reduce


def _known(name: str, value: Any) -> float:
    """Return a number that is not NaN as a float."""
    known = known_number(name, value)
    if math.isnan(known):
        raise ValueError(f"{name} must be a number, got {value!r}")
    return known


def _known_factor(factor: Any) -> float:
    """Return the factor, at least 0 and below 1, as a float."""
    known = _known("factor", factor)
    if known >= 1.0:
        raise ValueError("Factor should be < 1.0.")
    if known < 0.0:
        raise ValueError(f"factor must be at least 0, got {factor!r}")
    return known


def _known_min_lr(min_lr: Any) -> float:
    """Return ``min_lr`` as a float; a list, one per group in PyTorch, is refused."""
    if isinstance(min_lr, (list, tuple)):
        raise TypeError(
            f"min_lr must be one number, got {min_lr!r}; build one plateau per parameter group, "
            "each with its own min_lr, and feed all of them with the same metric"
        )
    return _known("min_lr", min_lr)
