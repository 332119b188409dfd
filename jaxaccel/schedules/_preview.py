"""Hyperparameters over the steps of a training run that has not begun, as arrays and a figure."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import jax
import numpy as np
import optax

from jaxaccel._checked import checked_but
from jaxaccel._checks import known_value
from jaxaccel._functions import is_function
from jaxaccel._math import Complement, value_at
from jaxaccel._shapes import check_size
from jaxaccel._tree import holds_hyperparams, zeros_like
from jaxaccel._types import Count, Params
from jaxaccel.schedules._inputs import known_count, known_steps
from jaxaccel.schedules._schedule import scheduler_of


class Preview(NamedTuple):
    """What :func:`preview` returns."""

    steps: np.ndarray
    """int64 vector: the steps."""
    groups: tuple[dict[str, Any], ...]
    """Per parameter group {name: float64 vector like ``steps``, or a tuple of them}."""

    def figure(self) -> Any:
        """Draw a panel for every hyperparameter that moves, with a line for every group.

        Returns:
            A ``matplotlib.figure.Figure``: ``figure.savefig("schedule.svg")`` writes it, and a
            notebook under ``%matplotlib inline`` shows it. When nothing moves, all is drawn.

        Raises:
            ModuleNotFoundError: matplotlib is not installed.
        """
        try:
            from matplotlib.figure import Figure
        except ModuleNotFoundError as error:
            raise ModuleNotFoundError("the figure needs matplotlib: pip install matplotlib") from (
                error
            )
        panels = _panels(self.groups)
        figure = Figure(figsize=(6.4, 0.6 + 1.8 * len(panels)), layout="constrained")
        axes = figure.subplots(len(panels), sharex=True, squeeze=False)[:, 0]
        for axis, (name, lines) in zip(axes, panels.items(), strict=True):
            for group, values in lines.items():
                style = ("-", "--", ":", "-.")[group % 4]  # equal lines stay visible
                marker = "." if len(self.steps) < 30 else ""
                color, label = f"C{group}", f"group {group}"
                axis.plot(self.steps, values, style, color=color, marker=marker, label=label)
            axis.set(ylabel=name)
            if len(lines) > 1:
                axis.legend()
        axes[-1].set(xlabel="step")
        axes[-1].locator_params(axis="x", integer=True)
        figure.align_ylabels()
        return figure


@checked_but("schedule")
def preview(
    schedule: Callable[[Any], Any]
    | Mapping[str, Any]
    | Sequence[Mapping[str, Any]]
    | optax.GradientTransformation
    | optax.MultiSteps,
    steps: Count | Sequence[Count] | np.ndarray | jax.Array,
    params: Params | None = None,
) -> Preview:
    """Return the values that hyperparameters will have, without training.

    Args:
        schedule: What to look at. A schedule: it is shown as ``"lr"``. Hyperparameters by name:
            schedules, numbers, or tuples of them, as an optimizer takes them; a sequence of such
            mappings is one a parameter group. Or a transformation that keeps its hyperparameters
            in its state: :func:`jaxaccel.optimizers.param_groups` or ``optax.inject_hyperparams``,
            alone or inside others.
        steps: A number of steps, from 0 on; or a vector of them, in any order.
        params: For a transformation, the parameters or their shapes (``jax.eval_shape``). Without
            them it is run on one made-up parameter, which is enough unless it chooses among
            parameters. No update of them is computed.

    Returns:
        A :class:`Preview`: the steps and, per group, the values that the update at each step uses.
        A schedule is read in double precision, a transformation holds JAX's default float.

    Raises:
        ValueError: The transformation keeps no hyperparameters in its state, as an optimizer that
            was given a schedule itself; or a step is out of range.
        TypeError: ``schedule`` or ``steps`` is of another type.

    PyTorch:
        PyTorch has no such function. One steps a scheduler on a throw-away optimizer and reads
        ``optimizer.param_groups[0]["lr"]``, which is ``preview(...).groups[0]["lr"]``, and
        ``["betas"]`` is a pair in both. Values that depend on a loss, such as those of
        ``ReduceLROnPlateau``, cannot be foreseen.

    Example:
        >>> import jaxaccel as ja
        >>> lr = ja.schedules.one_cycle_lr(1.0, total_steps=5)
        >>> beta1 = ja.schedules.one_cycle_momentum(total_steps=5)
        >>> run = ja.schedules.preview({"lr": lr, "betas": (beta1, 0.999)}, steps=5)
        >>> print(run.groups[0]["lr"].round(3), run.groups[0]["betas"][0].round(3))
        [0.04  0.95  0.611 0.188 0.   ] [0.95  0.855 0.889 0.931 0.95 ]
    """
    numbers = _vector(steps)
    if isinstance(schedule, (optax.GradientTransformation, optax.MultiSteps)):
        return Preview(numbers, _run(schedule, numbers, params))
    groups = _as_groups({"lr": schedule} if is_function(schedule) else schedule)
    if (
        not isinstance(groups, Sequence)
        or not groups
        or not all(isinstance(each, Mapping) and each for each in groups)
    ):
        raise TypeError(
            "schedule must be a schedule, a mapping {name: schedule or number}, a sequence of "
            f"mappings or a transformation, got {schedule!r}"
        )
    return Preview(
        numbers,
        tuple({name: _read(name, v, numbers) for name, v in group.items()} for group in groups),
    )


def _vector(steps: Any) -> np.ndarray:
    """Return the steps that were asked for, at least one."""
    if np.ndim(steps) == 0:
        count = known_count("steps", steps, least=1)
        check_size("steps", [count])
        return np.arange(count)
    vector = known_steps(steps)
    if not (vector >= 0).all():
        raise ValueError(f"step must be at least 0, got {vector.min()}")
    if vector.ndim != 1 or vector.size == 0:
        raise ValueError(f"steps must be a number of steps or a vector, got shape {vector.shape}")
    return vector


def _read(name: str, value: Any, steps: np.ndarray) -> Any:
    """Return a hyperparameter at all steps."""
    if isinstance(value, (tuple, list)):
        return tuple(_read(f"{name}[{i}]", item, steps) for i, item in enumerate(value))
    known = known_value(name, value)
    if known is not None:
        return np.full(steps.shape, known)
    if scheduler_of(value) is not None:
        return value(steps)
    # Others may have branches in Python or be strict about types: plain ints suit them all.
    return np.array([float(value_at(value, int(step), name)) for step in steps])


def _run(tx: Any, steps: np.ndarray, params: Any) -> tuple[Any, ...]:
    """Return the hyperparameters per group that a transformation's state holds over the steps."""
    shapes = jax.eval_shape(lambda tree: tree, np.zeros(1) if params is None else params)

    @jax.jit
    def run() -> Any:
        # Only hyperparameters come out: the compiler drops the parameters and their updates.
        like = zeros_like(shapes)

        def step(state: Any, _: Any) -> tuple[Any, Any]:
            after = tx.update(like, state, like)[1]
            return after, [
                # optax holds what the last update used, param_groups what the next one will.
                new if isinstance(new, Mapping) else old
                for old, new in zip(_held(state), _held(after), strict=True)
            ]

        return jax.lax.scan(step, tx.init(like), length=int(steps.max()) + 1)[1]

    try:
        found = run()
    except Exception as error:
        if params is None:
            error.add_note("preview ran this on a made-up parameter: give it yours as params=...")
        raise
    groups = [group for held in found for group in _as_groups(held)]
    if not groups:
        raise ValueError(
            "schedule is a transformation that keeps no hyperparameters in its state; give preview "
            'the schedules themselves, as {"lr": schedule}, or make the transformation with '
            "jaxaccel.optimizers.param_groups or optax.inject_hyperparams"
        )
    return tuple({name: _decoded(v, steps) for name, v in group.items()} for group in groups)


