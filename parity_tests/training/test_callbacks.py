"""What guests of the loop do, each against the PyTorch loop that does it by hand."""

import contextlib
import functools
import re
import signal

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
import torch

import jaxaccel as ja
from parity_tests import tolerances as tol
from parity_tests.harness.compare import assert_close

T = ja.training
BATCHES = np.random.default_rng(0).normal(size=(24, 4, 3)) + 0.5
LR = 0.1
traced = []


def loss_fn(params, model_state, batch):
    traced.append(1)
    loss = jnp.mean((batch @ params - 1.0) ** 2)
    return loss, (0.9 * model_state + 0.1 * jnp.mean(batch, axis=0), {})


def state_of(tx, dtype=float, **options):
    return T.train_state(jnp.full(3, 0.5, dtype), tx, jnp.zeros(3, dtype), **options)


def fit(step, state, batches=BATCHES, per_epoch=4, **options):
    """Run through batches, so many an epoch."""
    options = {"epochs": len(batches) // per_epoch, "progress": False} | options
    return T.fit(
        step, state, lambda epoch: list(batches[per_epoch * epoch :][:per_epoch]), **options
    )


def params_of_steps(found):
    """Return a callback that keeps the parameters of every step."""
    return T.Callback("look", on_step=lambda run, _: found.append(np.array(run.state.params)))


class Torch:
    """The same recipe in PyTorch: SGD with momentum."""

    def __init__(self):
        self.params = torch.nn.Parameter(torch.full((3,), 0.5, dtype=torch.float64))
        self.optimizer = torch.optim.SGD([self.params], lr=LR, momentum=0.9)

    def step(self, batch):
        """Make a step; leave out a batch whose loss is not finite."""
        self.optimizer.zero_grad()
        loss = (torch.tensor(batch) @ self.params - 1.0).square().mean()
        if torch.isfinite(loss):
            loss.backward()
            self.optimizer.step()
        return self.params.detach().numpy().copy()


SGD = ja.optimizers.sgd(lr=LR, momentum=0.9)
STEP = T.train_step(T.gradients(loss_fn), SGD)


# --- plateau ------------------------------------------------------------------------------------


@pytest.mark.parity
@pytest.mark.parametrize("form", ["chain", "hyperparams"])
def test_a_plateau_gives_the_learning_rate_of_every_step(form):
    """``scheduler.step(val_loss)`` after each epoch; nothing is compiled for a new rate."""
    losses = [3.0, 2.0, 2.0, 2.5, 1.0, 1.0]
    kwargs = {"factor": 0.5, "patience": 1, "threshold": 0.01, "cooldown": 1}
    plateau = ja.schedules.reduce_lr_on_plateau(LR, **(kwargs | {"patience": 0}))
    if form == "chain":
        tx = optax.chain(SGD, plateau.transformation)
        step = functools.partial(T.train_step(T.gradients(loss_fn), tx), value=None)
    else:
        tx = ja.optimizers.param_groups(ja.optimizers.sgd, [], lr=LR, momentum=0.9)
        step = T.train_step(T.gradients(loss_fn), tx)
    twin, found, expected = Torch(), [], []
    scheduler = torch.optim.lr_scheduler.ReduceLROnPlateau(
        twin.optimizer, **(kwargs | {"patience": 0})
    )
    for epoch, loss in enumerate(losses):
        expected += [twin.step(batch) for batch in BATCHES[4 * epoch :][:4]]
        scheduler.step(loss)
    traced.clear()
    values = iter(losses)
    fit(
        step,
        state_of(tx),
        evaluate=lambda state: {"val_loss": next(values)},
        callbacks=[T.follow_plateau(plateau), params_of_steps(found)],
    )
    assert twin.optimizer.param_groups[0]["lr"] < LR / 3
    assert_close(np.stack(found), np.stack(expected), tol.TRANSFORM_FLOAT64_OF_MAX)
    assert len(traced) <= 2


def test_a_plateau_that_nobody_or_the_step_follows_is_named():
    plateau = ja.schedules.reduce_lr_on_plateau(LR)
    chain = optax.chain(SGD, plateau.transformation)
    groups = functools.partial(ja.optimizers.param_groups, ja.optimizers.sgd, [])
    for tx, text in [
        (chain, "shown 4 other numbers in between.*value=None"),
        (SGD, "param_groups"),
        (groups(lr=0.2), "lr 0.2, and the plateau starts at 0.1"),
    ]:
        with pytest.raises(ValueError, match=text):
            fit(
                T.train_step(T.gradients(loss_fn), tx),
                state_of(tx),
                callbacks=[T.follow_plateau(plateau, "loss")],
            )


# --- NaN ----------------------------------------------------------------------------------------


def spoilt(*places):
    """Return the batches, some of which are not finite."""
    found = BATCHES.copy()
    found[list(places), 0, 0] = [np.nan, np.inf][: len(places)] * (len(places) > 0)
    return found


@pytest.mark.parity
@pytest.mark.parametrize("devices", [1, 2])
def test_a_bad_batch_is_left_out_on_the_device(devices):
    """As a loop that looks at each loss; and bit for bit as if the batch had not been there."""
    mesh = ja.parallel.make_mesh({"data": devices}, devices=jax.devices()[:devices])
    gradient_fn = ja.parallel.data_parallel(T.gradients(loss_fn), mesh)
    step = T.skip_nonfinite(T.train_step(gradient_fn, SGD))
    twin, bad, found = Torch(), spoilt(5, 9), []
    expected = [twin.step(batch) for batch in bad]
    put = functools.partial(ja.parallel.shard_batch, mesh=mesh)
    state, history = fit(
        step, state_of(SGD, mesh=mesh), [*map(put, bad)], callbacks=[params_of_steps(found)]
    )
    assert_close(np.stack(found), np.stack(expected), tol.TRANSFORM_FLOAT64_OF_MAX)
    assert np.flatnonzero(history.steps["skipped"]).tolist() == [5, 9]
    assert np.flatnonzero(~np.isfinite(history.steps["loss"])).tolist() == [5, 9]
    rest = [put(batch) for batch in np.delete(BATCHES, [5, 9], 0)]
    without, short = fit(step, state_of(SGD, mesh=mesh), rest, 2)
    assert int(state.step) == 24
    for one, other in zip(jax.tree.leaves(state[1:]), jax.tree.leaves(without[1:]), strict=True):
        assert np.array_equal(one, other)
    taken = short.steps["loss"][4:7]  # the second epoch's, without the bad one
    assert_close(history.epochs[1]["loss"], np.mean(taken), tol.TRANSFORM_FLOAT64_OF_MAX)
    assert history.epochs[1]["skipped"] == 0.25


def test_a_scaler_goes_on_where_a_step_is_skipped():
    """Its own skips stay what they were; the running statistics are spared."""
    scaler = ja.precision.grad_scaler(init_scale=2.0**127, growth_interval=3)
    step = T.train_step(T.gradients(loss_fn), SGD, scaler=scaler)
    batches = spoilt(5).astype(np.float32)
    first = functools.partial(state_of, SGD, jnp.float32, scaler=scaler)
    plain, plain_history = fit(step, first(), batches)
    state, history = fit(T.skip_nonfinite(step), first(), batches)
    assert history.steps["skipped"].tolist() == plain_history.steps["skipped"].tolist()
    assert history.steps["skipped"].sum() >= 2  # overflows of the scale, and the batch
    assert int(state.step) == 24
    assert all(jax.tree.leaves(jax.tree.map(np.array_equal, state.scaler, plain.scaler)))
    assert_close(state.params, plain.params, tol.LAYER_FLOAT32_OF_MAX)
    assert np.isnan(plain.model_state).any()
    assert np.isfinite(state.model_state).all()


def test_a_skipped_step_is_donated_and_part_of_larger_states():
    averaging = ja.transforms.exponential_moving_average(0.5)

    def averaged(pair, batch):
        state, metrics = STEP(pair[0], batch)
        return (state, averaging.update(pair[1], state.params)), metrics

    first = state_of(SGD)
    pair = (first, averaging.init(first.params))
    step = T.skip_nonfinite(averaged)
    once, _ = step(jax.tree.map(jnp.copy, pair), BATCHES[0])
    kept = jax.tree.map(np.array, once)
    twice, metrics = step(once, spoilt(0)[0])
    assert float(metrics["skipped"]) == 1.0
    assert once[0].params.is_deleted()
    assert [int(kept[0].step), int(twice[0].step)] == [1, 2]
    same = jax.tree.map(np.array_equal, (kept[0][1:], kept[1]), (twice[0][1:], twice[1]))
    assert all(jax.tree.leaves(same))


def test_a_run_is_stopped_at_nan_and_says_where():
    """At most so many steps late, at the end of an epoch at once; a skipped step is no reason."""
    for steps, taken in ((1, 7), (3, 9), (50, 8)):
        state, history = fit(
            STEP, state_of(SGD), spoilt(5), callbacks=[T.terminate_on_nan(steps=steps)]
        )
        assert history.stopped == "loss was nan in step 6"
        assert int(state.step) == (8 if steps == 3 else taken)
    _, history = fit(
        T.skip_nonfinite(STEP), state_of(SGD), spoilt(5), callbacks=[T.terminate_on_nan(steps=2)]
    )
    assert history.stopped is None


@pytest.mark.parity
def test_a_run_goes_back_to_the_last_save_and_on_with_the_next_data(tmp_path):
    twin, found = Torch(), []
    bad = spoilt(5)[:12]  # the sixth step; seen after the seventh, when 5, 6 and 7 are lost
    expected = [twin.step(batch) for batch in bad[:4]] + [None] * 2
    expected += [twin.step(batch) for batch in bad[7:]]
    guests = [
        params_of_steps(found),
        T.roll_back_on_nan(tmp_path, steps=1),
        T.save_every(tmp_path, steps=2, keep_last=None),
    ]
    with pytest.warns(UserWarning, match="weights after step 6 are not finite"):
        _, history = fit(STEP, state_of(SGD), bad, callbacks=guests)
    assert history.stopped is None
    assert np.isnan(history.steps["loss"]).tolist() == [i in (5, 6) for i in range(12)]
    for index in [*range(4), *range(7, 12)]:
        row = expected[index - (index > 6)]
        assert_close(found[index], row, tol.TRANSFORM_FLOAT64_OF_MAX)
    assert 6 not in T.saved_steps(tmp_path)


# --- saving, pausing, resuming ------------------------------------------------------------------


class Crash(Exception):
    """Something that ends a run between two steps."""


def test_a_crashed_run_goes_on_from_its_folder(tmp_path):
    """Early stopping, a plateau, a scaler and a generator with it: the same bits at the end.

    Also with batches that leave out by themselves what was gone through.
    """
    plateau = ja.schedules.reduce_lr_on_plateau(LR, factor=0.5, patience=0)
    tx = ja.optimizers.param_groups(ja.optimizers.sgd, [], lr=LR, momentum=0.9)
    scaler = ja.precision.grad_scaler(init_scale=4.0, growth_interval=3)
    step = T.train_step(T.gradients(loss_fn), tx, scaler=scaler)
    losses = [3.0, 2.0, 2.5, 1.0, 1.5, 1.2]
    seen = []

    def run(crash_at, folder, is_skipping=False):
        generator = ja.random.manual_seed(1 if crash_at is None else 2)
        if not T.saved_steps(folder):
            generator.manual_seed(0)

        def batches(epoch, start=0):
            order = generator.randperm(24)
            for number in range(start, 4):
                if 4 * epoch + number == crash_at:
                    raise Crash
                seen.append(4 * epoch + number)
                yield BATCHES[order[number]]

        return T.fit(
            step,
            state_of(tx, scaler=scaler),
            batches if is_skipping else lambda epoch: batches(epoch),
            epochs=6,
            evaluate=lambda state: {"val_loss": losses[int(state.step) // 4 - 1]},
            callbacks=[
                T.save_every(folder, steps=5, keep_best=1, metric="loss"),
                T.early_stopping(patience=2),
                T.follow_plateau(plateau),
            ],
            progress=False,
            generator=generator,
            resume=folder,
        )

    whole, history = run(None, tmp_path / "whole")
    assert history.stopped is not None
    for crash_at in (1, 13, 21):
        with pytest.raises(Crash):
            run(crash_at, tmp_path / "crashed", is_skipping=crash_at == 21)
    seen.clear()
    state, resumed = run(None, tmp_path / "crashed", is_skipping=True)
    assert seen == [20, 21, 22, 23]
    assert all(jax.tree.leaves(jax.tree.map(np.array_equal, state, whole)))
    without_time = [
        [epoch | {"seconds": 0} for epoch in each.epochs] for each in (resumed, history)
    ]
    assert without_time[0] == without_time[1]
    again, ended = run(None, tmp_path / "crashed")  # at its end: nothing is done any more
    assert all(jax.tree.leaves(jax.tree.map(np.array_equal, again, whole)))
    assert (ended.stopped, len(ended.epochs)) == (history.stopped, len(history.epochs))


def test_other_saves_and_other_callbacks_are_not_resumed(tmp_path):
    T.save(tmp_path / "own", {"w": jnp.ones(3)}, step=1)
    with pytest.raises(ValueError, match="another model or optimizer"):
        fit(STEP, state_of(SGD), resume=tmp_path / "own")
    found = []
    take = T.Callback("take", on_end=lambda run, _: found.append(run.snapshot()))
    fit(STEP, state_of(SGD), callbacks=[take, T.early_stopping("loss")])
    with pytest.raises(ValueError, match=r"'early_stopping loss'.* resumed with none"):
        fit(STEP, state_of(SGD), resume=found[0])
    place = T.Snapshot({"state": state_of(SGD)}, {"epoch": 5, "step": 5})
    with pytest.raises(ValueError, match="after 5 steps of epoch 5, which has fewer batches now"):
        fit(STEP, state_of(SGD), resume=place)
    halves = place._replace(extra={"epoch": 4, "step": 3, "rows": [2, 2, 2]})
    with pytest.raises(ValueError, match=r"which has batches of \[4\] rows, and not of \[2\] now"):
        fit(STEP, state_of(SGD), resume=halves)
    _, history = fit(STEP, state_of(SGD), resume=place._replace(extra={"epoch": 4, "step": 3}))
    assert len(history.steps["loss"]) == 5  # a state of one's own, at any step of any epoch


def signalled(number, at):
    """Return batches of one epoch; the process is told to end while one is made."""

    def batches(epoch):
        for index, batch in enumerate(BATCHES):
            if index == at:
                signal.raise_signal(number)
            yield batch

    return batches


@pytest.fixture
def pythons_own_interrupt():
    """Let SIGINT do what it does in a foreground process: in the background it may be ignored."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.mark.usefixtures("pythons_own_interrupt")
def test_a_signal_finishes_the_step_saves_and_leaves_with_its_status(tmp_path, monkeypatch):
    before = [signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)]
    guests = [T.preemption(), T.save_every(tmp_path, epochs=1)]
    run = functools.partial(T.fit, STEP, callbacks=guests, progress=False)
    with pytest.raises(SystemExit) as error:
        run(state_of(SGD), signalled(signal.SIGTERM, 5))
    assert error.value.code == 75
    assert T.saved_steps(tmp_path) == (6,)
    monkeypatch.setattr("sys.ps1", ">>> ", raising=False)  # a prompt, a notebook
    state, history = run(state_of(SGD), signalled(signal.SIGINT, 9), resume=tmp_path)
    assert (int(state.step), history.paused, history.stopped) == (10, "SIGINT", None)
    state, history = run(state_of(SGD), lambda epoch: BATCHES, resume=tmp_path)
    whole, _ = T.fit(STEP, state_of(SGD), lambda epoch: BATCHES, progress=False)
    assert all(jax.tree.leaves(jax.tree.map(np.array_equal, state, whole)))
    assert [signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)] == before

    run = functools.partial(T.fit, STEP, callbacks=[T.preemption(None)], progress=False)
    _, history = run(
        state_of(SGD), lambda epoch: BATCHES[:2], evaluate=lambda _: signal.raise_signal(15) or {}
    )
    assert history.paused == "SIGTERM"  # also after the last step

    def twice(epoch):
        yield BATCHES[0]
        signal.raise_signal(signal.SIGINT)
        signal.raise_signal(signal.SIGINT)
        yield BATCHES[1]

    with pytest.raises(KeyboardInterrupt):
        run(state_of(SGD), twice)


def test_guests_are_called_in_order_and_closed_in_reverse():
    """Those that save hear what all others have said; one that ends the process is closed last."""
    told = []

    def guest(name, is_last=False):
        @contextlib.contextmanager
        def opened():
            told.append(f"open {name}")
            yield T.Callback("", on_step=lambda run, _: told.append(f"{name} {run.metrics}"))
            told.append(f"close {name}")

        return T.Callback(name, opened=opened, is_last=is_last)

    adds = T.Callback("adds", on_step=lambda run, _: T.Reply(metrics={"b": 2}, stop="enough"))
    _, history = T.fit(
        lambda state, batch: (state, {"a": 1}),
        0,
        lambda epoch: [1, 2],
        callbacks=[guest("x", True), guest("y"), adds, guest("z")],
        progress=False,
    )
    late = "{'a': 1, 'b': 2.0}"
    assert told == [
        *("open x", "open z", "open y"),
        *("y {'a': 1}", f"z {late}", f"x {late}"),
        *("close y", "close z", "close x"),
    ]
    assert history.stopped == "enough"
    assert history.measured == [{"total_steps": 1, "b": 2.0}]


def test_the_loop_reads_from_the_device_only_where_it_reports(monkeypatch, capsys):
    read, own = [], jax.device_get

    def counting(found):
        read.append(len(jax.tree.leaves(found)))
        return own(found)

    monkeypatch.setattr(jax, "device_get", counting)
    monkeypatch.setattr("jaxaccel.training._progress.LINE", 0.0)
    logged = []
    guests = [T.early_stopping("loss", patience=9), T.heartbeat(), T.time_budget(1e6)]
    fit(STEP, state_of(SGD), progress=True, callbacks=guests)
    assert read == [8] * 6 + [0]  # an epoch's metrics at its end
    lines = capsys.readouterr().out.splitlines()
    shown = r"epoch 6/6 step 1/4  \S+ steps/s  0:00 left  loss \S+  \| grad_norm \S+  loss .*"
    assert any(re.fullmatch(shown, line) for line in lines)
    assert re.match(r"6 epochs, 24 steps  \S+ steps/s", lines[-1])
    monkeypatch.setattr("jaxaccel.training._progress.has_bar", lambda: True)
    fit(STEP, state_of(SGD), progress=True)
    assert re.search(r"6 epochs, 24\s+steps", capsys.readouterr().out)
    read.clear()
    fit(STEP, state_of(SGD), callbacks=[T.log_every(lambda *told: logged.append(told), steps=8)])
    assert len(read) == 6 + 1 + 3
    assert [step for step, _ in logged] == [8, 16, 24]


def test_a_beat_tells_of_each_new_save_once(tmp_path, monkeypatch):
    told = []

    @contextlib.contextmanager
    def recording(timeout, startup):
        yield lambda step=None, *, saved=None, next_within=None: told.append((step, saved))

    monkeypatch.setattr("jaxaccel.training._heartbeat.watchdog", recording)
    monkeypatch.setattr("jaxaccel.training._heartbeat.SECONDS", 0.0)
    guests = [T.heartbeat(folder=tmp_path), T.save_every(tmp_path, epochs=6)]
    fit(STEP, state_of(SGD), callbacks=guests)
    assert {saved for _, saved in told} == {None}
    told.clear()
    fit(STEP, state_of(SGD), callbacks=[guests[0]], epochs=2)
    assert told[:2] == [(1, tmp_path / "step_00000024"), (2, None)]


def test_a_run_with_other_callbacks_goes_on_from_its_state(tmp_path):
    """What an earlier callback remembered is in the way until it is left behind on purpose."""
    whole, _ = fit(STEP, state_of(SGD))
    guests = [T.early_stopping("loss", patience=9), T.save_every(tmp_path)]
    fit(STEP, state_of(SGD), callbacks=guests, epochs=3)
    for others in ([], [T.early_stopping("grad_norm")]):
        with pytest.raises(ValueError, match=r"other callbacks.*'early_stopping .*strict=False"):
            fit(STEP, state_of(SGD), callbacks=others, resume=tmp_path)
    with pytest.raises(ValueError, match="not saved"):
        T.restore(tmp_path, {"state": state_of(SGD), "more": jnp.ones(2)}, strict=False)
    saved = T.restore(tmp_path, {"state": state_of(SGD)}, strict=False)
    found, history = fit(STEP, state_of(SGD), resume=T.Snapshot(saved.tree, saved.extra))
    assert len(history.epochs) == 6
    assert np.array_equal(found.params, whole.params)
    weights = state_of(SGD)._replace(model_state=None, opt_state=None)
    saved = T.restore(tmp_path, {"state": weights}, strict=False, step=12)
    assert saved.tree["state"].opt_state is None
