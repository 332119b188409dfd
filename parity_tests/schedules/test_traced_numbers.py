"""The numbers of a schedule may be traced: swept over by ``vmap``, differentiated, in one program.

Judge: the same schedule of known numbers. Where a number enters linearly, as all rates do, the
derivative is the difference of two of them; for the others there is a formula.
"""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import torch

import jaxaccel as ja
from jaxaccel import schedules as s
from parity_tests import tolerances as tol
from parity_tests.harness.compare import assert_close

STEPS = np.arange(14)
PYTHON = [2, 1] * 9
LINEAR = {
    "lambda": (lambda lr: s.lambda_lr(lr, lambda k: 0.9**k), [0.1]),
    "lambda of Python": (
        lambda lr: s.lambda_lr(lr, ([2, 1] * 9).__getitem__, total_steps=16),
        [0.1],
    ),
    "multiplicative": (lambda lr: s.multiplicative_lr(lr, lambda k: 0.9, total_steps=20), [0.1]),
    "step": (lambda lr: s.step_lr(lr, 3), [0.1]),
    "multi step": (lambda lr: s.multi_step_lr(lr, [3, 5]), [0.1]),
    "constant": (lambda lr: s.constant_lr(lr, 0.3, 4), [0.1]),
    "linear": (lambda lr: s.linear_lr(lr, 0.2, 0.9, 5), [0.1]),
    "linear's factors": (lambda a, b: s.linear_lr(0.1, a, b, 5), [0.2, 0.9]),
    "exponential": (lambda lr: s.exponential_lr(lr, 0.9), [0.1]),
    "polynomial": (lambda lr: s.polynomial_lr(lr, 8, 2.0), [0.1]),
    "cosine": (lambda lr, eta_min: s.cosine_annealing_lr(lr, 6, eta_min), [0.1, 0.01]),
    "restarts": (
        lambda lr, eta_min: s.cosine_annealing_warm_restarts(lr, 3, 2, eta_min),
        [0.1, 0.01],
    ),
    "cyclic": (lambda low, high: s.cyclic_lr(low, high, 3, mode="triangular2"), [0.1, 0.4]),
    "cyclic momentum": (
        lambda low, high: s.cyclic_momentum(3, base_momentum=low, max_momentum=high),
        [0.8, 0.9],
    ),
    "one cycle": (lambda lr: s.one_cycle_lr(lr, 14, pct_start=0.4), [0.5]),
    "one cycle momentum": (
        lambda low, high: s.one_cycle_momentum(14, base_momentum=low, max_momentum=high),
        [0.85, 0.95],
    ),
    "swa": (lambda lr, swa_lr: s.swa_lr(lr, swa_lr, 5), [0.1, 0.02]),
    "constant schedule": (lambda lr: s.constant_schedule(lr), [0.1]),
    "warm-up": (lambda lr: s.constant_schedule_with_warmup(lr, 4), [0.1]),
    "warm-up, line": (lambda lr: s.linear_schedule_with_warmup(lr, 4, 9), [0.1]),
    "warm-up, power": (
        lambda lr, end: s.polynomial_decay_schedule_with_warmup(lr, 4, 9, end, 2.0),
        [0.1, 0.01],
    ),
    "warm-up, cosine": (lambda lr: s.cosine_schedule_with_warmup(lr, 4, 9), [0.1]),
    "warm-up, cosine, floor": (
        lambda lr, floor: s.cosine_with_min_lr_schedule_with_warmup(
            lr, 4, 9, min_lr=floor, hold_min_lr=True
        ),
        [0.1, 0.01],
    ),
    "warm-up, falls": (
        lambda lr: s.cosine_with_hard_restarts_schedule_with_warmup(lr, 2, 9, 2),
        [0.1],
    ),
    "warm-up, root": (lambda lr: s.inverse_sqrt_schedule(lr, 4), [0.1]),
    "warm-up, plateau": (
        lambda ratio: s.wsd_schedule(0.1, 3, 4, 12, min_lr_ratio=ratio),
        [0.2],
    ),
    "sequence": (
        lambda lr, low: s.sequential_lr(
            [s.linear_lr(lr, total_iters=4), s.cosine_annealing_lr(lr, 6, low), s.swa_lr(lr, 0.01)],
            [4, 9],
        ),
        [0.1, 0.02],
    ),
    "chain": (
        lambda lr: s.chained_scheduler([s.constant_lr(lr, 0.5, 4), s.exponential_lr(lr, 0.9)]),
        [0.1],
    ),
    "epochs": (lambda lr: s.per_epoch(s.step_lr(lr, 2), 3), [0.1]),
    "scaled": (lambda lr: s.constant_schedule(s.scale_lr(lr, 256, 1024)), [0.1]),
}
"""How a schedule is made of the numbers that may be traced, in which its values are linear."""

