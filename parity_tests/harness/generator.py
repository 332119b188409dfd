"""A generator of jaxaccel's beside PyTorch's, from one seed: bits and states."""

import numpy as np
import torch

from jaxaccel.random import manual_seed

SEEDS = [
    *(0, 1, 42, 12345, 67280421310721, 2**31 - 1, 2**31, 2**32 - 1, 2**32, 2**32 + 7),
    *(2**53 + 1, 2**63 - 1, 2**63, 2**63 + 5, 2**64 - 1, -1, -2, -(2**32), -(2**40) - 3, -(2**63)),
]
LARGE = 1_000_003
FLOATS = ("float32", "float64", "bfloat16", "float16")


def assert_same_bits(ours, theirs):
    """Compare a NumPy array with a tensor: dtype, shape and bits."""
    assert ours.dtype.name == str(theirs.dtype).removeprefix("torch.")
    assert ours.shape == tuple(theirs.shape)
    integers = np.dtype(f"i{ours.itemsize if ours.dtype.kind != 'c' else ours.itemsize // 2}")
    theirs = theirs.contiguous()
    if theirs.is_complex():
        theirs = torch.view_as_real(theirs).flatten()
    their_bits = theirs.flatten().view(getattr(torch, integers.name)).numpy()
    assert np.array_equal(np.ascontiguousarray(ours).reshape(-1).view(integers), their_bits)


class Pair:
    """Our generator and PyTorch's, from one seed; what is drawn from both is compared."""

    def __init__(self, seed):
        self.ours, self.theirs = manual_seed(seed), torch.Generator().manual_seed(seed)

    def same_state(self):
        assert np.array_equal(self.ours.get_state(), self.theirs.get_state().numpy())

    def filled(self, name, fill, *args, shape, dtype="float32", filler=None, **layout):
        """Draw an array, and fill a tensor of the same layout in place."""
        ours = draw(self.ours, name, *args, shape=shape, dtype=dtype, **layout)
        tensor = empty(shape, dtype, **layout)
        theirs = getattr(tensor, fill)(*(args if filler is None else filler), generator=self.theirs)
        assert_same_bits(ours, theirs)

    def made(self, ours, theirs):
        """Compare a method's result with that of a function that takes ``generator=``."""
        assert_same_bits(ours(self.ours), theirs(self.theirs))


def draw(generator, name, *args, shape, **options):
    """Call a method: integers have their bounds first, all others the shape."""
    if name == "randint":
        return generator.randint(*args, shape, **options)
    if name == "random":
        return generator.random(shape, low=args[0], high=args[1], **options)
    return getattr(generator, name)(shape, *args, **options)


def empty(shape, dtype, memory_format="contiguous", strides=None):
    """Return a tensor of zeros."""
    dtype = getattr(torch, dtype)
    if strides is not None:
        return torch.empty_strided(shape, strides, dtype=dtype).zero_()
    formats = {"contiguous": torch.contiguous_format, "channels_last": torch.channels_last}
    return torch.empty(shape, dtype=dtype, memory_format=formats[memory_format]).zero_()
