"""``Bilinear`` and ``EmbeddingBag`` against ``torch.nn``: values, gradients, draws, errors."""

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
from parity_tests.harness.optimizer import lookup, oracle_of
from parity_tests.nn.rows_bags import (
    BAD,
    BAD_CALLS,
    BAD_INPUTS,
    BILINEAR,
    CASES,
    EMBEDDING_BAG,
)
from parity_tests.nn.test_seeded_models import assert_built_alike


def differentiate(layer, dtype, cotangent, floats, integers=()):
    """Return the output, gradients of the parameters and of floats, and the layer afterwards."""
    graph, params = nnx.split(layer)

    @jax.jit
    def run(params, floats, cotangent):
        def call(params, floats):
            model = nnx.merge(graph, params, copy=True)
            return model(*integers, *floats), nnx.state(model)

        output, pullback, after = jax.vjp(call, params, floats, has_aux=True)
        return output, *pullback(cotangent), after

    floats = tuple(jnp.asarray(array, dtype) for array in floats)
    output, of_params, of_floats, after = run(params, floats, jnp.asarray(cotangent, dtype))
    gradients, changed = (nnx.clone(layer) for _ in range(2))
    nnx.update(gradients, of_params), nnx.update(changed, after)
    return output, ja.nn.state_dict(gradients), of_floats, ja.nn.state_dict(changed)


@pytest.mark.parity
@pytest.mark.parametrize("dtype", ["float64", "float32"])
@pytest.mark.parametrize("case", BILINEAR, ids=lambda case: case.id)
def test_bilinear_equals_pytorch(case, dtype):
    ours, theirs = both_layers(case, dtype)
    rng, shape = np.random.default_rng(0), case.options["shape"]
    inputs = [rng.normal(size=(*shape, n)).astype(dtype).astype(np.float64) for n in (4, 5)]
    given = [torch.tensor(x, requires_grad=True) for x in inputs]
    expected = theirs(*given)
    cotangent = rng.normal(size=tuple(expected.shape)).astype(dtype).astype(np.float64)
    expected.backward(torch.tensor(cotangent))
    found, gradients, of_inputs, _ = differentiate(ours, dtype, cotangent, inputs)
    assert found.dtype == dtype
    assert_close(found, expected.detach(), OF_MAX[dtype])
    scale = largest(cotangent)
    for gradient, input in zip(of_inputs, given, strict=True):
        assert_close(gradient, input.grad, OF_MAX[dtype], scale)
    for name, parameter in theirs.named_parameters():
        assert_close(gradients[name], parameter.grad, OF_MAX[dtype], scale)


def arrays_of(case):
    """Return a row's integers and, as its call has them, offsets and weights."""
    integers = np.array(case.options["input"], np.int64)
    integers = integers.reshape(case.options.get("shape", integers.shape))
    offsets = case.options.get("offsets")
    weights = np.random.default_rng(3).normal(size=integers.shape)
    return (
        integers,
        None if offsets is None else np.array(offsets, np.int64),
        (weights,) if case.options.get("weighted") else (),
    )


def sum_of_embedding(theirs):
    """Return the same bags by ``embedding``, whose kernel divides by the right frequencies."""
    combine = {"sum": torch.sum, "mean": torch.mean}[theirs.mode]

    def call(input, offsets, weights=None):
        rows = torch.nn.functional.embedding(input, theirs.weight, scale_grad_by_freq=True)
        return combine(rows if weights is None else rows * weights[..., None], 1)

    return call


@pytest.mark.parity
@pytest.mark.parametrize("case", EMBEDDING_BAG, ids=lambda case: case.id)
def test_embedding_bag_equals_pytorch(case):
    """The output, the gradients of the table and the weights, and what becomes of the table."""
    ours, theirs = both_layers(case)
    input, offsets, weights = arrays_of(case)
    given = [torch.tensor(w, requires_grad=True) for w in weights]
    call = sum_of_embedding(theirs) if "judge" in case.options else theirs
    integers = (torch.tensor(input), None if offsets is None else torch.tensor(offsets))
    expected = call(*integers, *given)
    cotangent = np.random.default_rng(1).normal(size=tuple(expected.shape))
    expected.backward(torch.tensor(cotangent))
    found, gradients, of_weights, after = differentiate(
        ours, "float64", cotangent, weights, (jnp.asarray(input), offsets)
    )
    assert_close(found, expected.detach(), tol.LAYER_FLOAT64_OF_MAX)
    for found, tensor in (
        (gradients["weight"], theirs.weight.grad),
        (after["weight"], theirs.weight.detach()),
        *((g, w.grad) for g, w in zip(of_weights, given, strict=True)),
    ):
        assert_close(found, tensor, tol.LAYER_FLOAT64_OF_MAX, largest(cotangent))


