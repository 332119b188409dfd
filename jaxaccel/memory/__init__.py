"""Memory against arithmetic: activation checkpointing, and what a step needs."""

from jaxaccel._names import teach
from jaxaccel.memory._checkpoint import checkpoint
from jaxaccel.memory._checkpoint_sequential import checkpoint_sequential

__all__ = ["checkpoint", "checkpoint_sequential"]

teach(__name__)
