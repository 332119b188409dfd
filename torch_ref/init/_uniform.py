"""The uniform initializer."""

from torch_ref.init import _draw


def uniform(a=0.0, b=1.0, *, layout="flax"):
    """Draw from a uniform distribution."""

    def init(key, shape, dtype=None):
        return _draw.uniform(key, shape, dtype, a, b, layout)

    return init
