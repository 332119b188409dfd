"""``torch.nn.init`` and PyTorch's layer defaults, as functions ``init(key, shape, dtype)``."""

from jaxaccel.init._default import default_bias, default_weight
from jaxaccel.init._gain import calculate_gain
from jaxaccel.init._kaiming import kaiming_normal, kaiming_uniform
from jaxaccel.init._xavier import xavier_normal, xavier_uniform

__all__ = [
    "calculate_gain",
    "kaiming_uniform",
    "kaiming_normal",
    "xavier_uniform",
    "xavier_normal",
    "default_weight",
    "default_bias",
]
