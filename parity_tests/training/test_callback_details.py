"""What callbacks do at the edges, with steps that are plain functions: nothing is compiled."""

import math
import os
import signal
import sys
import time
from collections import deque
from contextlib import nullcontext
from fractions import Fraction
from types import SimpleNamespace

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

import jaxaccel as ja
from jaxaccel.training import _saved_files as files

T = ja.training


def fit(batches, step=lambda state, batch: (state, {"loss": batch}), state=0, **options):
    """Run through the same batches in every epoch."""
    return T.fit(step, state, lambda epoch: batches, **{"progress": False} | options)


def add(state, batch):
    return state + batch, {"loss": state + batch}


@pytest.mark.quick
def test_a_plateau_moves_the_rate_of_its_group_alone():
    """Also where another group has another rate; and not before its patience is over."""
    tx = ja.optimizers.param_groups(ja.optimizers.sgd, [{"params": "w$", "lr": 3.0}], lr=0.5)
    state = T.train_state({"w": jnp.ones(2), "b": jnp.ones(2)}, tx)
    plateau = ja.schedules.reduce_lr_on_plateau(0.5, factor=0.5, patience=1)
    rates = []
    fit(
        [1.0],
        state=state,
        epochs=4,
        callbacks=[
            T.follow_plateau(plateau, "loss", group=-1),
            T.Callback(
                "look",
                on_epoch=lambda run, _: rates.append(
                    [float(each["lr"]) for each in ja.optimizers.get_hyperparams(run.state)]
                ),
            ),
        ],
    )
    assert rates == [[3.0, 0.5], [3.0, 0.5], [3.0, 0.25], [3.0, 0.25]]


@pytest.mark.quick
def test_a_log_of_epochs_has_the_epochs_numbers():
    told = []
    log = T.log_every(lambda step, numbers: told.append((step, numbers["loss"])), epochs=2)
    fit([1.0, 4.0], epochs=4, callbacks=[log])
    assert told == [(4, 2.5), (8, 2.5)]


@pytest.mark.quick
def test_a_time_budget_counts_from_fit_and_asks_once(monkeypatch):
    """All processes end with the step that was agreed on, which may be a later one."""
    clock, asked = [0.0], []
    guest = T.time_budget(10.0)
    at = "jaxaccel.training._time_budget"
    monkeypatch.setattr(f"{at}.time", SimpleNamespace(monotonic=lambda: clock[0]))

    def step(state, batch):
        clock[0] += 4.0
        return state + 1, {"loss": 1.0}

    clock[0] = 1000.0
    state, history = fit(range(8), step, callbacks=[guest])
    assert (state, history.paused) == (3, "the time budget of 10 s is used up")
    monkeypatch.setattr(f"{at}.ask_to_pause", lambda: asked.append(clock[0]))
    monkeypatch.setattr(f"{at}.agree_to_pause", lambda is_asked, step: is_asked and step == 5)
    state, _ = fit(range(8), step, callbacks=[guest])
    assert (state, len(asked)) == (5, 1)


@pytest.mark.quick
def test_means_hide_nothing_that_was_not_skipped():
    """What is not finite of a step that was taken stays; of steps that were all skipped too."""
    for skipped, mean in (([0, 0], np.nan), ([1, 0], 3.0), ([1, 1], 3.0)):
        rows = [{"loss": a, "skipped": b} for a, b in zip([np.nan, 3.0], skipped, strict=True)]
        _, history = fit(rows, lambda state, row: (state, row), batch_axes=None)
        assert np.array_equal(history.epochs[0]["loss"], mean, equal_nan=True)
    _, history = fit([{"loss": np.inf, "skipped": 1}], lambda state, row: (state, row))
    assert np.isnan(history.epochs[0]["loss"])


