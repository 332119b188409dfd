"""Learning rate schedules that PyTorch lacks, as builders of its own schedulers.

Each takes an optimizer and returns a ``torch.optim.lr_scheduler.LambdaLR``, after whose k-th
``step()`` the learning rate is ``jaxaccel.schedules`` at k. All others are in
``torch.optim.lr_scheduler``.
"""

from torch_ref.schedules._cosine_schedule_with_warmup import cosine_schedule_with_warmup
from torch_ref.schedules._cosine_with_hard_restarts_schedule_with_warmup import (
    cosine_with_hard_restarts_schedule_with_warmup,
)
from torch_ref.schedules._inverse_sqrt import inverse_sqrt
from torch_ref.schedules._scale_lr import scale_lr
from torch_ref.schedules._warmup import warmup
from torch_ref.schedules._warmup_stable_decay import warmup_stable_decay

__all__ = [
    "warmup",
    "cosine_schedule_with_warmup",
    "cosine_with_hard_restarts_schedule_with_warmup",
    "inverse_sqrt",
    "warmup_stable_decay",
    "scale_lr",
]
