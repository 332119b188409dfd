"""The thread in which the processes of a run watch each other, over the connections they met on.

It is plain TCP and not JAX's coordination service, which ends with process 0 and then ends the
others from C++, without a word of who and where. Every process tells process 0 about itself;
process 0 judges (``_verdict``) and tells all. The thread goes on while Python waits for devices.
"""

from __future__ import annotations

import atexit
import contextlib
import json
import os
import socket
import sys
import threading
import time
import traceback
from pathlib import Path
from types import TracebackType
from typing import Any

import jax

from jaxaccel.parallel._cluster import Cluster
from jaxaccel.parallel._links import readable, send
from jaxaccel.parallel._verdict import Seen, Verdict, judge
from jaxaccel.parallel._watch import EXIT, GRACE, LEAVE, RUNNING, Watch, leave, report, say

FAREWELL = 2.0
"""Seconds that process 0 waits for the others to leave: without it, JAX aborts them from C++."""

_WAITS_IN = tuple(
    str(folder) + os.sep
    for folder in (
        *(Path(jax.__file__).parent, Path(jax.__file__).parents[1] / "jaxlib"),
        *(Path(__file__).parent, Path(__file__).parents[1] / "training"),
    )
)
"""Whose code is in these folders waits for devices or for other processes."""


def watch(
    cluster: Cluster, links: dict[int, socket.socket], silence: float, limit: float | None = None
) -> Watch:
    """Start to watch: deaths, silence, uncaught exceptions, and the first beat within a limit."""
    names = ("step", "saved", "saved_at", "limit", "where", "waits", "done", "raised")
    says = dict.fromkeys(names) | {"beats": 0, "limit": limit}
    waker, woken = socket.socketpair()
    interval = min(1.0, silence / 10)
    events = threading.Event(), threading.Event()
    found = Watch(cluster, links, says, silence, interval, waker, *events)
    for link in links.values():
        link.settimeout(10)
    RUNNING.append(found)
    if links:
        _report_exceptions(found)
        atexit.register(_say_done, found)  # before JAX's own end, which waits for all others
    main = threading.main_thread().ident
    threading.Thread(target=_run, args=(found, woken, main), daemon=True).start()
    return found


def _run(watch: Watch, woken: socket.socket, main: int | None) -> None:
    """Watch until the run ends; if that fails it ends, or the others would blame this process."""
    try:
        _go_on(watch, woken, main)
    except Exception:
        os.write(2, f"jaxaccel watchdog: it failed\n{traceback.format_exc()}".encode())
        leave(EXIT)


def _go_on(watch: Watch, woken: socket.socket, main: int | None) -> None:
    """Listen and speak until the run ends."""
    own, begin = watch.cluster.process_id or 0, time.monotonic()
    seen = {process: Seen(begin, begin) for process in (own, *watch.links)}
    rest = dict.fromkeys(watch.links, b"")
    last = 0.0
    while watch.links or watch.says["limit"]:
        wait = max(0.0, last + watch.interval - time.monotonic())
        verdict, is_woken = _listen(watch, woken, seen, rest, wait)
        now = time.monotonic()
        if is_woken or now - last >= watch.interval:
            last = now
            _speak(watch, seen, main, now)
        verdict = verdict or _judged(watch, seen, own)
        if verdict is not None:
            _end(watch, seen, verdict, main)
        if own != 0 and seen[0].closed and seen[0].says["done"]:
            break  # process 0 has come to its end, and this one is about to
    woken.close()


def _listen(
    watch: Watch, woken: socket.socket, seen: dict[int, Seen], rest: dict[int, bytes], wait: float
) -> tuple[Verdict | None, bool]:
    """Take in what has come within a time; return a verdict, and whether to speak at once."""
    open_links = {
        link: process for process, link in watch.links.items() if not seen[process].closed
    }
    ready, verdict = readable([woken, *open_links], wait), None
    for link in ready:
        if link is woken:
            woken.recv(4096)
            continue
        process = open_links[link]
        try:
            got = link.recv(65536)
        except OSError:
            got = b""
        *lines, rest[process] = (rest[process] + got).split(b"\n")
        for message in map(json.loads, lines):
            if "verdict" in message:
                verdict = Verdict(*message["verdict"])
            else:
                seen[process] = _heard(seen[process], message)
        if not got:
            seen[process] = seen[process]._replace(closed=True)
    return verdict, woken in ready