def test_gradients_alone_are_reason_enough_to_skip():
    step = T.skip_nonfinite(lambda state, batch: (state + 1, {"loss": 0.0, "grad_norm": batch}))
    states = [int(step(jnp.zeros((), jnp.int32), norm)[0]) for norm in (1.0, np.inf, np.nan)]
    assert states == [1, 0, 0]


@pytest.mark.quick
def test_what_was_measured_and_how_long_it_took_survive_a_pause():
    found = []
    guests = [
        T.Callback("adds", on_step=lambda run, _: T.Reply(metrics={"b": run.total_steps})),
        T.Callback("take", on_step=lambda run, _: found.append(run.snapshot())),
    ]
    _, whole = fit([1.0, 2.0, 3.0], callbacks=guests)
    snapshot = found[1]._replace(extra=found[1].extra | {"seconds": 1000.0})
    _, resumed = fit([1.0, 2.0, 3.0], callbacks=guests, resume=snapshot)
    assert resumed.measured == whole.measured
    assert [each["b"] for each in whole.measured] == [1.0, 2.0, 3.0]
    assert 1000 < resumed.epochs[0]["seconds"] < 2000


def test_the_last_saves_failure_ends_the_run(tmp_path, monkeypatch):
    """It happens in the background, when the loop has gone by; a signal does not hide it."""

    def full(number):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    saving, preemption = T.save_every(tmp_path, steps=9), T.preemption()
    signalled = T.Callback("signal", on_step=lambda run, _: signal.raise_signal(signal.SIGTERM))
    for callbacks in ([], [signalled, preemption], [preemption, signalled]):
        for index in range(len(callbacks) + 1):
            guests = [*callbacks[:index], saving, *callbacks[index:]]
            with pytest.raises(OSError, match="No space left"):
                fit([1.0, 2.0], state=np.zeros(2), callbacks=guests)


def test_a_run_that_breaks_off_waits_for_its_save(tmp_path, monkeypatch):
    commit = files.commit

    def late(path):
        time.sleep(0.2)
        commit(path)

    def fail(run, memory):
        raise KeyError("a defect")

    monkeypatch.setattr(files, "commit", late)
    guests = [T.save_every(tmp_path, steps=1), T.Callback("fail", on_epoch=fail)]
    with pytest.raises(KeyError):
        fit([1.0], state=np.zeros(2), callbacks=guests)
    assert [*tmp_path.glob("step_*")] == [tmp_path / "step_00000001"]


def test_the_newest_save_is_what_the_run_goes_on_from(tmp_path):
    """Not the best weights that come back at its end: those are in early stopping's memory."""
    losses = [3.0, 1.0, 2.0, 2.0, 0.5]
    stopping = T.early_stopping("loss", restore_best="always")
    memory = {stopping.name: jax.tree.map(np.asarray, stopping.init(np.zeros(())))}

    def run(folder, occasion, epochs):
        return T.fit(
            lambda state, batch: (state + 1, {"loss": batch}),
            np.zeros(()),
            lambda epoch: [losses[epoch]] * 4,
            epochs=epochs,
            callbacks=[stopping, T.save_every(folder, **occasion)],
            progress=False,
            resume=folder,
        )[0]

    for occasion in ({"epochs": 1}, {"steps": 6}):
        folder = tmp_path / str(occasion)
        assert run(folder, occasion, 4) == 8.0
        saved = T.restore(folder, {"state": np.zeros(()), "memory": memory}).tree
        assert (saved["state"], saved["memory"][stopping.name].weights) == (16.0, 8.0)
        assert run(folder, occasion, 4) == 8.0
        assert run(folder, occasion, 5) == 20.0


