"""Kernel layouts: torch's (O, I, *k) and flax's (*k, I, O)."""

import math

import torch


def fans(shape, layout):
    """Return (fan_in, fan_out) of a kernel, as ``torch.nn.init`` counts them."""
    outputs, inputs, *window = shape_in_torch(shape, layout)
    return inputs * math.prod(window), outputs * math.prod(window)


def to_flax(tensor):
    """Turn a kernel (O, I, *k) into (*k, I, O); vectors and scalars have no layout."""
    if tensor.ndim < 2:
        return tensor
    return torch.permute(tensor, (*range(2, tensor.ndim), 1, 0))


def shape_in_torch(shape, layout):
    """Return the shape that a kernel of ``shape`` has in PyTorch."""
    if layout == "torch" or len(shape) < 2:
        return tuple(shape)
    return (shape[-1], shape[-2], *shape[:-2])


def from_torch(tensor, layout):
    """Turn a kernel (O, I, *k) into the layout asked for."""
    return to_flax(tensor) if layout == "flax" else tensor
