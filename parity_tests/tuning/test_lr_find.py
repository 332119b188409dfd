"""The range test: rates, losses and where it ends against float64 NumPy, and how it is read."""

import itertools
import json
import math

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

import jaxaccel as ja
from parity_tests import tolerances as tol
from parity_tests.harness.compare import assert_close

ROWS, FEATURES, BATCHES = 16, 4, 7
rng = np.random.default_rng(0)
X = rng.normal(size=(BATCHES, ROWS, FEATURES))
Y = X @ rng.normal(size=FEATURES) + 0.3 * rng.normal(size=(BATCHES, ROWS))
START = rng.normal(size=FEATURES)
RANGE = {"min_lr": 1e-4, "max_lr": 10.0, "num_training": 60, "progress": False}


def batches(epoch):
    return zip(X, Y, strict=True)


def loss_fn(params, model_state, batch):
    x, y = batch
    return jnp.mean((x @ params["w"] - y) ** 2), (model_state, {})


PARAMS = {"w": START, "other": np.ones(2)}


def found_with(tx, **options):
    """Return what is found, and the state that was given."""
    step = ja.training.train_step(ja.training.gradients(loss_fn), tx)
    state = ja.training.train_state(PARAMS, tx)
    return ja.tuning.lr_find(step, state, batches, **{**RANGE, **options}), state


def in_numpy(smoothing=0.98, threshold=4.0, count=60, low=1e-4, high=10.0):
    """Return rates, losses and averages of plain gradient descent, as the formulas have them."""
    w, average, best, rows = START.copy(), 0.0, math.inf, []
    for i in range(count):
        lr = low * (high / low) ** (i / (count - 1))
        x, y = X[i % BATCHES], Y[i % BATCHES]
        residual = x @ w - y
        loss = np.mean(residual**2)
        w -= lr * 2 * x.T @ residual / ROWS
        average = smoothing * average + (1 - smoothing) * loss
        rows.append((lr, loss, average / (1 - smoothing ** (i + 1))))
        best = min(best, rows[-1][2])
        if rows[-1][2] > threshold * best:
            break
    return np.array(rows).T


SGD = ja.optimizers.param_groups(ja.optimizers.sgd, [], lr=1.0)
GROUPS = ja.optimizers.param_groups(ja.optimizers.sgd, [{"params": "w$", "lr": 3.0}], lr=0.125)


@pytest.mark.quick
def test_rates_losses_and_the_end_are_the_formulas():
    injected = optax.inject_hyperparams(optax.sgd)(learning_rate=1.0)
    chain = optax.chain(optax.identity(), SGD)
    for tx, options in [
        (SGD, {}),
        (GROUPS, {"smoothing": 0.5, "early_stop_threshold": 20.0}),
        (GROUPS, {"group": "0", "smoothing": 0.0}),
        (injected, {"early_stop_threshold": None, "num_training": 45}),
        (chain, {}),
    ]:
        found, state = found_with(tx, **options)
        threshold = options.get("early_stop_threshold", 4.0) or math.inf
        count = options.get("num_training", 60)
        lrs, losses, smoothed = in_numpy(options.get("smoothing", 0.98), threshold, count)
        assert found.lrs == pytest.approx(lrs, rel=1e-14)
        assert_close(found.losses, losses, tol.TRANSFORM_FLOAT64_OF_MAX)
        assert_close(found.smoothed, smoothed, tol.TRANSFORM_FLOAT64_OF_MAX)
        assert (found.stopped is None) == (len(lrs) == count)
        # The state that was given has kept its arrays, although the step overwrites its own.
        assert np.array_equal(state.params["w"], START)
        again = ja.training.train_state(PARAMS, tx)
        for ours, theirs in zip(*map(jax.tree.leaves, (state, again)), strict=True):
            assert np.array_equal(ours, theirs)
    assert len(found.lrs) < 60  # the last one has diverged
    assert found.stopped.startswith(f"loss {found.smoothed[-1]:.3g} at step {len(found.lrs)}, ")


def steepest_of_lightning(lrs, losses):
    """Central differences over the places; ten are left out first, one last."""
    inner = losses[10:-1]
    slopes = [
        (inner[min(i + 1, len(inner) - 1)] - inner[max(i - 1, 0)])
        / (min(i + 1, len(inner) - 1) - max(i - 1, 0))
        for i in range(len(inner))
    ]
    return lrs[10 + slopes.index(min(slopes))]


