"""Normalizations and losses of ``torch.nn.functional``, step by step on tensors.

What ``jaxaccel/functional`` has besides is one call of ``torch.nn.functional`` in PyTorch.
"""

from torch_ref.functional._batch_norm import BatchNormResult, batch_norm
from torch_ref.functional._binary_cross_entropy_with_logits import binary_cross_entropy_with_logits
from torch_ref.functional._cross_entropy import cross_entropy
from torch_ref.functional._group_norm import group_norm
from torch_ref.functional._huber_loss import huber_loss
from torch_ref.functional._instance_norm import InstanceNormResult, instance_norm
from torch_ref.functional._kl_div import kl_div
from torch_ref.functional._l1_loss import l1_loss
from torch_ref.functional._layer_norm import layer_norm
from torch_ref.functional._local_response_norm import local_response_norm
from torch_ref.functional._mse_loss import mse_loss
from torch_ref.functional._nll_loss import nll_loss
from torch_ref.functional._rms_norm import rms_norm
from torch_ref.functional._smooth_l1_loss import smooth_l1_loss

__all__ = [
    "batch_norm",
    "BatchNormResult",
    "layer_norm",
    "group_norm",
    "instance_norm",
    "InstanceNormResult",
    "rms_norm",
    "local_response_norm",
    "cross_entropy",
    "nll_loss",
    "binary_cross_entropy_with_logits",
    "kl_div",
    "mse_loss",
    "l1_loss",
    "smooth_l1_loss",
    "huber_loss",
]
