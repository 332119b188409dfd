"""Warm-up, a long plateau, and a short decay."""

import math
import warnings

from torch.optim.lr_scheduler import LambdaLR

from torch_ref.schedules._constant_schedule_with_warmup import known_count
from torch_ref.schedules._cosine_schedule_with_warmup import check_cycles


def wsd_schedule(
    optimizer,
    num_warmup_steps,
    num_decay_steps,
    num_training_steps=None,
    num_stable_steps=None,
    warmup_type="linear",
    decay_type="cosine",
    min_lr_ratio=0.0,
    num_cycles=0.5,
    last_epoch=-1,
):
    """Raise the learning rates, hold them for most of the training, and let them fall."""
    num_warmup_steps = known_count("num_warmup_steps", num_warmup_steps, least=0)
    num_decay_steps = known_count("num_decay_steps", num_decay_steps, least=0)
    decay_start = num_warmup_steps + _known_plateau(
        num_warmup_steps + num_decay_steps, num_training_steps, num_stable_steps
    )
    for phase, shape in (("warmup", warmup_type), ("decay", decay_type)):
        if shape not in ("linear", "cosine", "1-sqrt"):
            text = f"Unknown {phase} type: {shape}, expected 'linear', 'cosine' or '1-sqrt'"
            raise ValueError(text)
    if not min_lr_ratio >= 0.0:
        raise ValueError(f"min_lr_ratio must be at least 0, got {min_lr_ratio!r}")
    check_cycles(num_cycles)

    def factor(k):
        if k < num_warmup_steps:
            height = _rise(warmup_type, k / num_warmup_steps)
        elif k < decay_start:
            return 1.0
        elif k < decay_start + num_decay_steps:
            done = (k - decay_start) / num_decay_steps
            # A cosine may have any number of waves; half of one is a fall.
            waves = 2 * num_cycles if decay_type == "cosine" else 1
            height = _rise(decay_type, 1 - waves * done)
        else:
            height = 0.0
        return min_lr_ratio + (1.0 - min_lr_ratio) * height

    return LambdaLR(optimizer, factor, last_epoch)


def _known_plateau(others, num_training_steps, num_stable_steps):
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


def _rise(shape, done):
    """Return how far a phase has risen from 0 to 1; a decay falls as a warm-up played backwards."""
    if shape == "cosine":
        return 0.5 * (1 - math.cos(math.pi * done))
    return done if shape == "linear" else 1 - math.sqrt(1 - done)
