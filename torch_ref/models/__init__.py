"""The models that examples and tests train."""

from torch_ref.models._mlp import mlp
from torch_ref.models._resnet import resnet10, resnet18
from torch_ref.models._simple_cnn import simple_cnn

__all__ = ["mlp", "simple_cnn", "resnet10", "resnet18"]
