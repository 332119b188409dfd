"""The training step against the loop that a PyTorch script writes by hand."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import torch

import jaxaccel as ja
from parity_tests import tolerances as tol
from parity_tests.harness.compare import assert_each_close, assert_same_weights
from parity_tests.harness.network import (
    classification_loss,
    conv_net,
    images_and_labels,
    perceptron,
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
        for a in range(parts):
            inputs, targets = torch_batch(images[a::parts], labels[a::parts])
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


RUNS = {
    "perceptron": (perceptron, 1, None),
    "convolutions in three parts": (conv_net, 3, False),
}


@pytest.mark.parametrize("run", RUNS)
def test_step_equals_pytorch_loop(run):
    network, parts, unroll = RUNS[run]
    model, twin = network()
    batches = [images_and_labels(12, seed=seed) for seed in range(STEPS)]
    losses, norms = run_pytorch(twin, batches, parts)

    apply, params, model_state = ja.training.split_model(model)
    tx = recipe()
    gradient_fn = ja.training.gradients(classification_loss(apply))
    gradient_fn = ja.training.accumulate(gradient_fn, parts, unroll=unroll)
    step = ja.training.train_step(gradient_fn, tx, max_grad_norm=MAX_GRAD_NORM)
    with jax.numpy_dtype_promotion("standard"):  # optax's loss mixes int32 and float64
        state, history = ja.training.fit(
            step,
            ja.training.train_state(params, tx, model_state),
            lambda epoch: [jax.tree.map(jnp.asarray, batch) for batch in batches],
            progress=False,
        )
    assert_each_close(history.steps["loss"], losses, tol.NETWORK_FLOAT64_OF_NORM)
    assert_each_close(history.steps["grad_norm"], norms, tol.NETWORK_FLOAT64_OF_NORM)
    assert_same_weights(weights_of(model, state), twin, tol.NETWORK_FLOAT64_OF_NORM)
