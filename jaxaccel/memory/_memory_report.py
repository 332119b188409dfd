"""A training step's memory, part by part, as a table and as JSON."""

from __future__ import annotations

import json
from typing import Any, NamedTuple

from jaxaccel._text_table import columns, size_name
from jaxaccel.memory._programs import of_idle
from jaxaccel.memory._sources import short
from jaxaccel.memory._zero import ZeroFormula

_SHOWN = 10
"""Rows of the largest arrays in the table; ``largest`` and the JSON have all of them."""


class LargeBuffers(NamedTuple):
    """Arrays that one line of the source makes, at the moment at which most is held."""

    nbytes: int
    """All of them together."""
    number: int
    """How many there are."""
    array: str
    """Dtype and shape of the largest."""
    part: str
    """``"gradients"``, ``"activations"`` or ``"temporaries"``."""
    operation: str
    """What makes the largest."""
    source: str
    """``file:line``: that of the model which calls the layer, or of the user's own operation."""


class MemoryReport(NamedTuple):
    """What :func:`report` returns: bytes on each device; printed, it is a table."""

    parameters: int
    """The parameters."""
    optimizer_state: int
    """The optimizer's state."""
    other_state: int
    """What else the state holds: running statistics, counters, keys, a scaler."""
    batch: int
    """The batch."""
    padding: int
    """What the arguments need beyond that in the device's layout; negative where the program does
    not read all of them."""
    outputs: int
    """Results that do not take a donated argument's place."""
    gradients: int
    """Gradients that are alive when most is held."""
    activations: int
    """What the forward pass keeps for the backward pass, and is alive then."""
    temporaries: int
    """What else is alive then."""
    gaps: int
    """What the compiler's block of temporary memory has beyond that; negative where it lets more
    share one place than was seen: others may use a donated argument's until its result is there."""
    peak: int
    """The most that is held at once, by the compiler's own count."""
    capacity: int | None
    """What a program may hold on such a device; None where that is not known."""
    device: str
    """The kind of device."""
    formula: ZeroFormula
    """The ZeRO paper's formula for this state."""
    largest: tuple[LargeBuffers, ...]
    """What is alive when most is held, by source line, the largest first."""
    fits: bool | None
    """Whether it fits into such a device, by the compiler's word if that refuses what does not (a
    TPU's); None where nobody knows."""
    idle: int = 0
    """Devices of the topology that have no part in the program: nothing lies on them."""

    @property
    def arguments(self) -> int:
        """Bytes of the arguments."""
        return sum(self[:5])

    @property
    def total(self) -> int:
        """Bytes that have to be free for the step to run, arguments included."""
        return sum(self[:10])

    def __str__(self) -> str:
        rows = [(f"memory of a {self.device}", "bytes", "", "formula"), *self._rows()]
        lines = [*columns(rows), f"ZeRO's formula, {self.formula}: {self._stages()}"]
        if self.idle:
            lines.append(of_idle(self.idle))
        if self.largest:
            titles = ("largest when most is held", "part", "arrays", "bytes")
            shown = [
                (
                    f"{short(each.source) or '?'} {each.operation}",
                    each.part,
                    f"{each.number} x {each.array}" if each.number > 1 else each.array,
                    size_name(each.nbytes),
                )
                for each in self.largest[:_SHOWN]
            ]
            lines += ["", *columns([titles, *shown], left=2)]
        return "\n".join(lines)

    def __rich__(self) -> str:
        return str(self)

    def _rows(self) -> list[tuple[str, ...]]:
        formula = self.formula
        of_formula = {
            "  parameters": formula.parameter_count * formula.parameters,
            "  optimizer state": formula.parameter_count * formula.optimizer_state,
            "gradients": formula.parameter_count * formula.gradients,
        }
        parts = {
            "arguments": self.arguments,
            "  parameters": self.parameters,
            "  optimizer state": self.optimizer_state,
            "  other state": self.other_state,
            "  batch": self.batch,
            "  padding": self.padding,
            "results": self.outputs,
            "gradients": self.gradients,
            "activations": self.activations,
            "temporaries": self.temporaries,
            "gaps" if self.gaps >= 0 else "less: in a shared place": self.gaps,
            "total": self.total,
        }
        share = f"{self.total / self.capacity:.1%}" if self.capacity else ""
        return [
            (
                name,
                size_name(size),
                share if name == "total" else "",
                size_name(round(of_formula[name])) if name in of_formula else "",
            )
            for name, size in parts.items()
        ]

    def _stages(self) -> str:
        stages = [f"{size_name(self.formula.stage(i))} at stage {i}" for i in range(4)]
        if self.formula.devices == 1:
            return stages[0].partition(" at")[0]
        return f"{', '.join(stages)} on {self.formula.devices} devices"

    def to_json(self) -> str:
        """Return all figures as JSON: one object."""
        figures: dict[str, Any] = self._asdict()
        figures["formula"] = self.formula._asdict()
        figures["largest"] = [each._asdict() for each in self.largest]
        figures |= {"arguments": self.arguments, "total": self.total}
        return json.dumps(figures)

    def assert_fits(self, nbytes: int | None = None) -> None:
        """Raise unless the step fits.

        Args:
            nbytes: Bytes on each device; default: what the device has.

        Raises:
            AssertionError: It needs more.
            ValueError: It is not known what the device has.
        """
        limit = self.capacity if nbytes is None else nbytes
        fits = self.fits if nbytes is None else self.total <= nbytes
        if fits is None:
            raise ValueError(
                f"how much memory a {self.device} has is not known; pass assert_fits(nbytes)"
            )
        if not fits:
            most = "it has" if limit is None else f"{size_name(limit)} ({limit:,} bytes)"
            raise AssertionError(
                f"the step needs {size_name(self.total)} ({self.total:,} bytes) on each device, "
                f"which is more than {most}\n{self}"
            )
