"""Arrays of any kind come into a model as PyTorch takes them, all of them or none."""

import collections

import jax
import jax.numpy as jnp
import ml_dtypes
import numpy as np
import pytest
import torch
from flax import nnx

import jaxaccel as ja

pytestmark = pytest.mark.usefixtures("no_draws")


def linear(**options):
    return ja.nn.Linear(2, 2, rngs=nnx.Rngs(0), **options)


SMALL = np.array([[0.5, -2.0], [1.5, 0.25]])
FLOATS = ["float64", "float16", "bfloat16", "float8_e4m3fn", "float8_e5m2", "int8", "bool"]

KINDS = {
    **{dtype: torch.tensor(SMALL).to(getattr(torch, dtype)) for dtype in FLOATS},
    "with gradient": torch.nn.Parameter(torch.tensor(SMALL)),
    "of a graph": torch.nn.Parameter(torch.tensor(SMALL)) * 1,
    "negated view": torch.complex(torch.tensor(SMALL), torch.tensor(SMALL)).conj().imag,
    "transposed view": torch.tensor(SMALL.T.copy()).T,
    "NumPy": SMALL,
    "NumPy bfloat16": SMALL.astype(ml_dtypes.bfloat16),
    "JAX": jnp.asarray(SMALL),
    "JAX bfloat16": jnp.asarray(SMALL, jnp.bfloat16),
    "list": SMALL.tolist(),
}


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_of_array_comes_in(kind):
    value, layer = KINDS[kind], linear(bias=False)
    ja.nn.load_state_dict(layer, {"weight": value})
    expected = torch.nn.Linear(2, 2, bias=False)
    as_tensor = value if isinstance(value, torch.Tensor) else torch.tensor(np.float64(value))
    expected.load_state_dict({"weight": as_tensor})
    assert np.array_equal(ja.nn.state_dict(layer)["weight"], expected.weight.detach().numpy())


def test_a_placed_array_and_a_rounded_one_come_in():
    mesh = jax.make_mesh((2,), ("data",), axis_types=(jax.sharding.AxisType.Auto,))
    spec = jax.sharding.NamedSharding(mesh, jax.sharding.PartitionSpec("data"))
    layer = linear()
    state = {"weight": jax.device_put(jnp.asarray(SMALL), spec), "bias": np.array([0.1, 1e-300])}
    ja.nn.load_state_dict(layer, state)
    assert np.array_equal(layer.weight[...], SMALL.T)
    assert layer.bias[...].tolist() == [np.float32(0.1), 0.0]


class OfNumpy(nnx.Module):
    """A user's own layer, whose parameter is an array of NumPy."""

    torch_transposed = ()

    def __init__(self, array):
        self.scale = nnx.Param(array)


def test_a_parameter_of_numpy_comes_in_and_stays_numpys():
    """And neither array of the caller's is written to, or shared."""
    own, value = np.ones(3), np.array([1.0, 2.0, 3.0])
    own.setflags(write=False)
    layer = OfNumpy(own)
    ja.nn.load_state_dict(layer, {"scale": value})
    value[:] = 0
    assert own.tolist() == [1.0, 1.0, 1.0]
    found = ja.nn.state_dict(layer)["scale"]
    assert (found.tolist(), found.dtype) == ([1.0, 2.0, 3.0], np.float64)


class Everything(nnx.Module):
    """Floats, an integer and a bool."""

    torch_transposed = ()

    def __init__(self):
        self.first = linear()
        self.norm = ja.nn.BatchNorm1d(2)
        self.mask = nnx.Variable(jnp.zeros(2, bool))


def whole():
    return {name: np.ones_like(array) for name, array in ja.nn.state_dict(Everything()).items()}


def donated():
    array = jnp.ones(2)
    array.delete()
    return array


