"""The loop around a step: epochs, a progress bar, a history."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, NamedTuple

import jax
import numpy as np

from jaxaccel._checked import checked_but
from jaxaccel._functions import check_function
from jaxaccel._rows import count_rows, row_axes
from jaxaccel._types import StateT
from jaxaccel.training._metrics import check_same_names, numbers_of


class History(NamedTuple):
    """What a run left behind, on the host."""

    steps: dict[str, np.ndarray]
    """The step's metrics: one float64 array each, an entry per step."""
    epochs: list[dict[str, float]]
    """One dict per epoch: the mean of each metric over the epoch's rows, ``"seconds"``, and what
    ``evaluate`` returned."""


@checked_but("step", "batches", "evaluate")
def fit(
    step: Callable[[StateT, Any], tuple[StateT, dict[str, jax.Array]]],
    state: StateT,
    batches: Callable[[int], Iterable[Any]],
    *,
    epochs: int = 1,
    evaluate: Callable[[StateT], dict[str, float]] | None = None,
    progress: bool = True,
    batch_axes: Any = 0,
) -> tuple[StateT, History]:
    """Run a step over the batches of some epochs.

    Steps are dispatched without waiting for their metrics, which are read at the end of each epoch.
    An epoch's mean is one over its rows: a smaller last batch counts for less.

    Args:
        step: ``(state, batch) -> (state, metrics)``, as :func:`train_step` returns it.
        state: The state to start from; a donating step makes it unusable.
        batches: ``epoch -> iterable of batches``, asked at the start of each epoch, from 0.
        epochs: The number of epochs, at least 0.
        evaluate: Called with the state after each epoch (:func:`evaluate`); its numbers join the
            epoch's.
        progress: Show a progress bar (needs ``rich``).
        batch_axes: The axis of each leaf of a batch that holds its rows, which are counted;
            ``None`` for a leaf without: one for all or a prefix of the batch's tree, as
            ``jax.vmap``'s ``in_axes``. Batches without rows count the same.

    Returns:
        The last state and a :class:`History`.

    Raises:
        ValueError: ``epochs`` is negative, an epoch had no batch, or the leaves of a batch disagree
            on the number of rows.
        TypeError: ``step``, ``batches`` or ``evaluate`` is not a function of that form.
        ModuleNotFoundError: ``progress`` without ``rich``.

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
    check_function("fit", "batches", batches, "(epoch) -> batches: lambda epoch: loader", 1)
    if evaluate is not None:
        check_function("fit", "evaluate", evaluate, "(state) -> {name: number}", 1)
    if epochs < 0:
        raise ValueError(f"epochs must be at least 0, got {epochs}")
    steps: list[dict[str, float]] = []
    summaries: list[dict[str, float]] = []
    with _progress_bar(epochs) if progress else contextlib.nullcontext(_no_bar) as show:
        for epoch in range(epochs):
            start, on_device, rows = time.perf_counter(), [], []
            for batch in _iterable(batches(epoch)):
                rows.append(count_rows(batch, row_axes(batch, batch_axes)) or 1)
                state, metrics = _pair(step(state, batch))
                on_device.append(metrics)
                show(epoch, len(on_device), summaries)
            if not on_device:
                raise ValueError(f"epoch {epoch} had no batch: is the batch larger than the set?")
            check_same_names("step", [*steps[:1], *on_device])
            read = [numbers_of(each) for each in jax.device_get(on_device)]
            steps += read
            seconds = time.perf_counter() - start
            means = {
                name: float(np.average([each[name] for each in read], weights=rows))
                for name in read[0]
            }
            measured = {} if evaluate is None else _mapping("evaluate(state)", evaluate(state))
            summaries.append(means | {"seconds": seconds} | measured)
            show(epoch + 1, 0, summaries)
    names = steps[0] if steps else ()
    return state, History({n: np.array([each[n] for each in steps]) for n in names}, summaries)


def _iterable(found: Any) -> Any:
    """Return the batches of an epoch; raise where a function of the epoch returns none."""
    if not isinstance(found, Iterable) and not hasattr(found, "__getitem__"):
        raise TypeError(
            f"batches(epoch) must return an iterable of batches, got {found!r:.80}; "
            "write lambda epoch: loader"
        )
    return found


def _pair(found: Any) -> tuple[Any, Any]:
    """Return what a step returns; raise for another form."""
    if not isinstance(found, (tuple, list)) or len(found) != 2:
        raise TypeError(
            f"step(state, batch) must return (state, metrics), got {found!r:.80}; make one with "
            "training.train_step"
        )
    return found[0], _mapping("the metrics of step(state, batch)", found[1])


def _mapping(what: str, found: Any) -> dict[str, Any]:
    """Return numbers by their names; raise for another form."""
    if not isinstance(found, Mapping):
        raise TypeError(f"{what} must be {{name: number}}, got {found!r:.80}")
    return dict(found)


def _no_bar(epoch: int, step: int, summaries: list[dict[str, float]]) -> None:
    """Show nothing."""


@contextlib.contextmanager
def _progress_bar(epochs: int) -> Iterator[Callable[..., None]]:
    """Show epochs as a bar, with the current step and the last epoch's numbers."""
    try:
        from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn
    except ModuleNotFoundError as error:
        raise ModuleNotFoundError(
            'the progress bar needs rich: pip install "jaxaccel[examples]", or pass progress=False'
        ) from error
    columns = (BarColumn(20), TimeElapsedColumn(), TextColumn("{task.description}"))
    with Progress(*columns) as bar:
        task = bar.add_task("training", total=epochs)

        def show(epoch: int, step: int, summaries: list[dict[str, float]]) -> None:
            last = summaries[-1] if summaries else {}
            numbers = "  ".join(f"{name} {value:.4g}" for name, value in last.items())
            bar.update(
                task, completed=epoch, description=f"epoch {epoch}/{epochs} step {step}  {numbers}"
            )

        yield show
