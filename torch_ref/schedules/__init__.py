"""Learning rate schedules: ``jaxaccel.schedules`` as functions of a Python int."""

from torch_ref.schedules._cosine_annealing_lr import cosine_annealing_lr
from torch_ref.schedules._linear_lr import linear_lr
from torch_ref.schedules._one_cycle_lr import one_cycle_lr
from torch_ref.schedules._one_cycle_momentum import one_cycle_momentum
from torch_ref.schedules._sequential_lr import sequential_lr

__all__ = [
    "cosine_annealing_lr",
    "linear_lr",
    "one_cycle_lr",
    "one_cycle_momentum",
    "sequential_lr",
]
