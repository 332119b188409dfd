"""Layers that move, repeat or drop numbers, and those that hold others, against ``torch.nn``."""

from collections import OrderedDict

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
    channels_first,
    channels_last,
    differentiate,
    own_layer,
)
from parity_tests.harness.optimizer import lookup, oracle_of
from parity_tests.nn import rows_windows
from parity_tests.nn.rows_reshaping import BAD, BAD_INPUTS, LAYERS, MOVES


@pytest.mark.parity
@pytest.mark.parametrize("case", [*LAYERS, *rows_windows.LAYERS], ids=lambda case: case.id)
def test_float64_layer_equals_pytorch(case):
    assert_same_layer(case, "float64")


@pytest.mark.parity
@pytest.mark.parametrize("case", MOVES, ids=lambda case: case.id)
def test_numbers_are_where_pytorch_has_them(case):
    """Every number is another, so the order is compared; and the gradient takes the way back."""
    ours, theirs = own_layer(case), oracle_of(case)(**case.kwargs)
    shape = case.options["shape"]
    x = np.arange(np.prod(shape, dtype=int), dtype=float).reshape(shape)
    after = case._replace(options={**case.options, "spatial": case.options["after"]})
    expected = theirs(torch.tensor(x)).numpy()
    given = jnp.asarray(channels_last(x, case) if x.ndim > 2 else x)
    output, pullback = jax.vjp(ours, given)
    assert np.array_equal(channels_first(output, after) if output.ndim > 2 else output, expected)
    assert np.array_equal(pullback(output)[0], given)


# --- Sequential -----------------------------------------------------------------------------------


def network(package, **rngs):
    """Return a small network in either library."""
    return package.Sequential(
        package.Conv2d(3, 4, 3, padding=1, **rngs),
        package.BatchNorm2d(4),
        package.ReLU(),
        package.MaxPool2d(2),
        package.Sequential(OrderedDict(drop=package.Dropout(0.5, **rngs), same=package.Identity())),
        package.Flatten(),
        package.Linear(4 * 3 * 2, 5, **rngs),
    )


def loaded_networks():
    """Return both networks with PyTorch's weights, in evaluation."""
    theirs = network(torch.nn)
    theirs(torch.randn(4, 3, 6, 4, generator=torch.Generator().manual_seed(0)))
    ours = network(ja.nn, rngs=nnx.Rngs(0))
    ja.nn.load_state_dict(ours, theirs.state_dict())
    ours.eval(), theirs.eval()
    return ours, theirs


def test_sequential_equals_pytorch():
    """The kernel behind Flatten is loaded as it is: the numbers come in PyTorch's order."""
    ours, theirs = loaded_networks()
    assert list(ja.nn.state_dict(ours)) == list(theirs.state_dict())
    x = np.random.default_rng(0).normal(size=(4, 6, 4, 3)).astype(np.float32)
    input = torch.tensor(np.moveaxis(x, -1, 1)).requires_grad_()
    output = theirs(input)
    cotangent = np.random.default_rng(1).normal(size=output.shape).astype(np.float32)
    output.backward(torch.tensor(cotangent))
    found, arrays, gradient = differentiate(ours, jnp.asarray(x), jnp.asarray(cotangent))
    assert_close(found, output.detach(), tol.LAYER_FLOAT32_OF_MAX)
    assert_close(np.moveaxis(gradient, -1, 1), input.grad, tol.LAYER_FLOAT32_OF_MAX)
    for name, parameter in theirs.named_parameters():
        assert_close(arrays[name], parameter.grad, tol.LAYER_FLOAT32_OF_MAX, 1.0, name)


def test_sequential_switches_modes_and_goes_through_nnx():
    model, _ = loaded_networks()
    x = jnp.asarray(np.random.default_rng(0).normal(size=(4, 6, 4, 3)), jnp.float32)
    expected = model(x)
    assert model[1].use_running_average
    assert model[4][0].deterministic
    merged = nnx.merge(*nnx.split(model))
    assert np.array_equal(merged(x), expected)
    step = nnx.jit(lambda model, x: model(x))
    assert_close(step(model, x), expected, tol.LAYER_FLOAT32_OF_MAX)
    model.train()
    assert not model[1].use_running_average
    before = int(model[1].num_batches_tracked[...])
    first, second = step(model, x), step(model, x)
    assert not np.array_equal(first, second)
    assert int(model[1].num_batches_tracked[...]) == before + 2
    view = nnx.view(model, use_running_average=True, deterministic=True)
    assert np.array_equal(view(x), view(x))


