"""Initializers against ``torch.nn.init``: bits with a generator, distributions with a JAX key."""

import copy
import functools
import inspect
import math
import warnings

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import torch
from flax import nnx
from jax.scipy.stats import norm
from torch.utils._python_dispatch import TorchDispatchMode

import jaxaccel as ja
from jaxaccel import _layout
from jaxaccel.init import _draw
from parity_tests import tolerances as tol
from parity_tests.harness.optimizer import TORCH, lookup, oracle_of
from parity_tests.harness.statistics import ks_probability, two_sample_p_value
from parity_tests.init.rows_init import (
    BAD,
    BAD_SHAPES,
    CONSTANTS,
    FILLS,
    GAINS,
    LAYER_DEFAULTS,
    ORTHOGONAL,
    SPARSE,
    WEIGHTS,
)

SHAPES = [(120, 170), (30, 40, 3, 5), (100, 30, 7)]
"""Kernels in PyTorch's layout, 20,000 elements or so."""

SMALL_SHAPES = [(3, 4), (4, 4), (9, 7), (4, 3, 3, 2), (5,)]
"""Fewer than 16 numbers, exactly 16, and sizes that 16 does not divide."""

SEEDS = [*range(6), 42, 1234, 2**31 - 1, 2**31, 2**32 - 1, 2**32, 2**32 + 7, 2**53 + 1, 2**63]
SEEDS += [2**64 - 1, -1, -2, -(2**31), -(2**63)]


class Recorder(TorchDispatchMode):
    """Record what PyTorch draws: the arguments of every uniform_ and normal_."""

    def __init__(self):
        super().__init__()
        self.draws = []

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        name = func.overloadpacket.__name__
        if name in ("uniform_", "normal_"):
            self.draws.append((name, *args[1:3]))
        return func(*args, **(kwargs or {}))


def drawn_by_pytorch(case, shape):
    """Return (function, low or mean, high or std) that PyTorch draws a tensor with."""
    with Recorder() as recorder:
        if "layer" in case.options:
            oracle_of(case)(*case.options["layer"])
            return recorder.draws[0 if case.options["parameter"] == "weight" else 1]
        oracle_of(case)(torch.empty(shape), **case.kwargs)
    return recorder.draws[-1]


def flax_shape(shape):
    return (*shape[2:], shape[1], shape[0]) if len(shape) > 1 else shape


@pytest.mark.quick
@pytest.mark.parametrize("layout", ["flax", "torch"])
@pytest.mark.parametrize("case", [*WEIGHTS, *LAYER_DEFAULTS], ids=lambda case: case.id)
def test_bounds_equal_pytorch(case, layout, monkeypatch):
    """The limits of the uniform or the deviation of the normal, before anything is random."""
    draws = []

    def record(name):
        def draw(key, shape, dtype, first, second, *_):
            draws.append((name, first, second))
            return jnp.zeros(shape, dtype)

        return draw

    monkeypatch.setattr(_draw, "uniform", record("uniform_"))
    monkeypatch.setattr(_draw, "normal", record("normal_"))
    shapes = [case.options["shape"]] if "shape" in case.options else SHAPES
    for shape in shapes:
        kwargs = dict(case.kwargs)
        if len(shape) > 1:
            kwargs["layout"] = layout
        init = lookup("jaxaccel", case.function)(**kwargs)
        init(jax.random.key(0), flax_shape(shape) if layout == "flax" else shape)
        expected = drawn_by_pytorch(case, shape)
        assert draws[-1][0] == expected[0]
        assert draws[-1][1:] == pytest.approx(expected[1:], rel=tol.INIT_BOUND_RELATIVE, abs=0)


def ks_p_value(sample, cdf):
    """Return the p-value of a one-sample Kolmogorov-Smirnov test (asymptotic)."""
    n = len(sample)
    values = cdf(np.sort(sample))
    grid = np.arange(n + 1) / n
    distance = max(np.max(grid[1:] - values), np.max(values - grid[:-1]))
    return ks_probability(distance, n)


