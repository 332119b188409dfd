"""A learning rate that follows an epoch's number."""

from __future__ import annotations

from typing import Any

import jax
import numpy as np

from jaxaccel._checked import checked
from jaxaccel.optimizers import get_hyperparams, set_hyperparams
from jaxaccel.schedules import Plateau, PlateauState
from jaxaccel.training._callback import Callback, Reply, Run
from jaxaccel.training._due import check_occasion, is_due
from jaxaccel.training._monitored import monitored


@checked
def follow_plateau(
    plateau: Plateau,
    monitor: str = "val_loss",
    *,
    group: int | str | None = None,
    steps: int | None = None,
    epochs: int | None = None,
) -> Callback:
    """Show a plateau a number of every epoch, and have the optimizer take its learning rate.

    Where ``plateau.transformation`` is part of the optimizer, its state there is moved on; the step
    itself must not show it each batch's loss: ``fit(functools.partial(step, value=None), ...)``.
    Otherwise the learning rate is written with ``optimizers.set_hyperparams``, for which the
    optimizer is made by ``param_groups``. Both count from the next step on; nothing is compiled
    again.

    Args:
        plateau: What ``schedules.reduce_lr_on_plateau`` returns.
        monitor: The number to follow, one of the epoch's: a metric of the step, or what
            ``evaluate=`` or an earlier callback has measured.
        group: The group whose learning rate it is; default: all, which must have the plateau's.
            For several learning rates make a plateau and a callback of each.
        steps: Look every so many steps of the run, in place of epochs, behind an
            :func:`evaluate_every` of the same ``steps``.
        epochs: Look every so many epochs. Default, without ``steps``: every one.

    Returns:
        A :class:`Callback`.

    Raises:
        ValueError: ``steps`` and ``epochs`` are both given, or the epoch or step that is looked at
            has no such number; the state has neither the plateau's state nor
            hyperparameters, or another learning rate than the plateau; or the step has shown the
            plateau other numbers.

    PyTorch:
        ``scheduler.step(val_loss)`` after each epoch, ``scheduler`` being a ``ReduceLROnPlateau``:
        the same learning rate at every step.

    Example:
        >>> import functools
        >>> import jax.numpy as jnp
        >>> import optax
        >>> import jaxaccel as ja
        >>> plateau = ja.schedules.reduce_lr_on_plateau(0.5, factor=0.1, patience=0)
        >>> tx = optax.chain(ja.optimizers.sgd(lr=0.5), plateau.transformation)
        >>> step = ja.training.train_step(
        ...     ja.training.gradients(lambda p, s, batch: (p * batch, (s, {}))), tx
        ... )
        >>> state, _ = ja.training.fit(
        ...     functools.partial(step, value=None),
        ...     ja.training.train_state(jnp.zeros(()), tx),
        ...     lambda epoch: [1.0],
        ...     epochs=3,
        ...     evaluate=lambda state: {"val_loss": 1.0},
        ...     callbacks=[ja.training.follow_plateau(plateau)],
        ...     progress=False,
        ... )
        >>> print(state.params)  # 0.5 and 0.5, then 0.05
        -1.05
    """
    steps, epochs = check_occasion(steps, epochs)

    def init(state: Any) -> Any:
        held = _plateaus(state)
        if held:
            return {"seen": _seen(held)}
        _check_rates(get_hyperparams(state), group, plateau)
        return jax.tree.map(np.asarray, plateau.init())

    def look(run: Run, memory: Any) -> Reply | None:
        if not is_due(run, steps, epochs):
            return None
        number = monitored("follow_plateau", run.metrics, monitor)
        held = _plateaus(run.state)
        if held:
            now = _checked_unseen(held, memory["seen"])
            return Reply(
                state=jax.tree.map(
                    lambda node: _moved(plateau, node, number) if _is_plateau(node) else node,
                    run.state,
                    is_leaf=_is_plateau,
                ),
                memory={"seen": now + 1},
            )
        new = jax.tree.map(np.asarray, plateau.update(memory, number))
        if all(_has_rate(each, new) for each in _meant(get_hyperparams(run.state), group)):
            return Reply(memory=new)
        return Reply(state=set_hyperparams(run.state, group, lr=new.lr.item()), memory=new)

    suffix = "" if group is None else f" {group}"
    return Callback(
        f"follow_plateau {monitor}{suffix}",
        on_step=look if steps else None,
        on_epoch=None if steps else look,
        init=init,
    )


def _moved(plateau: Plateau, old: PlateauState, number: float) -> PlateauState:
    """Return a plateau's state after a number, in its places on the devices."""
    here = jax.tree.map(np.asarray, old)
    return jax.tree.map(_placed_as, plateau.update(here, number), old)


def _placed_as(new: Any, old: jax.Array) -> jax.Array:
    """Return a number where another one is, on all its devices."""
    value = np.asarray(new)
    if not old.committed:
        return jax.device_put(value)
    return jax.make_array_from_callback(old.shape, old.sharding, lambda _: value, dtype=old.dtype)


def _checked_unseen(held: list[PlateauState], seen: int) -> int:
    """Return how many numbers a plateau has been shown; raise for the step's own among them.

    They are fewer than there were where the run has gone back to a save (``roll_back_on_nan``).
    """
    now = _seen(held)
    if now > seen:
        raise ValueError(
            f"the plateau was shown {now - seen} other numbers in between, the losses of its "
            "batches; give fit a step that shows it none: functools.partial(step, value=None)"
        )
    return now


def _check_rates(groups: Any, group: int | str | None, plateau: Plateau) -> None:
    """Raise where a group does not have the plateau's learning rate, which it would be given."""
    first = plateau.init()
    for each in _meant(groups, group):
        if not _has_rate(each, first):
            raise ValueError(
                f"group {each['name']!r} has lr {each['lr']}, and the plateau starts at "
                f"{np.asarray(first.lr)}; make a plateau of each learning rate, and a callback "
                "with group= of each plateau"
            )


def _meant(groups: Any, group: int | str | None) -> list[Any]:
    """Return the groups that are given the plateau's learning rate."""
    return [
        each
        for index, each in enumerate(groups)
        if group is None or group in (index, index - len(groups), each["name"])
    ]


def _has_rate(group: Any, plateau: PlateauState) -> bool:
    """Return whether a group has a plateau's learning rate."""
    own = np.asarray(plateau.lr)
    return bool(np.asarray(group["lr"], own.dtype) == own)


def _seen(held: list[PlateauState]) -> int:
    """Return how many numbers a plateau has been shown."""
    return int(held[0].last_epoch)


def _plateaus(state: Any) -> list[PlateauState]:
    """Return the plateaus' states in a state."""
    return [each for each in jax.tree.leaves(state, is_leaf=_is_plateau) if _is_plateau(each)]


def _is_plateau(node: Any) -> bool:
    return isinstance(node, PlateauState)
