"""Saving as the run goes."""

from __future__ import annotations

import contextlib
import math
import os
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal

from jaxaccel._checked import checked
from jaxaccel.training._callback import Callback, Run
from jaxaccel.training._due import check_occasion, is_due
from jaxaccel.training._metrics import numbers_of
from jaxaccel.training._monitored import check_mode
from jaxaccel.training._restore import newest_step
from jaxaccel.training._save import save
from jaxaccel.training._saving import wait_for_earlier
from jaxaccel.training._weights import are_finite, weights_of


@checked
def save_every(
    folder: str | os.PathLike[str],
    *,
    steps: int | None = None,
    epochs: int | None = None,
    keep_last: int | None = 2,
    keep_best: int | None = None,
    metric: str | None = None,
    mode: Literal["min", "max"] = "min",
) -> Callback:
    """Save the run every so often, and where it ends.

    All that ``fit(resume=folder)`` goes on from: the state, what callbacks remember, the place in
    the data, the epoch's numbers so far. It is written while the next steps are made
    (:func:`save`); the last save is waited for. It holds the state that the run goes on from, of
    which :func:`early_stopping` then makes the best one again: the best weights are in what it
    remembers. A state whose weights are not finite is not saved, so that what was saved before
    stays the newest.

    Args:
        folder: The run's folder.
        steps: Every so many steps of the run.
        epochs: Every so many epochs. Default, without ``steps``: every one.
        keep_last: Keep so many of the newest saves; ``None``: all, with ``keep_best`` the newest.
        keep_best: Keep so many of the best, too.
        metric: The number that says which are best: of the epoch; with ``steps``, of the step. A
            save without it, of a run that ends inside an epoch, is not among the best.
        mode: Whether small or large ones are good.

    Returns:
        A :class:`Callback`, called after all others, whose answers are saved too; at the end of the
        run before them.

    Raises:
        ValueError: ``steps`` and ``epochs`` are both given, or below 1; ``keep_best`` comes without
            ``metric``; ``mode`` is another word. In the run: a step or epoch that is saved has no
            such number (it is saved nevertheless).
        ModuleNotFoundError: orbax is missing; the extra ``save`` brings it.

    PyTorch:
        ``torch.save({"model": ..., "optimizer": ..., "epoch": ...}, path)`` in a loop; Lightning's
        and Keras's ``ModelCheckpoint``, Transformers' ``save_steps`` and ``save_total_limit``.

    Example:
        >>> import tempfile
        >>> import jax.numpy as jnp
        >>> import jaxaccel as ja
        >>> folder = tempfile.mkdtemp()
        >>> def run(epochs):
        ...     return ja.training.fit(
        ...         lambda state, batch: (state + batch, {"loss": state}),
        ...         jnp.zeros(()),
        ...         lambda epoch: [1.0] * 5,
        ...         epochs=epochs,
        ...         callbacks=[ja.training.save_every(folder, steps=2)],
        ...         progress=False,
        ...         resume=folder,
        ...     )
        >>> state, history = run(1)
        >>> ja.training.saved_steps(folder)
        (4, 5)
        >>> state, history = run(2)  # goes on: the first epoch is not run again
        >>> print(state, [epoch["loss"] for epoch in history.epochs])
        10.0 [2.0, 7.0]
    """
    steps, epochs = check_occasion(steps, epochs)
    if keep_best is not None and metric is None:
        raise ValueError(
            f"keep_best={keep_best} needs metric=, the number that says which are best"
        )
    check_mode(mode)
    root = os.path.realpath(folder)

    @contextlib.contextmanager
    def opened() -> Iterator[Callback]:
        def save_now(run: Run, memory: Any) -> None:
            saved = run.record.saved
            if root not in saved:
                saved[root] = newest_step(root)  # later ones are made here
            if run.total_steps == saved[root]:
                return
            if not are_finite(weights_of(run.state)):
                warnings.warn(
                    f"the weights after step {run.total_steps} are not finite and are not saved",
                    stacklevel=2,
                )
                return
            tree, extra = run.snapshot()
            numbers = numbers_of(run.metrics)
            if metric is not None:
                numbers.setdefault(metric, math.nan)  # not among the best
            names = {"keep_last": keep_last, "keep_best": keep_best, "metric": metric, "mode": mode}
            given: dict[str, Any] = {"step": run.total_steps, "extra": extra, "metrics": numbers}
            save(root, tree, **given, **names, wait=False)
            saved[root] = run.total_steps

        def save_if_due(run: Run, memory: Any) -> None:
            if is_due(run, steps, epochs):
                save_now(run, memory)
                if metric is not None:  # after the save, which may be all that a typo leaves
                    _check_there(metric, run)

        def finish(run: Run, memory: Any) -> None:
            save_now(run, memory)
            wait_for_earlier(Path(root))

        try:
            yield Callback("save_every", on_step=save_if_due, on_epoch=save_if_due, on_end=finish)
        finally:  # after an error, which is the one to be heard
            wait_for_earlier(Path(root), alone=True)

    return Callback("save_every", opened=opened, is_last=True)


def _check_there(metric: str, run: Run) -> None:
    """Raise where saves are to be ranked by a number that the step or epoch does not have."""
    if metric in run.metrics:
        return
    whose = "epoch" if run.is_epoch_end else "step"
    remedy = (
        "give both callbacks the same epochs= where it is not measured in every epoch"
        if run.is_epoch_end
        else "save by epochs= where it is the epoch's, or measure it after the same steps "
        "(evaluate_every(steps=))"
    )
    raise ValueError(
        f"save_every ranks by {metric!r}, which is not among the {whose}'s {sorted(run.metrics)}; "
        f"{remedy}. The save is made, without a rank"
    )
