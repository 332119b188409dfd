"""Pages that hold what a script makes: rewritten in place, or checked."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable
from pathlib import Path


def rewrite(page: Path, renew: Callable[[str], str], script: str) -> int:
    """Rewrite a page, or with ``--check`` only look; return the exit status.

    Args:
        page: Its file.
        renew: The page's text -> what it should be.
        script: What the reader runs to make it so; described by its docstring in ``--help``.
    """
    parser = argparse.ArgumentParser(description=sys.modules["__main__"].__doc__)
    parser.add_argument("--check", action="store_true", help="change nothing, fail when outdated")
    check = parser.parse_args().check
    old = page.read_text(encoding="utf-8")
    new = renew(old)
    if old == new:
        return 0
    if check:
        print(f"{page.name}: run python {script}", file=sys.stderr)
        return 1
    page.write_text(new, encoding="utf-8")
    return 0
