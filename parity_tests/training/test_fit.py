"""The loop and the evaluation: exact means over rows, whatever the batches."""

import jax.numpy as jnp
import numpy as np
import pytest
import torch

import jaxaccel as ja
from parity_tests import tolerances as tol
from parity_tests.harness.compare import assert_close


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


def test_a_small_last_batch_counts_by_its_rows():
    """As a PyTorch loop that adds up ``loss.item() * len(batch)``; along any axis."""

    def step(state, batch):
        return state, {"loss": jnp.mean(batch["tokens"])}

    tokens = np.arange(14.0).reshape(2, 7)
    batches = [
        {"tokens": tokens[:, :4], "table": np.ones(3)},
        {"tokens": tokens[:, 4:], "table": 1},
    ]
    axes = {"tokens": 1, "table": None}
    _, history = ja.training.fit(step, 0, lambda epoch: batches, progress=False, batch_axes=axes)
    assert_close(history.epochs[0]["loss"], np.mean(tokens), tol.TRANSFORM_FLOAT64_OF_MAX)
    with pytest.raises(ValueError, match=r"batch\['table'\] -> 3.*batch_axes"):
        ja.training.fit(step, 0, lambda epoch: batches, progress=False)


# --- evaluate -----------------------------------------------------------------------------------

FEATURES, ROWS, BATCH, CLASSES = 5, 22, 8, 3
calls = []


def metrics_of(params, model_state, batch):
    """Return a loss and a hit for each row; a row of zeros, as padding might be, has NaN."""
    calls.append(1)
    x, labels = batch
    logits = x @ params / jnp.sum(x, axis=1, keepdims=True)
    loss = ja.functional.cross_entropy(logits, labels, reduction="none")
    return {"loss": loss, "accuracy": jnp.argmax(logits, axis=1) == labels}


@pytest.mark.parametrize("devices", [None, 8, (2, 4)], ids=str)
def test_evaluation_is_exact_for_any_batches(devices):
    """22 rows in batches of 8, 8 and 6, or of 10, 10 and 2, which eight devices do not divide."""
    rng = np.random.default_rng(0)
    x, labels = rng.uniform(0.5, 1, size=(ROWS, FEATURES)), rng.integers(CLASSES, size=ROWS)
    params = rng.normal(size=(FEATURES, CLASSES))
    logits = torch.tensor(x @ params / x.sum(1, keepdims=True))
    targets = torch.tensor(labels)
    expected = {
        "loss": torch.nn.functional.cross_entropy(logits, targets).item(),
        "accuracy": (logits.argmax(1) == targets).double().mean().item(),
    }
    mesh, axis, given = None, "data", jnp.asarray(params)
    if devices is not None:
        axis = "data" if devices == 8 else ("replica", "shard")
        names = (axis,) if devices == 8 else axis
        sizes = (devices,) if devices == 8 else devices
        mesh = ja.parallel.make_mesh(dict(zip(names, sizes, strict=True)))
        given = ja.parallel.replicate(given, mesh)
    for size in (8, 10):
        calls.clear()
        batches = ja.data.batches(x, labels, size)
        found = ja.training.evaluate(metrics_of, given, (), batches, mesh=mesh, axis=axis)
        assert found == pytest.approx(expected, rel=tol.DEVICES_FLOAT64_OF_MAX)
        assert len(calls) <= 1  # the last batch has been filled up


def test_tokens_count_by_their_weight():
    rng = np.random.default_rng(0)
    losses, mask = rng.normal(size=(7, 4)), rng.random((7, 4)) < 0.5
    losses[~mask] = np.nan
    batches = [(losses[rows], mask[rows]) for rows in (slice(0, 4), slice(4, 7))]
    found = ja.training.evaluate(
        lambda params, model_state, batch: {"loss": batch[0]},
        (),
        (),
        batches,
        weight=lambda batch: batch[1].astype(float),
    )
    assert_close(found["loss"], np.nanmean(losses), tol.TRANSFORM_FLOAT64_OF_MAX)


def test_what_cannot_be_evaluated_is_said():
    def means(params, model_state, batch):
        return {"loss": jnp.mean(batch)}

    for batches, metric_fn, text in [
        ([], means, "no batch"),
        ([jnp.ones(())], means, "must have rows"),
        ([jnp.ones(3)], means, r"'loss' must have one entry for each of 3 rows.*leave the mean"),
    ]:
        with pytest.raises(ValueError, match=text):
            ja.training.evaluate(metric_fn, (), (), batches)
