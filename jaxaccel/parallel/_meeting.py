"""All processes meet at process 0 before JAX connects them, so that what is wrong can be said.

JAX's own client ends the process from C++ when nobody answers or somebody is missing. The
connections that are made here stay open: through them the processes watch each other (``_watch``).
"""

from __future__ import annotations

import contextlib
import errno
import ipaddress
import json
import os
import selectors
import socket
import sys
import time
from typing import Any, NamedTuple

import jax

from jaxaccel.parallel._cluster import Cluster
from jaxaccel.parallel._links import line_of, send

_RETRY = 0.1
"""Seconds between two attempts to reach a process 0 that has not started yet."""
_LATER = 5.0
"""Seconds that the others wait longer than process 0, which knows who is missing."""


def meet(cluster: Cluster, timeout: float) -> dict[int, socket.socket]:
    """Return the connections to all others in process 0, and to process 0 in the others.

    Raises:
        ValueError: The processes contradict each other, or process 0's port is taken.
        TimeoutError: Process 0 cannot be reached, or some did not come in time.
    """
    host, _, port = (cluster.coordinator_address or "").rpartition(":")
    if cluster.process_id == 0:
        return _received(cluster, timeout)
    return {0: _joined(cluster, (host.strip("[]"), int(port)), timeout)}


class _Guests(NamedTuple):
    """Who has come to process 0."""

    links: dict[int, socket.socket]
    refused: list[socket.socket]
    known: dict[int, str]
    """Also of those who have left: their ids and machines."""


def _received(cluster: Cluster, timeout: float) -> dict[int, socket.socket]:
    """Wait for all others in process 0, and let them go on together."""
    guests = _Guests({}, [], {})
    with _listening(cluster.coordinator_address or "") as server:
        fault = _awaited(cluster, server, guests, timeout)
    # Nobody is let go before the port is free, which is JAX's from now on.
    everybody = (*guests.links.values(), *guests.refused)
    for link in everybody:
        send(link, {"go": True} if fault is None else {"refused": str(fault)})
    if fault is not None:
        for link in everybody:
            link.close()
        raise fault
    return guests.links


def _awaited(
    cluster: Cluster, server: socket.socket, guests: _Guests, timeout: float
) -> Exception | None:
    """Wait until all are there and have stayed; return what is wrong."""
    count, fault = cluster.num_processes or 1, None
    deadline = time.monotonic() + timeout
    with selectors.DefaultSelector() as chosen:
        chosen.register(server, selectors.EVENT_READ)
        while True:
            is_complete = len(guests.links) + len(guests.refused) == count - 1
            wait = 0.0 if is_complete else max(0.01, deadline - time.monotonic())
            ready = {key.fileobj for key, _ in chosen.select(wait)}
            if gone := [pair for pair in guests.links.items() if pair[1] in ready]:
                for process, link in gone:  # nobody speaks before the answer: it has ended
                    chosen.unregister(link)
                    _forget(cluster, guests, process)
                continue
            if is_complete:
                return fault
            if not ready:
                return fault or _absence(cluster, guests, timeout)
            text = _admitted(cluster, server, guests, deadline, chosen)
            if text is not None:
                fault = fault or ValueError(text)
                deadline = min(deadline, time.monotonic() + _LATER)  # for the others to be told


def _admitted(
    cluster: Cluster, server: socket.socket, guests: _Guests, deadline: float, chosen: Any
) -> str | None:
    """Take in one that has come; return what is wrong with it."""
    link, _ = server.accept()
    hello = _hello_of(link, deadline)
    if hello is None:  # a probe of the port, or another program
        link.close()
        return None
    if text := _contradiction(cluster, hello, guests.links):
        guests.refused.append(link)
        return text
    process = hello["process_id"]
    guests.links[process] = link
    guests.known[process] = f"pid {hello['pid']} on {hello['host']}"
    chosen.register(link, selectors.EVENT_READ)
    return None


def _forget(cluster: Cluster, guests: _Guests, process: int) -> None:
    """Say at once that a process has come and gone again, and wait for it to return."""
    guests.links.pop(process).close()
    print(
        f"jaxaccel: process {process} of {cluster.num_processes} ({guests.known[process]}) came to "
        f"process 0 at {cluster.coordinator_address} and ended before all were there; look into "
        "its output. It is waited for, should it be started again",
        file=sys.stderr,
        flush=True,
    )


def _absence(cluster: Cluster, guests: _Guests, timeout: float) -> TimeoutError:
    """Return who has not come, and who has not stayed."""
    others = range(1, cluster.num_processes or 1)
    missing = [process for process in others if process not in guests.links]
    gone = [f"process {n} ({guests.known[n]})" for n in missing if n in guests.known]
    left = f"; {', '.join(gone[:8])} had come, and ended" if gone else ""
    return TimeoutError(
        f"{_named(missing)} of {cluster.num_processes} did not come to process 0 at "
        f"{cluster.coordinator_address} within {timeout:g} s{left}; look into their output, and "
        "whether they were given this address"
    )


