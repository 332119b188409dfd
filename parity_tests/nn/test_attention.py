"""Attention and the transformer encoder against ``torch.nn``: values, gradients, draws, dropout."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import torch
from flax import nnx

import jaxaccel as ja
from parity_tests import tolerances as tol
from parity_tests.harness.attention import (
    arguments,
    assert_same_layer,
    assert_same_text,
    inputs_of,
    layers,
    only_outputs,
    ours_of,
    theirs_of,
)
from parity_tests.harness.compare import assert_close
from parity_tests.nn.rows_attention import ATTENTION, LAYER, LAYERS

FLOAT32_ROWS = ("defaults", "causal", "mask float of heads padding", "bias kv masks", "gelu")
SEEDS = (0, 1, 20, -3, 2**40 + 7, 2**64 - 1)


def rows(cases):
    return pytest.mark.parametrize("case", cases, ids=lambda case: case.id)


# --- values and gradients -----------------------------------------------------------------------


MISMATCHED = "ignore:Support for mismatched key_padding_mask and attn_mask:UserWarning"


@pytest.mark.parity
@pytest.mark.filterwarnings(MISMATCHED)
@rows(LAYERS)
def test_float64_layer_equals_pytorch(case):
    assert_same_layer(case, "float64")


@pytest.mark.filterwarnings(MISMATCHED)
@rows([case for case in (*ATTENTION, *LAYER) if case.why in FLOAT32_ROWS])
def test_float32_layer_equals_pytorch(case):
    assert_same_layer(case, "float32")


# --- draws, names, dtypes -----------------------------------------------------------------------


DRAWN = [
    case
    for case in LAYERS
    if case.why in ("defaults", "no bias", "norm", "kdim vdim", "one layer", "vdim no bias")
    or case.why in ("bias kv", "bias kv wide")
]


@rows(DRAWN)
def test_a_seed_gives_pytorchs_weights(case):
    """All bits, and the state of the generator afterwards."""
    for seed in SEEDS:
        torch.manual_seed(seed)
        expected = theirs_of(case).state_dict()
        ours, generator = ours_of(case, seed=seed)
        found = ja.nn.state_dict(ours)
        assert list(found) == list(expected)
        for name, tensor in expected.items():
            judge = tensor.numpy()
            assert found[name].dtype == judge.dtype == np.float32
            assert np.array_equal(found[name].view(np.uint32), judge.view(np.uint32)), name
        assert np.array_equal(generator.get_state(), torch.get_rng_state().numpy())


@rows(DRAWN)
def test_state_dict_goes_both_ways(case):
    ours, theirs = ours_of(case)[0], theirs_of(case)
    state = {name: tensor.numpy() for name, tensor in theirs.state_dict().items()}
    assert ja.nn.load_state_dict(ours, state) == ([], [])
    back = ja.nn.state_dict(ours)
    assert list(back) == list(state)
    assert all(np.array_equal(back[name], array) for name, array in state.items())
    theirs.load_state_dict({name: torch.from_numpy(array) for name, array in back.items()})


def test_a_jax_key_draws_pytorchs_distributions():
    """Xavier for the packed weights and bias_k, zeros for the biases."""
    layer = ja.nn.MultiheadAttention(256, 4, add_bias_kv=True, rngs=nnx.Rngs(0))
    state = ja.nn.state_dict(layer)
    weight = state["in_proj_weight"] * np.sqrt((256 + 768) / 6)
    assert 0.99 < weight.max() <= 1.0
    assert -1.0 <= weight.min() < -0.99
    out = state["out_proj.weight"] * np.sqrt(256)
    assert 0.99 < out.max() <= 1.0
    for name in ("bias_k", "bias_v"):
        assert state[name].shape == (1, 1, 256)
        assert abs(state[name].std() * np.sqrt(256) - 1) < 4 / np.sqrt(2 * 256)
    assert not np.array_equal(state["bias_k"], state["bias_v"])
    assert not state["in_proj_bias"].any()
    assert not state["out_proj.bias"].any()


@rows([case for case in (*ATTENTION, *LAYER) if case.why in ("defaults", "no dropout", "mask")])
def test_bfloat16_is_as_near_as_pytorchs(case):
    """The error of a run in bfloat16, against float64, over that of PyTorch's own."""
    squares = np.zeros(2)
    ours, theirs = layers(case, jnp.bfloat16)
    low = theirs_of(case)
    low.load_state_dict(theirs.state_dict())
    low = low.bfloat16()
    if case.options.get("mode") == "eval":
        low.eval()
    for seed in range(5):
        x = np.random.default_rng(seed).normal(size=case.options["shapes"][0]).astype(jnp.bfloat16)
        arrays, masks = arguments(case, [x]), {}
        if "masks" in case.options and len(case.options["shapes"]) == 1:
            masks = inputs_of(case, jnp.bfloat16)[1]
        tensors = arguments(case, [torch.tensor(x.astype(np.float64))])
        of_torch = {k: torch.tensor(m) for k, m in masks.items()}
        judge = only_outputs(theirs(*tensors, **of_torch))[0].detach().numpy()
        own = only_outputs(low(*(t.bfloat16() for t in tensors), **of_torch))[0]
        found = only_outputs(
            ours(*map(jnp.asarray, arrays), **{k: jnp.asarray(m) for k, m in masks.items()})
        )[0]
        assert found.dtype == jnp.bfloat16
        for i, value in enumerate((np.asarray(found, np.float64), own.detach().double().numpy())):
            squares[i] += np.sum((value - judge) ** 2)
    assert squares[0] <= tol.OWN_ERROR_RATIO**2 * squares[1]