@pytest.mark.parametrize("dtype", ["float64", "float32", "bfloat16"])
@pytest.mark.parametrize("case", [*WEIGHTS, *LAYER_DEFAULTS], ids=lambda case: case.id)
def test_samples_have_pytorchs_distribution(case, dtype):
    shape = case.options.get("shape", SHAPES[1])
    init = lookup("jaxaccel", case.function)(**case.kwargs)
    array = init(jax.random.key(7), flax_shape(shape), jnp.dtype(dtype))
    assert array.dtype == dtype
    assert array.shape == flax_shape(shape)
    sample = np.asarray(array, np.float64).ravel()
    name, _, second = drawn_by_pytorch(case, shape)
    std = second / math.sqrt(3) if name == "uniform_" else second
    if std == 0:
        assert not sample.any()
        return
    assert np.std(sample) == pytest.approx(std, rel=tol.INIT_STD_RELATIVE)
    if name == "uniform_":
        assert abs(sample).max() <= float(jnp.asarray(second, jnp.dtype(dtype)))
        assert sample.max() < float(jnp.asarray(second, jnp.dtype(dtype)))
    if dtype == "bfloat16":
        return  # rounding makes ties, which the test below does not allow for
    if name == "uniform_":
        p_value = ks_p_value(sample, lambda x: (x + second) / (2 * second))
    else:
        p_value = ks_p_value(sample, lambda x: np.asarray(norm.cdf(np.asarray(x) / std)))
    assert p_value > tol.INIT_P_VALUE


@pytest.mark.filterwarnings("ignore:mean is more than 2 std:UserWarning")
@pytest.mark.parametrize("dtype", ["float64", "float32", "bfloat16"])
@pytest.mark.parametrize("case", FILLS, ids=lambda case: case.id)
def test_fills_have_pytorchs_distribution(case, dtype):
    torch.manual_seed(0)
    expected = oracle_of(case)(torch.empty(20_000, dtype=TORCH[dtype]), **case.kwargs)
    expected = expected.to(torch.float64).numpy()
    init = lookup("jaxaccel", case.function)(**case.kwargs)
    array = init(jax.random.key(1), (20_000,), jnp.dtype(dtype))
    assert array.dtype == dtype
    found = np.asarray(array, np.float64)
    if expected.std() == 0:
        assert np.array_equal(found, expected)
        return
    if "a" in case.kwargs:
        low, high = (np.asarray(case.kwargs.get(end, 1), jnp.dtype(dtype)) for end in "ab")
        assert low <= found.min() < found.max() <= high
    if dtype != "bfloat16":  # rounding makes ties, which the test does not allow for
        assert two_sample_p_value(found, expected) > tol.INIT_P_VALUE


def test_orthogonal_matrices_are_equally_likely():
    """Archimedes: the height of a random point on a sphere is uniform."""
    keys = jax.random.split(jax.random.key(5), 5000)
    matrices = jax.vmap(lambda key: ja.init.orthogonal()(key, (3, 3)))(keys)
    for entry in ((0, 0), (2, 1)):
        sample = np.asarray(matrices[(slice(None), *entry)])
        assert ks_p_value(sample, lambda x: (x + 1) / 2) > tol.INIT_P_VALUE
    reflections = np.linalg.det(np.asarray(matrices)) < 0
    assert binomial_p_value(reflections.sum(), len(keys), 0.5) > tol.INIT_P_VALUE


def test_sparse_zeros_are_equally_likely():
    outputs, inputs = 8, 5000
    kernel = np.asarray(ja.init.sparse(0.7, std=0.5)(jax.random.key(3), (inputs, outputs))).T
    assert ((kernel == 0).sum(0) == 6).all()
    for row in kernel:
        assert binomial_p_value((row == 0).sum(), inputs, 6 / 8) > tol.INIT_P_VALUE
    sample = kernel[kernel != 0]
    assert ks_p_value(sample, lambda x: np.asarray(norm.cdf(x / 0.5))) > tol.INIT_P_VALUE


