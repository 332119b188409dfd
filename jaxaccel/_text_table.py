"""Figures for people: bytes in a unit that can be read, rows as aligned columns."""

from __future__ import annotations

from collections.abc import Sequence


def size_name(count: float) -> str:
    """Return a number of bytes in the unit in which it is read."""
    size, unit = float(count), "B"
    for larger in ("KiB", "MiB", "GiB", "TiB"):
        if abs(size) < 1024:
            break
        size, unit = size / 1024, larger
    return f"{size:.0f} B" if unit == "B" else f"{size:.2f} {unit}"


def columns(rows: Sequence[tuple[str, ...]], left: int = 1) -> list[str]:
    """Return lines with the first ``left`` columns to the left, the others to the right."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return [
        "  ".join(
            cell.ljust(width) if place < left else cell.rjust(width)
            for place, (cell, width) in enumerate(zip(row, widths, strict=True))
        ).rstrip()
        for row in rows
    ]