def _as_groups(hyperparams: Any) -> Any:
    """Return a sequence of groups, whether there was one or several."""
    return [hyperparams] if isinstance(hyperparams, Mapping) else hyperparams


def _held(state: Any) -> list[Any]:
    """Return the hyperparameters in a state: a mapping of one group, or a tuple of mappings."""
    nodes = jax.tree.leaves(state, is_leaf=holds_hyperparams)
    return [node.hyperparams for node in nodes if holds_hyperparams(node)]


def _decoded(held: Any, steps: np.ndarray) -> Any:
    """Return the values at the steps of a hyperparameter as a state holds it, over all steps."""
    if held is None:
        return None
    if isinstance(held, Complement):
        return 1.0 - _decoded(held.one_minus, steps)
    if type(held) is tuple:
        return tuple(_decoded(item, steps) for item in held)
    if isinstance(held, tuple):  # a NamedTuple around a number marks it as scheduled
        return _decoded(held[0], steps)
    return np.asarray(held, np.float64)[steps]


def _panels(groups: Sequence[Mapping[str, Any]]) -> dict[str, dict[int, np.ndarray]]:
    """Return {name: {group: values}} of what moves, or of everything if nothing does."""
    panels: dict[str, dict[int, np.ndarray]] = {}
    for index, group in enumerate(groups):
        for name, value in group.items():
            for flat_name, values in _flat(name, value):
                panels.setdefault(flat_name, {})[index] = values
    moving = {
        name: lines
        for name, lines in panels.items()
        if any((values != values[0]).any() for values in lines.values())
    }
    # A state comes back from JAX in alphabetical order.
    names = sorted(moving or panels, key=lambda name: name not in ("lr", "learning_rate"))
    return {name: panels[name] for name in names}


def _flat(name: str, value: Any) -> Iterator[tuple[str, np.ndarray]]:
    """Yield (name, values), with ``betas[0]`` and ``betas[1]`` for a pair."""
    if isinstance(value, tuple):
        for index, item in enumerate(value):
            yield from _flat(f"{name}[{index}]", item)
    elif value is not None:
        yield name, value
