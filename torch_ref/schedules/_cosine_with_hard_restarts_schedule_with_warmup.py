"""Linear warm-up, then a falling cosine again and again."""

import math

from torch.optim.lr_scheduler import LambdaLR

from torch_ref.schedules._constant_schedule_with_warmup import after_warmup, known_count
from torch_ref.schedules._cosine_schedule_with_warmup import known_lengths


def cosine_with_hard_restarts_schedule_with_warmup(
    optimizer, num_warmup_steps, num_training_steps, num_cycles=1, last_epoch=-1
):
    """Raise the learning rates from 0 on lines, then let them fall several times."""
    num_warmup_steps, length = known_lengths(num_warmup_steps, num_training_steps)
    num_cycles = known_count("num_cycles", num_cycles, least=1)

    def factor(k):
        # The remainder comes before the division: a rounded fraction can miss a restart.
        into = num_cycles * k % length / length
        return 0.5 * (1 + math.cos(math.pi * into)) if k < length else 0.0

    return LambdaLR(optimizer, after_warmup(num_warmup_steps, factor), last_epoch)
