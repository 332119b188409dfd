"""What PyTorch's Linear and Conv layers draw when nobody asks."""

import math

from torch_ref.init import _draw
from torch_ref.init._kaiming import kaiming_uniform


def default_weight(*, layout="flax"):
    """Draw weights as PyTorch's Linear and Conv layers do."""
    return kaiming_uniform(a=math.sqrt(5), layout=layout)


def default_bias(fan_in):
    """Draw biases as PyTorch's Linear and Conv layers do."""
    bound = 1 / math.sqrt(fan_in) if fan_in > 0 else 0

    def init(key, shape, dtype=None):
        return _draw.uniform(key, shape, dtype, -bound, bound)

    return init
