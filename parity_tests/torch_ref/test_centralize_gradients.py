"""torch_ref's gradient centralization as a hook of PyTorch's optimizers."""

import numpy as np
import optax
import pytest
import torch

import jaxaccel as ja
from parity_tests import tolerances as tol
from parity_tests.torch_ref.network import (
    assert_bit_equal,
    assert_same_path,
    batches,
    torch_loss,
    torch_parameters,
    train_jax,
    train_torch,
)
from torch_ref.optimizers import Lookahead
from torch_ref.transforms import centralize_gradients


@pytest.mark.parametrize("conv_only", [False, True])
def test_training_is_jaxaccels(conv_only):
    params = torch_parameters()
    optimizer = torch.optim.SGD(params.values(), lr=0.1, momentum=0.9)
    centralize_gradients(optimizer, conv_only)
    own = ja.transforms.centralize_gradients(conv_only, layout="torch")
    tx = optax.chain(own, ja.optimizers.sgd(lr=0.1, momentum=0.9))
    assert_same_path(train_torch(optimizer, params), train_jax(tx))


@pytest.mark.parametrize("conv_only", [False, True])
def test_gradients_are_the_papers(conv_only):
    """Output by output the entries less their mean; behind clipping and the scaler's unscaling."""
    params = torch_parameters()
    optimizer = torch.optim.SGD(params.values(), lr=0.0)
    centralize_gradients(optimizer, conv_only)
    scaler = torch.amp.GradScaler("cpu", init_scale=2.0**10)
    scaler.scale(torch_loss(params, batches()[0])).backward()
    scaler.unscale_(optimizer)
    torch.nn.utils.clip_grad_norm_(params.values(), 0.01)
    clipped = {name: p.grad.numpy().copy() for name, p in params.items()}
    scaler.step(optimizer)
    for name, grad in clipped.items():
        expected = grad
        if grad.ndim == 4 or (grad.ndim == 2 and not conv_only):
            expected = np.stack([g - g.sum() / g.size for g in grad])
        error = np.max(np.abs(params[name].grad.numpy() - expected))
        assert error <= tol.TRANSFORM_FLOAT64_OF_MAX * np.max(np.abs(grad)), name


def test_half_precision_is_averaged_in_float32():
    w = torch.nn.Parameter(torch.zeros(2, 4096, dtype=torch.bfloat16))
    w.grad = torch.ones_like(w) + torch.arange(2)[:, None]
    optimizer = torch.optim.SGD([w], lr=1.0)
    centralize_gradients(optimizer)
    optimizer.step()
    assert not w.any()


def test_the_handle_ends_it():
    params, plain = torch_parameters(), torch_parameters()
    optimizer, reference = (torch.optim.AdamW(p.values()) for p in (params, plain))
    centralize_gradients(optimizer).remove()
    assert_bit_equal(train_torch(optimizer, params), train_torch(reference, plain))


def test_it_works_on_lookahead_too():
    params, inside = torch_parameters(), torch_parameters()
    outer = Lookahead(torch.optim.SGD(params.values(), lr=0.1), k=3)
    inner = torch.optim.SGD(inside.values(), lr=0.1)
    centralize_gradients(outer)
    centralize_gradients(inner)
    found = train_torch(outer, params)
    assert_bit_equal(found, train_torch(Lookahead(inner, k=3), inside))


def test_a_closure_is_refused_because_its_gradients_come_later():
    w = torch.nn.Parameter(torch.ones(2, 2))
    optimizer = torch.optim.LBFGS([w])
    centralize_gradients(optimizer)
    for call in (lambda: optimizer.step(w.sum), lambda: optimizer.step(closure=w.sum)):
        with pytest.raises(RuntimeError, match="closure makes its gradients inside"):
            call()
