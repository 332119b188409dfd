"""Schedules at work: momentum cycled with the learning rate, in any optimizer and any group."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
import torch

import jaxaccel as ja
from jaxaccel import schedules
from parity_tests import tolerances as tol
from parity_tests.harness.compare import assert_same_path

STEPS = 200
SHAPES = {"matrix": (7, 5), "vector": (9,), "scalar": ()}

ONE_CYCLE = {"total_steps": STEPS, "pct_start": 0.4, "three_phase": True}
TRIANGLES = {"step_size_up": 17, "step_size_down": 8, "mode": "triangular2"}
CYCLES = {
    "one cycle": ("OneCycleLR", {"max_lr": 0.05, **ONE_CYCLE}),
    "cyclic": ("CyclicLR", {"base_lr": 0.001, "max_lr": 0.05, **TRIANGLES}),
}
OPTIMIZERS = {
    "sgd": ("SGD", {"momentum": 0.9, "nesterov": True, "weight_decay": 0.01}),
    "adamw": ("AdamW", {"betas": (0.9, 0.99), "weight_decay": 0.1}),
}


def draw(lead=(), seed=0):
    rng = np.random.default_rng(seed)
    return {name: rng.normal(size=(*lead, *shape)) for name, shape in SHAPES.items()}


def cycled(cycle):
    """Return the learning rate and the momentum of a row of ``CYCLES``."""
    if cycle == "one cycle":
        return (
            schedules.one_cycle_lr(**CYCLES[cycle][1]),
            schedules.one_cycle_momentum(**ONE_CYCLE),
        )
    return schedules.cyclic_lr(**CYCLES[cycle][1]), schedules.cyclic_momentum(**TRIANGLES)


def run_torch(name, cycle, params, grads):
    """Return every parameter after 0, 1, ... steps of PyTorch's optimizer and scheduler."""
    tensors = {key: torch.nn.Parameter(torch.tensor(leaf)) for key, leaf in params.items()}
    torch_class, kwargs = OPTIMIZERS[name]
    optimizer = getattr(torch.optim, torch_class)(tensors.values(), lr=0.1, **kwargs)
    scheduler_class, scheduler_kwargs = CYCLES[cycle]
    scheduler = getattr(torch.optim.lr_scheduler, scheduler_class)(optimizer, **scheduler_kwargs)
    paths = {key: [leaf] for key, leaf in params.items()}
    for t in range(STEPS):
        for key, tensor in tensors.items():
            tensor.grad = torch.tensor(grads[key][t])
        optimizer.step()
        scheduler.step()
        for key, tensor in tensors.items():
            paths[key].append(tensor.detach().numpy().copy())
    return {key: np.stack(path) for key, path in paths.items()}


def run(tx, params, grads):
    """Return every parameter after 0, 1, ... steps of a transformation."""

    def step(carry, step_grads):
        params, state = carry
        updates, state = tx.update(step_grads, state, params)
        params = optax.apply_updates(params, updates)
        return (params, state), params

    _, path = jax.jit(lambda: jax.lax.scan(step, (params, tx.init(params)), grads))()
    return {key: np.concatenate([leaf[None], path[key]]) for key, leaf in params.items()}


@pytest.mark.parametrize("in_groups", [False, True], ids=["alone", "in groups"])
@pytest.mark.parametrize("cycle", CYCLES)
@pytest.mark.parametrize("name", OPTIMIZERS)
def test_momentum_cycled_with_the_learning_rate_equals_pytorch(name, cycle, in_groups):
    params, grads = draw(), draw((STEPS,), seed=1)
    lr, momentum = cycled(cycle)
    kwargs = dict(OPTIMIZERS[name][1])
    if name == "sgd":
        kwargs["momentum"] = momentum
    else:
        kwargs["betas"] = (momentum, kwargs["betas"][1])
    make = getattr(ja.optimizers, name)
    if in_groups:
        make = functools.partial(ja.optimizers.param_groups, make, [{"params": "vector"}])
    found = run(make(lr=lr, **kwargs), params, grads)
    for key, expected in run_torch(name, cycle, params, grads).items():
        assert_same_path(found[key], expected, what=key)


