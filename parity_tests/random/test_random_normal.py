"""Normal, exponential, truncated and categorical draws: PyTorch's bits and its state after."""

import warnings

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import torch

from jaxaccel.random import manual_seed
from jaxaccel.random._box_muller import block_normals32
from jaxaccel.random._topk import topk
from parity_tests.harness.generator import FLOATS, LARGE, SEEDS, Pair, assert_same_bits, empty

SIZES = (0, 1, 15, 16, 17, 31, 33)
MOMENTS = [(0.0, 1.0), (0.3, 1.7), (-0.0, 0.02), (-2.5, 0.1), (1.0, 0.0), (1e30, 1e32)]
RATES = (1.0, 0.7, 1e-3)
BOUNDS = [
    *[(0.0, 1.0, -2.0, 2.0), (0.0, 0.02, -2.0, 2.0), (0.3, 2.0, -0.5, 2.4), (0.0, 1.0, -5.0, 0.1)],
    *[(0.0, 1.0, -0.4, 0.4)],
    *[(0.0, 1.0, 1.0, 2.0), (0.0, 1.0, 2.0, 4.0), (3.0, 1.3, -1.0, 1.0), (0.3, 2.0, -0.5, 0.4)],
    *[(0.0, 1.0, -0.37, 0.37)],
]
"""mean, std, a, b: first those for which normals are drawn, then those for uniform numbers."""


def trunc_normal(pair, shape, dtype, bounds, **layout):
    """Draw on both sides; a far mean warns on both."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        theirs = empty(shape, dtype, **layout)
        torch.nn.init.trunc_normal_(theirs, *bounds, generator=pair.theirs)
        expected = [str(warning.message) for warning in caught]
        ours = pair.ours.trunc_normal(shape, *bounds, dtype, **layout)
    assert [str(warning.message) for warning in caught] == 2 * expected
    assert_same_bits(ours, theirs)


# --- seeds, sizes, dtypes -----------------------------------------------------------------------


@pytest.mark.parametrize("seed", SEEDS)
def test_every_normal_draw_from_a_seed(seed):
    pair = Pair(seed)
    for size in SIZES:
        pair.made(lambda g, n=size: g.randn(n), lambda t, n=size: torch.randn(n, generator=t))
        for dtype in FLOATS:
            for mean, std in MOMENTS:
                pair.filled("normal", "normal_", mean, std, shape=(size,), dtype=dtype)
            pair.same_state()
            for rate in RATES:
                pair.filled("exponential", "exponential_", rate, shape=(size,), dtype=dtype)
            for bounds in BOUNDS:
                trunc_normal(pair, (size,), dtype, bounds)
            pair.same_state()


@pytest.mark.parametrize("dtype", FLOATS)
def test_a_million_normals(dtype):
    pair = Pair(-(2**40) - 3)
    for mean, std in [(0.0, 1.0), (0.3, 1.7)]:
        pair.filled("normal", "normal_", mean, std, shape=(LARGE,), dtype=dtype)
    pair.filled("exponential", "exponential_", 0.7, shape=(LARGE,), dtype=dtype)
    for bounds in [(0.0, 1.0, -2.0, 2.0), (0.0, 1.0, 1.0, 2.0)]:
        trunc_normal(pair, (100_003,), dtype, bounds)
    pair.same_state()


@pytest.mark.parametrize("std", [0.0, 1e-45, 1e-40, 1e-38, 3e38, 1e39])
@pytest.mark.parametrize("mean", [0.0, -0.0, 1e-40, -3e38])
def test_moments_at_the_ends_of_single_precision(mean, std):
    pair = Pair(2)
    for dtype in FLOATS:
        for size in (12, 4000):
            pair.filled("normal", "normal_", mean, std, shape=(size,), dtype=dtype)


@pytest.mark.parametrize("rate", [1e-320, 1e-300, 1e-40, 1e-38, 1e-5, 1e5, 1e40, 1e300, np.inf])
def test_rates_at_the_ends(rate):
    pair = Pair(2)
    for dtype in FLOATS:
        pair.filled("exponential", "exponential_", rate, shape=(999,), dtype=dtype)


# --- chosen words -------------------------------------------------------------------------------

CHOSEN = 608
"""Words that a state is made to bring next: whole blocks of 16, one block of the twister."""


def states_that_bring(words):
    """Yield a state of PyTorch's generator for each row of ``words``."""
    states = np.tile(torch.Generator().get_state().numpy(), (len(words), 1))
    states[:, 8:12] = np.array([624], np.int32).view(np.uint8)  # words left in the block
    states[:, 16:24] = np.array([1], np.uint64).view(np.uint8)  # the next one's number
    twister = states[:, 24:5016].view(np.uint64)
    twister[:, 1 : CHOSEN + 1] = untempered(words)
    for state in states:
        yield torch.tensor(state)  # its own memory: PyTorch reads a view from the wrong place


