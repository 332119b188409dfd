"""Initializers against ``torch.nn.init``: the numbers exactly, the samples in distribution."""

import math
import warnings

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import torch
from jax.scipy.stats import norm
from torch.utils._python_dispatch import TorchDispatchMode

import jaxaccel as ja
from jaxaccel import _layout
from jaxaccel.init import _draw
from parity_tests import tolerances as tol
from parity_tests.cases.init import BAD, GAINS, LAYER_DEFAULTS, WEIGHTS
from parity_tests.harness import lookup, oracle_of
from torch_ref import _layout as ref_layout

SHAPES = [(120, 170), (30, 40, 3, 5), (100, 30, 7)]
"""Kernels in PyTorch's layout, 20,000 elements or so."""

weights = pytest.mark.parametrize("case", WEIGHTS, ids=lambda case: case.id)


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


@pytest.mark.parametrize("layout", ["flax", "torch"])
@pytest.mark.parametrize("case", [*WEIGHTS, *LAYER_DEFAULTS], ids=lambda case: case.id)
def test_bounds_equal_pytorch(case, layout, monkeypatch):
    """The limits of the uniform or the deviation of the normal, before anything is random."""
    draws = []

    def record(name):
        def draw(key, shape, dtype, first, second):
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
    scaled = (math.sqrt(n) + 0.12 + 0.11 / math.sqrt(n)) * distance
    terms = [(-1) ** (k - 1) * math.exp(-2 * k * k * scaled * scaled) for k in range(1, 101)]
    return min(1.0, 2 * sum(terms))


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


@pytest.mark.parametrize("case", [*WEIGHTS, *LAYER_DEFAULTS], ids=lambda case: case.id)
def test_torch_ref_draws_pytorchs_bits(case):
    """With the same generator state the mirror fills the same tensor, in PyTorch's layout."""
    for shape in [case.options["shape"]] if "shape" in case.options else SHAPES:
        kwargs = dict(case.kwargs) | ({"layout": "torch"} if len(shape) > 1 else {})
        if "layer" in case.options:
            torch.manual_seed(3)
            layer = oracle_of(case)(*case.options["layer"])
            expected = getattr(layer, case.options["parameter"]).detach()
            torch.manual_seed(3)
            if case.options["parameter"] == "bias":
                torch.empty_like(layer.weight).uniform_()
        else:
            torch.manual_seed(3)
            expected = oracle_of(case)(torch.empty(shape), **case.kwargs)
            torch.manual_seed(3)
        found = lookup("torch_ref", case.function)(**kwargs)(None, shape)
        assert torch.equal(found, expected)


@pytest.mark.parametrize("package", ["jaxaccel", "torch_ref"])
@pytest.mark.parametrize("case", GAINS, ids=lambda case: case.id)
def test_gain_equals_pytorch(case, package):
    assert lookup(package, case.function)(**case.kwargs) == oracle_of(case)(**case.kwargs)


@pytest.mark.parametrize("package", ["jaxaccel", "torch_ref"])
@pytest.mark.parametrize("case", BAD, ids=lambda case: case.id)
def test_errors_have_pytorchs_text(case, package):
    function = lookup(package, case.function)
    gain = case.function.endswith("calculate_gain")

    def call(judge):
        if gain:
            return (oracle_of(case) if judge else function)(**case.kwargs)
        if judge:
            return oracle_of(case)(torch.empty(3, 5), **case.kwargs)
        key = jax.random.key(0) if package == "jaxaccel" else None
        return function(**case.kwargs)(key, (5, 3))

    with pytest.raises((ValueError, RuntimeError)) as expected:
        call(judge=True)
    with pytest.raises(ValueError if package == "jaxaccel" else type(expected.value)) as found:
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
    for factory in (ja.init.kaiming_uniform, ja.init.xavier_normal, ja.init.default_weight):
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
    assert np.array_equal(ref_layout.to_torch(torch.tensor(kernel)), _layout.to_torch(kernel))
    assert np.array_equal(ref_layout.to_flax(torch.tensor(kernel)), _layout.to_flax(kernel))
    vector = np.arange(3)
    assert _layout.to_torch(vector) is vector
    assert _layout.to_flax(vector) is vector
    for shape in SHAPES:
        expected = torch.nn.init._calculate_fan_in_and_fan_out(torch.empty(shape))
        for module in (_layout, ref_layout):
            assert module.fans(shape, "torch") == expected
            assert module.fans(flax_shape(shape), "flax") == expected
    assert _layout.output_axis("flax") == -1
    assert _layout.input_axis("flax") == -2
    assert (_layout.output_axis("torch"), _layout.input_axis("torch")) == (0, 1)