def test_a_save_without_its_metric_is_not_the_best(tmp_path):
    """A save at the end of a run that was stopped inside an epoch has no ``val_loss`` yet."""
    stop = T.Callback(
        "stop", on_step=lambda run, _: T.Reply(stop="enough") if run.total_steps == 3 else None
    )
    saving = T.save_every(tmp_path, keep_best=1, metric="val_loss", keep_last=None)
    fit(
        [1.0, 2.0],
        state=np.zeros(2),
        epochs=2,
        evaluate=lambda state: {"val_loss": 5.0},
        callbacks=[stop, saving],
    )
    assert T.saved_steps(tmp_path) == (2, 3)
    assert T.restore(tmp_path, {"state": np.zeros(2), "memory": {}}, step="best").step == 2


def test_saves_by_steps_are_ranked_by_a_number_of_the_step(tmp_path):
    """An epoch's number is never there; at the run's end it may be, and may not."""
    for folder, metric in ((tmp_path / "epoch", "val_loss"), (tmp_path / "typo", "los")):
        saving = T.save_every(folder, steps=2, keep_best=1, metric=metric)
        with pytest.raises(ValueError, match=rf"{metric}.*\['loss'\].*epochs="):
            fit([1.0, 2.0], callbacks=[saving], evaluate=lambda state: {"val_loss": 5.0})
        assert T.saved_steps(folder) == (2,)  # nothing is lost but the rank
    saving = T.save_every(tmp_path / "epochs", keep_best=1, metric="los")
    with pytest.raises(ValueError, match=r"'los', .* among the epoch's \['loss', 'seconds'\]"):
        fit([1.0, 2.0], callbacks=[saving])
    assert T.saved_steps(tmp_path / "epochs") == (2,)
    measure = T.evaluate_every(lambda state: {"val_loss": 5.0 - state}, steps=2)
    for metric, best in (("loss", 2), ("val_loss", 4)):
        saving = T.save_every(tmp_path / metric, steps=2, keep_best=1, metric=metric)
        fit(
            [2.0, 1.0, 3.0, 4.0, 5.0],
            lambda state, batch: (state + 1, {"loss": batch}),
            callbacks=[measure, saving],
        )
        like = {"state": 0, "memory": {}}
        assert T.restore(tmp_path / metric, like, step="best").step == best


@pytest.mark.quick
@pytest.mark.parametrize("is_held", [True, False])
def test_a_plateau_goes_on_where_the_run_went_back_over_an_epochs_end(tmp_path, is_held):
    """The state has its old rate again: it is moved on from there, or given the plateau's."""
    plateau = ja.schedules.reduce_lr_on_plateau(0.5, factor=0.5, patience=0, cooldown=9)
    tx = optax.chain(ja.optimizers.sgd(lr=0.5), plateau.transformation)
    if not is_held:
        tx = ja.optimizers.param_groups(ja.optimizers.sgd, [], lr=0.5)
    rates, losses = [], np.ones(12)
    losses[7] = np.nan  # in the third epoch; the save is of the second, at whose end the rate falls

    def look(run, _):
        found = run.state.opt_state[1].lr if is_held else None
        rates.append(float(found or ja.optimizers.get_hyperparams(run.state)[0]["lr"]))

    _, history = T.fit(
        lambda state, batch: (state, {"loss": losses[batch]}),
        T.train_state(jnp.ones(2), tx),
        lambda epoch: range(3 * epoch, 3 * epoch + 3),
        epochs=4,
        evaluate=lambda state: {"val_loss": 1.0},
        callbacks=[
            T.follow_plateau(plateau),
            T.roll_back_on_nan(tmp_path, steps=1),
            T.Callback("look", on_epoch=look),
            T.save_every(tmp_path, steps=5),
        ],
        progress=False,
    )
    assert history.stopped is None
    assert rates == [0.5, 0.25, 0.25, 0.25]


