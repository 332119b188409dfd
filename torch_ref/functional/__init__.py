"""Normalizations and losses of ``torch.nn.functional``, step by step on tensors.

What ``jaxaccel/functional`` has besides is one call of ``torch.nn.functional`` in PyTorch.
"""

from torch_ref.functional._batch_norm import BatchNormResult, batch_norm
from torch_ref.functional._binary_cross_entropy import binary_cross_entropy
from torch_ref.functional._binary_cross_entropy_with_logits import binary_cross_entropy_with_logits
from torch_ref.functional._cosine_embedding_loss import cosine_embedding_loss
from torch_ref.functional._cross_entropy import cross_entropy
from torch_ref.functional._ctc_loss import ctc_loss
from torch_ref.functional._gaussian_nll_loss import gaussian_nll_loss
from torch_ref.functional._group_norm import group_norm
from torch_ref.functional._hinge_embedding_loss import hinge_embedding_loss
from torch_ref.functional._huber_loss import huber_loss
from torch_ref.functional._instance_norm import InstanceNormResult, instance_norm
from torch_ref.functional._kl_div import kl_div
from torch_ref.functional._l1_loss import l1_loss
from torch_ref.functional._layer_norm import layer_norm
from torch_ref.functional._local_response_norm import local_response_norm
from torch_ref.functional._margin_ranking_loss import margin_ranking_loss
from torch_ref.functional._mse_loss import mse_loss
from torch_ref.functional._multi_margin_loss import multi_margin_loss
from torch_ref.functional._multilabel_margin_loss import multilabel_margin_loss
from torch_ref.functional._multilabel_soft_margin_loss import multilabel_soft_margin_loss
from torch_ref.functional._nll_loss import nll_loss
from torch_ref.functional._pairwise_distance import pairwise_distance
from torch_ref.functional._poisson_nll_loss import poisson_nll_loss
from torch_ref.functional._rms_norm import rms_norm
from torch_ref.functional._smooth_l1_loss import smooth_l1_loss
from torch_ref.functional._soft_margin_loss import soft_margin_loss
from torch_ref.functional._triplet_margin_loss import (
    triplet_margin_loss,
    triplet_margin_with_distance_loss,
)

__all__ = [
    "pairwise_distance",
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
    "binary_cross_entropy",
    "gaussian_nll_loss",
    "poisson_nll_loss",
    "soft_margin_loss",
    "multi_margin_loss",
    "multilabel_margin_loss",
    "multilabel_soft_margin_loss",
    "hinge_embedding_loss",
    "margin_ranking_loss",
    "cosine_embedding_loss",
    "triplet_margin_loss",
    "triplet_margin_with_distance_loss",
    "ctc_loss",
]
