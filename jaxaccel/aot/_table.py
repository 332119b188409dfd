"""A report for people: sizes in units that can be read, collectives in a table."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from jaxaccel._text_table import columns, size_name

if TYPE_CHECKING:
    from jaxaccel.aot._collectives import Collective
    from jaxaccel.aot._report import Report


def table_of(report: Report) -> str:
    """Return a report as a table."""
    lines = [f"{report.devices} x {report.device}" + (" (refused)" if report.refusal else "")]
    lines += columns(_memory(report))
    lines += columns(_work(report))
    if report.collectives:
        lines += columns([_TITLES, *map(_row, merged(report.collectives))])
    elif not report.refusal and report.devices > 1:
        lines.append("no collectives: the devices do not talk to each other")
    if report.uncounted:
        kernels = ", ".join(f"{name} x {count}" for name, count in report.uncounted.items())
        lines.append(f"FLOPs without those of {kernels}, which do not say what they compute")
    if report.open_loops:
        lines.append(f"{report.open_loops} loops, whose turns the data decide, count once")
    if report.refusal:
        lines.append(report.refusal)
    return "\n".join(lines)


def merged(collectives: Iterable[Collective]) -> list[Collective]:
    """Return those that are the same but for their name as one, with how often all run."""
    found: dict[tuple, Collective] = {}
    for each in collectives:
        key = each._replace(times=0, name="")
        before = found.get(key)
        found[key] = each if before is None else before._replace(times=before.times + each.times)
    return sorted(found.values(), key=lambda each: -each.bytes * each.times)


def axes_name(collective: Collective) -> str:
    """Return along which axes of the mesh a collective runs."""
    return "?" if collective.axes is None else ",".join(collective.axes) or "-"


_TITLES = ("collective", "bytes", "times", "axes", "devices", "overlap")


def _row(each: Collective) -> tuple[str, ...]:
    overlap = f"{each.overlapped} operations" if each.overlapped else "none"
    size = size_name(each.bytes)
    return each.kind, size, str(each.times), axes_name(each), str(each.devices), overlap


def _memory(report: Report) -> list[tuple[str, ...]]:
    capacity = report.capacity_bytes
    rows = [("memory of a device", size_name(report.needed_bytes), _verdict(report))]
    if capacity:
        rows.append(("  of", size_name(capacity), f"{report.needed_bytes / capacity:.0%}"))
    if report.refusal:
        return rows
    parts = {
        "arguments": report.argument_bytes,
        "results": report.output_bytes,
        "  of them in arguments' place": report.alias_bytes,
        "temporaries": report.temporary_bytes,
        "most at once": report.peak_bytes,
        "code": report.code_bytes,
    }
    return [*rows, *((f"  {name}", size_name(size), "") for name, size in parts.items())]


def _verdict(report: Report) -> str:
    return {True: "fits", False: "does not fit", None: ""}[report.fits]


def _work(report: Report) -> list[tuple[str, ...]]:
    if report.refusal:
        return []
    rows = [
        ("floating-point operations", f"{report.flops:.4g}"),
        ("bytes read and written", f"{report.bytes_accessed:.4g}"),
    ]
    if report.estimated_cycles:
        rows.append(("cycles, as the compiler estimates", f"{report.estimated_cycles:.4g}"))
    return rows
