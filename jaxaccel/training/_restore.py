"""A saved run, checked file by file and put where the program wants it."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any, Literal, NamedTuple

import jax

from jaxaccel._checked import checked
from jaxaccel._processes import of_all_processes
from jaxaccel._tree import short_repr
from jaxaccel.training import _saved_files as files
from jaxaccel.training._array_files import orbax, read
from jaxaccel.training._kept_saves import ranked
from jaxaccel.training._saved_record import read_record
from jaxaccel.training._saved_tree import Leaf, as_wanted, check_same, leaves_of, read_to
from jaxaccel.training._saving import wait_for_earlier


class Saved(NamedTuple):
    """What :func:`restore` found."""

    tree: Any
    """The tree, in the structure and the places of ``like``."""
    extra: dict[str, Any]
    """What was saved beside it."""
    step: int
    """The number of the save."""
    metrics: dict[str, float]
    """The numbers that it is known by."""

    __repr__ = short_repr


@checked
def saved_steps(folder: str | os.PathLike[str]) -> tuple[int, ...]:
    """Return the steps of a folder's complete saves, oldest first.

    What a crash has left of a save is not among them.

    Args:
        folder: The run's folder.

    Returns:
        The steps; none where the folder is empty or does not exist.

    Raises:
        NotADirectoryError: The folder is a file, or what is named like a save is not a folder.
        FileNotFoundError: What is named like a save is incomplete, as no crash leaves it.
        PermissionError: The folder cannot be read.

    PyTorch:
        No such function: scripts look for file names.

    Example:
        >>> import jaxaccel as ja
        >>> ja.training.saved_steps("no/such/folder")
        ()
    """
    root = Path(os.path.realpath(folder))
    wait_for_earlier(root, alone=True)
    return tuple(files.complete_saves(root))


def newest_step(folder: str | os.PathLike[str]) -> int:
    """Return the newest step that process 0 sees in a folder, -1 without one; all must ask."""
    return _told_by_first(lambda: max(saved_steps(folder), default=-1))


@checked
def restore(
    folder: str | os.PathLike[str],
    like: Any,
    *,
    step: int | Literal["latest", "best"] = "latest",
    strict: bool = True,
) -> Saved:
    """Restore a saved run, on the devices where ``like`` lives.

    Every file is compared with the size and digest that were written. Nothing is unpickled, cast
    or cut to fit, and nothing in the folder is changed.

    Args:
        folder: The folder that :func:`save` was given.
        like: A tree of the same paths, shapes and dtypes: the state that a new run would start
            from, or ``jax.ShapeDtypeStruct``\\ s, whose shardings say where the arrays are to be.
            That may be another mesh, or another number of devices, than they were saved from. An
            array that JAX placed (no sharding was asked for) comes where JAX places it.
        step: Which save: a number, ``"latest"``, or ``"best"`` by the metric that the newest save
            was told to be ranked by.
        strict: With False only what ``like`` has is read, and what else was saved is left: of a run
            of :func:`fit` the state alone, ``like={"state": state}``, or its parameters,
            ``like={"state": state._replace(model_state=None, opt_state=None)}``.

    Returns:
        A :class:`Saved`: the tree, ``extra``, the step and the metrics.

    Raises:
        FileNotFoundError: There is no such save, or a file of it is missing.
        ValueError: ``like`` differs in a path, shape or dtype (the error's ``differences`` lists
            all of them); a file is damaged, strange or a symbolic link; the format is a newer one.
        OSError: The folder is a file, or there is no permission.
        ModuleNotFoundError: orbax is missing; the extra ``save`` brings it.

    PyTorch:
        ``torch.load`` and ``load_state_dict``, without running what a file says
        (``weights_only=False``). What is missing in the save is refused also with
        ``strict=False``.

    Example:
        >>> import tempfile
        >>> import jax.numpy as jnp
        >>> import jaxaccel as ja
        >>> folder = tempfile.mkdtemp()
        >>> _ = ja.training.save(folder, {"w": jnp.arange(3.0)}, step=10, extra={"lr": 0.1})
        >>> saved = ja.training.restore(folder, {"w": jnp.zeros(3)})
        >>> print(saved.tree["w"], saved.extra, saved.step)
        [0. 1. 2.] {'lr': 0.1} 10
    """
    orbax()
    root = Path(os.path.realpath(folder))
    wait_for_earlier(root)
    wanted = leaves_of("like", like)
    with files.explained(f"restoring from {root}"):
        path = files.step_path(root, _told_by_first(lambda: _chosen(root, step)))
        record = _agreed(lambda: _verified(path, [leaf for leaf, _ in wanted], strict))
        found = {leaf.path: (index, leaf) for index, leaf in enumerate(record["tree"])}
        rows = [(*found[leaf.path], value) for leaf, value in wanted]
        places = {
            f"a{index}": read_to(leaf, value) for index, leaf, value in rows if leaf.is_stored
        }
        arrays = read(path / files.ARRAYS, places) if places else {}
    new = [as_wanted(leaf, value, arrays.get(f"a{index}")) for index, leaf, value in rows]
    tree = jax.tree.structure(like).unflatten(new)
    return Saved(tree, record["extra"], record["step"], record["metrics"])


def _chosen(folder: Path, step: Any) -> int:
    """Return the step of a save."""
    if isinstance(step, int) and files.is_there(files.step_path(folder, step), step):
        return step  # whatever is wrong with another
    saves = files.complete_saves(folder)
    if not saves:
        raise FileNotFoundError(f"{folder} holds no complete save; saved_steps(folder) is empty")
    if step == "latest":
        return max(saves)
    if step == "best":
        records = {step: read_record(path) for step, path in saves.items()}
        choice = records[max(saves)]["kept"]
        if choice["metric"] is None:
            raise ValueError(
                f"the saves of {folder} name no metric to be best by; pass step=number"
            )
        metrics = {step: record["metrics"] for step, record in records.items()}
        if not (best := ranked(metrics, choice["metric"], choice["mode"])):
            raise ValueError(
                f"no save of {folder} has a number for {choice['metric']!r}; pass step='latest'"
            )
        return best[0]
    if not isinstance(step, int):
        raise ValueError(f"step must be a number, 'latest' or 'best', got {step!r}")
    if step not in saves:
        raise FileNotFoundError(f"{folder} has no save of step {step}; it has {sorted(saves)}")
    return step


def _verified(path: Path, wanted: list[Leaf], strict: bool) -> dict[str, Any]:
    """Return a save's record; raise where it does not fit, or its files are not as written.

    Each of several processes reads its share of the files.
    """
    manifest = files.read_manifest(path)
    present = files.check_present(path, manifest)
    record = read_record(path)
    asked = {leaf.path for leaf in wanted}
    check_same(
        [leaf for leaf in record["tree"] if strict or leaf.path in asked],
        wanted,
        f"{path} does not fit like: it is of another model or optimizer",
        "Restore into the state of the model and optimizer that were saved, or into a part of it "
        "with strict=False",
    )
    share = list(present.items())[jax.process_index() :: jax.process_count()]
    files.check_digests(share, manifest)
    return record


def _told_by_first(look: Callable[[], int]) -> int:
    """Return the number that process 0 finds, at least -1; raise on all where it raises."""
    if jax.process_count() == 1:
        return look()
    number = _agreed(lambda: look() if jax.process_index() == 0 else -1)
    return int(of_all_processes([number + 1])[0, 0]) - 1


def _agreed(check: Any) -> Any:
    """Return what a check returns; raise on all processes where it raises on one."""
    if jax.process_count() == 1:
        return check()
    try:
        found, error = check(), None
    except Exception as raised:
        found, error = None, raised
    failed = of_all_processes([error is not None]).any()
    if error is not None:
        raise error
    if failed:
        raise RuntimeError("restoring failed on another process; see its error")
    return found
