"""Finished runs in a file, so that a search that was interrupted goes on."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import jax
import numpy as np

from jaxaccel._call_repr import LONGEST, in_brief
from jaxaccel._keys import is_key


class Finished(NamedTuple):
    """A run that came to its end."""

    metrics: dict[str, float]
    seconds: float


def name_of_run(options: Mapping[str, Any], seed: int) -> str:
    """Return what tells a run from the others: its arguments, functions by name.

    Raises:
        ValueError: A function has no name.
    """
    return json.dumps(
        {name: _told(name, each) for name, each in sorted(options.items())} | {"": seed}
    )


def _told(name: str, value: Any) -> str:
    """Return an argument in brief, with a digest of what that leaves out."""
    text, cut = in_brief(value), []
    if "<lambda>" in text:
        raise ValueError(
            f"record tells runs apart by their arguments, and {name!r} has a lambda, which looks "
            "like any other; give it a name with def, or leave record out"
        )
    for leaf in jax.tree.leaves(value):
        if is_key(leaf):
            cut.append(np.asarray(jax.random.key_data(leaf)).tobytes())
        elif hasattr(leaf, "dtype"):
            cut.append(np.asarray(leaf).tobytes())
        elif not callable(leaf) and len(repr(leaf)) > LONGEST:
            cut.append(repr(leaf).encode())
    return f"{text} {hashlib.sha256(b''.join(cut)).hexdigest()[:16]}" if cut else text


def read_runs(path: str | os.PathLike[str] | None) -> dict[str, Finished]:
    """Return the runs in a file by their names; none where there is no file yet.

    Raises:
        ValueError: A line is not a run; the last one may be cut off, of a process that was killed.
    """
    if path is None or not Path(path).exists():
        return {}
    content = Path(path).read_bytes()
    end = content.rfind(b"\n") + 1
    if end < len(content):  # a line that was begun and not ended
        os.truncate(path, end)
    found = {}
    for number, line in enumerate(content[:end].decode().split("\n")[:-1], 1):
        try:
            run = json.loads(line)
            found[run["run"]] = Finished(
                {str(name): float(value) for name, value in run["metrics"].items()},
                float(run["seconds"]),
            )
        except (ValueError, TypeError, KeyError, AttributeError):
            raise ValueError(
                f"record must be a file that ablate has written, got {os.fspath(path)!r}, whose "
                f"line {number} is {line[:60]!r}; name another file, which may not be there yet"
            ) from None
    return found


def add_run(path: str | os.PathLike[str] | None, name: str, run: Finished) -> None:
    """Add a run to the file, which is made where it is missing."""
    if path is None:
        return
    Path(path).parent.mkdir(parents=True, exist_ok=True)
    line = {"run": name, "metrics": run.metrics, "seconds": run.seconds}
    with Path(path).open("a", encoding="utf-8") as file:
        file.write(f"{json.dumps(line)}\n")
        file.flush()
        os.fsync(file.fileno())
