"""Where progress is a bar, and where a line now and then."""

from __future__ import annotations

import sys

LINE = 30.0
"""Seconds from one line to the next where there is no bar."""


def has_bar() -> bool:
    """Return whether a bar can be drawn: by ``rich``, in a terminal or a notebook."""
    if not (sys.stdout.isatty() or "ipykernel" in sys.modules):
        return False
    try:
        import rich.progress  # noqa: F401
    except ModuleNotFoundError:
        return False
    return True
