"""Linear warm-up, then a decay with the inverse square root of the step."""

import math

from torch.optim.lr_scheduler import LambdaLR

from torch_ref.schedules._constant_schedule_with_warmup import after_warmup, known_count


def inverse_sqrt_schedule(optimizer, num_warmup_steps, timescale=None, last_epoch=-1):
    """Raise the learning rates from 0 on lines, then divide them by a growing root."""
    num_warmup_steps = known_count("num_warmup_steps", num_warmup_steps, least=0)
    if timescale is None:
        timescale = num_warmup_steps or 10_000
    timescale = known_count("timescale", timescale, least=1)

    def factor(k):
        return math.sqrt(timescale / (k + timescale))

    return LambdaLR(optimizer, after_warmup(num_warmup_steps, factor), last_epoch)