def binomial_p_value(count, n, probability):
    """Return the p-value of a count (two sides, by the normal distribution)."""
    deviation = (count - n * probability) / math.sqrt(n * probability * (1 - probability))
    return math.erfc(abs(deviation) / math.sqrt(2))


# --- bits ---------------------------------------------------------------------------------------


packages = pytest.mark.parametrize("package", ["jaxaccel", "torch_ref"])
layouts = pytest.mark.parametrize("layout", ["flax", "torch"])


def generator(package, seed):
    """Return a generator of the package's own kind."""
    return (ja.random.manual_seed if package == "jaxaccel" else torch.Generator().manual_seed)(seed)


def draw(package, case, key, shape, dtype, layout):
    """Draw an array with a row's initializer; return it in PyTorch's layout."""
    function = lookup(package, case.function)
    dtype = jnp.dtype(dtype) if package == "jaxaccel" else TORCH[dtype]
    takes_layout = "layout" in inspect.signature(function).parameters
    init = function(**case.kwargs, **({"layout": layout} if takes_layout else {}))
    if layout == "torch":
        return init(key, shape, dtype)
    array = init(key, flax_shape(shape), dtype)
    if package == "torch_ref" and array.ndim > 1:
        return array.permute(-1, -2, *range(array.ndim - 2))
    return _layout.to_torch(array)


def bits(array):
    """Return the bytes of an array or a tensor, by row."""
    if isinstance(array, torch.Tensor):
        return array.contiguous().view(torch.uint8).numpy()
    return np.ascontiguousarray(array).view(np.uint8)


def assert_same_state(key):
    """Assert that a generator has drawn as much as PyTorch's default one."""
    assert np.array_equal(np.asarray(key.get_state()), torch.get_rng_state().numpy())


def assert_pytorchs_bits(package, case, dtype, layout, seeds):
    """Draw one shape after the other, so that a cached normal goes from one to the next."""
    shapes = [case.options["shape"]] if "shape" in case.options else SMALL_SHAPES
    if case in WEIGHTS:
        shapes = [shape for shape in shapes if len(shape) > 1]
    for seed in seeds:
        torch.manual_seed(seed)
        key = generator(package, seed)
        for shape in shapes:
            expected = oracle_of(case)(torch.empty(shape, dtype=TORCH[dtype]), **case.kwargs)
            found = draw(package, case, key, shape, dtype, layout)
            assert np.array_equal(bits(found), bits(expected)), (seed, shape)
        assert_same_state(key)


drawn = pytest.mark.parametrize("case", [*WEIGHTS, *FILLS, *SPARSE], ids=lambda case: case.id)
tails = pytest.mark.filterwarnings("ignore:mean is more than 2 std:UserWarning")


@pytest.mark.parity
@tails
@layouts
@drawn
def test_generator_draws_pytorchs_bits(case, layout):
    assert_pytorchs_bits("jaxaccel", case, "float32", layout, SEEDS)


@tails
@pytest.mark.parametrize("dtype", ["float64", "bfloat16", "float16"])
@drawn
def test_generator_draws_pytorchs_bits_in_every_precision(case, dtype):
    assert_pytorchs_bits("jaxaccel", case, dtype, "flax", SEEDS[-2:])


@tails
@drawn
def test_torch_ref_draws_pytorchs_bits(case):
    for layout in ("flax", "torch"):
        assert_pytorchs_bits("torch_ref", case, "float32", layout, SEEDS[-2:])


@tails
@pytest.mark.parametrize("case", [*WEIGHTS, *FILLS], ids=lambda case: case.id)
def test_generator_draws_pytorchs_bits_of_large_arrays(case):
    key = ja.random.manual_seed(11)
    torch.manual_seed(11)
    for shape in SHAPES:
        expected = oracle_of(case)(torch.empty(shape), **case.kwargs)
        found = draw("jaxaccel", case, key, shape, "float32", "flax")
        assert np.array_equal(bits(found), bits(expected)), shape
    assert_same_state(key)


