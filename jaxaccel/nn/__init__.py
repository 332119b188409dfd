"""flax.nnx layers with PyTorch's names, constructors and defaults; channels last."""

from jaxaccel.nn._avg_pool import AvgPool2d
from jaxaccel.nn._batch_norm import BatchNorm2d
from jaxaccel.nn._conv import Conv2d
from jaxaccel.nn._dropout import Dropout
from jaxaccel.nn._layer_norm import LayerNorm
from jaxaccel.nn._linear import Linear
from jaxaccel.nn._max_pool import MaxPool2d
from jaxaccel.nn._state_dict import IncompatibleKeys, load_state_dict, state_dict

__all__ = [
    "Linear",
    "Conv2d",
    "BatchNorm2d",
    "LayerNorm",
    "Dropout",
    "MaxPool2d",
    "AvgPool2d",
    "state_dict",
    "load_state_dict",
    "IncompatibleKeys",
]