def middle_of_fastai(lrs, losses, planned):
    """The longest falling subsequence, by looking back from every place at every earlier one."""
    lrs, losses = lrs[planned // 10 : -5], losses[planned // 10 : -5]
    longest = [1] * len(losses)
    for later, earlier in itertools.product(range(len(losses)), repeat=2):
        if earlier < later and losses[later] < losses[earlier]:
            longest[later] = max(longest[later], longest[earlier] + 1)
    end = longest.index(max(longest))
    start = end - longest[end]
    return lrs[max(0, start + (end - start) // 3 + (end - start) // 6)]


@pytest.mark.quick
def test_suggestions_are_those_of_lightning_and_fastai():
    found, _ = found_with(SGD, num_training=100)
    curves = [(found.lrs, found.smoothed, found)]
    for seed in range(5):
        noise = np.random.default_rng(seed).normal(size=100)
        losses = 1 / (1 + np.exp(np.linspace(-6, 6, 100))) + 0.02 * noise
        curves.append((np.geomspace(1e-6, 1, 100), losses, None))
    for lrs, losses, whole in curves:
        own = whole or of_curve(lrs, losses)
        assert own.steepest == pytest.approx(steepest_of_lightning(lrs, losses), rel=1e-14)
        assert own.suggestion == pytest.approx(middle_of_fastai(lrs, losses, 100), rel=1e-14)
        place = np.argmin(losses[10:-5])
        assert own.minimum == pytest.approx(lrs[10:-5][place] / 10, rel=1e-14)


def of_curve(lrs, losses):
    """Return what is found where the smoothed losses are given."""
    given = iter(losses)

    def step(state, batch):
        return state, {"loss": next(given)}

    state = SGD.init(PARAMS)
    options = {"min_lr": float(lrs[0]), "max_lr": float(lrs[-1]), "num_training": len(lrs)}
    return ja.tuning.lr_find(
        step,
        state,
        lambda epoch: [()],
        smoothing=0.0,
        early_stop_threshold=None,
        progress=False,
        **options,
    )


@pytest.mark.quick
def test_a_loss_that_never_falls_suggests_nothing():
    lrs = np.geomspace(1e-6, 1, 50)
    for losses in (np.full(50, 2.0), np.linspace(1, 9, 50)):
        found = of_curve(lrs, losses)
        assert found[:3] == (None, None, None)
        assert str(found).startswith("suggestion: none, the loss has not fallen")


def test_where_it_ends():
    """At a loss that is not finite, even where nothing else ends it; a negative loss may fall."""
    lrs = np.geomspace(1e-6, 1, 50)
    losses = np.linspace(3, 1, 50)
    losses[30] = np.nan
    found = of_curve(lrs, losses)
    assert found.stopped == "the loss of step 31 is nan"
    assert len(found.lrs) == 31
    assert found.suggestion is not None
    assert json.loads(found.to_json())["losses"][30] is None
    falling = iter(np.linspace(-1, -60, 60))
    found = ja.tuning.lr_find(
        lambda state, batch: (state, {"nll": next(falling)}),
        SGD.init(PARAMS),
        lambda epoch: [()],
        metric="nll",
        **RANGE,
    )
    assert found.stopped is None
    assert found.suggestion is not None
    figure = found.figure()
    axis = figure.axes[0]
    assert axis.get_xscale() == "log"
    assert f"suggestion {found.suggestion:.2g}" in axis.get_legend_handles_labels()[1]


@pytest.mark.quick
def test_epochs_follow_each_other_and_other_groups_keep_their_rate():
    epochs, rates = [], []

    def step(state, batch):
        rates.append([float(each["lr"]) for each in ja.optimizers.get_hyperparams(state)])
        return state, {"loss": 1.0}

    options = {"num_training": 5, "group": -1, "progress": False}
    found = ja.tuning.lr_find(
        step, GROUPS.init(PARAMS), lambda epoch: epochs.append(epoch) or [(), ()], **options
    )
    assert epochs == [0, 1, 2]
    np.testing.assert_allclose(rates, [[3.0, lr] for lr in found.lrs], rtol=1e-6)


@pytest.mark.quick
def test_batches_may_skip_by_themselves_as_fits():
    asked = []
    ja.tuning.lr_find(
        lambda state, batch: (state, {"loss": 1.0}),
        GROUPS.init(PARAMS),
        lambda epoch, start: asked.append((epoch, start)) or [(), ()],
        num_training=3,
        progress=False,
    )
    assert asked == [(0, 0), (1, 0)]


def test_what_cannot_be_tested_is_said():
    tx = ja.optimizers.param_groups(ja.optimizers.sgd, [], lr=ja.schedules.step_lr(0.1, 3))
    with pytest.raises(ValueError, match="schedule"):
        found_with(tx)
    with pytest.raises(ValueError, match="holds no hyperparameters"):
        found_with(ja.optimizers.sgd(0.1))
    for options, text in [
        ({"min_lr": 0.0}, "min_lr must be more than 0, got 0.0"),
        ({"max_lr": 1e-5}, r"max_lr must be more than min_lr=0.0001, got 1e-05"),
        ({"num_training": 1}, "num_training must be at least 2, got 1"),
        ({"early_stop_threshold": 1.0}, "early_stop_threshold must be more than 1, or None, got 1"),
        ({"smoothing": 1.0}, "smoothing must be .*less than 1, got 1.0"),
        ({"metric": "accuracy"}, "metric must be one of the step's: .*loss, .*got 'accuracy'"),
        ({"group": "bias"}, "group must be one of"),
    ]:
        with pytest.raises(ValueError, match=text):
            found_with(SGD, **options)
    state, step = SGD.init(PARAMS), lambda state, batch: state
    for make, text in [
        (lambda epoch: 3, "iterable of batches, got 3"),
        (batches, "state, metrics"),
    ]:
        with pytest.raises((TypeError, ValueError), match=text):
            ja.tuning.lr_find(step, state, make, progress=False)
    with pytest.raises(ValueError, match="epoch 0 had no batch"):
        ja.tuning.lr_find(step, state, lambda epoch: [], progress=False)
