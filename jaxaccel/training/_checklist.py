"""Nine points of a training setup: what is there, what is missing, and what cannot be seen."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import optax

from jaxaccel._checked import checked_but
from jaxaccel._functions import check_function, check_transformation
from jaxaccel._text_table import columns
from jaxaccel._types import Count, Hyperparameter
from jaxaccel.training._callback import Callback
from jaxaccel.training._points_of_loop import compiled, logging, seeded, stops_early
from jaxaccel.training._points_of_program import clipped, half_precision, spread
from jaxaccel.training._points_of_rate import learning_rate, rates_of, warmup


class Point(NamedTuple):
    """One point of the list."""

    name: str
    """What it is about."""
    found: str
    """What there is, or why it cannot be seen."""
    is_there: bool | None
    """Whether it is there; ``None``: it cannot be seen."""
    remedy: str
    """How it is added; ``""`` where it is there."""


class Checklist(NamedTuple):
    """What :func:`checklist` returns; printed, it is a table, what is missing first."""

    points: tuple[Point, ...]
    """All nine."""

    @property
    def missing(self) -> tuple[str, ...]:
        """The names of the points that are not there."""
        return tuple(each.name for each in self.points if each.is_there is False)

    @property
    def unknown(self) -> tuple[str, ...]:
        """The names of the points that cannot be seen."""
        return tuple(each.name for each in self.points if each.is_there is None)

    def __str__(self) -> str:
        there = len(self.points) - len(self.missing) - len(self.unknown)
        verdict = [f"{there} of {len(self.points)} are there"]
        verdict += [f"missing: {', '.join(self.missing)}"] if self.missing else []
        verdict += [f"cannot be seen: {', '.join(self.unknown)}"] if self.unknown else []
        words = {True: "yes", False: "no", None: "?"}
        rows = [(each.name, words[each.is_there], each.found) for each in self.points]
        remedies = [f"- {each.name}: {each.remedy}" for each in self.points if each.remedy]
        return "\n".join(["; ".join(verdict), *columns(rows, left=3), *remedies])

    def to_json(self) -> str:
        """Return all of it as JSON: a list of objects."""
        return json.dumps([each._asdict() for each in self.points])


@checked_but("step", "tx")
def checklist(
    step: Callable[..., Any],
    state: Any,
    batch: Any = None,
    *,
    tx: optax.GradientTransformation | None = None,
    lr: Hyperparameter | None = None,
    callbacks: Sequence[Callback] = (),
    total_steps: Count = 1000,
) -> Checklist:
    """Say what a training setup has of nine things that most should have, and how to add the rest.

    A learning rate in the usual range, a warm-up, mixed precision, clipping, early stopping, a
    seed, logging, a compiled step, all devices in use. Each point is read off what is given: the
    optimizer's state, the program, the callbacks, the places of arrays; nothing runs. What cannot
    be seen there is said to be so, and not guessed. A point that is missing on purpose is no
    mistake.

    Args:
        step: ``(state, batch) -> (state, metrics)``.
        state: The state that the run starts from.
        batch: A batch, or its shapes, for which the program is traced; default: what is read off
            the program cannot be seen.
        tx: The optimizer, of which the schedule is read, where its state holds it
            (``optimizers.param_groups``, :func:`recommended`).
        lr: The learning rate or its schedule, where the optimizer keeps it to itself.
        callbacks: Those that :func:`fit` is given.
        total_steps: How far a schedule is looked at.

    Returns:
        A :class:`Checklist` of nine :class:`Point`\\ s.

    Raises:
        TypeError: ``step`` is not a function of a state and a batch, ``tx`` is not a
            transformation, or a callback is not one.
        ValueError: ``total_steps`` is below 1.

    PyTorch:
        PyTorch has none; the list is a course's: start with a learning rate of 1e-4, warm it up,
        use AMP, clip, stop early, set seeds, log, compile, and spread over GPUs by DDP or FSDP.

    Example:
        >>> import jax.numpy as jnp
        >>> import jaxaccel as ja
        >>> def loss_fn(w, model_state, batch):
        ...     return jnp.mean((batch @ w) ** 2), (model_state, {})
        >>> tx = ja.optimizers.sgd(0.1)
        >>> step = ja.training.train_step(ja.training.gradients(loss_fn), tx)
        >>> state = ja.training.train_state(jnp.ones(3), tx)
        >>> found = ja.training.checklist(step, state, jnp.ones((4, 3)), lr=0.1)
        >>> print(found.missing)
        ('learning rate', 'warm-up', 'mixed precision', 'clipping', 'early stopping', 'logging')
        >>> print(found.unknown)
        ('seed',)
    """
    check_function("checklist", "step", step, "(state, batch) -> (state, metrics)", 2)
    if tx is not None:
        check_transformation("checklist", tx)
    if total_steps < 1:
        raise ValueError(f"total_steps must be at least 1, got {total_steps}")
    rates = rates_of(state, tx, lr, int(total_steps))
    found = {
        "learning rate": learning_rate(rates),
        "warm-up": warmup(rates),
        "mixed precision": half_precision(step, state, batch),
        "clipping": clipped(step),
        "early stopping": stops_early(callbacks),
        "seed": seeded(state),
        "logging": logging(callbacks),
        "compiled step": compiled(step),
        "all devices": spread(state),
    }
    return Checklist(tuple(Point(name, *each) for name, each in found.items()))
