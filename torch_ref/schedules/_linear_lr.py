"""LinearLR."""

from __future__ import annotations

from torch_ref.schedules._anneal import anneal
from torch_ref.schedules._inputs import known_count, known_lr, known_number
from torch_ref.schedules._schedule import Schedule, factor_schedule


def linear_lr(
    lr: float,
    start_factor: float = 1.0 / 3,
    end_factor: float = 1.0,
    total_iters: int = 5,
) -> Schedule:
    """Move the learning rate on a straight line between two factors of itself, then hold it."""
    lr = known_lr(lr)
    start_factor = known_number("start_factor", start_factor)
    end_factor = known_number("end_factor", end_factor)
    if not 0.0 < start_factor <= 1.0:
        raise ValueError(
            "Starting multiplicative factor expected to be greater than 0 and less or equal to 1."
        )
    if not 0.0 <= end_factor <= 1.0:
        raise ValueError("Ending multiplicative factor expected to be between 0 and 1.")
    total_iters = known_count("total_iters", total_iters, least=0)
    length = max(total_iters, 1)

    def factor(k: int) -> float:
        k = min(k, total_iters)
        done, left = k / length, (length - k) / length
        return anneal("linear", start_factor, end_factor, done, left)

    def ratio(k: int) -> float:
        moves = 1 <= k <= total_iters
        later = factor(k) / factor(k - 1) if moves else 1.0
        return start_factor if k == 0 else later

    no_restart = "" if total_iters else "linear_lr with total_iters=0: PyTorch divides by zero"
    return factor_schedule(lr, factor, ratio, no_restart=no_restart)
