"""Where a run goes on from: a folder's newest save, or a snapshot."""

from __future__ import annotations

import os
from typing import Any

from jaxaccel.training._callback import Run
from jaxaccel.training._record import Snapshot, put_together, tree_of
from jaxaccel.training._restore import newest_step, restore


def resumed(run: Run, resume: Any) -> Run:
    """Return the run as it was when it was saved; where nothing was, as it is."""
    if isinstance(resume, Snapshot):
        return put_together(run, resume)
    if newest_step(resume) < 0:
        return run
    try:
        saved = restore(resume, tree_of(run.record, run.state))
    except ValueError as error:
        of_memory = [text.startswith("['memory']") for text in getattr(error, "differences", ())]
        if not of_memory or not all(of_memory):
            raise
        raise ValueError(
            f"{os.fspath(resume)} was saved with other callbacks, or they remembered something of "
            f"another form: {error.differences[0]}; resume it with the same ones, or leave what "  # pyright: ignore[reportAttributeAccessIssue]
            "they remembered behind: saved = training.restore(folder, {'state': state}, "
            "strict=False), then fit(..., resume=training.Snapshot(saved.tree, saved.extra))"
        ) from error
    if "epoch" not in saved.extra:
        raise ValueError(
            f"step {saved.step} in {os.fspath(resume)} is a save without a place in the data; fit "
            "goes on from those that training.save_every makes"
        )
    return put_together(run, Snapshot(saved.tree, saved.extra))