# Values whose derivatives are known otherwise.
POWERS = {
    "step's gamma": (lambda g: s.step_lr(0.1, 3, g), 0.7, lambda g, k: 0.1 * power(g, k // 3)),
    "multi step's gamma": (
        lambda g: s.multi_step_lr(0.1, [3, 5], g),
        0.7,
        lambda g, k: 0.1 * power(g, 1 * (k >= 3) + (k >= 5)),
    ),
    "exponential's gamma": (
        lambda g: s.exponential_lr(0.1, g),
        0.7,
        lambda g, k: 0.1 * power(g, k),
    ),
    "polynomial's power": (
        lambda p: s.polynomial_lr(0.1, 8, p),
        1.5,
        lambda p, k: 0.1 * left(k) ** p * np.log(np.maximum(left(k), 1e-300)),
    ),
}


def power(base, exponent):
    """Return the derivative of ``base ** exponent`` with respect to the base."""
    return exponent * base ** (exponent - 1.0)


def left(k):
    return np.maximum(8 - k, 0) / 8


def values(make, numbers):
    """Return a schedule's values at many traced steps, and at a known one."""
    schedule = make(*numbers)
    return schedule(jnp.asarray(STEPS)), schedule(3)


def traced(cases):
    """Return every schedule's values and derivatives, all from one program."""

    @jax.jit
    def run(given):
        of_vector = lambda make: lambda vector: values(make, list(vector))  # noqa: E731
        return {
            name: (of_vector(cases[name][0])(vector), jax.jacfwd(of_vector(cases[name][0]))(vector))
            for name, vector in given.items()
        }

    return run({name: jnp.atleast_1d(jnp.asarray(case[1])) for name, case in cases.items()})


@pytest.mark.quick
def test_values_and_derivatives_of_every_schedule():
    bound = tol.SCHEDULE_FLOAT64_OF_PEAK
    for name, ((found, at_three), (slopes, slope_at_three)) in traced(LINEAR).items():
        make, numbers = LINEAR[name]
        known = np.array([make(*numbers)(int(k)) for k in STEPS])
        assert_close(found, known, bound, what=name)
        assert_close(at_three, known[3], bound, what=name)
        for index in range(len(numbers)):
            more = [n * (1 + (i == index)) for i, n in enumerate(numbers)]
            try:
                higher = np.array([make(*more)(int(k)) for k in STEPS])
            except ValueError:  # beyond what is allowed: to the other side
                more = [n * (1 - 0.5 * (i == index)) for i, n in enumerate(numbers)]
                higher = np.array([make(*more)(int(k)) for k in STEPS])
            expected = (higher - known) / (more[index] - numbers[index])
            assert_close(np.asarray(slopes)[:, index], expected, bound, what=name)
            assert_close(np.asarray(slope_at_three)[index], expected[3], bound, what=name)
    for name, ((found, _), (slopes, _)) in traced(POWERS).items():
        make, number, derivative = POWERS[name]
        assert_close(found, [make(number)(int(k)) for k in STEPS], bound, what=name)
        assert_close(np.asarray(slopes)[:, 0], derivative(number, STEPS), bound, what=name)


def losses_of(lr):
    """Return the losses of a run on a bowl whose learning rate is traced."""
    schedule = s.cosine_annealing_lr(lr, 8)
    tx = ja.optimizers.sgd(lr=schedule)

    def step(carry, _):
        w, state = carry
        updates, state = tx.update(w * jnp.array([1.0, 3.0]), state, w)
        w = w + updates
        return (w, state), jnp.sum(w**2)

    w = jnp.array([1.0, -2.0])
    return jax.lax.scan(step, (w, tx.init(w)), length=8)[1]


def torch_losses(lr):
    """Return PyTorch's losses, and their derivatives by its ``differentiable`` SGD."""
    lr = torch.tensor(lr, dtype=torch.float64, requires_grad=True)
    w = torch.tensor([1.0, -2.0], dtype=torch.float64, requires_grad=True).clone()
    w.retain_grad()  # it may be asked for its gradient, though it is not a leaf
    optimizer = torch.optim.SGD([w], lr=lr, differentiable=True)
    factors = torch.optim.SGD([torch.zeros(1)], lr=1.0)
    scheduler = torch.optim.lr_scheduler.CosineAnnealingLR(factors, T_max=8)
    losses, slopes = [], []
    for _ in range(8):
        optimizer.param_groups[0]["lr"] = lr * factors.param_groups[0]["lr"]
        w.grad = w * torch.tensor([1.0, 3.0], dtype=torch.float64)
        optimizer.step()
        factors.step()
        scheduler.step()
        loss = (w**2).sum()
        losses.append(loss.item())
        slopes.append(torch.autograd.grad(loss, lr, retain_graph=True)[0].item())
    return losses, slopes


def test_a_sweep_and_the_derivative_of_a_run_with_respect_to_its_learning_rate():
    rates = [0.01, 0.05, 0.2]
    swept, slopes = jax.jit(jax.vmap(lambda lr: (losses_of(lr), jax.jacfwd(losses_of)(lr))))(
        jnp.array(rates)
    )
    for index, lr in enumerate(rates):
        losses, derivatives = torch_losses(lr)
        assert_close(swept[index], losses, tol.SCHEDULE_FLOAT64_OF_PEAK)
        assert_close(slopes[index], derivatives, tol.SCHEDULE_FLOAT64_OF_PEAK)


def print_wide_steps():
    """Say what comes of a step that 32 bits hold without a sign only (x64 off)."""
    schedule = s.constant_schedule_with_warmup(0.1, 7)
    print(schedule(2**31 + 5), schedule(jnp.uint32(5)), schedule(jnp.uint32(2**31 - 1)))
    for call in (
        lambda: schedule(jnp.uint32(2**31)),
        lambda: jax.jit(schedule)(jnp.uint32(5)),
        lambda: jax.jit(lambda lr: s.constant_schedule_with_warmup(lr, 7)(2**31))(0.1),
        lambda: schedule(np.uint64(2**63)),
    ):
        try:
            print("no error", call())
        except (TypeError, ValueError) as error:
            print(type(error).__name__, str(error)[:64])
