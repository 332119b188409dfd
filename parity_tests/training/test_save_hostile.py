"""Broken, strange and hostile saves: a clear error, and nothing is changed or deleted."""

import hashlib
import json
import os
import pickle
import shutil
import subprocess
import sys

import jax.numpy as jnp
import numpy as np
import pytest

import jaxaccel as ja

restore, save, saved_steps = ja.training.restore, ja.training.save, ja.training.saved_steps
TREE = {"w": np.arange(12.0).reshape(3, 4), "b": jnp.ones(3), "n": 3}


def contents(folder):
    """Return everything in a folder: each path with what it is, and its bytes."""
    found = {}
    for path in sorted(folder.rglob("*")):
        is_file = path.is_file() and not path.is_symlink()
        link = os.readlink(path) if path.is_symlink() else None
        found[str(path.relative_to(folder))] = path.read_bytes() if is_file else link
    return found


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    folder = tmp_path_factory.mktemp("saves")
    for step in (1, 2):
        save(folder, TREE, step=step, metrics={"loss": step})
    return folder


@pytest.fixture
def run(whole, tmp_path):
    """Return a copy of a run with two saves, to be broken, and its newest save."""
    return shutil.copytree(whole, tmp_path / "run"), tmp_path / "run" / "step_00000002"


def refused(folder, error, match, call=None):
    """Check that a call is refused in these words, and changes nothing."""
    before = contents(folder)
    with pytest.raises(error, match=match):
        (call or (lambda: restore(folder, TREE)))()
    assert contents(folder) == before


def flip(path, position, bit):
    data = bytearray(path.read_bytes())
    data[position] ^= 1 << bit
    path.write_bytes(data)


