"""What is read off a program: beside the compiler's own count, and by hand where it has none."""

import itertools
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import lax

import jaxaccel as ja
from jaxaccel._hlo import Array, read
from jaxaccel.aot._count import cost_of
from jaxaccel.aot._windows import positions

FOLDER, FLOAT = Path(__file__).parent, jnp.float32


def shaped(*shapes):
    return [jax.ShapeDtypeStruct(shape, FLOAT) for shape in shapes]


def unrolled(weights, x):
    for weight in weights:
        x = jnp.tanh(x @ weight)
    return jnp.sum(x)


def scanned(weights, x):
    return jnp.sum(lax.scan(lambda x, weight: (jnp.tanh(x @ weight), None), x, weights)[0])


def convolved(kernel, x):
    labels = ("NHWC", "HWIO", "NHWC")
    strided = lax.conv_general_dilated(x, kernel, (2, 2), "SAME", dimension_numbers=labels)
    return jnp.sum(strided**2)


def pooled(x):
    highest = lax.reduce_window(x, -jnp.inf, lax.max, (1, 3, 3, 1), (1, 2, 2, 1), "SAME")
    return jnp.sum(highest**2)


def chosen(x, take):
    return lax.cond(take, lambda x: x @ x, lambda x: x + 1, x)


PROGRAMS = {
    "products": (jax.grad(unrolled), shaped((3, 32, 32), (16, 32))),
    "a convolution and its gradients": (
        jax.grad(convolved, (0, 1)),
        shaped((3, 3, 4, 8), (2, 9, 9, 4)),
    ),
    "a maximum over windows": (jax.grad(pooled), shaped((2, 9, 9, 4))),
    "a branch": (chosen, [*shaped((16, 16)), jax.ShapeDtypeStruct((), jnp.bool_)]),
    "sums": (lambda x: jax.nn.softmax(x) + jnp.var(x, axis=0, keepdims=True), shaped((16, 32))),
}


def test_a_program_without_loops_costs_what_its_compiler_says():
    for name, (function, shapes) in PROGRAMS.items():
        compiled = jax.jit(function).lower(*shapes).compile()
        judge = compiled.cost_analysis()
        # A CPU makes a loop of what is scattered.
        found = cost_of(read(compiled.as_text()), loops_once=True)
        assert found.flops == pytest.approx(judge["flops"], rel=0.01), name
        assert found.bytes == pytest.approx(judge["bytes accessed"], rel=0.05), name
        report = ja.aot.report(compiled)
        if "while(" not in compiled.as_text():
            figures = report.flops, report.bytes_accessed
            assert figures == (judge["flops"], judge["bytes accessed"]), name
        assert report.open_loops == 0
        assert not report.uncounted


def test_a_loop_counts_as_often_as_it_runs():
    shapes = shaped((7, 32, 32), (16, 32))
    for of in (lambda function: function, jax.grad):
        loop, judge = (
            ja.aot.report(jax.jit(of(function)).lower(*shapes).compile())
            for function in (scanned, unrolled)
        )
        assert loop.flops == pytest.approx(judge.flops, rel=0.15)
        assert loop.flops >= 7 * 2 * 16 * 32 * 32 * (3 if of is jax.grad else 1)
    nested = jax.jit(lambda w, x: lax.fori_loop(0, 5, lambda _, x: x + scanned(w, x), x))
    once = ja.aot.report(jax.jit(scanned).lower(*shapes).compile())
    found = ja.aot.report(nested.lower(*shapes).compile())
    assert found.flops == pytest.approx(5 * once.flops, rel=0.15)


def test_a_loop_moves_a_row_a_turn_and_not_the_stack():
    doubled = jax.jit(lambda x: lax.scan(lambda _, row: ((), 2 * row), (), x)[1])
    (x,) = shaped((64, 256))
    moved = ja.aot.report(doubled.lower(x).compile()).bytes_accessed
    once = 4 * 64 * 256  # of the stack; each turn reads a row and writes one
    assert 2 * once <= moved <= 12 * once


def test_a_loop_that_the_data_end_is_said_to_be_open():
    half = jax.jit(lambda x: lax.while_loop(lambda x: jnp.sum(x) > 1, lambda x: x @ x, x))
    report = ja.aot.report(half.lower(*shaped((8, 8))).compile())
    assert report.open_loops == 1
    assert 2 * 8**3 <= report.flops < 2 * 2 * 8**3
    assert "1 loops, whose turns the data decide" in str(report)


@pytest.mark.quick
def test_pairs_in_a_window_are_those_that_meet():
    for size, stride, pad, base, dilation in itertools.product(
        (1, 3), (1, 2), (0, 2), (1, 2), (1, 3)
    ):
        read_, window = 7, np.zeros(30)
        places = base * np.arange(read_)
        length = base * (read_ - 1) + 1 + 2 * pad - dilation * (size - 1)
        made = max(0, (length - 1) // stride + 1)
        window[places] = 1
        met = sum(
            0 <= (at := stride * result + dilation * element - pad) < 30 and window[at]
            for result in range(made)
            for element in range(size)
        )
        text = (
            f"{{size=1x{size} stride=1x{stride} pad=0_0x{pad}_{pad} lhs_dilate=1x{base} "
            f"rhs_dilate=1x{dilation}}}"
        )
        assert positions(text, 1, read_, made) == met, text


TPU = (FOLDER / "tpu_loop.hlo").read_text()
"""A loop as a TPU's compiler writes it: the turns are in the condition, ``S(1)`` is on the chip."""


@pytest.mark.quick
def test_a_tpus_loop_is_read_off_its_condition():
    program = read(TPU)
    cost = cost_of(program)
    product = 2 * 64 * 128 * 128
    assert cost.flops == 12 * (product + 64 * 128) + 13
    assert cost.cycles == 12 * 70
    assert cost.bytes == 12 * 2 * (2 * 64 * 128) + 13 * (4 + 4 + 1)
    assert cost_of(program, loops_once=True).flops == product + 64 * 128 + 1


@pytest.mark.quick
def test_what_stays_on_the_chip_is_not_moved_and_tiles_are():
    operations = read(TPU).computations["body"].operations
    assert operations["y"].arrays[0].moved == 0
    assert operations["x"].arrays[0].moved == 2 * 64 * 128
    thin = read(TPU.replace("64,128]", "3,5]")).computations["body"].operations["x"]
    assert (thin.arrays[0].bytes, thin.arrays[0].moved) == (2 * 3 * 5, 2 * 8 * 128)


KERNELS = (FOLDER / "kernels.hlo").read_text()


@pytest.mark.quick
def test_kernels_count_what_they_say_or_are_named():
    cost = cost_of(read(KERNELS))
    assert cost.flops == 1000 + 2 * 64 * 64 * 128
    assert dict(cost.kernels) == {"tpu_custom_call": 1}


@pytest.mark.quick
def test_a_part_of_fewer_axes_is_counted_by_its_own_size():
    whole = Array("f32", (4, 8, 128), "2,1,0:T(8,128)")
    assert whole._replace(dims=(8, 128)).moved == 4 * 8 * 128
    assert whole._replace(dims=(8, 128), layout="2,1,0:T(8,128)S(1)").moved == 0
