"""Evaluation after every epoch, or every so many steps or epochs."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from jaxaccel._checked import checked_but
from jaxaccel._functions import check_function
from jaxaccel.training._callback import Callback, Reply, Run
from jaxaccel.training._due import check_occasion, is_due
from jaxaccel.training._metrics import numbers_of


@checked_but("evaluate")
def evaluate_every(
    evaluate: Callable[[Any], Mapping[str, float]],
    *,
    steps: int | None = None,
    epochs: int | None = None,
) -> Callback:
    """Measure a state every so often.

    Args:
        evaluate: ``state -> {name: number}``: means over a whole set, as :func:`evaluate` returns
            them. Callbacks that come later find its numbers beside those of the step or epoch.
        steps: Every so many steps of the run.
        epochs: Every so many epochs. Default, without ``steps``: every one.

    Returns:
        A :class:`Callback`. What it measures after an epoch joins ``History.epochs``, after a step
        ``History.measured``.

    Raises:
        TypeError: ``evaluate`` is not a function of that form, or what it returns is not one number
            by each name.
        ValueError: ``steps`` and ``epochs`` are both given, or below 1; ``evaluate`` returns a
            number of the step's name.

    PyTorch:
        ``if (epoch + 1) % epochs == 0: validate(model)`` in a loop; Lightning's
        ``val_check_interval`` and ``check_val_every_n_epoch``.

    Example:
        >>> import jax.numpy as jnp
        >>> import jaxaccel as ja
        >>> state, history = ja.training.fit(
        ...     lambda state, batch: (state + batch, {"loss": state}),
        ...     jnp.zeros(()),
        ...     lambda epoch: [1.0] * 5,
        ...     callbacks=[ja.training.evaluate_every(lambda s: {"state": float(s)}, steps=2)],
        ...     progress=False,
        ... )
        >>> history.measured
        [{'total_steps': 2, 'state': 2.0}, {'total_steps': 4, 'state': 4.0}]
    """
    check_function("evaluate_every", "evaluate", evaluate, "(state) -> {name: number}", 1)
    steps, epochs = check_occasion(steps, epochs)

    def measured(run: Run, memory: Any) -> Reply | None:
        if not is_due(run, steps, epochs):
            return None
        found = evaluate(run.state)
        if not isinstance(found, Mapping):
            raise TypeError(f"evaluate(state) must be {{name: number}}, got {found!r:.80}")
        _check_names(run, found)
        return Reply(metrics=numbers_of(found, "evaluate(state)"))

    name = "evaluate_every"
    return Callback(name, on_step=measured) if steps else Callback(name, on_epoch=measured)


def _check_names(run: Run, found: Mapping[str, Any]) -> None:
    """Raise for a number that would take the place of the step's own."""
    known = next(iter([*run.record.steps, *run.record.pending]), {})
    if taken := sorted(set(known) & set(found)):
        raise ValueError(
            f"evaluate(state) returns {taken}, which the step measures too, and its numbers would "
            f"be lost; give them other names: 'val_{taken[0]}'"
        )
