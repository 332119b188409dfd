"""Linear warm-up, then a cosine."""

import math

from torch.optim.lr_scheduler import LambdaLR

from torch_ref.schedules._constant_schedule_with_warmup import after_warmup, known_count


def cosine_schedule_with_warmup(
    optimizer, num_warmup_steps, num_training_steps, num_cycles=0.5, last_epoch=-1
):
    """Raise the learning rates from 0 on lines, then swing them down on cosines."""
    num_warmup_steps, length = known_lengths(num_warmup_steps, num_training_steps)
    check_cycles(num_cycles)

    def factor(k):
        return 0.5 * (1 + math.cos(2 * math.pi * num_cycles * k / length))

    return LambdaLR(optimizer, after_warmup(num_warmup_steps, factor), last_epoch)


def known_lengths(num_warmup_steps, num_training_steps):
    """Return the lengths of the warm-up and of what follows, which is at least one step."""
    num_warmup_steps = known_count("num_warmup_steps", num_warmup_steps, least=0)
    num_training_steps = known_count("num_training_steps", num_training_steps, least=0)
    if num_training_steps < num_warmup_steps:
        raise ValueError(
            f"num_training_steps must be at least num_warmup_steps, got {num_training_steps} "
            f"and {num_warmup_steps}; it counts the steps of the warm-up too"
        )
    return num_warmup_steps, max(num_training_steps - num_warmup_steps, 1)


def check_cycles(num_cycles):
    """Raise unless a number of waves is finite and at least 0."""
    if not 0.0 <= num_cycles < math.inf:
        raise ValueError(f"num_cycles must be finite and at least 0, got {num_cycles!r}")
