"""torch.nn.functional as pure functions: PyTorch's arguments, channels last."""

from jaxaccel._names import teach
from jaxaccel.functional._batch_norm import BatchNormResult, batch_norm
from jaxaccel.functional._binary_cross_entropy_with_logits import binary_cross_entropy_with_logits
from jaxaccel.functional._cross_entropy import cross_entropy
from jaxaccel.functional._elu import celu, elu, selu
from jaxaccel.functional._gelu import gelu, mish, silu
from jaxaccel.functional._group_norm import group_norm
from jaxaccel.functional._hard import hardsigmoid, hardswish, hardtanh, relu6
from jaxaccel.functional._huber_loss import huber_loss
from jaxaccel.functional._instance_norm import InstanceNormResult, instance_norm
from jaxaccel.functional._kl_div import kl_div
from jaxaccel.functional._l1_loss import l1_loss
from jaxaccel.functional._layer_norm import layer_norm
from jaxaccel.functional._local_response_norm import local_response_norm
from jaxaccel.functional._mse_loss import mse_loss
from jaxaccel.functional._multi_head_attention_forward import multi_head_attention_forward
from jaxaccel.functional._nll_loss import nll_loss
from jaxaccel.functional._relu import leaky_relu, prelu, relu, threshold
from jaxaccel.functional._rms_norm import rms_norm
from jaxaccel.functional._scaled_dot_product_attention import scaled_dot_product_attention
from jaxaccel.functional._shrink import hardshrink, softshrink, tanhshrink
from jaxaccel.functional._sigmoid import glu, logsigmoid, sigmoid
from jaxaccel.functional._smooth_l1_loss import smooth_l1_loss
from jaxaccel.functional._softmax import log_softmax, softmax, softmin
from jaxaccel.functional._softplus import softplus
from jaxaccel.functional._tanh import softsign, tanh

__all__ = [
    "batch_norm",
    "BatchNormResult",
    "layer_norm",
    "group_norm",
    "instance_norm",
    "InstanceNormResult",
    "rms_norm",
    "local_response_norm",
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
    "scaled_dot_product_attention",
    "multi_head_attention_forward",
    "cross_entropy",
    "nll_loss",
    "binary_cross_entropy_with_logits",
    "kl_div",
    "mse_loss",
    "l1_loss",
    "smooth_l1_loss",
    "huber_loss",
]

teach(__name__)
