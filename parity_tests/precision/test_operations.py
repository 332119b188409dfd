"""Marks of operations: not there in plain programs, and seen inside a region."""

import functools

import jax
import jax.numpy as jnp
import pytest

import jaxaccel as ja
from jaxaccel import _operations
from parity_tests.harness.autocast import arrays_of
from parity_tests.harness.errors import assert_no_faults
from parity_tests.precision import autocast_functions

F = ja.functional
MARKED = [row for row in autocast_functions.FUNCTIONS if isinstance(row.ours, functools.partial)]
UNMARKED = ("relu", "relu6", "hardtanh", "threshold")
X = jnp.ones((3, 4), jnp.float32)


def names(program):
    """Return the operations of a program and of those inside it."""
    found = []
    for equation in program.eqns:
        operation = _operations.operation_of(equation)
        if operation is not None:
            found.append(operation.name)
            continue
        for inner in jax.tree.leaves(list(equation.params.values()), is_leaf=_is_program):
            if _is_program(inner):
                found += names(getattr(inner, "jaxpr", inner))
    return found


def _is_program(value):
    return hasattr(value, "eqns") or hasattr(value, "jaxpr")


def in_region(function, *arrays):
    with _operations.region(jnp.bfloat16):
        return names(jax.make_jaxpr(function)(*arrays).jaxpr)


def test_plain_programs_are_those_of_functions_without_marks():
    """To the instruction, before a region has traced the function and after it."""
    faults = []
    for row in MARKED:
        marked, arrays = row.ours.func, arrays_of(row)
        bare = functools.partial(marked.__wrapped__, **row.ours.keywords)
        before = str(jax.make_jaxpr(row.ours)(*arrays))
        seen = in_region(row.ours, *arrays)
        texts = [jax.jit(lambda *a, f=f: f(*a)).lower(*arrays).as_text() for f in (row.ours, bare)]
        if texts[0] != texts[1] or before != str(jax.make_jaxpr(row.ours)(*arrays)):
            faults.append((row.id, "another program"))
        if _operations._MARK in before:
            faults.append((row.id, "marked outside of a region"))
        if seen not in ([row.operation], []) or (not seen and row.operation not in UNMARKED):
            faults.append((row.id, f"{seen} inside"))
    assert_no_faults(faults)
    assert len(MARKED) > 30


FORMS = {
    "plain": lambda f: f,
    "jit": jax.jit,
    "vmap": jax.vmap,
    "two vmaps": lambda f: lambda x: jax.vmap(jax.vmap(f))(jnp.stack([x, x])),
    "scan": lambda f: lambda x: jax.lax.scan(lambda c, row: (c, f(row)), 0.0, x)[1],
    "cond": lambda f: lambda x: jax.lax.cond(x[0, 0] > 0, f, lambda x: x, x),
    "remat": jax.checkpoint,
    "map": lambda f: lambda x: jax.lax.map(f, x),
}


@pytest.mark.quick
def test_marks_are_seen_whatever_the_caller_did():
    function = functools.partial(F.softmax, dim=-1)
    for form, change in FORMS.items():
        wrapped = change(function)
        plain = str(jax.make_jaxpr(wrapped)(X))
        assert in_region(wrapped, X) == ["softmax"], form
        assert str(jax.make_jaxpr(wrapped)(X)) == plain, form


@pytest.mark.quick
def test_a_mark_holds_the_function_in_both_precisions():
    with _operations.region(jnp.bfloat16):
        program = jax.make_jaxpr(
            lambda x: F.batch_norm(x, jnp.zeros_like(x[0]), jnp.ones_like(x[0]), training=True)
        )(X)
    (found,) = filter(None, map(_operations.operation_of, program.jaxpr.eqns))
    assert found.name == "batch_norm"
    assert found.decides == (0,)
    assert [aval.dtype for aval in found.wide.out_avals] == [jnp.float32] * 3
    # The running statistics stay as they are.
    assert [aval.dtype for aval in found.low.out_avals] == [jnp.bfloat16, jnp.float32, jnp.float32]


@pytest.mark.quick
def test_what_is_in_double_precision_has_no_mark():
    assert in_region(lambda x: F.softmax(x.astype(jnp.float64), 0), X) == []


@pytest.mark.quick
def test_a_users_function_of_the_same_name_is_not_a_mark():
    @jax.jit
    def softmax(x):
        return x * 2

    assert in_region(softmax, X) == []


@pytest.mark.quick
def test_calls_are_checked_inside_a_region_too():
    with _operations.region(jnp.bfloat16), pytest.raises(TypeError, match="argument 'input'"):
        F.softmax("rows", 0)