# --- dropout ------------------------------------------------------------------------------------


@pytest.mark.parametrize("need_weights", [True, False])
def test_dropout_of_the_layer(need_weights):
    """Weights are zeroed or doubled, before the output is formed; evaluation changes nothing."""
    layer = ja.nn.MultiheadAttention(8, 2, 0.5, dtype=float, rngs=ja.random.manual_seed(0))
    layer.dropout.set_view(rngs=nnx.Rngs(0))
    x = jnp.asarray(np.random.default_rng(1).normal(size=(30, 4, 8)))
    run = nnx.jit(lambda layer, x: layer(x, x, x, None, need_weights, None, False))
    call = functools.partial(run, layer, x)
    first, weights = call()
    second, _ = call()
    assert not np.array_equal(first, second)
    layer.eval()
    plain, of_eval = call()
    assert np.array_equal(plain, call()[0])
    assert not np.array_equal(plain, first)
    if need_weights:
        kept = np.asarray(weights) != 0
        assert_close(weights[kept], 2 * of_eval[kept], tol.LAYER_FLOAT64_OF_MAX)
        assert abs(kept.mean() - 0.5) <= 4 * np.sqrt(0.25 / kept.size)
        theirs = torch.nn.MultiheadAttention(8, 2).double()
        theirs.load_state_dict({k: torch.tensor(v) for k, v in ja.nn.state_dict(layer).items()})
        packed = torch.tensor(np.asarray(x)) @ theirs.in_proj_weight[16:].T
        values = packed.reshape(30, 4, 2, 4).permute(1, 2, 0, 3)
        mixed = torch.tensor(np.asarray(weights)) @ values
        expected = theirs.out_proj(mixed.permute(2, 0, 1, 3).reshape(30, 4, 8))
        assert_close(first, expected.detach(), tol.LAYER_FLOAT64_OF_MAX)
    else:
        assert weights is of_eval is None


def test_a_drawn_layer_needs_a_stream_in_training():
    layer = ja.nn.MultiheadAttention(8, 2, 0.5, rngs=ja.random.manual_seed(0))
    x = jnp.ones((4, 2, 8), jnp.float32)
    run = nnx.jit(lambda layer, x: layer(x, x, x)[0])
    with pytest.raises(ValueError, match="needs rngs"):
        run(layer, x)
    with_streams = nnx.view(layer, rngs=nnx.Rngs(0))
    assert not np.array_equal(run(with_streams, x), run(with_streams, x))


