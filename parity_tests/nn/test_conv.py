"""Convolutions of one and three axes and transposed ones, against ``torch.nn``."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import torch
from flax import nnx

import jaxaccel as ja
from parity_tests import tolerances as tol
from parity_tests.harness.layer import (
    assert_close,
    assert_same_layer,
    assert_same_state_dict,
    both_layers,
    channels_first,
    channels_last,
    own_layer,
)
from parity_tests.harness.optimizer import lookup, oracle_of
from parity_tests.harness.seeded import assert_built_alike
from parity_tests.nn.rows_conv import BAD, BAD_INPUTS, CASES, OUTPUT_SIZES, TRANSPOSED

EVEN_SAME = "ignore:Using padding='same' with even kernel:UserWarning"


@pytest.mark.parity
@pytest.mark.usefixtures("no_draws")
@pytest.mark.filterwarnings(EVEN_SAME)
@pytest.mark.parametrize("case", CASES, ids=lambda case: case.id)
def test_float64_layer_equals_pytorch(case):
    assert_same_layer(case, "float64")


@pytest.mark.usefixtures("no_draws")
@pytest.mark.parametrize("case", CASES, ids=lambda case: case.id)
def test_state_dict_is_pytorchs(case):
    assert_same_state_dict(case)


@pytest.mark.usefixtures("no_draws")
@pytest.mark.parametrize("case", OUTPUT_SIZES, ids=lambda case: case.id)
def test_output_size(case):
    """Named by its spatial sizes, or the whole of it; in place of ``output_padding``."""
    ours, theirs = both_layers(case)
    x = np.random.default_rng(0).normal(size=case.options["shape"])
    wanted = case.options["output_size"]
    expected = theirs(torch.tensor(x), wanted).detach()
    whole = channels_last(np.empty(tuple(expected.shape)), case).shape
    x = jnp.asarray(channels_last(x, case))
    for size in (wanted, whole):
        found = channels_first(ours(x, output_size=size), case)
        assert_close(found, expected, tol.LAYER_FLOAT64_OF_MAX)


@pytest.mark.usefixtures("no_draws")
@pytest.mark.parametrize("shape", [(2, 4, 5), (4, 5)])
@pytest.mark.parametrize("size", [(16,), (20,), (1, 2, 3, 17)])
def test_output_sizes_out_of_reach_have_pytorchs_text(size, shape):
    layer = ja.nn.ConvTranspose1d(4, 6, 5, 3, rngs=nnx.Rngs(0))
    with pytest.raises(ValueError) as expected:
        torch.nn.ConvTranspose1d(4, 6, 5, 3)(torch.ones(shape), size)
    with pytest.raises(ValueError) as found:
        layer(jnp.ones((*shape[:-2], 5, 4), jnp.float32), size)
    # PyTorch takes the sizes of an input without a batch axis from its first axis on.
    text = str(expected.value).replace("torch.Size([])", "torch.Size([5])")
    text = text.replace(f"{size}", f"{list(size)}").replace("torch.Size([5])", "[5]")
    assert str(found.value) == text


# --- draws --------------------------------------------------------------------------------------


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.id)
def test_layer_of_a_seed_is_pytorchs(case):
    assert_built_alike(
        lookup("jaxaccel", case.function), oracle_of(case), case.kwargs, "float32", 2**32 + 5
    )


@pytest.mark.parametrize("dtype", ["float64", "bfloat16", "float16"])
def test_transposed_layer_of_a_seed_in_other_dtypes(dtype):
    case = next(c for c in TRANSPOSED if c.id == "ConvTranspose2d-all-together")
    assert_built_alike(ja.nn.ConvTranspose2d, oracle_of(case), case.kwargs, dtype, 42)


# --- dtypes -------------------------------------------------------------------------------------


@pytest.mark.usefixtures("no_draws")
@pytest.mark.parametrize("case", [c for c in CASES if c.why == "defaults"], ids=lambda c: c.id)
def test_default_dtype_is_float32(case):
    leaves = jax.tree.leaves(nnx.state(own_layer(case), nnx.Param))
    assert all(leaf.dtype == jnp.float32 for leaf in leaves)


# --- errors -------------------------------------------------------------------------------------


def call_pytorchs(case):
    """In float64, where no other library computes, whose texts say little."""
    layer = oracle_of(case)(**case.kwargs, dtype=torch.float64)
    return layer(torch.ones(case.options["shape"], dtype=torch.float64))


@pytest.mark.usefixtures("no_draws")
@pytest.mark.filterwarnings("ignore:Initializing zero-element tensors:UserWarning")
@pytest.mark.parametrize("case", BAD, ids=lambda case: case.id)
def test_constructor_errors_have_pytorchs_text(case):
    with pytest.raises((ValueError, RuntimeError)) as expected:
        call_pytorchs(case)
    with pytest.raises(ValueError) as found:
        lookup("jaxaccel", case.function)(**case.kwargs, rngs=nnx.Rngs(0))
    assert str(found.value) == str(expected.value)


@pytest.mark.usefixtures("no_draws")
@pytest.mark.parametrize("case", BAD_INPUTS, ids=lambda case: case.id)
def test_input_errors_have_pytorchs_text(case):
    x, text = np.ones(case.options["shape"], np.float32), case.options["text"]
    with pytest.raises((RuntimeError, ValueError), match=text):
        call_pytorchs(case)
    layer = lookup("jaxaccel", case.function)(**case.kwargs, rngs=nnx.Rngs(0))
    moved = channels_last(x, case) if x.ndim > case.options["spatial"] else x
    with pytest.raises(ValueError, match=text):
        layer(jnp.asarray(moved))


@pytest.mark.usefixtures("no_draws")
@pytest.mark.parametrize("axes", [1, 2, 3])
def test_transposed_padding_is_never_a_word(axes):
    """PyTorch says so when the layer is called."""
    name, text = f"ConvTranspose{axes}d", "must be tuple of ints, but found element of type str"
    with pytest.raises(TypeError, match=text):
        getattr(torch.nn, name)(4, 6, 3, padding="same")(torch.ones(1, 4, *[5] * axes))
    with pytest.raises(TypeError, match=text):
        getattr(ja.nn, name)(4, 6, 3, padding="same", rngs=nnx.Rngs(0))
