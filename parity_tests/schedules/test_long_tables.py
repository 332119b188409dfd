"""Schedules without a closed form, over many steps: what a program holds and what it gives."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import torch

from jaxaccel import schedules as s
from jaxaccel.schedules import _pieces, _stretch, _table
from parity_tests import tolerances as tol

STEPS = 300_000
MOST = 1 << 16
"""Bytes of all constants of a program together."""


def cosine(length=STEPS // 3, eta_min=1e-3):
    return s.cosine_annealing_lr(0.1, length, eta_min)


LONG = {
    "cosine that turns": lambda: s.chained_scheduler(
        [s.linear_lr(0.1, total_iters=1000), cosine(STEPS // 2, 0.0)], total_steps=STEPS
    ),
    "warm-up": lambda: s.chained_scheduler(
        [s.linear_lr(0.1, total_iters=1000), cosine(STEPS, 1e-4)], total_steps=STEPS
    ),
    "many turns": lambda: s.chained_scheduler(
        [s.exponential_lr(0.1, 1 - 1e-6), cosine(9000, 0.0)], total_steps=STEPS
    ),
    "jumps": lambda: s.sequential_lr(
        [
            s.chained_scheduler([cosine(STEPS, 1e-4), s.step_lr(0.1, 20_000, 0.5)]),
            cosine(STEPS // 2),
        ],
        [STEPS // 3],
        total_steps=STEPS,
    ),
    "multiplicative": lambda: s.multiplicative_lr(
        0.1, lambda k: 1 - 1e-5 if k % 10_000 else 0.9, total_steps=STEPS
    ),
}


def constants(program):
    return [np.asarray(constant) for constant in program.consts]


@pytest.mark.quick
@pytest.mark.parametrize("make", LONG.values(), ids=LONG)
def test_a_program_holds_little_and_gives_every_value(make):
    schedule = make()
    rng = np.random.default_rng(0)
    corners = np.array([1000, 9000, STEPS // 3, STEPS // 2, STEPS])[:, None] + np.arange(-40, 41)
    k = np.unique(np.concatenate([corners.ravel(), rng.integers(STEPS, size=5000), [0, 1]]))
    known, traced = schedule(k.clip(0, STEPS)), jax.jit(schedule)(jnp.asarray(k))
    assert np.max(np.abs(traced - known)) <= tol.SCHEDULE_FLOAT64_OF_PEAK * np.abs(known).max()
    held = sum(each.nbytes for each in constants(jax.make_jaxpr(schedule)(jnp.asarray(3))))
    assert 0 < held <= MOST


@pytest.mark.quick
@pytest.mark.parametrize("make", LONG.values(), ids=LONG)
def test_pieces_in_float32(make):
    values = make()(np.arange(STEPS + 1))
    pieces = _pieces.fit_pieces(values, np.float32)
    assert pieces.nbytes(np.float32) <= MOST
    found = _pieces.read_pieces(np, pieces, np.arange(STEPS + 1), np.float32)
    assert found.dtype == np.float32
    error, size = np.abs(found.astype(float) - values), np.abs(values)
    assert error.max() <= tol.SCHEDULE_FLOAT32_OF_PEAK * size.max()
    is_large = size > tol.SCHEDULE_SMALL * size.max()
    assert (error <= tol.SCHEDULE_FLOAT32_OF_VALUE * size)[is_large].all()


def test_a_table_without_a_rule_stays_a_table():
    factors = np.random.default_rng(0).uniform(0.9, 1.1, size=1 << 15)
    schedule = s.multiplicative_lr(0.1, lambda k: factors[k], total_steps=9000)
    program = jax.make_jaxpr(schedule)(jnp.asarray(3))
    assert max(each.size for each in constants(program)) == 9001
    k = np.arange(9001)
    np.testing.assert_array_equal(jax.jit(schedule)(jnp.asarray(k)), schedule(k))


def test_a_table_that_fits_is_read_as_it_is():
    length = _table.LARGEST // 8
    values = np.sin(np.arange(length))
    np.testing.assert_array_equal(_table.read_table(jnp, values, jnp.arange(length)), values)
    grown = np.append(np.full(length, 1.0), np.inf)
    assert _table.read_table(jnp, grown, jnp.asarray(length)) == np.inf


def test_steps_side_by_side_are_steps_one_by_one():
    rng = np.random.default_rng(0)
    steps = 3 * _stretch.BLOCK + 5
    lines = [
        (rng.uniform(0.9, 1.1, steps), np.zeros(steps)),
        (rng.uniform(0.9, 1.0, steps), rng.uniform(0.0, 1e-3, steps)),
    ]
    lines[1][0][200] = 0.0  # what came before does not count
    expected = _stretch.take_steps(lines, 0.3)
    np.testing.assert_allclose(_stretch.take_many_steps(lines, 0.3), expected, rtol=1e-13, atol=0)
    assert expected[0] == lines[1][0][0] * (lines[0][0][0] * 0.3) + lines[1][1][0]


@pytest.mark.parity
def test_many_steps_are_pytorchs():
    steps, length = _stretch.FEW + 1000, 3000
    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=0.1)
    chain = torch.optim.lr_scheduler.ChainedScheduler(
        [
            torch.optim.lr_scheduler.LinearLR(optimizer, 0.1, total_iters=50),
            torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, length, 0.0),
            torch.optim.lr_scheduler.ExponentialLR(optimizer, 1 - 1e-4),
        ]
    )
    values = [optimizer.param_groups[0]["lr"]]
    for _ in range(steps):
        optimizer.step()
        chain.step()
        values.append(optimizer.param_groups[0]["lr"])
    ours = s.chained_scheduler(
        [
            s.linear_lr(0.1, 0.1, total_iters=50),
            cosine(length, 0.0),
            s.exponential_lr(0.1, 1 - 1e-4),
        ]
    )
    found = ours(np.arange(steps + 1))
    assert np.max(np.abs(found - values)) <= tol.SCHEDULE_FLOAT64_OF_PEAK * max(values)
