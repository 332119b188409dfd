"""RNN, LSTM and GRU against ``torch.nn``: draws, values, gradients, lengths, errors."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import torch
from flax import nnx
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence

import jaxaccel as ja
from parity_tests import tolerances as tol
from parity_tests.harness.compare import assert_close
from parity_tests.harness.compilations import count_compilations
from parity_tests.harness.compiled import FAST_COMPILE
from parity_tests.harness.optimizer import lookup, oracle_of
from parity_tests.nn.rows_recurrent import BAD, BAD_INPUTS, CASES, RECURRENT

OF_MAX = {"float64": tol.LAYER_FLOAT64_OF_MAX, "float32": tol.LAYER_FLOAT32_OF_MAX}
SEEDS = [0, 42, -3, 2**32 + 7, 2**63]
KINDS = ["RNN", "LSTM", "GRU"]

pytestmark = pytest.mark.filterwarnings("ignore:LSTM with projections is not supported:UserWarning")


def layers(case, dtype="float64"):
    """Return jaxaccel's layer and PyTorch's in float64, with the same weights of ``dtype``."""
    ours = lookup("jaxaccel", case.function)(
        **case.kwargs, dtype=jnp.dtype(dtype), rngs=nnx.Rngs(0)
    )
    theirs = oracle_of(case)(**case.kwargs).double()
    rng = np.random.default_rng(0)
    state = {key: rng.uniform(-1, 1, t.shape) for key, t in theirs.state_dict().items()}
    ja.nn.load_state_dict(ours, {key: value.astype(dtype) for key, value in state.items()})
    theirs.load_state_dict({k: torch.tensor(v) for k, v in ja.nn.state_dict(ours).items()})
    if case.options.get("mode") == "eval":
        ours.eval(), theirs.eval()
    return ours, theirs


def assert_same_gradients(found, theirs, of_max):
    """Assert that gradients by parameter are PyTorch's, each in its own layout."""
    parameters = dict(theirs.named_parameters())
    assert found.keys() == parameters.keys()
    for name, parameter in parameters.items():
        gradient = np.asarray(found[name][...])
        gradient = gradient.T if name.startswith("weight_") else gradient
        assert_close(gradient, parameter.grad, of_max, 1.0)


# --- construction -------------------------------------------------------------------------------


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.id)
def test_layers_from_a_seed_have_pytorchs_bits(case):
    """All weights, in PyTorch's order of registration, and the generator afterwards."""
    for seed in SEEDS:
        torch.manual_seed(seed)
        expected = oracle_of(case)(**case.kwargs).state_dict()
        generator = ja.random.manual_seed(seed)
        layer = lookup("jaxaccel", case.function)(**case.kwargs, rngs=generator)
        found = ja.nn.state_dict(layer)
        assert list(found) == list(expected)
        for name, tensor in expected.items():
            assert found[name].dtype == np.float32
            assert np.array_equal(found[name].view(np.int32), tensor.view(torch.int32).numpy())
        assert np.array_equal(generator.get_state(), torch.get_rng_state().numpy())


@pytest.mark.parametrize("dtype", ["float64", "bfloat16"])
def test_other_dtypes_from_a_seed_have_pytorchs_bits(dtype):
    wide = {"float64": torch.int64, "bfloat16": torch.int16}[dtype]
    torch.manual_seed(3)
    theirs = torch.nn.LSTM(5, 4, 2, dtype=getattr(torch, dtype))
    ours = ja.nn.LSTM(5, 4, 2, dtype=jnp.dtype(dtype), rngs=ja.random.manual_seed(3))
    for key, value in ja.nn.state_dict(ours).items():
        bits = theirs.state_dict()[key].view(wide).numpy()
        assert np.array_equal(value.view(bits.dtype), bits)


class Tagger(nnx.Module):
    def __init__(self, rngs):
        self.embedding = ja.nn.Embedding(50, 8, padding_idx=0, rngs=rngs)
        self.lstm = ja.nn.LSTM(8, 16, 2, bidirectional=True, rngs=rngs)
        self.head = ja.nn.Linear(32, 5, rngs=rngs)

    def __call__(self, ids):
        return self.head(self.lstm(self.embedding(ids))[0])


