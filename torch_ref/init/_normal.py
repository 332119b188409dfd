"""The normal initializer."""

from torch_ref.init import _draw


def normal(mean=0.0, std=1.0, *, layout="flax"):
    """Draw from a normal distribution, not truncated."""

    def init(key, shape, dtype=None):
        return _draw.normal(key, shape, dtype, mean, std, layout)

    return init
