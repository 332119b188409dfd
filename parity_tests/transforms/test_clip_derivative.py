"""Clipping inside a program that is differentiated: its derivative is PyTorch's, at 0 too."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import torch

import jaxaccel as ja
from parity_tests import tolerances as tol
from parity_tests.harness.compare import assert_close

GRADIENTS = {
    "all zero": [[0.0, 0.0], [0.0, 0.0, 0.0]],
    "one zero": [[0.0, 0.0], [1.0, -2.0, 5.0]],
    "some zeros": [[0.0, 3.0], [1.0, 0.0, -2.0]],
    "equal largest": [[3.0, 3.0], [1.0, -3.0, 3.0]],
    "short": [[0.1, 0.0], [-0.2, 0.1, 0.3]],
    "at the bound": [[1.0 - 1e-6, 0.0], [0.0, 0.0, 0.0]],
    "complex": [[1 + 2j, 0j], [3.0, -1.0, 0.0]],
}
ORDERS = (2.0, 1.0, 0.5, 1.5, 3.0, float("inf"), -float("inf"), 0.0, -1.0)


def size(array):
    """Return something real of a complex array, and a real one as it is."""
    is_complex = array.is_complex() if isinstance(array, torch.Tensor) else jnp.iscomplexobj(array)
    return abs(array) ** 2 if is_complex else array


def torch_derivative(leaves, weights, order):
    """Return the derivative of a weighted sum of what PyTorch's clipping leaves."""
    tensors = [torch.tensor(leaf, requires_grad=True) for leaf in leaves]
    norms = [torch.linalg.vector_norm(each, order) for each in tensors]
    total = torch.linalg.vector_norm(torch.stack(norms), order)
    share = torch.clamp(1.0 / (total + 1e-6), max=1.0)
    clipped = zip(tensors, weights, strict=True)
    sum((size(each * share) * torch.tensor(w)).sum() for each, w in clipped).backward()
    return [each.grad.numpy() for each in tensors]


@pytest.mark.parity
@pytest.mark.parametrize("order", ORDERS)
def test_derivative_of_clipping_is_pytorchs(order):
    rng = np.random.default_rng(0)
    for what, lists in GRADIENTS.items():
        leaves = [np.array(each) for each in lists]
        weights = [rng.normal(size=leaf.shape) for leaf in leaves]

        def total(grads, weights=weights):
            norm = ja.transforms.get_total_norm(grads, order)
            clipped = ja.transforms.clip_grads_with_norm(grads, 1.0, norm)
            return sum(jnp.sum(size(c) * w) for c, w in zip(clipped, weights, strict=True))

        found = jax.grad(total)([jnp.asarray(leaf) for leaf in leaves])
        expected = torch_derivative(leaves, weights, order)
        for ours, theirs in zip(found, expected, strict=True):
            assert_close(jnp.conj(ours), theirs, tol.TRANSFORM_FLOAT64_OF_MAX, 1.0, what)


def torch_norm(array, order):
    """Return PyTorch's norm of norms (its ``get_total_norm`` is without derivatives)."""
    norm = torch.linalg.vector_norm(array, order)
    return torch.linalg.vector_norm(norm[None], order)


@pytest.mark.parity
@pytest.mark.parametrize("order", [2.0, 1.0, 3.0, 4.0, 5.5, float("inf"), -float("inf"), 0.0])
def test_second_derivative_of_the_norm_is_pytorchs(order):
    """That of an entry of 0 is not lost."""
    for what in ("some zeros", "equal largest", "all zero"):
        array = np.concatenate(GRADIENTS[what])
        found = jax.hessian(lambda x: ja.transforms.get_total_norm(x, order))(jnp.asarray(array))
        expected = torch.autograd.functional.hessian(
            functools.partial(torch_norm, order=order), torch.tensor(array)
        )
        if bool(expected.isfinite().all()):
            assert_close(found, expected.numpy(), tol.TRANSFORM_FLOAT64_OF_MAX, 1.0, what)
        else:
            assert what == "all zero", order
    assert what == "all zero"
