"""Which saves stay: the last ones and the best by a metric, and what a crash leaves of one."""

import errno
import json
import math
import os
import subprocess
import sys
import textwrap

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import jaxaccel as ja
from parity_tests.harness.documents import ROOT

restore, save, saved_steps = ja.training.restore, ja.training.save, ja.training.saved_steps
NAN = math.nan


def saved(folder, metrics, **options):
    """Save a step for each metric, from 1; return the steps that are left."""
    for step, value in enumerate(metrics, 1):
        named = {} if value is None else {"loss": value}
        save(folder, {"w": step}, step=step, metrics=named, **options)
    return saved_steps(folder)


def best(folder):
    return restore(folder, {"w": 0}, step="best").tree["w"]


def test_the_last_and_the_best_stay(tmp_path):
    metrics = [3.0, 1.0, 2.0, 5.0, 4.0]
    for index, (options, left, first) in enumerate(
        (
            ({}, (1, 2, 3, 4, 5), 2),
            ({"keep_last": 2}, (4, 5), 5),
            ({"keep_best": 2}, (2, 3, 5), 2),
            ({"keep_best": 1, "keep_last": 2, "mode": "min"}, (2, 4, 5), 2),
            ({"keep_best": 2, "mode": "max", "metric": "loss"}, (4, 5), 4),
            ({"mode": "max"}, (1, 2, 3, 4, 5), 4),
        )
    ):
        folder = tmp_path / str(index)
        assert saved(folder, metrics, **options) == left, options
        assert best(folder) == first, options
        assert restore(folder, {"w": 0}).step == 5


def test_of_equals_the_earlier_is_better_and_nan_never(tmp_path):
    for index, (metrics, left, first) in enumerate(
        (
            ([1.0, 1.0, 1.0], (1, 3), 1),
            ([NAN, 2.0, NAN], (2, 3), 2),
            ([math.inf, NAN, math.inf], (1, 3), 1),
            ([-math.inf, NAN, 0.0, NAN], (1, 4), 1),
            ([NAN, NAN], (2,), None),
        )
    ):
        folder = tmp_path / str(index)
        assert saved(folder, metrics, keep_best=1) == left, metrics
        if first is None:
            with pytest.raises(ValueError, match=r"no save of .* has a number for 'loss'"):
                best(folder)
        else:
            assert best(folder) == first, metrics
    saved(tmp_path / "none", [None, None])
    with pytest.raises(ValueError, match="name no metric to be best by"):
        best(tmp_path / "none")
    save(tmp_path / "two", {"w": 1}, step=1, metrics={"a": 1.0, "b": 2.0})
    with pytest.raises(ValueError, match="name no metric to be best by"):
        best(tmp_path / "two")


# --- a crash at every operation -------------------------------------------------------------------

COPIES = textwrap.dedent(
    """
    import json, os, shutil, sys, threading
    import jax.numpy as jnp
    import jaxaccel as ja

    folder, copies = sys.argv[1:]
    lock, inside, names = threading.Lock(), threading.local(), []
    EVENTS = ("open", "os.mkdir", "os.rename", "os.remove", "os.rmdir", "os.link", "os.symlink")

    def before(event, arguments):
        '''Copy the folder as a kill before this operation would leave it.'''
        if event not in EVENTS or getattr(inside, "copies", False) or not is_on:
            return
        path = os.fspath(arguments[0]) if not isinstance(arguments[0], int) else ""
        if event == "open" and not str(path).startswith(folder):
            return
        with lock:
            inside.copies = True
            try:
                shutil.copytree(folder, f"{copies}/{len(names)}", symlinks=True)
            except shutil.Error:
                shutil.rmtree(f"{copies}/{len(names)}")  # another thread was at it; take the next
            else:
                names.append(f"{event} {os.path.basename(str(path))}")
            inside.copies = False

    def tree(step):
        return {"w": jnp.arange(6.0) * step, "step": step}

    is_on = False
    ja.training.save(folder, tree(1), step=1)
    ja.training.save(folder, tree(2), step=2)
    sys.addaudithook(before)
    is_on = True
    ja.training.save(folder, tree(3), step=3, keep_last=2)
    is_on = False
    print(json.dumps(names))
    ja.training.save(folder + ".end", {"w": jnp.ones((2000, 500))}, step=1, wait=False)
    """
)


