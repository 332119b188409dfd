"""Clipping of every gradient entry by itself."""

import torch


def _clamp(grad, bound):
    """Return ``grad`` clamped to ``[-bound, bound]``."""
    return torch.clamp(grad, -bound, bound)
