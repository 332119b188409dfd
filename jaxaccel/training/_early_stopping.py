"""Early stopping, and the best weights back."""

from __future__ import annotations

import math
from typing import Any, Literal, NamedTuple

from jaxaccel._checked import checked
from jaxaccel.training._callback import Callback, Reply, Run
from jaxaccel.training._due import check_occasion, is_due
from jaxaccel.training._monitored import check_mode, monitored
from jaxaccel.training._weights import kept, put_back, weights_of, with_weights


class EarlyStoppingState(NamedTuple):
    """What early stopping remembers: saved with the run."""

    best: float
    """The best number so far; at first the worst one, plus or minus infinity."""
    best_epoch: int
    """Its epoch, from 0; -1: none yet."""
    counter: int
    """How often in a row it was no better."""
    has_stopped: bool
    """Whether it has asked to stop."""
    weights: Any
    """The best parameters and buffers; ``None`` where they are not to be restored."""


@checked
def early_stopping(
    monitor: str = "val_loss",
    patience: int = 10,
    min_delta: float = 0.0,
    mode: Literal["min", "max"] = "min",
    restore_best: bool | Literal["always"] = True,
    *,
    steps: int | None = None,
    epochs: int | None = None,
    on_device: bool = False,
) -> Callback:
    r"""Stop when a number has been no better for some epochs, and restore the best weights.

    .. math:: m < b - \delta \;\text{(min)} \qquad m > b + \delta \;\text{(max)}

    is better than the best so far, :math:`b`; the first number is, and NaN never is. At the
    ``patience``-th epoch in a row without a better one the run stops, and parameters and buffers
    are those of the best epoch again.

    Args:
        monitor: The number to follow, one of the epoch's: a metric of the step, or what
            ``evaluate=`` or an earlier callback has measured.
        patience: How many epochs in a row may be no better, at least 1: at the last of them the run
            stops. With ``steps`` or ``epochs`` it counts the times that the number is looked at.
        min_delta: How much better is better (:math:`\delta`), at least 0.
        mode: ``"min"`` for a number that should fall, ``"max"`` for one that should rise.
        restore_best: Whether the best weights come back when the run is stopped here; ``"always"``:
            also when its epochs are over before, or another callback has stopped it. A run that is
            paused goes on with its last weights.
        steps: Look every so many steps of the run, in place of epochs, behind an
            :func:`evaluate_every` of the same ``steps``.
        epochs: Look every so many epochs. Default, without ``steps``: every one.
        on_device: Keep the copy of the best weights on the device, where it takes their place once
            more, and not in the host's memory.

    Returns:
        A :class:`Callback`. Its memory is saved with the run, the best weights too; the state that
        :func:`save_every` saves is the last one, so that the run can go on.

    Raises:
        ValueError: ``patience`` is below 1, ``min_delta`` is negative, ``steps`` and ``epochs`` are
            both given, or the epoch or step that is looked at has no such number.

    PyTorch:
        The class that scripts write (``if early_stopping(val_loss, model): break``): the same epoch
        at which it stops. Most keep ``model.state_dict().copy()``, a dict of the live tensors,
        which the next step overwrites: they restore the last weights, and here it is the best. Of a
        state of another kind than :class:`TrainState` all of it is kept; of one that has
        ``TrainState``\ s in it, their weights and the rest. What is NumPy's or Python's in it comes
        back as JAX's arrays, in 32 bits without ``jax_enable_x64``.

        Keras's ``EarlyStopping``: ``patience=0`` and no restoring by default; it never stops in the
        first epoch and restores whenever the training ends (``"always"``). Lightning's:
        ``patience=3``, stops at NaN (here :func:`terminate_on_nan`) and restores nothing.
        Transformers' ``EarlyStoppingCallback`` looks at each evaluation (``steps=eval_steps``).

    Example:
        >>> import jax.numpy as jnp
        >>> import jaxaccel as ja
        >>> losses = [3.0, 1.0, 2.0, 2.0, 2.0]
        >>> state, history = ja.training.fit(
        ...     lambda state, batch: (state + 1, {"loss": batch}),
        ...     jnp.zeros(()),
        ...     lambda epoch: [losses[epoch]],
        ...     epochs=5,
        ...     callbacks=[ja.training.early_stopping("loss", patience=2)],
        ...     progress=False,
        ... )
        >>> print(state, history.stopped)
        2.0 loss has been no better than 1 for 2 epochs
    """
    if patience < 1:
        raise ValueError(f"patience must be at least 1, got {patience}; 1 stops at once")
    if not min_delta >= 0:
        raise ValueError(f"min_delta must be at least 0, got {min_delta}; mode says which way")
    check_mode(mode)
    steps, epochs = check_occasion(steps, epochs)
    if restore_best not in (True, False, "always"):
        raise ValueError(f"restore_best must be True, False or 'always', got {restore_best!r}")

    def init(state: Any) -> EarlyStoppingState:
        worst = math.inf if mode == "min" else -math.inf
        weights = kept(weights_of(state), on_device) if restore_best else None
        return EarlyStoppingState(worst, -1, 0, False, weights)

    def is_better(number: float, memory: EarlyStoppingState) -> bool:
        if memory.best_epoch < 0:
            return not math.isnan(number)
        if mode == "min":
            return number < memory.best - min_delta
        return number > memory.best + min_delta

    def look(run: Run, memory: EarlyStoppingState) -> Reply | None:
        if not is_due(run, steps, epochs):
            return None
        number = monitored("early_stopping", run.metrics, monitor)
        if is_better(number, memory):
            weights = kept(weights_of(run.state), on_device) if restore_best else None
            return Reply(memory=EarlyStoppingState(number, run.epoch, 0, False, weights))
        counter = memory.counter + 1
        if counter < patience:
            return Reply(memory=memory._replace(counter=counter))
        times = f"{counter} {'epoch' if epochs == 1 else 'evaluation'}{'s' if counter > 1 else ''}"
        return Reply(
            stop=f"{monitor} has been no better than {memory.best:.6g} for {times}",
            memory=memory._replace(counter=counter, has_stopped=True),
        )

    def on_end(run: Run, memory: EarlyStoppingState) -> Reply | None:
        is_wanted = memory.has_stopped if restore_best is True else bool(restore_best)
        if not is_wanted or run.paused or memory.best_epoch < 0:
            return None
        return Reply(state=with_weights(run.state, put_back(memory.weights, weights_of(run.state))))

    return Callback(
        f"early_stopping {monitor}",
        on_step=look if steps else None,
        on_epoch=None if steps else look,
        on_end=on_end,
        init=init,
        purpose="early stopping",
    )