def _heard(before: Seen, says: dict[str, Any]) -> Seen:
    """Return what is known of a process after its next word."""
    now = time.monotonic()
    has_beaten = says["beats"] != before.says.get("beats")
    raised = before.raised if says["raised"] is None else before.raised or now
    return Seen(now, now if has_beaten else before.beaten, says, before.closed, raised)


def _speak(watch: Watch, seen: dict[int, Seen], main: int | None, now: float) -> None:
    """Tell all about this process."""
    own = watch.cluster.process_id or 0
    says = dict(watch.says) | _place(main)
    seen[own] = _heard(seen[own], says)
    for process, link in watch.links.items():
        if not seen[process].closed:
            send(link, says)
    watch.spoken.set()


def _judged(watch: Watch, seen: dict[int, Seen], own: int) -> Verdict | None:
    """Return whom to blame: of all in process 0, elsewhere only process 0 for being gone."""
    if own != 0:
        seen = {
            process: each._replace(raised=None, beaten=float("inf"))
            for process, each in seen.items()
        }
    return judge(seen, time.monotonic(), watch.silence, watch.interval, GRACE)


def _place(main: int | None) -> dict[str, Any]:
    """Return where the main thread is in the user's code, and whether it waits in JAX's."""
    frame = sys._current_frames().get(main or 0)
    waits = frame is not None and frame.f_code.co_filename.startswith(_WAITS_IN)
    while frame is not None and frame.f_code.co_filename.startswith(_WAITS_IN):
        frame = frame.f_back
    if frame is None:
        return {"where": None, "waits": waits}
    code = frame.f_code
    return {"where": f"{code.co_filename}:{frame.f_lineno} in {code.co_name}", "waits": waits}


def _end(watch: Watch, seen: dict[int, Seen], verdict: Verdict, main: int | None) -> None:
    """Tell all the verdict, and end this process."""
    own, count = watch.cluster.process_id or 0, watch.cluster.num_processes
    if own == 0:
        for link in watch.links.values():
            send(link, {"verdict": verdict})
    if verdict.process == own and watch.says["raised"]:
        _farewell(watch, seen)
        watch.blamed.set()
        time.sleep(LEAVE)  # its main thread prints the traceback, and ends it
        leave(1)
    step = "before its first step" if verdict.step is None else f"its last step was {verdict.step}"
    text = (
        f"jaxaccel watchdog: process {verdict.process} of {count} {verdict.reason}\n"
        f"  {step}; the last save: {verdict.saved or 'none was told'}\n"
        f"  process {own} ends with exit status {EXIT}: start the run again from the last save\n"
    )
    frame = sys._current_frames().get(main or 0)
    if verdict.process == own and frame is not None and not watch.says["done"]:
        text += "  its main thread is here:\n" + "".join(traceback.format_stack(frame)[-8:])
    os.write(2, text.encode())  # one piece, whatever holds sys.stderr
    _farewell(watch, seen)
    leave(EXIT)


def _farewell(watch: Watch, seen: dict[int, Seen]) -> None:
    """Let process 0 be the last to leave, as far as the others can."""
    until = time.monotonic() + FAREWELL
    left = [link for process, link in watch.links.items() if not seen[process].closed]
    while watch.cluster.process_id == 0 and left and time.monotonic() < until:
        for link in readable(left, 0.1):
            with contextlib.suppress(OSError):
                if link.recv(65536):
                    continue
            left.remove(link)


def _report_exceptions(watch: Watch) -> None:
    """Let an uncaught exception end the run everywhere, where JAX waits 300 s for this process."""
    before = sys.excepthook

    def hook(kind: type[BaseException], error: BaseException, where: TracebackType | None) -> None:
        report(watch, error)
        before(kind, error, where)
        leave(130 if issubclass(kind, KeyboardInterrupt) else 1)

    sys.excepthook = hook


def _say_done(watch: Watch) -> None:
    """Let the others know that this process has come to its end."""
    say(watch, done=True)
    watch.spoken.wait(1.0)
