"""PyTorch's random numbers: every bit, and the state of the generator after every draw."""

import copy
import ctypes
import ctypes.util
import pickle
import warnings
from fractions import Fraction

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from jaxaccel.random import Generator, manual_seed
from jaxaccel.random._fma import fma32, fma64
from jaxaccel.random._randperm import shuffle_forwards, shuffle_inside_out
from parity_tests.harness.generator import FLOATS, LARGE, SEEDS, Pair, assert_same_bits, empty

SIZES = (0, 1, 15, 16, 17)
INTEGERS = ("uint8", "int8", "int16", "int32", "int64")
BOUNDS = [(0.0, 1.0), (-0.1, 0.3), (-1.0, 1.0), (2.5, 2.5), (1.0, 1.0 + 2.0**-20)]
RANGES = [(0, 2), (3, 100), (0, 2**7), (0, 1)]
LONG_RANGES = [(0, 2**28 - 1), (0, 2**28), (-(2**40), 2**40), (-(2**63), 2**63 - 1)]


def draw_all(pair, size):
    """Draw a vector of every kind, one after the other from the same stream."""
    pair.made(lambda g: g.rand(size), lambda t: torch.rand(size, generator=t))
    for dtype in FLOATS:
        for a, b in BOUNDS:
            pair.filled("uniform", "uniform_", a, b, shape=(size,), dtype=dtype)
    for dtype in (*FLOATS, *INTEGERS, "bool"):
        pair.filled("random", "random_", None, None, shape=(size,), dtype=dtype, filler=())
        for low, high in RANGES if dtype != "bool" else [(0, 2)]:
            pair.filled("randint", "random_", low, high, shape=(size,), dtype=dtype)
        for p in (0.0, 0.3, 0.5, 1.0):
            pair.filled("bernoulli", "bernoulli_", p, shape=(size,), dtype=dtype)
    for low, high in LONG_RANGES:
        pair.filled("randint", "random_", low, high, shape=(size,), dtype="int64")
    pair.made(lambda g: g.randperm(size), lambda t: torch.randperm(size, generator=t))


# --- seeds, states ------------------------------------------------------------------------------


@pytest.mark.parametrize("seed", SEEDS)
def test_every_draw_from_a_seed(seed):
    pair = Pair(seed)
    pair.same_state()
    assert pair.ours.initial_seed() == pair.theirs.initial_seed()
    for size in SIZES:
        draw_all(pair, size)
        pair.same_state()


@pytest.mark.parametrize("seed", [0, -(2**40) - 3])
def test_a_million_numbers(seed):
    pair = Pair(seed)
    for dtype in FLOATS:
        pair.filled("uniform", "uniform_", -0.1, 0.3, shape=(LARGE,), dtype=dtype)
    pair.made(lambda g: g.rand(LARGE), lambda t: torch.rand(LARGE, generator=t))
    pair.filled("randint", "random_", 0, 1000, shape=(LARGE,), dtype="int32")
    pair.filled("randint", "random_", 0, 2**40, shape=(LARGE,), dtype="int64")
    pair.filled("bernoulli", "bernoulli_", 0.3, shape=(LARGE,))
    pair.made(lambda g: g.randperm(LARGE), lambda t: torch.randperm(LARGE, generator=t))
    pair.same_state()


@pytest.mark.parametrize("first", [0, 1, 623, 624, 625])
def test_words(first):
    pair = Pair(17)
    for count in (first, 0, 5, 700):
        words = torch.zeros(count, dtype=torch.int64).random_(0, 2**27, generator=pair.theirs)
        assert np.array_equal(pair.ours.words32(count) % 2**27, words.numpy())
        pair.same_state()
        words = torch.zeros(count, dtype=torch.int64).random_(-(2**63), None, generator=pair.theirs)
        assert np.array_equal(pair.ours.words64(count).view(np.int64), words.numpy())
        pair.same_state()


def test_the_default_seed_is_pytorchs():
    assert np.array_equal(Generator().get_state(), torch.Generator().get_state().numpy())