@pytest.mark.quick
def test_the_step_that_was_not_finite_is_named_whoever_has_read_it():
    """Another callback may have read the newest; a resumed run has only some of the steps."""
    losses = [1.0, 1.0, np.nan, 1.0, 1.0, 1.0]
    read = T.Callback("read", on_step=lambda run, _: run.snapshot() and None)
    for guests in ([], [read]):
        _, history = fit(losses, callbacks=[*guests, T.terminate_on_nan(steps=3)])
        assert history.stopped == "loss was nan in step 3"
    begun = T.Snapshot({"state": 0}, {"epoch": 0, "step": 1, "total_steps": 9})
    for steps in (1, 3, 50):
        guests = [T.terminate_on_nan(steps=steps)]
        _, history = fit(losses, callbacks=guests, resume=begun)
        assert history.stopped == "loss was nan in step 11"


def test_a_run_that_went_back_often_enough_ends_with_the_saves_state(tmp_path):
    batches = [1.0, 2.0, np.nan, 4.0, 8.0, np.nan, 16.0, 32.0]  # NaN is seen a step later
    for folder, most, expected in (("a", 0, 3.0), ("b", 1, 11.0), ("c", 2, 43.0)):
        guests = [
            T.roll_back_on_nan(tmp_path / folder, steps=1, most=most),
            T.save_every(tmp_path / folder, steps=1),
        ]
        with pytest.warns(UserWarning, match="are not finite and are not saved"):
            state, history = fit(batches, add, state=0.0, callbacks=guests)
        assert (state, history.stopped is None) == (expected, most == 2)
    guests = [T.roll_back_on_nan(tmp_path, most=0), T.save_every(tmp_path)]
    with pytest.warns(UserWarning, match="are not finite"):  # there is nothing to go back to
        state, history = fit([np.nan], add, state=0.0, callbacks=guests)
    assert np.isnan(state)
    assert "gone back 0 times" in history.stopped


def test_a_number_of_every_second_occasion_is_followed_there():
    """Early stopping and a plateau look when the evaluation does, and nowhere else."""
    for occasion in ({"epochs": 2}, {"steps": 4}):
        values = iter([3.0, 1.0, 2.0, 2.0, 0.0])
        plateau = ja.schedules.reduce_lr_on_plateau(0.5, factor=0.5, patience=0)
        tx = ja.optimizers.param_groups(ja.optimizers.sgd, [], lr=0.5)
        state, history = fit(
            [1.0, 2.0],
            lambda state, batch: ((state[0] + 1, state[1]), {"loss": batch}),
            state=(0.0, tx.init(jnp.ones(2))),
            epochs=20,
            callbacks=[
                T.evaluate_every(lambda state, values=values: {"val": next(values)}, **occasion),
                T.follow_plateau(plateau, "val", **occasion),
                T.early_stopping("val", patience=2, **occasion),
            ],
        )
        assert history.stopped == "val has been no better than 1 for 2 evaluations"
        assert state[0] == 8.0  # the second evaluation's; it was stopped after 16 steps
        rates = [float(each["lr"]) for each in ja.optimizers.get_hyperparams(state[1])]
        assert rates == [0.5]  # as the weights: of the second evaluation
    for callback in (T.early_stopping, lambda **both: T.follow_plateau(plateau, **both)):
        with pytest.raises(ValueError, match="give steps or epochs"):
            callback(steps=2, epochs=1)
    with pytest.raises(ValueError, match=r"follows 'val'.*\(steps=, epochs=\)"):
        fit(
            [1.0],
            callbacks=[
                T.evaluate_every(lambda state: {"val": 1.0}, epochs=2),
                T.early_stopping("val"),
            ],
        )


