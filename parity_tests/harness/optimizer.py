"""Runs one row of the optimizer table in jaxaccel, in torch_ref and in PyTorch, step by step."""

import contextlib
import functools
import importlib
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import torch

from parity_tests import tolerances as tol
from parity_tests.harness.compare import assert_same_path, largest
from parity_tests.harness.compiled import FAST_COMPILE, QUICK_COMPILE, shared
from parity_tests.harness.mirror import torch_ref_inside
from parity_tests.registry import lookup, oracle_of

STEPS = 50
SEEDS = 5
SHAPES = {"matrix": (24, 9), "vector": (13,), "scalar": ()}
LOW_LEAF = "matrix"
COMPLEX = "pairs"
FROZEN = "frozen"
TORCH = {
    "float64": torch.float64,
    "float32": torch.float32,
    "bfloat16": torch.bfloat16,
    "float16": torch.float16,
}
DTYPES = tuple(TORCH)


class Run(NamedTuple):
    """A run: for every leaf the parameters, and for every field and leaf the state, by step.

    Arrays are float64 (or complex128) with a leading axis of steps; the entry at 0 comes before
    the first step.
    """

    params: dict[str, np.ndarray]
    state: dict[str, dict[str, np.ndarray]]
    updates: dict[str, np.ndarray]


def problem(case, seed):
    """Return initial parameters and fixed gradients (a leading axis of steps), as NumPy arrays.

    Besides real float64 leaves there is a complex one, unless the row refuses it, and one that no
    gradient reaches.
    """
    rng = np.random.default_rng(seed)
    shapes = case.options.get("shapes", SHAPES)
    params = {name: rng.normal(size=shape) for name, shape in shapes.items()}
    grads = {name: 0.5 * rng.normal(size=(STEPS, *shape)) for name, shape in shapes.items()}
    if "real_only" not in case.options:
        params[COMPLEX] = rng.normal(size=(7,)) + 1j * rng.normal(size=(7,))
        grads[COMPLEX] = rng.normal(size=(STEPS, 7)) + 1j * rng.normal(size=(STEPS, 7))
    like = shapes[LOW_LEAF] if "shapes" in case.options else (3,)
    params[FROZEN], grads[FROZEN] = rng.normal(size=like), None
    return params, grads


def low_precision_problem(case, seed, dtype):
    """Return one leaf of :func:`problem`, rounded so that every precision starts from it.

    Many elements: in a single number two terms can cancel, and its own magnitude says nothing of
    theirs.
    """
    return [{LOW_LEAF: to_numpy(to_torch(part[LOW_LEAF], dtype))} for part in problem(case, seed)]


def to_numpy(tensor):
    """Return a tensor as a float64 or complex128 array (a copy)."""
    tensor = tensor.detach()
    return tensor.to(torch.complex128 if tensor.is_complex() else torch.float64).numpy().copy()


def to_torch(array, dtype):
    """Return an array as a tensor of ``dtype``, or of the complex dtype of that width."""
    if np.iscomplexobj(array):
        return torch.tensor(array).to(torch.complex128 if dtype == "float64" else torch.complex64)
    return torch.tensor(array).to(TORCH[dtype])


def to_jax(array, dtype):
    """Return an array as a JAX array of ``dtype``, or of the complex dtype of that width."""
    if np.iscomplexobj(array):
        return jnp.asarray(array, jnp.complex128 if dtype == "float64" else jnp.complex64)
    return jnp.asarray(array, dtype)


def as_jax(leaves, dtype):
    """Return named arrays as JAX arrays; None stays None."""
    return {n: None if x is None else to_jax(x, dtype) for n, x in leaves.items()}


def as_torch(leaves, dtype="float64"):
    """Return named arrays as tensors; None stays None."""
    return {n: None if x is None else to_torch(x, dtype) for n, x in leaves.items()}


@contextlib.contextmanager
def in_full_precision(case, dtype="float64"):
    """Compute in the leaves' own precision what the algorithm computes in bfloat16 by design.

    With another ``dtype`` than float64 nothing changes: those runs are as users have them.
    """
    with pytest.MonkeyPatch.context() as patch:
        if "bfloat16_inside" in case.options and dtype == "float64":
            patch.setattr(torch.Tensor, "bfloat16", lambda t: t.to(torch.float64, copy=True))
            for package in ("jaxaccel", "torch_ref"):
                math = importlib.import_module(f"{package}._math")
                patch.setitem(math.newton_schulz.__kwdefaults__, "dtype", float)
        yield


