"""The models that examples and tests train."""

from torch_ref.models._depthwise_cnn import depthwise_cnn
from torch_ref.models._gpt import gpt
from torch_ref.models._gpt_block import GPTConfig
from torch_ref.models._lstm_classifier import lstm_classifier
from torch_ref.models._mlp import mlp
from torch_ref.models._resnet import resnet10, resnet18, resnet50
from torch_ref.models._simple_cnn import simple_cnn
from torch_ref.models._vit import vit_tiny

__all__ = [
    "mlp",
    "simple_cnn",
    "depthwise_cnn",
    "resnet10",
    "resnet18",
    "resnet50",
    "vit_tiny",
    "lstm_classifier",
    "GPTConfig",
    "gpt",
]
