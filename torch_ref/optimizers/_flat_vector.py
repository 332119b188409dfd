"""A list of parameters as one real vector, as PyTorch's L-BFGS sees it."""

import functools

import torch

from torch_ref._math import as_real_pairs


def flat_dtype(leaves):
    """Return the dtype of the vector: the widest real dtype of the leaves, at least float32."""
    reals = [leaf.real.dtype for leaf in leaves]
    return functools.reduce(torch.promote_types, reals, torch.float32)


def real_size(leaf):
    """Return how many reals a leaf holds: none where there is no leaf."""
    return 0 if leaf is None else leaf.numel() * (2 if leaf.is_complex() else 1)


def ravel(leaves, like, dtype):
    """Return leaves one after the other; one that is ``None`` is zeros in the size of ``like``."""
    parts = [torch.zeros(0, dtype=dtype)]
    for leaf, other in zip(leaves, like, strict=True):
        if leaf is None:
            parts.append(torch.zeros(real_size(other), dtype=dtype))
        else:
            real = as_real_pairs(leaf) if leaf.is_complex() else leaf
            parts.append(real.reshape(-1).to(dtype))
    return torch.cat(parts)


def unravel(vector, like):
    """Return the vector's leaves in the shapes and dtypes of ``like``."""
    pieces = torch.split(vector, [0, *map(real_size, like)])[1:]
    leaves = []
    for piece, leaf in zip(pieces, like, strict=True):
        if leaf is None:
            leaves.append(None)
        elif leaf.is_complex():
            pairs = piece.reshape(*leaf.shape, 2).to(leaf.real.dtype)
            leaves.append(torch.complex(pairs[..., 0], pairs[..., 1]))
        else:
            leaves.append(piece.reshape(leaf.shape).to(leaf.dtype))
    return leaves


def dot(a, b):
    """Return the inner product."""
    return torch.dot(a, b)


def largest(vector):
    """Return the largest magnitude: 0 if there is none."""
    return vector.abs().max() if vector.numel() else torch.zeros((), dtype=vector.dtype)