# --- PyTorch ------------------------------------------------------------------------------------


def as_tensors(state):
    """Return a state dict with tensors for arrays."""
    return jax.tree.map(
        lambda leaf: torch.from_numpy(leaf.copy()) if isinstance(leaf, np.ndarray) else leaf, state
    )


def values_at(kwargs, step):
    """Return the kwargs with every schedule replaced by its value at ``step``."""

    def at(value):
        if isinstance(value, tuple):
            return tuple(at(v) for v in value)
        return value(step) if callable(value) else value

    return {name: at(value) for name, value in kwargs.items()}


def run_torch(case, params, grads, dtype, *, with_state=True, steps=STEPS):
    """Run the row in ``torch.optim``: schedules are set on the group before each step."""
    tensors = {
        name: torch.nn.Parameter(to_torch(leaf, dtype), requires_grad=True)
        for name, leaf in params.items()
    }
    optimizer = oracle_of(case)(tensors.values(), **values_at(case.kwargs, 0))
    moved = [{name: to_numpy(p) for name, p in tensors.items()}]
    states = []
    for step in range(steps):
        optimizer.param_groups[0].update(values_at(case.kwargs, step))
        for name, p in tensors.items():
            p.grad = None if grads[name] is None else to_torch(grads[name][step], dtype)
        with in_full_precision(case, dtype):
            optimizer.step()
        moved.append({name: to_numpy(p) for name, p in tensors.items()})
        states.append(torch_state(optimizer, tensors) if with_state else {})
    return _stack(moved, states)


def torch_state(optimizer, tensors):
    """Return the optimizer's state as {field: {leaf: array}}, without the step count."""
    fields = {}
    for name, p in tensors.items():
        for field, value in optimizer.state.get(p, {}).items():
            if field != "step" and value is not None:
                fields.setdefault(field, {})[name] = to_numpy(value)
    return fields


def steps_torch_from(case, run, grads):
    """Return by step the parameters and state that PyTorch-float64 reaches in it from a given run.

    Every step has parameters of its own, in a group of its own: one optimizer takes them all.
    """
    groups = [
        {
            name: torch.nn.Parameter(to_torch(leaf[step], "float64"))
            for name, leaf in run.params.items()
        }
        for step in range(STEPS)
    ]
    optimizer = oracle_of(case)(
        [
            {"params": list(tensors.values()), **values_at(case.kwargs, step)}
            for step, tensors in enumerate(groups)
        ],
        **values_at(case.kwargs, 0),
    )
    for step, tensors in enumerate(groups):
        for name, p in tensors.items():
            fields = {
                field: torch_field(leaves[name][step], run.params[name][step])
                for field, leaves in run.state.items()
                if name in leaves
            }
            if step and fields:
                optimizer.state[p] = {"step": torch.tensor(float(step)), **fields}
            p.grad = to_torch(grads[name][step], "float64")
    with in_full_precision(case):
        optimizer.step()
    return [
        ({name: to_numpy(p) for name, p in tensors.items()}, torch_state(optimizer, tensors))
        for tensors in groups
    ]


def torch_field(value, like):
    """Return a state field as PyTorch keeps it: a scalar beside an array is a float32."""
    is_count = value.ndim == 0 and like.ndim > 0
    return to_torch(value, "float32" if is_count else "float64")


def _stack(moved, states):
    """Return a :class:`Run` from a list of parameters and a list of states."""
    params = {name: np.stack([m[name] for m in moved]) for name in moved[0]}
    state = {
        field: {
            name: np.stack([s[field][name] for s in states]) for name in leaves if name != FROZEN
        }
        for field, leaves in states[-1].items()
    }
    updates = {name: np.diff(leaf, axis=0) for name, leaf in params.items()}
    return Run(params, state, updates)


# --- jaxaccel and its mirror --------------------------------------------------------------------


def transform_of(package, case):
    """Return the row's transform; a layout is an option, because PyTorch has no such argument.

    A number that PyTorch is given as a tensor is a JAX scalar for jaxaccel.
    """
    own = {"layout": case.options["layout"]} if "layout" in case.options else {}
    kwargs = dict(case.kwargs)
    if package == "jaxaccel":
        tensors = {name: v for name, v in kwargs.items() if isinstance(v, torch.Tensor)}
        kwargs |= {name: jnp.asarray(tensor.numpy()) for name, tensor in tensors.items()}
    return lookup(package, case.function)(**kwargs, **own)


