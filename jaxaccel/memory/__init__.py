"""Memory against arithmetic: activation checkpointing, and what a step needs."""

from jaxaccel._names import teach
from jaxaccel.memory._batch_size import BatchSize, max_batch_size
from jaxaccel.memory._batch_trials import Candidate
from jaxaccel.memory._checkpoint import checkpoint
from jaxaccel.memory._checkpoint_sequential import checkpoint_sequential
from jaxaccel.memory._estimate import report
from jaxaccel.memory._memory_report import LargeBuffers, MemoryReport
from jaxaccel.memory._offload_optimizer import offload_optimizer
from jaxaccel.memory._zero import ZeroFormula

__all__ = [
    "checkpoint",
    "checkpoint_sequential",
    "offload_optimizer",
    "report",
    "MemoryReport",
    "LargeBuffers",
    "ZeroFormula",
    "max_batch_size",
    "BatchSize",
    "Candidate",
]

teach(__name__)
