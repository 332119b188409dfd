"""Every step tells the watchdog that the run goes on."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any

from jaxaccel._checked import checked
from jaxaccel.parallel import watchdog
from jaxaccel.training._callback import Callback, Run


@checked
def heartbeat(timeout: float = 45.0, *, startup: float = 600.0, between: float = 600.0) -> Callback:
    """End the run on every process when one of them makes no step for too long.

    Args:
        timeout: Seconds from one step to the next, with what other callbacks do in between.
        startup: Seconds to the first step: a compilation takes its time.
        between: Seconds from the last step of an epoch to the first of the next, evaluation among
            them; and from any step of the first epoch, while its length is not known.

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
        with watchdog(timeout, startup=startup) as beat:

            def on_step(run: Run, memory: Any) -> None:
                length = run.steps_per_epoch
                is_last = length is None or run.step >= length
                beat(run.total_steps, next_within=between if is_last else None)

            def on_epoch(run: Run, memory: Any) -> None:
                beat(next_within=between)

            yield Callback("heartbeat", on_step=on_step, on_epoch=on_epoch, on_end=on_epoch)

    return Callback("heartbeat", opened=opened)
