"""Pools against ``torch.nn``: values, gradients, ties, infinities, errors."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import torch

import jaxaccel as ja
from parity_tests import tolerances as tol
from parity_tests.harness.layer import (
    assert_close,
    assert_same_layer,
    assert_same_state_dict,
    both_layers,
    channels_first,
    channels_last,
    differentiate,
)
from parity_tests.harness.optimizer import lookup, oracle_of
from parity_tests.nn.rows_pools import BAD, BAD_INPUTS, CASES, PLANTED

DEFAULTS = [case for case in CASES if case.why == "defaults"]


@pytest.mark.parity
@pytest.mark.parametrize("case", CASES, ids=lambda case: case.id)
def test_float64_pool_equals_pytorch(case):
    """With ties, as ReLU makes by the thousand: the first takes the gradient. And NaN, and inf."""
    ours, theirs = both_layers(case)
    rng = np.random.default_rng(2)
    x = rng.normal(size=case.options["shape"])
    x[0] = rng.integers(0, 2, x[0].shape)
    for where, value in zip(
        PLANTED[case.options["spatial"]], (np.nan, np.inf, -np.inf), strict=True
    ):
        x[0][where] = value
    input = torch.tensor(x, requires_grad=True)
    output = theirs(input)
    cotangent = rng.normal(size=tuple(output.shape))
    output.backward(torch.tensor(cotangent))
    found, _, gradient = differentiate(
        ours, *(jnp.asarray(channels_last(a, case)) for a in (x, cotangent))
    )
    for ours, theirs in ((found, output.detach()), (gradient, input.grad)):
        ours, theirs = channels_first(ours, case), theirs.numpy()
        finite = np.isfinite(theirs)
        assert np.array_equal(ours[~finite], theirs[~finite], equal_nan=True)
        assert_close(ours[finite], theirs[finite], tol.LAYER_FLOAT64_OF_MAX)


@pytest.mark.parametrize("case", DEFAULTS, ids=lambda case: case.id)
def test_float32_pool_equals_pytorch(case):
    assert_same_layer(case, "float32")
    assert_same_state_dict(case)


@pytest.mark.parametrize("dtype", ["bfloat16", "float16"])
@pytest.mark.parametrize("case", DEFAULTS, ids=lambda case: case.id)
def test_half_precision_is_rounded_once(case, dtype):
    """A maximum keeps the bits; a mean is taken in float32."""
    x = jnp.asarray(np.random.default_rng(0).normal(1, 1, case.options["shape"]), dtype)
    ours, theirs = both_layers(case)
    exact = theirs(torch.tensor(np.asarray(x, np.float64))).numpy()
    found = jax.jit(ours.__call__)(jnp.asarray(channels_last(np.asarray(x), case)))
    assert found.dtype == dtype
    assert np.array_equal(
        channels_first(np.asarray(found), case), np.asarray(jnp.asarray(exact, dtype))
    )


@pytest.mark.parametrize(
    "case", [c for c in DEFAULTS if "Max" in c.function], ids=lambda case: case.id
)
def test_max_pool_of_integers(case):
    ours, theirs = both_layers(case)
    x = np.random.default_rng(0).integers(-9, 0, case.options["shape"])
    found = jax.jit(ours.__call__)(jnp.asarray(channels_last(x, case)))
    found = channels_first(found, case)
    assert np.array_equal(found, theirs(torch.tensor(x.astype(np.float64))))


@pytest.mark.parametrize(
    "case", [c for c in DEFAULTS if "Avg" in c.function], ids=lambda case: case.id
)
def test_means_take_floating_point_only(case):
    x = jnp.ones(case.options["shape"], int)
    with pytest.raises(TypeError, match="floating point"):
        lookup("jaxaccel", case.function)(**case.kwargs)(x)


def test_a_single_axis_keeps_its_length_too():
    """PyTorch's functions for one axis refuse None; its documentation allows it."""
    x = jnp.arange(10.0).reshape(1, 5, 2)
    for pool in (ja.nn.AdaptiveAvgPool1d, ja.nn.AdaptiveMaxPool1d):
        assert np.array_equal(pool(None)(x), x)
        assert np.array_equal(pool((None,))(x), x)


def test_an_output_of_no_points():
    """PyTorch has the value, but no gradient."""
    x = jnp.ones((2, 5, 3))
    for pool, judge in (
        (ja.nn.AdaptiveAvgPool1d(0), torch.nn.AdaptiveAvgPool1d(0)),
        (ja.nn.AdaptiveMaxPool1d(0), torch.nn.AdaptiveMaxPool1d(0)),
    ):
        assert judge(torch.ones(2, 3, 5)).shape == (2, 3, 0)
        assert pool(x).shape == (2, 0, 3)
        assert not jax.grad(lambda x, pool=pool: pool(x).sum())(x).any()


def test_the_largest_of_many_takes_few_operations():
    """An axis of thousands is halved, and not unrolled."""
    layer = ja.nn.AdaptiveMaxPool1d(1)
    jaxpr = jax.make_jaxpr(layer)(jnp.ones((1, 4096, 1)))
    assert len(jaxpr.eqns) < 100


# --- errors -------------------------------------------------------------------------------------


def assert_text(case, found, expected):
    """Assert PyTorch's text, or the row's own."""
    if "text" in case.options:
        found.match(case.options["text"])
    else:
        assert str(found.value) == str(expected.value)


@pytest.mark.filterwarnings("ignore:Initializing zero-element tensors:UserWarning")
@pytest.mark.parametrize("case", BAD, ids=lambda case: case.id)
def test_constructor_errors(case):
    with pytest.raises((ValueError, RuntimeError, TypeError)) as expected:
        oracle_of(case)(**case.kwargs)(torch.ones(case.options["shape"]))
    with pytest.raises((ValueError, TypeError)) as found:
        lookup("jaxaccel", case.function)(**case.kwargs)
    assert_text(case, found, expected)


@pytest.mark.parametrize("case", BAD_INPUTS, ids=lambda case: case.id)
def test_input_errors(case):
    shape = case.options["shape"]
    with pytest.raises((ValueError, RuntimeError)) as expected:
        oracle_of(case)(**case.kwargs)(torch.ones(shape))
    with pytest.raises(ValueError) as found:
        lookup("jaxaccel", case.function)(**case.kwargs)(
            jnp.ones((*shape[:1], *shape[2:], *shape[1:2]))
        )
    assert_text(case, found, expected)
