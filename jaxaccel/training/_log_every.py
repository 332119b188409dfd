"""Numbers for a log, every so often."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import jax

from jaxaccel._checked import checked_but
from jaxaccel._functions import check_function
from jaxaccel.training._callback import Callback, Run
from jaxaccel.training._due import check_occasion, is_due
from jaxaccel.training._metrics import numbers_of


@checked_but("log")
def log_every(
    log: Callable[[int, dict[str, float]], Any],
    *,
    steps: int | None = None,
    epochs: int | None = None,
) -> Callback:
    """Hand a run's numbers to a function every so often.

    Args:
        log: ``(step, {name: number})``, called in process 0 alone with the steps of the whole run
            so far.
        steps: Every so many steps of the run, with the step's metrics and what earlier callbacks
            have measured: each time waits for the step.
        epochs: Every so many epochs, with the epoch's numbers. Default, without ``steps``: every
            one. For both make two callbacks.

    Returns:
        A :class:`Callback`.

    Raises:
        TypeError: ``log`` is not a function of that form.
        ValueError: ``steps`` and ``epochs`` are both given, or below 1.

    PyTorch:
        ``if step % steps == 0: writer.add_scalar(...)``; Lightning's ``log_every_n_steps``,
        Transformers' ``logging_steps``.

    Example:
        >>> import jax.numpy as jnp
        >>> import jaxaccel as ja
        >>> _ = ja.training.fit(
        ...     lambda state, batch: (state, {"loss": batch}),
        ...     jnp.zeros(()),
        ...     lambda epoch: [4.0, 3.0, 2.0, 1.0],
        ...     callbacks=[ja.training.log_every(print, steps=2)],
        ...     progress=False,
        ... )
        2 {'loss': 3.0}
        4 {'loss': 1.0}
    """
    check_function("log_every", "log", log, "(step, {name: number})", 2)
    steps, epochs = check_occasion(steps, epochs)

    def told(run: Run, memory: Any) -> None:
        if is_due(run, steps, epochs) and jax.process_index() == 0:
            log(run.total_steps, numbers_of(jax.device_get(dict(run.metrics))))

    name, purpose = "log_every", "logging"
    if steps:
        return Callback(name, on_step=told, purpose=purpose)
    return Callback(name, on_epoch=told, purpose=purpose)
