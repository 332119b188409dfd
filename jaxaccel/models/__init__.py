"""The models that examples and tests train, with PyTorch's names for their arrays."""

from jaxaccel.models._mlp import mlp
from jaxaccel.models._resnet import resnet10, resnet18
from jaxaccel.models._simple_cnn import simple_cnn

__all__ = ["mlp", "simple_cnn", "resnet10", "resnet18"]
