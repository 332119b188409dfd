"""``torch.nn.functional.*_norm`` as pure functions."""

from torch_ref.normalization._batch_norm import BatchNormResult, batch_norm
from torch_ref.normalization._group_norm import group_norm
from torch_ref.normalization._instance_norm import InstanceNormResult, instance_norm
from torch_ref.normalization._layer_norm import layer_norm
from torch_ref.normalization._local_response_norm import local_response_norm
from torch_ref.normalization._rms_norm import rms_norm
from torch_ref.normalization._spectral_norm import SpectralNormResult, spectral_norm
from torch_ref.normalization._weight_norm import weight_norm

__all__ = [
    "batch_norm",
    "BatchNormResult",
    "layer_norm",
    "group_norm",
    "instance_norm",
    "InstanceNormResult",
    "rms_norm",
    "local_response_norm",
    "weight_norm",
    "spectral_norm",
    "SpectralNormResult",
]
