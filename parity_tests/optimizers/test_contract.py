"""The optax contract: every transform inside every wrapper of optax and JAX gives its own numbers.

Rows of the table are transforms, columns are wrappers; each wrapper is one function that returns
what it made of the row and what it should have made of it.
"""

import contextlib
import functools
import inspect
import operator
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from jax.sharding import AxisType, NamedSharding
from jax.sharding import PartitionSpec as P

import jaxaccel as ja
from parity_tests import tolerances as tol
from parity_tests.harness.compare import (
    assert_no_shared_buffers,
    assert_rounded_once,
    assert_same_tree,
)
from parity_tests.harness.compiled import FAST_COMPILE
from parity_tests.harness.optimizer import in_full_precision
from parity_tests.optimizers import rows_lookahead as lookahead
from parity_tests.optimizers import rows_optimizers as optimizers
from parity_tests.optimizers import rows_param_groups as param_groups
from parity_tests.registry import Case, lookup
from parity_tests.transforms import rows_transforms as transforms

STEPS = 4
SHAPES = {
    "first": {"kernel": ((8, 4), P("data")), "bias": ((3,), P())},
    "second": {"kernel": ((4, 8), P(None, "data")), "pairs": ((8,), P("data"))},
}
"""Shape and sharding of each leaf; ``pairs`` is complex."""


class Row(NamedTuple):
    """A transform of the table, and what a wrapper must know about it."""

    case: Case
    static_args: tuple[str, ...] = ()
    """Numbers that choose code, which ``inject_hyperparams`` must leave alone."""
    couples_leaves: bool = False
    """One number is computed from all leaves, and no leaf is more precise than it."""
    rounds_between: bool = False
    """A transform inside sees, or returns, something rounded to the leaf's own precision."""
    not_injected: str = ""
    """Why ``inject_hyperparams`` cannot build it."""

    @property
    def factory(self):
        own = lookup("jaxaccel", self.case.function)
        inner = self.case.options.get("inner")
        if inner is None:
            return own
        factory = lookup("jaxaccel", inner.function)
        if "groups" in self.case.options:
            return functools.partial(own, factory, self.case.options["groups"])
        return functools.partial(own, factory(**inner.kwargs))

    @property
    def tx(self):
        return self.factory(**self.case.kwargs)


_BY_ID = {
    case.id: case
    for case in [*optimizers.CASES, *lookahead.CASES, *transforms.CASES, param_groups.IN_WRAPPERS]
}
NORM = {"static_args": ("norm_type",), "couples_leaves": True}
ROWS = [
    Row(_BY_ID["sgd-defaults"]),
    Row(_BY_ID["sgd-all-with-nesterov"]),
    Row(_BY_ID["sgd-momentum-schedule"]),
    Row(_BY_ID["adam-defaults"]),
    Row(_BY_ID["adam-both-betas-schedule"]),
    Row(_BY_ID["adam-everything"]),
    Row(_BY_ID["adamw-everything"]),
    Row(_BY_ID["asgd-everything"]),
    Row(_BY_ID["rprop-everything"]),
    Row(_BY_ID["muon-everything"], static_args=("ns_steps",)),
    Row(_BY_ID["adamax-everything"]),
    Row(_BY_ID["nadam-everything"]),
    Row(_BY_ID["radam-everything"]),
    Row(_BY_ID["adagrad-everything"]),
    Row(_BY_ID["adadelta-everything"]),
    Row(_BY_ID["rmsprop-everything"]),
    Row(_BY_ID["adafactor-everything"]),
    Row(_BY_ID["param_groups-adamw"], not_injected="it takes no function of open arguments"),
    Row(_BY_ID["clip_grad_norm-max-norm-below"], **NORM),
    Row(_BY_ID["clip_grad_norm-norm-type-schedule-of-max-norm"], **NORM),
    Row(_BY_ID["clip_grad_value-schedule"]),
    Row(_BY_ID["centralize_gradients-defaults"], static_args=("layout",)),
    Row(_BY_ID["accumulate_gradients-steps-two-with-momentum"], ("steps",), rounds_between=True),
    Row(_BY_ID["lookahead-alpha-large"], static_args=("k", "start"), rounds_between=True),
]
rows = pytest.mark.parametrize("row", ROWS, ids=lambda row: row.case.id)


