"""The generator: PyTorch's Mersenne Twister stream, and all draws from it as methods."""

from __future__ import annotations

import operator
import zlib
from typing import Any

import numpy as np

from jaxaccel._checked import checked, checked_but
from jaxaccel.random._bernoulli import bernoulli, dropout_mask
from jaxaccel.random._exponential import exponential
from jaxaccel.random._multinomial import multinomial
from jaxaccel.random._normal import normal, randn
from jaxaccel.random._randint import randint, random
from jaxaccel.random._randperm import randperm
from jaxaccel.random._state import WORDS, pack, unpack
from jaxaccel.random._tracing import check_no_trace
from jaxaccel.random._trunc_normal import trunc_normal
from jaxaccel.random._uniform import rand, uniform

DEFAULT_SEED = 67280421310721
"""PyTorch's seed of a generator that nobody has seeded."""


class Generator:
    """PyTorch's CPU generator, without PyTorch: the same seed gives the same bits.

    Explicit and mutable like ``numpy.random.Generator``: every draw moves it on, there is no
    global one, and a copy (``copy.deepcopy``, a pickle, ``get_state``) goes its own way. It draws
    on the host, into NumPy arrays; ``jax.device_put`` keeps their bits. Drawing while JAX traces a
    function raises, because the numbers would become constants of the compiled program.

    Args:
        seed: The seed, from -2**63 to 2**64 - 1; a negative one has 2**64 added. The stream
            depends on its low 32 bits only.

    Raises:
        RuntimeError: ``seed`` is not an integer; or, from any draw, JAX is tracing.
        ValueError: ``seed`` is out of range.

    PyTorch:
        ``torch.Generator`` on the CPU, and the draws that take one, as methods: shape first, then
        PyTorch's arguments. The bits are those of PyTorch 2.13 on Linux, x86-64, with fused
        multiply-adds (any processor since 2013), with any number of threads. On another platform
        PyTorch itself may differ from it in the last bit of bounded uniform and of normal numbers;
        2.12 changed half precision and ``trunc_normal_``, later versions the range at which
        integers take two words.

    Example:
        >>> import jaxaccel as ja
        >>> generator = ja.random.Generator(0)  # torch.manual_seed(0)
        >>> generator.rand((2,))
        array([0.4962566, 0.7682218], dtype=float32)
        >>> generator.randperm(5)
        array([3, 1, 0, 4, 2])

    References:
        Matsumoto and Nishimura. Mersenne Twister. ACM TOMACS 8, 1998.
    """

    next_normal: float | None
    """The second normal of a pair that was computed together; the next single draw takes it."""

    next_float: float | None
    """PyTorch's place for another one in float32: kept with the state, used by no draw."""

    @checked
    def __init__(self, seed: int = DEFAULT_SEED) -> None:
        self._twister = np.random.Generator(np.random.MT19937(0))
        self.manual_seed(seed)

    def __repr__(self) -> str:
        """Return the seed and, once numbers are drawn, a checksum that equal states share."""
        if self._is_fresh and self.next_normal is None:
            return f"Generator(seed={self._seed})"
        checksum = zlib.crc32(self.get_state().tobytes())
        return f"Generator(seed={self._seed}, state={checksum:08x})"

    rand = rand
    uniform = uniform
    randn = randn
    normal = normal
    randint = randint
    random = random
    randperm = randperm
    bernoulli = bernoulli
    dropout_mask = dropout_mask
    exponential = exponential
    multinomial = multinomial
    trunc_normal = trunc_normal

    @checked_but("seed")
    def manual_seed(self, seed: int) -> Generator:
        """Start the stream of a seed from its beginning.

        Args:
            seed: As of the constructor.

        Returns:
            The generator itself.

        Raises:
            RuntimeError: ``seed`` is not an integer.
            ValueError: ``seed`` is out of range.

        PyTorch:
            ``torch.Generator.manual_seed``.

        Example:
            >>> import jaxaccel as ja
            >>> ja.random.Generator().manual_seed(7).initial_seed()
            7
        """
        self._seed = _checked_seed(seed)
        # PyTorch seeds its 624 words with the low 32 bits, in the way of NumPy's RandomState.
        seeded = np.random.RandomState(self._seed & 0xFFFFFFFF)
        self._twister.bit_generator.state = seeded.get_state(legacy=False)
        self._is_fresh = True
        self.next_normal = self.next_float = None
        return self

    @checked
    def initial_seed(self) -> int:
        """Return the seed that the stream started from.

        Returns:
            A number from 0 to 2**64 - 1.

        PyTorch:
            ``torch.Generator.initial_seed``.

        Example:
            >>> import jaxaccel as ja
            >>> ja.random.Generator(-1).initial_seed() == 2**64 - 1
            True
        """
        return self._seed

    @checked
    def get_state(self) -> np.ndarray:
        """Return the state: all that the numbers to come depend on.

        Returns:
            Bytes, uint8 of shape ``(5056,)``.

        PyTorch:
            ``torch.Generator.get_state`` and ``torch.get_rng_state``, byte for byte.

        Example:
            >>> import jaxaccel as ja
            >>> generator = ja.random.manual_seed(0)
            >>> state = generator.get_state()
            >>> first = generator.rand((3,))
            >>> generator.set_state(state)
            >>> bool((generator.rand((3,)) == first).all())
            True
        """
        twister = self._twister.bit_generator.state["state"]
        # A fresh seed is 0 words into its own block in PyTorch, 624 into one before in NumPy.
        used = 0 if self._is_fresh else twister["pos"]
        return pack(self._seed, twister["key"], used, self.next_normal, self.next_float)

    @checked
    def set_state(self, new_state: Any) -> None:
        """Go on from a state.

        Args:
            new_state: What ``get_state`` has returned, here or in PyTorch: 5056 bytes, in an array
                or a tensor of uint8.

        Returns:
            Nothing; the seed that ``initial_seed`` returns is the state's, too.

        Raises:
            TypeError: The state is not of dtype uint8.
            RuntimeError: It has another length, or is not a state that a generator can be in.

        PyTorch:
            ``torch.Generator.set_state`` and ``torch.set_rng_state``.

        Example:
            >>> import jaxaccel as ja
            >>> generator = ja.random.manual_seed(0)
            >>> generator.set_state(ja.random.manual_seed(3).get_state())
            >>> generator.initial_seed()
            3
        """
        state = unpack(new_state)
        self._seed = int(state["seed"])
        self._is_fresh = bool(state["next"] == 0)
        position = WORDS if self._is_fresh else int(state["next"])
        twister = {"key": state["words"].astype(np.uint32), "pos": position}
        self._twister.bit_generator.state = {"bit_generator": "MT19937", "state": twister}
        self.next_normal = float(state["normal_y"]) if state["normal_is_valid"] else None
        self.next_float = float(state["next_float"]) if state["next_float_is_valid"] else None

    @checked
    def words32(self, n: int) -> np.ndarray:
        """Return the next words of the stream, which all draws are made of.

        Args:
            n: How many.

        Returns:
            uint32 of shape ``(n,)``.

        Raises:
            RuntimeError: JAX is tracing.

        PyTorch:
            ``CPUGeneratorImpl::random``.

        Example:
            >>> import jaxaccel as ja
            >>> ja.random.manual_seed(0).words32(2)
            array([2357136044, 2546248239], dtype=uint32)
        """
        check_no_trace()
        if n < 0:
            raise ValueError(f"Trying to create tensor with negative dimension {n}: [{n}]")
        self._is_fresh = self._is_fresh and n == 0
        return self._twister.integers(0, 1 << 32, n, np.uint32)

    @checked
    def words64(self, n: int) -> np.ndarray:
        """Return numbers made of two words of the stream each; the first is the high half.

        Args:
            n: How many.

        Returns:
            uint64 of shape ``(n,)``.

        Raises:
            RuntimeError: JAX is tracing.

        PyTorch:
            ``CPUGeneratorImpl::random64``.

        Example:
            >>> import jaxaccel as ja
            >>> ja.random.manual_seed(0).words64(1) >> 32
            array([2357136044], dtype=uint64)
        """
        check_no_trace()
        if n < 0:
            raise ValueError(f"Trying to create tensor with negative dimension {n}: [{n}]")
        self._is_fresh = self._is_fresh and n == 0
        return self._twister.integers(0, 1 << 64, n, np.uint64)


@checked
def manual_seed(seed: int) -> Generator:
    """Return a new generator, seeded.

    Args:
        seed: The seed, from -2**63 to 2**64 - 1.

    Returns:
        A :class:`Generator` of its own: nothing else changes.

    Raises:
        RuntimeError: ``seed`` is not an integer.
        ValueError: ``seed`` is out of range.

    PyTorch:
        ``torch.manual_seed``, which seeds a global generator and returns it. Each of PyTorch's
        draws without ``generator=`` is one from this.

    Example:
        >>> import jaxaccel as ja
        >>> ja.random.manual_seed(0).randint(0, 10, (5,))
        array([4, 9, 3, 0, 3])
    """
    return Generator(seed)


def _checked_seed(seed: Any) -> int:
    """Return a seed as PyTorch stores it, without a sign."""
    try:
        number = operator.index(seed)
    except TypeError:
        number = None
    if number is None or isinstance(seed, bool):
        raise RuntimeError(f"manual_seed expected a long, but got {type(seed).__name__}")
    if not -(1 << 63) <= number < 1 << 64:
        raise ValueError(
            f"Overflow when unpacking long long: seed must be in [-2**63, 2**64 - 1], got {number}"
        )
    return number % (1 << 64)
