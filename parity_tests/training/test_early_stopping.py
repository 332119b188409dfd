"""Early stopping against the class that PyTorch scripts write: when it stops, what it restores."""

import copy
import functools
import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import torch

import jaxaccel as ja
from parity_tests import tolerances as tol
from parity_tests.harness.compare import assert_close


class EarlyStopping:
    """The class as scripts have it, but for ``copy``, which is the dict's own in most of them."""

    def __init__(self, patience, min_delta, restore_best, copy):
        self.patience, self.min_delta, self.restore_best = patience, min_delta, restore_best
        self.copy, self.best_loss, self.counter, self.best_weights = copy, None, 0, None

    def __call__(self, val_loss, model):
        if self.best_loss is None or val_loss < self.best_loss - self.min_delta:
            self.best_loss, self.counter = val_loss, 0
            self.best_weights = self.copy(model.state_dict())
        else:
            self.counter += 1
            if self.counter >= self.patience:
                if self.restore_best:
                    model.load_state_dict(self.best_weights)
                return True
        return False


ROWS = {
    "stops": ([3.0, 2.0, 2.5, 1.0, 1.5, 1.2, 1.1, 0.5], 3, 0.0),
    "patience of one": ([3.0, 2.0, 2.0, 1.0], 1, 0.0),
    "better by less than delta": ([3.0, 2.95, 2.91, 2.5, 2.45, 2.41, 2.41], 3, 0.1),
    "falls in steps below delta": ([1.0, 0.9, 0.8, 0.7, 0.6, 0.5], 4, 0.15),
    "never stops": ([5.0, 4.0, 4.5, 3.0, 3.5], 2, 0.0),
    "NaN is no better": ([3.0, math.nan, 2.0, math.nan, math.nan, 1.0], 2, 0.0),
    "the last is the best": ([3.0, 2.0, 1.0], 1, 0.0),
    "an infinite first": ([math.inf, math.inf, 1.0, 2.0, 2.0], 2, 0.0),
}
"""Losses by epoch, patience, min_delta."""
DATA = np.random.default_rng(0).normal(size=(8, 6, 3)) + 1.0
TX = ja.optimizers.sgd(lr=0.1)


class Model(torch.nn.Module):
    """A layer and a running mean of what it has seen, as BatchNorm's."""

    def __init__(self):
        super().__init__()
        self.weight = torch.nn.Parameter(torch.full((3,), 0.5, dtype=torch.float64))
        self.register_buffer("mean", torch.zeros(3, dtype=torch.float64))

    def forward(self, x):
        self.mean.mul_(0.9).add_(0.1 * x.mean(0))
        return x @ self.weight


def torch_run(losses, patience, min_delta, copy):
    """Return weights and buffers at the end, the number of epochs and whether it was stopped."""
    model = Model()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    stopping = EarlyStopping(patience, min_delta, True, copy)
    epoch, has_stopped = 0, False
    for epoch, loss in enumerate(losses):
        optimizer.zero_grad()
        model(torch.tensor(DATA[epoch])).square().mean().backward()
        optimizer.step()
        if has_stopped := stopping(loss, model):
            break
    return model.weight.detach().numpy(), model.mean.numpy(), epoch + 1, has_stopped


def loss_fn(weight, mean, batch):
    return jnp.mean((batch @ weight) ** 2), (0.9 * mean + 0.1 * jnp.mean(batch, axis=0), {})


@functools.cache
def step_of():
    """Return a step that overwrites its state, compiled once."""
    return ja.training.train_step(ja.training.gradients(loss_fn), TX)


def run(losses, *callbacks, mesh=None, resume=None, sign=1.0):
    """Return the end of a run, its history and what early stopping remembers at last."""
    remembered = []

    def look(run, memory):
        remembered.append(run.record.memory)

    state = ja.training.train_state(jnp.full(3, 0.5), TX, jnp.zeros(3), mesh=mesh)
    put = functools.partial(ja.parallel.shard_batch, mesh=mesh) if mesh else jnp.asarray
    epoch = iter(losses if resume is None else losses[resume.extra["epoch"] :])
    state, history = ja.training.fit(
        step_of(),
        state,
        lambda epoch: [put(DATA[epoch])],
        epochs=len(losses),
        evaluate=lambda state: {"val_loss": sign * next(epoch)},
        callbacks=[*callbacks, ja.training.Callback("look", on_end=look)],
        progress=False,
        resume=resume,
    )
    return state, history, remembered[0]