def test_what_is_not_a_callback_or_a_number_is_said_in_words():
    def bad(**options):
        return T.Callback("mine", **options)

    for options, text in (
        ({"callbacks": T.early_stopping()}, "got one, 'early_stopping val_loss'"),
        ({"callbacks": 3}, "must be a list of Callbacks, got 3"),
        ({"callbacks": [bad(on_end=lambda run: None)]}, r"Callback\('mine'\)'s on_end .*run, mem"),
        ({"callbacks": [bad(opened=lambda: 3)]}, "opened of callback 'mine'.*got 3"),
        ({"callbacks": [bad(opened=3)]}, r"Callback\('mine'\)'s opened .*\(\) ->.*got 3"),
        ({"callbacks": [bad(opened=lambda: nullcontext())]}, "'mine' must .* gives None; yield"),
        (
            {"callbacks": [bad(opened=lambda: nullcontext(bad(on_end=lambda run: None)))]},
            r"Callback\('mine'\)'s on_end .*run, mem",
        ),
        ({"callbacks": [bad(init=lambda: 3)]}, r"Callback\('mine'\)'s init .*\(state\)"),
        ({"evaluate": lambda state: {"v": None}}, r"metric 'v' of evaluate\(state\).*got None"),
        ({"evaluate": lambda state: {"v": 10**400}}, "'v' of .*a float holds, got 1000"),
        ({"evaluate": lambda state: {"v": "a"}}, r"evaluate\(state\)\['v'\] is .*'a'"),
        ({"evaluate": lambda state: {"v": np.ones(3)}}, r"evaluate\(state\).*shape \(3,\)"),
        (
            {"callbacks": [bad(on_step=lambda run, _: T.Reply(metrics={"v": "a"}))]},
            r"metrics of callback 'mine'\['v'\] is",
        ),
    ):
        with pytest.raises(TypeError, match=text):
            fit([1.0], **options)


@pytest.mark.quick
def test_what_is_a_callback_or_a_number_is_taken():
    """Any sequence of them, any function that takes what it is given, any number of Python's."""

    def add(run, memory, loss_scale=4):
        return T.Reply(metrics={"tokens": 2**40 * loss_scale, "part": Fraction(1, 4)})

    class Opened:
        def __enter__(self):
            return T.Callback("inner", on_epoch=add)

        def __exit__(self, *error):
            return None

    for guest in (T.Callback("add", on_epoch=add), T.Callback("add", opened=Opened)):
        with jax.enable_x64(False):  # where JAX holds no integer of 64 bits
            _, history = fit([1.0], callbacks=deque([guest]))
        assert (history.epochs[0]["tokens"], history.epochs[0]["part"]) == (2.0**42, 0.25)


def test_numbers_of_64_bits_are_finite(tmp_path):
    """On the host a state's numbers may be larger than float32's; those that are inf stay out."""
    state = {"python": 1e300, "numpy": np.full(2, 1e300), "scalar": np.float64(-1e300)}
    with jax.enable_x64(False):
        fit([1.0], state=state, callbacks=[T.save_every(tmp_path, steps=1)])
    assert T.restore(tmp_path, {"state": state}, strict=False).tree["state"]["python"] == 1e300
    for name, bad in (("python", math.inf), ("numpy", np.array([1, np.nan])), ("scalar", np.inf)):
        guests = [T.save_every(tmp_path / name, steps=1)]
        with pytest.warns(UserWarning, match="are not finite and are not saved"):
            fit([1.0], state=state | {name: bad}, callbacks=guests)


@pytest.mark.quick
@pytest.mark.parametrize("steps", [1, 50])
def test_a_mean_leaves_out_the_steps_that_were_taken_back(tmp_path, steps):
    """Whether that is seen at once or at the epoch's end, and in a run resumed in between."""
    losses = [1.0, 3.0, 5.0, np.nan] + [7.0, 9.0] * (steps == 1)
    told, found = [], []
    guests = [
        T.roll_back_on_nan(tmp_path, steps=steps),
        T.Callback("hear", on_epoch=lambda run, _: told.append(run.metrics["loss"])),
        T.Callback("take", on_step=lambda run, _: found.append(run.snapshot())),
        T.save_every(tmp_path, steps=2, keep_last=None),
    ]

    def go(**options):
        return fit(losses, lambda state, batch: (state + batch, {"loss": batch}), **options)[1]

    state = np.zeros(())
    with pytest.warns(UserWarning, match="after step 4 are not finite"):
        history = go(state=state, callbacks=guests)
    mean = 13 / 3 if steps == 1 else 2.0  # steps 3 and 4 are lost, where seen in the fifth it too
    assert (told, [each["loss"] for each in history.epochs]) == ([mean], [mean])
    if steps == 1:
        history = go(state=state, callbacks=guests[:-1], resume=found[4])
        assert history.epochs[0]["loss"] == mean


