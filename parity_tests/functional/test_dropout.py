"""Dropouts against ``torch.nn.functional``: the share of zeros, the scaling, whole channels."""

import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import torch

import jaxaccel as ja
from parity_tests.functional.rows_dropout import BAD, CASES, WITHOUT_MASKS
from parity_tests.harness.layer import channels_first, channels_last
from parity_tests.registry import lookup, oracle_of


@pytest.mark.parity
@pytest.mark.parametrize("dtype", ["float64", "float32", "bfloat16"])
@pytest.mark.parametrize(
    "case", [c for c in CASES if c not in WITHOUT_MASKS], ids=lambda case: case.id
)
def test_equals_pytorch_but_for_the_mask(case, dtype):
    """Whole channels, the share of them, the scaling to the bit, the gradient, a mask a key."""
    p, training = case.kwargs.get("p", 0.5), case.kwargs.get("training", True)
    function = lookup("jaxaccel", case.function)
    x = np.random.default_rng(0).normal(1, 1, case.options["shape"])
    x = jnp.asarray(channels_last(x, case), dtype)
    as_theirs = torch.tensor(channels_first(np.asarray(x, np.float64), case))
    theirs = oracle_of(case)(as_theirs.to(getattr(torch, dtype)), **case.kwargs).double().numpy()

    def call(x, seed=0):
        return function(x, **case.kwargs, key=jax.random.key(seed))

    (first, pullback), second = jax.vjp(call, x), call(x, 1)
    assert first.dtype == dtype
    assert np.array_equal(first, call(x))
    assert np.array_equal(first, second) == (p in (0, 1) or not training)
    found = channels_first(np.asarray(first, np.float64), case)
    kept = (found != 0) & (theirs != 0)
    assert np.array_equal(found[kept], theirs[kept])
    assert kept.any() == (p < 1 or not training)
    spatial = found.shape[found.ndim - case.options["spatial"] :]
    dropped = (found == 0).reshape(-1, math.prod(spatial))
    assert (dropped.all(1) == dropped.any(1)).all()
    share = p if training else 0.0
    assert abs(dropped[:, 0].mean() - share) <= 4 * np.sqrt(share * (1 - share) / len(dropped))
    gradient = np.asarray(pullback(jnp.ones_like(first))[0], np.float64)
    scale = float(jnp.asarray(1 / (1 - share), dtype)) if share < 1 else 0.0
    assert np.array_equal(gradient, np.where(np.asarray(first) != 0, scale, 0.0))


def test_channels_are_dropped_by_example_and_by_channel():
    y = ja.functional.dropout2d(jnp.ones((16, 2, 2, 16)), key=jax.random.key(0))[:, 0, 0]
    assert not (y == y[:1]).all()
    assert not (y == y[:, :1]).all()


def test_nan_is_kept_as_pytorch_does():
    x = jnp.full((64,), jnp.nan)
    for p in (0.5, 1.0):
        assert torch.nn.functional.dropout(torch.tensor(np.asarray(x)), p).isnan().all()
        assert jnp.isnan(ja.functional.dropout(x, p, key=jax.random.key(0))).all()


@pytest.mark.parametrize("name", ["dropout", "dropout1d", "dropout2d", "dropout3d"])
def test_a_key_is_needed_where_a_mask_is_drawn(name):
    function = getattr(ja.functional, name)
    x = jnp.ones((2, 3, 3, 3, 4) if name == "dropout3d" else (2, 3, 3, 4))
    x = x[0] if name == "dropout1d" else x
    with pytest.raises(ValueError, match=rf"needs a key: {name}\(input, p, key="):
        function(x)
    assert function(x, training=False) is x
    assert function(x, 0.0) is x
    assert not function(x, 1.0).any()
    with pytest.raises(RuntimeError, match="result type Float"):
        getattr(torch.nn.functional, name)(torch.ones(x.shape, dtype=torch.int64))
    with pytest.raises(TypeError, match="floating point"):
        function(x.astype(int), key=jax.random.key(0))


@pytest.mark.parametrize("case", BAD, ids=lambda case: case.id)
def test_errors_have_pytorchs_text(case):
    with pytest.raises((ValueError, RuntimeError)) as expected:
        oracle_of(case)(torch.ones(case.options["shape"]), **case.kwargs)
    x = jnp.ones(channels_last(np.empty(case.options["shape"]), case).shape)
    with pytest.raises(ValueError) as found:
        lookup("jaxaccel", case.function)(x, **case.kwargs, key=jax.random.key(0))
    assert str(found.value) == str(expected.value)


def test_dropout2d_of_one_image_raises():
    """PyTorch takes three axes for (N, C, L), and warns that it will not always."""
    with pytest.raises(ValueError, match="dropout2d: Expected 4D input, but received a 3D input"):
        ja.functional.dropout2d(jnp.ones((4, 4, 3)), key=jax.random.key(0))
    with pytest.warns(UserWarning, match="Received a 3D input to dropout2d"):
        torch.nn.functional.dropout2d(torch.ones(3, 4, 4))
