"""Which operation of a program runs in which dtype, and why."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any, NamedTuple

from jaxaccel._checked import checked
from jaxaccel.precision._autocast_notes import DtypeRow, Notes, noting
from jaxaccel.precision._autocast_trace import trace


class DtypeReport(NamedTuple):
    """What :func:`dtype_report` returns; ``print`` shows it as a table, and so does ``rich``."""

    rows: tuple[DtypeRow, ...]
    """One for each operation, in the order of the program."""

    def __str__(self) -> str:
        lines = [_HEADER, *self.rows]
        widths = [max(len(line[i]) for line in lines) for i in range(len(_HEADER))]
        return "\n".join(
            "  ".join(f"{cell:{width}}" for cell, width in zip(line, widths, strict=True)).rstrip()
            for line in lines
        )

    def __rich__(self) -> Any:
        from rich.table import Table

        table = Table(*_HEADER)
        for row in self.rows:
            table.add_row(*row)
        return table

    def to_json(self) -> str:
        """Return the rows as JSON: a list of objects."""
        return json.dumps([row._asdict() for row in self.rows])


_HEADER = ("source", "operation", "without autocast", "with autocast", "rule")


@checked
def dtype_report(fn: Callable[..., Any], *args: Any, **kwargs: Any) -> DtypeReport:
    """Return a table of all operations in a function's regions: what runs in which dtype, and why.

    The function is traced and not run.

    Args:
        fn: A function that :func:`autocast` returned, or one that calls such a function: compiled,
            differentiated or not.
        *args: What it is called with: arrays, or ``jax.ShapeDtypeStruct``.
        **kwargs: As ``*args``, by name.

    Returns:
        A row for each operation: source line, name, dtypes of operands and results without autocast
        and with it, and the rule. ``print(report)`` is a table, ``rich.print(report)`` another one,
        ``report.to_json()`` is JSON.

    Raises:
        ValueError: no region was entered.

    PyTorch:
        No counterpart; there each tensor can be asked for its dtype.

    Example:
        >>> import jax.numpy as jnp
        >>> import jaxaccel as ja
        >>> f = ja.precision.autocast(lambda x: jnp.exp(x @ x), "tpu")
        >>> for row in ja.precision.dtype_report(f, jnp.eye(2)).rows:
        ...     print(row.operation, "|", row.declared, "|", row.found, "|", row.rule)
        dot_general | float32 -> float32 | float32 -> bfloat16 | lower
        exp | float32 -> float32 | bfloat16 -> float32 | float32
    """
    notes = Notes()
    with noting(notes):
        trace(fn, args, kwargs, None)
    if not notes.rows:
        raise ValueError(
            f"fn={getattr(fn, '__name__', fn)} enters no region of autocast; "
            'give precision.autocast(fn, "tpu") or a function that calls it'
        )
    return DtypeReport(tuple(row for _, row in notes.rows.values()))
