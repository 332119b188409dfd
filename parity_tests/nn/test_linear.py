"""``Bilinear`` against ``torch.nn``: values, gradients, draws, errors."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import torch
from flax import nnx

from parity_tests.harness.layer import (
    OF_MAX,
    assert_close,
    assert_same_state_dict,
    both_layers,
    largest,
    own_layer,
)
from parity_tests.harness.seeded import assert_built_alike
from parity_tests.nn.rows_linear import BAD, CASES
from parity_tests.registry import lookup, oracle_of


@pytest.mark.parity
@pytest.mark.parametrize("case", CASES, ids=lambda case: case.id)
def test_layer_equals_pytorch(case):
    ours, theirs = both_layers(case)
    rng, shape = np.random.default_rng(0), case.options["shape"]
    inputs = [rng.normal(size=(*shape, n)) for n in (4, 5)]
    given = [torch.tensor(x, requires_grad=True) for x in inputs]
    expected = theirs(*given)
    cotangent = rng.normal(size=tuple(expected.shape))
    expected.backward(torch.tensor(cotangent))
    graph, params = nnx.split(ours)
    found, pullback = jax.vjp(
        lambda params, *x: nnx.merge(graph, params)(*x), params, *map(jnp.asarray, inputs)
    )
    of_params, *of_inputs = pullback(jnp.asarray(cotangent))
    assert_close(found, expected.detach(), OF_MAX["float64"])
    for gradient, input in zip(of_inputs, given, strict=True):
        assert_close(gradient, input.grad, OF_MAX["float64"], largest(cotangent))
    for name, parameter in theirs.named_parameters():
        assert_close(of_params[name][...], parameter.grad, OF_MAX["float64"], largest(cotangent))


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.id)
def test_state_dict_is_pytorchs(case):
    assert_same_state_dict(case)
    leaves = jax.tree.leaves(nnx.state(own_layer(case), nnx.Param))
    assert all(leaf.dtype == jnp.float32 for leaf in leaves)


@pytest.mark.parametrize("dtype", ["float32", "float64", "bfloat16", "float16"])
@pytest.mark.parametrize("case", CASES, ids=lambda case: case.id)
def test_layer_of_a_seed_is_pytorchs(case, dtype):
    assert_built_alike(lookup("jaxaccel", case.function), oracle_of(case), case.kwargs, dtype, 42)


@pytest.mark.parametrize("case", BAD, ids=lambda case: case.id)
def test_constructor_errors_have_pytorchs_text(case):
    with pytest.raises((ValueError, RuntimeError)) as expected:
        oracle_of(case)(**case.kwargs)
    with pytest.raises(ValueError) as found:
        own_layer(case)
    assert str(found.value) == str(expected.value)
