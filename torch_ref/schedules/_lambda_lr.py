"""LambdaLR."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from torch_ref.schedules._inputs import known_lr
from torch_ref.schedules._schedule import Schedule, multiple_of_base
from torch_ref.schedules._user_function import check_function


def lambda_lr(lr: float, lr_lambda: Callable[[Any], Any]) -> Schedule:
    """Multiply the learning rate by a function of the step."""
    lr = known_lr(lr)
    check_function("lr_lambda", lr_lambda)
    return multiple_of_base(lr, lr_lambda)
