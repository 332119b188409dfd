"""All processes meet at process 0 before JAX connects them, so that what is wrong can be said.

JAX's own client ends the process from C++ when nobody answers or somebody is missing. The
connections that are made here stay open: through them the processes watch each other (``_watch``).
"""

from __future__ import annotations

import contextlib
import errno
import json
import os
import socket
import time
from typing import Any

import jax

from jaxaccel.parallel._cluster import Cluster

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
        return _received(cluster, int(port), timeout)
    return {0: _joined(cluster, (host.strip("[]"), int(port)), timeout)}


def send(link: socket.socket, message: dict[str, Any]) -> None:
    """Send a line of JSON, unless the other side is gone."""
    with contextlib.suppress(OSError):
        link.sendall(json.dumps(message).encode() + b"\n")


def _received(cluster: Cluster, port: int, timeout: float) -> dict[int, socket.socket]:
    """Wait for all others in process 0, and let them go on together."""
    count = cluster.num_processes or 1
    deadline, fault = time.monotonic() + timeout, None
    links: dict[int, socket.socket] = {}
    refused: list[socket.socket] = []
    with _listening(port) as server:
        while len(links) + len(refused) < count - 1:
            server.settimeout(max(0.01, deadline - time.monotonic()))
            try:
                link, _ = server.accept()
            except TimeoutError:
                fault = fault or _absence(cluster, links, timeout)
                break
            hello = _hello_of(link, deadline)
            if hello is None:  # a probe of the port, or another program
                link.close()
            elif text := _contradiction(cluster, hello, links):
                refused.append(link)
                fault = fault or ValueError(text)
                deadline = min(deadline, time.monotonic() + _LATER)  # for the others to be told
            else:
                links[hello["process_id"]] = link
    # Nobody is let go before the port is free, which is JAX's from now on.
    for link in (*links.values(), *refused):
        send(link, {"go": True} if fault is None else {"refused": str(fault)})
    if fault is not None:
        for link in (*links.values(), *refused):
            link.close()
        raise fault
    return links


def _absence(cluster: Cluster, links: dict[int, socket.socket], timeout: float) -> TimeoutError:
    """Return who has not come."""
    missing = [process for process in range(1, cluster.num_processes or 1) if process not in links]
    return TimeoutError(
        f"{_named(missing)} of {cluster.num_processes} did not come to process 0 at "
        f"{cluster.coordinator_address} within {timeout:g} s; look into their output, and whether "
        "they were given this address"
    )


def _listening(port: int) -> socket.socket:
    """Return a socket at a port, which must be free."""
    is_dual = socket.has_dualstack_ipv6()
    family = socket.AF_INET6 if is_dual else socket.AF_INET
    try:
        return socket.create_server(("", port), family=family, dualstack_ipv6=is_dual, backlog=4096)
    except OSError as error:
        if error.errno != errno.EADDRINUSE:
            raise
        raise ValueError(
            f"port {port} of process 0 is taken on this machine, by another run or what is left of "
            "one; choose another MASTER_PORT (JAX_COORDINATOR_PORT where torchrun chooses)"
        ) from None


def _hello_of(link: socket.socket, deadline: float) -> dict[str, Any] | None:
    """Return what a process says of itself, or None if it is none of ours."""
    line = _line(link, min(deadline, time.monotonic() + 10))
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
    line = _line(link, deadline + _LATER)
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


def _line(link: socket.socket, deadline: float) -> bytes | None:
    """Return a line, byte by byte so that what follows stays; None if it does not come in time."""
    found = b""
    while not found.endswith(b"\n"):
        link.settimeout(max(0.01, deadline - time.monotonic()))
        try:
            byte = link.recv(1)
        except TimeoutError:
            return None
        except OSError:
            return b""
        if not byte or len(found) > 4096:
            return b""
        found += byte
    return found


def _named(processes: list[int]) -> str:
    """Return processes for a sentence, the first few."""
    shown = ", ".join(map(str, processes[:8])) + (", ..." if len(processes) > 8 else "")
    return f"process {shown}" if len(processes) == 1 else f"processes {shown}"