@pytest.mark.parametrize("norm_first", [False, True])
def test_dropouts_of_the_encoder_layer_are_where_pytorchs_are(norm_first):
    """Each is replaced by a factor of its own, on both sides."""

    class Times(torch.nn.Module):
        def __init__(self, factor):
            super().__init__()
            self.factor = factor

        def forward(self, x):
            return x * self.factor

    arguments = {"d_model": 8, "nhead": 2, "dim_feedforward": 12, "norm_first": norm_first}
    arguments["activation"] = "gelu"  # a factor passes through a ReLU
    ours = ja.nn.TransformerEncoderLayer(**arguments, dtype=float, rngs=ja.random.manual_seed(0))
    theirs = torch.nn.TransformerEncoderLayer(**arguments).double()
    theirs.load_state_dict({k: torch.tensor(v) for k, v in ja.nn.state_dict(ours).items()})
    ours.self_attn.dropout.p = theirs.self_attn.dropout = 0.0
    for name, factor in (("dropout", 2.0), ("dropout1", 3.0), ("dropout2", 5.0)):
        setattr(ours, name, functools.partial(jnp.multiply, factor))
        setattr(theirs, name, Times(factor))
    x = np.random.default_rng(0).normal(size=(4, 2, 8))
    expected = theirs(torch.tensor(x)).detach()
    assert_close(ours(jnp.asarray(x)), expected, tol.LAYER_FLOAT64_OF_MAX)


def test_layers_of_a_stack_draw_masks_of_their_own():
    layer = ja.nn.TransformerEncoderLayer(8, 2, 12, 0.5, rngs=ja.random.manual_seed(0))
    layer = nnx.view(layer, rngs=nnx.Rngs(0))
    before = layer.dropout.rngs.key[...]
    encoder = ja.nn.TransformerEncoder(layer, 2)
    streams = [s for _, s in nnx.iter_graph(encoder) if isinstance(s, nnx.RngStream)]
    keys = {tuple(jax.random.key_data(stream.key[...]).tolist()) for stream in streams}
    assert len(streams) == len(keys) == 2 * 4
    assert jax.random.key_data(layer.dropout.rngs.key[...]).tolist() == (
        jax.random.key_data(before).tolist()
    )
    masks = [own.dropout1(jnp.ones((16,))) for own in encoder.layers]
    assert not np.array_equal(*masks)
    encoder.eval()
    assert all(own.self_attn.dropout.deterministic for own in encoder.layers)


def test_a_stack_copies_its_layer():
    """Weights are equal, and not shared: neither with the layer nor among the copies."""
    layer = ja.nn.TransformerEncoderLayer(8, 2, 12, rngs=ja.random.manual_seed(0))
    encoder = ja.nn.TransformerEncoder(layer, 2)
    encoder.layers[0].linear1.bias[...] = jnp.full((12,), 7, jnp.float32)
    assert not (encoder.layers[1].linear1.bias[...] == 7).any()
    assert np.array_equal(encoder.layers[1].linear1.bias[...], layer.linear1.bias[...])


class Squared(nnx.Module):
    """An activation with a parameter."""

    torch_transposed = ()

    def __init__(self):
        self.weight = nnx.Param(jnp.ones((1,), jnp.float32))

    def __call__(self, x):
        return self.weight[...].reshape((1,) * x.ndim) * x * x


def test_activation_may_be_a_function_or_a_module():
    """A module's arrays come last in the state, as PyTorch registers it last."""
    x = np.random.default_rng(0).normal(size=(4, 2, 8)).astype(np.float32)
    theirs = torch.nn.TransformerEncoderLayer(8, 2, 12, 0.0, activation=torch.square).double()
    for activation in (jnp.square, Squared()):
        ours = ja.nn.TransformerEncoderLayer(
            8, 2, 12, 0.0, activation, rngs=ja.random.manual_seed(0)
        )
        state = ja.nn.state_dict(ours)
        weight = state.pop("activation.weight", None)
        assert (weight is None) == (activation is jnp.square)
        theirs.load_state_dict({k: torch.tensor(v).double() for k, v in state.items()})
        expected = theirs(torch.tensor(x).double()).detach()
        assert_close(ours(jnp.asarray(x)), expected, tol.LAYER_FLOAT32_OF_MAX)
    assert list(ja.nn.state_dict(ours))[-1] == "activation.weight"


# --- errors -------------------------------------------------------------------------------------


class Torch:
    nn = torch.nn

    @staticmethod
    def ones(*shape, dtype="float32"):
        return torch.ones(shape, dtype=getattr(torch, dtype))

    @staticmethod
    def rngs():
        return {}


class Ours:
    nn = ja.nn

    @staticmethod
    def ones(*shape, dtype="float32"):
        return jnp.ones(shape, dtype)

    @staticmethod
    def rngs():
        return {"rngs": ja.random.manual_seed(0)}


