"""SIGTERM and SIGINT: the step is finished, the run is saved, and it can be resumed."""

from __future__ import annotations

import contextlib
import signal
import sys
import threading
from collections.abc import Iterator
from typing import Any

import jax

from jaxaccel._checked import checked
from jaxaccel.training._agreed_pause import agree_to_pause, ask_to_pause
from jaxaccel.training._callback import Callback, Reply, Run

SIGNALS = (signal.SIGTERM, signal.SIGINT)


@checked
def preemption(exit_status: int | None = 75) -> Callback:
    """Pause the run when the process is told to end.

    At SIGTERM or SIGINT (Ctrl-C) the step under way is finished, :func:`save_every` saves, and the
    process ends with a status that says: run me again. An interrupt in a notebook or in Python's
    prompt returns from :func:`fit` with the state and the history. A second signal has its usual
    effect at once. Of several processes any may get the signal; all end with the same step, and a
    second SIGTERM changes nothing, which JAX's own handler takes.

    Args:
        exit_status: The status to exit with: 75, as that of ``parallel.watchdog``, sysexits'
            "temporary failure". ``None``: return from :func:`fit`.

    Returns:
        A :class:`Callback`; ``History.paused`` names the signal.

    Raises:
        RuntimeError: When the run begins: it is not in the main thread, which alone hears signals.
        SystemExit: At the end of a run that was told to end.

    PyTorch:
        ``torchrun`` and SLURM send SIGTERM, and scripts install a handler; Lightning's
        ``SLURMEnvironment(auto_requeue=True)``, Transformers' ``JITCheckpointCallback``.

    Example:
        >>> import os
        >>> import signal
        >>> import jax.numpy as jnp
        >>> import jaxaccel as ja
        >>> def batches(epoch):
        ...     yield 1.0
        ...     os.kill(os.getpid(), signal.SIGTERM)
        ...     yield 1.0
        ...     yield 1.0
        >>> state, history = ja.training.fit(
        ...     lambda state, batch: (state + batch, {"loss": state}),
        ...     jnp.zeros(()),
        ...     batches,
        ...     callbacks=[ja.training.preemption(exit_status=None)],
        ...     progress=False,
        ... )
        >>> print(state, history.paused)
        2.0 SIGTERM
    """

    @contextlib.contextmanager
    def opened() -> Iterator[Callback]:
        with _caught() as caught:
            reason = ""

            def on_step(run: Run, memory: Any) -> Reply | None:
                nonlocal reason
                if not agree_to_pause(bool(caught), run.total_steps):
                    return None
                reason = signal.Signals(caught[0]).name if caught else "SIGTERM"
                return Reply(pause=reason)

            # Of several processes JAX knows by steps which is the last.
            is_alone = jax.process_count() == 1
            yield Callback("preemption", on_step=on_step, on_epoch=on_step if is_alone else None)
        at_prompt = reason == "SIGINT" and hasattr(sys, "ps1")
        if reason and exit_status is not None and not at_prompt:
            raise SystemExit(exit_status)

    return Callback("preemption", opened=opened, is_last=True)


@contextlib.contextmanager
def _caught() -> Iterator[list[int]]:
    """Collect the signals that come; the second one does what it did before."""
    if threading.current_thread() is not threading.main_thread():
        raise RuntimeError(
            "preemption needs the main thread, which alone hears signals; call fit there, or leave "
            "preemption() out"
        )
    caught: list[int] = []
    # Of several processes JAX's own handler takes SIGTERM, and tells all of it.
    heard = SIGNALS if jax.process_count() == 1 else (signal.SIGINT,)

    def handle(number: int, frame: Any) -> None:
        if caught:
            signal.signal(number, before[signal.Signals(number)])
            signal.raise_signal(number)
        caught.append(number)
        ask_to_pause()

    # None: a handler that Python did not install, and cannot bring back.
    before = {number: signal.signal(number, handle) or signal.SIG_DFL for number in heard}
    try:
        yield caught
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