WRONG = {
    "text": ("norm.bias", np.array(["a", "b"]), ["must be an array of numbers", "<U1"]),
    "a word": ("norm.bias", "ones", ["must be an array of numbers", "str"]),
    "objects": ("norm.bias", np.array([None, 1.0]), ["object", "np.asarray(value, float)"]),
    "rows of different length": ("norm.bias", [[1.0], [1.0, 2.0]], ["array of numbers"]),
    "forgotten bfloat16": ("norm.bias", np.zeros(2, "V2"), ["|V2", "view(jnp.bfloat16)"]),
    "complex": ("norm.bias", np.ones(2, complex), ["complex128", "real part"]),
    "out of range": ("norm.bias", np.array([1.0, 1e300]), ["1e+300", "range of float32"]),
    "a count out of range": ("norm.num_batches_tracked", 2**70, ["array of numbers"]),
    "a fraction": ("norm.num_batches_tracked", 3.7, ["3.7", "not an integer"]),
    "no number": ("norm.num_batches_tracked", np.nan, ["nan", "not an integer"]),
    "a bool of 2": ("mask", np.array([1, 2]), ["2", "range of bool"]),
    "meta": ("mask", torch.ones(2, device="meta"), ["meta"]),
    "sparse": ("mask", torch.ones(2).to_sparse(), ["tensor.to_dense()"]),
    "donated": ("mask", donated(), ["donated"]),
    "keys": ("mask", jax.random.split(jax.random.key(0)), ["random stream"]),
    "shape": ("mask", np.zeros(3, bool), ["size mismatch for mask", "(3,)", "(2,)"]),
}


@pytest.mark.parametrize("wrong", WRONG)
def test_what_does_not_fit_is_refused_by_name_and_nothing_is_loaded(wrong):
    name, value, fragments = WRONG[wrong]
    model = Everything()
    before = ja.nn.state_dict(model)
    with pytest.raises(ValueError, match=r"Error\(s\) in loading state_dict for Everything") as e:
        ja.nn.load_state_dict(model, {**whole(), name: value})
    for fragment in (name, *fragments):
        assert fragment in str(e.value), str(e.value)
    after = ja.nn.state_dict(model)
    assert all(np.array_equal(before[name], after[name]) for name in before)


def test_integers_are_checked_where_64_bits_are_missing():
    with jax.enable_x64(False):
        norm = ja.nn.BatchNorm1d(2)
        state = ja.nn.state_dict(norm)
        for count in (2**40, torch.tensor(2**40), 2.0**31):
            with pytest.raises(ValueError, match=r"num_batches_tracked.*range of int32"):
                ja.nn.load_state_dict(norm, {**state, "num_batches_tracked": count})
        ja.nn.load_state_dict(norm, {**state, "num_batches_tracked": 2**31 - 1})
        assert norm.num_batches_tracked[...] == 2**31 - 1


# --- names --------------------------------------------------------------------------------------


@pytest.mark.parametrize("before", ["module.", "_orig_mod.", "module._orig_mod."])
def test_the_names_of_wrappers(before):
    layer, theirs = linear(), torch.nn.Linear(2, 2)
    state = {before + name: tensor for name, tensor in theirs.state_dict().items()}
    with pytest.raises(ValueError, match=rf"pass prefix='{before}'"):
        ja.nn.load_state_dict(layer, state)
    ja.nn.load_state_dict(layer, state, prefix=before)
    found = ja.nn.state_dict(layer, prefix=before)
    assert list(found) == list(state)
    assert all(np.array_equal(found[name], state[name].numpy()) for name in found)
    with pytest.raises(ValueError, match=rf'Missing key.*"{before}bias".*\n.*Unexpected.*"bias"'):
        ja.nn.load_state_dict(layer, {"bias": 0, before + "weight": SMALL}, prefix=before)


def test_a_wrapper_inside_is_suggested_too():
    model = Everything()
    state = {name.replace("norm.", "norm._orig_mod."): array for name, array in whole().items()}
    with pytest.raises(ValueError, match=r'name.replace\("_orig_mod.", ""\)'):
        ja.nn.load_state_dict(model, state)


def test_buffers_without_a_place_are_passed_over_by_name():
    layer = linear()
    state = {"weight": SMALL, "bias": [1.0, 2.0], "rotary.inv_freq": [1.0], "mask": "anything"}
    with pytest.raises(ValueError, match=r'Unexpected key.*"rotary.inv_freq", "mask"'):
        ja.nn.load_state_dict(layer, state)
    with pytest.raises(ValueError, match=r'Unexpected key\(s\) in state_dict: "mask"'):
        ja.nn.load_state_dict(layer, state, ignore=r"inv_freq$")
    assert ja.nn.load_state_dict(layer, state, ignore=["inv_freq$", "mask", "bias"]) == ([], [])
    assert layer.bias[...].tolist() == [1.0, 2.0]  # the model's own names are loaded all the same
    del state["bias"]
    with pytest.raises(ValueError, match="Missing"):
        ja.nn.load_state_dict(layer, state, ignore=["inv_freq", "mask", "bias"])
    with pytest.raises(ValueError, match=r"ignore must be regular expressions, got '\('"):
        ja.nn.load_state_dict(layer, state, ignore="(")


