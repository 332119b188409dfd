"""The transformer decoder and the whole transformer against ``torch.nn``: values, draws, errors."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import torch
from flax import nnx

import jaxaccel as ja
from parity_tests.harness.attention import assert_same_layer, assert_same_text, ours_of, theirs_of
from parity_tests.nn.rows_decoder import CASES

pytestmark = pytest.mark.filterwarnings(
    "ignore:Support for mismatched key_padding_mask and attn_mask:UserWarning",
    "ignore:enable_nested_tensor is True:UserWarning",
)


@pytest.mark.parity
@pytest.mark.parametrize("case", CASES, ids=lambda case: case.id)
def test_float64_layer_equals_pytorch(case):
    assert_same_layer(case, "float64")


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.id)
def test_a_seed_gives_pytorchs_weights(case):
    """All bits, and the state of the generator afterwards: a transformer draws twice."""
    torch.manual_seed(20)
    expected = theirs_of(case).state_dict()
    ours, generator = ours_of(case, seed=20)
    found = ja.nn.state_dict(ours)
    assert list(found) == list(expected)
    for name, tensor in expected.items():
        assert np.array_equal(found[name].view(np.uint32), tensor.numpy().view(np.uint32)), name
    assert np.array_equal(generator.get_state(), torch.get_rng_state().numpy())


def test_an_encoder_and_a_decoder_of_ones_own():
    """Their weights are drawn again too, as in PyTorch."""

    def make(module, **rngs):
        encoder = module.TransformerEncoder(module.TransformerEncoderLayer(8, 2, 12, **rngs), 1)
        decoder = module.TransformerDecoder(module.TransformerDecoderLayer(8, 2, 12, **rngs), 1)
        return module.Transformer(8, 2, custom_encoder=encoder, custom_decoder=decoder, **rngs)

    torch.manual_seed(3)
    expected = make(torch.nn).state_dict()
    found = ja.nn.state_dict(make(ja.nn, rngs=ja.random.manual_seed(3)))
    assert list(found) == list(expected)
    assert all(np.array_equal(found[name], tensor.numpy()) for name, tensor in expected.items())


def test_square_subsequent_mask():
    for size in (1, 3):
        expected = torch.nn.Transformer.generate_square_subsequent_mask(size)
        found = ja.nn.Transformer.generate_square_subsequent_mask(size)
        assert found.dtype == jnp.float32
        assert np.array_equal(found, expected.numpy())
    assert ja.nn.Transformer.generate_square_subsequent_mask(2, jnp.bfloat16).dtype == jnp.bfloat16


def test_dropout_of_every_branch():
    """With probability 1 nothing is left but the residuals, which the norms see."""
    layer = ja.nn.TransformerDecoderLayer(
        8, 2, 12, 1.0, norm_first=True, rngs=nnx.Rngs(0, dropout=1)
    )
    drawn = np.random.default_rng(0).normal(size=(2, 4, 2, 8))
    tgt, memory = (jnp.asarray(x, jnp.float32) for x in drawn)
    assert np.array_equal(layer(tgt, memory), tgt)
    layer.eval()
    assert not np.array_equal(layer(tgt, memory), tgt)
    decoder = ja.nn.TransformerDecoder(
        ja.nn.TransformerDecoderLayer(8, 2, 12, 0.5, rngs=nnx.Rngs(0)), 2
    )
    first, second = decoder.layers
    x = jnp.ones((50, 8), jnp.float32)
    masks = [np.asarray(each.dropout3(x)) for each in (first, second)]
    assert not np.array_equal(*masks)


class Torch:
    nn, rngs = torch.nn, {}
    ones = staticmethod(torch.ones)


class Ours:
    nn, rngs = ja.nn, {"rngs": nnx.Rngs(0)}

    @staticmethod
    def ones(*shape):
        return jnp.ones(shape, jnp.float32)


def call(side, source, target, **kwargs):
    model = side.nn.Transformer(8, 2, 1, 1, 12, **kwargs, **side.rngs)
    return jax.block_until_ready(model(side.ones(*source), side.ones(*target)))


@pytest.mark.parametrize(
    "shapes",
    [((4, 2, 8), (4, 3, 8)), ((4, 2, 7), (4, 2, 8)), ((4, 2, 8), (4, 2, 9))],
)
def test_errors_have_pytorchs_text(shapes):
    assert_same_text(lambda side: call(side, *shapes), Ours, Torch)


def test_activations_are_refused_before_anything_is_drawn():
    generator = ja.random.manual_seed(5)
    before = generator.get_state()
    for make in (ja.nn.TransformerDecoderLayer, ja.nn.Transformer):
        with pytest.raises(ValueError, match="activation should be relu/gelu, not elu"):
            make(8, 2, activation="elu", rngs=generator)
    assert np.array_equal(before, generator.get_state())
