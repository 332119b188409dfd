"""Warm-up, a long plateau, and a short decay."""

from __future__ import annotations

import math
import warnings
from typing import Any, Literal

from torch_ref.schedules._cosine_phase import cosine_phase, known_cycles
from torch_ref.schedules._inputs import known_count, known_lr, known_number
from torch_ref.schedules._schedule import Schedule, multiple_of_base


def warmup_stable_decay(
    lr: float,
    num_warmup_steps: int,
    num_decay_steps: int,
    num_training_steps: int | None = None,
    num_stable_steps: int | None = None,
    warmup_type: Literal["linear", "cosine", "1-sqrt"] = "linear",
    decay_type: Literal["linear", "cosine", "1-sqrt"] = "cosine",
    min_lr_ratio: float = 0.0,
    num_cycles: float = 0.5,
) -> Schedule:
    """Raise the learning rate to ``lr``, hold it for most of the training, and let it fall."""
    lr = known_lr(lr)
    num_warmup_steps = known_count("num_warmup_steps", num_warmup_steps, least=0)
    num_decay_steps = known_count("num_decay_steps", num_decay_steps, least=0)
    decay_start = num_warmup_steps + _known_plateau(
        num_warmup_steps + num_decay_steps, num_training_steps, num_stable_steps
    )
    _check_shape("warmup", warmup_type)
    _check_shape("decay", decay_type)
    lowest = known_number("min_lr_ratio", min_lr_ratio)
    if not lowest >= 0.0:
        raise ValueError(f"min_lr_ratio must be at least 0, got {min_lr_ratio!r}")
    num_cycles = known_cycles(num_cycles)

    def factor(k: int) -> float:
        done, left = _shares(k, num_warmup_steps)
        rising = lowest + (1.0 - lowest) * _rise(warmup_type, done, left)
        since = min(max(k - decay_start, 0), num_decay_steps)
        done, left = _shares(since, num_decay_steps)
        if decay_type == "cosine":
            done, left = cosine_phase(since, num_cycles, max(num_decay_steps, 1))
        falling = lowest + (1.0 - lowest) * _rise(decay_type, left, done)
        falling = falling if since < num_decay_steps else lowest
        later = 1.0 if k < decay_start else falling
        return rising if k < num_warmup_steps else later

    return multiple_of_base(lr, factor)


def _known_plateau(others: int, num_training_steps: Any, num_stable_steps: Any) -> int:
    """Return the length of the plateau, given that of the ``others`` together."""
    if num_training_steps is None and num_stable_steps is None:
        raise ValueError("Either num_training_steps or num_stable_steps must be specified.")
    if num_stable_steps is not None:
        if num_training_steps is not None:
            warnings.warn(
                "Both num_training_steps and num_stable_steps are specified. "
                "num_stable_steps will be used.",
                stacklevel=3,
            )
        return known_count("num_stable_steps", num_stable_steps, least=0)
    num_training_steps = known_count("num_training_steps", num_training_steps, least=0)
    if num_training_steps < others:
        raise ValueError(
            "num_training_steps must be at least num_warmup_steps + num_decay_steps, "
            f"got {num_training_steps} and {others}"
        )
    return num_training_steps - others


def _check_shape(phase: str, shape: Any) -> None:
    """Raise unless ``shape`` is the name of one."""
    if shape not in ("linear", "cosine", "1-sqrt"):
        raise ValueError(f"Unknown {phase} type: {shape}, expected 'linear', 'cosine' or '1-sqrt'")


def _shares(k: int, length: int) -> tuple[float, float]:
    """Return the share of ``length`` that is done at step ``k``, and the share that is left."""
    k, divisor = min(k, length), max(length, 1)
    return k / divisor, (length - k) / divisor


def _rise(shape: str, done: float, left: float) -> float:
    """Return how far a phase has risen from 0 to 1; a decay falls as a warm-up played backwards."""
    if shape == "cosine":
        return math.sin(0.5 * math.pi * done) ** 2
    return done if shape == "linear" else done / (1.0 + math.sqrt(left))