def test_no_space_is_an_error_of_the_system_and_older_saves_stay(tmp_path, monkeypatch):
    save(tmp_path, {"w": np.ones(2)}, step=1)

    def full():
        raise ValueError("RESOURCE_EXHAUSTED: Error writing")

    monkeypatch.setattr("jaxaccel.training._save.begin", lambda *_: full)
    with pytest.raises(OSError, match="no space is left there") as raised:
        save(tmp_path, {"w": np.zeros(2)}, step=2)
    assert raised.value.errno == errno.ENOSPC
    assert restore(tmp_path, {"w": np.zeros(2)}).tree["w"].all()


def test_a_new_folder_is_on_the_disk_with_all_that_it_is_in(tmp_path, monkeypatch):
    synced, fsync = [], os.fsync

    def noting(number):
        synced.append(os.fstat(number).st_ino)
        fsync(number)

    monkeypatch.setattr(os, "fsync", noting)
    save(tmp_path / "a" / "b", {"w": 1}, step=1)
    assert {path.stat().st_ino for path in (tmp_path, tmp_path / "a")} <= {*synced}


@pytest.fixture(scope="module")
def copied(tmp_path_factory):
    """Return a run's folder, copies of it, and what the next operation was at each of them."""
    place = tmp_path_factory.mktemp("copied")
    folder, copies = place / "run", place / "copies"
    copies.mkdir()
    command = [sys.executable, "-c", COPIES, str(folder), str(copies)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    return folder, copies, json.loads(done.stdout)


def test_the_end_of_python_waits_for_a_save(copied):
    folder = copied[0].with_name("run.end")
    assert saved_steps(folder) == (1,)
    like = jax.ShapeDtypeStruct((2000, 500), jnp.float32)
    assert float(restore(folder, {"w": like}).tree["w"].sum()) == 1e6


def test_a_kill_before_any_operation_loses_nothing_but_the_current_save(copied):
    """The folder is copied before each operation of a save on its files, and gone on from.

    Between two operations a kill leaves what is copied; one in the midst of writing leaves less
    of a file that no one reads before the last rename.
    """
    _, copies, names = copied
    assert {name.split()[0] for name in names} >= {"open", "os.mkdir", "os.rename", "os.remove"}
    renamed = [name for name in names if name.startswith("os.rename")]
    assert renamed[-2:] == ["os.rename step_00000003.unfinished", "os.rename step_00000001"]
    assert len(names) > 20
    like, newest, before = {"w": jnp.zeros(6, jnp.float32), "step": 0}, [], None
    for index, name in enumerate(names):
        copy = copies / str(index)
        steps = saved_steps(copy)
        assert steps in ((1, 2), (1, 2, 3), (2, 3)), name
        found = restore(copy, like)
        np.testing.assert_array_equal(found.tree["w"], np.arange(6) * np.float32(found.step))
        assert found.tree["step"] == found.step
        newest.append(found.step)
        left = sorted(path.name for path in copy.iterdir())
        if left != before or index % 16 == 0:  # the others differ below an unfinished save
            assert [restore(copy, like, step=step).tree["step"] for step in steps] == [*steps]
            save(copy, {"w": found.tree["w"], "step": 9}, step=9)
            after = {".saving", *(f"step_{step:08d}" for step in (*steps, 9))}
            assert {path.name for path in copy.iterdir()} == after, name
        before = left
    assert newest == sorted(newest)
    assert {2, 3} == set(newest)
