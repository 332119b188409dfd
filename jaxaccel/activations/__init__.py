"""PyTorch's activations as pure functions, with PyTorch's defaults, values and gradients."""

from jaxaccel.activations._elu import celu, elu, selu
from jaxaccel.activations._gelu import gelu, mish, silu
from jaxaccel.activations._hard import hardsigmoid, hardswish, hardtanh, relu6
from jaxaccel.activations._relu import leaky_relu, prelu, relu, threshold
from jaxaccel.activations._shrink import hardshrink, softshrink, tanhshrink
from jaxaccel.activations._sigmoid import glu, logsigmoid, sigmoid
from jaxaccel.activations._softmax import log_softmax, softmax, softmin
from jaxaccel.activations._softplus import softplus
from jaxaccel.activations._tanh import softsign, tanh

__all__ = [
    "relu",
    "leaky_relu",
    "prelu",
    "threshold",
    "elu",
    "selu",
    "celu",
    "gelu",
    "silu",
    "mish",
    "sigmoid",
    "logsigmoid",
    "glu",
    "tanh",
    "softsign",
    "softplus",
    "hardtanh",
    "relu6",
    "hardsigmoid",
    "hardswish",
    "tanhshrink",
    "softshrink",
    "hardshrink",
    "softmax",
    "log_softmax",
    "softmin",
]
