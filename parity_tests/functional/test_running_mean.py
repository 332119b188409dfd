"""The variance of a batch by sums about the running mean: digits, derivatives, devices."""

import functools
import re

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import torch
import torch.nn.functional as F
from jax.sharding import PartitionSpec as P

import jaxaccel as ja
from parity_tests import tolerances as tol
from parity_tests.harness.compare import assert_close

GUESSES = [
    ("near", 1.0, 2.0, 1.1),
    ("two deviations off", 1.0, 2.0, 5.0),
    ("one deviation off", 1.0, 2.0, 2.99),
    ("the first step", 1e4, 1.0, 0.0),
    ("near a large mean", 1e4, 1.0, 1e4),
    ("far from a large mean", 1e4, 1.0, 1e4 + 100),
    ("tiny variance", 3.0, 1e-3, 2.9),
    ("no variance", 3.0, 0.0, 0.0),
    ("no variance, near", 3.0, 0.0, 3.0),
    ("its square overflows", 1.0, 2.0, 1e30),
    ("the squares of sums overflow", 1.0, 2.0, 3e38),
    ("not a number", 1.0, 2.0, np.nan),
]
"""Mean and standard deviation of an input in float32, and the running mean that it meets."""


@functools.partial(jax.jit, static_argnames="axis_name")
def float32_batch_norm(x, cotangent, guess, axis_name=None):
    """Return output, variance of the batch and gradient of the input."""
    stats = jnp.full(x.shape[-1], guess, x.dtype), jnp.ones(x.shape[-1], x.dtype)

    def call(x):
        result = ja.functional.batch_norm(
            x, *stats, training=True, momentum=1.0, axis_name=axis_name
        )
        return result.output, result.running_var

    output, pullback, var = jax.vjp(call, x, has_aux=True)
    return output, var, pullback(cotangent)[0]


def guessed(mean, std, dtype=np.float32, shape=(16, 8, 4, 5)):
    """Return an input, channels last, and the gradient of its output."""
    rng = np.random.default_rng(9)
    return rng.normal(mean, std, shape).astype(dtype), rng.normal(size=shape).astype(dtype)


def exact_batch_norm(x, cotangent):
    """Return what :func:`float32_batch_norm` does, by PyTorch in float64."""
    tensor = torch.tensor(x.astype(np.float64)).movedim(-1, 1).requires_grad_()
    statistics = torch.zeros(x.shape[-1]).double(), torch.ones(x.shape[-1]).double()
    output = F.batch_norm(tensor, *statistics, training=True, momentum=1.0)
    output.backward(torch.tensor(cotangent.astype(np.float64)).movedim(-1, 1))
    found = output.detach(), statistics[1], tensor.grad
    return [np.moveaxis(a.numpy(), 1, -1) if a.ndim > 1 else a.numpy() for a in found]


@pytest.mark.parametrize(("why", "mean", "std", "guess"), GUESSES)
def test_no_running_mean_costs_digits(why, mean, std, guess):
    """The one pass about it loses a bit at most, and elsewhere there are two."""
    x, cotangent = guessed(mean, std)
    found, judges = float32_batch_norm(x, cotangent, guess), exact_batch_norm(x, cotangent)
    for i, (own, judge) in enumerate(zip(found, judges, strict=True)):
        digits = tol.LAYER_FLOAT32_OF_MAX if i != 1 else 4 * np.finfo(np.float32).eps
        assert_close(own, judge, digits)


@pytest.mark.parametrize("guess", [1.1, -300.0])
def test_derivatives_do_not_depend_on_the_running_mean(guess):
    """Forward mode, second derivatives and a batch of batches, in float32 against float64."""
    x, direction = guessed(1.0, 2.0, shape=(4, 3, 2, 3))

    def loss(x):
        stats = jnp.full(3, guess, x.dtype), jnp.ones(3, x.dtype)
        output = ja.functional.batch_norm(x, *stats, training=True).output
        return jnp.sum(jnp.sin(output) * jnp.arange(x.size, dtype=x.dtype).reshape(x.shape))

    def derivatives(x, direction):
        slope = jax.jvp(loss, (x,), (direction,))
        gradient, curvature = jax.jvp(jax.grad(loss), (x,), (direction,))
        both = jax.vmap(jax.grad(loss))(jnp.stack([x, x + 1]))
        return *slope, gradient, curvature, *both

    found = jax.jit(derivatives)(x, direction)
    judges = jax.jit(derivatives)(*(jnp.asarray(a, np.float64) for a in (x, direction)))
    assert found[0].dtype == np.float32
    for own, judge in zip(found, judges, strict=True):
        assert_close(own, judge, tol.LAYER_FLOAT32_OF_MAX, 1.0)


def over_devices(guess):
    """Return :func:`float32_batch_norm` of a batch on eight devices, mapped and sharded."""
    mesh = jax.make_mesh((8,), ("data",), axis_types=(jax.sharding.AxisType.Auto,))
    mapped = jax.shard_map(
        functools.partial(float32_batch_norm, guess=guess, axis_name="data"),
        mesh=mesh,
        in_specs=(P("data"), P("data")),
        out_specs=(P("data"), P(), P("data")),
    )
    own = jax.sharding.NamedSharding(mesh, P("data"))
    sharded = functools.partial(float32_batch_norm, guess=guess)
    return [jax.jit(f, in_shardings=(own, own)) for f in (mapped, sharded)]


@pytest.mark.parametrize("guess", [30.0, 100.0])
def test_devices_agree_on_the_running_mean(guess):
    """Each has a mean of its own. That of the whole batch is near 30, and not near 100."""
    x, cotangent = guessed(1.0, 2.0)
    x = x + np.arange(16, dtype=np.float32).reshape(-1, 1, 1, 1) // 2 * 10
    judges = exact_batch_norm(x, cotangent)
    for function in over_devices(guess):
        program = function.lower(x, cotangent).compile()
        for own, judge in zip(program(x, cotangent), judges, strict=True):
            assert_close(own, judge, tol.LAYER_FLOAT32_OF_MAX)
        # The sums of both passes at once; those of two passes are in a branch.
        always = program.as_text().split("ENTRY")[1]
        assert len(re.findall(r"all-reduce(?:-start)?\(", always)) == 2


@pytest.mark.parametrize("mode", ["shard_map", "pmap", "vmap"])
def test_devices_with_running_means_of_their_own_have_one_result(mode):
    """As after training without ``axis_name``: some are near the mean, and some are not."""
    x, _ = guessed(1.0, 2.0, shape=(8, 4, 3, 3, 5))
    means = np.linspace(-9, 9, 8, dtype=np.float32)[:, None] * np.ones(5, np.float32)

    def call(x, mean):
        return ja.functional.batch_norm(
            x, mean, jnp.ones_like(mean), training=True, axis_name="data"
        ).output

    if mode == "shard_map":
        run = jax.jit(
            jax.shard_map(
                lambda x, mean: call(x[0], mean[0])[None],
                mesh=ja.parallel.make_mesh(),
                in_specs=(P("data"), P("data")),
                out_specs=P("data"),
            )
        )
    else:
        run = {"pmap": jax.pmap, "vmap": jax.vmap}[mode](call, axis_name="data")
    whole = x.reshape(-1, *x.shape[2:])
    expected = exact_batch_norm(whole, np.zeros_like(whole))[0]
    assert_close(np.asarray(run(x, means)).reshape(whole.shape), expected, tol.LAYER_FLOAT32_OF_MAX)