def attention(side, *shapes, kwargs=None, dtype="float32", call=None, **masks):
    """Call an attention layer on arrays of these shapes; a mask is a shape and a dtype."""
    layer = side.nn.MultiheadAttention(8, 2, **(kwargs or {}), **side.rngs())
    arrays = [side.ones(*shape, dtype=dtype) for shape in shapes]
    arrays = arrays * 3 if len(arrays) == 1 else arrays
    masks = {name: side.ones(*shape, dtype=dtype) for name, (shape, dtype) in masks.items()}
    return layer(*arrays, **masks, **(call or {}))


X = (4, 2, 8)
ERRORS = {
    "embed dim": lambda s: s.nn.MultiheadAttention(0, 2, **s.rngs()),
    "num heads": lambda s: s.nn.MultiheadAttention(8, -1, **s.rngs()),
    "heads do not divide": lambda s: s.nn.MultiheadAttention(8, 3, **s.rngs()),
    "activation": lambda s: s.nn.TransformerEncoderLayer(8, 2, activation="elu", **s.rngs()),
    "query of one axis": lambda s: attention(s, (8,)),
    "key without batch": lambda s: attention(s, X, X, (4, 8)),
    "value with batch": lambda s: attention(s, (4, 8), (4, 8), X),
    "padding of one axis": lambda s: attention(s, X, key_padding_mask=((4,), "bool")),
    "padding of two axes": lambda s: attention(s, (4, 8), key_padding_mask=((1, 4), "bool")),
    "padding of another batch": lambda s: attention(s, X, key_padding_mask=((3, 4), "bool")),
    "padding of another length": lambda s: attention(s, X, key_padding_mask=((2, 3), "bool")),
    "padding of integers": lambda s: attention(s, X, key_padding_mask=((2, 4), "int32")),
    "mask of one axis": lambda s: attention(s, X, attn_mask=((4,), "bool")),
    "mask of one axis no batch": lambda s: attention(s, (4, 8), attn_mask=((4,), "bool")),
    "mask of another length": lambda s: attention(s, X, attn_mask=((4, 3), "bool")),
    "mask of other heads": lambda s: attention(s, X, attn_mask=((3, 4, 4), "bool")),
    "mask of other heads no batch": lambda s: attention(s, (4, 8), attn_mask=((3, 4, 4), "bool")),
    "mask of integers": lambda s: attention(s, X, attn_mask=((4, 4), "int32")),
    "embedding": lambda s: attention(s, (4, 2, 7)),
    "key and value": lambda s: attention(s, X, X, (3, 2, 8)),
}  # fmt: skip
SAME_BEGINNING = {
    "causal without mask": (lambda s: attention(s, X, call={"is_causal": True}), 46),
}
"""And how many letters are PyTorch's."""


@pytest.mark.parametrize("why", ERRORS)
def test_errors_have_pytorchs_text(why):
    assert_same_text(ERRORS[why], Ours, Torch)


@pytest.mark.parametrize("why", SAME_BEGINNING)
def test_errors_begin_with_pytorchs_text(why):
    call, length = SAME_BEGINNING[why]
    assert_same_text(call, Ours, Torch, length)


@pytest.mark.parametrize(
    ("call", "text"),
    [
        (
            lambda s: attention(s, (4, 2, 8), (4, 3, 8), (4, 3, 8)),
            "differ in the size of the batch",
        ),
        (lambda s: attention(s, X, kwargs={"kdim": 5, "vdim": 3}), "key dimension of 5, but got"),
        (lambda s: attention(s, X, X, X, kwargs={"vdim": 3}), "value dimension of 3, but got"),
        (lambda s: attention(s, X, dtype="float64"), "same dtype, but got: float64 != float32"),
        (lambda s: attention(s, X, kwargs={"dropout": 1.5}), "between 0 and 1, but got 1.5"),
    ],
)
def test_errors_that_pytorch_words_otherwise(call, text):
    """PyTorch raises too, in the words of a matrix product, or lets a negative dropout pass."""
    with pytest.raises((ValueError, TypeError), match=text):
        call(Ours)


def test_a_bad_argument_draws_nothing():
    generator = ja.random.manual_seed(5)
    before = generator.get_state()
    for kwargs in ({"dropout": 2.0}, {"activation": "elu"}, {"nhead": 3}):
        with pytest.raises(ValueError):
            ja.nn.TransformerEncoderLayer(**{"d_model": 8, "nhead": 2, **kwargs}, rngs=generator)
    assert np.array_equal(before, generator.get_state())
