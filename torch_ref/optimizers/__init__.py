"""The mirror of ``jaxaccel.optimizers``."""

from torch_ref.optimizers._adam import AdamState, adam
from torch_ref.optimizers._adamw import adamw
from torch_ref.optimizers._sgd import SGDState, sgd

__all__ = ["sgd", "SGDState", "adam", "AdamState", "adamw"]
