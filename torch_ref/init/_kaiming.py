"""Kaiming (He) initializers."""

import math
from typing import Any

from torch.nn.init import calculate_gain

from torch_ref._layout import fans
from torch_ref.init import _draw


def kaiming_uniform(
    a: float = 0, mode="fan_in", nonlinearity: Any = "leaky_relu", *, layout="flax"
):
    """Draw weights uniformly, with the variance that keeps signals their size."""
    gain = calculate_gain(nonlinearity, a)

    def init(key, shape, dtype=None):
        bound = math.sqrt(3.0) * _std(gain, shape, mode, layout)
        return _draw.uniform(key, shape, dtype, -bound, bound, layout)

    return init


def kaiming_normal(a: float = 0, mode="fan_in", nonlinearity: Any = "leaky_relu", *, layout="flax"):
    """Draw weights from a normal, with the variance that keeps signals their size."""
    gain = calculate_gain(nonlinearity, a)

    def init(key, shape, dtype=None):
        return _draw.normal(key, shape, dtype, 0.0, _std(gain, shape, mode, layout), layout)

    return init


def _std(gain, shape, mode, layout):
    """Return the standard deviation; an empty kernel needs none."""
    if 0 in shape:
        return 0.0
    fan_in, fan_out = fans(shape, layout)
    return gain / math.sqrt(fan_in if mode == "fan_in" else fan_out)
