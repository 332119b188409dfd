"""CosineAnnealingLR."""

from __future__ import annotations

import math

from torch_ref.schedules._anneal import anneal
from torch_ref.schedules._inputs import known_count, known_lr, known_number
from torch_ref.schedules._schedule import Curve, Next, Schedule, Scheduler, Start, make_schedule


def cosine_annealing_lr(lr: float, T_max: int, eta_min: float = 0.0) -> Schedule:
    """Swing the learning rate between ``lr`` and ``eta_min`` on a cosine."""
    lr = known_lr(lr)
    T_max = known_count("T_max", T_max, least=1)
    eta_min = known_number("eta_min", eta_min)

    def values(start: Start) -> Curve:
        def curve(k: int) -> float:
            # The lr that PyTorch's recursion starts from lasts to the first minimum, where it is
            # multiplied by zero; every later swing rises to base_lr.
            peak = start.origin if k <= T_max else start.base_lr
            phase = k % (2 * T_max)
            phase = min(phase, 2 * T_max - phase)
            return anneal("cos", peak, eta_min, phase / T_max, (T_max - phase) / T_max)

        return curve

    def next_lr(start: Start) -> Next:
        def cosine(k: int) -> float:
            return math.cos(0.5 * math.pi * (k % (2 * T_max)) / T_max) ** 2

        def step(k: int, lr: float) -> float:
            if (k - 1 - T_max) % (2 * T_max) == 0:
                return lr + (start.base_lr - eta_min) * math.sin(0.5 * math.pi / T_max) ** 2
            return eta_min + cosine(k) / cosine(k - 1) * (lr - eta_min)

        return step

    return make_schedule(Scheduler(lr, values, next_lr, "affine"))