@pytest.mark.parity
@pytest.mark.parametrize("name", ROWS)
def test_it_stops_when_the_class_does_and_restores_the_best(name):
    losses, patience, min_delta = ROWS[name]
    weight, mean, epochs, has_stopped = torch_run(losses, patience, min_delta, copy.deepcopy)
    for on_device, mode in ((False, "min"), (True, "max")):
        stopping = ja.training.early_stopping(
            "val_loss", patience, min_delta, mode, on_device=on_device
        )
        state, history, _ = run(losses, stopping, sign=1.0 if mode == "min" else -1.0)
        assert len(history.epochs) == epochs
        assert (history.stopped is not None) == has_stopped
        assert_close(state.params, weight, tol.TRANSFORM_FLOAT64_OF_MAX)
        assert_close(state.model_state, mean, tol.TRANSFORM_FLOAT64_OF_MAX)


def test_the_class_that_copies_the_dict_restores_the_last_weights():
    """The tensors in ``state_dict().copy()`` are the live ones."""
    losses, patience, min_delta = ROWS["stops"]
    last, *_ = torch_run(losses[:7], 100, min_delta, copy.deepcopy)
    shallow, _, epochs, _ = torch_run(losses, patience, min_delta, dict.copy)
    assert epochs == 7
    assert np.array_equal(shallow, last)
    state, _, _ = run(losses, ja.training.early_stopping(patience=patience))
    assert np.abs(np.asarray(state.params) - last).max() > 0.01


def test_the_best_weights_wait_in_the_hosts_memory_where_their_shards_are():
    mesh = ja.parallel.make_mesh({"data": 2}, devices=jax.devices()[:2])
    losses, patience, _ = ROWS["stops"]
    for on_device, kind in ((False, "pinned_host"), (True, "device")):
        stopping = ja.training.early_stopping(patience=patience, on_device=on_device)
        state, _, memory = run(losses, stopping, mesh=mesh)
        kept, _ = memory[stopping.name].weights
        assert kept.sharding.memory_kind == kind
        assert kept.sharding.device_set == set(mesh.devices.flat)
        assert state.params.sharding.memory_kind == "device"
        assert np.array_equal(state.params, kept)
        jax.block_until_ready(step_of()(state, ja.parallel.shard_batch(DATA[0], mesh)))
        assert not kept.is_deleted()


def test_when_the_best_come_back():
    losses = ROWS["never stops"][0]
    pause = ja.training.Callback(
        "pause",
        on_epoch=lambda run, _: ja.training.Reply(pause="now") if run.epoch == 4 else None,
    )
    found = {}
    for restore_best in (False, True, "always"):
        stopping = ja.training.early_stopping(restore_best=restore_best)
        found[restore_best] = np.asarray(run(losses, stopping)[0].params)
        paused = run(losses, stopping, pause)[0].params
        assert np.array_equal(paused, found[False])  # it is to go on from there
    assert np.array_equal(found[True], found[False])
    best = run(losses[:4])[0].params
    assert np.array_equal(found["always"], best)
    assert not np.array_equal(found["always"], found[True])


def test_a_resumed_run_remembers_the_best():
    """Also one that was saved when it had stopped and ended before it could restore."""
    losses, patience, _ = ROWS["stops"]
    expected, history, _ = run(losses, ja.training.early_stopping(patience=patience))
    for epoch in (3, 5, 6):
        found = []

        def take(run, memory, epoch=epoch, found=found):
            if run.epoch == epoch:
                tree, extra = run.snapshot()
                found.append(ja.training.Snapshot(jax.tree.map(np.array, tree), extra))

        stopping = ja.training.early_stopping(patience=patience)
        run(losses, stopping, ja.training.Callback("take", on_epoch=take, is_last=True))
        state, resumed, _ = run(losses, stopping, resume=found[0])
        assert np.array_equal(state.params, expected.params)
        assert len(resumed.epochs) == len(history.epochs)
        assert resumed.stopped == history.stopped


def test_a_number_that_is_not_there_is_named():
    with pytest.raises(ValueError, match=r"follows 'accuracy', .* among \['grad_norm', 'loss'"):
        run([1.0], ja.training.early_stopping("accuracy"))