MEMBERS = [schedules.linear_lr(0.1), schedules.exponential_lr(0.1, 0.9)]
ALL = {
    "lambda_lr": schedules.lambda_lr(0.1, lambda k: 0.9**k),
    "multiplicative_lr": schedules.multiplicative_lr(0.1, lambda k: 0.9, total_steps=30),
    "step_lr": schedules.step_lr(0.1, 7),
    "multi_step_lr": schedules.multi_step_lr(0.1, [4, 9]),
    "constant_lr": schedules.constant_lr(0.1),
    "linear_lr": schedules.linear_lr(0.1),
    "exponential_lr": schedules.exponential_lr(0.1, 0.9),
    "polynomial_lr": schedules.polynomial_lr(0.1, 15, 2.0),
    "cosine_annealing_lr": schedules.cosine_annealing_lr(0.1, 9),
    "cosine_annealing_warm_restarts": schedules.cosine_annealing_warm_restarts(0.1, 4, 2),
    "cyclic_lr": schedules.cyclic_lr(0.01, 0.1, 5),
    "cyclic_momentum": schedules.cyclic_momentum(5),
    "one_cycle_lr": schedules.one_cycle_lr(0.1, 20),
    "one_cycle_momentum": schedules.one_cycle_momentum(20),
    "sequential_lr": schedules.sequential_lr(MEMBERS, [6]),
    "chained_scheduler": schedules.chained_scheduler(MEMBERS),
    "swa_lr": schedules.swa_lr(0.1, 0.02),
    "per_epoch": schedules.per_epoch(schedules.exponential_lr(0.1, 0.9), 4),
    "constant_schedule": schedules.constant_schedule(0.1),
    "linear_schedule_with_warmup": schedules.linear_schedule_with_warmup(0.1, 5, 20),
    "polynomial_decay_schedule_with_warmup": (
        schedules.polynomial_decay_schedule_with_warmup(0.1, 5, 20)
    ),
    "cosine_with_min_lr_schedule_with_warmup": (
        schedules.cosine_with_min_lr_schedule_with_warmup(0.1, 5, 20, min_lr=0.01)
    ),
    "constant_schedule_with_warmup": schedules.constant_schedule_with_warmup(0.1, 8),
    "cosine_schedule_with_warmup": schedules.cosine_schedule_with_warmup(0.1, 5, 20),
    "cosine_with_hard_restarts_schedule_with_warmup": (
        schedules.cosine_with_hard_restarts_schedule_with_warmup(0.1, 5, 20, 2)
    ),
    "inverse_sqrt_schedule": schedules.inverse_sqrt_schedule(0.1, 5),
    "wsd_schedule": schedules.wsd_schedule(0.1, 4, 6, 20),
}
"""Every schedule; what else is public drives itself or is a number."""
NO_SCHEDULES = {"reduce_lr_on_plateau", "Plateau", "PlateauState", "preview", "Preview", "scale_lr"}


def test_every_schedule_is_here():
    assert set(ALL) | NO_SCHEDULES == set(schedules.__all__)


@pytest.mark.parametrize("name", ALL)
def test_every_schedule_drives_optax(name):
    """As ``learning_rate=`` and inside ``inject_hyperparams``, for the learning rate and others."""
    schedule, steps = ALL[name], 20
    expected = np.array([schedule(k) for k in range(steps)])
    allowed = tol.SCHEDULE_FLOAT64_OF_PEAK * np.max(np.abs(expected))

    injected = optax.inject_hyperparams(optax.sgd)(learning_rate=schedule, momentum=schedule)

    def step(carry, _):
        params, plain_state, state = carry
        updates, plain_state = plain.update(jnp.ones(()), plain_state, params)
        _, state = injected.update(jnp.ones(()), state, params)
        carry = optax.apply_updates(params, updates), plain_state, state
        return carry, (updates, state.hyperparams)

    with jax.numpy_dtype_promotion("standard"):  # optax's own arithmetic
        plain = optax.sgd(learning_rate=schedule)
        params = jnp.zeros(())
        start = params, plain.init(params), injected.init(params)
        _, (updates, held) = jax.jit(lambda: jax.lax.scan(step, start, length=steps))()
    for found in (-updates, held["learning_rate"], held["momentum"]):
        assert np.max(np.abs(found - expected)) <= allowed


def test_schedules_drive_any_hyperparameter_of_any_group():
    params, grads = draw(), draw((20,), seed=1)
    lr, decay = schedules.one_cycle_lr(0.1, 20), schedules.linear_lr(0.5, total_iters=9)
    eps, beta2 = schedules.step_lr(0.01, 5), schedules.polynomial_lr(0.999, 40)
    tx = ja.optimizers.param_groups(
        ja.optimizers.adamw,
        [{"params": "vector", "weight_decay": decay, "betas": (0.9, beta2)}],
        lr=lr,
        eps=eps,
    )
    tensors = {key: torch.nn.Parameter(torch.tensor(leaf)) for key, leaf in params.items()}
    rest = [tensors["matrix"], tensors["scalar"]]
    optimizer = torch.optim.AdamW([{"params": [tensors["vector"]]}, {"params": rest}])
    paths = {key: [leaf] for key, leaf in params.items()}
    for t in range(20):
        own, others = optimizer.param_groups
        own.update(lr=lr(t), eps=eps(t), weight_decay=decay(t), betas=(0.9, beta2(t)))
        others.update(lr=lr(t), eps=eps(t))
        for key, tensor in tensors.items():
            tensor.grad = torch.tensor(grads[key][t])
        optimizer.step()
        for key, tensor in tensors.items():
            paths[key].append(tensor.detach().numpy().copy())
    found = run(tx, params, grads)
    for key, path in paths.items():
        assert_same_path(found[key], np.stack(path), what=key)
