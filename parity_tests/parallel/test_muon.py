"""Muon's matrices in shares: gathered once for all iterations, or left to the compiler."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.sharding import AxisType, NamedSharding, PartitionSpec

import jaxaccel as ja
from jaxaccel import _math


def collectives(update, state, grads):
    """Return the kind, the bytes and the number of what devices send each other, numbers aside."""
    report = ja.aot.report(jax.jit(update).lower(state, grads).compile())
    return [(each.kind, each.bytes, each.times) for each in report.collectives if each.bytes > 64]


def test_a_small_matrix_is_gathered_once_and_a_large_one_when_the_compiler_likes():
    """Of a split matrix the numbers are those of one device, to the bit."""
    tx = ja.optimizers.muon(lr=lambda step: 0.1, eps=lambda step: 1e-7)
    mesh = ja.parallel.make_mesh()

    def update(state, grads):
        return tx.update(grads, *state)

    for shape, times in (((64, 32), 1), ((_math.WHOLE + 8, _math.WHOLE + 8), None)):
        like = jax.ShapeDtypeStruct(shape, jnp.float32)
        placed = like.update(sharding=NamedSharding(mesh, PartitionSpec("data")))
        state = jax.eval_shape(tx.init, like)
        state = state._replace(momentum_buffer=placed)
        found = collectives(update, (state, placed), placed)
        # A CPU sends bfloat16 as float32.
        assert {(kind, sent) for kind, sent, _ in found} == {("all-gather", 4 * np.prod(shape))}
        count = sum(number for *_, number in found)
        assert count == times if times else count >= 10, found
    weight = jnp.asarray(np.random.default_rng(0).normal(size=(64, 32)), jnp.float32)
    state = tx.init(weight)
    expected, _ = jax.jit(update)((state, weight), weight)
    split = jax.device_put(weight, NamedSharding(mesh, PartitionSpec(None, "data")))
    found, after = jax.jit(update)((tx.init(split), split), split)
    np.testing.assert_array_equal(found, expected)
    assert found.sharding.is_equivalent_to(split.sharding, 2)
    assert after.momentum_buffer.sharding.is_equivalent_to(split.sharding, 2)


def test_trials_side_by_side_stay_on_their_devices():
    tx, mesh = ja.optimizers.muon(), ja.parallel.make_mesh()
    trials = jax.ShapeDtypeStruct(
        (8, 16, 8), jnp.float32, sharding=NamedSharding(mesh, PartitionSpec("data"))
    )
    state = jax.eval_shape(jax.vmap(tx.init), trials)._replace(momentum_buffer=trials)

    def update(state, grads):
        return jax.vmap(lambda g, s, p: tx.update(g, s, p)[0])(grads, *state)

    assert collectives(update, (state, trials), trials) == []


@pytest.mark.parametrize(
    "types",
    [(AxisType.Explicit,) * 2, (AxisType.Auto, AxisType.Explicit), (AxisType.Auto,) * 2],
    ids=["explicit", "mixed", "auto"],
)
def test_a_matrix_is_gathered_once_whoever_the_axes_belong_to(types):
    tx, mesh = ja.optimizers.muon(), jax.make_mesh((2, 4), ("a", "b"), axis_types=types)
    weight = jnp.asarray(np.random.default_rng(0).normal(size=(64, 32)), jnp.float32)
    update = jax.jit(lambda state, grads: tx.update(grads, *state))
    expected, _ = update((tx.init(weight), weight), weight)
    split = jax.device_put(weight, NamedSharding(mesh, PartitionSpec("b")))
    with jax.set_mesh(mesh):
        state = tx.init(split)
        found, _ = update((state, split), split)
        sent = collectives(update, (state, split), split)
    np.testing.assert_array_equal(found, expected)
    assert [kind for kind, *_ in sent] == ["all-gather"]