@packages
@layouts
@pytest.mark.parametrize("case", LAYER_DEFAULTS, ids=lambda case: case.id)
def test_layer_defaults_have_pytorchs_bits(case, layout, package):
    """The weight, then the bias, as a layer draws them."""
    for seed in SEEDS[-4:]:
        torch.manual_seed(seed)
        layer = oracle_of(case)(*case.options["layer"])
        weight, bias = (
            case._replace(function=f"init.default_{name}", kwargs=kwargs)
            for name, kwargs in (
                ("weight", {}),
                ("bias", {"fan_in": _layout.fans(layer.weight.shape, "torch")[0]}),
            )
        )
        key = generator(package, seed)
        found = {
            "weight": draw(package, weight, key, layer.weight.shape, "float32", layout),
            "bias": draw(package, bias, key, layer.bias.shape, "float32", layout),
        }
        parameter = case.options["parameter"]
        expected = getattr(layer, parameter).detach()
        assert np.array_equal(bits(found[parameter]), bits(expected))
        assert_same_state(key)


@pytest.mark.parity
@packages
@pytest.mark.parametrize("case", CONSTANTS, ids=lambda case: case.id)
def test_constants_equal_pytorch(case, package):
    for layout, dtype in (("flax", "float32"), ("torch", "bfloat16")):
        assert_constant(package, case, dtype, layout)


def assert_constant(package, case, dtype, layout):
    shape = case.options.get("shape", (3, 5))
    expected = oracle_of(case)(torch.empty(shape, dtype=TORCH[dtype]), **case.kwargs)
    found = draw(package, case, None, shape, dtype, layout)
    assert tuple(found.shape) == shape
    assert np.array_equal(bits(found), bits(expected))


@pytest.mark.parity
@packages
@pytest.mark.parametrize(("dtype", "layout"), [("float32", "flax"), ("float64", "torch")])
@pytest.mark.parametrize("case", ORTHOGONAL, ids=lambda case: case.id)
def test_orthogonal_is_pytorchs_but_for_rounding(case, dtype, layout, package):
    """PyTorch's own bits depend on its threads; the draws and the signs do not."""
    shape = case.options["shape"]
    for seed in SEEDS if package == "jaxaccel" else SEEDS[-2:]:
        torch.manual_seed(seed)
        key = generator(package, seed)
        expected = oracle_of(case)(torch.zeros(shape, dtype=TORCH[dtype]), **case.kwargs)
        array = draw(package, case, key, shape, dtype, layout)
        assert_same_state(key)
        gain = case.kwargs.get("gain", 1)
        found, expected = (np.asarray(a, np.float64) / gain for a in (array, expected))
        assert found.shape == shape
        assert np.max(np.abs(found - expected), initial=0) <= tol.INIT_ORTHOGONAL
        matrix = found.reshape(shape[0], -1 if found.size else 0)
        gram = matrix @ matrix.T if matrix.shape[0] < matrix.shape[1] else matrix.T @ matrix
        identity = np.eye(len(gram)) if found.size else gram
        assert np.max(np.abs(gram - identity), initial=0) <= tol.INIT_ORTHOGONAL


def test_orthogonal_half_precision_is_a_rounded_float32():
    """PyTorch has none."""
    for key in (jax.random.key(0), ja.random.manual_seed(0)):
        low, wide = (
            ja.init.orthogonal()(copy.deepcopy(key), (6, 4), dtype)
            for dtype in (jnp.bfloat16, jnp.float32)
        )
        assert low.dtype == jnp.bfloat16
        assert np.array_equal(low, wide.astype(jnp.bfloat16))


DRAWN = [
    ja.init.uniform(),
    ja.init.normal(),
    ja.init.trunc_normal(),
    ja.init.kaiming_uniform(),
    ja.init.orthogonal(),
    ja.init.sparse(0.5),
]


def test_generator_under_a_trace_raises_and_has_not_moved():
    key = ja.random.manual_seed(0)
    before = key.get_state()
    for init in DRAWN:
        with pytest.raises(RuntimeError, match="trace"):
            jax.jit(lambda init=init: init(key, (4, 3), jnp.float32))()
    assert np.array_equal(key.get_state(), before)