def layout_of(case, name):
    """Return the layout that the row's transform expects of a leaf."""
    layout = case.options.get("layout", "torch")
    return layout(name) if callable(layout) else layout


def to_own_layout(case, leaves, lead=0, *, back=False):
    """Return named kernels (O, I, *k) in the row's layout, or from it; ``lead`` axes stay."""
    torch, flax = (lead, lead + 1), (-1, -2)
    return {
        name: np.moveaxis(leaf, *((flax, torch) if back else (torch, flax)))
        if leaf is not None and leaf.ndim >= lead + 2 and layout_of(case, name) == "flax"
        else leaf
        for name, leaf in leaves.items()
    }


def to_torch_layout(case, run, lead=1):
    """Return a run with its kernels as PyTorch keeps them."""

    def undo(leaves):
        return to_own_layout(case, leaves, lead, back=True)

    state = {field: undo(leaves) for field, leaves in run.state.items()}
    return Run(undo(run.params), state, undo(run.updates))


def run_jax(case, params, grads, dtype):
    """Run the row in jaxaccel as one scan; ``Run.state`` has the initial state at index 0."""
    tx = transform_of("jaxaccel", case)
    params, grads = to_own_layout(case, params), to_own_layout(case, grads, lead=1)
    frozen = [name for name, leaf in grads.items() if leaf is None]
    params = {name: to_jax(leaf, dtype) for name, leaf in params.items()}
    moving = {name: to_jax(leaf, dtype) for name, leaf in grads.items() if name not in frozen}
    compiled = shared(_scan(tx, frozen))
    with in_full_precision(case, dtype):
        moved, states, updates = compiled(params, moving)
    assert int(states.step[-1]) == STEPS
    state = {field: _widened(leaves) for field, leaves in fields_of(states, moving).items()}
    return to_torch_layout(case, Run(_widened(moved), state, _widened(updates)))


def fields_of(state, names):
    """Return a state as {field: {leaf: array}}, like PyTorch: without what is not in use.

    A scalar that jaxaccel keeps once is every leaf's; ``step`` and the frozen leaf are left out.
    """
    fields = {}
    for field, value in state._asdict().items():
        by_leaf = value if isinstance(value, dict) else dict.fromkeys(names, value)
        found = {name: x for name, x in by_leaf.items() if x is not None and name in names}
        if field != "step" and found:
            fields[field] = found
    return fields


def run_jax_low_precision(case, problems):
    """Return one :class:`Run` per dtype of ``problems``: {dtype: [a single-leaf problem a seed]}.

    With JAX's 64-bit mode off, as users have it. Every dtype is a leaf of one tree, and every seed
    a part of it (one vector, as inner loops of nine take twice the time to compile) or, where
    matrices are looked at, a row of one vmap: one compilation. A function's quick rows are compiled
    as users have it, with their numbers in the program; the others share programs.
    """
    matrices = "real_only" in case.options
    with jax.enable_x64(False):
        tx = transform_of("jaxaccel", case)
        inputs = []
        for part in (0, 1):
            seeds = {
                dtype: np.stack([problem[part][LOW_LEAF] for problem in of_dtype])
                for dtype, of_dtype in problems.items()
            }
            if not matrices:
                seeds = {dtype: _seeds_last(leaf, part) for dtype, leaf in seeds.items()}
            own = to_own_layout(case, seeds, lead=1 + part)
            inputs.append({dtype: to_jax(leaf, dtype) for dtype, leaf in own.items()})
        runs = jax.vmap(_scan(tx)) if matrices else _scan(tx)
        by_itself = functools.partial(jax.jit, compiler_options=QUICK_COMPILE)
        options = QUICK_COMPILE if "optimized" in case.options else FAST_COMPILE
        compiled = by_itself(runs) if case.is_quick else shared(runs, options)
        moved, states, updates = compiled(*inputs)
        assert states.step.dtype == jnp.int32
    state = {field: _widened(leaves) for field, leaves in fields_of(states, problems).items()}
    run = Run(_widened(moved), state, _widened(updates))
    if matrices:
        run = to_torch_layout(case, run, lead=2)
    else:
        shape = next(iter(problems.values()))[0][0][LOW_LEAF].shape
        run = jax.tree.map(lambda leaf: _seeds_first(leaf, shape), run)
    return {
        dtype: Run(
            {LOW_LEAF: run.params[dtype]},
            {field: {LOW_LEAF: leaves[dtype]} for field, leaves in run.state.items()},
            {LOW_LEAF: run.updates[dtype]},
        )
        for dtype in problems
    }