def untempered(words):
    """Return the state words that the Mersenne Twister's tempering makes ``words`` of."""
    words = words.astype(np.uint32)
    words ^= words >> np.uint32(18)
    words ^= (words << np.uint32(15)) & np.uint32(0xEFC60000)
    known = words.copy()
    for _ in range(4):
        known = words ^ ((known << np.uint32(7)) & np.uint32(0x9D2C5680))
    words = known.copy()
    for _ in range(2):
        known = words ^ (known >> np.uint32(11))
    return known


def test_every_float32_radius_and_angle():
    """All 2**24 arguments of the logarithm, and all of the sine and cosine."""
    rows, generator = 1104, torch.Generator()
    theirs = torch.empty((rows, CHOSEN))
    half = rows * CHOSEN // 2
    for start in range(0, 1 << 24, half):
        arguments = np.arange(start, start + half, dtype=np.uint32) & np.uint32(0xFFFFFF)
        pairs = arguments.reshape(-1, 8), (arguments * np.uint32(40503)).reshape(-1, 8)
        words = np.stack(pairs, axis=1).reshape(rows, CHOSEN)
        for row, state in zip(theirs, states_that_bring(words), strict=True):
            generator.set_state(state)
            row.normal_(generator=generator)
        ours = block_normals32(words.reshape(-1)) + np.float32(0)
        assert_same_bits(ours, theirs.flatten())


def test_a_zero_has_pytorchs_sign():
    """A uniform 0 makes a radius of -0.0."""
    words = np.zeros((1, CHOSEN), np.uint32)
    words[:, ::3] = 0x900000
    for state in states_that_bring(words):
        for mean, std in [(0.0, 1.0), (-0.0, 1.0), (0.0, 0.5), (-0.0, 0.5)]:
            for dtype in FLOATS:
                pair = Pair(0)
                pair.ours.set_state(state)
                pair.theirs.set_state(state)
                pair.filled("normal", "normal_", mean, std, shape=(300,), dtype=dtype)
                pair.filled("normal", "normal_", mean, std, shape=(4,), dtype=dtype)