NOT_KEYS = [0, np.uint32(3), jnp.ones(2), nnx.Rngs(0), torch.Generator(), None]


@pytest.mark.parametrize("key", NOT_KEYS, ids=lambda key: type(key).__name__)
def test_a_seed_or_an_rngs_is_refused_by_every_initializer_that_draws(key):
    more = [ja.init.kaiming_normal(), ja.init.xavier_uniform(), ja.init.xavier_normal()]
    for init in [*DRAWN, *more, ja.init.default_weight(), ja.init.default_bias(3)]:
        with pytest.raises(TypeError, match=r"with a JAX key or .*jax\.random\.key\(seed\)"):
            init(key, (4, 3), jnp.float32)


def test_keys_draw_the_same_under_jit_and_vmap():
    keys = jax.random.split(jax.random.key(0), 3)
    for init in DRAWN[2::2]:
        one_by_one = np.stack([init(key, (4, 3), jnp.float32) for key in keys])
        mapped = jax.jit(jax.vmap(lambda key, init=init: init(key, (4, 3), jnp.float32)))(keys)
        assert np.max(np.abs(mapped - one_by_one)) <= tol.INIT_ORTHOGONAL


def test_bad_arguments_leave_a_generator_as_it_was():
    key = ja.random.manual_seed(0)
    before = key.get_state()
    for case in [*BAD, *BAD_SHAPES]:
        if not case.function.endswith("calculate_gain"):
            with pytest.raises(ValueError):
                lookup("jaxaccel", case.function)(**case.kwargs)(
                    key, flax_shape(case.options.get("shape", (3, 5)))
                )
    assert np.array_equal(key.get_state(), before)


def test_only_jaxaccel_refuses():
    """PyTorch divides by zero, or takes them for something else."""
    for factory, kwargs, text in (
        (ja.init.sparse, {"sparsity": 1.5}, "sparsity must be in"),
        (ja.init.sparse, {"sparsity": -0.5}, "sparsity must be in"),
        (ja.init.trunc_normal, {"std": 0.0}, "std > 0"),
        (ja.init.trunc_normal, {"std": -1.0}, "std > 0"),
        (ja.init.dirac, {"groups": 0}, "groups must be at least 1"),
    ):
        with pytest.raises(ValueError, match=text):
            factory(**kwargs)


@pytest.mark.parametrize("case", [c for c in FILLS if "warns" in c.options], ids=lambda c: c.id)
def test_far_tails_warn_as_in_pytorch(case):
    with pytest.warns(UserWarning, match="more than 2 std") as expected:
        oracle_of(case)(torch.empty(4, 3), **case.kwargs)
    for key in (jax.random.key(0), ja.random.manual_seed(0)):
        with pytest.warns(UserWarning, match="more than 2 std") as found:
            lookup("jaxaccel", case.function)(**case.kwargs)(key, (3, 4), jnp.float32)
        assert [str(w.message) for w in found] == [str(w.message) for w in expected]


@pytest.mark.quick
@pytest.mark.parametrize("case", GAINS, ids=lambda case: case.id)
def test_gain_equals_pytorch(case):
    assert lookup("jaxaccel", case.function)(**case.kwargs) == oracle_of(case)(**case.kwargs)


@pytest.mark.parametrize("case", [*BAD, *BAD_SHAPES], ids=lambda case: case.id)
def test_errors_have_pytorchs_text(case):
    function = lookup("jaxaccel", case.function)
    gain = case.function.endswith("calculate_gain")

    def call(judge):
        if gain:
            return (oracle_of(case) if judge else function)(**case.kwargs)
        shape = case.options.get("shape", (3, 5))
        if judge:
            return oracle_of(case)(torch.empty(shape), **case.kwargs)
        return function(**case.kwargs)(jax.random.key(0), flax_shape(shape))

    with pytest.raises((ValueError, RuntimeError)) as expected:
        call(judge=True)
    with pytest.raises(ValueError) as found:
        call(judge=False)
    assert str(found.value) == str(expected.value)