@pytest.mark.parametrize("mode", ["sum", "mean", "max"])
def test_ties_infinities_and_nan_in_a_bag(mode):
    """Of equal maxima the first row takes the gradient; NaN is never lost, as in a sum."""
    weight = np.zeros((6, 2))
    weight[1:4, 0], weight[4], weight[5] = 2.0, -np.inf, np.nan
    input, offsets = np.array([0, 3, 1, 2, 4, 4, 1]), np.array([0, 4, 6])
    layer = ja.nn.EmbeddingBag(6, 2, mode=mode, dtype=jnp.float64, rngs=nnx.Rngs(0))
    ja.nn.load_state_dict(layer, {"weight": weight})
    theirs = torch.nn.EmbeddingBag(6, 2, mode=mode, _weight=torch.tensor(weight))
    expected = theirs(torch.tensor(input), torch.tensor(offsets))
    expected.sum().backward()
    found, gradients, _, _ = differentiate(
        layer, "float64", np.ones((3, 2)), (), (jnp.asarray(input), jnp.asarray(offsets))
    )
    assert np.array_equal(found, expected.detach().numpy())
    assert np.allclose(gradients["weight"], theirs.weight.grad.numpy(), rtol=0, atol=0)
    poisoned = layer(jnp.array([1, 5, 0, 1]), jnp.array([0, 3]))
    assert np.isnan(poisoned[0]).all()
    assert np.isfinite(poisoned[1]).all()


def test_what_follows_the_last_offset_is_in_no_bag():
    """As PyTorch documents it; its kernels do not agree with each other there."""
    input = jnp.array([1, 2, 4, 5])
    for mode in ("sum", "mean", "max"):
        rngs = nnx.Rngs(0)
        layer = ja.nn.EmbeddingBag(10, 3, mode=mode, include_last_offset=True, rngs=rngs)
        found = layer(input, jnp.array([0, 2, 3]))
        assert np.array_equal(found, layer(input[:3], jnp.array([0, 2, 3])))


def test_under_a_trace_bags_are_the_same_and_bad_integers_are_nan():
    layer = ja.nn.EmbeddingBag(10, 3, rngs=nnx.Rngs(0))
    run = nnx.jit(lambda layer, input, offsets: layer(input, offsets))
    offsets = jnp.array([0, 2, 2])
    for input in (jnp.array([1, 2, 3]), jnp.array([1, 2, 3], jnp.int32)):
        assert_close(run(layer, input, offsets), layer(input, offsets), tol.LAYER_FLOAT32_OF_MAX)
    found = run(layer, jnp.array([1, 10, -1]), offsets)
    assert np.array_equal(np.isnan(found).all(1), [True, False, True])


@pytest.mark.parametrize("dtype", ["bfloat16", "float16"])
@pytest.mark.parametrize("mode", ["sum", "mean", "max"])
def test_half_precision_is_rounded_once(mode, dtype):
    """A thousand ones are a thousand, which no sum in bfloat16 reaches."""
    layer = ja.nn.EmbeddingBag(2, 3, mode=mode, dtype=jnp.dtype(dtype), rngs=nnx.Rngs(0))
    layer.weight[...] = jnp.ones_like(layer.weight[...])
    found = layer(jnp.zeros((1, 1000), jnp.int32))
    expected = 1000 if mode == "sum" else 1
    assert found.dtype == dtype
    assert (found == expected).all()


@pytest.mark.parametrize("dtype", ["bfloat16", "float16"])
def test_half_precision_bilinear_is_rounded_once(dtype):
    """Half precision has no 4097, of which 4096 is taken."""
    layer = ja.nn.Bilinear(2, 2, 1, dtype=jnp.dtype(dtype), rngs=nnx.Rngs(0))
    weight, bias = np.array([[[1.0, 1.0], [1.0, 0.0]]]), np.array([0.0])
    ja.nn.load_state_dict(layer, {"weight": weight, "bias": bias})
    found = layer(jnp.array([4096, 1], dtype), jnp.array([1, -1], dtype))
    assert found.dtype == dtype
    assert found.tolist() == [1.0]


