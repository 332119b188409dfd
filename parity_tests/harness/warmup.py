"""The schedules of Transformers: their published formulas, and PyTorch's values of a scheduler."""

import functools
import math
import warnings

import mpmath
import numpy as np
import torch

from parity_tests import tolerances as tol
from parity_tests.harness.compare import assert_close

same = functools.partial(assert_close, of_max=tol.SCHEDULE_FLOAT64_OF_PEAK)
TIMES_LENGTH = 3
"""How many times its length a schedule is followed."""

# With m = math and an int k they are the lambda of a LambdaLR; with m = mpmath and an mpf k they
# are exact.


def constant_formula(m, k):
    return 1


def warmup_formula(m, k, num_warmup_steps):
    return k / max(1, num_warmup_steps) if k < num_warmup_steps else 1.0


def linear_formula(m, k, num_warmup_steps, num_training_steps):
    if k < num_warmup_steps:
        return k / max(1, num_warmup_steps)
    return max(0, (num_training_steps - k) / max(1, num_training_steps - num_warmup_steps))


def polynomial_formula(m, k, num_warmup_steps, num_training_steps, lr, lr_end=1e-7, power=1.0):
    if k < num_warmup_steps:
        return k / max(1, num_warmup_steps)
    if k > num_training_steps:
        return lr_end / lr
    left = 1 - (k - num_warmup_steps) / (num_training_steps - num_warmup_steps)
    return ((lr - lr_end) * left**power + lr_end) / lr


def cosine_formula(m, k, num_warmup_steps, num_training_steps, num_cycles=0.5, min_lr_rate=0):
    if k < num_warmup_steps:
        return k / max(1, num_warmup_steps)
    progress = (k - num_warmup_steps) / max(1, num_training_steps - num_warmup_steps)
    factor = 0.5 * (1 + m.cos(m.pi * num_cycles * 2 * progress))
    return max(0, factor * (1 - min_lr_rate) + min_lr_rate)


def cosine_above_a_floor_formula(m, k, *, hold_min_lr=False, **kwargs):
    if hold_min_lr and k > kwargs["num_training_steps"]:  # nanoGPT's it > lr_decay_iters
        return kwargs["min_lr_rate"]
    return cosine_formula(m, k, **kwargs)


def restarts_formula(m, k, num_warmup_steps, num_training_steps, num_cycles=1):
    if k < num_warmup_steps:
        return k / max(1, num_warmup_steps)
    length = max(1, num_training_steps - num_warmup_steps)
    if k - num_warmup_steps >= length:
        return 0.0
    # The remainder of the progress, taken before the division.
    remainder = num_cycles * (k - num_warmup_steps) % length / length
    return 0.5 * (1 + m.cos(m.pi * remainder))


def inverse_sqrt_formula(m, k, num_warmup_steps, timescale=None):
    if k < num_warmup_steps:
        return k / max(1, num_warmup_steps)
    timescale = timescale or num_warmup_steps or 10_000
    return 1 / m.sqrt((k + timescale - num_warmup_steps) / timescale)


def stable_formula(
    m,
    k,
    num_warmup_steps,
    num_decay_steps,
    num_training_steps=None,
    num_stable_steps=None,
    warmup_type="linear",
    decay_type="cosine",
    min_lr_ratio=0.0,
    num_cycles=0.5,
):
    if num_stable_steps is None:
        num_stable_steps = num_training_steps - num_warmup_steps - num_decay_steps
    if k < num_warmup_steps:
        x = k / num_warmup_steps
        factor = {
            "linear": lambda: x,
            "cosine": lambda: 0.5 * (1 - m.cos(m.pi * x)),
            "1-sqrt": lambda: 1 - m.sqrt(1 - x),
        }[warmup_type]()
    elif k < num_warmup_steps + num_stable_steps:
        return 1.0
    elif k < num_warmup_steps + num_stable_steps + num_decay_steps:
        x = (k - num_warmup_steps - num_stable_steps) / num_decay_steps
        factor = {
            "linear": lambda: 1 - x,
            "cosine": lambda: 0.5 * (1 + m.cos(m.pi * num_cycles * 2 * x)),
            "1-sqrt": lambda: 1 - m.sqrt(x),
        }[decay_type]()
    else:
        return min_lr_ratio
    return factor * (1 - min_lr_ratio) + min_lr_ratio


FORMULAS = {
    "schedules.constant_schedule": constant_formula,
    "schedules.constant_schedule_with_warmup": warmup_formula,
    "schedules.linear_schedule_with_warmup": linear_formula,
    "schedules.polynomial_decay_schedule_with_warmup": polynomial_formula,
    "schedules.cosine_schedule_with_warmup": cosine_formula,
    "schedules.cosine_with_min_lr_schedule_with_warmup": cosine_above_a_floor_formula,
    "schedules.cosine_with_hard_restarts_schedule_with_warmup": restarts_formula,
    "schedules.inverse_sqrt_schedule": inverse_sqrt_formula,
    "schedules.wsd_schedule": stable_formula,
}


def formula_of(case, m=math):
    """Return the row's factor of lr as a function of k."""
    kwargs = {name: value for name, value in case.kwargs.items() if name != "lr"}
    number = m.mpf if m is mpmath else float
    if "min_lr" in kwargs:
        kwargs["min_lr_rate"] = number(kwargs.pop("min_lr")) / case.kwargs["lr"]
    if case.function.endswith("polynomial_decay_schedule_with_warmup"):
        kwargs["lr"] = number(case.kwargs["lr"])
    return functools.partial(FORMULAS[case.function], m, **kwargs)


def run_torch(lr, make, steps):
    """Return a live scheduler's lr after 0, 1, ... steps."""
    parameter = torch.nn.Parameter(torch.zeros(1, dtype=torch.float64))
    optimizer = torch.optim.SGD([parameter], lr=lr)
    with warnings.catch_warnings():
        # SequentialLR steps its members before the optimizer has.
        warnings.simplefilter("ignore")
        scheduler = make(optimizer)
    values = [optimizer.param_groups[0]["lr"]]
    for _ in range(steps):
        optimizer.step()
        scheduler.step()
        values.append(optimizer.param_groups[0]["lr"])
    return np.array(values)
