"""Every step tells the watchdog that the run goes on."""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from jaxaccel._checked import checked
from jaxaccel.parallel import watchdog
from jaxaccel.training._callback import Callback, Run
from jaxaccel.training._saved_files import complete_saves

SECONDS = 1.0
"""From one look at the folder to the next."""


@checked
def heartbeat(
    timeout: float = 45.0,
    *,
    startup: float = 600.0,
    between: float = 600.0,
    folder: str | os.PathLike[str] | None = None,
) -> Callback:
    """End the run on every process when one of them makes no step for too long.

    Args:
        timeout: Seconds from one step to the next, with what other callbacks do in between.
        startup: Seconds to the first step: a compilation takes its time.
        between: Seconds from the last step of an epoch to the first of the next, evaluation among
            them; and from any step of the first epoch, while its length is not known.
        folder: The folder of :func:`save_every`, whose newest save is named where the run is ended.

    Returns:
        A :class:`Callback` that opens a ``parallel.watchdog`` while the run goes.

    Raises:
        ValueError: A time is not positive.
        RuntimeError: When the run begins: the processes do not watch each other, as
            ``parallel.watchdog`` says.

    PyTorch:
        The watchdog of ``torch.distributed``'s NCCL backend; see ``parallel.watchdog``.

    Example:
        >>> import jax.numpy as jnp
        >>> import jaxaccel as ja
        >>> state, history = ja.training.fit(
        ...     lambda state, batch: (state + batch, {"loss": state}),
        ...     jnp.zeros(()),
        ...     lambda epoch: [1.0] * 5,
        ...     callbacks=[ja.training.heartbeat(timeout=30)],
        ...     progress=False,
        ... )
        >>> print(state)
        5.0
    """
    for name, value in (("timeout", timeout), ("startup", startup), ("between", between)):
        if not 0 < value < 1e9:
            raise ValueError(f"{name} must be a positive number of seconds, got {value}")

    @contextlib.contextmanager
    def opened() -> Iterator[Callback]:
        news = _news_of(folder)
        with watchdog(timeout, startup=startup) as beat:

            def on_step(run: Run, memory: Any) -> None:
                length = run.steps_per_epoch
                is_last = length is None or run.step >= length
                beat(run.total_steps, saved=news(), next_within=between if is_last else None)

            def on_epoch(run: Run, memory: Any) -> None:
                beat(next_within=between)

            yield Callback("heartbeat", on_step=on_step, on_epoch=on_epoch, on_end=on_epoch)

    return Callback("heartbeat", opened=opened)


def _news_of(folder: str | os.PathLike[str] | None) -> Callable[[], Path | None]:
    """Return what returns a folder's newest save when it is another one, looked for now and then.

    It waits for no save under way, which ``saved_steps`` would.
    """
    looked, told = -SECONDS, None

    def news() -> Path | None:
        nonlocal looked, told
        now = time.monotonic()
        if folder is None or now - looked < SECONDS:
            return None
        looked = now
        newest = next(reversed(complete_saves(Path(folder)).values()), None)
        if newest == told:
            return None
        told = newest
        return newest

    return news
