"""What is said of a step that is not finite."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

from jaxaccel.monitoring._births import Birth
from jaxaccel.monitoring._places import Line, place_of

_MOST_NAMES = 5


class Operation(NamedTuple):
    """An operation whose result is not finite; ``str`` of it is a few lines of text."""

    name: str
    """JAX's name of the primitive: ``"log"``, ``"div"``, ``"dot_general"``."""
    function: str | None
    """The function of ``jaxaccel.functional``, ``jax.numpy`` or ``jax.nn`` that it is part of."""
    layer: str | None
    """PyTorch's dotted path of the layer: ``"transformer.h.3.attn"``; ``""`` for the model."""
    layer_type: str | None
    """The class of the layer."""
    phase: str
    """``"forward"``, ``"backward"``, ``"update"`` (clipping and the optimizer), ``"outside"``."""
    line: Line | None
    """The user's line: ``file``, ``number``, ``function``. In the backward pass that of the
    operation whose derivative it is; this library's where no line of the user's is known."""
    iterations: tuple[int, ...]
    """Of the loops that it is in: parts of a batch, time steps; the layers of a stack are in
    :attr:`layer` too."""
    inputs: tuple[str, ...]
    """What each operand holds: ``"finite"``, ``"3 NaN and 1 inf of 4096"``."""
    output: str
    """The same of the result."""
    devices: int | None
    """How many devices ran it on arrays of their own; ``None`` where it is of whole arrays."""

    def __str__(self) -> str:
        layer = f" of layer {self.layer or '(the model)'} ({self.layer_type})"
        lines = [
            f"`{self.name}`{f' in `{self.function}`' if self.function else ''}"
            f"{layer if self.layer is not None else ''}, {_PHASES[self.phase]}",
            f"  result: {self.output}; operands: {', '.join(self.inputs)}",
        ]
        if self.line is not None:
            lines.append(f"  at {self.line}")
        if self.iterations:
            lines.append(f"  in iteration {', '.join(map(str, self.iterations))} of its loops")
        return "\n".join(lines)


_PHASES = {
    "forward": "in the forward pass",
    "backward": "in the backward pass",
    "update": "in the update",
    "outside": "outside of what is differentiated",
}


class Anomaly(NamedTuple):
    """What :func:`find_anomaly` returns; ``str`` of it is the text of an error."""

    step: int | None
    """``state.step`` before the step, so counted from 0; ``None`` where there is no state."""
    argument: str | None
    """The argument that was not finite before anything ran: ``"batch.0"``, or in words a constant;
    ``None`` for none."""
    first: Operation | None
    """The first operation whose result was not finite while its operands were."""
    became_nan: Operation | None
    """The operation that made NaN of the infinity that :attr:`first` or the argument had."""
    gradients: tuple[str, ...]
    """Which gradients of a :func:`jaxaccel.training.train_step` are not finite, by parameter."""
    outputs: tuple[str, ...]
    """Which of the results are not finite: ``"metrics.loss"``, ``"state.params.fc.weight"``."""

    def __str__(self) -> str:
        where = "" if self.step is None else f" in step {self.step}"
        lines = [f"not finite{where}: {_some(self.outputs, 'the result')}"]
        if self.argument is not None:
            lines.append(f"{self.argument} was not finite when it was given")
        if self.first is not None:
            lines.append(f"first: {self.first}")
        if self.became_nan is not None:
            lines.append(f"NaN since: {self.became_nan}")
        if self.gradients:
            lines.append(
                f"gradients that are not finite: {_some(self.gradients, 'of the parameters')}"
            )
        if self.argument is None and self.first is None:
            lines.append(_NOT_FOUND)
        return "\n".join(lines)


_NOT_FOUND = (
    "run once more, it was finite: the program that says where does not fuse and round as the "
    "compiled one does. Numbers are at the edge of their range"
)


def _some(names: Sequence[str], nameless: str) -> str:
    """Return the first of some names, and how many more there are; a bare array has none."""
    more = len(names) - _MOST_NAMES
    return ", ".join(name or nameless for name in names[:_MOST_NAMES]) + (
        f" and {more} more" if more > 0 else ""
    )


def operation(
    birth: Birth, *, is_update: bool, is_differentiated: bool, loss_is_finite: bool
) -> Operation:
    """Return what is said of an operation.

    Args:
        birth: The operation.
        is_update: Whether it comes behind the gradients.
        is_differentiated: Whether anything in the program is: all is a forward pass else.
        loss_is_finite: Whether it did not reach the loss: what is computed beside the forward pass,
            for the backward pass alone, counts as a part of that.
    """
    place = place_of(birth.equations, birth.iterations)
    phase = place.phase
    if phase == "outside" and is_update:
        phase = "update"
    elif phase == "outside" and not is_differentiated:
        phase = "forward"
    if phase == "forward" and loss_is_finite:
        phase = "backward"
    equation = birth.equations[-1]
    name = equation.params.get("name") if equation.primitive.name == "jit" else None
    copies = birth.devices or 1
    return Operation(
        name or equation.primitive.name,
        place.function,
        None if place.layer is None else place.layer.path,
        None if place.layer is None else place.layer.kind,
        phase,
        place.line,
        birth.iterations,
        tuple(_tally(aval, counts, copies) for aval, counts in birth.inputs),
        _tally(*birth.output, copies),
        birth.devices,
    )


def _tally(aval: Any, counts: Any, copies: int) -> str:
    """Return in words what an array holds that is not finite."""
    nan, inf = map(int, counts)
    parts = [f"{count} {kind}" for count, kind in ((nan, "NaN"), (inf, "inf")) if count]
    return f"{' and '.join(parts)} of {aval.size * copies}" if parts else "finite"