@pytest.mark.parametrize("words", [0, 1, 2, 623, 624, 625, 1248, 5000])
@pytest.mark.parametrize("normal_first", [False, True])
def test_a_state_goes_both_ways(words, normal_first):
    theirs = torch.Generator().manual_seed(9)
    if normal_first:
        torch.empty(1).normal_(generator=theirs)  # leaves the second number of a pair behind
    torch.empty(words, dtype=torch.int32).random_(generator=theirs)
    ours = Generator()
    ours.set_state(theirs.get_state())
    assert (ours.next_normal is not None) == normal_first
    assert ours.initial_seed() == 9
    assert np.array_equal(ours.get_state(), theirs.get_state().numpy())
    back = torch.Generator()
    back.set_state(torch.from_numpy(ours.get_state()))
    assert_same_bits(ours.rand(700), torch.rand(700, generator=back))
    assert np.array_equal(ours.get_state(), back.get_state().numpy())
    assert ours.manual_seed(1) is ours
    assert np.array_equal(ours.get_state(), torch.Generator().manual_seed(1).get_state().numpy())


def test_the_place_for_a_float32_normal_is_kept():
    state = torch.Generator().get_state()
    state[5048:5052].view(torch.float32)[0] = 0.5
    state[5052] = 1
    theirs, ours = torch.Generator(), Generator()
    theirs.set_state(state)
    ours.set_state(state)
    assert ours.next_float == 0.5
    assert np.array_equal(ours.get_state(), theirs.get_state().numpy())


def test_copies_go_their_own_way():
    generator = manual_seed(3)
    generator.rand(10)
    for other in (copy.deepcopy(generator), pickle.loads(pickle.dumps(generator))):
        before = generator.get_state()
        numbers = other.rand(1000)
        assert np.array_equal(generator.get_state(), before)
        generator.set_state(before)
        assert np.array_equal(generator.rand(1000), numbers)
        generator.set_state(before)


# --- integers, permutations, coins --------------------------------------------------------------

INTEGER_RANGES = [
    *[(None, None), (-(2**63), None), (3, None), (-10, None), (300, None), (None, 7), (0, 2**28)],
    *[(0, 256), (0, 257), (0, 2**16), (-(2**31), 2**31), (0, 2**53 + 5), (0, 2**63 - 1)],
    *[(-(2**63), 2**63 - 1), (2**63 - 2, 2**63 - 1), (-(2**63) + 1, None), (2**54, None)],
    *[(5, 5), (7, 3), (0, 65504), (0, 70000), (70000, None), (70000, 80000), (2047, 2050)],
    *[(2049, 2051), (-4097, 4099), (255, 259), (257, 258), (2**24 + 1, 2**24 + 5)],
    *[(-(2**24) - 3, 2**24 + 7), (2**53 - 1, 2**53 + 3), (2**24 + 1, None)],
]
"""Among them those that float types round: PyTorch then moves the bounds inwards."""


@pytest.mark.parametrize(
    "dtype", [*FLOATS, *INTEGERS, "bool", "uint16", "uint32", "uint64", "complex64"]
)
def test_ranges_of_integers_with_their_errors_and_warnings(dtype):
    pair = Pair(5)
    for low, high in INTEGER_RANGES:
        arguments = () if low is None and high is None else (low or 0, high)
        state = pair.ours.get_state()
        theirs = outcome(lambda a=arguments: empty((40,), dtype).random_(*a, generator=pair.theirs))
        ours = outcome(lambda a=low, b=high: pair.ours.random((40,), dtype, a, b))
        assert ours[1:] == theirs[1:], (low, high)
        if ours[0] is None:
            assert np.array_equal(pair.ours.get_state(), state)
        else:
            assert_same_bits(ours[0], theirs[0])
        pair.same_state()


def outcome(call):
    """Return (the result, the error's type and text, the texts of warnings)."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        try:
            result, error = call(), None
        except Exception as raised:
            result, error = None, (type(raised), str(raised))
    return result, error, {str(w.message).split(" This warning")[0] for w in caught}


@pytest.mark.parametrize("dtype", [*FLOATS, *INTEGERS, "bool", "uint16", "complex64"])
@pytest.mark.parametrize("n", [0, 1, 5, 129, 257, 2050])
def test_permutations_in_other_dtypes_with_their_errors(n, dtype):
    pair = Pair(n)
    theirs = outcome(lambda: torch.randperm(n, dtype=getattr(torch, dtype), generator=pair.theirs))
    ours = outcome(lambda: pair.ours.randperm(n, dtype))
    assert ours[1:] == theirs[1:]
    if ours[0] is not None:
        assert_same_bits(ours[0], theirs[0])
    pair.same_state()


@pytest.mark.parametrize("n", [*range(2, 12), 100, 1000])
def test_shuffles_without_a_loop_are_those_with_one(n):
    """The second one is PyTorch's from 214,748,364 numbers on: too many for a test."""
    for seed in range(20):
        source = np.random.default_rng(seed)
        words = source.integers(0, 2**32, n - 1, np.uint32)
        expected = np.arange(n)
        for i, word in enumerate(words):
            j = i + int(word) % (n - i)
            expected[[i, j]] = expected[[j, i]]
        assert np.array_equal(shuffle_forwards(words, n), expected)
        words = source.integers(0, 2**64, n, np.uint64)
        for i, word in enumerate(words):
            z = int(word) % (i + 1)
            expected[i] = i
            expected[i], expected[z] = expected[z], i
        assert np.array_equal(shuffle_inside_out(words, n), expected)


