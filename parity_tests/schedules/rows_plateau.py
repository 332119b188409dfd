"""Rows for ``schedules.reduce_lr_on_plateau``, and the metrics that each of them is shown.

``lr`` goes to PyTorch's optimizer, everything else to the scheduler.
"""

import numpy as np

from parity_tests.registry import Case

LENGTH = 200


def _case(why, **kwargs):
    return Case(
        "schedules.reduce_lr_on_plateau",
        {"lr": 0.1, **kwargs},
        "torch.optim.lr_scheduler.ReduceLROnPlateau",
        why,
    )


CASES = [
    _case("defaults"),
    _case("lr", lr=3e-4),
    _case("lr zero", lr=0.0, patience=0),
    _case("max", mode="max"),
    _case("factor", factor=0.5),
    _case("factor zero", factor=0.0),
    _case("factor just below one", factor=0.999, patience=0),
    _case("patience", patience=3),
    _case("patience zero", patience=0),
    _case("patience beyond the run", patience=10**12),
    _case("threshold", threshold=0.1),
    _case("threshold zero", threshold=0.0, patience=2),
    _case("threshold one takes nothing for better", threshold=1.0),
    _case("threshold above one", threshold=1.5),
    _case("threshold negative", threshold=-0.05, patience=2),
    _case("threshold below float32", threshold=5e-8, patience=1, factor=0.9),
    _case("abs", threshold_mode="abs", patience=3),
    _case("cooldown", cooldown=5),
    _case("min lr", min_lr=0.02, factor=0.5, patience=1),
    _case("min lr above lr", min_lr=0.5, patience=1),
    _case("min lr below zero", min_lr=-1.0, patience=0),
    _case("eps", eps=0.01, factor=0.5, patience=1),
    _case("eps zero", eps=0.0, patience=0),
    _case("eps taken off exactly", lr=1.0, eps=0.25, factor=0.5, patience=0),
    _case("max rel threshold", mode="max", threshold=0.02, patience=4),
    _case("max threshold minus one", mode="max", threshold=-1.0, patience=1),
    _case("max abs", mode="max", threshold_mode="abs", threshold=0.01, patience=1, factor=0.9),
    _case("min abs", threshold_mode="abs", threshold=0.01, patience=1, factor=0.9),
    _case("abs zero", mode="max", threshold_mode="abs", threshold=0.0, patience=2),
    _case("abs negative", threshold_mode="abs", threshold=-0.1, patience=2),
    _case("abs infinite", threshold_mode="abs", threshold=float("inf"), patience=5),
    _case("cooldown longer than patience", cooldown=8, patience=2, factor=0.7),
    _case("cooldown without patience", cooldown=3, patience=0, factor=0.9),
    _case("cooldown of one", cooldown=1, patience=1, factor=0.8),
    _case(
        "everything",
        lr=0.3, mode="max", factor=0.6, patience=2, threshold=0.003, threshold_mode="abs",
        cooldown=2, min_lr=1e-4, eps=1e-5,
    ),
]  # fmt: skip


def _with(metrics, value, *places):
    return np.where(np.isin(np.arange(LENGTH), places), value, metrics)


def metric_series():
    """Return {name: metrics}."""
    rng, epochs = np.random.default_rng(0), np.arange(LENGTH)
    decay = 2.5 * np.exp(-epochs / 40) + 0.1 * rng.normal(size=LENGTH) ** 2
    rising = np.round(1 - 0.9 * np.exp(-epochs / 50) + 0.01 * rng.normal(size=LENGTH), 2)
    return {
        "noisy decay": decay,
        "flat": np.full(LENGTH, 0.7),
        "staircase": 2.0 - 0.01 * (epochs // 7),
        "accuracies that rise by hundredths": rising,
        "crossing zero": 1.0 - epochs / 60 + 0.05 * rng.normal(size=LENGTH),
        "negative and rising": -5.0 + epochs / 50 + 0.2 * rng.normal(size=LENGTH),
        "not a number": _with(decay, np.nan, 0, 3, *range(20, 40), 199),
        "infinite": _with(_with(decay, np.inf, 0, 5, 60, 61), -np.inf, 150),
        "minus infinity first": _with(decay, -np.inf, 0, 1),
        "tiny": 1e-20 * decay,
    }