def test_sequential_keeps_its_order_beyond_ten_layers():
    """Where nnx sorts names, "10" comes before "2"."""
    model = ja.nn.Sequential(*(lambda x, i=i: [*x, i] for i in range(12)))
    assert model([]) == list(range(12))
    assert nnx.merge(*nnx.split(model))([]) == list(range(12))
    layers = [ja.nn.BatchNorm2d(1) for _ in range(12)]
    names = list(ja.nn.state_dict(ja.nn.Sequential(*layers)))
    assert names == list(torch.nn.Sequential(*map(torch.nn.BatchNorm2d, [1] * 12)).state_dict())


def test_sequential_is_indexed_as_pytorchs():
    names = {"first": 1, "second": 2, "third": 3}
    ours = ja.nn.Sequential({name: ja.nn.LayerNorm(n) for name, n in names.items()})
    theirs = torch.nn.Sequential(OrderedDict((k, torch.nn.LayerNorm(n)) for k, n in names.items()))
    assert len(ours) == len(theirs) == 3
    assert ours[-1] is ours.third is list(ours)[2]
    for part in (slice(1, None), slice(0, 0), slice(None, None, -1)):
        assert list(ja.nn.state_dict(ours[part])) == list(theirs[part].state_dict())
    assert ours[1:][0] is ours.second
    for model in (ours, theirs):
        with pytest.raises(IndexError, match="index 3 is out of range"):
            model[3]
    x = jnp.ones(3)
    assert ja.nn.Sequential()(x) is x
    assert ja.nn.Sequential(jnp.negative, jnp.abs)(x).tolist() == [1, 1, 1]


@pytest.mark.parametrize("name", ["a.b", "", "train", 1, "_hidden"])
def test_sequential_refuses_names(name):
    with pytest.raises((ValueError, TypeError)) as found:
        ja.nn.Sequential({name: ja.nn.Identity()})
    if name == "_hidden":  # PyTorch's module keeps its own attributes elsewhere
        assert "can't begin with an underscore" in str(found.value)
        return
    with pytest.raises((KeyError, TypeError)) as expected:
        torch.nn.Sequential(OrderedDict([(name, torch.nn.Identity())]))
    assert str(found.value) == expected.value.args[0]


def test_sequential_refuses_what_cannot_be_called():
    with pytest.raises(TypeError, match="int is not a layer"):
        ja.nn.Sequential(ja.nn.Identity(), 3)


# --- errors -------------------------------------------------------------------------------------


def assert_text(case, found, expected):
    """Assert PyTorch's text, or the row's own."""
    if "text" in case.options:
        found.match(case.options["text"])
    else:
        assert str(found.value) == str(expected.value)


@pytest.mark.parametrize("case", BAD, ids=lambda case: case.id)
def test_constructor_errors(case):
    with pytest.raises((ValueError, RuntimeError, TypeError, NotImplementedError)) as expected:
        oracle_of(case)(**case.kwargs)(torch.ones(case.options["shape"]))
    with pytest.raises((ValueError, TypeError)) as found:
        lookup("jaxaccel", case.function)(**case.kwargs)
    assert_text(case, found, expected)


@pytest.mark.parametrize("case", BAD_INPUTS, ids=lambda case: case.id)
def test_input_errors(case):
    x = np.ones(case.options["shape"], np.float32)
    with pytest.raises((ValueError, RuntimeError, IndexError, NotImplementedError)) as expected:
        oracle_of(case)(**case.kwargs)(torch.tensor(x))
    with pytest.raises(ValueError) as found:
        own_layer(case)(jnp.asarray(channels_last(x, case)))
    assert_text(case, found, expected)