@pytest.mark.parametrize("p_dtype", FLOATS)
@pytest.mark.parametrize("dtype", ["float32", "bfloat16", "int64", "bool"])
def test_a_probability_for_each_number(dtype, p_dtype):
    pair = Pair(11)
    for shape, p_shape in [((3, 4, 5, 6), (4, 1, 6)), ((40,), (40,)), ((2, 3), ())]:
        p = torch.rand(p_shape, generator=torch.Generator().manual_seed(1))
        p = p.to(getattr(torch, p_dtype))
        array = p.double().numpy().astype(np.dtype(p_dtype))
        theirs = empty(shape, dtype).bernoulli_(p, generator=pair.theirs)
        assert_same_bits(pair.ours.bernoulli(shape, array, dtype), theirs)
        pair.same_state()


@pytest.mark.parametrize("dtype", FLOATS)
@pytest.mark.parametrize("p", [0.0, 0.09, 0.1, 0.3, 1 / 3, 0.5, 0.52, 1.0])
def test_a_dropout_mask_times_the_input_is_dropout(p, dtype):
    torch.manual_seed(4)
    ours = manual_seed(4)
    for layout in ("contiguous", "channels_last"):
        x = torch.randn((2, 3, 4, 5), generator=torch.Generator().manual_seed(2))
        x = x.to(getattr(torch, dtype))
        array = x.double().numpy().astype(np.dtype(dtype))
        if layout == "channels_last":
            x = x.to(memory_format=torch.channels_last)
        mask = ours.dropout_mask(x.shape, p, dtype, memory_format=layout)
        assert_same_bits(array * mask, torch.nn.functional.dropout(x, p))
        assert np.array_equal(ours.get_state(), torch.get_rng_state().numpy())


# --- memory, traces, errors ---------------------------------------------------------------------

LAYOUTS = [
    ((2, 3, 4, 5), {"memory_format": "channels_last"}),
    ((2, 1, 4, 5), {"memory_format": "channels_last"}),
    ((3, 4, 5), {"strides": (1, 3, 12)}),
    ((3, 4, 5), {"strides": (2, 40, 7)}),
    ((4, 6), {"strides": (6, 1)}),
]


@pytest.mark.parametrize(("shape", "layout"), LAYOUTS)
def test_numbers_go_where_the_tensors_memory_begins(shape, layout):
    pair = Pair(8)
    for dtype in FLOATS:
        pair.filled("uniform", "uniform_", -1.0, 3.0, shape=shape, dtype=dtype, **layout)
    for dtype in ("int64", "float32"):
        pair.filled("randint", "random_", 0, 99, shape=shape, dtype=dtype, **layout)
        pair.filled("random", "random_", None, None, shape=shape, dtype=dtype, filler=(), **layout)
        pair.filled("bernoulli", "bernoulli_", 0.4, shape=shape, dtype=dtype, **layout)
    p = torch.rand(shape)
    theirs = empty(shape, "float32", **layout).bernoulli_(p, generator=pair.theirs)
    assert_same_bits(pair.ours.bernoulli(shape, p.numpy(), **layout), theirs)
    pair.same_state()


@pytest.mark.parametrize("dtype", ["complex64", "complex128"])
def test_complex_numbers_are_pairs(dtype):
    pair = Pair(6)
    pair.filled("uniform", "uniform_", -1.0, 3.0, shape=(3, 5), dtype=dtype)
    channels_last = {"memory_format": "channels_last"}
    pair.filled("uniform", "uniform_", shape=(2, 3, 4, 5), dtype=dtype, **channels_last)
    pair.same_state()


