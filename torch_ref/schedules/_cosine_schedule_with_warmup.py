"""Linear warm-up, then a cosine."""

import math

from torch.optim.lr_scheduler import LambdaLR

from torch_ref.schedules._warmup import after_warmup, known_count


def cosine_schedule_with_warmup(
    optimizer,
    num_warmup_steps,
    num_training_steps,
    num_cycles=0.5,
    min_lr=None,
    min_lr_rate=None,
    last_epoch=-1,
):
    """Raise the learning rates from 0 on lines, then swing them down on cosines.

    The lowest is ``min_lr``, the same for all groups, or a share ``min_lr_rate`` of each group's.
    """
    num_warmup_steps, length = known_lengths(num_warmup_steps, num_training_steps)
    check_cycles(num_cycles)
    if min_lr is not None and min_lr_rate is not None:
        raise ValueError("Only one of min_lr or min_lr_rate should be set")
    for name, lowest in (("min_lr", min_lr), ("min_lr_rate", min_lr_rate)):
        if lowest is not None and not lowest >= 0.0:
            raise ValueError(f"{name} must be at least 0, got {lowest!r}")

    def curve(group):
        lr, lowest = group.get("initial_lr", group["lr"]), min_lr_rate or 0.0
        if min_lr is not None:
            if lr == 0:
                text = "min_lr needs an lr above 0, of which it is a share; give min_lr_rate"
                raise ValueError(text)
            lowest = min_lr / lr

        def factor(k):
            height = 0.5 * (1 + math.cos(2 * math.pi * num_cycles * k / length))
            return lowest + (1 - lowest) * height

        return after_warmup(num_warmup_steps, factor)

    return LambdaLR(optimizer, [curve(group) for group in optimizer.param_groups], last_epoch)


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
