"""Connections between processes: lines of JSON that go and come."""

from __future__ import annotations

import contextlib
import json
import selectors
import socket
import time
from collections.abc import Iterable
from typing import Any


def send(link: socket.socket, message: dict[str, Any]) -> None:
    """Send a line of JSON, unless the other side is gone."""
    with contextlib.suppress(OSError):
        link.sendall(json.dumps(message).encode() + b"\n")


def readable(links: Iterable[Any], wait: float) -> list[Any]:
    """Return the connections on which something comes within a time, thousands of them too."""
    with selectors.DefaultSelector() as chosen:
        for link in links:
            chosen.register(link, selectors.EVENT_READ)
        return [key.fileobj for key, _ in chosen.select(wait)]


def line_of(link: socket.socket, deadline: float) -> bytes | None:
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
