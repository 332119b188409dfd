"""From a loss function and an optimizer to a compiled step and a loop around it."""

from jaxaccel._names import teach
from jaxaccel.training._accumulate import accumulate
from jaxaccel.training._fit import History, fit
from jaxaccel.training._split_model import split_model
from jaxaccel.training._train_state import TrainState, train_state
from jaxaccel.training._train_step import train_step
from jaxaccel.training._update_bn import update_bn

__all__ = [
    "split_model",
    "TrainState",
    "train_state",
    "train_step",
    "accumulate",
    "fit",
    "History",
    "update_bn",
]

teach(__name__)
