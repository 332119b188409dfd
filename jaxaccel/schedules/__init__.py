"""Learning rate schedules: ``torch.optim.lr_scheduler`` as functions of the step."""

from jaxaccel._names import teach
from jaxaccel.schedules._chained_scheduler import chained_scheduler
from jaxaccel.schedules._constant_lr import constant_lr
from jaxaccel.schedules._constant_schedule import constant_schedule
from jaxaccel.schedules._constant_schedule_with_warmup import constant_schedule_with_warmup
from jaxaccel.schedules._cosine_annealing_lr import cosine_annealing_lr
from jaxaccel.schedules._cosine_annealing_warm_restarts import cosine_annealing_warm_restarts
from jaxaccel.schedules._cosine_schedule_with_warmup import cosine_schedule_with_warmup
from jaxaccel.schedules._cosine_with_hard_restarts_schedule_with_warmup import (
    cosine_with_hard_restarts_schedule_with_warmup,
)
from jaxaccel.schedules._cosine_with_min_lr_schedule_with_warmup import (
    cosine_with_min_lr_schedule_with_warmup,
)
from jaxaccel.schedules._cyclic_lr import cyclic_lr
from jaxaccel.schedules._cyclic_momentum import cyclic_momentum
from jaxaccel.schedules._exponential_lr import exponential_lr
from jaxaccel.schedules._inverse_sqrt_schedule import inverse_sqrt_schedule
from jaxaccel.schedules._lambda_lr import lambda_lr
from jaxaccel.schedules._linear_lr import linear_lr
from jaxaccel.schedules._linear_schedule_with_warmup import linear_schedule_with_warmup
from jaxaccel.schedules._multi_step_lr import multi_step_lr
from jaxaccel.schedules._multiplicative_lr import multiplicative_lr
from jaxaccel.schedules._one_cycle_lr import one_cycle_lr
from jaxaccel.schedules._one_cycle_momentum import one_cycle_momentum
from jaxaccel.schedules._per_epoch import per_epoch
from jaxaccel.schedules._polynomial_decay_schedule_with_warmup import (
    polynomial_decay_schedule_with_warmup,
)
from jaxaccel.schedules._polynomial_lr import polynomial_lr
from jaxaccel.schedules._preview import Preview, preview
from jaxaccel.schedules._reduce_lr_on_plateau import (
    Plateau,
    PlateauState,
    reduce_lr_on_plateau,
)
from jaxaccel.schedules._scale_lr import scale_lr
from jaxaccel.schedules._sequential_lr import sequential_lr
from jaxaccel.schedules._step_lr import step_lr
from jaxaccel.schedules._swa_lr import swa_lr
from jaxaccel.schedules._wsd_schedule import wsd_schedule

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
    "per_epoch",
    "constant_schedule",
    "constant_schedule_with_warmup",
    "linear_schedule_with_warmup",
    "polynomial_decay_schedule_with_warmup",
    "cosine_schedule_with_warmup",
    "cosine_with_min_lr_schedule_with_warmup",
    "cosine_with_hard_restarts_schedule_with_warmup",
    "inverse_sqrt_schedule",
    "wsd_schedule",
    "scale_lr",
    "preview",
    "Preview",
]

teach(__name__)
