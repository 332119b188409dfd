"""Finished runs in a file, so that a search that was interrupted goes on."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

from jaxaccel._call_repr import in_brief


class Finished(NamedTuple):
    """A run that came to its end."""

    metrics: dict[str, float]
    seconds: float


def name_of_run(options: Mapping[str, Any], seed: int) -> str:
    """Return what tells a run from the others: its arguments, functions by name."""
    return json.dumps({name: in_brief(each) for name, each in sorted(options.items())} | {"": seed})


def read_runs(path: str | os.PathLike[str] | None) -> dict[str, Finished]:
    """Return the runs in a file by their names; none where there is no file yet.

    Raises:
        ValueError: A line is not a run; the last one may be cut off, of a process that was killed.
    """
    if path is None or not Path(path).exists():
        return {}
    text = Path(path).read_text(encoding="utf-8")
    *lines, rest = text.split("\n")
    if rest:  # begun and not ended: it is left out here, and overwritten by who adds the next
        Path(path).write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")
    found = {}
    for number, line in enumerate(lines, 1):
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
