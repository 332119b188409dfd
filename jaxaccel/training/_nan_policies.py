"""What is done when a loss is not finite: stop, or go back to the last save."""

from __future__ import annotations

import math
import os
from typing import Any

from jaxaccel._checked import checked
from jaxaccel.training._callback import Callback, Reply, Run
from jaxaccel.training._record import means, read_pending, take_back
from jaxaccel.training._restore import newest_step, restore


@checked
def terminate_on_nan(monitor: str = "loss", *, steps: int = 50) -> Callback:
    """Stop the run when a step's number is not finite.

    The numbers of earlier steps are read every ``steps`` steps, while the device goes on with the
    newest, and at the end of an epoch: the run ends at most so many steps late. A step that says
    it was skipped (:func:`skip_nonfinite`, a scaler) has done no harm and does not count.

    Args:
        monitor: The metric to look at.
        steps: How often it is looked at, at least 1.

    Returns:
        A :class:`Callback`; ``History.stopped`` names the step.

    Raises:
        ValueError: ``steps`` is below 1, or the step has no such metric.

    PyTorch:
        Keras's ``TerminateOnNaN`` and Lightning's ``EarlyStopping(check_finite=True)``, without
        waiting for every step.

    Example:
        >>> import jax.numpy as jnp
        >>> import jaxaccel as ja
        >>> state, history = ja.training.fit(
        ...     lambda state, batch: (state, {"loss": batch}),
        ...     jnp.zeros(()),
        ...     lambda epoch: [1.0, jnp.inf, 1.0, 1.0],
        ...     callbacks=[ja.training.terminate_on_nan(steps=2)],
        ...     progress=False,
        ... )
        >>> history.stopped
        'loss was inf in step 2'
    """

    def stopped(run: Run, memory: Any, step: int, number: float) -> Reply:
        return Reply(stop=f"{monitor} was {number} in step {step}")

    return _watching("terminate_on_nan", monitor, steps, stopped)


@checked
def roll_back_on_nan(
    folder: str | os.PathLike[str], monitor: str = "loss", *, steps: int = 50, most: int = 3
) -> Callback:
    """Go back to the last save when a step's number is not finite, and on with the next data.

    The state is that of the newest complete save, which :func:`save_every` makes of finite weights
    only. Epoch, step, generators and what other callbacks remember stay: the batches after the
    save, among them the one that did it, are not seen again, and the epoch's means leave them out
    (for callbacks after this one, where it is seen at the epoch's end). A learning rate that
    :func:`follow_plateau` has set since the save is set again when it looks next, and a plateau in
    the optimizer's state goes on from the save's.

    Args:
        folder: The run's folder.
        monitor: The metric to look at.
        steps: How often it is looked at, as by :func:`terminate_on_nan`, at least 1.
        most: How often the run goes back; the next time it is stopped, with the save's state.

    Returns:
        A :class:`Callback`.

    Raises:
        ValueError: ``steps`` is below 1, ``most`` negative, or the step has no such metric.
        FileNotFoundError: There is no save to go back to.

    PyTorch:
        ``model.load_state_dict(torch.load(last))`` and the same for the optimizer, when a loss is
        NaN: how runs of large models get over a bad stretch of data (PaLM, section 5.1).

    Example:
        >>> import jaxaccel as ja
        >>> ja.training.roll_back_on_nan("runs/first", steps=100).name
        'roll_back_on_nan'

    References:
        Chowdhery et al. PaLM: Scaling Language Modeling with Pathways. 2022.
    """
    if most < 0:
        raise ValueError(f"most must be at least 0, got {most}")

    def back(run: Run, memory: Any, step: int, number: float) -> Reply:
        found = f"{monitor} was {number} in step {step}"
        times = memory["times"]
        stop = f"{found}, after the run had gone back {times} times" if times >= most else None
        if newest_step(folder) < 0:
            if stop:
                return Reply(stop=stop)
            raise FileNotFoundError(
                f"{found}, and {os.fspath(folder)} holds no save yet to go back to; save sooner, "
                "save_every(folder, steps=...)"
            )
        saved = restore(folder, {"state": run.state}, strict=False)
        take_back(run.record, run.total_steps - saved.step)
        return Reply(
            state=saved.tree["state"],
            stop=stop,
            memory={"looked_at": run.total_steps, "times": times + (stop is None)},
            metrics=means(run.record) if run.is_epoch_end else None,
        )

    return _watching("roll_back_on_nan", monitor, steps, back)


def _watching(name: str, monitor: str, steps: int, answer: Any) -> Callback:
    """Return a callback that gives an answer where a number is not finite."""
    if steps < 1:
        raise ValueError(f"steps must be at least 1, got {steps}")

    def look(run: Run, memory: Any, newest: int) -> Reply:
        read_pending(run.record, run.total_steps - newest)
        newest = run.total_steps - len(run.record.pending)  # others may have read more
        known = run.record.steps  # of a resumed run not all
        fresh = min(max(0, newest - memory["looked_at"]), len(known))
        for step, numbers in enumerate(known[len(known) - fresh :], newest - fresh + 1):
            if monitor not in numbers:
                raise ValueError(f"{name} looks at {monitor!r}, not among {sorted(numbers)}")
            if not math.isfinite(numbers[monitor]) and not numbers.get("skipped"):
                return answer(run, memory, step, numbers[monitor])
        return Reply(memory={**memory, "looked_at": newest})

    def on_step(run: Run, memory: Any) -> Reply | None:
        return look(run, memory, run.total_steps - 1) if run.total_steps % steps == 0 else None

    def on_epoch(run: Run, memory: Any) -> Reply:
        return look(run, memory, run.total_steps)

    return Callback(name, {"looked_at": 0, "times": 0}, on_step=on_step, on_epoch=on_epoch)