@pytest.fixture(autouse=True)
def full_precision(request):
    """Round nothing to bfloat16 by design: it would hide, or make, differences of its own."""
    row = request.node.callspec.params.get("row") if hasattr(request.node, "callspec") else None
    with in_full_precision(row.case) if row else contextlib.nullcontext():
        yield


# --- problems and runs --------------------------------------------------------------------------


def is_spec(leaf):
    return isinstance(leaf, tuple)


def specs_of(row):
    """Return (shape, sharding) by leaf, without the complex leaf where the row refuses it."""
    second = dict(SHAPES["second"])
    if "real_only" in row.case.options:
        del second["pairs"]
    first = dict(SHAPES["first"])
    if "matrices_only" in row.case.options:
        first["bias"] = ((3, 2), P())
    return {"first": first, "second": second}


def draw(row, seed):
    """Return a tree of float64 (and complex128) NumPy arrays."""
    rng = np.random.default_rng(seed)

    def leaf(path, spec):
        real = rng.normal(size=spec[0])
        return real + 1j * rng.normal(size=spec[0]) if path[-1].key == "pairs" else real

    return jax.tree.map_with_path(leaf, specs_of(row), is_leaf=is_spec)


def problem(row, seed=0):
    """Return parameters and a list of gradients, as JAX arrays."""
    draws = [jax.tree.map(jnp.asarray, draw(row, 100 * seed + t)) for t in range(1 + STEPS)]
    return draws[0], draws[1:]


def run(tx, params, grads, update=None):
    """Return the updates of every step and the last state."""
    update, state, moved = update or tx.update, tx.init(params), []
    for step_grads in grads:
        updates, state = update(step_grads, state, params)
        params = optax.apply_updates(params, updates)
        moved.append(updates)
    return moved, state


@functools.cache
def plain(row_id, seed=0):
    """Return the row's own run, operation by operation."""
    row = next(row for row in ROWS if row.case.id == row_id)
    return run(row.tx, *problem(row, seed))


def inner_states(row, state):
    """Return the states of the row's own type inside a wrapper's state, in order."""
    own = type(plain(row.case.id)[1])
    leaves = jax.tree.leaves(state, is_leaf=lambda node: isinstance(node, own))
    return [leaf for leaf in leaves if isinstance(leaf, own)]


same = functools.partial(assert_same_tree, of_max=tol.CONTRACT_FLOAT64_OF_MAX)


# --- the wrappers: each returns (found, expected) -----------------------------------------------


def in_chain(row):
    params, grads = problem(row)
    moved, state = run(optax.chain(optax.identity(), row.tx, optax.scale(1.0)), params, grads)
    return (moved, inner_states(row, state)[0]), plain(row.case.id)


def in_inject_hyperparams(row):
    # Its state is not compared: a momentum of 0 that is an array keeps a buffer. The dtype is
    # given, because optax would make every hyperparameter complex for the sake of one leaf.
    inject = optax.inject_hyperparams(row.factory, row.static_args, hyperparam_dtype=jnp.float64)
    tx = inject(**row.case.kwargs)
    update = jax.jit(tx.update, compiler_options=FAST_COMPILE)
    moved, _ = run(tx, *problem(row), update)
    return moved, plain(row.case.id)[0]


def in_masked(row):
    """The rest passes through, and the row's transform sees only its part."""
    params, grads = problem(row)
    tx = optax.masked(row.tx, {"first": True, "second": False})
    moved, state = run(tx, params, grads)
    part = run(row.tx, params["first"], [g["first"] for g in grads])
    expected = [
        {"first": first, "second": g["second"]} for first, g in zip(part[0], grads, strict=True)
    ]
    found_state = jax.tree.leaves(inner_states(row, state)[0])
    return (moved, found_state), (expected, jax.tree.leaves(part[1]))


def in_partition(row):
    params, grads = problem(row)
    tx = optax.partition({"a": row.tx, "b": row.tx}, {"first": "a", "second": "b"})
    moved, state = run(tx, params, grads)
    parts = {part: run(row.tx, params[part], [g[part] for g in grads]) for part in params}
    expected = [{part: parts[part][0][t] for part in params} for t in range(STEPS)]
    found_states = [jax.tree.leaves(inner) for inner in inner_states(row, state)]
    return (moved, found_states), (expected, [jax.tree.leaves(p[1]) for p in parts.values()])


