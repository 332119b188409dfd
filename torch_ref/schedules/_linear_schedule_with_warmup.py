"""Linear warm-up, then a linear decay."""

from torch.optim.lr_scheduler import LambdaLR

from torch_ref.schedules._constant_schedule_with_warmup import after_warmup
from torch_ref.schedules._cosine_schedule_with_warmup import known_lengths


def linear_schedule_with_warmup(optimizer, num_warmup_steps, num_training_steps, last_epoch=-1):
    """Raise the learning rates from 0 on lines, then lower them to 0 on others."""
    num_warmup_steps, length = known_lengths(num_warmup_steps, num_training_steps)
    end = int(num_training_steps) - num_warmup_steps

    def factor(k):
        return max(end - k, 0) / length

    return LambdaLR(optimizer, after_warmup(num_warmup_steps, factor), last_epoch)
