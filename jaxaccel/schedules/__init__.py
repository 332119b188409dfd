"""Learning rate schedules: ``torch.optim.lr_scheduler`` as functions of the step."""

from jaxaccel.schedules._cosine_annealing_lr import cosine_annealing_lr
from jaxaccel.schedules._linear_lr import linear_lr
from jaxaccel.schedules._one_cycle_lr import one_cycle_lr
from jaxaccel.schedules._one_cycle_momentum import one_cycle_momentum
from jaxaccel.schedules._sequential_lr import sequential_lr

__all__ = [
    "cosine_annealing_lr",
    "linear_lr",
    "one_cycle_lr",
    "one_cycle_momentum",
    "sequential_lr",
]
