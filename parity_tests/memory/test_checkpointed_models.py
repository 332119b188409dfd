"""Models with ``checkpoint=`` and ``scan_layers=``: the same numbers, a third of the memory."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

import jaxaccel as ja
from parity_tests import tolerances as tol
from parity_tests.harness.compare import assert_close
from parity_tests.harness.compiled import FAST_COMPILE
from parity_tests.harness.figures import read

checkpoint = ja.memory.checkpoint
GPT = ja.models.GPTConfig(vocab_size=11, block_size=6, n_layer=3, n_head=2, n_embd=8, dropout=0.2)
IMAGES = np.random.default_rng(0).normal(size=(4, 8, 8, 2))
TOKENS = np.random.default_rng(1).integers(0, 11, (3, 6))
RNGS = functools.partial(nnx.Rngs, params=0, dropout=1)
OPTIONS = [
    {"checkpoint": checkpoint},
    {"checkpoint": functools.partial(checkpoint, names=["linear"])},
    {"scan_layers": True},
    {"scan_layers": True, "checkpoint": checkpoint},
]
MODELS = {
    "gpt": (functools.partial(ja.models.gpt, GPT), TOKENS, OPTIONS),
    "vit_tiny": (
        functools.partial(ja.models.vit_tiny, 5, 2, 8, 4, 8, 3, 2),
        IMAGES,
        OPTIONS,
    ),
    "resnet10": (functools.partial(ja.models.resnet10, 5, 2, 2), IMAGES, OPTIONS[:1]),
}


def a_step(make, inputs, **options):
    """Return the loss, and under PyTorch's names the gradients and the buffers of a step."""
    model = make(dtype=jnp.float64, rngs=RNGS(), **options)
    initial = ja.nn.state_dict(model)
    apply, params, state = ja.training.split_model(model)

    def loss_of(params):
        outputs, new_state = apply(params, state, inputs, training=True)
        return jnp.sum(outputs**2), new_state

    step = jax.jit(jax.value_and_grad(loss_of, has_aux=True), compiler_options=FAST_COMPILE)
    (loss, state), found = step(params)
    ja.training.merge(model, found, state)
    return loss, ja.nn.state_dict(model), initial


@pytest.mark.parametrize("name", MODELS)
def test_a_step_is_that_of_the_plain_model(name):
    """Initial weights and names, loss, gradients and statistics, masks among them."""
    make, inputs, ways = MODELS[name]
    loss, expected, initial = a_step(make, inputs)
    for options in ways:
        found_loss, found, found_initial = a_step(make, inputs, **options)
        assert list(found) == list(expected)
        for key, value in expected.items():
            assert np.array_equal(found_initial[key], initial[key]), key
            if "scan_layers" not in options:  # to the bit
                assert np.array_equal(found[key], value), (options, key)
            assert_close(found[key], value, tol.MODEL_FLOAT64_OF_MAX, what=key, floor=1e-14)
        assert_close(found_loss, loss, tol.MODEL_FLOAT64_OF_MAX)


def test_deep_resnets_take_it():
    """Traced only: one checkpoint a block."""
    for name, blocks in {"resnet10": 4, "resnet18": 8, "resnet50": 16}.items():
        make = getattr(ja.models, name)
        found = nnx.eval_shape(lambda make=make: make(width=2, checkpoint=checkpoint, rngs=RNGS()))
        graph, state = nnx.split(found)
        program = jax.make_jaxpr(lambda s, x, g=graph: nnx.merge(g, s, copy=True)(x))(
            state, jax.ShapeDtypeStruct((2, 32, 32, 3), jnp.float32)
        )
        assert sum(e.primitive.name == "remat2" for e in program.eqns) == blocks, name


def test_weights_are_a_generators_and_masks_a_streams():
    """Stacked after they are drawn, in PyTorch's order."""
    plain, stacked = (
        ja.models.gpt(GPT, rngs=ja.random.manual_seed(3), scan_layers=scan)
        for scan in (False, True)
    )
    expected = ja.nn.state_dict(plain)
    for name, value in ja.nn.state_dict(stacked).items():
        assert np.array_equal(value, expected[name]), name
    assert stacked.transformer.h[2].attn.c_attn.weight.shape == (8, 24)


MOST_MEMORY, MOST_WORK = 1 / 3, 1.4


@pytest.mark.long
def test_twelve_layers_need_a_third_of_the_memory_at_most():
    """By the compilers' own figures, of loss and gradients; what is offloaded is on the host."""
    found = read("checkpoints")
    for compiler, programs in found.items():
        plain, ours = programs["plain"], programs["checkpoint"]
        assert ours["temporary_bytes"] <= MOST_MEMORY * plain["temporary_bytes"], compiler
        assert plain["flops"] < ours["flops"] <= MOST_WORK * plain["flops"], compiler
    if "tpu" in found:
        assert found["tpu"]["offloaded"]["host_bytes"] == 4 * 2**20