@pytest.mark.parametrize(
    "bounds", [(-8e307, 8e307), (1e307, 1.01e307), (-3e-320, 1e-310), (1.0, 1.0 + 2.0**-51)]
)
def test_bounds_at_the_ends_of_double_precision(bounds):
    Pair(1).filled("uniform", "uniform_", *bounds, shape=(500,), dtype="float64")


@pytest.mark.parametrize(
    "bounds", [(-1e38, 1e38), (-3e38, 1e37), (-1e-42, 1e-41), (1e-12, 1.0), (-1.0, -1e-12)]
)
def test_bounds_at_the_ends_of_single_precision(bounds):
    Pair(1).filled("uniform", "uniform_", *bounds, shape=(5000,), dtype="float32")


TRACES = {
    "jit": lambda f: jax.jit(f)(1.0),
    "grad": lambda f: jax.grad(f)(1.0),
    "vmap": lambda f: jax.vmap(f)(jnp.zeros(2)),
    "scan": lambda f: jax.lax.scan(lambda c, x: (f(c), x), 1.0, jnp.zeros(2)),
    "eval_shape": lambda f: jax.eval_shape(f, 1.0),
}


@pytest.mark.parametrize("trace", TRACES)
def test_a_draw_in_a_trace_raises(trace):
    generator = manual_seed(0)
    before = generator.get_state()
    for name in ("rand", "bernoulli", "random", "randperm"):
        with pytest.raises(RuntimeError, match="cannot be used while JAX traces"):
            TRACES[trace](lambda x, name=name: x * getattr(generator, name)(3).sum())
    assert np.array_equal(generator.get_state(), before)
    assert generator.rand(1).shape == (1,)


NAN = float("nan")
ERRORS = [
    (lambda g: g.manual_seed(1.5), lambda t: t.manual_seed(1.5)),
    (lambda g: g.manual_seed("a"), lambda t: t.manual_seed("a")),
    (lambda g: g.manual_seed(True), lambda t: t.manual_seed(True)),
    (lambda g: g.manual_seed(2**64), lambda t: t.manual_seed(2**64)),
    (lambda g: g.manual_seed(-(2**63) - 1), lambda t: t.manual_seed(-(2**63) - 1)),
    *(
        (
            lambda g, a=a, b=b, d=d: g.uniform(3, a, b, d),
            lambda t, a=a, b=b, d=d: empty((3,), d).uniform_(a, b, generator=t),
        )
        for d in (*FLOATS, "int32", "bool")
        for a, b in [
            (1.0, 0.0),
            (1.23456789, -7.1e-10),
            (NAN, 1),
            (0, NAN),
            (0, 1e309),
            (-9e4, 9e4),
        ]
        if not ((a, b) == (-9e4, 9e4) and d != "float16")
    ),
    (lambda g: g.uniform(3, -3e38, 3e38), lambda t: empty((3,), "float32").uniform_(-3e38, 3e38)),
    *(
        (lambda g, p=p: g.bernoulli(3, p), lambda t, p=p: empty((3,), "float32").bernoulli_(p))
        for p in (1.5, -0.1, NAN)
    ),
    *(
        (
            lambda g, p=p: g.bernoulli(3, p.numpy()),
            lambda t, p=p: empty((3,), "float32").bernoulli_(p),
        )
        for p in (torch.tensor([0.1, 1.5, 0.2]), torch.tensor([1, 0, 1]))
    ),
    *(
        (lambda g, d=d: g.bernoulli(3, 0.5, d), lambda t, d=d: empty((3,), d).bernoulli_(0.5))
        for d in ("uint16", "complex64")
    ),
    *(
        (
            lambda g, p=p: g.dropout_mask(3, p),
            lambda t, p=p: torch.nn.functional.dropout(torch.ones(3), p),
        )
        for p in (1.5, -0.1)
    ),
    *((lambda g, n=n: g.randperm(n), lambda t, n=n: torch.randperm(n)) for n in (-1, 2.5, True)),
    (lambda g: g.randint(0, 2**63, 3), lambda t: torch.randint(0, 2**63, (3,))),
    (lambda g: g.set_state(np.zeros(10, np.uint8)), lambda t: t.set_state(torch.zeros(10).byte())),
    (lambda g: g.set_state(np.zeros(5056)), lambda t: t.set_state(torch.zeros(5056))),
    (
        lambda g: g.set_state(np.zeros(5056, np.uint8)),
        lambda t: t.set_state(torch.zeros(5056).byte()),
    ),
]