def test_no_num_batches_tracked_as_pytorch_takes_it():
    ours, theirs = Everything(), torch.nn.Module()
    theirs.norm = torch.nn.BatchNorm1d(2)
    ours.norm.num_batches_tracked[...] = jnp.full((), 5)
    state = {name: array for name, array in whole().items() if "tracked" not in name}
    ja.nn.load_state_dict(ours, state)
    assert ours.norm.num_batches_tracked[...] == 5
    # A state dict of the present version says so, and must have it.
    new = theirs.state_dict()
    del new["norm.num_batches_tracked"]
    with pytest.raises(RuntimeError, match="num_batches_tracked"):
        theirs.load_state_dict(new)
    full = collections.OrderedDict(state)
    full._metadata = new._metadata
    with pytest.raises(ValueError, match=r'Missing key.*"norm.num_batches_tracked"'):
        ja.nn.load_state_dict(ours, full)


@pytest.mark.filterwarnings("ignore:.*weight_norm. is deprecated:FutureWarning")
def test_older_names_of_weight_and_spectral_norm():
    older = torch.nn.utils.weight_norm(torch.nn.Linear(3, 2))
    newer = torch.nn.utils.parametrizations.weight_norm(torch.nn.Linear(3, 2))
    model = nnx.List([ja.nn.weight_norm(ja.nn.Linear(3, 2, rngs=nnx.Rngs(0)))])
    ja.nn.load_state_dict(model, {f"0.{k}": v for k, v in older.state_dict().items()})
    newer.load_state_dict(older.state_dict())
    for name, tensor in newer.state_dict().items():
        assert np.array_equal(ja.nn.state_dict(model)[f"0.{name}"], tensor.numpy()), name
    with pytest.raises(ValueError, match=r'Missing.*original0.*\n.*Unexpected.*"0.weight_g"'):
        ja.nn.load_state_dict(model, {"0.weight_g": [[1.0]] * 2, "0.bias": [0.0, 0.0]})
    spectral = torch.nn.utils.spectral_norm(torch.nn.Linear(3, 2))
    inputs = torch.ones(1, 3)
    expected = spectral.train()(inputs) * 0 + spectral.eval()(inputs)
    layer = ja.nn.spectral_norm(ja.nn.Linear(3, 2, rngs=nnx.Rngs(0)), rngs=nnx.Rngs(1))
    ja.nn.load_state_dict(layer, spectral.state_dict())
    layer.eval()
    found = layer(jnp.ones((1, 3), jnp.float32))
    assert np.allclose(found, expected.detach().numpy(), rtol=1e-6)


def test_a_number_with_an_axis_for_one_without():
    model, theirs = Everything(), torch.nn.BatchNorm1d(2)
    for shape in ((1,), (2,), (1, 1)):
        counts = torch.ones(shape, dtype=torch.long)
        state = {**whole(), "norm.num_batches_tracked": counts}
        own = {**theirs.state_dict(), "num_batches_tracked": counts}
        if shape == (1,):
            theirs.load_state_dict(own)
            ja.nn.load_state_dict(model, state)
            continue
        with pytest.raises(RuntimeError, match="size mismatch"):
            theirs.load_state_dict(own)
        with pytest.raises(ValueError, match="size mismatch"):
            ja.nn.load_state_dict(model, state)


def test_tied_arrays_come_under_one_name_or_both():
    model = nnx.Dict(a=ja.nn.Embedding(3, 2, rngs=nnx.Rngs(0)))
    model["b"] = nnx.Dict(weight=model["a"].weight)
    assert list(ja.nn.state_dict(model)) == ["a.weight", "b.weight"]
    for name, other in (("a.weight", "b.weight"), ("b.weight", "a.weight")):
        value = np.random.default_rng(0).normal(size=(3, 2)).astype(np.float32)
        assert ja.nn.load_state_dict(model, {name: value}) == ([], [])
        assert np.array_equal(ja.nn.state_dict(model)[other], value)
    with pytest.raises(ValueError, match=r'Missing key.*"a.weight", "b.weight"'):
        ja.nn.load_state_dict(model, {})
