"""CosineAnnealingLR."""

from __future__ import annotations

import math

from torch_ref.schedules._anneal import anneal
from torch_ref.schedules._inputs import known_count, known_lr, known_number
from torch_ref.schedules._schedule import Curve, Schedule, Start, make_schedule


def cosine_annealing_lr(lr: float, T_max: int, eta_min: float = 0.0) -> Schedule:
    """Swing the learning rate between ``lr`` and ``eta_min`` on a cosine."""
    lr = known_lr(lr)
    T_max = known_count("T_max", T_max, least=1)
    eta_min = known_number("eta_min", eta_min)

    def begin(start: Start) -> Curve:
        first = _stepped_to_zero(start, T_max, eta_min) if start.depth > 1 else start.lr

        def curve(k: int) -> float:
            # The lr that PyTorch's recursion starts from lasts to the first minimum, where it is
            # multiplied by zero; every later swing rises to base_lr.
            peak = first if k <= T_max else start.base_lr
            phase = k % (2 * T_max)
            phase = min(phase, 2 * T_max - phase)
            done, left = phase / T_max, (T_max - phase) / T_max
            return anneal("cos", peak, eta_min, done, left)

        return curve

    return make_schedule(begin, lr=lr)


def _stepped_to_zero(start: Start, T_max: int, eta_min: float) -> float:
    """Return the lr when PyTorch's recursion is applied at step 0, as nested sequences do."""
    if T_max == 1:
        return start.lr + (start.base_lr - eta_min)
    return eta_min + 2 / (1 + math.cos(math.pi / T_max)) * (start.lr - eta_min)
