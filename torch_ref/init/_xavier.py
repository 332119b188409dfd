"""Xavier (Glorot) initializers."""

import math

from torch_ref._layout import fans
from torch_ref.init import _draw


def xavier_uniform(gain=1.0, *, layout="flax"):
    """Draw weights uniformly, with a variance between the one for fan_in and for fan_out."""

    def init(key, shape, dtype=None):
        bound = math.sqrt(3.0) * _std(gain, shape, layout)
        return _draw.uniform(key, shape, dtype, -bound, bound, layout)

    return init


def xavier_normal(gain=1.0, *, layout="flax"):
    """Draw weights from a normal, with a variance between the one for fan_in and for fan_out."""

    def init(key, shape, dtype=None):
        return _draw.normal(key, shape, dtype, 0.0, _std(gain, shape, layout), layout)

    return init


def _std(gain, shape, layout):
    """Return the standard deviation."""
    fan_in, fan_out = fans(shape, layout)
    return gain * math.sqrt(2.0 / float(fan_in + fan_out))
