"""The identity for convolutions."""

import torch

from torch_ref._layout import from_torch, shape_in_torch


def dirac(groups=1, *, layout="flax"):
    """Return the kernel of a convolution that passes its input channels on."""

    def init(key, shape, dtype=None):
        outputs, inputs, *window = shape_in_torch(shape, layout)
        start = torch.arange(groups) * (outputs // groups)
        channel = torch.arange(min(outputs // groups, inputs))
        middle = tuple(size // 2 for size in window)
        kernel = torch.zeros((outputs, inputs, *window), dtype=dtype)
        kernel[(start[:, None] + channel, channel[None], *middle)] = 1
        return from_torch(kernel, layout)

    return init
