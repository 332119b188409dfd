"""Averages of the weights over training: exponentially decaying, or equal."""

import torch

from torch_ref._math import compute_dtype, ema, one_minus


def _decaying(averaged, param, is_integer, *, decay):
    """Return the average with exponentially decaying shares."""
    if not is_integer:
        return ema(averaged, param, decay)
    return averaged * decay + param * one_minus(decay)


def _equal(averaged, param, n_averaged):
    """Return the average with equal shares."""
    return averaged + (param - averaged) / (n_averaged + 1)


def _update_leaf(averaged, param, n_averaged, average):
    """Return the new average of one tensor, in the dtype of the old one; the first is a copy."""
    is_integer = not (averaged.is_floating_point() or averaged.is_complex())
    both = torch.promote_types(averaged.dtype, param.dtype)
    wide = torch.float32 if is_integer else compute_dtype(both)
    new = average(averaged.to(wide), param.to(wide), n_averaged, is_integer)
    return param.to(averaged.dtype) if n_averaged == 0 else new.to(averaged.dtype)
