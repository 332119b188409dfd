"""Loss layers against ``torch.nn``: values, gradients, buffers, errors; all are one program."""

import functools
import re

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import torch
from flax import nnx

import jaxaccel as ja
from parity_tests import tolerances as tol
from parity_tests.harness.compare import assert_close
from parity_tests.harness.compiled import FAST_COMPILE
from parity_tests.harness.losses import arguments_of, numbers
from parity_tests.nn.rows_losses import LOSSES, WITH_LINEAR
from parity_tests.registry import lookup, oracle_of

pytestmark = [
    pytest.mark.filterwarnings("ignore:reduction. 'mean' divides the total loss:UserWarning"),
]
FIRST = [case for case in LOSSES if case.function == "nn.CrossEntropyLoss"]


def both(case):
    """Return both layers of a row, with the same buffers."""
    rng = np.random.default_rng(3)
    buffers = {name: numbers(each, rng) for name, each in case.options["buffers"].items()}
    ours = lookup("jaxaccel", case.function)(
        **case.kwargs, **{n: jnp.asarray(b) for n, b in buffers.items()}
    )
    tensors = {n: torch.tensor(b) for n, b in buffers.items()}
    return ours, oracle_of(case)(**case.kwargs, **tensors)


def run_torch(layer, arrays, constants):
    """Return PyTorch's output and gradients."""
    tensors = {n: torch.tensor(a).requires_grad_() for n, a in arrays.items()}
    if isinstance(layer, torch.nn.PoissonNLLLoss):  # which calls its input by another name
        output = layer(tensors["input"], torch.tensor(constants["target"]))
    else:
        output = layer(**tensors, **{n: torch.tensor(c) for n, c in constants.items()})
    output.sum().backward()
    return {"output": output.detach(), **{n: t.grad for n, t in tensors.items()}}


@pytest.mark.quick
@pytest.mark.parametrize("case", FIRST[:1], ids=lambda case: case.id)
def test_float64_equals_pytorch(case):
    """Of all rows, which are one program."""
    del case
    layers = [both(row) for row in LOSSES]
    given = [arguments_of(row) for row in LOSSES]
    expected = [run_torch(t, *own) for (_, t), own in zip(layers, given, strict=True)]

    @functools.partial(jax.jit, compiler_options=FAST_COMPILE)
    def run(given):
        found = []
        for (ours, _), (arrays, constants) in zip(layers, given, strict=True):
            output, pullback = jax.vjp(lambda a, o=ours, c=constants: o(**a, **c), arrays)
            found.append({"output": output, **pullback(jnp.ones_like(output))[0]})
        return found

    for row, ours, theirs in zip(
        LOSSES, run(jax.tree.map(jnp.asarray, given)), expected, strict=True
    ):
        assert ours.keys() == theirs.keys()
        for name, tensor in theirs.items():
            assert_close(
                ours[name], tensor, tol.LAYER_FLOAT64_OF_MAX, 1.0, f"{row.function} {name}"
            )


@pytest.mark.quick
@pytest.mark.parametrize("case", LOSSES, ids=lambda case: case.id)
def test_weights_are_buffers_in_the_state_dict(case):
    """PyTorch's names and numbers; nothing is trained, and a layer takes what PyTorch saved."""
    ours, theirs = both(case)
    expected, found = theirs.state_dict(), ja.nn.state_dict(ours)
    assert list(found) == list(expected)
    assert not jax.tree.leaves(nnx.state(ours, nnx.Param))
    if expected:
        ja.nn.load_state_dict(ours, {n: 2 * t.numpy() for n, t in expected.items()})
        for name, array in ja.nn.state_dict(ours).items():
            assert np.array_equal(array, 2 * expected[name].numpy())


def test_classes_are_where_the_layer_says():
    x, y = np.random.default_rng(0).normal(size=(2, 5, 3)), np.array([[0, 1, 4], [2, 2, 3]])
    for name in ("CrossEntropyLoss", "NLLLoss"):
        expected = getattr(torch.nn, name)()(torch.tensor(x), torch.tensor(y))
        layer = getattr(ja.nn, name)
        last = jnp.asarray(np.moveaxis(x, 1, -1))
        for found in (layer()(last, jnp.asarray(y)), layer(class_axis=1)(jnp.asarray(x), y)):
            assert_close(found, expected, tol.LAYER_FLOAT64_OF_MAX)


def test_a_variance_that_is_a_number():
    x = jnp.array([1.0, 3.0])
    assert float(ja.nn.GaussianNLLLoss()(x, 0 * x, 1.0)) == 2.5


