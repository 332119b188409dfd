"""torch_ref's DiagonalNewton as a PyTorch user meets it; its numbers row by row: optimizers/."""

import io

import numpy as np
import pytest
import torch
from torch.optim import lr_scheduler

import jaxaccel as ja
from parity_tests import tolerances as tol
from parity_tests.torch_ref.network import (
    assert_bit_equal,
    assert_same_path,
    jax_loss,
    torch_loss,
    torch_parameters,
    train_jax,
    train_torch,
)
from torch_ref.optimizers import DiagonalNewton, hessian_diagonal

SETTINGS = {"damping": 0.5, "beta": 0.6}


def curvature(params):
    """Return what a step needs besides gradients: the exact diagonal, 167 products."""

    def extra(batch):
        return {"hessian_diagonal": hessian_diagonal(lambda p: torch_loss(p, batch), params)}

    return extra


def start():
    params = torch_parameters()
    optimizer = DiagonalNewton(params.values(), lr=0.2, **SETTINGS)
    return params, optimizer, lr_scheduler.ExponentialLR(optimizer, gamma=0.9)


def test_training_with_a_scheduler_is_jaxaccels():
    params, optimizer, scheduler = start()
    found = train_torch(optimizer, params, scheduler=scheduler, extra=curvature(params))
    tx = ja.optimizers.diagonal_newton(lr=ja.schedules.exponential_lr(0.2, 0.9), **SETTINGS)

    def extra(params, batch):
        diagonal = ja.optimizers.hessian_diagonal
        return {"hessian_diagonal": diagonal(lambda p: jax_loss(p, batch), params, batch_size=200)}

    assert_same_path(found, train_jax(tx, extra))


def test_a_run_that_is_saved_and_loaded_goes_on_to_the_bit():
    params, optimizer, scheduler = start()
    run = {"scheduler": scheduler, "extra": curvature(params)}
    train_torch(optimizer, params, steps=range(3), **run)
    file = io.BytesIO()
    torch.save([params, optimizer.state_dict(), scheduler.state_dict()], file)
    whole = train_torch(optimizer, params, steps=range(3, 6), **run)
    file.seek(0)
    values, state, schedule = torch.load(file)
    params, optimizer, scheduler = start()
    for name, p in params.items():
        p.data.copy_(values[name].detach())
    optimizer.load_state_dict(state)
    scheduler.load_state_dict(schedule)
    run = {"scheduler": scheduler, "extra": curvature(params)}
    assert_bit_equal(train_torch(optimizer, params, steps=range(3, 6), **run), whole)


def test_one_step_solves_a_quadratic_without_a_rotation():
    curvatures = torch.tensor([1.0, 10.0, 1000.0], dtype=torch.float64)
    w = torch.nn.Parameter(torch.tensor([3.0, -2.0, 5.0], dtype=torch.float64))

    def loss(w):
        return (curvatures * (w - 1) ** 2).sum() / 2

    optimizer = DiagonalNewton([w], damping=0.0)
    scaler = torch.amp.GradScaler("cpu", init_scale=4.0)
    scaler.scale(loss(w)).backward()
    scaler.step(optimizer, hessian_diagonal=[hessian_diagonal(loss, w.detach())])
    assert np.allclose(w.detach(), 1.0, rtol=tol.FLOAT64_ROUNDING, atol=0)


def test_a_closure_makes_the_gradients():
    w = torch.nn.Parameter(torch.tensor([3.0]))
    optimizer = DiagonalNewton([w], damping=0.0)

    def closure():
        optimizer.zero_grad()
        loss = (w**2).sum()
        loss.backward()
        return loss

    assert optimizer.step(closure, hessian_diagonal=[torch.tensor([4.0])]) == 9.0
    assert w.item() == 1.5


def test_a_parameter_without_a_gradient_stays():
    w, v = (torch.nn.Parameter(torch.ones(2)) for _ in range(2))
    v.grad = torch.ones(2)
    optimizer = DiagonalNewton([w, v], damping=0.0)
    optimizer.step(hessian_diagonal=[None, torch.full((2,), 2.0)])
    assert w.tolist() == [1.0, 1.0]
    assert v.tolist() == [0.5, 0.5]
    assert w not in optimizer.state


def test_an_estimate_of_a_diagonal_hessian_is_exact():
    generator = torch.Generator().manual_seed(0)
    w = torch.zeros(5)
    found = hessian_diagonal(lambda w: (torch.arange(5) * w**2).sum(), w, generator, samples=3)
    assert found.tolist() == [0.0, 2.0, 4.0, 6.0, 8.0]


def test_errors_name_the_argument_and_its_value():
    w = torch.nn.Parameter(torch.ones(1))
    for kwargs, text in [
        ({"lr": -1.0}, "Invalid learning rate: -1.0"),
        ({"damping": -0.5}, "Invalid damping value: -0.5"),
        ({"beta": 1.0}, "Invalid beta value: 1.0"),
    ]:
        with pytest.raises(ValueError, match=text):
            DiagonalNewton([w], **kwargs)
    with pytest.raises(ValueError, match=r"needs the curvature: step\(hessian_diagonal="):
        DiagonalNewton([w]).step()
    with pytest.raises(ValueError, match="for each of 1 parameters, got 2"):
        DiagonalNewton([w]).step(hessian_diagonal=[w, w])
    with pytest.raises(ValueError, match="samples must be at least 1, got 0"):
        hessian_diagonal(torch.sum, w, samples=0)
    with pytest.raises(TypeError, match=r"real floating-point parameters, got torch\.int64"):
        hessian_diagonal(torch.sum, torch.ones(1, dtype=torch.int64))
