"""Eight simulated devices against one, and against PyTorch rank by rank."""

import functools
import re

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import torch

import jaxaccel as ja
from parity_tests import tolerances as tol
from parity_tests.harness.compare import assert_same_tree, assert_same_weights
from parity_tests.harness.network import (
    classification_loss,
    conv_net,
    images_and_labels,
    perceptron,
    torch_batch,
    weights_of,
)

DEVICES = 8
STEPS = 4
ROWS = 32


@pytest.fixture(autouse=True)
def optax_losses():
    """Optax's loss mixes int32 and float64."""
    with jax.numpy_dtype_promotion("standard"):
        yield


def train(model, mesh, mode, parts=1, unroll=None):
    """Return the state after some steps of AdamW on batches of 32 a part, and their metrics."""
    apply, params, model_state = ja.training.split_model(model)
    tx = ja.optimizers.adamw(lr=1e-2, weight_decay=0.1)
    gradient_fn = ja.training.gradients(classification_loss(apply))
    gradient_fn = ja.training.accumulate(gradient_fn, parts, unroll=unroll)
    if mesh is not None:
        gradient_fn = ja.parallel.data_parallel(gradient_fn, mesh, mode=mode)
    step = ja.training.train_step(gradient_fn, tx, max_grad_norm=0.5)
    state = ja.training.train_state(params, tx, model_state, mesh=mesh)
    metrics = []
    for seed in range(STEPS):
        batch = jax.tree.map(jnp.asarray, images_and_labels(ROWS * parts, seed=seed))
        batch = batch if mesh is None else ja.parallel.shard_batch(batch, mesh)
        state, measured = step(state, batch)
        metrics.append({name: float(value) for name, value in measured.items()})
    return state, metrics


@functools.cache
def trained_alone(network):
    return train(network()[0], None, "jit")


@pytest.mark.parametrize(
    ("network", "mode"),
    [
        (conv_net, "jit"),
        (conv_net, "shard_map"),
        pytest.param(perceptron, "pmap", marks=pytest.mark.quick),
    ],
)
def test_eight_devices_equal_one(network, mode):
    """With batch statistics over all devices; everything replicated."""
    synchronized = {} if network is perceptron or mode == "jit" else {"axis_name": "data"}
    expected, alone = trained_alone(network)
    state, metrics = train(network(**synchronized)[0], ja.parallel.make_mesh(), mode)
    assert_same_tree(state, expected, tol.DEVICES_FLOAT64_OF_MAX)
    for found, judge in zip(metrics, alone, strict=True):
        assert found == pytest.approx(judge, rel=tol.DEVICES_FLOAT64_OF_MAX)
    assert all(leaf.sharding.is_fully_replicated for leaf in jax.tree.leaves(state))
    assert all(len(leaf.devices()) == DEVICES for leaf in jax.tree.leaves(state))


def test_batch_norm_of_its_own_rows_equals_ddp():
    """Per-rank BatchNorm, as in DistributedDataParallel: PyTorch's gradients by rank and part."""
    (model, twin), parts = conv_net(), 2
    state, _ = train(model, ja.parallel.make_mesh(), "shard_map", parts)
    optimizer = torch.optim.AdamW(twin.parameters(), lr=1e-2, weight_decay=0.1)
    for seed in range(STEPS):
        images, labels = images_and_labels(ROWS * parts, seed=seed)
        optimizer.zero_grad()
        for of_rank in np.split(np.arange(ROWS * parts), DEVICES):
            for rows in (of_rank[a::parts] for a in range(parts)):
                inputs, targets = torch_batch(images[rows], labels[rows])
                loss = torch.nn.functional.cross_entropy(twin(inputs), targets)
                (loss / DEVICES / parts).backward()
        torch.nn.utils.clip_grad_norm_(twin.parameters(), 0.5)
        optimizer.step()
    assert_same_weights(
        weights_of(model, state), twin, tol.NETWORK_FLOAT64_OF_NORM, also_statistics=False
    )


def test_arrays_that_are_on_no_mesh_come_to_one_with_explicit_axes():
    def loss_fn(params, model_state, batch):
        return jnp.mean((params * batch) ** 2), (model_state, {})

    batch, mesh = jnp.arange(8.0), jax.make_mesh((8,), ("data",))
    assert mesh.axis_types == (jax.sharding.AxisType.Explicit,)
    gradient_fn = ja.training.gradients(loss_fn)
    found = ja.parallel.data_parallel(gradient_fn, mesh)(2.0, (), batch)
    assert found.grads == gradient_fn(2.0, (), batch).grads


def test_fewer_devices():
    expected, _ = trained_alone(perceptron)
    mesh = ja.parallel.make_mesh({"data": 2}, devices=jax.devices()[:2])
    state, _ = train(perceptron()[0], mesh, "shard_map")
    assert_same_tree(state, expected, tol.DEVICES_FLOAT64_OF_MAX)


@pytest.mark.parametrize("parts", [1, 2])
@pytest.mark.parametrize("mode", ["jit", "shard_map"])
def test_the_only_collective_is_the_mean(mode, parts):
    """Gradients and metrics are all-reduced; no parameter and no image moves."""
    model, _ = perceptron()
    apply, params, model_state = ja.training.split_model(model)
    tx = ja.optimizers.adamw()
    mesh = ja.parallel.make_mesh()
    gradient_fn = ja.training.gradients(classification_loss(apply))
    gradient_fn = ja.training.accumulate(gradient_fn, parts)
    step = ja.training.train_step(ja.parallel.data_parallel(gradient_fn, mesh, mode=mode), tx)
    state = ja.training.train_state(params, tx, model_state, mesh=mesh)
    batch = ja.parallel.shard_batch(jax.tree.map(jnp.asarray, images_and_labels(32)), mesh)
    program = jax.jit(step).lower(state, batch).compile().as_text()
    collectives = set(
        re.findall(r"\b(all-reduce|all-gather|all-to-all|collective-permute)\(", program)
    )
    assert collectives == {"all-reduce"}


def test_mesh_shapes():
    assert dict(ja.parallel.make_mesh().shape) == {"data": DEVICES}
    assert dict(ja.parallel.make_mesh({"data": 2, "model": -1}).shape) == {"data": 2, "model": 4}
    assert ja.parallel.make_mesh({"x": 8}).devices.size == DEVICES


@pytest.mark.parametrize("devices", [1, DEVICES])
def test_replicated_arrays_are_new(devices):
    """Donating them, keys included, leaves the originals alive."""
    mesh = ja.parallel.make_mesh(devices=jax.devices()[:devices])
    original = {"w": jnp.ones(3), "key": jax.random.key(0)}
    before = jax.random.key_data(original["key"]).tolist()
    copy = ja.parallel.replicate(original, mesh)
    jax.jit(lambda tree: jax.tree.map(jnp.copy, tree), donate_argnums=0)(copy)
    assert copy["w"].is_deleted()
    assert original["w"].tolist() == [1.0, 1.0, 1.0]
    assert jax.random.key_data(original["key"]).tolist() == before
