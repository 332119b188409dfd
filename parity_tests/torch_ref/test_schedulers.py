"""torch_ref's warm-ups as PyTorch schedulers, against jaxaccel's functions and the formulas."""

import io

import numpy as np
import pytest
import torch
from torch.optim import lr_scheduler

import jaxaccel as ja
from parity_tests.harness.warmup import TIMES_LENGTH, formula_of, run_torch, same
from parity_tests.registry import lookup
from parity_tests.schedules.rows_warmup_schedules import ERRORS, SCALE, SCHEDULES
from parity_tests.torch_ref.network import (
    assert_bit_equal,
    assert_same_path,
    torch_parameters,
    train_jax,
    train_torch,
)
from torch_ref import schedules

EXAMPLES = {
    "constant_schedule_with_warmup": {"num_warmup_steps": 7},
    "constant_schedule": {},
    "linear_schedule_with_warmup": {"num_warmup_steps": 5, "num_training_steps": 25},
    "polynomial_decay_schedule_with_warmup": {
        "num_warmup_steps": 5, "num_training_steps": 25, "lr_end": 0.01, "power": 2.0,
    },
    "cosine_schedule_with_warmup": {"num_warmup_steps": 5, "num_training_steps": 25},
    "cosine_with_min_lr_schedule_with_warmup": {
        "num_warmup_steps": 5, "num_training_steps": 25, "min_lr": 0.01, "hold_min_lr": True,
    },
    "cosine_with_hard_restarts_schedule_with_warmup": {
        "num_warmup_steps": 4, "num_training_steps": 22, "num_cycles": 3,
    },
    "inverse_sqrt_schedule": {"num_warmup_steps": 6},
    "wsd_schedule": {
        "num_warmup_steps": 5, "num_decay_steps": 8, "num_training_steps": 20,
        "warmup_type": "1-sqrt", "min_lr_ratio": 0.1,
    },
}  # fmt: skip
examples = pytest.mark.parametrize("name", EXAMPLES)


def build(case, optimizer):
    """Return the row's scheduler, which finds ``lr`` in the optimizer."""
    kwargs = {name: value for name, value in case.kwargs.items() if name != "lr"}
    return lookup("torch_ref", case.function)(optimizer, **kwargs)


def sgd(*rates):
    """Return SGD with a group for each learning rate."""
    groups = [{"params": [torch.nn.Parameter(torch.zeros(1))], "lr": lr} for lr in rates]
    return torch.optim.SGD(groups)


@pytest.mark.parametrize("case", SCHEDULES, ids=lambda case: case.id)
def test_equals_the_formula_and_jaxaccel_at_every_step(case):
    steps = TIMES_LENGTH * case.options["length"]
    found = run_torch(case.kwargs["lr"], lambda optimizer: build(case, optimizer), steps)
    formula, lr = formula_of(case), np.float64(case.kwargs["lr"])
    same(found, [lr * np.float64(formula(k)) for k in range(steps + 1)])
    schedule = lookup("jaxaccel", case.function)(**case.kwargs)
    same(found, [schedule(k) for k in range(steps + 1)])


@examples
def test_training_is_jaxaccels(name):
    params = torch_parameters()
    optimizer = torch.optim.AdamW(params.values(), lr=0.05)
    scheduler = getattr(schedules, name)(optimizer, **EXAMPLES[name])
    assert isinstance(scheduler, lr_scheduler.LambdaLR)
    found = train_torch(optimizer, params, scheduler=scheduler)
    schedule = getattr(ja.schedules, name)(0.05, **EXAMPLES[name])
    assert_same_path(found, train_jax(ja.optimizers.adamw(lr=schedule)))


@examples
def test_every_group_has_a_curve_of_its_own(name):
    rates = (0.1, 0.02)
    optimizer = sgd(*rates)
    scheduler = getattr(schedules, name)(optimizer, **EXAMPLES[name])
    expected = [getattr(ja.schedules, name)(lr, **EXAMPLES[name]) for lr in rates]
    for k in range(40):
        same(scheduler.get_last_lr(), [schedule(k) for schedule in expected])
        assert [group["lr"] for group in optimizer.param_groups] == scheduler.get_last_lr()
        optimizer.step()
        scheduler.step()


