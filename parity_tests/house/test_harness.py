"""The harness: what compares can fail, and a shared program gives every row its own numbers."""

import functools
import os

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from parity_tests.harness import compare
from parity_tests.harness.compiled import shared

NAN, INF = np.nan, np.inf

CLOSE = functools.partial(compare.assert_close, of_max=0.01)
EACH = functools.partial(compare.assert_each_close, relative=0.01)
SPECIAL = functools.partial(CLOSE, special=True)
ONCE = functools.partial(compare.assert_rounded_once, dtype="float16", of_max=0.0)
PATH = compare.assert_same_path
THIRD = np.float16(1 / 3)

RIGHT = [
    (CLOSE, [1.0, 100.0], [1.9, 100.0]),
    (CLOSE, [], []),
    (EACH, [1.005, 100.5], [1.0, 100.0]),
    (SPECIAL, [INF, NAN, 1.0], [INF, NAN, 1.0]),
    (ONCE, [THIRD, INF], [1 / 3, 1e6]),
    (PATH, np.arange(5.0), np.arange(5.0)),
]
WRONG = [
    (CLOSE, [1.0, 100.0], [2.1, 100.0]),
    (CLOSE, [1.0], [1.0, 1.0]),
    (CLOSE, [NAN], [1.0]),
    (CLOSE, [1.0], [NAN]),
    (CLOSE, [NAN], [NAN]),
    (CLOSE, [INF], [INF]),
    (EACH, [1.9, 100.0], [1.0, 100.0]),
    (EACH, [NAN], [1.0]),
    (EACH, [1.0], [NAN]),
    (EACH, [1.0], [1.0, 1.0]),
    (SPECIAL, [INF], [-INF]),
    (SPECIAL, [1.0], [NAN]),
    (SPECIAL, [NAN], [1.0]),
    (ONCE, [THIRD * np.float16(1.002)], [1 / 3]),
    (ONCE, [np.finfo(np.float16).max], [1e6]),
    (ONCE, [NAN], [1.0]),
    (PATH, [0.0, 1.0, 2.0, 3.0, 4.0 + 1e-10], np.arange(5.0)),
    (PATH, np.arange(4.0), np.arange(5.0)),
]


@pytest.mark.quick
def test_comparisons_can_fail():
    for compared, found, expected in RIGHT:
        compared(np.array(found), np.array(expected))
    for compared, found, expected in WRONG:
        with pytest.raises(AssertionError):
            compared(np.array(found), np.array(expected))


def program(factor, inside, table):
    """Return a function with numbers everywhere: outside, in a scan, a branch and a constant."""

    def body(carry, x):
        carry = jnp.where(x > inside, carry * factor, carry + inside)
        return carry, jax.lax.cond(x > 0, lambda: carry * inside, lambda: carry - factor)

    def run(xs):
        last, steps = jax.lax.scan(body, jnp.asarray(float(factor)), xs * jnp.asarray(table))
        return {"last": jnp.clip(last, -inside, 2 * factor), "steps": steps, "factor": factor}

    return run


@pytest.mark.parametrize("x64", [True, False])
def test_shared_programs_give_every_row_its_own_numbers(x64):
    xs = np.linspace(-1.0, 1.0, 4)
    with jax.enable_x64(x64), jax.numpy_dtype_promotion("standard"):
        for numbers in [(0.5, 0.1), (0.5, 0.2), (2.0, 0.1), (0.0, -0.0), (INF, 1.0), (1, 2)]:
            for table in ([1.0, 1.0, 1.0, 1.0], [1.0, 2.0, 3.0, 4.0]):
                run = program(*numbers, np.array(table))
                found, expected = shared(run)(jnp.asarray(xs)), jax.jit(run)(jnp.asarray(xs))
                assert jax.tree.structure(found) == jax.tree.structure(expected)
                for ours, theirs in zip(
                    jax.tree.leaves(found), jax.tree.leaves(expected), strict=True
                ):
                    assert ours.dtype == theirs.dtype
                    assert np.array_equal(ours, theirs, equal_nan=True), numbers


def test_on_the_cpu_programs_are_compiled_the_cheap_way():
    """However the CPU was asked for: the whole suite takes half as long again without."""
    if jax.default_backend() == "cpu":
        assert "--xla_backend_optimization_level=" in os.environ.get("XLA_FLAGS", "")
