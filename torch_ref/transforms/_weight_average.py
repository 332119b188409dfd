"""Averages of the weights over training: exponentially decaying, or equal."""

from collections.abc import Callable
from typing import Any, NamedTuple

import torch
from torch.utils import _pytree as pytree

from torch_ref._checks import known_value
from torch_ref._math import compute_dtype, ema, value_at
from torch_ref._tree import initial_step


class AverageState(NamedTuple):
    """State of a :class:`WeightAverage`, under PyTorch's keys."""

    n_averaged: int
    module: Any


class WeightAverage(NamedTuple):
    """A pair of pure functions that keep an average of a model's parameters."""

    init: Callable[[Any], AverageState]
    update: Callable[[AverageState, Any], AverageState]


def exponential_moving_average(decay=0.999):
    """Average the weights with exponentially decaying shares."""
    known = known_value("decay", decay)
    if known is not None and not 0.0 <= known <= 1.0:
        raise ValueError(
            f"Invalid decay value {decay} provided. Please provide a value in [0,1] range."
        )

    def average(averaged, param, n_averaged, is_integer):
        at = value_at(decay, n_averaged)
        if not is_integer:
            return ema(averaged, param, at)
        return averaged * at + param * (1 - at)

    return _weight_average(average)


def stochastic_weight_average():
    """Average the weights with equal shares."""

    def average(averaged, param, n_averaged, is_integer):
        del is_integer
        return averaged + (param - averaged) / (n_averaged + 1)

    return _weight_average(average)


def _weight_average(average):
    """Return the pair of functions around ``average(averaged, param, n_averaged, is_integer)``."""

    def init(params):
        return AverageState(initial_step(params), pytree.tree_map(torch.clone, params))

    def update(state, params):
        module = pytree.tree_map(
            lambda averaged, param: _update_leaf(averaged, param, state.n_averaged, average),
            state.module,
            params,
        )
        return AverageState(state.n_averaged + 1, module)

    return WeightAverage(init, update)


def _update_leaf(averaged, param, n_averaged, average):
    """Return the new average of one tensor, in the dtype of the old one; the first is a copy."""
    if n_averaged == 0:
        return param.to(averaged.dtype, copy=True)
    is_integer = not (averaged.is_floating_point() or averaged.is_complex())
    both = torch.promote_types(averaged.dtype, param.dtype)
    wide = torch.float32 if is_integer else compute_dtype(both)
    new = average(averaged.to(wide), param.to(wide), n_averaged, is_integer)
    return new.to(averaged.dtype)
