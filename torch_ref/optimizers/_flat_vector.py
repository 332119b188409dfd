"""What L-BFGS asks of all parameters as one real vector."""

import torch


def dot(a, b):
    """Return the inner product."""
    return torch.dot(a, b)


def largest(vector):
    """Return the largest magnitude: 0 if there is none."""
    return vector.abs().max() if vector.numel() else torch.zeros((), dtype=vector.dtype)