@pytest.mark.parametrize(("ours", "theirs"), ERRORS)
def test_errors_are_pytorchs_and_draw_nothing(ours, theirs):
    generator = manual_seed(0)
    before = generator.get_state()
    with pytest.raises((RuntimeError, ValueError, TypeError, NotImplementedError)) as theirs_raised:
        theirs(torch.Generator())
    with pytest.raises(theirs_raised.type) as ours_raised:
        ours(generator)
    said = str(theirs_raised.value).split("  (Could this error")[0].removesuffix(".")
    assert said in str(ours_raised.value)
    assert np.array_equal(generator.get_state(), before)


OUR_ERRORS = [
    (lambda g: g.rand(3, "datetime64[s]"), TypeError, "dtype"),
    (lambda g: g.rand((2, 1.5)), TypeError, "shape"),
    (lambda g: g.rand((2, -1)), ValueError, "shape"),
    (lambda g: g.rand((2, 3), memory_format="channels_last"), RuntimeError, "rank 4"),
    (lambda g: g.rand((2, 3), memory_format="rows"), ValueError, "memory_format"),
    (lambda g: g.rand((2, 3), strides=(1, 1)), ValueError, "strides"),
    (lambda g: g.randint(0, 2.5, 3), TypeError, "high"),
    (lambda g: g.bernoulli(3, np.zeros(2)), ValueError, "p must be expandable"),
    (lambda g: g.randperm(2**32 + 1), ValueError, "n must be at most"),
]


@pytest.mark.parametrize(("call", "error", "text"), OUR_ERRORS)
def test_other_bad_arguments_are_named(call, error, text):
    generator = manual_seed(0)
    before = generator.get_state()
    with pytest.raises(error, match=text):
        call(generator)
    assert np.array_equal(generator.get_state(), before)


# --- fused multiply-add -------------------------------------------------------------------------


def near_half_way(seed, size, digits, dtype):
    """Return x, y, z for which x * y + z is next to the middle of two numbers of a dtype."""
    source = np.random.default_rng(seed)
    ulp = 2.0 ** (1 - digits)
    k, low = source.integers(1, 200, size) * ulp, 2.0 ** source.integers(-40, 3, size)
    sign = source.choice([-1.0, 1.0], size)
    z = (1 + source.integers(0, 99, size) * ulp) * low * 2.0**digits * sign
    return (1 + k).astype(dtype), ((1 - k) * low).astype(dtype), z.astype(dtype)


def test_fma32_rounds_once():
    library = ctypes.CDLL(ctypes.util.find_library("m"))
    library.fmaf.argtypes, library.fmaf.restype = [ctypes.c_float] * 3, ctypes.c_float
    x, y, z = near_half_way(0, 4000, 24, np.float32)
    tiny, big = np.float32(2.0**-120), np.float32(2.0**70)
    for a, b, c in [(x, y, z), (x * tiny, y, z * tiny), (x, y, x), (x * big, y * big, z)]:
        expected = [library.fmaf(*map(float, triple)) for triple in zip(a, b, c, strict=True)]
        assert np.array_equal(fma32(a, b, c), np.array(expected, np.float32))
    twice = (x.astype(np.float64) * y + z).astype(np.float32)
    assert not np.array_equal(fma32(x, y, z), twice)


def test_fma64_rounds_once():
    x, y, z = near_half_way(0, 4000, 53, np.float64)
    for a, b, c in [(x, y, z), (x * 1e-300, y, z * 1e-300), (x * 1e300, y, z), (x, y, -x * y)]:
        exact = [
            float(Fraction(i) * Fraction(j) + Fraction(k)) for i, j, k in zip(a, b, c, strict=True)
        ]
        assert np.array_equal(fma64(a, b, c), exact)
    assert not np.array_equal(fma64(x, y, z), x * y + z)


@pytest.mark.parametrize(
    ("numbers", "expected"),
    [
        ((0.0, 1.0, -0.0), 0.0),
        ((-0.0, 1.0, -0.0), -0.0),
        ((-1e-300, 1e-300, 0.0), -0.0),
        ((1e300, 1e300, 1.0), np.inf),
        ((1e308, 2.0, -1e308), 1e308),
        ((1e300, 1e300, -np.inf), -np.inf),
        ((np.inf, 1.0, -np.inf), np.nan),
    ],
)
def test_fma64_at_the_edges(numbers, expected):
    found = fma64(*numbers)
    assert np.array_equal(found, expected, equal_nan=True)
    assert np.isnan(expected) or np.signbit(found) == np.signbit(expected)