@pytest.mark.quick
def test_a_memory_that_could_not_be_resumed_is_refused_at_once():
    for first, then, text in [
        ({"worst": 0}, {"worst": 0.5}, r"'worst'.* was int 0, .*float 0.5; .*0.0"),
        ({"worst": 0.0}, {"worst": jnp.float32(1)}, "float 0.0, and is float32"),
        (np.zeros(2), np.zeros(3), r"float64\[2\].*float64\[3\]"),
        ({"a": 0}, {"b": 0}, "{'b': 0}"),
        (None, {"n": 1}, "no first memory.*memory="),
    ]:
        guest = T.Callback("mine", first, lambda run, _, then=then: T.Reply(memory=then))
        with pytest.raises(ValueError, match="(?s)callback 'mine' .*" + text):
            fit([1.0], callbacks=[guest])
    same = T.Callback("mine", {"n": 0.0}, lambda run, _: T.Reply(memory={"n": np.float64(1)}))
    fit([1.0, 2.0], callbacks=[same])


@pytest.mark.quick
def test_without_rich_a_terminal_has_lines(monkeypatch, capsys):
    monkeypatch.setattr("sys.stdout.isatty", lambda: True)
    monkeypatch.setitem(sys.modules, "rich.progress", None)
    for room in ("training", "tuning"):
        monkeypatch.setattr(f"jaxaccel.{room}._progress.LINE", 0.0)
    fit([1.0, 2.0], progress=True)
    ja.tuning.ablate(lambda seed, a=0: {"loss": 1.0}, {"a": {"a": 1}}, seeds=(0,))
    told = capsys.readouterr().out
    assert "1 epochs, 2 steps" in told
    assert "ablate 2/2" in told


def test_a_handler_that_python_did_not_install_is_replaced(monkeypatch):
    """``signal.signal`` says None of it; the second signal ends the process as by default."""
    handlers, raised = {}, []
    monkeypatch.setattr(signal, "signal", lambda number, new: handlers.update({number: new}))
    monkeypatch.setattr(signal, "raise_signal", lambda number: raised.append(handlers[number]))

    def step(state, batch):
        handlers[signal.SIGINT](signal.SIGINT, None)
        handlers[signal.SIGINT](signal.SIGINT, None)
        return state, {"loss": 1.0}

    fit([1.0], step, callbacks=[T.preemption(exit_status=None)])
    assert raised == [signal.SIG_DFL]


def test_numbers_of_the_step_and_first_memories_are_not_overwritten():
    for guest in (
        {"evaluate": lambda state: {"loss": 1.0}},
        {"callbacks": [T.evaluate_every(lambda state: {"loss": 1.0}, steps=1)]},
    ):
        with pytest.raises(ValueError, match=r"evaluate.* returns \['loss'\].*'val_loss'"):
            fit([1.0, 2.0], **guest)
    found = []

    def count(run, memory):
        memory["n"] += 1
        found.append(memory["n"])

    counting = T.Callback("count", {"n": 0}, on_step=count)
    for _ in range(2):
        fit([1.0, 2.0], callbacks=[counting])
    assert found == [1, 2, 1, 2]
    for why in ("", True):
        stopping = T.Callback("stop", on_step=lambda run, _, why=why: T.Reply(stop=why))
        with pytest.raises(TypeError, match="'stop' must say in words why the run ends"):
            fit([1.0, 2.0], callbacks=[stopping])
