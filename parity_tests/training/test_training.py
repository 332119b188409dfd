"""The training step against the loop that a PyTorch script writes by hand."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import torch

import jaxaccel as ja
from parity_tests import tolerances as tol
from parity_tests.harness.network import (
    assert_same_weights,
    classification_loss,
    images_and_labels,
    perceptron,
    resnet,
    torch_batch,
    weights_of,
)

STEPS = 5
MAX_GRAD_NORM = 0.5


def run_pytorch(twin, batches, parts):
    """Train a PyTorch model: clipping, accumulation, AdamW under OneCycle; return its losses."""
    optimizer = torch.optim.AdamW(twin.parameters(), lr=1e-2, weight_decay=0.1)
    scheduler = torch.optim.lr_scheduler.OneCycleLR(optimizer, 1e-2, total_steps=STEPS)
    losses, norms = [], []
    for images, labels in batches:
        optimizer.zero_grad()
        total = 0.0
        for part in np.split(np.arange(len(labels)), parts):
            inputs, targets = torch_batch(images[part], labels[part])
            loss = torch.nn.functional.cross_entropy(twin(inputs), targets) / parts
            loss.backward()
            total += loss.item()
        norms.append(torch.nn.utils.clip_grad_norm_(twin.parameters(), MAX_GRAD_NORM).item())
        optimizer.step()
        if len(norms) < STEPS:
            scheduler.step()
        losses.append(total)
    return np.array(losses), np.array(norms)


def recipe():
    """Return the same optimizer and schedule in jaxaccel."""
    lr = ja.schedules.one_cycle_lr(1e-2, total_steps=STEPS)
    beta1 = ja.schedules.one_cycle_momentum(total_steps=STEPS)
    return ja.optimizers.adamw(lr, betas=(beta1, 0.999), weight_decay=0.1)


@pytest.mark.parametrize(
    ("parts", "unroll"),
    [(1, None), (3, True), (3, False)],
    ids=["whole", "three parts unrolled", "three parts scanned"],
)
@pytest.mark.parametrize("network", [perceptron, resnet])
def test_step_equals_pytorch_loop(network, parts, unroll):
    model, twin = network()
    batches = [images_and_labels(12, seed=seed) for seed in range(STEPS)]
    losses, norms = run_pytorch(twin, batches, parts)

    apply, params, model_state = ja.training.split_model(model)
    tx = recipe()
    step = ja.training.train_step(
        classification_loss(apply),
        tx,
        max_grad_norm=MAX_GRAD_NORM,
        accumulation_steps=parts,
        unroll_accumulation=unroll,
    )
    with jax.numpy_dtype_promotion("standard"):  # optax's loss mixes int32 and float64
        state, history = ja.training.fit(
            step,
            ja.training.train_state(params, tx, model_state),
            lambda epoch: [jax.tree.map(jnp.asarray, batch) for batch in batches],
            progress=False,
        )
    np.testing.assert_allclose(history.steps["loss"], losses, rtol=tol.NETWORK_FLOAT64_OF_NORM)
    np.testing.assert_allclose(history.steps["grad_norm"], norms, rtol=tol.NETWORK_FLOAT64_OF_NORM)
    assert_same_weights(weights_of(model, state), twin, tol.NETWORK_FLOAT64_OF_NORM)
    assert step._cache_size() == 1


def test_state_is_donated_and_the_model_survives():
    model, _ = perceptron()
    apply, params, model_state = ja.training.split_model(model)
    tx = recipe()
    batch = jax.tree.map(jnp.asarray, images_and_labels(4))
    for donate in (True, False):
        step = ja.training.train_step(classification_loss(apply), tx, donate=donate)
        state = ja.training.train_state(params, tx, model_state)
        with jax.numpy_dtype_promotion("standard"):
            step(state, batch)
        deleted = [leaf.is_deleted() for leaf in jax.tree.leaves(state.params)]
        assert deleted == [donate] * len(deleted)
        assert not any(leaf.is_deleted() for leaf in jax.tree.leaves(params))


def test_policy_computes_in_bfloat16_and_keeps_float32():
    seen = {}

    def loss_fn(params, model_state, batch):
        images, labels = batch
        seen.update(w=params["w"].dtype, images=images.dtype, labels=labels.dtype)
        return jnp.mean((images @ params["w"]) ** 2), (model_state, {})

    tx = ja.optimizers.adamw(lr=0.1)
    step = ja.training.train_step(loss_fn, tx, policy=ja.precision.Policy())
    state = ja.training.train_state(
        {"w": jnp.ones((3, 1), jnp.float32)}, tx, {"mean": jnp.ones(3, jnp.float32)}
    )
    batch = jnp.ones((4, 3), jnp.float32), jnp.zeros(4, jnp.int32)
    state, metrics = step(state, batch)
    assert seen == {"w": jnp.bfloat16, "images": jnp.bfloat16, "labels": jnp.int32}
    assert {leaf.dtype for leaf in jax.tree.leaves((state.params, state.model_state))} == {
        jnp.dtype("float32")
    }
    assert state.opt_state.exp_avg["w"].dtype == jnp.float32
    assert metrics["loss"].dtype == jnp.float32


def test_split_model_leaves_the_model_alone_and_evaluates_with_running_statistics():
    model, twin = resnet()
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
    np.testing.assert_allclose(
        logits, expected, atol=tol.NETWORK_FLOAT64_OF_NORM * np.max(np.abs(expected))
    )
    assert all(
        np.array_equal(a, b)
        for a, b in zip(jax.tree.leaves(unchanged), jax.tree.leaves(model_state), strict=True)
    )


def test_fit_keeps_every_step_and_summarises_epochs():
    def step(state, batch):
        return state + batch, {"loss": jnp.asarray(batch)}

    state, history = ja.training.fit(
        step,
        jnp.zeros(()),
        lambda epoch: [jnp.asarray(epoch + 1.0), jnp.asarray(epoch + 3.0)],
        epochs=2,
        evaluate=lambda state: {"state": float(state)},
        progress=True,
    )
    assert history.steps["loss"].tolist() == [1.0, 3.0, 2.0, 4.0]
    assert [epoch["loss"] for epoch in history.epochs] == [2.0, 3.0]
    assert [epoch["state"] for epoch in history.epochs] == [4.0, 10.0]
    assert float(state) == 10.0
    with pytest.raises(ValueError, match="epoch 0 had no batch"):
        ja.training.fit(step, state, lambda epoch: [], progress=False)
