"""Where a run goes on from: a folder's newest save, or a snapshot."""

from __future__ import annotations

import os
from typing import Any

from jaxaccel.training._callback import Run
from jaxaccel.training._record import Snapshot, put_together, tree_of
from jaxaccel.training._restore import restore, saved_steps


def resumed(run: Run, resume: Any) -> Run:
    """Return the run as it was when it was saved; where nothing was, as it is."""
    if isinstance(resume, Snapshot):
        return put_together(run, resume)
    if not saved_steps(resume):
        return run
    saved = restore(resume, tree_of(run.record, run.state))
    if "epoch" not in saved.extra:
        raise ValueError(
            f"step {saved.step} in {os.fspath(resume)} is a save without a place in the data; fit "
            "goes on from those that training.save_every makes"
        )
    return put_together(run, Snapshot(saved.tree, saved.extra))
