"""What is noted while a region's program is read, for :func:`dtype_report`."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import jax

from jaxaccel._operations import operation_of
from jaxaccel.precision._autocast_casts import Value
from jaxaccel.precision._autocast_composites import class_of
from jaxaccel.precision._autocast_plan import Step
from jaxaccel.precision._autocast_primitives import PRIMITIVES, STRUCTURE
from jaxaccel.precision._autocast_region import Region
from jaxaccel.precision._autocast_rules import rule_of

noting = jax.make_user_context(default_value=None)
"""The notes that regions write into; part of the keys of JAX's caches, so that all is read anew."""


class DtypeRow(NamedTuple):
    """One operation of a program."""

    source: str
    """The line that called it, of the first file that is not a library's."""
    operation: str
    """PyTorch's name where it is one of PyTorch's, else the primitive's."""
    declared: str
    """The dtypes of operands and results without autocast."""
    found: str
    """The dtypes with it: in which operands come, and results leave."""
    rule: str
    """What autocast does: ``lower``, ``float32``, ``keep``, ``widest``, ``follow``, ..."""


class Notes:
    """The rows of a program by its operations; what is read again, in a wider loop, counts once.

    Filled while JAX traces, and known to its caches by identity: no tuple could be both.
    """

    def __init__(self) -> None:
        self.rows: dict[int, tuple[Step, DtypeRow]] = {}

    def add(
        self, region: Region, step: Step, operands: Sequence[Value], results: Sequence[Value]
    ) -> None:
        """Note an operation; what holds operations is not one itself."""
        name, rule = _name_and_rule(region, step, operands)
        if rule == STRUCTURE:
            return
        runs = step.program
        declared = _dtypes(v.aval for v in runs.invars), _dtypes(v.aval for v in runs.outvars)
        found = _dtypes(v.array for v in operands), _dtypes(v.array for v in results)
        row = DtypeRow(_source_of(step), name, " -> ".join(declared), " -> ".join(found), rule)
        self.rows[id(runs)] = step, row


def _name_and_rule(region: Region, step: Step, operands: Sequence[Value]) -> tuple[str, str]:
    """Return an operation's name, and what autocast does with it."""
    if step.composite is not None:
        return step.composite.operation, class_of(region, step.composite.operation) or "keep"
    equation = step.equation
    name = equation.primitive.name
    if name == "jit":
        if (operation := operation_of(equation)) is not None:
            named = class_of(region, operation.name)
            return operation.name, STRUCTURE if named == "composed" else named or "follow"
        kind, _, rest = equation.params["name"].partition(": ")
        return ("to", f"to {rest}") if kind == "jaxaccel to" else (name, STRUCTURE)
    if name not in PRIMITIVES:
        return name, "unknown primitive: as traced"
    if PRIMITIVES[name].otherwise == STRUCTURE:
        return name, STRUCTURE
    return name, rule_of(region, equation, operands)


def _dtypes(arrays: Any) -> str:
    """Return the dtypes of arrays, those in a row that are equal once."""
    names = [str(getattr(array, "dtype", "-")) for array in arrays]
    return ", ".join(dict.fromkeys(names)) or "-"


_LIBRARIES = tuple(f"/{name}/" for name in ("jax", "jaxlib", "flax", "optax", "jaxaccel"))


def _source_of(step: Step) -> str:
    """Return the line that an operation was called from."""
    traceback = step.program.eqns[0].source_info.traceback
    if traceback is None:
        return "?"
    frames = [frame for frame in traceback.frames if "/jax/" not in frame.file_name]
    own = [frame for frame in frames if not any(part in frame.file_name for part in _LIBRARIES)]
    for frame in own or frames:
        return f"{Path(frame.file_name).name}:{frame.line_num}"
    return "?"