def test_hyperparameters_are_checked_before_a_key_is_seen():
    for case in BAD:
        if "gain" not in case.kwargs:
            with pytest.raises(ValueError):
                lookup("jaxaccel", case.function)(**case.kwargs)


def test_shapes_without_fans_raise_pytorchs_text():
    with pytest.raises(ValueError) as expected:
        torch.nn.init.kaiming_uniform_(torch.empty(3))
    for init in (ja.init.kaiming_uniform(), ja.init.xavier_normal(), ja.init.default_weight()):
        with pytest.raises(ValueError) as found:
            init(jax.random.key(0), (3,))
        assert str(found.value) == str(expected.value)


def test_empty_kernels_warn_as_in_pytorch():
    for init, fill in (
        (ja.init.kaiming_uniform(), torch.nn.init.kaiming_uniform_),
        (ja.init.kaiming_normal(), torch.nn.init.kaiming_normal_),
    ):
        with pytest.warns(UserWarning, match="no-op") as expected:
            fill(torch.empty(0, 3))
        with pytest.warns(UserWarning, match="no-op") as found:
            assert init(jax.random.key(0), (3, 0)).shape == (3, 0)
        assert str(found[0].message) == str(expected[0].message)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert ja.init.xavier_uniform()(jax.random.key(0), (3, 0)).shape == (3, 0)
        assert not ja.init.default_bias(0)(jax.random.key(0), (4,)).any()


def test_negative_fan_in_and_unknown_layout_raise():
    with pytest.raises(ValueError, match="Invalid fan_in value: -1"):
        ja.init.default_bias(-1)
    for factory in (
        ja.init.kaiming_uniform,
        ja.init.kaiming_normal,
        ja.init.xavier_uniform,
        ja.init.xavier_normal,
        ja.init.default_weight,
        ja.init.uniform,
        ja.init.normal,
        ja.init.trunc_normal,
        ja.init.dirac,
        ja.init.orthogonal,
        functools.partial(ja.init.sparse, 0.5),
    ):
        with pytest.raises(ValueError, match="layout must be"):
            factory(layout="keras")


def test_default_dtype_is_jaxs_and_raw_keys_work():
    init = ja.init.kaiming_normal()
    assert init(jax.random.key(0), (4, 3)).dtype == jnp.float64
    assert init(jax.random.PRNGKey(0), (4, 3), jnp.float16).dtype == jnp.float16
    traced = jax.jit(lambda key: init(key, (4, 3), jnp.float32))(jax.random.key(0))
    assert np.allclose(traced, init(jax.random.key(0), (4, 3), jnp.float32))


def test_rounding_never_reaches_the_open_end():
    """A bfloat16 draw rounds up to the bound in one case of 500; PyTorch then takes the other."""
    draw = _draw.uniform(jax.random.key(0), (100_000,), jnp.bfloat16, -1.0, 1.0)
    assert float(draw.max()) < 1.0
    assert float(draw.min()) == -1.0


def test_layouts_are_each_others_inverse():
    kernel = np.arange(2 * 3 * 4 * 5).reshape(2, 3, 4, 5)
    assert _layout.to_torch(kernel).shape == (5, 4, 2, 3)
    assert np.array_equal(_layout.to_flax(_layout.to_torch(kernel)), kernel)
    assert _layout.to_torch(kernel)[4, 3, 1, 2] == kernel[1, 2, 3, 4]
    assert np.array_equal(_layout.to_torch(jnp.asarray(kernel)), _layout.to_torch(kernel))
    vector = np.arange(3)
    assert _layout.to_torch(vector) is vector
    assert _layout.to_flax(vector) is vector
    for shape in SHAPES:
        expected = torch.nn.init._calculate_fan_in_and_fan_out(torch.empty(shape))
        assert _layout.fans(shape, "torch") == expected
        assert _layout.fans(flax_shape(shape), "flax") == expected
    assert _layout.output_axis("flax") == -1
    assert _layout.input_axis("flax") == -2
    assert (_layout.output_axis("torch"), _layout.input_axis("torch")) == (0, 1)
