"""What one operation of a program computes."""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Callable

from jaxaccel._hlo import Array, Computation, Operation, Program
from jaxaccel.aot._windows import positions

_ELEMENTWISE_NAMES = (
    "abs add and ceil clamp compare complex convert count-leading-zeros divide floor imag "
    "is-finite maximum minimum multiply negate not or popcnt real reduce-precision remainder "
    "round-nearest-afz round-nearest-even select shift-left shift-right-arithmetic "
    "shift-right-logical sign stochastic-convert subtract xor"
)
_ELEMENTWISE = frozenset(_ELEMENTWISE_NAMES.split())
"""One operation an element. Transcendental functions are none, as in the compilers' counts."""

_CUDNN_INPUT, _CUDNN_FILTER = "__cudnn$convBackwardInput", "__cudnn$convBackwardFilter"


_KERNELS = ("tpu_custom_call", "triton", "mosaic", "fmha", "attention")
"""Parts of the names by which Pallas' and cuDNN's kernels are called."""


def flops_of(program: Program, operation: Operation, computation: Computation) -> float:
    """Return the floating-point operations of one operation without those that it calls."""
    if operation.kind in _ELEMENTWISE:
        return operation.size
    count = _COUNTED.get(operation.kind)
    return count(program, operation, computation.operands(operation)) if count else 0


def _dot(program: Program, operation: Operation, operands: list[Operation]) -> float:
    lengths = (
        operands[0].arrays[0].dims[axis] for axis in operation.numbers("lhs_contracting_dims")
    )
    return 2 * operation.size * math.prod(lengths)


def _convolution(program: Program, operation: Operation, operands: list[Operation]) -> float:
    return _of_convolution(operation, operands[0].arrays[0], operation.arrays[0])


def _of_convolution(operation: Operation, images: Array, output: Array) -> float:
    """Return the operations of a convolution: pairs of elements that meet, no padding."""
    of_images, rest = (operation.attribute("dim_labels") or "").split("_")
    of_output = rest.partition("->")[2]
    groups = operation.numbers("feature_group_count") or (1,)
    batch_groups = operation.numbers("batch_group_count") or (1,)
    window = operation.attribute("window") or "{}"
    meetings = math.prod(
        positions(window, axis, images.dims[of_images.index(str(axis))], output.dims[place])
        for axis, place in ((int(label), i) for i, label in enumerate(of_output) if label.isdigit())
    )
    features = images.dims[of_images.index("f")] * output.dims[of_output.index("f")]
    rows = images.dims[of_images.index("b")]
    return 2 * features * rows * meetings / (groups[0] * batch_groups[0])


def _reduced(program: Program, operation: Operation, operands: list[Operation]) -> float:
    count = max(1, len(operands) // 2)  # values, then what each starts from
    elements = sum(operand.size for operand in operands[:count])
    return max(0, elements - operation.size) / count * _applied(program, operation)


def _windows(program: Program, operation: Operation, operands: list[Operation]) -> float:
    steps = _window_size(operation) - 1
    return operation.arrays[0].size * steps * _applied(program, operation)


def _selected(program: Program, operation: Operation, operands: list[Operation]) -> float:
    """Return the operations of the gradient of a maximum: comparisons in a window, and a sum."""
    return operands[1].size * _window_size(operation)


def _window_size(operation: Operation) -> int:
    """Return how many elements a window has, those on padding too."""
    size = re.search(r"size=([\dx]+)", operation.attribute("window") or "")
    return math.prod(map(int, size[1].split("x") if size else ()))


def _scatter(program: Program, operation: Operation, operands: list[Operation]) -> float:
    return operands[-1].size * _applied(program, operation)


def _applied(program: Program, operation: Operation) -> int:
    """Return the operations on each pair of numbers that are joined: one for a sum."""
    called = program.at(operation.calls("to_apply"))
    return sum(each.kind in _ELEMENTWISE for one in called for each in one.operations.values())


def _summed(program: Program, operation: Operation, operands: list[Operation]) -> float:
    return sum(operand.size for operand in operands)


def _custom_call(program: Program, operation: Operation, operands: list[Operation]) -> float:
    """Return the operations of a library's product or convolution."""
    target = _target(operation)
    if target.startswith("__cudnn$conv") and len(operands) > 1:
        first, second, made = (*(each.arrays[0] for each in operands[:2]), operation.arrays[0])
        images, output = first, made
        if target == _CUDNN_INPUT:  # (gradient of the output, kernel) -> of images
            images, output = made, first
        elif target == _CUDNN_FILTER:  # (images, gradient of the output) -> kernel
            images, output = first, second
        return _of_convolution(operation, images, output)
    numbers = re.search(r'"lhs_contracting_dimensions":\[([^\]]*)\]', operation.rest)
    if target.startswith("__cublas") and numbers and operands:
        lengths = (operands[0].arrays[0].dims[int(axis)] for axis in re.findall(r"\d+", numbers[1]))
        return 2 * operation.arrays[0].size * math.prod(lengths)
    given = re.search(r'"cost_estimate":\{[^}]*"flops":"?(\d+)', operation.rest)
    return int(given[1]) if given else 0


_COUNTED: dict[str, Callable[[Program, Operation, list[Operation]], float]] = {
    "dot": _dot,
    "convolution": _convolution,
    "reduce": _reduced,
    "reduce-window": _windows,
    "select-and-scatter": _selected,
    "scatter": _scatter,
    "all-reduce": _summed,
    "all-reduce-start": _summed,
    "reduce-scatter": _summed,
    "custom-call": _custom_call,
}


def _target(operation: Operation) -> str:
    """Return whom a custom call calls."""
    found = re.search(r'custom_call_target="([^"]*)"', operation.rest)
    return found[1] if found else ""


def kernel_of(operation: Operation) -> Counter[str]:
    """Return the kernel that an operation calls, if nobody says what it computes."""
    if operation.kind != "custom-call":
        return Counter()
    target = _target(operation)
    is_kernel = any(part in target for part in _KERNELS)
    is_counted = '"cost_estimate":{' in operation.rest
    return Counter({target: 1}) if is_kernel and not is_counted else Counter()