def test_damage_of_any_file_is_found_by_name(run):
    """Flipped bits, cut ends, appended bytes, missing files: in each file of a save."""
    folder, newest = run
    paths = [path for path in newest.rglob("*") if path.is_file()]
    assert {path.name for path in paths} > {"manifest.json", "run.json", "manifest.ocdbt"}
    for path in paths:
        whole, name = path.read_bytes(), path.name
        positions = {0, len(whole) // 2, len(whole) - 1}
        if name == "manifest.json":  # it has no digest elsewhere, and guards itself
            positions |= set(range(0, len(whole), 17))
        for position in sorted(positions):
            flip(path, position, position % 8)
            refused(folder, ValueError, rf"{name} is damaged")
            path.write_bytes(whole)
        for broken in (whole[:-1], whole[: len(whole) // 2], b"", whole + b"\0"):
            path.write_bytes(broken)
            refused(folder, ValueError, rf"{name} is damaged")
        path.unlink()
        refused(folder, FileNotFoundError, name)
        path.write_bytes(whole)
    assert_tree(restore(folder, TREE).tree)  # all is repaired, and what is older was always there
    assert restore(folder, TREE, step=1).step == 1


def assert_tree(tree):
    np.testing.assert_array_equal(tree["w"], TREE["w"])
    np.testing.assert_array_equal(tree["b"], TREE["b"])
    assert tree["n"] == 3


def test_strangers_in_a_save_are_named_and_beside_it_left_alone(run, tmp_path):
    folder, newest = run
    (folder / "notes.txt").write_text("mine")
    (folder / "plots").mkdir()
    (folder / "step_3").mkdir()  # not how a save is named
    assert saved_steps(folder) == (1, 2)
    stranger = newest / "arrays" / "d" / "more.pkl"
    stranger.write_bytes(pickle.dumps(print))
    refused(folder, ValueError, r"holds what was not saved, 'arrays/d/more.pkl'")
    save(folder, TREE, step=3, keep_last=1)  # one with a stranger in it is not removed
    assert saved_steps(folder) == (2, 3)
    assert stranger.exists()
    assert (folder / "notes.txt").read_text() == "mine"
    assert_tree(restore(folder, TREE).tree)


def test_links_and_special_files_are_not_followed(run, tmp_path):
    folder, newest = run
    for name in ("run.json", "manifest.json", "arrays/manifest.ocdbt"):
        outside = tmp_path / "outside"
        shutil.copy(newest / name, outside)
        (newest / name).unlink()
        (newest / name).symlink_to(outside)
        kind = "plain file" if name == "manifest.json" else "a symbolic link"
        refused(folder, ValueError, rf"{name} is.*{kind}")
        (newest / name).unlink()
        shutil.move(outside, newest / name)
    os.mkfifo(newest / "pipe")  # which would wait for ever
    refused(folder, ValueError, "pipe is not a plain file")
    (newest / "pipe").unlink()
    (newest / "more").symlink_to(tmp_path)
    refused(folder, ValueError, "more is a symbolic link")
    (newest / "more").unlink()
    shutil.move(newest, tmp_path / "elsewhere")
    newest.symlink_to(tmp_path / "elsewhere")
    refused(folder, NotADirectoryError, "step_00000002 has the name of a save.*symbolic link")
    again = lambda: save(folder, TREE, step=3)  # noqa: E731
    refused(folder, NotADirectoryError, "symbolic link.*move it away", again)
    newest.unlink()
    (tmp_path / "link").symlink_to(folder)  # the run's folder itself may be one
    assert restore(tmp_path / "link", TREE).step == 1


def manifest(newest, **changes):
    """Write a manifest that is whole and says something else."""
    path = newest / "manifest.json"
    found = json.loads(path.read_text()) | changes
    own = hashlib.sha256(json.dumps(found["files"], sort_keys=True).encode()).hexdigest()
    found["sha256_of_files"] = own
    path.write_text(json.dumps(found, indent=1, sort_keys=True) + "\n")
    return found


def test_formats_and_path_tricks(run):
    folder, newest = run
    files = json.loads((newest / "manifest.json").read_text())["files"]
    manifest(newest, format=2)
    refused(folder, ValueError, "format 2, of a newer version.*pip install --upgrade")
    manifest(newest, format=2, files="another form")
    refused(folder, ValueError, "format 2, of a newer version")
    for wrong in (0, None, "1", {}):
        manifest(newest, format=wrong)
        refused(folder, ValueError, "manifest.json is damaged")
    for name in ("../outside", "/etc/passwd", "arrays/../../x", "..\\x"):
        manifest(newest, format=1, files=files | {name: {"bytes": 0, "sha256": ""}})
        refused(folder, ValueError, "names a file outside of the save")
    for text in ("[" * 100_000, "{}", "[]", '{"format": 1, "files": []}', "\udcff"):
        (newest / "manifest.json").write_text(text, errors="surrogateescape")
        refused(folder, ValueError, "manifest.json is damaged")
    manifest(newest.parent / "step_00000001", format=1)
    assert restore(folder, TREE, step=1).step == 1


def test_a_record_that_lies_is_refused(run):
    """Whoever writes the digests anew can only say what does not fit, and run nothing."""
    folder, newest = run
    path = newest / "run.json"
    record = json.loads(path.read_text())
    for lie, match in (
        ({}, "is not a record of a run"),
        ([], "is not a record of a run"),
        (record | {"tree": [{"path": "['w']", "module": "os"}]}, "is not a record of a run"),
        (record | {"tree": [*record["tree"], {"path": "['x']", "dtype": "float64"}]}, "not here"),
        (record | {"tree": []}, "not saved, here"),
    ):
        path.write_text(json.dumps(lie))
        files = json.loads((newest / "manifest.json").read_text())["files"]
        data = path.read_bytes()
        entry = {"bytes": len(data), "sha256": hashlib.sha256(data).hexdigest()}
        manifest(newest, files=files | {"run.json": entry})
        refused(folder, ValueError, match)


def test_nothing_is_unpickled(run, monkeypatch):
    def never(*args, **kwargs):
        raise AssertionError("unpickled")

    for name in ("load", "loads", "Unpickler"):
        monkeypatch.setattr(pickle, name, never)
    assert_tree(restore(run[0], TREE).tree)


def test_folders_that_are_none(run, tmp_path, monkeypatch):
    folder, newest = run
    empty, file = tmp_path / "empty", tmp_path / "file"
    empty.mkdir()
    file.write_text("text")
    for missing in (empty, tmp_path / "no" / "such"):
        assert saved_steps(missing) == ()
        with pytest.raises(FileNotFoundError, match="holds no complete save"):
            restore(missing, TREE)
    assert not (tmp_path / "no").exists()
    for call in (
        lambda: restore(file, TREE),
        lambda: save(file, TREE, step=1),
        lambda: saved_steps(file),
    ):
        refused(tmp_path, NotADirectoryError, "file is not a folder", call)
    with pytest.raises(FileNotFoundError, match=r"no save of step 7; it has \[1, 2\]"):
        restore(folder, TREE, step=7)
    with pytest.raises(ValueError, match="step must be a number, 'latest' or 'best', got 'newest'"):
        restore(folder, TREE, step="newest")
    (newest / "manifest.json").unlink()
    assert restore(folder, TREE, step=1).step == 1  # an older one, on purpose
    for call in (lambda: restore(folder, TREE), lambda: save(folder, TREE, step=3)):
        refused(folder, FileNotFoundError, "has no manifest.json.*not complete", call)

    def denied(path, *args):
        raise PermissionError(13, "Permission denied", str(path))

    for name, call in (
        ("listdir", lambda: restore(folder, TREE)),
        ("mkdir", lambda: save(tmp_path / "new", TREE, step=3)),
    ):
        with monkeypatch.context() as patch:
            patch.setattr(os, name, denied)
            with pytest.raises(PermissionError, match=r"no permission for .*chmod"):
                call()


def test_a_save_that_fails_leaves_the_older_ones(run, monkeypatch):
    """No space, say: the error comes with ``wait()``, or with the next save, which goes on."""
    folder, _ = run

    def full(number):
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", full)
        with pytest.raises(OSError, match="No space left") as caught:
            save(folder, TREE, step=3)
        assert "The save of step 3" in caught.value.__notes__[0]
        save(folder, TREE, step=3, wait=False)
        assert saved_steps(folder) == (1, 2)
    with pytest.raises(OSError, match="No space left"):
        save(folder, TREE, step=4)
    save(folder, TREE, step=4)
    assert saved_steps(folder) == (1, 2, 4)
    assert sorted(os.listdir(folder))[1:] == [f"step_{n:08d}" for n in (1, 2, 4)]


def test_a_damaged_save_is_not_ranked_and_not_removed(run):
    """Nor does it end a run whose new save is complete."""
    folder, _ = run
    record = folder / "step_00000001" / "run.json"
    record.write_text(record.read_text().replace('"step": 1', '"step": 7'))
    with pytest.warns(UserWarning, match=r"step_00000001.* is damaged.*stays"):
        save(folder, TREE, step=3, metrics={"loss": 1.0}, keep_best=1)
    assert saved_steps(folder) == (1, 3)


def test_the_error_after_a_save_says_that_it_is_complete(run, monkeypatch):
    folder, _ = run

    def full(path):
        raise OSError(5, "Input/output error")

    monkeypatch.setattr(shutil, "rmtree", full)
    with pytest.raises(OSError, match="Input/output") as caught:
        save(folder, TREE, step=3, keep_last=1)
    assert "step_00000003, is complete" in caught.value.__notes__[0]
    assert 3 in saved_steps(folder)


def test_another_run_does_not_fit_into_the_folder(run):
    """Nor the same step again, nor an older one: nothing is overwritten."""
    folder, _ = run
    for step, tree, error, match in (
        (2, TREE, FileExistsError, "step 2 is saved already.*nothing is overwritten"),
        (1, TREE, FileExistsError, "step 1 is saved already"),
        (0, TREE, FileExistsError, "step 0 is older than the newest, 2"),
        (3, {"w": TREE["w"]}, ValueError, "saves of another run.*differs from tree.*\n.*not here"),
    ):
        refused(folder, error, match, lambda s=step, t=tree: save(folder, t, step=s))
    save(folder, TREE, step=3)
    assert saved_steps(folder) == (1, 2, 3)


def test_one_process_saves_to_a_folder(run):
    """A second one is told so; the lock of one that was killed is gone with it."""
    folder, _ = run
    hold = (
        "import fcntl, sys; file = open(sys.argv[1], 'w'); fcntl.lockf(file, fcntl.LOCK_EX);"
        "print('held', flush=True); sys.stdin.read()"
    )
    command = [sys.executable, "-c", hold, str(folder / ".saving")]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as other:
        assert other.stdout.readline() == b"held\n"
        refused(folder, BlockingIOError, "another process", lambda: save(folder, TREE, step=3))
        other.kill()
    save(folder, TREE, step=3)
    assert saved_steps(folder) == (1, 2, 3)


def test_arguments_out_of_range(tmp_path):
    for wrong, match in (
        ({"step": -1}, "step must be at least 0, got -1"),
        ({"keep_last": 0}, "keep_last must be at least 1, got 0"),
        ({"keep_best": 0}, "keep_best must be at least 1"),
        ({"keep_best": 1}, "keep_best needs a metric"),
        ({"metric": "loss"}, r"metric is 'loss', and metrics has \[\]"),
        ({"mode": "least"}, "mode must be 'min' or 'max', got 'least'"),
    ):
        with pytest.raises(ValueError, match=match):
            save(tmp_path, TREE, **{"step": 1} | wrong)
    assert list(tmp_path.iterdir()) == []
