"""From a loss function and an optimizer to a compiled step and a loop around it."""

from jaxaccel._names import teach
from jaxaccel._packed import Packed
from jaxaccel._types import Gradients
from jaxaccel.training._accumulate import accumulate
from jaxaccel.training._average_weights import (
    AveragedState,
    AveragedWeights,
    average_weights,
    averaged_state,
)
from jaxaccel.training._callback import Callback, Reply, Run
from jaxaccel.training._checklist import Checklist, Point, checklist
from jaxaccel.training._deterministic import set_deterministic
from jaxaccel.training._early_stopping import early_stopping
from jaxaccel.training._evaluate import evaluate
from jaxaccel.training._evaluate_every import evaluate_every
from jaxaccel.training._fit import History, fit
from jaxaccel.training._follow_plateau import follow_plateau
from jaxaccel.training._gradients import gradients
from jaxaccel.training._heartbeat import heartbeat
from jaxaccel.training._join_micro_batches import join_micro_batches
from jaxaccel.training._log_every import log_every
from jaxaccel.training._nan_policies import roll_back_on_nan, terminate_on_nan
from jaxaccel.training._packed import packed, packed_as, unpacked
from jaxaccel.training._preemption import preemption
from jaxaccel.training._progressive_batch_size import BatchSizes, progressive_batch_size
from jaxaccel.training._recommended import Recommended, recommended
from jaxaccel.training._record import Snapshot
from jaxaccel.training._restore import Saved, restore, saved_steps
from jaxaccel.training._rng_state import get_rng_state, set_rng_state
from jaxaccel.training._save import save
from jaxaccel.training._save_every import save_every
from jaxaccel.training._saving import Saving
from jaxaccel.training._set_seed import Seeds, set_seed
from jaxaccel.training._skip_nonfinite import skip_nonfinite
from jaxaccel.training._split_model import merge, split_model
from jaxaccel.training._time_budget import time_budget
from jaxaccel.training._train_state import TrainState, train_state
from jaxaccel.training._train_step import train_step
from jaxaccel.training._update_bn import update_bn

__all__ = [
    "split_model",
    "merge",
    "gradients",
    "Gradients",
    "accumulate",
    "join_micro_batches",
    "TrainState",
    "train_state",
    "train_step",
    "packed",
    "unpacked",
    "packed_as",
    "Packed",
    "fit",
    "History",
    "Callback",
    "Run",
    "Reply",
    "Snapshot",
    "evaluate_every",
    "early_stopping",
    "follow_plateau",
    "save_every",
    "log_every",
    "terminate_on_nan",
    "skip_nonfinite",
    "average_weights",
    "averaged_state",
    "AveragedState",
    "AveragedWeights",
    "roll_back_on_nan",
    "time_budget",
    "preemption",
    "heartbeat",
    "evaluate",
    "save",
    "Saving",
    "restore",
    "Saved",
    "saved_steps",
    "update_bn",
    "recommended",
    "Recommended",
    "checklist",
    "Checklist",
    "Point",
    "progressive_batch_size",
    "BatchSizes",
    "set_seed",
    "Seeds",
    "get_rng_state",
    "set_rng_state",
    "set_deterministic",
]

teach(__name__)
