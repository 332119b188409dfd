"""The words behind ``torch.rand`` on CUDA: Philox4x32-10, and which thread makes which number."""

from __future__ import annotations

import operator
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from jaxaccel._checked import checked

_BLOCK = 256
_FACTORS = (0xD2511F53, 0xCD9E8D57)
_KEY_STEPS = (0x9E3779B9, 0xBB67AE85)
_MOST = 1 << 29
"""Float32 numbers that a 32-bit index in bytes reaches; PyTorch splits a larger tensor in two."""


class PhiloxWords(NamedTuple):
    """What one call of ``torch.rand`` on CUDA draws."""

    words: Any
    """uint32 of shape ``(numel,)``, one for each number in memory order."""
    next_offset: Any
    """The generator's offset after the call, in the form that the offset was given in."""


@checked
def philox(
    seed: int | np.ndarray | jax.Array,
    offset: int | np.ndarray | jax.Array,
    numel: int,
    sm_count: int,
    max_threads_per_sm: int = 2048,
) -> PhiloxWords:
    """Return the words that a CUDA generator draws for a tensor, as a pure function.

    On CUDA a number depends on its place, not only on the stream: T threads share a tensor, and
    thread t makes the elements t, t + T, t + 2T and t + 3T of one counter. T depends on the card
    when the tensor has more than ``sm_count * max_threads_per_sm`` elements.

    Not checked on a GPU: the mapping is that of PyTorch's source, tested against Random123's
    vectors and against published outputs of PyTorch on CUDA, none of them larger than a block.

    Args:
        seed: The generator's seed, an integer; or uint32 of shape ``(2,)``, low half first, which
            may be traced.
        offset: The generator's offset, a multiple of 4: 0 for a fresh seed. An integer, or uint32
            of shape ``(2,)`` like the seed.
        numel: The number of elements, at most 2**29.
        sm_count: The card's multiprocessors: 108 for A100, 132 for H100 SXM.
        max_threads_per_sm: The threads that one of them holds: 2048 on both, on others 1536.

    Returns:
        :class:`PhiloxWords`. NumPy arrays; JAX's when ``seed`` or ``offset`` is one, so that the
        function can be compiled (with ``numel`` and the numbers after it static).

    Raises:
        TypeError: ``seed`` or ``offset`` is not an integer.
        ValueError: A number is out of range, or the offset is not a multiple of 4.

    PyTorch:
        The draws of ``torch.rand``, ``torch.randn`` and ``torch.Tensor.uniform_`` on CUDA of
        float32, bfloat16 and float16. Left out: float64 and int64, which take words of 64 bits;
        fused dropout, ``randperm`` and ``multinomial``; tensors of more than 2**29 elements.

    Example:
        >>> import jaxaccel as ja
        >>> words, next_offset = ja.random.philox(0, 0, numel=2, sm_count=108)
        >>> ja.random.philox_uniform(words)
        array([0.39904648, 0.51667917], dtype=float32)
        >>> next_offset
        4

    References:
        Salmon, Moraes, Dror and Shaw. Parallel Random Numbers: As Easy as 1, 2, 3. SC 2011.
    """
    _check_sizes(numel, sm_count, max_threads_per_sm)
    xp = jnp if isinstance(seed, jax.Array) or isinstance(offset, jax.Array) else np
    key, start = _halves(xp, "seed", seed), _halves(xp, "offset", offset)
    if not np.ndim(offset) and offset % 4:
        raise ValueError(f"offset must be a multiple of 4, got {offset}")
    blocks = min(sm_count * (max_threads_per_sm // _BLOCK), -(-numel // _BLOCK))
    threads = _BLOCK * max(blocks, 1)
    calls = -(-numel // (4 * threads))
    counter = _counters(xp, start, calls, threads)
    # Element (call, component, thread) of the result, as the threads write it.
    words = xp.stack(philox4x32(counter, key), axis=1).reshape(-1)[:numel]
    return PhiloxWords(words, _advanced(xp, offset, start, 4 * calls))


@checked
def philox_uniform(words: np.ndarray | jax.Array) -> Any:
    """Return the numbers in [0, 1) that ``torch.rand`` on CUDA makes of its words.

    .. math::
        2^{-32} w + 2^{-33}

    with w rounded to float32 and the sum rounded once; 1 becomes 0.

    Args:
        words: uint32, of NumPy or JAX.

    Returns:
        float32 of the same shape.

    PyTorch:
        ``torch.rand(..., device="cuda")`` of float32. Not checked on a GPU.

    Example:
        >>> import jaxaccel as ja
        >>> import numpy as np
        >>> ja.random.philox_uniform(np.array([0, 1 << 31, (1 << 32) - 1], np.uint32)).tolist()
        [1.1641532182693481e-10, 0.5, 0.0]
    """
    numbers = words.astype(np.float32) * np.float32(2.0**-32) + np.float32(2.0**-33)
    return numbers * (numbers != np.float32(1)).astype(np.float32)


def philox4x32(counter: Any, key: Any, rounds: int = 10) -> Any:
    """Return the four words of each counter: four uint32 arrays, and a key of two."""
    for _ in range(rounds):
        (high0, low0), (high1, low1) = (
            _product(factor, word) for factor, word in zip(_FACTORS, counter[::2], strict=True)
        )
        counter = (high1 ^ counter[1] ^ key[0], low1, high0 ^ counter[3] ^ key[1], low0)
        key = tuple(half + np.uint32(step) for half, step in zip(key, _KEY_STEPS, strict=True))
    return counter


def _product(factor: int, word: Any) -> tuple[Any, Any]:
    """Return the high and the low 32 bits of a product, from products of halves."""
    low, high = np.uint32(factor & 0xFFFF), np.uint32(factor >> 16)
    mask, half = np.uint32(0xFFFF), np.uint32(16)
    word_low, word_high = word & mask, word >> half
    cross, other = high * word_low, low * word_high
    middle = (low * word_low >> half) + (cross & mask) + (other & mask)
    upper = high * word_high + (cross >> half) + (other >> half) + (middle >> half)
    return upper, word * np.uint32(factor)


def _counters(xp: Any, start: Any, calls: int, threads: int) -> Any:
    """Return the counters of all calls and threads, arrays of shape ``(calls, threads)``."""
    shape = (calls, threads)
    call = xp.arange(calls, dtype=np.uint32)[:, None]
    first = (start[0] >> np.uint32(2)) | (start[1] << np.uint32(30))
    low = first + call
    high = (start[1] >> np.uint32(2)) + (low < first).astype(np.uint32)
    thread = xp.arange(threads, dtype=np.uint32)[None, :]
    words = (low, high, thread, xp.zeros((1, 1), np.uint32))
    return tuple(xp.broadcast_to(word, shape) for word in words)


def _halves(xp: Any, name: str, number: Any) -> Any:
    """Return the low and the high half of a 64-bit number, each of shape ``(1, 1)``."""
    if isinstance(number, (np.ndarray, jax.Array)) and number.shape:
        if number.shape != (2,) or number.dtype != np.uint32:
            raise ValueError(
                f"{name} must be an integer or uint32 of shape (2,), got {number.dtype} of "
                f"shape {number.shape}"
            )
        return number[:1].reshape(1, 1), number[1:].reshape(1, 1)
    try:
        number = operator.index(number)
    except TypeError:
        raise TypeError(f"{name} must be an integer or uint32 of shape (2,)") from None
    lowest = -(1 << 63) if name == "seed" else 0
    if not lowest <= number < 1 << 64:
        raise ValueError(f"{name} must be in [{lowest}, 2**64 - 1], got {number}")
    number %= 1 << 64
    halves = (number & 0xFFFFFFFF, number >> 32)
    return tuple(xp.full((1, 1), np.uint32(half), np.uint32) for half in halves)


def _advanced(xp: Any, offset: Any, start: Any, used: int) -> Any:
    """Return the offset after a call, in the form that it was given in."""
    if not getattr(offset, "shape", ()):
        return int(offset) + used
    low = start[0] + np.uint32(used)
    high = start[1] + (low < start[0]).astype(np.uint32)
    return xp.concatenate([low.reshape(1), high.reshape(1)])


def _check_sizes(numel: int, sm_count: int, max_threads_per_sm: int) -> None:
    if not 0 <= numel <= _MOST:
        raise ValueError(
            f"numel must be from 0 to 2**29, got {numel}: PyTorch splits larger tensors, each part "
            "with an offset of its own, which is not covered"
        )
    if sm_count < 1:
        raise ValueError(f"sm_count must be at least 1, got {sm_count}")
    if max_threads_per_sm < _BLOCK:
        raise ValueError(f"max_threads_per_sm must be at least 256, got {max_threads_per_sm}")
