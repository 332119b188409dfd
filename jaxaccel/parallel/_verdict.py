"""Which process is to blame when a run does not go on, from what each has said of itself."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, NamedTuple

QUIET = 3
"""Intervals without a word after which a process that is late counts as stopped."""


class Seen(NamedTuple):
    """What is known of one process."""

    heard: float
    """When its last word came."""
    beaten: float
    """When its last beat came."""
    says: Mapping[str, Any] = MappingProxyType({})
    """Its last word: ``step``, ``saved``, ``where``, ``waits``, ``limit``, ``done``, ``raised``."""
    closed: bool = False
    """Whether its connection has ended."""
    raised: float | None = None
    """When it said that an exception ends it."""


class Verdict(NamedTuple):
    """Why the run ends."""

    process: int
    reason: str
    step: int | None
    saved: str | None
    """The last save that any process told."""


def judge(
    seen: Mapping[int, Seen], now: float, silence: float, interval: float, grace: float
) -> Verdict | None:
    """Return whom to blame, or None while all is well.

    Args:
        seen: Process -> what is known.
        now: The time.
        silence: Seconds without a word after which a process counts as stopped.
        interval: Seconds between two words of a process.
        grace: Seconds that an exception waits for a death that may have caused it.
    """
    alive = {process: each for process, each in seen.items() if not each.says.get("done")}
    for process, each in alive.items():
        if each.closed and each.raised is None:
            return _verdict(seen, process, DIED)
    raised = [(each.raised, process) for process, each in alive.items() if each.raised is not None]
    if raised:
        first, process = min(raised)
        if now - first < grace:
            return None
        return _verdict(seen, process, f"ends with {seen[process].says['raised']}")
    for process, each in alive.items():
        if now - each.heard > silence:
            return _verdict(seen, process, _silent(now - each.heard))
    late = [each for each in alive.values() if now - each.beaten > _limit(each)]
    return _blamed(seen, alive, now, interval) if late else None


DIED = (
    "died: its connection closed without a word, as after kill -9, the out-of-memory killer or a "
    "crash in C++"
)


def _silent(seconds: float) -> str:
    """Return what is wrong with a process that says nothing."""
    return (
        f"has said nothing for {seconds:.0f} s: it is stopped (SIGSTOP), its machine or an "
        "extension that holds Python's lock hangs, or the network is cut"
    )


def _blamed(
    seen: Mapping[int, Seen], alive: Mapping[int, Seen], now: float, interval: float
) -> Verdict:
    """Return the process that the late ones wait for.

    One that is stopped; else the one with fewest steps, not waiting for a device, longest silent.
    """
    watched = {process: each for process, each in alive.items() if each.says.get("limit")}
    left = [process for process in seen if process not in alive]
    for process, each in watched.items():
        if now - each.heard > QUIET * interval:
            return _verdict(seen, process, _silent(now - each.heard))

    def order(process: int) -> tuple[Any, ...]:
        each = watched[process]
        return each.says.get("step") or 0, bool(each.says.get("waits")), each.beaten

    process = min(watched, key=order)
    each = watched[process]
    seconds, where = now - each.beaten, each.says.get("where") or "an unknown place"
    if not each.says.get("waits"):
        reason = f"hangs: no step for {seconds:.0f} s, since when it is at {where}"
    elif left:
        process = left[0]
        reason = f"ended while the others go on and wait for it, {seconds:.0f} s by now"
    else:
        reason = (
            f"has made no step for {seconds:.0f} s, and like all others waits for the devices, at "
            f"{where}: a device or the network hangs, or a step takes longer than the timeout"
        )
    return _verdict(seen, process, reason)


def _limit(each: Seen) -> float:
    """Return the seconds that a process may take to its next beat."""
    limit = each.says.get("limit")
    return float("inf") if limit is None else limit


def _verdict(seen: Mapping[int, Seen], process: int, reason: str) -> Verdict:
    """Return a verdict with the last step of the process and the last save of any."""
    told = [each.says for each in seen.values() if each.says.get("saved")]
    last = max(told, key=lambda says: says["saved_at"], default={"saved": None})
    return Verdict(process, reason, seen[process].says.get("step"), last["saved"])