@pytest.mark.parametrize("how", ["state dict", "last epoch"])
@examples
def test_a_run_that_is_saved_and_loaded_goes_on_to_the_bit(name, how):
    def start(last_epoch=-1, state=None):
        params = torch_parameters()
        optimizer = torch.optim.SGD(params.values(), lr=0.1, momentum=0.9)
        if state is not None:
            optimizer.load_state_dict(state)
        build = getattr(schedules, name)
        return params, optimizer, build(optimizer, **EXAMPLES[name], last_epoch=last_epoch)

    params, optimizer, scheduler = start()
    train_torch(optimizer, params, steps=range(12), scheduler=scheduler)
    file = io.BytesIO()
    torch.save([params, optimizer.state_dict(), scheduler.state_dict()], file)
    whole = train_torch(optimizer, params, steps=range(12, 24), scheduler=scheduler)
    file.seek(0)
    values, state, schedule = torch.load(file)
    if how == "state dict":
        params, optimizer, scheduler = start()
        optimizer.load_state_dict(state)
        scheduler.load_state_dict(schedule)
    else:
        params, optimizer, scheduler = start(last_epoch=11, state=state)
    for key, p in params.items():
        p.data.copy_(values[key].detach())
    found = train_torch(optimizer, params, steps=range(12, 24), scheduler=scheduler)
    assert_bit_equal(found, whole)


@examples
def test_it_stands_in_pytorchs_sequences_and_chains(name):
    def sequence(optimizer):
        first = getattr(schedules, name)(optimizer, **EXAMPLES[name])
        cosine = lr_scheduler.CosineAnnealingLR(optimizer, T_max=15)
        return lr_scheduler.SequentialLR(optimizer, [first, cosine], milestones=[12])

    own = getattr(ja.schedules, name)(0.1, **EXAMPLES[name])
    expected = ja.schedules.sequential_lr([own, ja.schedules.cosine_annealing_lr(0.1, 15)], [12])
    same(run_torch(0.1, sequence, 50), [expected(k) for k in range(51)])


@pytest.mark.parametrize("case", SCALE, ids=lambda case: case.id)
def test_rates_are_scaled_as_in_jaxaccel(case):
    kwargs = dict(case.kwargs)
    lr = kwargs.pop("base_lr")
    optimizer = sgd(lr, 10 * lr, torch.tensor(lr, dtype=torch.float64))
    held = optimizer.param_groups[2]["lr"]
    schedules.scale_lr(optimizer, **kwargs)
    expected = ja.schedules.scale_lr(lr, **kwargs)
    same([float(group["lr"]) for group in optimizer.param_groups[::2]], [expected] * 2)
    same(optimizer.param_groups[1]["lr"], 10 * expected)
    assert optimizer.param_groups[2]["lr"] is held


def test_rates_are_scaled_before_schedulers_note_them():
    optimizer = sgd(0.1)
    schedules.constant_schedule_with_warmup(optimizer, 5)
    with pytest.raises(RuntimeError, match="call scale_lr before making it"):
        schedules.scale_lr(optimizer, 256, 512)


ABOUT_THE_OPTIMIZER = ("Invalid learning rate", "base_lr must be")


@pytest.mark.parametrize(
    ("name", "args", "error", "text"),
    [row for row in ERRORS if row[2] is ValueError and not row[3].startswith(ABOUT_THE_OPTIMIZER)],
)
def test_errors_are_those_of_jaxaccel(name, args, error, text):
    with pytest.raises(error, match=text):
        getattr(schedules, name)(sgd(args[0]), *args[1:])


def test_the_plateau_goes_before_the_whole_with_a_warning():
    text = "Both num_training_steps and num_stable_steps are specified. num_stable_steps will be"
    with pytest.warns(UserWarning, match=text):
        both = schedules.wsd_schedule(sgd(0.1), 5, 5, 40, 7)
    alone = schedules.wsd_schedule(sgd(0.1), 5, 5, num_stable_steps=7)
    assert [both.lr_lambdas[0](k) for k in range(40)] == [alone.lr_lambdas[0](k) for k in range(40)]


def test_every_builder_is_tried():
    assert {*EXAMPLES, "scale_lr"} == set(schedules.__all__)
