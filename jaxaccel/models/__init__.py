"""The models that examples and tests train, with PyTorch's names for their arrays."""

from jaxaccel._names import teach
from jaxaccel.models._depthwise_cnn import depthwise_cnn
from jaxaccel.models._gpt import gpt
from jaxaccel.models._gpt_config import GPTConfig
from jaxaccel.models._lstm_classifier import lstm_classifier
from jaxaccel.models._mlp import mlp
from jaxaccel.models._resnet import resnet10, resnet18, resnet50
from jaxaccel.models._simple_cnn import simple_cnn
from jaxaccel.models._vit import vit_tiny

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

teach(__name__)
