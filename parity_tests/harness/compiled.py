"""What XLA and JAX are told, and one compilation for all rows that differ in numbers only."""

import functools
import json
import os
import subprocess
import sys
from pathlib import Path

import jax
import numpy as np
from jax.extend.core import Literal

from parity_tests.harness.kept import HALF_WRITTEN

FAST_COMPILE = {"xla_backend_optimization_level": 0, "xla_cpu_use_fusion_emitters": False}
"""For float64, where a formula is judged and not the code that the compiler makes of it."""

QUICK_COMPILE = {"xla_backend_optimization_level": 1, "xla_cpu_use_fusion_emitters": False}
"""For lower precisions, where the last bit counts: optimized as by default, and compiled sooner."""

_programs = {}


def shared(function, options=FAST_COMPILE):
    """Return ``jax.jit(function)`` that compiles once for all functions of one structure.

    Compiling takes most of a row's time, and the rows of an optimizer differ in numbers. Each is
    traced as it is (with Python's numbers, in Python's precision); then the numbers that stand in
    the program become its arguments.
    """

    def call(*args):
        traced, shape = jax.make_jaxpr(function, return_shape=True)(*args)
        numbers = [np.asarray(n.val, n.aval.dtype) for n in _numbers(traced.jaxpr)]
        key = (_structure(traced.jaxpr), *options.items(), jax.config.jax_enable_x64)
        if key not in _programs:
            run = functools.partial(_evaluate, traced.jaxpr)
            _programs[key] = jax.jit(run, compiler_options=options)
        found = _programs[key](traced.consts, numbers, jax.tree.leaves(args))
        return jax.tree.unflatten(jax.tree.structure(shape), found)

    return call


def forget_programs():
    """Let go of what was compiled, between modules."""
    _programs.clear()


def _is_number(atom):
    return isinstance(atom, Literal) and np.issubdtype(atom.aval.dtype, np.inexact)


def _inner(eqn):
    """Return the program inside a call or a scan, whose numbers become arguments too."""
    return eqn.params["jaxpr"] if eqn.primitive.name in ("jit", "pjit", "scan") else None


def _numbers(jaxpr):
    """Return the numbers that stand in a program, in the order in which they are read."""
    found = []
    for eqn in jaxpr.eqns:
        found += [atom for atom in eqn.invars if _is_number(atom)]
        if (inner := _inner(eqn)) is not None:
            found += _numbers(inner.jaxpr)
    return found + [atom for atom in jaxpr.outvars if _is_number(atom)]


def _structure(jaxpr):
    """Return a program as text, without its numbers."""
    names = {}

    def name(atom):
        if isinstance(atom, Literal):
            return f"{'number' if _is_number(atom) else atom.val}:{atom.aval.str_short()}"
        return f"{names.setdefault(atom, len(names))}:{atom.aval.str_short()}"

    lines = [str([name(v) for v in (*jaxpr.constvars, *jaxpr.invars)])]
    for eqn in jaxpr.eqns:
        inner, params = _inner(eqn), dict(eqn.params)
        if inner is not None:
            constants = [np.asarray(c).tobytes() for c in inner.consts]
            params["jaxpr"] = (_structure(inner.jaxpr), constants)
        atoms = [name(v) for v in (*eqn.invars, *eqn.outvars)]
        lines.append(f"{eqn.primitive} {params} {atoms}")
    return "\n".join([*lines, str([name(v) for v in jaxpr.outvars])])


def _evaluate(jaxpr, consts, numbers, args):
    """Run a program with other numbers in the place of its own."""
    numbers = iter(numbers)
    known = dict(zip((*jaxpr.constvars, *jaxpr.invars), (*consts, *args), strict=True))

    def read(atom):
        if _is_number(atom):
            return next(numbers)
        return atom.val if isinstance(atom, Literal) else known[atom]

    for eqn in jaxpr.eqns:
        values = [read(atom) for atom in eqn.invars]
        inner = _inner(eqn)
        if inner is None:
            results = eqn.primitive.bind(*values, **eqn.params)
        else:
            own = [next(numbers) for _ in _numbers(inner.jaxpr)]
            run = functools.partial(_evaluate, inner.jaxpr, inner.consts, own)
            results = _scan(run, values, **eqn.params) if "length" in eqn.params else run(values)
        results = results if eqn.primitive.multiple_results else [results]
        known |= zip(eqn.outvars, results, strict=True)
    return [read(atom) for atom in jaxpr.outvars]


def _scan(run, values, *, num_consts, num_carry, length, reverse, unroll, **_):
    consts, values = values[:num_consts], values[num_consts:]

    def body(carry, step):
        results = run([*consts, *carry, *step])
        return results[:num_carry], results[num_carry:]

    carry, steps = jax.lax.scan(
        body, values[:num_carry], values[num_carry:], length, reverse, unroll
    )
    return [*carry, *steps]


def run_without_x64(*functions):
    """Return what functions print, one after the other, where x64 is off and warnings are errors.

    Each is "module.function". One process answers all: to start it takes longer than most of them.
    """
    code = f"""
import contextlib, importlib, io, json
from parity_tests.harness.lowering import lower_sooner

lower_sooner()
printed = []
for name in {functions!r}:
    module, _, function = name.rpartition(".")
    with contextlib.redirect_stdout(io.StringIO()) as out:
        getattr(importlib.import_module(module), function)()
    printed.append(out.getvalue())
print(json.dumps(printed))
"""
    environment = {
        **os.environ,
        "JAX_PLATFORMS": "cpu",
        "JAX_ENABLE_X64": "0",
        "JAX_NUMPY_DTYPE_PROMOTION": "strict",
        "JAX_NUMPY_RANK_PROMOTION": "raise",
    }
    done = subprocess.run(
        [sys.executable, "-W", "error", "-W", f"ignore:{HALF_WRITTEN}", "-c", code],
        cwd=Path(__file__).resolve().parents[2],
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout.splitlines()[-1])