# --- draws and state ----------------------------------------------------------------------------


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.id)
def test_state_dict_is_pytorchs(case):
    assert_same_state_dict(case)
    leaves = jax.tree.leaves(nnx.state(own_layer(case), nnx.Param))
    assert all(leaf.dtype == jnp.float32 for leaf in leaves)


@pytest.mark.parametrize("dtype", ["float32", "float64", "bfloat16", "float16"])
@pytest.mark.parametrize(
    "case",
    [c for c in CASES if c.why in ("defaults", "no bias", "padding from the end")],
    ids=lambda case: case.id,
)
def test_layer_of_a_seed_is_pytorchs(case, dtype):
    function, oracle = lookup("jaxaccel", case.function), oracle_of(case)
    assert_built_alike(function, oracle, case.kwargs, dtype, 42)


# --- errors -------------------------------------------------------------------------------------


@pytest.mark.parametrize("case", BAD, ids=lambda case: case.id)
def test_constructor_errors_have_pytorchs_text(case):
    with pytest.raises((ValueError, RuntimeError, AssertionError)) as expected:
        oracle_of(case)(**case.kwargs)
    with pytest.raises(ValueError) as found:
        own_layer(case)
    assert str(found.value) == str(expected.value)


@pytest.mark.parametrize("case", BAD_CALLS, ids=lambda case: case.id)
def test_call_errors_have_pytorchs_text(case):
    input, offsets, weights = arrays_of(case)
    theirs = oracle_of(case)(**case.kwargs, dtype=torch.float64)
    arrays = [None if a is None else torch.tensor(a) for a in (input, offsets, *weights)]
    with pytest.raises((ValueError, RuntimeError, NotImplementedError)) as expected:
        theirs(*arrays)
    with pytest.raises((ValueError, IndexError)) as found:
        own_layer(case, "float64")(
            *(None if a is None else jnp.asarray(a) for a in (input, offsets, *weights))
        )
    assert str(expected.value).startswith(str(found.value))


def test_other_call_errors_of_bags():
    layer = ja.nn.EmbeddingBag(10, 3, mode="sum", rngs=nnx.Rngs(0))
    theirs = torch.nn.EmbeddingBag(10, 3, mode="sum")
    flat, two = jnp.array([1, 2, 3]), jnp.array([[1, 2, 3]])
    with pytest.raises(ValueError, match="if input is 2D, then offsets has to be None"):
        theirs(torch.tensor([[1]]), torch.tensor([0]))
    with pytest.raises(ValueError, match="if input is 2D, then offsets has to be None"):
        layer(two, jnp.array([0]))
    with pytest.raises(ValueError, match=r"per_sample_weights .*must have the same shape as the"):
        theirs(torch.tensor([1]), torch.tensor([0]), torch.ones(2))
    with pytest.raises(ValueError, match=r"per_sample_weights .*must have the same shape as the"):
        layer(flat, jnp.array([0]), jnp.ones(2, jnp.float32))
    with pytest.raises(TypeError, match="weight and per_sample_weights to have the same dtype"):
        layer(two, None, jnp.ones((1, 3), jnp.bfloat16))
    with pytest.raises(TypeError, match=r"argument #1 'indices'.*arguments for embedding_bag"):
        layer(flat, jnp.array([0.0]))
    with pytest.raises(TypeError, match=r"argument #1 'indices'.*arguments for embedding_bag"):
        layer(flat.astype(jnp.int16), jnp.array([0]))
    for offsets, text in (([0, 2, 1], "must not fall"), ([], "at least one number")):
        with pytest.raises(ValueError, match=text):
            layer(flat, jnp.array(offsets, jnp.int32))


@pytest.mark.parametrize("shapes", BAD_INPUTS, ids=str)
def test_bilinear_input_errors_have_pytorchs_text(shapes):
    with pytest.raises(RuntimeError) as expected:
        torch.nn.Bilinear(4, 5, 2)(*(torch.ones(shape) for shape in shapes))
    layer = ja.nn.Bilinear(4, 5, 2, rngs=nnx.Rngs(0))
    with pytest.raises(ValueError) as found:
        layer(*(jnp.ones(shape, jnp.float32) for shape in shapes))
    assert str(found.value) == str(expected.value)
    with pytest.raises(
        TypeError, match="All tensors must have the same dtype, got input1: float64"
    ):
        layer(jnp.ones((3, 4)), jnp.ones((3, 5), jnp.float32))
