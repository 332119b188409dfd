"""Linear warm-up, then a cosine above a floor."""

import math

from torch.optim.lr_scheduler import LambdaLR

from torch_ref.schedules._constant_schedule_with_warmup import after_warmup
from torch_ref.schedules._cosine_schedule_with_warmup import check_cycles, known_lengths


def cosine_with_min_lr_schedule_with_warmup(
    optimizer,
    num_warmup_steps,
    num_training_steps,
    num_cycles=0.5,
    min_lr=None,
    min_lr_rate=None,
    *,
    hold_min_lr=False,
    last_epoch=-1,
):
    """Raise the learning rates from 0 on lines, then lower them to floors on cosines.

    The lowest is ``min_lr``, the same for all groups, or a share ``min_lr_rate`` of each group's.
    """
    num_warmup_steps, length = known_lengths(num_warmup_steps, num_training_steps)
    check_cycles(num_cycles)
    if min_lr is not None and min_lr_rate is not None:
        raise ValueError("Only one of min_lr or min_lr_rate should be set")
    if min_lr is None and min_lr_rate is None:
        text = "One of min_lr or min_lr_rate should be set through the `lr_scheduler_kwargs`"
        raise ValueError(text)
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
            if hold_min_lr and k >= length:
                return lowest
            height = 0.5 * (1 + math.cos(2 * math.pi * num_cycles * k / length))
            return lowest + (1 - lowest) * height

        return after_warmup(num_warmup_steps, factor)

    return LambdaLR(optimizer, [curve(group) for group in optimizer.param_groups], last_epoch)
