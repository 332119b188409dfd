"""The sparse initializer."""

import math

import torch

from torch_ref._layout import from_torch, shape_in_torch
from torch_ref.init import _draw


def sparse(sparsity, std=0.01, *, layout="flax"):
    """Draw from a normal distribution, and zero as many weights of each input."""

    def init(key, shape, dtype=None):
        outputs, inputs = shape_in_torch(shape, layout)
        kernel = _draw.normal(key, (outputs, inputs), dtype, 0.0, std)
        rows = _draw.permutations(key, outputs, inputs)[: math.ceil(sparsity * outputs)]
        kernel[rows, torch.arange(inputs)[None]] = 0
        return from_torch(kernel, layout)

    return init
