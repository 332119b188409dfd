"""A learning rate that stays."""

from torch.optim.lr_scheduler import LambdaLR


def constant_schedule(optimizer, last_epoch=-1):
    """Keep the learning rates."""
    return LambdaLR(optimizer, lambda k: 1.0, last_epoch)
