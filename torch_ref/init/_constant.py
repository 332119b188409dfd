"""Initializers that draw nothing and fill an array with one number."""

import torch


def constant(val):
    """Fill an array with a number."""

    def init(key, shape, dtype=None):
        return torch.empty(shape, dtype=dtype).fill_(val)

    return init


def ones():
    """Fill an array with ones."""
    return constant(1.0)


def zeros():
    """Fill an array with zeros."""
    return constant(0.0)