def in_multi_steps(row):
    """Every second call moves, on the mean of two gradients."""
    # One part only: the accumulators have one dtype, and a complex leaf does not fit it.
    params, grads = problem(row)
    params, grads = params["first"], [g["first"] for g in grads]
    multi = optax.MultiSteps(row.tx, every_k_schedule=2, accumulator_dtype=jnp.float64)
    with jax.numpy_dtype_promotion("standard"):
        moved, state = run(
            multi, params, grads, jax.jit(multi.update, compiler_options=FAST_COMPILE)
        )
    means = [jax.tree.map(lambda a, b: (a + b) / 2, *grads[t : t + 2]) for t in (0, 2)]
    expected, expected_state = run(row.tx, params, means)
    still = jax.tree.map(jnp.zeros_like, params)
    interleaved = [still, expected[0], still, expected[1]]
    return (moved, inner_states(row, state)[0]), (interleaved, expected_state)


def in_apply_if_finite(row):
    """A step whose gradients are not finite is left out."""
    params, grads = problem(row)
    tx = optax.apply_if_finite(row.tx, max_consecutive_errors=3)
    update = jax.jit(tx.update, compiler_options=FAST_COMPILE)
    bad = jax.tree.map(lambda g: g.at[0].set(jnp.nan), grads[0])
    moved, state = run(tx, params, [*grads[:2], bad, *grads[2:]], update)
    assert not any(np.any(leaf) for leaf in jax.tree.leaves(moved.pop(2)))
    return (moved, inner_states(row, state)[0]), plain(row.case.id)


def in_vmap(row):
    seeds = [problem(row, seed) for seed in (0, 1)]
    params, grads = jax.tree.map(lambda *leaves: jnp.stack(leaves), *seeds)
    tx = optax.GradientTransformation(jax.vmap(row.tx.init), jax.vmap(row.tx.update))
    by_itself = "defaults" in row.case.id  # operation by operation: sooner, and both ways are run
    found = run(
        tx, params, grads, None if by_itself else jax.jit(tx.update, compiler_options=FAST_COMPILE)
    )
    expected = jax.tree.map(
        lambda *leaves: jnp.stack(leaves), *[plain(row.case.id, seed) for seed in (0, 1)]
    )
    return found, expected


def in_scan(row):
    params, grads = problem(row)

    def body(carry, step_grads):
        updates, state = row.tx.update(step_grads, *carry)
        return (state, optax.apply_updates(carry[1], updates)), updates

    def scan(params, grads):
        (state, _), moved = jax.lax.scan(body, (row.tx.init(params), params), grads)
        return moved, state

    stacked = jax.tree.map(lambda *leaves: jnp.stack(leaves), *grads)
    moved, state = jax.jit(scan, compiler_options=FAST_COMPILE)(params, stacked)
    by_step = [jax.tree.map(operator.itemgetter(t), moved) for t in range(STEPS)]
    return (by_step, state), plain(row.case.id)


def in_shard_map(row):
    """Every device has its own gradients, and all step along the mean."""
    mesh = ja.parallel.make_mesh()
    params, grads = problem(row)
    weights = jnp.linspace(0.0, 2.0, mesh.size)

    def update(own, state, params):
        mean = jax.tree.map(lambda g: jax.lax.pmean(g[0], "data"), own)
        return row.tx.update(mean, state, params)

    update = jax.jit(
        jax.shard_map(update, mesh=mesh, in_specs=(P("data"), P(), P()), out_specs=P()),
        compiler_options=FAST_COMPILE,
    )
    own = [jax.tree.map(lambda g: jnp.multiply.outer(weights.astype(g.dtype), g), g) for g in grads]
    return run(row.tx, params, own, update), plain(row.case.id)


WRAPPERS = [
    in_chain,
    in_inject_hyperparams,
    in_masked,
    in_partition,
    in_multi_steps,
    in_apply_if_finite,
    in_vmap,
    in_scan,
    in_shard_map,
]


@pytest.mark.parametrize(
    ("row", "wrapper"),
    [
        pytest.param(row, wrapper, id=f"{row.case.id}-{wrapper.__name__}")
        for row in ROWS
        for wrapper in WRAPPERS
        if not (row.not_injected and wrapper is in_inject_hyperparams)
    ],
)
def test_wrapped_equals_plain(row, wrapper):
    same(*wrapper(row))


# --- where the parameters live ------------------------------------------------------------------


