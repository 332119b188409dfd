"""A run that ends before its machine does."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator
from typing import Any

from jaxaccel._checked import checked
from jaxaccel.training._agreed_pause import agree_to_pause, ask_to_pause
from jaxaccel.training._callback import Callback, Reply, Run


@checked
def time_budget(seconds: float) -> Callback:
    """Pause the run after some time, to be resumed: the step under way is finished.

    The time is this process's, from the call of :func:`fit` on. Leave enough of the machine's own
    for the last save. Of several processes the first whose time is over asks, and all end with the
    same step: it sends itself SIGTERM, which JAX tells all of. With :func:`preemption` among the
    callbacks they then exit with its status.

    Args:
        seconds: How long the run may go on, more than 0.

    Returns:
        A :class:`Callback`; ``History.paused`` says that it was this.

    Raises:
        ValueError: ``seconds`` is not positive.

    PyTorch:
        Lightning's ``Trainer(max_time=)`` and ``Timer``.

    Example:
        >>> import jax.numpy as jnp
        >>> import jaxaccel as ja
        >>> state, history = ja.training.fit(
        ...     lambda state, batch: (state + batch, {"loss": state}),
        ...     jnp.zeros(()),
        ...     lambda epoch: [1.0] * 5,
        ...     callbacks=[ja.training.time_budget(1e-6)],
        ...     progress=False,
        ... )
        >>> print(state, history.paused)
        1.0 the time budget of 1e-06 s is used up
    """
    if not seconds > 0:
        raise ValueError(f"seconds must be positive, got {seconds}")

    @contextlib.contextmanager
    def opened() -> Iterator[Callback]:
        until = time.monotonic() + seconds
        asked = False

        def on_step(run: Run, memory: Any) -> Reply | None:
            nonlocal asked
            if not asked and time.monotonic() >= until:
                asked = True
                ask_to_pause()
            if not agree_to_pause(asked, run.total_steps):
                return None
            return Reply(pause=f"the time budget of {seconds:g} s is used up")

        yield Callback("time_budget", on_step=on_step)

    return Callback("time_budget", opened=opened)
