"""Linear warm-up, then a power of the steps that are left."""

from torch.optim.lr_scheduler import LambdaLR

from torch_ref.schedules._constant_schedule_with_warmup import after_warmup
from torch_ref.schedules._cosine_schedule_with_warmup import known_lengths


def polynomial_decay_schedule_with_warmup(
    optimizer, num_warmup_steps, num_training_steps, lr_end=1e-7, power=1.0, last_epoch=-1
):
    """Raise the learning rates from 0 on lines, then lower them to ``lr_end`` on a power."""
    if not power >= 0.0:
        raise ValueError(f"power must be at least 0, got {power!r}")
    num_warmup_steps, length = known_lengths(num_warmup_steps, num_training_steps)
    if int(num_training_steps) == num_warmup_steps:
        raise ValueError(
            f"num_training_steps must be more than num_warmup_steps, got {num_training_steps} for "
            "both: no step is left for the decay, and Transformers divides by zero"
        )

    def curve(group):
        lr = group.get("initial_lr", group["lr"])
        if not lr > lr_end:
            raise ValueError(f"lr_end ({lr_end}) must be smaller than initial lr ({lr})")
        lowest = lr_end / lr

        def factor(k):
            if k > length:
                return lowest
            return lowest + (1 - lowest) * (max(length - k, 0) / length) ** power

        return after_warmup(num_warmup_steps, factor)

    return LambdaLR(optimizer, [curve(group) for group in optimizer.param_groups], last_epoch)
