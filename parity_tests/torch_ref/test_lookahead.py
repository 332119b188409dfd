"""torch_ref's Lookahead as a PyTorch user meets it; its numbers row by row: optimizers/."""

import copy
import io

import numpy as np
import pytest
import torch
from torch.optim import lr_scheduler

import jaxaccel as ja
from parity_tests import tolerances as tol
from parity_tests.torch_ref.network import (
    STEPS,
    assert_bit_equal,
    assert_same_path,
    torch_loss,
    torch_parameters,
    train_jax,
    train_torch,
)
from torch_ref.optimizers import Lookahead

HALF = STEPS // 2


def adamw_ahead(params, **kwargs):
    inner = torch.optim.AdamW(params.values(), lr=0.05, weight_decay=0.1)
    return Lookahead(inner, **kwargs)


def test_training_with_a_scheduler_is_jaxaccels():
    params = torch_parameters()
    optimizer = adamw_ahead(params, k=4, alpha=0.3)
    scheduler = lr_scheduler.CosineAnnealingLR(optimizer, T_max=20)
    found = train_torch(optimizer, params, scheduler=scheduler)
    schedule = ja.schedules.cosine_annealing_lr(0.05, 20)
    inner = ja.optimizers.adamw(lr=schedule, weight_decay=0.1)
    assert_same_path(found, train_jax(ja.optimizers.lookahead(inner, k=4, alpha=0.3)))
    assert optimizer.param_groups[0]["lr"] == pytest.approx(
        schedule(STEPS), rel=tol.SCHEDULE_FLOAT64_OF_PEAK
    )


def test_alpha_one_is_the_optimizer_inside_bit_for_bit():
    params, plain = torch_parameters(), torch_parameters()
    found = train_torch(adamw_ahead(params, k=3, alpha=1.0), params)
    inner = torch.optim.AdamW(plain.values(), lr=0.05, weight_decay=0.1)
    assert_bit_equal(found, train_torch(inner, plain))


def test_it_looks_like_the_optimizer_inside():
    params = torch_parameters()
    inner = torch.optim.SGD(params.values(), lr=0.1, momentum=0.9)
    optimizer = Lookahead(inner)
    assert isinstance(optimizer, torch.optim.Optimizer)
    assert optimizer.param_groups is inner.param_groups
    assert optimizer.defaults == inner.defaults
    more = torch.nn.Parameter(torch.ones(2))
    optimizer.add_param_group({"params": [more], "lr": 0.5})
    assert inner.param_groups[1]["lr"] == 0.5
    more.grad = torch.ones(2)
    optimizer.step()
    assert more.tolist() == [0.5, 0.5]
    assert optimizer.state[more]["slow"].tolist() == [1.0, 1.0]
    optimizer.zero_grad()
    assert more.grad is None
    # One that cycles the momentum too looks for it among the defaults.
    cycle = lr_scheduler.OneCycleLR(optimizer, [0.1, 0.2], total_steps=10)
    assert inner.param_groups[0]["momentum"] == 0.95
    optimizer.step()
    cycle.step()
    assert inner.param_groups[0]["momentum"] < 0.95


def test_a_run_that_is_saved_and_loaded_goes_on_to_the_bit():
    def start():
        params = torch_parameters()
        optimizer = adamw_ahead(params, k=4, alpha=0.3)
        return params, optimizer, lr_scheduler.StepLR(optimizer, step_size=7, gamma=0.5)

    params, optimizer, scheduler = start()
    whole = train_torch(optimizer, params, scheduler=scheduler)

    params, optimizer, scheduler = start()
    train_torch(optimizer, params, steps=range(HALF), scheduler=scheduler)
    file = io.BytesIO()
    torch.save([params, optimizer.state_dict(), scheduler.state_dict()], file)
    file.seek(0)
    values, state, schedule = torch.load(file)
    params = {name: torch.nn.Parameter(value.detach()) for name, value in values.items()}
    optimizer = adamw_ahead(params)
    scheduler = lr_scheduler.StepLR(optimizer, step_size=7, gamma=0.5)
    optimizer.load_state_dict(state)
    scheduler.load_state_dict(schedule)
    assert (optimizer.k, optimizer.alpha) == (4, 0.3)
    assert optimizer.param_groups is optimizer.optimizer.param_groups
    rest = train_torch(optimizer, params, steps=range(HALF, STEPS), scheduler=scheduler)
    assert_bit_equal(rest, whole[HALF:])


def test_a_copy_has_a_life_of_its_own():
    params = torch_parameters()
    optimizer = adamw_ahead(params, k=4)
    train_torch(optimizer, params, steps=range(3))
    both = copy.deepcopy((params, optimizer))
    assert both[1].param_groups is both[1].optimizer.param_groups
    found = train_torch(both[1], both[0], steps=range(3, 10))
    assert_bit_equal(found, train_torch(optimizer, params, steps=range(3, 10)))


def test_a_step_that_the_scaler_skips_is_not_counted():
    params, plain = torch_parameters(), torch_parameters()
    optimizer, reference = (adamw_ahead(p, k=2) for p in (params, plain))
    scaler = torch.amp.GradScaler("cpu", init_scale=2.0**10)
    batch = [np.ones((8, 2, 4, 4)), np.zeros((8, 1))]
    for call in range(5):
        optimizer.zero_grad()
        scaler.scale(torch_loss(params, batch)).backward()
        if call == 1:
            params["bias"].grad[0] = torch.inf
        scaler.step(optimizer)
        scaler.update()
        if call != 1:
            reference.zero_grad()
            torch_loss(plain, batch).backward()
            reference.step()
    for name, p in plain.items():
        assert torch.allclose(params[name], p, rtol=tol.FLOAT64_OF_PATH, atol=0)
    assert optimizer.state[params["bias"]]["step"] == 4


def test_a_closure_is_the_inner_optimizers():
    params, plain = torch_parameters(), torch_parameters()
    batch = [np.ones((8, 2, 4, 4)), np.zeros((8, 1))]

    def closure_of(optimizer, params):
        def closure():
            optimizer.zero_grad()
            loss = torch_loss(params, batch)
            loss.backward()
            return loss

        return closure

    inner = torch.optim.LBFGS(plain.values(), max_iter=3)
    optimizer = Lookahead(torch.optim.LBFGS(params.values(), max_iter=3), k=2, alpha=0.25)
    start = {name: p.detach().clone() for name, p in plain.items()}
    for _ in range(2):
        expected = inner.step(closure_of(inner, plain))
        assert optimizer.step(closure_of(optimizer, params)) == expected
    for name, p in plain.items():
        jumped = start[name] + 0.25 * (p.detach() - start[name])
        assert torch.allclose(params[name], jumped, rtol=tol.FLOAT64_OF_PATH, atol=0)


def test_errors_name_the_argument_and_its_value():
    inner = torch.optim.SGD([torch.nn.Parameter(torch.ones(1))])
    for error, k in ((ValueError, 0), (TypeError, 2.0), (TypeError, True)):
        with pytest.raises(error, match=f"k must be .*got {k}"):
            Lookahead(inner, k=k)