class TorchTagger(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.embedding = torch.nn.Embedding(50, 8, padding_idx=0)
        self.lstm = torch.nn.LSTM(8, 16, 2, bidirectional=True)
        self.head = torch.nn.Linear(32, 5)

    def forward(self, ids):
        return self.head(self.lstm(self.embedding(ids))[0])


@pytest.mark.parametrize("seed", SEEDS)
def test_a_model_from_a_seed_has_pytorchs_bits(seed):
    torch.manual_seed(seed)
    theirs, ours = TorchTagger(), Tagger(ja.random.manual_seed(seed))
    found = ja.nn.state_dict(ours)
    assert list(found) == list(theirs.state_dict())
    for name, tensor in theirs.state_dict().items():
        assert np.array_equal(found[name].view(np.int32), tensor.view(torch.int32).numpy())
    if seed == 0:
        ids = np.random.default_rng(0).integers(0, 50, (7, 3))
        expected = theirs.double()(torch.tensor(ids)).detach()
        assert_close(nnx.jit(Tagger.__call__)(ours, ids), expected, tol.LAYER_FLOAT32_OF_MAX)


def test_jax_keys_draw_pytorchs_distribution():
    """The bound is 1 / sqrt(hidden_size) throughout, and no two arrays are alike."""
    layer = ja.nn.LSTM(40, 36, 2, proj_size=30, rngs=nnx.Rngs(0))
    arrays = list(ja.nn.state_dict(layer).values())
    for array in arrays:
        assert 0.85 < array.max() * 6 <= 1.0
        assert -1.0 <= array.min() * 6 < -0.85
    assert len({array.ravel()[:9].tobytes() for array in arrays}) == len(arrays)
    table = np.asarray(ja.nn.Embedding(400, 50, padding_idx=7, rngs=nnx.Rngs(0)).weight)
    assert not table[7].any()
    rest = np.delete(table, 7, 0)
    assert abs(rest.std() - 1) < tol.INIT_STD_RELATIVE
    assert abs(rest.mean()) < tol.INIT_STD_RELATIVE


@pytest.mark.usefixtures("no_draws")
@pytest.mark.parametrize("case", CASES, ids=lambda case: case.id)
def test_state_dicts_go_both_ways_unchanged(case):
    ours, theirs = layers(case, "float32")
    expected = theirs.state_dict()
    found = ja.nn.state_dict(ours)
    assert list(found) == list(expected)
    for name, tensor in expected.items():
        assert np.array_equal(found[name], tensor.float().numpy())


# --- recurrent layers ---------------------------------------------------------------------------


def states_of(case, rng, dtype):
    """Return initial states (h,) or (h, c), rounded to ``dtype``; None where there are none."""
    if "states" not in case.options:
        return None
    kwargs, shape = case.kwargs, case.options["shape"]
    count = kwargs.get("num_layers", 1) * (2 if kwargs.get("bidirectional") else 1)
    batch = (shape[0 if kwargs.get("batch_first") else 1],) if len(shape) == 3 else ()
    sizes = [kwargs.get("proj_size") or kwargs["hidden_size"], kwargs["hidden_size"]]
    sizes = sizes if case.function == "nn.LSTM" else sizes[:1]
    return [rng.normal(size=(count, *batch, size)).astype(dtype).astype(float) for size in sizes]


def hx_of(states, case):
    """Return the states as a layer's ``hx``."""
    if states is None:
        return None
    return tuple(states) if case.function == "nn.LSTM" else states[0]


def flat(result):
    """Return (output, h_n) or (output, h_n, c_n) of a layer's result."""
    output, states = result
    return (output, *states) if isinstance(states, tuple) else (output, states)


def call_torch(layer, case, x, states):
    """Return PyTorch's output and states; sequences with lengths are packed and padded."""
    hx = hx_of(states, case)
    if "lengths" not in case.options:
        return flat(layer(x, hx))
    first = case.kwargs.get("batch_first", False)
    packed = pack_padded_sequence(x, torch.tensor(case.options["lengths"]), first, False)
    output, states = layer(packed, hx)
    steps = x.shape[1 if first else 0]
    return flat((pad_packed_sequence(output, first, total_length=steps)[0], states))


def differentiate(layer, case, x, states, cotangents):
    """Return outputs and states, and the gradients of parameters, input and initial states."""
    graph, params, rest = nnx.split(layer, nnx.Param, ...)
    lengths = case.options.get("lengths")

    @functools.partial(jax.jit, compiler_options=FAST_COMPILE)
    def run(params, x, states, cotangents):
        def call(params, x, states):
            model = nnx.merge(graph, params, rest, copy=True)
            return flat(model(x, hx_of(states, case), lengths))

        results, pullback = jax.vjp(call, params, x, states)
        return results, pullback(cotangents)

    return run(params, x, states, cotangents)


def assert_same_layer(case, dtype):
    """Assert that a row's layer equals PyTorch's, in float64 the judge, in all that it returns."""
    ours, theirs = layers(case, dtype)
    rng = np.random.default_rng(1)

    def numbers(shape):
        return rng.normal(size=shape).astype(dtype).astype(np.float64)

    x, states = numbers(case.options["shape"]), states_of(case, rng, dtype)
    input = torch.tensor(x, requires_grad=True)
    initial = states and [torch.tensor(state, requires_grad=True) for state in states]
    expected = call_torch(theirs, case, input, initial)
    cotangents = [numbers(tuple(result.shape)) for result in expected]
    torch.autograd.backward(expected, [torch.tensor(c) for c in cotangents])

    x, states, cotangents = jax.tree.map(
        lambda array: jnp.asarray(array, dtype), (x, states, tuple(cotangents))
    )
    results, (gradients, input_gradient, state_gradients) = differentiate(
        ours, case, x, states, cotangents
    )
    of_max = OF_MAX[dtype]
    for found, value in zip(results, expected, strict=True):
        assert found.dtype == dtype
        assert_close(found, value.detach(), of_max)
    assert_close(input_gradient, input.grad, of_max, 1.0)
    for found, tensor in zip(state_gradients or (), initial or (), strict=True):
        assert_close(found, tensor.grad, of_max, 1.0)
    assert_same_gradients(gradients, theirs, of_max)


@pytest.mark.parity
@pytest.mark.usefixtures("no_draws")
@pytest.mark.parametrize("case", RECURRENT, ids=lambda case: case.id)
def test_float64_layer_equals_pytorch(case):
    assert_same_layer(case, "float64")


@pytest.mark.usefixtures("no_draws")
@pytest.mark.parametrize(
    "case",
    [case for case in RECURRENT if case.why in ("defaults", "lengths and states")],
    ids=lambda case: case.id,
)
def test_float32_layer_equals_pytorch(case):
    assert_same_layer(case, "float32")


@pytest.mark.usefixtures("no_draws")
@pytest.mark.parametrize("kind", KINDS)
def test_lengths_beyond_the_ends(kind):
    """None of the steps, where PyTorch raises, and more than there are, which are all."""
    model = getattr(ja.nn, kind)(5, 4, bidirectional=True, dtype=jnp.float64, rngs=nnx.Rngs(0))
    layer = functools.partial(nnx.jit(type(model).__call__), model)
    rng = np.random.default_rng(0)
    state = {k: rng.normal(size=v.shape) for k, v in ja.nn.state_dict(model).items()}
    ja.nn.load_state_dict(model, state)
    x, h = jnp.asarray(rng.normal(size=(6, 2, 5))), jnp.asarray(rng.normal(size=(2, 2, 4)))
    hx = (h, h) if kind == "LSTM" else h
    full_output, *full = flat(layer(x, hx))
    for lengths, whole in ((np.array([0, 99]), 1), (np.array([6, -1]), 0)):
        output, *states = flat(layer(x, hx, lengths))
        assert not output[:, 1 - whole].any()
        assert_close(output[:, whole], full_output[:, whole], tol.LAYER_FLOAT64_OF_MAX)
        for found, expected in zip(states, full, strict=True):
            assert np.array_equal(found[:, 1 - whole], h[:, 1 - whole])
            assert_close(found[:, whole], expected[:, whole], tol.LAYER_FLOAT64_OF_MAX)
    alone = model(x[:, 0], None, 4)[0]
    assert_close(alone[:4], model(x[:4, 0])[0], tol.LAYER_FLOAT64_OF_MAX)
    assert not alone[4:].any()


@pytest.mark.usefixtures("no_draws")
def test_lengths_of_few_bits():
    layer, x = ja.nn.RNN(1, 1, rngs=nnx.Rngs(0)), jnp.ones((300, 2, 1), jnp.float32)
    layer.bias_ih_l0[...] = jnp.ones(1, jnp.float32)
    output, _ = layer(x, lengths=np.array([100, 3], np.int8))
    assert (output != 0).sum(0).ravel().tolist() == [100, 3]


@pytest.mark.parametrize("mode", ["jit", "shard_map", "pmap"])
def test_sequences_spread_over_devices(mode):
    layer = ja.nn.LSTM(3, 4, batch_first=True, dtype=jnp.float64, rngs=ja.random.manual_seed(0))
    apply, params, state = ja.training.split_model(layer)

    @ja.training.gradients
    def gradients(params, state, x):
        (output, _), state = apply(params, state, x, training=True)
        return (output**2).mean(), (state, {})

    x = jnp.asarray(np.random.default_rng(0).normal(size=(8, 5, 3)))
    mesh = ja.parallel.make_mesh()
    found = ja.parallel.data_parallel(gradients, mesh, mode=mode)(params, state, x)
    alone = gradients(params, state, x)
    for ours, right in zip(*map(jax.tree.leaves, (found, alone)), strict=True):
        assert_close(ours, right, tol.DEVICES_FLOAT64_OF_MAX)


@pytest.mark.usefixtures("no_draws")
def test_a_second_call_compiles_nothing():
    layer, x = ja.nn.GRU(5, 4, 2, rngs=nnx.Rngs(0)), jnp.ones((6, 3, 5), jnp.float32)
    layer(x)
    assert count_compilations(lambda: layer(x)) == 0


@pytest.mark.usefixtures("no_draws")
@pytest.mark.parametrize("kind", KINDS)
def test_bfloat16_is_as_close_as_pytorchs_own(kind):
    """From bfloat16 come bfloat16 outputs and states, with at most PyTorch's own error."""
    ours = getattr(ja.nn, kind)(16, 32, 2, dtype=jnp.bfloat16, rngs=nnx.Rngs(0))
    rng = np.random.default_rng(0)
    state = {k: rng.uniform(-0.3, 0.3, v.shape) for k, v in ja.nn.state_dict(ours).items()}
    ja.nn.load_state_dict(ours, state)
    judge = getattr(torch.nn, kind)(16, 32, 2).double()
    judge.load_state_dict(
        {k: torch.tensor(v.astype(np.float64)) for k, v in ja.nn.state_dict(ours).items()}
    )
    x = jnp.asarray(rng.normal(size=(12, 20, 16)), jnp.bfloat16)
    given = torch.tensor(np.asarray(x, np.float64))
    with torch.no_grad():
        truth = flat(judge(given))
        own = flat(judge.to(torch.bfloat16)(given.to(torch.bfloat16)))

    def rms(results):
        errors = [
            np.asarray(r, np.float64) - t.numpy() for r, t in zip(results, truth, strict=True)
        ]
        return np.sqrt(np.mean(np.concatenate([e.ravel() for e in errors]) ** 2))

    found = flat(ours(x))
    assert all(value.dtype == jnp.bfloat16 for value in found)
    assert rms(found) <= tol.OWN_ERROR_RATIO * rms([value.double() for value in own])


# --- dropout ------------------------------------------------------------------------------------


def test_dropout_is_between_the_layers():
    """Two layers with a mask between them are one layer, the mask, and another layer."""
    both = ja.nn.LSTM(5, 4, 2, dropout=0.5, rngs=nnx.Rngs(3))
    state = ja.nn.state_dict(both)
    first, second = (ja.nn.LSTM(size, 4, rngs=nnx.Rngs(0)) for size in (5, 4))
    ja.nn.load_state_dict(first, {k: v for k, v in state.items() if k.endswith("_l0")})
    ja.nn.load_state_dict(
        second, {k.replace("_l1", "_l0"): v for k, v in state.items() if k.endswith("_l1")}
    )
    mask = nnx.clone(both.dropout)
    x = jnp.asarray(np.random.default_rng(0).normal(size=(6, 3, 5)), jnp.float32)
    found, expected = both(x)[0], second(mask(first(x)[0]))[0]
    assert np.array_equal(found, expected)
    assert not np.array_equal(both(x)[0], expected)  # the next mask
    both.eval()
    assert np.array_equal(both(x)[0], second(first(x)[0])[0])
    assert np.array_equal(nnx.view(both, deterministic=True)(x)[0], both(x)[0])


def test_dropout_needs_a_stream_only_where_it_draws():
    generator = ja.random.manual_seed(0)
    x = jnp.ones((2, 1, 3), jnp.float32)
    layer = ja.nn.GRU(3, 2, 2, dropout=0.5, rngs=generator)
    with pytest.raises(ValueError, match="needs rngs"):
        layer(x)
    nnx.view(layer, rngs=nnx.Rngs(0))(x)
    layer = ja.nn.GRU(3, 2, 2, rngs=nnx.Rngs(params=0))
    layer(x)
    assert not jax.tree.leaves(nnx.state(layer, nnx.RngState))


@pytest.mark.usefixtures("no_draws")
@pytest.mark.parametrize("kind", KINDS)
def test_dropout_of_one_layer_warns_as_in_pytorch(kind):
    with pytest.warns(UserWarning, match="dropout=0.25") as expected:
        getattr(torch.nn, kind)(3, 2, dropout=0.25)
    with pytest.warns(UserWarning, match="dropout=0.25") as found:
        getattr(ja.nn, kind)(3, 2, dropout=0.25, rngs=nnx.Rngs(0))
    assert str(found[0].message) == str(expected[0].message)


# --- errors -------------------------------------------------------------------------------------


@pytest.mark.usefixtures("no_draws")
@pytest.mark.parametrize("case", BAD, ids=lambda case: case.id)
def test_constructor_errors_have_pytorchs_text(case):
    with pytest.raises((ValueError, TypeError, AssertionError, RuntimeError)) as expected:
        oracle_of(case)(**case.kwargs)
    with pytest.raises((ValueError, TypeError)) as found:
        lookup("jaxaccel", case.function)(**case.kwargs, rngs=nnx.Rngs(0))
    assert str(found.value) == str(expected.value)
    assert isinstance(expected.value, TypeError) == isinstance(found.value, TypeError)


def test_constructor_errors_leave_the_generator_as_it_was():
    generator = ja.random.manual_seed(0)
    for case in BAD:
        with pytest.raises((ValueError, TypeError)):
            lookup("jaxaccel", case.function)(**case.kwargs, rngs=generator)
    assert np.array_equal(generator.get_state(), ja.random.manual_seed(0).get_state())


@pytest.mark.usefixtures("no_draws")
@pytest.mark.parametrize("case", BAD_INPUTS, ids=lambda case: case.id)
def test_input_errors_have_pytorchs_text(case):
    def call(layer, ones):
        states = case.options["states"] and ones(case.options["states"])
        hx = (states, states) if states is not None and case.function == "nn.LSTM" else states
        layer(ones(case.options["shape"]), hx)

    with pytest.raises(RuntimeError) as expected:
        call(oracle_of(case)(**case.kwargs), torch.ones)
    layer = lookup("jaxaccel", case.function)(**case.kwargs, rngs=nnx.Rngs(0))
    with pytest.raises(ValueError) as found:
        call(layer, lambda shape: jnp.ones(shape, jnp.float32))
    assert str(found.value) == str(expected.value)


@pytest.mark.usefixtures("no_draws")
@pytest.mark.parametrize("promotion", ["strict", "standard"])
@pytest.mark.parametrize("kind", KINDS)
def test_other_input_errors(kind, promotion):
    """PyTorch raises too, with a text of its own where an integer type or a remedy is named."""
    layer, theirs = getattr(ja.nn, kind)(5, 4, rngs=nnx.Rngs(0)), getattr(torch.nn, kind)(5, 4)
    x, h = jnp.ones((6, 3, 5), jnp.float32), jnp.ones((1, 3, 4), jnp.bfloat16)
    hx = (h, h) if kind == "LSTM" else h
    with jax.numpy_dtype_promotion(promotion):
        start = f"{kind}: Expected input to be 2D or 3D, got 4D"
        for build, ones in ((layer, jnp.ones), (theirs, torch.ones)):
            with pytest.raises(ValueError, match=start):
                build(ones((1, 6, 3, 5)))
        start = r"RNN input dtype \((torch\.)?bfloat16\) does not match weight dtype \((torch\.)?"
        with pytest.raises(ValueError, match=start + "float32"):
            layer(x.astype(jnp.bfloat16))
        with pytest.raises(ValueError, match=start + "float32"):
            theirs(torch.ones(6, 3, 5, dtype=torch.bfloat16))
        with pytest.raises(TypeError, match="same dtype, but got: float32 != bfloat16"):
            layer(x, hx)
        with pytest.raises(ValueError, match=r"expected shape \(3,\), got \(2,\)"):
            layer(x, lengths=jnp.array([1, 2]))
        with pytest.raises(TypeError, match="lengths must be integers, got float32"):
            layer(x, lengths=jnp.ones(3, jnp.float32))
        for wrong in (1.0, "x"):
            with pytest.raises(TypeError, match=f"{kind}: lengths must be integers.*{wrong!r}"):
                layer(x, lengths=wrong)
            with pytest.raises(TypeError, match=f"{kind}: hx must be a.*{wrong!r}"):
                layer(x, (wrong, wrong) if kind == "LSTM" else wrong)


@pytest.mark.usefixtures("no_draws")
def test_types_without_a_counterpart_in_pytorch():
    for name in ("RNN", "LSTM", "GRU"):
        with pytest.raises(TypeError, match="num_layers should be of type int, got: float"):
            getattr(ja.nn, name)(5, 4, 2.0, rngs=nnx.Rngs(0))
    lstm, x = ja.nn.LSTM(5, 4, rngs=nnx.Rngs(0)), jnp.ones((6, 1, 5), jnp.float32)
    for hx in (jnp.ones((1, 1, 4), jnp.float32), (jnp.ones((1, 1, 4), jnp.float32),)):
        with pytest.raises(TypeError, match=r"a pair \(h_0, c_0\)"):
            lstm(x, hx)
