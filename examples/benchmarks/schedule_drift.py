"""How far PyTorch's schedulers drift from their own formulas, and how far jaxaccel is from them.

    python examples/benchmarks/schedule_drift.py

PyTorch multiplies the learning rate from step to step and carries every rounding on; jaxaccel
evaluates the formula at the step. The judge is the formula in 40 digits, at 600 steps up to three
times the length. Errors are shares of the highest learning rate; float32 is traced, as on an
accelerator.
"""

from __future__ import annotations

import dataclasses
import warnings
from collections.abc import Callable
from typing import Any

import _timing as timing
import jax
import jax.numpy as jnp
import mpmath
import numpy as np
import torch
import tyro
from rich.progress import track

import jaxaccel as ja

LR, TIMES = 0.1, 3
SCHEDULERS: dict[str, tuple[Callable, Callable, Callable]] = {
    "CosineAnnealingLR, eta_min": (
        lambda length: ja.schedules.cosine_annealing_lr(LR, length, LR / 100),
        lambda optimizer, length: torch.optim.lr_scheduler.CosineAnnealingLR(
            optimizer, length, LR / 100
        ),
        lambda k, length: (101 + 99 * mpmath.cos(mpmath.pi * k / length)) / 200,
    ),
    "LinearLR": (
        lambda length: ja.schedules.linear_lr(LR, 0.001, 1.0, length),
        lambda optimizer, length: torch.optim.lr_scheduler.LinearLR(optimizer, 0.001, 1.0, length),
        lambda k, length: mpmath.mpf(0.001) + (1 - mpmath.mpf(0.001)) * min(k, length) / length,
    ),
    "PolynomialLR, power 2": (
        lambda length: ja.schedules.polynomial_lr(LR, length, 2.0),
        lambda optimizer, length: torch.optim.lr_scheduler.PolynomialLR(optimizer, length, 2.0),
        lambda k, length: (1 - min(k, length) / mpmath.mpf(length)) ** 2,
    ),
    "ExponentialLR": (
        lambda length: ja.schedules.exponential_lr(LR, 1 - 1 / length),
        lambda optimizer, length: torch.optim.lr_scheduler.ExponentialLR(optimizer, 1 - 1 / length),
        lambda k, length: mpmath.mpf(1 - 1 / length) ** k,
    ),
}
"""Name: jaxaccel's schedule, PyTorch's scheduler and the formula, each for a length."""


def errors(length: int, ours: Callable, theirs: Callable, formula: Callable) -> tuple[float, ...]:
    """Return the largest error of PyTorch, of jaxaccel in double, and of jaxaccel in float32."""
    steps = np.unique(np.linspace(0, TIMES * length, 600).astype(int))
    with mpmath.workdps(40):
        exact = np.array(
            [float(mpmath.mpf(LR) * formula(mpmath.mpf(int(k)), length)) for k in steps]
        )
    schedule = ours(length)
    with jax.enable_x64(False):
        traced = np.asarray(jax.jit(schedule)(jnp.asarray(steps)), np.float64)
    found: tuple[Any, ...] = (
        run_torch(theirs, length, TIMES * length)[steps],
        schedule(steps),
        traced,
    )
    return tuple(float(np.abs(values - exact).max() / LR) for values in found)


def run_torch(theirs: Callable, length: int, steps: int) -> np.ndarray:
    """Return the learning rate after every step of a live scheduler."""
    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=LR)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the optimizer itself is never stepped
        scheduler, values = theirs(optimizer, length), []
        for _ in range(steps + 1):
            values.append(optimizer.param_groups[0]["lr"])
            scheduler.step()
    return np.array(values)


@dataclasses.dataclass
class Args(timing.Output):
    """What to run."""

    lengths: tuple[int, ...] = (1_000, 10_000, 100_000)
    """Steps of the schedules."""


def main(args: Args) -> None:
    """Print the table."""
    if args.smoke:
        args = dataclasses.replace(args, lengths=(100,))
    found: list[timing.Row] = []
    rows = [(name, length) for name in SCHEDULERS for length in args.lengths]
    for name, length in track(rows, "running the schedulers"):
        figures = (f"{error:.1e}" for error in errors(length, *SCHEDULERS[name]))
        names = ("PyTorch", "jaxaccel", "jaxaccel, float32")
        found.append({"scheduler": name, "steps": length} | dict(zip(names, figures, strict=True)))
    title = "largest error, as a share of the highest learning rate"
    timing.report(args, [timing.Table(title, found)])


if __name__ == "__main__":
    main(tyro.cli(Args))
