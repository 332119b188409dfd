"""The orthogonal initializer."""

import math

import torch

from torch_ref._layout import from_torch, shape_in_torch
from torch_ref.init import _draw


def orthogonal(gain=1, *, layout="flax"):
    """Draw an orthogonal matrix, all of them being equally likely."""

    def init(key, shape, dtype=None):
        if 0 in shape:
            return torch.zeros(shape, dtype=dtype)
        outputs, *inputs = shape_in_torch(shape, layout)
        columns = math.prod(inputs)
        matrix = _draw.normal(key, (outputs, columns), dtype, 0.0, 1.0)
        q, r = torch.linalg.qr(matrix.T if outputs < columns else matrix)
        # Without the signs the result would depend on how the factors are computed.
        q = q * torch.sign(torch.diagonal(r))[None, :]
        kernel = (q.T if outputs < columns else q).reshape(outputs, *inputs)
        return from_torch(kernel * gain, layout)

    return init
