"""A run's state on the disk: written beside the training, and complete or not there."""

from __future__ import annotations

import functools
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

import jax

from jaxaccel._checked import checked
from jaxaccel._donated import check_not_donated
from jaxaccel._processes import of_all_processes
from jaxaccel.training import _saved_files as files
from jaxaccel.training._array_files import begin, orbax
from jaxaccel.training._kept_saves import drop_others
from jaxaccel.training._monitored import check_mode
from jaxaccel.training._saved_record import (
    check_json,
    metric_of,
    plain_metrics,
    read_record,
    record_text,
)
from jaxaccel.training._saved_tree import Leaf, as_stored, check_agreed, check_same, leaves_of
from jaxaccel.training._saving import Saving, start, wait_for_earlier


@checked
def save(
    folder: str | os.PathLike[str],
    tree: Any,
    *,
    step: int,
    extra: Mapping[str, Any] | None = None,
    metrics: Mapping[str, Any] | None = None,
    keep_last: int | None = None,
    keep_best: int | None = None,
    metric: str | None = None,
    mode: Literal["min", "max"] = "min",
    wait: bool = True,
) -> Saving:
    """Save everything that a run needs to go on.

    The save appears under its name, ``folder/step_00000120``, by one rename after all of it is on
    the disk: a crash between any two instructions loses nothing but the current save. Each file's
    size and digest are kept, and :func:`restore` checks them. Nothing is pickled.

    A folder holds one run. A step that is there already, an older step, or a tree of other paths,
    shapes or dtypes than the newest save's is refused, and nothing is overwritten.

    Args:
        folder: The run's folder, which is made where it is missing. Several processes name one
            that they all see.
        tree: Any pytree of arrays of JAX (sharded, on hosts, keys) and NumPy, and of Python's
            numbers: a :class:`TrainState` and whatever else the run goes on from.
        step: The number of the save, greater than those that are there.
        extra: What else the run needs, of JSON's values: its configuration, the epoch.
        metrics: Numbers that the save is known by.
        keep_last: Keep so many of the newest saves; default: all, or with ``keep_best`` the newest.
        keep_best: Keep so many of the best saves, too. Of equals the earlier is better; one whose
            metric is not a number (NaN) or missing is not among them.
        metric: The metric that says which are best; default: the only one.
        mode: Whether small or large metrics are good: ``"min"`` or ``"max"``.
        wait: Wait until the save is complete. With False the arrays are copied to the host and the
            rest happens in the background: they may be donated at once. The next save, and
            :func:`restore`, wait for it; so does the end of Python.

    Returns:
        A :class:`Saving`, whose ``wait()`` returns when the save is complete.

    Raises:
        FileExistsError: The step, or a later one, is saved already.
        ValueError: The newest save is of another tree or is damaged, an argument is out of range,
            or an array was donated.
        TypeError: A leaf is not an array or a number, or ``extra`` has what JSON does not.
        BlockingIOError: Another process is saving there.
        OSError: The folder is a file, or there is no permission or space.
        ModuleNotFoundError: orbax is missing; the extra ``save`` brings it.

    PyTorch:
        ``torch.save`` of every ``state_dict()``, without its pickle, and the file name, atomic
        replacement and clearing up that scripts write around it.

    Example:
        >>> import tempfile
        >>> import jax.numpy as jnp
        >>> import jaxaccel as ja
        >>> folder = tempfile.mkdtemp()
        >>> saving = ja.training.save(folder, {"w": jnp.ones(3)}, step=10, extra={"lr": 0.1})
        >>> print(saving.path.name, ja.training.saved_steps(folder))
        step_00000010 (10,)
    """
    orbax()
    _check_numbers(step, keep_last, keep_best, mode)
    numbers, given = plain_metrics(metrics), dict(extra or {})
    check_json("extra", given)
    choice = {
        "keep_last": keep_last,
        "keep_best": keep_best,
        "metric": metric_of(metric, numbers),
        "mode": mode,
    }
    if keep_best is not None and choice["metric"] is None:
        raise ValueError(f"keep_best needs a metric, one of {sorted(numbers)}; pass metric=")
    check_not_donated(tree=tree)
    leaves = leaves_of("tree", tree)
    root = Path(os.path.realpath(folder))
    wait_for_earlier(root)
    check_agreed(leaves)
    path = files.step_path(root, step)
    held = _prepared(path, step, [leaf for leaf, _ in leaves])
    try:
        arrays = {
            f"a{index}": as_stored(leaf, value)
            for index, (leaf, value) in enumerate(leaves)
            if leaf.is_stored
        }
        with files.explained(f"saving step {step} to {root}"):
            written = begin(files.unfinished(path) / files.ARRAYS, arrays) if arrays else None
    except BaseException:
        files.unlock(held)
        raise
    text = record_text(step, [leaf for leaf, _ in leaves], given, numbers, choice)
    saving = start(path, step, functools.partial(_finish, path, written, text, choice, held))
    if wait:
        saving.wait()
    return saving


def _check_numbers(step: int, keep_last: int | None, keep_best: int | None, mode: str) -> None:
    """Raise for arguments out of range."""
    if step < 0:
        raise ValueError(f"step must be at least 0, got {step}")
    for name, value in (("keep_last", keep_last), ("keep_best", keep_best)):
        if value is not None and value < 1:
            raise ValueError(f"{name} must be at least 1, got {value}; None keeps all")
    check_mode(mode)


def _prepared(path: Path, step: int, leaves: list[Leaf]) -> int | None:
    """Make the folder of a new save, and lock the run's; raise on all processes alike."""
    error: Exception | None = None
    held: int | None = None
    if jax.process_index() == 0:
        try:
            held = _prepared_alone(path, step, leaves)
        except Exception as found:
            error = found
    if jax.process_count() > 1 and of_all_processes([error is not None]).any() and error is None:
        raise RuntimeError(f"process 0 cannot save to {path.parent}; see its error")
    if error is not None:
        raise error
    return held


def _prepared_alone(path: Path, step: int, leaves: list[Leaf]) -> int | None:
    """Make the folder of a new save, and lock the run's."""
    folder = path.parent
    with files.explained(f"saving step {step} to {folder}"):
        _check_new(folder, step, leaves)
        files.make(folder)
        held = files.lock(folder)
        try:
            _check_new(folder, step, leaves)
            files.clear_unfinished(folder)
            files.unfinished(path).mkdir()
        except BaseException:
            files.unlock(held)
            raise
    return held


def _check_new(folder: Path, step: int, leaves: list[Leaf]) -> None:
    """Raise where a folder's saves are of another run, or of a later step."""
    saves = files.complete_saves(folder)
    if not saves:
        return
    newest = max(saves)
    if step <= newest:
        what = "is saved already" if step in saves else f"is older than the newest, {newest}"
        raise FileExistsError(
            f"step {step} {what} in {folder}, and nothing is overwritten: go on from it with "
            "restore, or name another folder for another run"
        )
    check_same(
        read_record(saves[newest])["tree"],
        leaves,
        f"{folder} holds the saves of another run: its newest, step {newest}, differs from tree",
        "Name another folder",
    )


def _finish(
    path: Path, written: Any, text: str, choice: Mapping[str, Any], held: int | None
) -> None:
    """Wait for the arrays, then let process 0 complete the save and drop others."""
    try:
        if written is not None:
            with files.explained(f"saving {path}"):
                written()
        if jax.process_index() == 0:
            with files.explained(f"saving {path}"):
                files.write_text(files.unfinished(path) / files.RUN, text)
                files.commit(path)
                drop_others(path.parent, choice)
    finally:
        files.unlock(held)
