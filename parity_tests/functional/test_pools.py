"""Pools against ``torch.nn.functional``: ties, infinities, NaN, half precision, integers."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import torch

import jaxaccel as ja
from parity_tests.functional.rows_pools import CASES, PLANTED
from parity_tests.harness.function import (
    arrays_of,
    assert_same_function,
    ours_of,
    theirs_of,
)
from parity_tests.registry import lookup, oracle_of

DEFAULTS = [case for case in CASES if case.why == "defaults"]


def compiled(case):
    """Return a row's function of its input: one program, sooner there than one an operation."""
    return jax.jit(functools.partial(lookup("jaxaccel", case.function), **case.kwargs))


@pytest.mark.parity
@pytest.mark.parametrize("case", CASES, ids=lambda case: case.id)
def test_float64_equals_pytorch(case):
    """With ties, as ReLU makes by the thousand: the first takes the gradient. And NaN, and inf."""
    x = arrays_of(case, seed=2)["input"]
    x[0] = np.random.default_rng(2).integers(0, 2, x[0].shape)
    for where, value in zip(
        PLANTED[case.options["spatial"]], (np.nan, np.inf, -np.inf), strict=True
    ):
        x[0][where] = value
    assert_same_function(case, "float64", {"input": x})


@pytest.mark.parametrize("dtype", ["bfloat16", "float16"])
@pytest.mark.parametrize("case", DEFAULTS, ids=lambda case: case.id)
def test_half_precision_is_rounded_once(case, dtype):
    """A maximum keeps the bits; a mean is taken in float32."""
    x = np.random.default_rng(0).normal(1, 1, case.options["arrays"]["input"])
    x = np.asarray(jnp.asarray(x, dtype))
    exact = oracle_of(case)(torch.tensor(x.astype(np.float64)), **case.kwargs).numpy()
    x = jnp.asarray(ours_of(case, "input", x))
    found = compiled(case)(x)
    assert found.dtype == dtype
    assert np.array_equal(theirs_of(case, "output", found), exact.astype(found.dtype))


@pytest.mark.parametrize(
    "case", [c for c in DEFAULTS if "max" in c.function], ids=lambda case: case.id
)
def test_max_pool_of_integers(case):
    x = np.random.default_rng(0).integers(-9, 0, case.options["arrays"]["input"])
    found = compiled(case)(jnp.asarray(ours_of(case, "input", x)))
    expected = oracle_of(case)(torch.tensor(x.astype(np.float64)), **case.kwargs)
    assert np.array_equal(theirs_of(case, "output", found), expected)


@pytest.mark.parametrize(
    "case", [c for c in DEFAULTS if "avg" in c.function], ids=lambda case: case.id
)
def test_means_take_floating_point_only(case):
    x = jnp.ones(case.options["arrays"]["input"], int)
    with pytest.raises(TypeError, match="floating point"):
        lookup("jaxaccel", case.function)(x, **case.kwargs)


def test_a_single_axis_keeps_its_length_too():
    """PyTorch's functions for one axis refuse None; its documentation allows it."""
    x = jnp.arange(10.0).reshape(1, 5, 2)
    for pool in (ja.functional.adaptive_avg_pool1d, ja.functional.adaptive_max_pool1d):
        assert np.array_equal(pool(x, None), x)
        assert np.array_equal(pool(x, (None,)), x)


def test_an_output_of_no_points():
    """PyTorch has the value, but no gradient."""
    x = jnp.ones((2, 5, 3))
    for name in ("adaptive_avg_pool1d", "adaptive_max_pool1d"):
        pool = getattr(ja.functional, name)
        assert getattr(torch.nn.functional, name)(torch.ones(2, 3, 5), 0).shape == (2, 3, 0)
        assert pool(x, 0).shape == (2, 0, 3)
        assert not jax.grad(lambda x, pool=pool: pool(x, 0).sum())(x).any()


def test_the_largest_of_many_takes_few_operations():
    """An axis of thousands is halved, and not unrolled."""
    jaxpr = jax.make_jaxpr(lambda x: ja.functional.adaptive_max_pool1d(x, 1))(
        jnp.ones((1, 4096, 1))
    )
    assert len(jaxpr.eqns) < 100


@pytest.mark.parametrize("axes", [1, 2, 3])
def test_what_is_unpooled_is_pytorchs(axes):
    """Pool with indices, and back: ties, NaN and minus infinity at the edge, of batches and one."""
    shape = (2, 3, *(7, 6, 5)[:axes])
    x = np.random.default_rng(0).integers(-2, 3, shape).astype(float)
    x[..., 0], x[0, ..., 1] = -np.inf, np.nan
    numbers = {"kernel_size": 3, "stride": 2, "padding": 1}
    pool = getattr(torch.nn, f"MaxPool{axes}d")(**numbers, return_indices=True)
    unpool = getattr(torch.nn, f"MaxUnpool{axes}d")(**numbers)
    own_pool = getattr(ja.nn, f"MaxPool{axes}d")(**numbers, return_indices=True)
    own_unpool = getattr(ja.nn, f"MaxUnpool{axes}d")(**numbers)
    for given in (x, x[0]):
        tensor = torch.tensor(given)
        values, indices = pool(tensor)
        expected = unpool(values, indices, output_size=tensor.shape[-axes:])
        own = jnp.asarray(np.moveaxis(given, -1 - axes, -1))
        found, places = jax.jit(own_pool)(own)
        assert np.array_equal(np.moveaxis(places, -1, -1 - axes), indices)
        assert jnp.issubdtype(places.dtype, jnp.integer)
        sizes = own.shape[-1 - axes : -1]
        back = own_unpool(found, places, output_size=sizes)
        assert np.array_equal(np.moveaxis(back, -1, -1 - axes), expected, equal_nan=True)
        whole = own.shape if len(own.shape) == axes + 2 else sizes
        assert np.array_equal(own_unpool(found, places, whole), back, equal_nan=True)
