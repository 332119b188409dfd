"""The diagonal of the Hessian: exact, or estimated with random signs."""

import torch
from torch.utils import _pytree as pytree

from torch_ref._math import compute_dtype


def hessian_diagonal(loss_fn, params, key=None, samples=1):
    """Return the diagonal of a loss' Hessian; ``key`` is a ``torch.Generator`` here."""
    if samples < 1:
        raise ValueError(f"samples must be at least 1, got {samples}")
    leaves, treedef = pytree.tree_flatten(params)
    for leaf in leaves:
        if not leaf.is_floating_point():
            raise TypeError(f"a Hessian needs real floating-point parameters, got {leaf.dtype}")
    gradient = torch.func.grad(lambda leaves: loss_fn(pytree.tree_unflatten(leaves, treedef)))
    products = torch.func.vjp(gradient, leaves)[1]

    def entries(index):
        probe = _basis(leaves, index) if key is None else _signs(leaves, key)
        # From the left, by reverse mode: the Hessian is symmetric.
        (product,) = products(probe)
        return [_wide(z) * _wide(hz) for z, hz in zip(probe, product, strict=True)]

    count = sum(leaf.numel() for leaf in leaves) if key is None else samples
    totals = _sum_over(entries, leaves, count)
    scale = 1 if key is None else samples
    diagonal = [(total / scale).to(leaf.dtype) for total, leaf in zip(totals, leaves, strict=True)]
    return pytree.tree_unflatten(diagonal, treedef)


def _sum_over(entries, leaves, count):
    """Return the sum of ``entries(0) .. entries(count - 1)``."""
    totals = [torch.zeros_like(_wide(leaf)) for leaf in leaves]
    for index in range(count):
        totals = [total + v for total, v in zip(totals, entries(index), strict=True)]
    return totals


def _signs(leaves, key):
    """Return a random sign for every parameter."""
    return [
        2 * torch.randint(2, leaf.shape, generator=key, dtype=leaf.dtype) - 1 for leaf in leaves
    ]


def _basis(leaves, index):
    """Return the basis vector of one parameter, counted over all leaves."""
    vectors, start = [], 0
    for leaf in leaves:
        own = torch.arange(start, start + leaf.numel())
        vectors.append((own == index).reshape(leaf.shape).to(leaf.dtype))
        start += leaf.numel()
    return vectors


def _wide(tensor):
    """Return a tensor in the dtype that it is summed in."""
    return tensor.to(compute_dtype(tensor.dtype))
