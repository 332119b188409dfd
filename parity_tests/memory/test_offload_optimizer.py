"""An optimizer's state in the host's memory: the same numbers, and room on the device."""

import importlib.util

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.sharding import NamedSharding, PartitionSpec

import jaxaccel as ja
from parity_tests import tolerances as tol
from parity_tests.harness.compare import assert_same_tree

HAS_LIBTPU = importlib.util.find_spec("libtpu") is not None
OPTIMIZERS = {
    "adamw": (lambda: ja.optimizers.adamw(1e-2), "FULL_SHARD"),
    "sgd on one device": (lambda: ja.optimizers.sgd(1e-2, momentum=0.9), None),
    "lbfgs": (lambda: ja.optimizers.lbfgs(1e-2, max_iter=2, history_size=8), "SHARD_GRAD_OP"),
}


def loss_fn(params, model_state, batch):
    for weight in params:
        batch += jnp.tanh(batch @ weight)
    return jnp.mean(batch**2), (model_state, {})


def trained(tx, strategy):
    """Return the state after three steps, scaled, on one device or in shares."""
    gradient_fn, mesh, placement = ja.training.gradients(loss_fn), None, None
    if strategy is not None:
        mesh = ja.parallel.make_mesh()
        gradient_fn, placement = ja.parallel.fully_shard(
            gradient_fn, mesh, strategy=strategy, param_persistence_threshold=0
        )
    rng, scaler = np.random.default_rng(0), ja.precision.grad_scaler(init_scale=8.0)
    params = [jnp.asarray(rng.normal(size=(16, 16))) for _ in range(4)]
    batch = jnp.asarray(rng.normal(size=(16, 16)))
    batch = batch if mesh is None else ja.parallel.shard_batch(batch, mesh)
    state = ja.training.train_state(params, tx, mesh=mesh, placement=placement, scaler=scaler)
    step = ja.training.train_step(gradient_fn, tx, scaler=scaler)
    for _ in range(3):
        state, _ = step(state, batch)
    return state


@pytest.mark.parametrize("name", [*OPTIMIZERS])
def test_the_numbers_are_those_of_a_state_on_the_device(name):
    make, strategy = OPTIMIZERS[name]
    expected = trained(make(), strategy)
    found = trained(ja.memory.offload_optimizer(make()), strategy)
    assert_same_tree(found, expected, tol.DEVICES_FLOAT64_OF_MAX)
    for leaf, of_device in zip(
        jax.tree.leaves(found.opt_state), jax.tree.leaves(expected.opt_state), strict=True
    ):
        memory = "pinned_host" if leaf.ndim else "device"
        assert leaf.sharding.memory_kind == memory
        place = of_device.sharding.with_memory_kind(memory)
        assert leaf.sharding.is_equivalent_to(place, leaf.ndim)


@pytest.mark.skipif(not HAS_LIBTPU, reason="needs the extra aot")
def test_a_tpu_holds_a_few_arrays_of_it_at_a_time():
    """By its compiler's own count, with all that it does to hide transfers: of 24 less than 12."""
    mesh = ja.parallel.make_mesh(devices=ja.aot.topology_devices("tpu:v5e:2x2"))
    gradient_fn, placement = ja.parallel.zero(ja.training.gradients(loss_fn), mesh, stage=0)
    found = {}
    for is_offloaded in (False, True):
        tx = ja.optimizers.adamw(1e-3)
        tx = ja.memory.offload_optimizer(tx) if is_offloaded else tx
        params = [jax.ShapeDtypeStruct((1024, 1024), jnp.float32)] * 12
        with jax.enable_x64(False):
            state = jax.eval_shape(
                lambda params, tx=tx: ja.training.train_state(params, tx), params
            )
            state = ja.parallel.distribute_state(state, mesh, placement)
            if is_offloaded:
                state = state._replace(opt_state=jax.tree.map(on_host, state.opt_state))
            rows = NamedSharding(mesh, PartitionSpec("data"))
            batch = jax.ShapeDtypeStruct((64, 1024), jnp.float32, sharding=rows)
            step = ja.training.train_step(gradient_fn, tx)
            report = ja.aot.report(step.lowered(state, batch).compile())
            found[is_offloaded] = report
    array, on_device, offloaded = 4 * 1024**2, found[False], found[True]
    moved = on_device.argument_bytes - offloaded.argument_bytes
    assert moved == pytest.approx(24 * array, rel=0.01)
    # Gradients wait for all arrays that come before them.
    assert offloaded.temporary_bytes < (12 + 12) * array
    assert offloaded.peak_bytes < on_device.peak_bytes


def on_host(leaf):
    """Return a shape in the host's memory; single numbers stay."""
    if not leaf.ndim:
        return leaf
    return leaf.update(sharding=leaf.sharding.with_memory_kind("pinned_host"))
