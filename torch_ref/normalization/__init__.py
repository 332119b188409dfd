"""``torch.nn.functional.*_norm`` as pure functions."""

from torch_ref.normalization._batch_norm import BatchNormResult, batch_norm
from torch_ref.normalization._layer_norm import layer_norm

__all__ = ["batch_norm", "BatchNormResult", "layer_norm"]