def _seeds_last(leaf, lead):
    """Return a leaf by seed as one vector after the ``lead`` axes that follow the seeds."""
    leaf = np.moveaxis(leaf, 0, lead)
    return leaf.reshape(*leaf.shape[:lead], -1)


def _seeds_first(leaf, shape):
    """Return vectors by step as leaves by seed and step; what is kept once is every seed's."""
    if leaf.ndim == 1:
        return np.broadcast_to(leaf, (SEEDS, *leaf.shape))
    return np.moveaxis(leaf.reshape(len(leaf), SEEDS, *shape), 1, 0)


def _scan(tx, frozen=()):
    """Return a function of (params, grads) that scans a transformation's steps."""

    def body(carry, step_grads):
        params, state = carry
        updates, state = tx.update(step_grads | dict.fromkeys(frozen), state, params)
        params = {name: p + updates[name] for name, p in params.items()}
        return (params, state), (params, state, updates)

    def scan(params, moving):
        start = (params, tx.init(params))
        _, (moved, states, updates) = jax.lax.scan(body, start, moving)
        with_start = jax.tree.map(
            lambda first, rest: jnp.concatenate([first[None], rest]), start, (moved, states)
        )
        return *with_start, updates

    return scan


def _widened(leaves):
    """Return named JAX arrays as float64 or complex128 NumPy arrays."""
    arrays = {name: np.asarray(x) for name, x in leaves.items()}
    return {
        name: x.astype(np.complex128 if np.iscomplexobj(x) else np.float64)
        for name, x in arrays.items()
    }


FEW_STEPS = 20
"""Of torch_ref, which is here to be read: past RAdam's sixth, and every schedule has moved."""


def run_torch_ref(case, params, grads, dtype):
    """Run the row with torch_ref's algorithm, step by step, inside jaxaccel's transformation."""
    with (
        torch_ref_inside("optimizers", branches=False) as ran,
        in_full_precision(case, dtype),
    ):
        tx = transform_of("jaxaccel", case)
        params, grads = to_own_layout(case, params), to_own_layout(case, grads, lead=1)
        params = {name: to_jax(leaf, dtype) for name, leaf in params.items()}
        moving = [name for name, g in grads.items() if g is not None]
        state, moved, states = tx.init(params), [_widened(params)], []
        for step in range(FEW_STEPS):
            step_grads = {
                name: None if g is None else to_jax(g[step], dtype) for name, g in grads.items()
            }
            updates, state = tx.update(step_grads, state, params)
            params = {name: p + updates[name] for name, p in params.items()}
            moved.append(_widened(params))
            fields = fields_of(state, moving)
            states.append({field: _widened(leaves) for field, leaves in fields.items()})
    assert any(name.endswith("._update_leaf") for name in ran)
    return to_torch_layout(case, _stack(moved, states))


# --- comparisons --------------------------------------------------------------------------------


def assert_same_run_in_float64(case, run, judge, state_offset):
    """Assert the design's float64 criterion at every step, for parameters and state.

    A state field is measured by its largest magnitude so far: where two terms cancel, the rounding
    of the terms stays.
    """
    slack = tol.BIAS_CORRECTION_ROUNDING / case.options.get("one_minus_beta", np.inf)
    assert run.params.keys() == judge.params.keys()
    for name, expected in judge.params.items():
        assert_same_path(run.params[name], expected, slack, what=name)
    assert run.state.keys() == judge.state.keys()
    for field, leaves in judge.state.items():
        assert run.state[field].keys() == leaves.keys()
        for name, expected in leaves.items():
            for t in range(len(expected)):
                found = run.state[field][name][t + state_offset]
                error = largest(found - expected[t])
                allowed = tol.FLOAT64_OF_FIELD * largest(expected[: t + 1])
                assert error <= allowed, f"{field}/{name} at step {t + 1}: {error:.2e}"