def as_they_come(row, tree):
    return tree


def on_another_device(row, tree):
    return jax.device_put(tree, jax.devices()[3])


def sharded(row, tree):
    mesh = ja.parallel.make_mesh()
    shardings = jax.tree.map(lambda s: NamedSharding(mesh, s[1]), specs_of(row), is_leaf=is_spec)
    return jax.device_put(tree, shardings)


def sharded_in_their_types(row, tree):
    # JAX spells these specs out to the last axis, and its cache tells the spellings apart.
    mesh = jax.make_mesh((8,), ("data",), axis_types=(AxisType.Explicit,))
    shardings = jax.tree.map(
        lambda s: NamedSharding(mesh, P(*s[1], *[None] * (len(s[0]) - len(s[1])))),
        specs_of(row),
        is_leaf=is_spec,
    )
    return jax.device_put(tree, shardings)


def assert_state_lives_with(state, params):
    """Assert that leaves like a parameter have its sharding, and scalars are beside them all.

    A mean over an axis is whole on every device along that axis.
    """
    by_path = dict(jax.tree.leaves_with_path(params))
    home = jax.tree.leaves(params)[0].sharding
    for path, leaf in jax.tree.leaves_with_path(state):
        path = tuple(key for key in path if isinstance(key, jax.tree_util.DictKey))
        if path in by_path:
            expected = sharding_of_means(by_path[path], leaf.shape)
            assert leaf.sharding.is_equivalent_to(expected, leaf.ndim)
        else:
            assert leaf.shape == ()
            assert leaf.sharding.is_fully_replicated
            assert leaf.sharding.device_set == home.device_set


def sharding_of_means(param, shape):
    """Return a parameter's sharding without the axes along which ``shape`` is shorter."""
    sharding = param.sharding
    if not isinstance(sharding, NamedSharding):
        return sharding
    spec = [*sharding.spec, *[None] * (param.ndim - len(sharding.spec))]
    for axis, (own, full) in enumerate(zip(shape, param.shape, strict=True)):
        spec[axis] = spec[axis] if own == full else None
    return NamedSharding(sharding.mesh, P(*spec))


PLACES = [as_they_come, on_another_device, sharded, sharded_in_their_types]


@pytest.mark.parametrize("place", PLACES, ids=lambda place: place.__name__)
@rows
def test_compiled_step_is_traced_once_donates_and_keeps_its_state_in_place(row, place):
    """``init`` runs outside jit; 8 devices give what one gives."""
    params, grads = problem(row)
    params, traces = place(row, params), []

    def step(grads, state, params):
        traces.append(1)
        updates, state = row.tx.update(grads, state, params)
        return updates, state, optax.apply_updates(params, updates)

    # Only the state and the parameters are donated: a clipped gradient is an update of its own.
    step = jax.jit(step, donate_argnums=(1, 2), keep_unused=True, compiler_options=FAST_COMPILE)
    state, moved = row.tx.init(params), []
    first = jax.tree.map(lambda leaf: leaf.aval, state)
    for step_grads in grads:
        assert_state_lives_with(state, params)
        assert_no_shared_buffers((state, params))
        old = state
        updates, state, params = step(place(row, step_grads), state, params)
        assert jax.tree.all(jax.tree.map(lambda leaf: leaf.is_deleted(), old))
        assert jax.tree.map(lambda leaf: leaf.aval, state) == first
        moved.append(updates)
    assert_state_lives_with(state, params)
    assert len(traces) == 1
    assert step._cache_size() == 1
    same((moved, state), plain(row.case.id))


@rows
def test_init_under_jit_gives_the_same_state_in_buffers_of_its_own(row):
    params, _ = problem(row)
    state = jax.jit(row.tx.init)(params)
    same(state, row.tx.init(params))
    assert_no_shared_buffers(state)


@rows
def test_eval_shape_tells_the_truth(row):
    params, (grads, *_) = problem(row)
    shapes = jax.eval_shape(row.tx.init, params)
    state = row.tx.init(params)
    assert_same_shapes(shapes, state)
    expected = jax.eval_shape(row.tx.update, grads, shapes, params)
    assert_same_shapes(expected, row.tx.update(grads, state, params))
    assert_same_shapes(expected, (params, state))


def assert_same_shapes(shapes, arrays):
    def described(tree):
        return jax.tree.map(lambda leaf: (leaf.shape, leaf.dtype, leaf.weak_type), tree)

    assert described(shapes) == described(arrays)


