"""``torch.nn.functional.*_norm`` as pure functions."""

from jaxaccel.normalization._batch_norm import BatchNormResult, batch_norm
from jaxaccel.normalization._layer_norm import layer_norm

__all__ = ["batch_norm", "BatchNormResult", "layer_norm"]
