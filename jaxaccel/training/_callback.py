"""What the loop tells others as it goes, and what they may answer."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from typing import Any, NamedTuple

from jaxaccel.training._record import Record, Snapshot, snapshot


class Run(NamedTuple):
    """Where a run of :func:`fit` is: what a callback is shown. Nothing in it may be changed."""

    state: Any
    """The state after the last step. It lives until the next step, which may be given its memory:
    what is to be kept is copied."""
    epoch: int
    """Epochs finished before this one."""
    step: int
    """Steps finished in this epoch."""
    total_steps: int
    """Steps finished in the whole run, those of earlier processes among them."""
    metrics: Mapping[str, Any]
    """In ``on_step`` the step's, on the device: to read them waits for the step. In ``on_epoch``
    the epoch's numbers, in ``on_end`` what came last. With what earlier callbacks have added."""
    epochs: int
    """How many epochs the run is to have."""
    steps_per_epoch: int | None
    """Batches in an epoch: their ``len``, or those of the last epoch; ``None``: not yet known."""
    is_epoch_end: bool
    """Whether this epoch's batches have come to their end, as they have in ``on_epoch``."""
    stopped: str | None
    """Why the run has come to its end before its epochs have, where a callback said so."""
    paused: str | None
    """Why it ends here to be resumed later, where a callback said so."""
    record: Record
    """What the loop keeps, for :meth:`snapshot`."""

    def snapshot(self) -> Snapshot:
        """Return all that the run needs to go on from here; waits for the step.

        Of several processes all must ask.

        Arrays on the device are the state's own: save or copy them before the next step.
        """
        return snapshot(self)


class Reply(NamedTuple):
    """What a callback answers; ``None`` instead of one: go on."""

    state: Any = None
    """Another state to go on with."""
    stop: str | None = None
    """Why the run shall end here for good: resumed, it is still at its end."""
    pause: str | None = None
    """Why it shall end here, to go on when it is resumed."""
    memory: Any = None
    """What the callback will be given next time."""
    metrics: Mapping[str, float] | None = None
    """What it has measured: joins ``History.epochs`` or, between steps, ``History.measured``."""


Hook = Callable[[Run, Any], Reply | None]


class Callback(NamedTuple):
    """A guest of :func:`fit`: functions ``(run, memory) -> reply`` and what they remember.

    All that a callback remembers from call to call is its memory: a pytree of arrays and numbers,
    which the loop hands to it, takes its successor from the reply, and saves with the run. So a
    resumed run goes on as if it had never ended.
    """

    name: str
    """Under which the memory is saved."""
    memory: Any = None
    """The first memory; its structure, shapes and dtypes stay. ``None``: nothing is remembered."""
    on_step: Hook | None = None
    """Called after every step, mostly long before the device has finished it."""
    on_epoch: Hook | None = None
    """Called after every epoch that came to its end."""
    on_end: Hook | None = None
    """Called once, after the last step."""
    init: Callable[[Any], Any] | None = None
    """``state -> memory``: the first memory, where it depends on the state."""
    opened: Callable[[], AbstractContextManager[Callback]] | None = None
    """Opens what is held while the run goes (a bar, a file, a signal's handler), and closes it,
    also after an error; gives the callback that takes this one's place in between."""
    is_last: bool = False
    """Whether it is called after all others, as one that saves what they have answered; and at the
    end before them: what they make of the state then is not what the run goes on from."""
    purpose: str = ""
    """What it is for, where :func:`checklist` asks: ``"early stopping"`` or ``"logging"``."""