def _listening(address: str) -> socket.socket:
    """Return a socket at the port of an address, which must be free."""
    host, port = bound_at(address)
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        return socket.create_server(
            (host, port), family=family, dualstack_ipv6=host == "::", backlog=4096
        )
    except OSError as error:
        if error.errno != errno.EADDRINUSE:
            raise
        raise ValueError(
            f"port {port} of process 0 is taken on this machine, by another run or what is left of "
            "one; choose another MASTER_PORT (JAX_COORDINATOR_PORT where torchrun chooses)"
        ) from None


def bound_at(address: str) -> tuple[str, int]:
    """Return where process 0 listens: at its address if it is a number of this machine, or at all.

    A name may stand for another address here than where the others are.
    """
    host, _, port = address.rpartition(":")
    host = host.strip("[]")
    if host == "localhost":
        return "127.0.0.1", int(port)
    with contextlib.suppress(OSError, ValueError):
        is_six = ipaddress.ip_address(host).version == 6
        with socket.socket(socket.AF_INET6 if is_six else socket.AF_INET) as probe:
            probe.bind((host, 0))
        return host, int(port)
    return "::" if socket.has_dualstack_ipv6() else "0.0.0.0", int(port)


def _hello_of(link: socket.socket, deadline: float) -> dict[str, Any] | None:
    """Return what a process says of itself, or None if it is none of ours."""
    line = line_of(link, min(deadline, time.monotonic() + 10))
    try:
        hello = json.loads(line or "")
    except ValueError:
        return None
    return hello if isinstance(hello, dict) and "process_id" in hello else None


def _contradiction(
    cluster: Cluster, hello: dict[str, Any], links: dict[int, socket.socket]
) -> str | None:
    """Return what is wrong with a process that has come, from process 0's side."""
    process, count = hello["process_id"], hello["num_processes"]
    if count != cluster.num_processes:
        return (
            f"process {process} says that there are {count} processes, process 0 says "
            f"{cluster.num_processes}; give all the same WORLD_SIZE"
        )
    if process == 0 or process in links:
        return (
            f"two processes say that they are process {process} of {count}; give each a RANK of "
            "its own"
        )
    if hello["jax"] != jax.__version__:
        return (
            f"process {process} has jax {hello['jax']}, process 0 has {jax.__version__}; install "
            "the same everywhere"
        )
    return None


def _joined(cluster: Cluster, address: tuple[str, int], timeout: float) -> socket.socket:
    """Go to process 0, and wait until all have come."""
    deadline = time.monotonic() + timeout
    where = f"process 0 at {cluster.coordinator_address}"
    own = f"process {cluster.process_id}"
    link = _connected(address, deadline, f"{own} cannot reach {where}", timeout)
    hello = {"process_id": cluster.process_id, "num_processes": cluster.num_processes}
    send(link, hello | {"jax": jax.__version__, "pid": os.getpid(), "host": socket.gethostname()})
    line = line_of(link, deadline + _LATER)
    try:
        answer = json.loads(line or "")
    except ValueError:
        link.close()
        if line is None:
            raise TimeoutError(
                f"{where} did not let {own} go on within {timeout + _LATER:g} s"
            ) from None
        raise ValueError(
            f"what answers {own} in the place of {where} is another program, or process 0 has "
            "ended; look into its output, or choose another port"
        ) from None
    if "go" not in answer:
        link.close()
        raise ValueError(f"{where} refused {own}: {answer.get('refused')}")
    return link


def _connected(
    address: tuple[str, int], deadline: float, what: str, timeout: float
) -> socket.socket:
    """Return a connection, to be tried until it is time."""
    while True:
        left = deadline - time.monotonic()
        try:
            return socket.create_connection(address, timeout=max(0.01, min(10, left)))
        except OSError as error:  # not yet known, not yet there
            if deadline - time.monotonic() <= _RETRY:
                raise TimeoutError(
                    f"{what} within {timeout:g} s: {error}; is process 0 running, is MASTER_ADDR "
                    "its host's name or address as seen from here, and does a firewall let the "
                    "port through?"
                ) from None
        time.sleep(_RETRY)


def _named(processes: list[int]) -> str:
    """Return processes for a sentence, the first few."""
    shown = ", ".join(map(str, processes[:8])) + (", ..." if len(processes) > 8 else "")
    return f"process {shown}" if len(processes) == 1 else f"processes {shown}"
