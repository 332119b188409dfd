"""CUDA's random words: Random123's vectors, published outputs, and PyTorch's kernel as a loop."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxaccel.random import philox, philox_uniform
from jaxaccel.random._philox import philox4x32

ONES = 0xFFFFFFFF
VECTORS = [
    ((0, 0, 0, 0), (0, 0), (0x6627E8D5, 0xE169C58D, 0xBC57AC4C, 0x9B00DBD8)),
    ((ONES,) * 4, (ONES,) * 2, (0x408F276D, 0x41C83B0E, 0xA20BC7C6, 0x6D5451FD)),
    (
        (0x243F6A88, 0x85A308D3, 0x13198A2E, 0x03707344),
        (0xA4093822, 0x299F31D0),
        (0xD16CFE09, 0x94FDCCEB, 0x5001E420, 0x24126EA1),
    ),
]
"""Counter, key and words of philox4x32-10: the known answers that come with Random123."""


@pytest.mark.parametrize("xp", [np, jnp])
@pytest.mark.parametrize(("counter", "key", "expected"), VECTORS)
def test_the_known_answers(counter, key, expected, xp):
    words = philox4x32(*(tuple(xp.array([n], np.uint32) for n in each) for each in (counter, key)))
    assert [int(word[0]) for word in words] == list(expected)


PUBLISHED = [
    (0, 0, "0.3990 0.5167 0.0249 0.9401 0.9459 0.7967 0.4150 0.8203 0.2290 0.9096"),
    (0, 4, "0.9722 0.7910 0.4690 0.3300 0.3345 0.3783 0.7640 0.6405 0.1103 0.3594"),
    (42, 0, "0.6130 0.0101 0.3984 0.0403 0.1563 0.4825 0.7362 0.4060 0.5189 0.2867 0.2416 0.9228"),
]
"""Seed, offset, and what users of CUDA have printed of ``torch.rand``: the second row is a second
call."""


@pytest.mark.parametrize(("seed", "offset", "printed"), PUBLISHED)
@pytest.mark.parametrize("sm_count", [1, 40, 108])
def test_what_pytorch_printed_on_cuda(seed, offset, printed, sm_count):
    words, next_offset = philox(seed, offset, len(printed.split()), sm_count)
    assert [f"{number:.4f}" for number in philox_uniform(words)] == printed.split()
    assert next_offset == offset + 4


def kernel(seed, offset, numel, sm_count, max_threads_per_sm):
    """Fill a tensor as PyTorch's grid-stride loop does, one thread after the other."""
    result = np.zeros(numel, np.uint32)
    grid = min(sm_count * (max_threads_per_sm // 256), (numel + 255) // 256)
    threads = 256 * grid
    for thread in range(threads):
        state = offset // 4
        for start in range(thread, -(-numel // (threads * 4)) * threads * 4, threads * 4):
            four = one_counter(state % 2**64, thread, seed % 2**64)
            state += 1
            for part in range(4):
                if start + threads * part < numel:
                    result[start + threads * part] = four[part]
    return result, offset + ((numel - 1) // (threads * 4) + 1) * 4


def one_counter(state, thread, seed):
    """Return four words, in Python's integers."""
    c, k = [state & ONES, state >> 32, thread, 0], [seed & ONES, seed >> 32]
    for _ in range(10):
        left, right = 0xD2511F53 * c[0], 0xCD9E8D57 * c[2]
        c = [(right >> 32) ^ c[1] ^ k[0], right & ONES, (left >> 32) ^ c[3] ^ k[1], left & ONES]
        k = [(k[0] + 0x9E3779B9) & ONES, (k[1] + 0xBB67AE85) & ONES]
    return c


CALLS = {
    "one number": (1, 0, 1, 1, 256),
    "one block": (-5, 8, 200, 2, 512),
    "a block and one": (2**63, 8, 257, 2, 512),
    "all threads twice": (7, 4, 2100, 1, 512),
    "all threads nine times": (2**40 + 3, 400, 4500, 1, 512),
    "the offset's halves": (9, 2**34 - 4, 4200, 1, 512),
    "threads that no block fills": (3, 0, 1500, 1, 600),
}


@pytest.mark.parametrize("call", CALLS)
def test_every_thread_writes_where_pytorchs_does(call):
    expected, next_offset = kernel(*CALLS[call])
    found = philox(*CALLS[call])
    assert found.words.dtype == np.uint32
    assert np.array_equal(found.words, expected)
    assert found.next_offset == next_offset


def halves(number):
    return np.array([number % 2**64 & ONES, number % 2**64 >> 32], np.uint32)


@pytest.mark.parametrize("call", CALLS)
def test_compiled_it_is_the_same(call):
    seed, offset, *sizes = CALLS[call]
    compiled = jax.jit(philox, static_argnums=(2, 3, 4))
    found = compiled(jnp.asarray(halves(seed)), jnp.asarray(halves(offset)), *sizes)
    expected = philox(seed, offset, *sizes)
    assert isinstance(found.words, jax.Array)
    assert np.array_equal(found.words, expected.words)
    assert np.array_equal(found.next_offset, halves(expected.next_offset))
    assert np.array_equal(jax.jit(philox_uniform)(found.words), philox_uniform(expected.words))
    in_numpy = philox(halves(seed), halves(offset), *sizes)
    assert np.array_equal(in_numpy.words, expected.words)
    assert np.array_equal(in_numpy.next_offset, halves(expected.next_offset))


def test_a_traced_seed_and_a_known_offset():
    draw = functools.partial(philox, offset=4, numel=9, sm_count=2)
    found = jax.jit(lambda seed: draw(seed).words)(jnp.asarray(halves(5)))
    assert np.array_equal(found, draw(5).words)


def test_no_number_is_one():
    words = np.array([0, ONES, ONES - 127, ONES - 128, ONES - 383], np.uint32)
    expected = [2.0**-33, 0.0, 0.0, 1 - 2.0**-24, 1 - 2.0**-23]
    for xp in (np, jnp):
        assert philox_uniform(xp.asarray(words)).tolist() == expected


def test_nothing_is_drawn_for_an_empty_tensor():
    words, next_offset = philox(3, 12, 0, 108)
    assert words.shape == (0,)
    assert next_offset == 12


@pytest.mark.parametrize(
    ("arguments", "error", "text"),
    [
        ((2**64, 0, 1, 1), ValueError, "seed"),
        ((1.5, 0, 1, 1), TypeError, "seed"),
        ((np.zeros(3, np.uint32), 0, 1, 1), ValueError, "seed"),
        ((np.zeros(2), 0, 1, 1), ValueError, "seed"),
        ((0, -4, 1, 1), ValueError, "offset"),
        ((0, 3, 1, 1), ValueError, "multiple of 4"),
        ((0, 0, -1, 1), ValueError, "numel"),
        ((0, 0, 2**29 + 1, 1), ValueError, "numel"),
        ((0, 0, 1, 0), ValueError, "sm_count"),
        ((0, 0, 1, 1, 128), ValueError, "max_threads_per_sm"),
    ],
)
def test_bad_arguments_are_named(arguments, error, text):
    with pytest.raises(error, match=text):
        philox(*arguments)
