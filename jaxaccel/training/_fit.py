"""The loop around a step: epochs, callbacks, a history."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Iterable, Sequence
from typing import Any, NamedTuple

import jax
import numpy as np

from jaxaccel._checked import checked_but
from jaxaccel._epoch_batches import check_batches, no_batch, row_counter, taken_up
from jaxaccel._functions import check_function
from jaxaccel._returned import state_and_metrics
from jaxaccel._types import StateT
from jaxaccel.random import Generator
from jaxaccel.training._callback import Callback, Run
from jaxaccel.training._evaluate_every import evaluate_every
from jaxaccel.training._hear import Hooks, check_callbacks, first_memory, hear, hooks_of, opened
from jaxaccel.training._progress import progress_bar
from jaxaccel.training._record import (
    Snapshot,
    columns_of,
    new_record,
    read_pending,
    start_epoch,
    summary,
)
from jaxaccel.training._resume import resumed


class History(NamedTuple):
    """What a run left behind, on the host."""

    steps: dict[str, np.ndarray]
    """The step's metrics: one float64 array each, an entry per step; of a resumed run, from the
    start of the epoch that was resumed."""
    epochs: list[dict[str, float]]
    """One dict per epoch that came to its end: the mean of each metric over the epoch's rows,
    ``"seconds"``, and what callbacks and ``evaluate`` have measured after it."""
    measured: Sequence[dict[str, float]] = ()
    """What callbacks have measured between the steps, one dict for each such step with its number,
    ``"total_steps"``."""
    stopped: str | None = None
    """Why a callback ended the run before its epochs were over; ``None``: they are, or see
    ``paused``."""
    paused: str | None = None
    """Why the run ended here to be resumed."""


@checked_but("step", "batches", "evaluate", "callbacks")
def fit(
    step: Callable[[StateT, Any], tuple[StateT, dict[str, jax.Array]]],
    state: StateT,
    batches: Callable[..., Iterable[Any]],
    *,
    epochs: int = 1,
    callbacks: Sequence[Callback] = (),
    evaluate: Callable[[StateT], dict[str, float]] | None = None,
    progress: bool = True,
    batch_axes: Any = 0,
    generator: Generator | None = None,
    resume: str | os.PathLike[str] | Snapshot | None = None,
) -> tuple[StateT, History]:
    """Run a step over the batches of some epochs.

    Steps are dispatched without waiting for their metrics, which are read at the end of each epoch,
    or where a callback asks for them. An epoch's mean is one over its rows: a smaller last batch
    counts for less.

    Args:
        step: ``(state, batch) -> (state, metrics)``, as :func:`train_step` returns it.
        state: The state to start from; a donating step makes it unusable.
        batches: ``epoch -> iterable of batches``, asked at the start of each epoch, from 0. An
            epoch that is resumed is gone through without a step up to where it ended, or
            ``batches(epoch, start)``, a function with an argument of that name, leaves out the
            first ``start`` batches by itself.
        epochs: The number of epochs of the whole run, at least 0.
        callbacks: What else is done after steps and epochs (:class:`Callback`), in this order.
        evaluate: Called with the state after each epoch (:func:`evaluate`); its numbers join the
            epoch's, before any callback is called.
        progress: Show how far the run is, its rate and the time left: as a bar in a terminal or a
            notebook with ``rich``, elsewhere as a line every half minute.
        batch_axes: The axis of each leaf of a batch that holds its rows, which are counted;
            ``None`` for a leaf without: one for all or a prefix of the batch's tree, as
            ``jax.vmap``'s ``in_axes``. Batches without rows count the same.
        generator: The generator that ``batches`` draws from. Its state at the start of an epoch is
            part of what is saved, as are those of Python's and NumPy's global streams, so that a
            resumed epoch has the same batches.
        resume: The folder of :func:`save_every`, to go on from its newest complete save, at any
            step of any epoch; an empty one starts anew. Or a :meth:`Run.snapshot`.

    Returns:
        The last state and a :class:`History`.

    Raises:
        ValueError: ``epochs`` is negative, an epoch had no batch, or the leaves of a batch disagree
            on the number of rows; two callbacks remember something under the same name, or
            ``resume`` was made with other callbacks or other batches.
        TypeError: ``step``, ``batches`` or ``evaluate`` is not a function of that form, or a
            callback is not one.
        ModuleNotFoundError: ``resume`` without orbax.

    PyTorch:
        The loop that every PyTorch script writes by hand.

    Example:
        >>> import jax.numpy as jnp
        >>> import jaxaccel as ja
        >>> def loss_fn(params, model_state, batch):
        ...     return jnp.mean((params - batch) ** 2), (model_state, {})
        >>> tx = ja.optimizers.sgd(lr=0.5)
        >>> state, history = ja.training.fit(
        ...     ja.training.train_step(ja.training.gradients(loss_fn), tx),
        ...     ja.training.train_state(jnp.zeros(()), tx),
        ...     lambda epoch: [jnp.full(2, 3.0)] * 2,
        ...     progress=False,
        ... )
        >>> print(history.steps["loss"])
        [9. 0.]
    """
    check_function("fit", "step", step, "(state, batch) -> (state, metrics)", 2)
    check_batches("fit", batches)
    if epochs < 0:
        raise ValueError(f"epochs must be at least 0, got {epochs}")
    check_callbacks(callbacks)
    guests = [*callbacks]
    if evaluate is not None:
        check_function("fit", "evaluate", evaluate, "(state) -> {name: number}", 1)
        guests.insert(0, evaluate_every(evaluate))
    if progress:
        guests.append(progress_bar())
    with contextlib.ExitStack() as stack:
        guests = opened(guests, stack)
        record = new_record(generator, first_memory(guests, state))
        run = Run(state, 0, 0, 0, {}, epochs, None, False, None, None, record)
        if resume is not None:
            run = resumed(run, resume)
        on_step, on_epoch = hooks_of(guests, "on_step"), hooks_of(guests, "on_epoch")
        count = row_counter(batch_axes)
        while run.epoch < epochs and not (run.stopped or run.paused):
            start_epoch(record, run.step)
            found, length = taken_up(batches, run.epoch, run.step, record.rows, count)
            run = run._replace(steps_per_epoch=length or run.steps_per_epoch)
            run = _epoch(step, run, found, count, on_step)
            if run.is_epoch_end:
                run = hear(on_epoch, run._replace(metrics=summary(record)))
                record.epochs.append(dict(run.metrics))
                run = run._replace(epoch=run.epoch + 1, step=0, is_epoch_end=False)
        run = hear(hooks_of(guests, "on_end"), run)
        read_pending(record)
    history = (columns_of(record.steps), record.epochs, record.measured, run.stopped, run.paused)
    return run.state, History(*history)


def _epoch(step: Any, run: Run, batches: Any, count: Callable[[Any], int], on_step: Hooks) -> Run:
    """Return the run after an epoch's batches, or after the step at which a callback ends it."""
    record = run.record
    for batch in batches:
        record.rows.append(count(batch))
        state, metrics = state_and_metrics(step(run.state, batch))
        record.pending.append(metrics)
        run = run._replace(
            state=state, step=run.step + 1, total_steps=run.total_steps + 1, metrics=metrics
        )
        if on_step:
            run = hear(on_step, run)
            if run.stopped or run.paused:
                return run
    if not run.step:
        raise ValueError(no_batch(run.epoch))
    return run._replace(is_epoch_end=True, steps_per_epoch=run.step)