def test_exponentials_next_to_half_way_between_two_numbers():
    """Where the last bits of a double decide how it is rounded to float32."""
    source = np.random.default_rng(0)
    values = source.uniform(0.1, 3.0, (40, CHOSEN // 2)).astype(np.float32)
    middles = (values.astype(np.float64) + np.nextafter(values, np.float32(9))) / 2
    numbers = np.rint(-np.expm1(-middles) * 2.0**53).astype(np.uint64)
    words = np.stack([numbers >> np.uint64(32), numbers & np.uint64(0xFFFFFFFF)], axis=-1)
    for state in states_that_bring(words.reshape(40, CHOSEN)):
        pair = Pair(0)
        pair.ours.set_state(state)
        pair.theirs.set_state(state)
        pair.filled("exponential", "exponential_", shape=(CHOSEN // 2,))


# --- the number that waits ----------------------------------------------------------------------


@pytest.mark.parametrize("seed", [0, 2**63])
def test_the_second_of_a_pair_waits_for_the_next_draw_of_its_kind(seed):
    pair = Pair(seed)
    for size in (3, 40, 1, 1, 0, 5, 16, 7, 12):
        for dtype in FLOATS:
            pair.filled("normal", "normal_", -1.0, 2.5, shape=(size,), dtype=dtype)
            pair.filled("exponential", "exponential_", 2.0, shape=(size,), dtype=dtype)
            pair.filled("normal", "normal_", shape=(size, 1, 3), dtype=dtype, strides=(3, 3, 1))
            pair.filled("normal", "normal_", shape=(2, size), dtype=dtype, strides=(1, 2))
            pair.same_state()
    pair.filled("normal", "normal_", shape=(1,))
    pair.ours.manual_seed(5)
    pair.theirs.manual_seed(5)
    pair.same_state()
    pair.filled("normal", "normal_", shape=(1,))


# --- memory -------------------------------------------------------------------------------------

LAYOUTS = [
    ((2, 3, 4, 5), {"memory_format": "channels_last"}),
    ((2, 1, 4, 5), {"memory_format": "channels_last"}),
    ((2, 20, 1, 1), {"memory_format": "channels_last"}),
    ((1, 3, 4, 5), {"memory_format": "channels_last"}),
    ((3, 4, 5), {"strides": (1, 3, 12)}),
    ((3, 4, 5), {"strides": (2, 40, 7)}),
    ((3, 4, 5), {"strides": (20, 5, 1)}),
    ((4, 6), {"strides": (13, 2)}),
    ((4, 6), {"strides": (2, 9)}),
    ((1, 20), {"strides": (3, 1)}),
    ((20, 1), {"strides": (1, 7)}),
    ((2, 0), {"strides": (1, 1)}),
]


@pytest.mark.parametrize(("shape", "layout"), LAYOUTS)
def test_gaps_and_other_orders_of_memory(shape, layout):
    pair = Pair(8)
    for dtype in FLOATS:
        pair.filled("normal", "normal_", 0.3, 1.7, shape=shape, dtype=dtype, **layout)
        pair.filled("exponential", "exponential_", 0.7, shape=shape, dtype=dtype, **layout)
        for bounds in BOUNDS:
            trunc_normal(pair, shape, dtype, bounds, **layout)
        pair.same_state()


@pytest.mark.parametrize("dtype", ["complex64", "complex128"])
def test_complex_numbers_share_the_variance(dtype):
    pair = Pair(6)
    for shape in [(), (7,), (8,), (3, 11)]:
        pair.filled("normal", "normal_", 0.3, 1.7, shape=shape, dtype=dtype)
        pair.filled("normal", "normal_", shape=shape, dtype=dtype)
    pair.filled("normal", "normal_", shape=(4, 9), dtype=dtype, strides=(1, 4))
    pair.same_state()


# --- arrays as moments --------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", FLOATS)
@pytest.mark.parametrize("shapes", [((5,), (5,)), ((40,), (40,)), ((3, 1), (1, 9)), ((2, 9), ())])
def test_a_mean_and_a_std_for_each_number(dtype, shapes):
    pair, source = Pair(3), torch.Generator().manual_seed(1)
    mean, std = (torch.rand(s, generator=source).to(getattr(torch, dtype)) for s in shapes)
    shape = tuple(torch.broadcast_shapes(*shapes))
    array_mean, array_std = (t.double().numpy().astype(np.dtype(dtype)) for t in (mean, std))
    if std.ndim:
        theirs = torch.normal(mean, std, generator=pair.theirs)
        assert_same_bits(pair.ours.normal(shape, array_mean, array_std, dtype), theirs)
        theirs = torch.normal(0.3, std, generator=pair.theirs)
        assert_same_bits(pair.ours.normal(tuple(std.shape), 0.3, array_std, dtype), theirs)
    theirs = torch.normal(mean, 1.7, generator=pair.theirs)
    assert_same_bits(pair.ours.normal(tuple(mean.shape), array_mean, 1.7, dtype), theirs)
    pair.same_state()


# --- categories ---------------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", FLOATS)
@pytest.mark.parametrize("shape", [(1,), (5,), (40,), (700,), (3, 50), (2, 3000), (0, 3)])
def test_categories(shape, dtype):
    categories = shape[-1]
    counts = {1, 2, categories // 64, categories // 3, categories - 1, categories}
    for seed in range(8):
        pair, source = Pair(seed), np.random.default_rng(seed)
        weights = source.random(shape)
        if seed % 2:
            weights[source.random(shape) < 0.7] = 0
        if seed % 4 == 3:
            weights = np.ceil(3 * weights)
        weights[..., 0] = 1
        tensor = torch.tensor(weights, dtype=getattr(torch, dtype))
        array = tensor.double().numpy().astype(np.dtype(dtype))
        for count in sorted(counts & set(range(1, categories + 1))):
            for replacement in (False, True):
                args = (count, replacement)
                theirs = torch.multinomial(tensor, *args, generator=pair.theirs)
                assert_same_bits(pair.ours.multinomial(array, *args), theirs)
        pair.same_state()


def killer(n):
    """Return numbers for which every median of three is a bad pivot (Musser)."""
    half = n // 2
    first = [i if i % 2 else half + i - 1 for i in range(1, half + 1)]
    return np.array([*first, *range(2, n + 1, 2)])


@pytest.mark.parametrize("n", [1, 3, 16, 17, 18, 64, 100, 640, 1000, 4000])
def test_equal_numbers_come_in_pytorchs_order(n):
    source = np.random.default_rng(n)
    i = np.arange(n)
    patterns = [i * 0, i, -i, i % 7, i // 3, abs(i - n // 2), -abs(i - n // 2) // 2, -(i % 2)]
    patterns += [source.integers(0, top, n) for top in (2, 10, n)]
    patterns += [sign * killer(n // 2 * 2)[:n] // step for sign in (1, -1) for step in (1, 2, 5)]
    with_nan = np.where(source.random(n) < 0.1, np.nan, source.integers(0, 4, n))
    for values in (*patterns, with_nan):
        values = values.astype(np.float64)
        for k in sorted({1, 2, 3, n // 64, n // 5, n // 2, n - 1, n} & set(range(1, len(values)))):
            expected = torch.topk(torch.from_numpy(values), k).indices
            assert np.array_equal(topk(values, k), expected.numpy()), k


# --- traces, errors -----------------------------------------------------------------------------

DRAWS = {
    "randn": lambda g: g.randn(3),
    "normal": lambda g: g.normal(20),
    "exponential": lambda g: g.exponential(3),
    "trunc_normal": lambda g: g.trunc_normal(3),
    "multinomial": lambda g: g.multinomial(np.ones(3), 2),
}


@pytest.mark.parametrize("name", DRAWS)
def test_a_draw_in_a_trace_raises(name):
    generator = manual_seed(0)
    generator.randn(1)  # its partner waits
    before = generator.get_state()
    with pytest.raises(RuntimeError, match="cannot be used while JAX traces"):
        jax.jit(lambda x: x + DRAWS[name](generator).sum())(1.0)
    assert np.array_equal(generator.get_state(), before)


def filler(name, *args, dtype="float32", **kwargs):
    """Return the calls of a method on both sides."""
    ours = name.rstrip("_")
    return (
        lambda g: getattr(g, ours)(3, *args, dtype=dtype),
        lambda t: getattr(empty((3,), dtype), name)(*args, generator=t),
    )


def truncated(*args, dtype="float32"):
    return (
        lambda g: g.trunc_normal(3, *args, dtype=dtype),
        lambda t: torch.nn.init.trunc_normal_(empty((3,), dtype), *args, generator=t),
    )


def categories(weights, *args, dtype=torch.float32):
    tensor = torch.as_tensor(weights, dtype=dtype)
    return (
        lambda g: g.multinomial(tensor.numpy(), *args),
        lambda t: torch.multinomial(tensor, *args, generator=t),
    )


NAN, INF = float("nan"), float("inf")
ERRORS = [
    *(filler("normal_", 0.0, std) for std in (-1.0, -1e-7, -1234567.0, NAN)),
    *(filler("normal_", dtype=dtype) for dtype in ("int64", "bool")),
    *(filler("exponential_", rate) for rate in (0.0, -1.0, -1234567.0, NAN)),
    *(filler("exponential_", dtype=dtype) for dtype in ("int32", "complex64")),
    (
        lambda g: g.normal(3, np.zeros(3), np.array([1.0, -1.0, 1.0])),
        lambda t: torch.normal(torch.zeros(3), torch.tensor([1.0, -1.0, 1.0])),
    ),
    (lambda g: g.normal(3, np.zeros(3), -1.0), lambda t: torch.normal(torch.zeros(3), -1.0)),
    *(truncated(*args) for args in [(0.0, 1.0, 2.0, -2.0), (0.0, 0.0), (0.0, -1.0, 2.0, -2.0)]),
    truncated(dtype="int64"),
    *(
        categories(weights, *args)
        for weights in ([1, -2], [1, NAN], [1, INF], [0, 0], [[1, 1], [0, 0]], [[1, 1], [1, -1]])
        for args in [(1,), (2,), (1, True), (2, True)]
    ),
    *(categories(torch.ones(shape), 1) for shape in [(), (2, 2, 2), (0,), (2, 0)]),
    *(categories([1, 2], *args) for args in [(0,), (-1,), (3,), (0, True), (1.5,)]),
    categories([1, 2], 1, dtype=torch.int64),
]


@pytest.mark.filterwarnings("ignore:mean is more than 2 std")
@pytest.mark.parametrize(("ours", "theirs"), ERRORS)
def test_errors_are_pytorchs_and_draw_nothing(ours, theirs):
    generator = manual_seed(0)
    before = generator.get_state()
    with pytest.raises(
        (RuntimeError, TypeError, NotImplementedError, ZeroDivisionError)
    ) as their_error:
        theirs(torch.Generator())
    with pytest.raises(their_error.type) as our_error:
        ours(generator)
    assert str(their_error.value).split("\n")[0] in str(our_error.value)
    assert np.array_equal(generator.get_state(), before)


OUR_ERRORS = [
    (lambda g: g.normal(3, np.zeros(4)), ValueError, "mean of shape"),
    (lambda g: g.normal((), 0.0, np.ones(3)), ValueError, "std of shape"),
    (lambda g: g.normal(3, np.zeros(3), dtype="complex64"), NotImplementedError, "ComplexFloat"),
    (lambda g: g.normal((2, 3), np.zeros(3), strides=(1, 2)), ValueError, "contiguous"),
    (lambda g: g.normal((2, 3), strides=(1, 1)), ValueError, "strides"),
    (lambda g: g.trunc_normal(3, dtype="complex64"), NotImplementedError, "ComplexFloat"),
    (lambda g: g.trunc_normal((2, 3), memory_format="channels_last"), RuntimeError, "rank 4"),
    (lambda g: g.multinomial(np.ones(2**24 + 1, np.float32), 1), RuntimeError, "exceed 2^24"),
]


@pytest.mark.parametrize(("call", "error", "text"), OUR_ERRORS)
def test_other_bad_arguments_are_named(call, error, text):
    generator = manual_seed(0)
    before = generator.get_state()
    with pytest.raises(error) as raised:
        call(generator)
    assert text in str(raised.value)
    assert np.array_equal(generator.get_state(), before)


def test_jax_arrays_are_taken():
    pair = Pair(4)
    mean, weights = jnp.arange(20.0, dtype=jnp.float32), jnp.ones(5, jnp.bfloat16)
    theirs = torch.normal(torch.arange(20.0), 2.0, generator=pair.theirs)
    assert_same_bits(pair.ours.normal((20,), mean, 2.0), theirs)
    theirs = torch.multinomial(torch.ones(5, dtype=torch.bfloat16), 3, generator=pair.theirs)
    assert_same_bits(pair.ours.multinomial(weights, 3), theirs)
