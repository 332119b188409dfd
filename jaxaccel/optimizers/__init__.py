"""``torch.optim``: optimizers as optax transformations, one a file."""

from jaxaccel.optimizers._adam import AdamState, adam
from jaxaccel.optimizers._adamw import adamw
from jaxaccel.optimizers._sgd import SGDState, sgd

__all__ = ["sgd", "SGDState", "adam", "AdamState", "adamw"]