@pytest.mark.parametrize(
    ("name", "kwargs"),
    [
        ("MultiMarginLoss", {"p": 3}),
        ("MultiMarginLoss", {"weight": np.ones((2, 2))}),
        ("TripletMarginLoss", {"margin": 0.0}),
        ("TripletMarginWithDistanceLoss", {"margin": -1.0}),
        ("HuberLoss", {"delta": 1 + 0j}),
        ("AdaptiveLogSoftmaxWithLoss", {"in_features": 4, "n_classes": 5, "cutoffs": []}),
        ("AdaptiveLogSoftmaxWithLoss", {"in_features": 4, "n_classes": 5, "cutoffs": [2, 2]}),
        ("AdaptiveLogSoftmaxWithLoss", {"in_features": 4, "n_classes": 5, "cutoffs": [5]}),
        ("LinearCrossEntropyLoss", {"in_features": 3, "num_classes": 2, "label_smoothing": 2.0}),
        ("LinearCrossEntropyLoss", {"in_features": 3, "num_classes": 2, "weight": np.ones(3)}),
    ],
)
def test_errors_have_pytorchs_text(name, kwargs):
    theirs = {k: torch.tensor(v) if isinstance(v, np.ndarray) else v for k, v in kwargs.items()}
    with pytest.raises((ValueError, RuntimeError, TypeError)) as expected:
        getattr(torch.nn, name)(**theirs)
    rngs = {"rngs": ja.random.manual_seed(0)} if name[0] in "AL" else {}
    with pytest.raises(type(expected.value) if "Huber" in name else ValueError) as found:
        getattr(ja.nn, name)(**kwargs, **rngs)
    assert str(found.value) == str(expected.value)


# --- losses with a linear map of their own ------------------------------------------------------


def linear_layers(case):
    """Return both layers of a row, drawn from one seed; PyTorch's in float64 then."""
    torch.manual_seed(0)
    theirs, generator = oracle_of(case)(**case.kwargs), ja.random.manual_seed(0)
    ours = lookup("jaxaccel", case.function)(**case.kwargs, rngs=generator)
    found = ja.nn.state_dict(ours)
    assert list(found) == list(theirs.state_dict())
    for name, tensor in theirs.state_dict().items():
        assert np.array_equal(found[name], tensor.numpy()), name
    assert np.array_equal(generator.get_state(), torch.get_rng_state().numpy())
    return ours, theirs.double()


@pytest.mark.parity
@pytest.mark.parametrize("case", WITH_LINEAR, ids=lambda case: case.id)
def test_layers_with_a_linear_map(case):
    """The bits of a seed, and in float32 values and gradients."""
    ours, theirs = linear_layers(case)
    rng = np.random.default_rng(0)
    inputs = case.kwargs["in_features"]
    classes = case.kwargs.get("num_classes") or case.kwargs["n_classes"]
    x = rng.normal(size=(6, inputs)).astype(np.float32)
    y = rng.integers(0, classes, (6, *case.kwargs.get("out_features", ())))
    graph, params, rest = nnx.split(ours, nnx.Param, ...)

    @functools.partial(jax.jit, compiler_options=FAST_COMPILE)
    def run(params, x):
        def call(params, x):
            return jax.tree.leaves(nnx.merge(graph, params, rest)(x, jnp.asarray(y)))

        output, pullback = jax.vjp(call, params, x)
        return output, *pullback(jax.tree.map(jnp.ones_like, output))

    outputs, of_params, of_x = run(params, jnp.asarray(x))
    tensor = torch.tensor(x).double().requires_grad_()
    expected = theirs(tensor, torch.tensor(y))
    expected = [*expected] if isinstance(expected, tuple) else [expected]
    sum(each.sum() for each in expected).backward()
    for found, judge in zip(outputs, expected, strict=True):
        assert_close(found, judge.detach(), tol.LAYER_FLOAT32_OF_MAX, 1.0)
    assert_close(of_x, tensor.grad, tol.LAYER_FLOAT32_OF_MAX, 1.0)
    nnx.update(ours, of_params)
    gradients = ja.nn.state_dict(ours)
    for name, parameter in theirs.named_parameters():
        assert_close(gradients[name], parameter.grad, tol.LAYER_FLOAT32_OF_MAX, 1.0, name)


def test_all_classes_of_an_adaptive_softmax():
    case = next(c for c in WITH_LINEAR if c.function == "nn.AdaptiveLogSoftmaxWithLoss")
    ours, theirs = linear_layers(case)
    x = 4 * np.random.default_rng(0).normal(size=(9, 16)).astype(np.float32)
    log_probs = theirs.log_prob(torch.tensor(x).double()).detach()
    assert_close(ours.log_prob(jnp.asarray(x)), log_probs, tol.LAYER_FLOAT32_OF_MAX)
    predicted = theirs.predict(torch.tensor(x).double())
    assert len(set(predicted.tolist())) > 2
    assert ours.predict(jnp.asarray(x)).tolist() == predicted.tolist()
    one = ours(jnp.asarray(x[0]), jnp.asarray(7))
    assert one.output.shape == ()
    assert_close(one.output, log_probs[0, 7], tol.LAYER_FLOAT32_OF_MAX, 1.0)
    traced = jax.jit(lambda y: ours(jnp.asarray(x), y).output)(jnp.full(9, 20))
    assert np.isnan(traced).all()
    for text, x, y in [
        ("same size in the batch dimension", jnp.ones((2, 16)), jnp.array([0])),
        ("1D target tensor expects 2D input", jnp.ones(2), jnp.array([0, 1])),
        ("0D target tensor expects 1D input", jnp.ones((2, 16)), jnp.array(0)),
        ("multi-target not supported", jnp.ones((2, 16)), jnp.array([[0]])),
        ("in range [0, 20] were found", jnp.ones((2, 16)), jnp.array([0, 20])),
    ]:
        with pytest.raises(ValueError, match=re.escape(text)):
            ours(x.astype(jnp.float32), y)
        with pytest.raises(RuntimeError, match=re.escape(text)):
            theirs(torch.tensor(np.asarray(x)), torch.tensor(np.asarray(y)))
