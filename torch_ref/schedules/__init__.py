"""Learning rate schedules: ``jaxaccel.schedules`` as functions of a Python int."""

from torch_ref.schedules._chained_scheduler import chained_scheduler
from torch_ref.schedules._constant_lr import constant_lr
from torch_ref.schedules._cosine_annealing_lr import cosine_annealing_lr
from torch_ref.schedules._cosine_annealing_warm_restarts import cosine_annealing_warm_restarts
from torch_ref.schedules._cosine_schedule_with_warmup import cosine_schedule_with_warmup
from torch_ref.schedules._cosine_with_hard_restarts_schedule_with_warmup import (
    cosine_with_hard_restarts_schedule_with_warmup,
)
from torch_ref.schedules._cyclic_lr import cyclic_lr
from torch_ref.schedules._cyclic_momentum import cyclic_momentum
from torch_ref.schedules._exponential_lr import exponential_lr
from torch_ref.schedules._inverse_sqrt import inverse_sqrt
from torch_ref.schedules._lambda_lr import lambda_lr
from torch_ref.schedules._linear_lr import linear_lr
from torch_ref.schedules._multi_step_lr import multi_step_lr
from torch_ref.schedules._multiplicative_lr import multiplicative_lr
from torch_ref.schedules._one_cycle_lr import one_cycle_lr
from torch_ref.schedules._one_cycle_momentum import one_cycle_momentum
from torch_ref.schedules._polynomial_lr import polynomial_lr
from torch_ref.schedules._reduce_lr_on_plateau import (
    Plateau,
    PlateauState,
    reduce_lr_on_plateau,
)
from torch_ref.schedules._scale_lr import scale_lr
from torch_ref.schedules._sequential_lr import sequential_lr
from torch_ref.schedules._step_lr import step_lr
from torch_ref.schedules._swa_lr import swa_lr
from torch_ref.schedules._warmup import warmup
from torch_ref.schedules._warmup_stable_decay import warmup_stable_decay

__all__ = [
    "lambda_lr",
    "multiplicative_lr",
    "step_lr",
    "multi_step_lr",
    "constant_lr",
    "linear_lr",
    "exponential_lr",
    "polynomial_lr",
    "cosine_annealing_lr",
    "cosine_annealing_warm_restarts",
    "cyclic_lr",
    "cyclic_momentum",
    "one_cycle_lr",
    "one_cycle_momentum",
    "sequential_lr",
    "chained_scheduler",
    "swa_lr",
    "reduce_lr_on_plateau",
    "Plateau",
    "PlateauState",
    "warmup",
    "cosine_schedule_with_warmup",
    "cosine_with_hard_restarts_schedule_with_warmup",
    "inverse_sqrt",
    "warmup_stable_decay",
    "scale_lr",
]