@rows
def test_called_by_keyword_with_extra_arguments(row):
    """The names that optax passes by, and an argument of another member of a chain."""
    params, (grads, *_) = problem(row)
    assert isinstance(row.tx, optax.GradientTransformationExtraArgs)
    assert list(inspect.signature(row.tx.init).parameters) == ["params"]
    assert list(inspect.signature(row.tx.update).parameters)[:3] == ["updates", "state", "params"]
    state = row.tx.init(params=params)
    updates, _ = row.tx.update(updates=grads, state=state, params=params, value=jnp.ones(()))
    same(updates, plain(row.case.id)[0][0])


@rows
def test_leaf_without_gradient_is_frozen(row):
    """It comes back bit for bit, its state too, and the others move as if it were not there."""
    params, grads = problem(row)
    without = [{**g, "first": {"kernel": g["first"]["kernel"], "bias": None}} for g in grads]
    state, moved, start = row.tx.init(params), [], row.tx.init(params)
    for step_grads in without:
        updates, state = row.tx.update(step_grads, state, params)
        frozen = updates["first"].pop("bias")
        if frozen is not None:
            bias = -jnp.zeros_like(params["first"]["bias"])
            assert np.array_equal(np.signbit(bias + frozen), np.signbit(bias))
            assert np.array_equal(params["first"]["bias"] + frozen, params["first"]["bias"])
        moved.append(updates)
        params = {
            "first": {
                "kernel": params["first"]["kernel"] + updates["first"]["kernel"],
                "bias": params["first"]["bias"],
            },
            "second": optax.apply_updates(params["second"], updates["second"]),
        }
    for field, initial in zip(trees_of(state), trees_of(start), strict=True):
        assert np.array_equal(field["first"].pop("bias"), initial["first"]["bias"])
    smaller, _ = problem(row)
    del smaller["first"]["bias"]
    for step_grads in grads:
        del step_grads["first"]["bias"]
    same((moved, state), run(row.tx, smaller, grads))


def trees_of(state):
    """Return the parts of a state that are like the parameters, in order."""
    if isinstance(state, dict):
        return [state] if "first" in state else []
    return [tree for field in state for tree in trees_of(field)] if isinstance(state, tuple) else []


# --- one tree of many dtypes --------------------------------------------------------------------

DTYPES = {
    "first": {"kernel": jnp.bfloat16, "bias": jnp.float64},
    "second": {"kernel": jnp.float32, "pairs": jnp.complex64},
}


def widened(tree):
    """Return the tree in double precision."""

    def widen(leaf):
        if not jnp.issubdtype(leaf.dtype, jnp.inexact):
            return leaf
        return leaf.astype(jnp.complex128 if jnp.iscomplexobj(leaf) else jnp.float64)

    return jax.tree.map(widen, tree)


def rounded_once(found, expected, dtype, couples_leaves):
    """Assert a result in its own dtype against the same step in double precision."""
    assert found.dtype == dtype
    exact = dtype == jnp.float64 and not couples_leaves
    share = tol.CONTRACT_FLOAT64_OF_MAX if exact else tol.FLOAT32_ONE_STEP
    low = found.real.dtype if jnp.issubdtype(dtype, jnp.inexact) else jnp.float64
    assert_rounded_once(widened(found), expected, low, share)


@pytest.mark.parametrize(
    "row", [row for row in ROWS if not row.rounds_between], ids=lambda row: row.case.id
)
def test_many_dtypes_in_one_tree_keep_their_own(row):
    """Every step against the same step in double precision, from an equal state."""
    params, grads = problem(row)
    dtypes = {part: {name: DTYPES[part][name] for name in params[part]} for part in params}
    params = jax.tree.map(lambda leaf, dtype: leaf.astype(dtype), params, dtypes)
    state = row.tx.init(params)
    for step_grads in grads:
        step_grads = jax.tree.map(lambda leaf, dtype: leaf.astype(dtype), step_grads, dtypes)
        found = row.tx.update(step_grads, state, params)
        expected = row.tx.update(*map(widened, (step_grads, state, params)))
        jax.tree.map(
            lambda a, b, like: rounded_once(a, b, like.dtype, row.couples_leaves),
            found,
            expected,
            (params, state),
        )
        state, params = found[1], optax.apply_updates(params, found[0])
