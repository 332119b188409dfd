"""A model as a function, some of it frozen, and the way back: against PyTorch's own freezing."""

import re

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
import torch
from flax import nnx

import jaxaccel as ja
from parity_tests import tolerances as tol
from parity_tests.harness.compare import assert_close, assert_same_weights
from parity_tests.harness.network import (
    classification_loss,
    conv_net,
    images_and_labels,
    torch_batch,
)


def test_split_model_leaves_the_model_alone_and_evaluates_with_running_statistics():
    model, twin = conv_net()
    images, labels = images_and_labels(6)
    before = ja.nn.state_dict(model)
    apply, params, model_state = ja.training.split_model(model)
    _, model_state = jax.jit(lambda x: apply(params, model_state, x, training=True))(
        jnp.asarray(images)
    )
    for name, array in ja.nn.state_dict(model).items():
        np.testing.assert_array_equal(array, before[name])

    inputs, _ = torch_batch(images, labels)
    twin(inputs)
    expected = twin.eval()(inputs).detach().numpy()
    logits, unchanged = apply(params, model_state, jnp.asarray(images), training=False)
    assert_close(logits, expected, tol.NETWORK_FLOAT64_OF_NORM)
    assert all(
        np.array_equal(a, b)
        for a, b in zip(jax.tree.leaves(unchanged), jax.tree.leaves(model_state), strict=True)
    )


HEAD = {
    "expression": "^fc",
    "compiled expression": re.compile("^FC", re.IGNORECASE),
    "predicate": lambda path, leaf: path.startswith("fc.") and leaf.ndim > 0,
    "nnx filter": nnx.PathContains("fc"),
}


@pytest.mark.parametrize("kind", HEAD)
def test_what_is_trained_can_be_said_in_four_ways(kind):
    model, _ = conv_net()
    _, params, model_state = ja.training.split_model(model, trainable=HEAD[kind])
    assert {".".join(map(str, path)) for path, _ in nnx.to_flat_state(params)} == {
        "fc.bias",
        "fc.weight",
    }
    frozen = nnx.to_flat_state(nnx.filter_state(model_state, nnx.Param))
    assert len(frozen) + 2 == len(nnx.to_flat_state(nnx.state(model, nnx.Param)))


def test_frozen_weights_are_in_no_gradient_norm_or_state_and_statistics_move():
    """PyTorch's ``requires_grad_(False)`` on all but the head, three steps with clipping."""
    model, twin = conv_net()
    for name, parameter in twin.named_parameters():
        parameter.requires_grad_(name.startswith("fc"))
    optimizer = torch.optim.AdamW(filter(lambda p: p.requires_grad, twin.parameters()), lr=0.1)
    apply, params, model_state = ja.training.split_model(model, trainable="^fc")
    tx, mesh = ja.optimizers.adamw(lr=0.1), ja.parallel.make_mesh()
    gradient_fn = ja.training.gradients(classification_loss(apply))
    gradient_fn = ja.parallel.data_parallel(gradient_fn, mesh, mode="jit")
    step = ja.training.train_step(gradient_fn, tx, max_grad_norm=0.1)
    state = ja.training.train_state(params, tx, model_state, mesh=mesh)
    assert jax.tree.structure(state.opt_state.exp_avg) == jax.tree.structure(params)
    for seed in range(3):
        images, labels = images_and_labels(8, seed=seed)
        with jax.numpy_dtype_promotion("standard"):
            state, metrics = step(state, (jnp.asarray(images), jnp.asarray(labels)))
        inputs, targets = torch_batch(images, labels)
        optimizer.zero_grad()
        torch.nn.functional.cross_entropy(twin(inputs), targets).backward()
        norm = torch.nn.utils.clip_grad_norm_(twin.parameters(), 0.1)
        optimizer.step()
        assert_close(metrics["grad_norm"], norm, tol.NETWORK_FLOAT64_OF_NORM)
    before = {n: a.copy() for n, a in ja.nn.state_dict(model).items() if not n.startswith("fc")}
    ja.training.merge(model, state.params, state.model_state)
    found = ja.nn.state_dict(model)
    assert list(found) == list(twin.state_dict())
    assert_same_weights(found, twin, tol.NETWORK_FLOAT64_OF_NORM)
    for name, array in before.items():
        assert np.array_equal(found[name], array) != ("running" in name or "num_" in name), name


def test_frozen_weights_are_in_no_norm():
    """Where freezing by a learning rate of 0 leaves 141.4, PyTorch has 1.414."""

    class Two(nnx.Module):
        def __init__(self):
            self.head, self.body = nnx.Param(jnp.ones(2)), nnx.Param(jnp.ones(2))

        def __call__(self, x):
            return jnp.sum(self.head[...]) * x + 100 * jnp.sum(self.body[...]) * x

    for trainable, norm in ((None, np.sqrt(20_002)), ("head", np.sqrt(2))):
        apply, params, model_state = ja.training.split_model(Two(), trainable)

        def loss_fn(params, model_state, batch, apply=apply):
            outputs, model_state = apply(params, model_state, batch, training=True)
            return outputs, (model_state, {})

        tx = ja.optimizers.sgd(lr=0.1)
        step = ja.training.train_step(ja.training.gradients(loss_fn), tx)
        state = ja.training.train_state(params, tx, model_state)
        state, metrics = step(state, jnp.ones(()))
        assert_close(metrics["grad_norm"], norm, tol.TRANSFORM_FLOAT64_OF_MAX)


