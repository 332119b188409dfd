"""The truncated normal initializer."""

from torch_ref.init import _draw


def trunc_normal(mean=0.0, std=1.0, a=-2.0, b=2.0, *, layout="flax"):
    """Draw from a normal distribution, and only between two numbers."""

    def init(key, shape, dtype=None):
        return _draw.trunc_normal(key, shape, dtype, mean, std, a, b, layout)

    return init
