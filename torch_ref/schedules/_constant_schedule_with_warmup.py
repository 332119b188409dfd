"""A linear warm-up, then a constant learning rate."""

from torch.optim.lr_scheduler import LambdaLR


def constant_schedule_with_warmup(optimizer, num_warmup_steps, last_epoch=-1):
    """Raise the learning rates on straight lines from 0 to the optimizer's, then hold them."""
    num_warmup_steps = known_count("num_warmup_steps", num_warmup_steps, least=0)
    return LambdaLR(optimizer, after_warmup(num_warmup_steps, lambda k: 1.0), last_epoch)


def after_warmup(num_warmup_steps, factor):
    """Return the line from 0 to 1, and then ``factor``, counted from the end of the line."""

    def curve(k):
        if k < num_warmup_steps:
            return k / num_warmup_steps
        return factor(k - num_warmup_steps)

    return curve


def known_count(name, value, least):
    """Return a whole number of at least ``least`` as an int."""
    if value != int(value) or value < least:
        raise ValueError(f"{name} must be a whole number of at least {least}, got {value!r}")
    return int(value)
