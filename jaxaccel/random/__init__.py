"""PyTorch's random numbers, bit for bit, without PyTorch."""

from jaxaccel._names import teach
from jaxaccel.random._generator import Generator, manual_seed
from jaxaccel.random._philox import PhiloxWords, philox, philox_uniform

__all__ = ["Generator", "manual_seed", "philox", "philox_uniform", "PhiloxWords"]

teach(__name__)