# --- any order ----------------------------------------------------------------------------------

sizes = st.sampled_from([0, 1, 2, 3, 15, 16, 17, 31, 33, 100, 700])
floats = st.sampled_from(FLOATS)
numbers = st.floats(-100.0, 100.0, width=16)


class BothGenerators(RuleBasedStateMachine):
    """Random draws in a random order: one kind leaves to the next what PyTorch's leaves."""

    @initialize(seed=st.integers(-(2**63), 2**64 - 1))
    def start(self, seed):
        self.pair = Pair(seed)

    @invariant()
    def equal_states(self):
        if hasattr(self, "pair"):
            self.pair.same_state()

    @rule(seed=st.integers(-(2**63), 2**64 - 1))
    def manual_seed(self, seed):
        self.pair.ours.manual_seed(seed)
        self.pair.theirs.manual_seed(seed)

    @rule()
    def exchange_states(self):
        """Each goes on from the other's state, in a new generator."""
        ours, theirs = self.pair.ours.get_state(), self.pair.theirs.get_state()
        self.pair = Pair(0)
        self.pair.ours.set_state(theirs)
        self.pair.theirs.set_state(torch.from_numpy(ours))

    @rule(size=sizes, dtype=floats, bounds=st.tuples(numbers, numbers))
    def uniform(self, size, dtype, bounds):
        self.pair.filled("uniform", "uniform_", *sorted(bounds), shape=(size,), dtype=dtype)

    @rule(size=sizes, dtype=st.sampled_from([*FLOATS, *INTEGERS, "bool"]))
    def random(self, size, dtype):
        self.pair.filled("random", "random_", None, None, shape=(size,), dtype=dtype, filler=())

    @rule(size=sizes, low=st.integers(-(2**62), 2**62), count=st.integers(1, 2**62))
    def randint(self, size, low, count):
        self.pair.filled("randint", "random_", low, low + count, shape=(size,), dtype="int64")

    @rule(n=sizes)
    def randperm(self, n):
        self.pair.made(lambda g: g.randperm(n), lambda t: torch.randperm(n, generator=t))

    @rule(size=sizes, p=st.floats(0.0, 1.0))
    def bernoulli(self, size, p):
        self.pair.filled("bernoulli", "bernoulli_", p, shape=(size,))

    @rule(size=sizes, dtype=floats, mean=numbers, std=st.floats(0.0, 10.0, width=16))
    def normal(self, size, dtype, mean, std):
        self.pair.filled("normal", "normal_", mean, std, shape=(size,), dtype=dtype)

    @rule(rows=st.integers(1, 9), std=st.floats(0.0, 10.0, width=16))
    def normal_strided(self, rows, std):
        layout = {"strides": (1, rows)}
        self.pair.filled("normal", "normal_", 0.0, std, shape=(rows, 7), **layout)

    @rule(size=sizes, dtype=floats, rate=st.floats(0.125, 10.0, width=16))
    def exponential(self, size, dtype, rate):
        self.pair.filled("exponential", "exponential_", rate, shape=(size,), dtype=dtype)

    @rule(size=sizes, a=st.floats(-2.0, 0.0, width=16), b=st.floats(0.5, 2.0, width=16))
    def trunc_normal(self, size, a, b):
        theirs = torch.empty(size)
        torch.nn.init.trunc_normal_(theirs, 0.0, 1.0, a, b, generator=self.pair.theirs)
        assert_same_bits(self.pair.ours.trunc_normal((size,), 0.0, 1.0, a, b), theirs)

    @rule(count=st.integers(1, 20), replacement=st.booleans())
    def multinomial(self, count, replacement):
        weights = torch.arange(1.0, 21.0)
        ours = self.pair.ours.multinomial(weights.numpy(), count, replacement)
        theirs = torch.multinomial(weights, count, replacement, generator=self.pair.theirs)
        assert_same_bits(ours, theirs)


BothGenerators.TestCase.settings = settings(
    max_examples=60,
    stateful_step_count=25,
    deadline=None,
    derandomize=True,
    database=None,
    suppress_health_check=[HealthCheck.too_slow],
)
TestBothGenerators = BothGenerators.TestCase
