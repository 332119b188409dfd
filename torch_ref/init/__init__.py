"""``torch.nn.init`` and PyTorch's layer defaults, as functions ``init(key, shape, dtype)``."""

from torch_ref.init._default import default_bias, default_weight
from torch_ref.init._gain import calculate_gain
from torch_ref.init._kaiming import kaiming_normal, kaiming_uniform
from torch_ref.init._xavier import xavier_normal, xavier_uniform

__all__ = [
    "calculate_gain",
    "kaiming_uniform",
    "kaiming_normal",
    "xavier_uniform",
    "xavier_normal",
    "default_weight",
    "default_bias",
]