@pytest.mark.parametrize("mode", ["shard_map", "pmap"])
def test_frozen_weights_are_not_sent_between_devices(mode):
    """Of a frozen backbone nothing is all-reduced; on three devices no bit of it drifts either."""
    model = ja.models.mlp(64, [16], 10, dtype=jnp.float64, rngs=nnx.Rngs(0))
    apply, params, model_state = ja.training.split_model(model, "layers.1")
    mesh = ja.parallel.make_mesh(devices=jax.devices()[:3])
    gradient_fn = ja.training.gradients(classification_loss(apply))
    wrapped = ja.parallel.data_parallel(
        ja.training.accumulate(gradient_fn, 2, unroll=False), mesh, mode=mode
    )
    batch = jax.tree.map(jnp.asarray, images_and_labels(6))
    batch = ja.parallel.shard_batch(batch, mesh)
    params, model_state = ja.parallel.replicate((params, model_state), mesh)
    with jax.numpy_dtype_promotion("standard"):
        run = jax.jit(wrapped).lower(params, model_state, batch).compile()
    for old, new in zip(
        *map(jax.tree.leaves, (model_state, run(params, model_state, batch).model_state)),
        strict=True,
    ):
        assert np.array_equal(old, new)
    sent = [line for line in run.as_text().splitlines() if " all-reduce(" in line]
    assert sent
    assert not any("[64,16]" in line for line in sent)


def test_trainable_that_matches_nothing_lists_the_paths():
    layer = ja.nn.BatchNorm2d(2)
    with pytest.raises(ValueError, match=r"'head' matches no parameter.*are bias, weight"):
        ja.training.split_model(layer, "head")
    with pytest.raises(ValueError, match="matches no parameter"):
        ja.training.split_model(layer, "running_mean")  # no parameter: never trained


def test_inputs_may_be_named():
    layer = ja.nn.GRU(3, 4, dtype=jnp.float64, rngs=nnx.Rngs(0))
    apply, params, state = ja.training.split_model(layer)
    x, lengths = jnp.ones((5, 2, 3)), jnp.array([5, 2])
    (found, _), _ = apply(params, state, input=x, lengths=lengths, training=True)
    expected, _ = layer(x, lengths=lengths)
    assert np.array_equal(found, expected)


def test_merged_weights_survive_the_next_donated_step():
    model = ja.nn.Linear(2, 1, rngs=nnx.Rngs(0))
    _, params, _ = ja.training.split_model(model)
    tx = optax.sgd(0.5)
    step = ja.training.train_step(
        ja.training.gradients(lambda p, s, b: (jnp.sum(p["weight"][...] ** 2), (s, {}))), tx
    )
    state, _ = step(ja.training.train_state(params, tx), jnp.ones(1))
    ja.training.merge(model, state.params)
    step(state, jnp.ones(1))
    assert np.all(np.isfinite(model.weight[...]))
    assert not np.any(model.weight[...])


def test_the_model_and_the_trees_do_not_change_each_other():
    model = ja.nn.BatchNorm2d(2)
    apply, params, model_state = ja.training.split_model(model)
    inputs = jnp.ones((2, 1, 1, 2), jnp.float32)
    _, moved = apply(params, model_state, inputs, training=True)
    ja.training.merge(model, jax.tree.map(lambda leaf: leaf + 1, params), moved)
    assert params["weight"][...].tolist() == [1, 1]
    assert model_state["running_mean"][...].tolist() == [0, 0]


def test_trees_that_do_not_fit_change_nothing():
    """What differs is listed; without a state, what is not given is taken to be frozen."""

    class Net(nnx.Module):
        def __init__(self, width):
            self.body = ja.nn.Linear(2, width, rngs=nnx.Rngs(0))
            self.head = ja.nn.BatchNorm1d(width)

    model, wide = Net(3), Net(4)
    _, params, model_state = ja.training.split_model(model, "^body")
    _, other, _ = ja.training.split_model(wide, "^body")
    moved = jax.tree.map(lambda x: x + 1, params)
    without_a_bias = nnx.clone(moved)
    del without_a_bias["body"]["bias"]
    shapes = r"Net: body.bias has shape \(4,\), in the model \(3,\); body.weight has shape \(2, 4\)"
    before = ja.nn.state_dict(model)
    for trees, text in [
        ((other,), shapes),
        (
            (moved, jax.tree.map(lambda x: x[..., None], model_state)),
            r"head.bias has shape \(3, 1\)",
        ),
        (({"nothing": moved},), "the model has no nothing.body.bias"),
        ((without_a_bias, model_state), "Net: body.bias is missing; pass"),
        ((moved, nnx.filter_state(model_state, nnx.Param)), "head.running_mean is missing"),
    ]:
        with pytest.raises(ValueError, match=text):
            ja.training.merge(model, *trees)
        assert ja.nn.state_dict(model).keys() == before.keys()
        assert all(np.array_equal(ja.nn.state_dict(model)[name], before[name]) for name in before)
    ja.training.merge(model, moved)
    assert np.array_equal(ja.nn.state_dict(model)["body.bias"], before["body.bias"] + 1)
