"""Learning rate schedules that PyTorch lacks, as builders of its own schedulers.

Each takes an optimizer and returns a ``torch.optim.lr_scheduler.LambdaLR``, after whose k-th
``step()`` the learning rate is ``jaxaccel.schedules`` at k. All others are in
``torch.optim.lr_scheduler``.
"""

from torch_ref.schedules._constant_schedule import constant_schedule
from torch_ref.schedules._constant_schedule_with_warmup import constant_schedule_with_warmup
from torch_ref.schedules._cosine_schedule_with_warmup import cosine_schedule_with_warmup
from torch_ref.schedules._cosine_with_hard_restarts_schedule_with_warmup import (
    cosine_with_hard_restarts_schedule_with_warmup,
)
from torch_ref.schedules._cosine_with_min_lr_schedule_with_warmup import (
    cosine_with_min_lr_schedule_with_warmup,
)
from torch_ref.schedules._inverse_sqrt_schedule import inverse_sqrt_schedule
from torch_ref.schedules._linear_schedule_with_warmup import linear_schedule_with_warmup
from torch_ref.schedules._polynomial_decay_schedule_with_warmup import (
    polynomial_decay_schedule_with_warmup,
)
from torch_ref.schedules._scale_lr import scale_lr
from torch_ref.schedules._wsd_schedule import wsd_schedule

__all__ = [
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
]
