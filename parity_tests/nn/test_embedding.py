"""``Embedding`` and ``EmbeddingBag`` against ``torch.nn``: values, tables, draws, errors."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import torch
from flax import nnx

import jaxaccel as ja
from parity_tests import tolerances as tol
from parity_tests.harness.layer import (
    OF_MAX,
    assert_close,
    assert_same_state_dict,
    both_layers,
    largest,
    own_layer,
)
from parity_tests.harness.seeded import assert_built_alike
from parity_tests.nn.rows_embedding import BAD, BAD_LATER, CASES
from parity_tests.registry import lookup, oracle_of


def differentiate(layer, arguments, cotangent):
    """Return the output, the table's gradient, and the table after the call."""
    graph, params = nnx.split(layer)

    @jax.jit
    def run(params, cotangent):
        def call(params):
            model = nnx.merge(graph, params, copy=True)
            return model(*arguments), nnx.state(model)

        output, pullback, after = jax.vjp(call, params, has_aux=True)
        return output, *pullback(cotangent), after

    output, gradient, after = run(params, jnp.asarray(cotangent))
    return output, gradient["weight"][...], after["weight"][...]


def arguments_of(case):
    """Return what a row's call has, as NumPy arrays."""
    arguments = [np.array(case.options["integers"], np.int64)]
    if case.function == "nn.EmbeddingBag":
        offsets = case.options["offsets"]
        arguments.append(None if offsets is None else np.array(offsets, np.int64))
    if "weighted" in case.options:
        arguments.append(np.random.default_rng(3).normal(size=case.options["weighted"]))
    return arguments


@pytest.mark.parity
@pytest.mark.usefixtures("no_draws")
@pytest.mark.parametrize("dtype", ["float64", "float32"])
@pytest.mark.parametrize("case", CASES, ids=lambda case: case.id)
def test_layer_equals_pytorch(case, dtype):
    """The output, the table's gradient, and what stands in the table afterwards."""
    ours, theirs = both_layers(case, dtype)
    before = np.asarray(ours.weight)
    arguments = arguments_of(case)
    expected = theirs(*(None if a is None else torch.tensor(a) for a in arguments))
    cotangent = np.random.default_rng(1).normal(size=tuple(expected.shape)).astype(dtype)
    expected.backward(torch.tensor(cotangent.astype(np.float64)))
    given = [None if a is None else jnp.asarray(a) for a in arguments]
    given = [a.astype(dtype) if a is not None and a.dtype == float else a for a in given]
    found, gradient, table = differentiate(ours, given, cotangent)
    assert found.dtype == gradient.dtype == table.dtype == dtype
    assert_close(found, expected.detach(), OF_MAX[dtype])
    assert_close(gradient, theirs.weight.grad, OF_MAX[dtype], largest(cotangent))
    assert_close(table, theirs.weight.detach(), OF_MAX[dtype])
    changed = not np.array_equal(table, before)
    assert changed == ("max_norm" in case.kwargs and case.why != "max norm of none")


def test_steps_of_training():
    """Ten steps of SGD with everything on: each starts from the table as it was scaled."""
    options = {"padding_idx": 1, "max_norm": 1.0, "scale_grad_by_freq": True}
    ours = ja.nn.Embedding(9, 4, **options, dtype=jnp.float64, rngs=ja.random.manual_seed(0))
    theirs = torch.nn.Embedding(9, 4, **options).double()
    theirs.load_state_dict({k: torch.tensor(v) for k, v in ja.nn.state_dict(ours).items()})
    optimizer = torch.optim.SGD(theirs.parameters(), lr=0.5)
    rng = np.random.default_rng(0)
    for _ in range(10):
        ids, cotangent = rng.integers(0, 9, 12), rng.normal(size=(12, 4))
        optimizer.zero_grad()
        theirs(torch.tensor(ids)).backward(torch.tensor(cotangent))
        optimizer.step()
        _, gradient, table = differentiate(ours, [jnp.asarray(ids)], cotangent)
        ours.weight[...] = table - 0.5 * gradient
        assert_close(ours.weight, theirs.weight.detach(), tol.LAYER_FLOAT64_OF_MAX)


def test_a_table_looked_up_twice_is_scaled_twice():
    ours = ja.nn.Embedding(5, 3, max_norm=0.5, dtype=jnp.float64, rngs=ja.random.manual_seed(0))
    theirs = torch.nn.Embedding(5, 3, max_norm=0.5).double()
    theirs.load_state_dict({k: torch.tensor(v) for k, v in ja.nn.state_dict(ours).items()})
    first, second = np.array([0, 3]), np.array([3, 4])
    (theirs(torch.tensor(first)).sum() + 2 * theirs(torch.tensor(second)).sum()).backward()
    gradient = nnx.grad(lambda m: m(jnp.asarray(first)).sum() + 2 * m(jnp.asarray(second)).sum())(
        ours
    )
    assert_close(gradient["weight"][...], theirs.weight.grad, tol.LAYER_FLOAT64_OF_MAX)
    assert_close(ours.weight, theirs.weight.detach(), tol.LAYER_FLOAT64_OF_MAX)


@pytest.mark.parametrize("case", [c for c in CASES if "max_norm" in c.kwargs], ids=lambda c: c.id)
def test_a_call_that_raises_leaves_the_table_as_it_was(case):
    layer = own_layer(case, "float64")
    before = np.asarray(layer.weight)
    _, *rest = arguments_of(case)
    with pytest.raises(IndexError):
        layer(jnp.array([0, 1, 2, 99]), *rest[:1])
    assert np.array_equal(layer.weight, before)


# --- draws and state ----------------------------------------------------------------------------


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.id)
def test_state_dict_is_pytorchs(case):
    assert_same_state_dict(case)
    leaves = jax.tree.leaves(nnx.state(own_layer(case), nnx.Param))
    assert all(leaf.dtype == jnp.float32 for leaf in leaves)


@pytest.mark.parametrize("dtype", ["float32", "float64", "bfloat16", "float16"])
@pytest.mark.parametrize(
    "case",
    [c for c in CASES if c.why in ("defaults", "padding", "padding from the end")],
    ids=lambda case: case.id,
)
def test_layer_of_a_seed_is_pytorchs(case, dtype):
    for seed in (0, 42, -3, 2**32 + 7, 2**63) if dtype == "float32" else (42,):
        function, oracle = lookup("jaxaccel", case.function), oracle_of(case)
        assert_built_alike(function, oracle, case.kwargs, dtype, seed)


# --- errors -------------------------------------------------------------------------------------


@pytest.mark.parametrize("case", [*BAD, *BAD_LATER], ids=lambda case: case.id)
def test_constructor_errors_have_pytorchs_text_and_leave_the_generator(case):
    arguments = [None if a is None else torch.tensor(a) for a in arguments_of(case)]
    with pytest.raises((ValueError, RuntimeError, AssertionError)) as expected:
        oracle_of(case)(**case.kwargs)(*arguments)
    generator = ja.random.manual_seed(0)
    with pytest.raises(ValueError) as found:
        lookup("jaxaccel", case.function)(**case.kwargs, rngs=generator)
    assert str(expected.value).startswith(str(found.value))
    assert np.array_equal(generator.get_state(), ja.random.manual_seed(0).get_state())
