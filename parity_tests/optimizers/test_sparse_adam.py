"""SparseAdam against ``torch.optim.SparseAdam`` on sparse gradients, step by step; and its cost."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
import torch
from jax.experimental.sparse import BCOO
from jax.sharding import NamedSharding
from jax.sharding import PartitionSpec as P

import jaxaccel as ja
from parity_tests import tolerances as tol
from parity_tests.harness.compare import (
    assert_no_shared_buffers,
    assert_no_worse,
    assert_same_tree,
    largest,
)
from parity_tests.harness.compiled import FAST_COMPILE, QUICK_COMPILE, shared
from parity_tests.harness.errors import raised_by
from parity_tests.harness.mirror import torch_ref_inside
from parity_tests.harness.optimizer import (
    FEW_STEPS,
    FROZEN,
    SEEDS,
    STEPS,
    Run,
    assert_same_run_in_float64,
    lookup,
    oracle_of,
    to_numpy,
    to_torch,
    transform_of,
    values_at,
)
from parity_tests.optimizers.rows_errors import CLOTHES, NAN, NO_NUMBERS
from parity_tests.optimizers.rows_optim_db import cases
from parity_tests.optimizers.rows_sparse_adam import CASES, LOW_PRECISION

FIELDS = ("exp_avg", "exp_avg_sq")
FORMS = ("pairs", "bcoo")
"""Leaves of the tree that a row runs on: one problem, in every form of a gradient."""

rows = pytest.mark.parametrize("case", CASES, ids=lambda case: case.id)


# --- problems -----------------------------------------------------------------------------------


def problem(case, seed):
    """Return a table, row numbers (steps, draws) and their rows, as NumPy arrays."""
    rng = np.random.default_rng(seed)
    options = case.options
    shape, draws = options.get("table", (48, 8)), options.get("draws", 20)
    if options.get("distinct"):
        ids = np.stack([rng.permutation(shape[0])[:draws] for _ in range(STEPS)])
    else:
        ids = rng.integers(0, options.get("among", shape[0]), (STEPS, draws))
    outside = rng.choice(
        [-1, -shape[0], shape[0], shape[0] + 3], (STEPS, options.get("outside", 0))
    )
    ids = rng.permuted(np.concatenate([ids, outside], axis=1), axis=1)
    if options.get("empty"):
        ids[1::2] = shape[0]
    return rng.normal(size=shape), ids, 0.5 * rng.normal(size=(*ids.shape, *shape[1:]))


def rounded(parts, dtype):
    """Return a problem as ``dtype`` rounds it."""
    table, ids, grads = parts
    return to_numpy(to_torch(table, dtype)), ids, to_numpy(to_torch(grads, dtype))


def torch_gradient(table, ids, rows, dtype):
    """Return a sparse tensor of the rows that are in the table: PyTorch takes no others."""
    inside = (ids >= 0) & (ids < len(table))
    return torch.sparse_coo_tensor(
        torch.tensor(ids[inside])[None],
        to_torch(rows[inside], dtype),
        table.shape,
        check_invariants=True,
    )


def jax_gradient(form, table, ids, rows):
    """Return a gradient in one of the forms; leaves that are named otherwise are pairs."""
    if form == "bcoo":
        return BCOO((rows, ids[:, None]), shape=table.shape)
    return ja.optimizers.SparseRows(ids, rows)


# --- runs ---------------------------------------------------------------------------------------


def run_torch(case, problems, dtype):
    """Run named tables, leaves of one optimizer; ``Run.state`` starts after the first step."""
    params = {n: torch.nn.Parameter(to_torch(parts[0], dtype)) for n, parts in problems.items()}
    optimizer = oracle_of(case)(params.values(), **values_at(case.kwargs, 0))
    moved, states = [{name: to_numpy(p) for name, p in params.items()}], []
    for t in range(min(len(ids) for _, ids, _ in problems.values())):
        optimizer.param_groups[0].update(values_at(case.kwargs, t))
        for name, (table, ids, grads) in problems.items():
            params[name].grad = torch_gradient(table, ids[t], grads[t], dtype)
        optimizer.step()
        moved.append({name: to_numpy(p) for name, p in params.items()})
        own = {name: optimizer.state[p] for name, p in params.items()}
        states.append({f: {n: to_numpy(state[f]) for n, state in own.items()} for f in FIELDS})
        assert all(state["step"] == t + 1 for state in own.values())
    stack = functools.partial(jax.tree.map, lambda *leaves: np.stack(leaves))
    return Run(stack(*moved), stack(*states), {})


def scan(tx, frozen):
    """Return a function of tables and {leaf: (row numbers, rows)} that scans a run."""
    apply = ja.optimizers.apply_sparse_updates

    def body(carry, step):
        params, state = carry
        grads = {name: jax_gradient(name, params[name], *pair) for name, pair in step.items()}
        updates, state = tx.update(grads | dict.fromkeys(frozen), state, params)
        dense = apply(jax.tree.map(jnp.zeros_like, params), updates)
        params = apply(params, updates)
        return (params, state), (params, state, dense)

    def run(params, pairs):
        start = (params, tx.init(params))
        _, (moved, states, updates) = jax.lax.scan(body, start, pairs)
        with_start = jax.tree.map(
            lambda first, rest: jnp.concatenate([first[None], rest]), start, (moved, states)
        )
        return *with_start, updates

    return run


def as_run(moved, states, updates):
    """Return a :class:`Run` in float64 from a scan's results, without the frozen leaf's state."""

    def wide(leaves):
        return {name: np.asarray(x).astype(np.float64) for name, x in leaves.items()}

    fields = {field: wide(getattr(states, field)) for field in FIELDS}
    state = {
        field: {name: x for name, x in leaves.items() if name != FROZEN}
        for field, leaves in fields.items()
    }
    return Run(wide(moved), state, wide(updates))


# --- parity -------------------------------------------------------------------------------------


@pytest.mark.parity
@rows
def test_float64_run_equals_pytorch_at_every_step(case):
    """In all forms, which agree to the bit; a table without a gradient stays."""
    table, ids, grads = problem(case, seed=0)
    tx = transform_of("jaxaccel", case)
    params = {name: jnp.asarray(table) for name in (*FORMS, FROZEN)}
    pairs = {name: (jnp.asarray(ids), jnp.asarray(grads)) for name in FORMS}
    moved, states, updates = shared(scan(tx, [FROZEN]))(params, pairs)
    assert np.array_equal(states.step, np.arange(STEPS + 1))
    assert not np.any(states.exp_avg[FROZEN])
    assert np.array_equal(moved[FROZEN][-1], table)
    run = as_run(moved, states, updates)
    for leaves in (run.params, *run.state.values(), run.updates):
        assert np.array_equal(leaves["pairs"], leaves["bcoo"])
    state = {field: {"pairs": leaves["pairs"]} for field, leaves in run.state.items()}
    run = Run({"pairs": run.params["pairs"]}, state, {})
    judge = run_torch(case, {"pairs": (table, ids, grads)}, "float64")
    assert_same_run_in_float64(case, run, judge, state_offset=1)


def test_inputs_of_pytorchs_own_tests_run_as_there():
    own = cases("sparse_adam")
    assert own
    for case in own:
        test_float64_run_equals_pytorch_at_every_step(case)


@rows
def test_torch_ref_equals_pytorch_at_every_step(case):
    table, *steps = problem(case, seed=0)
    ids, grads = (each[:FEW_STEPS] for each in steps)
    with torch_ref_inside("optimizers", branches=False) as ran:
        tx = transform_of("jaxaccel", case)
        params = {"pairs": jnp.asarray(table)}
        state, moved, states = tx.init(params), [table], []
        for t in range(FEW_STEPS):
            pair = ja.optimizers.SparseRows(jnp.asarray(ids[t]), jnp.asarray(grads[t]))
            updates, state = tx.update({"pairs": pair}, state, params)
            params = ja.optimizers.apply_sparse_updates(params, updates)
            moved.append(np.asarray(params["pairs"]))
            states.append([np.asarray(getattr(state, field)["pairs"]) for field in FIELDS])
    assert ran == {"optimizers._sparse_adam._update_leaf"}
    fields = map(np.stack, zip(*states, strict=True))
    state = {field: {"pairs": x} for field, x in zip(FIELDS, fields, strict=True)}
    run = Run({"pairs": np.stack(moved)}, state, {})
    judge = run_torch(case, {"pairs": (table, ids, grads)}, "float64")
    assert_same_run_in_float64(case, run, judge, state_offset=0)


@pytest.mark.parametrize("case", LOW_PRECISION, ids=lambda case: case.id)
@pytest.mark.filterwarnings("ignore:invalid value encountered:RuntimeWarning")
def test_low_precision_is_no_worse_than_pytorch(case):
    """One float32 step from an equal state, then runs in float32, bfloat16 and float16.

    With 64-bit mode off, as users have it; one compilation for all dtypes and seeds.
    """
    dtypes = ("float32", "bfloat16", "float16")
    problems = {d: [rounded(problem(case, s), d) for s in range(SEEDS)] for d in dtypes}
    with jax.enable_x64(False):
        tx = lookup("jaxaccel", case.function)(**case.kwargs)

        def stacked(dtype, part):
            return np.stack([parts[part] for parts in problems[dtype]])

        tables = {d: jnp.asarray(stacked(d, 0), d) for d in dtypes}
        pairs = {
            d: (jnp.asarray(stacked(d, 1), jnp.int32), jnp.asarray(stacked(d, 2), d))
            for d in dtypes
        }
        run = jax.vmap(scan(tx, []))
        by_itself = functools.partial(jax.jit, compiler_options=QUICK_COMPILE)
        results = (by_itself if case.is_quick else shared)(run)(tables, pairs)
        assert all(results[0][d].dtype == d for d in dtypes)
    run = as_run(*results)
    one_seed = jax.tree.map(lambda leaf: leaf[1], run)
    assert_float32_steps(case, one_seed, problems["float32"][1])
    for dtype in dtypes:
        assert_no_worse_run(case, dtype, run.params[dtype], problems[dtype])


def assert_float32_steps(case, run, parts):
    """Assert the update and the state of each step against PyTorch-float64 from equal state."""
    table, ids, grads = parts
    for t in range(STEPS):
        before = run.params["float32"][t]
        param = torch.nn.Parameter(torch.tensor(before))
        optimizer = oracle_of(case)([param], **values_at(case.kwargs, t))
        fields = {name: torch.tensor(run.state[name]["float32"][t]) for name in FIELDS}
        optimizer.state[param] = {"step": t, **fields}
        param.grad = torch_gradient(table, ids[t], grads[t], "float64")
        optimizer.step()
        expected = to_numpy(param) - before
        error = largest(run.updates["float32"][t] - expected)
        allowed = tol.FLOAT32_ONE_STEP * largest(expected) + tol.FLOAT64_ROUNDING * largest(before)
        assert error <= allowed, f"update at step {t + 1}: {error:.2e}"
        for name in FIELDS:
            expected = to_numpy(optimizer.state[param][name])
            error = largest(run.state[name]["float32"][t + 1] - expected)
            assert error <= tol.FLOAT32_ONE_STEP * largest(expected), f"{name} at step {t + 1}"


def assert_no_worse_run(case, dtype, ours, problems):
    """Assert a run of some seeds against PyTorch's, both judged by PyTorch's in float64."""
    together = in_one_table(problems)
    judge, theirs = (
        np.stack(np.split(run_torch(case, {"all": together}, precision).params["all"], SEEDS, 1))
        for precision in ("float64", dtype)
    )
    assert judge[:, 0].size >= 1000
    assert_no_worse(ours, theirs, judge, dtype=dtype)


def in_one_table(problems):
    """Return the problems of all seeds as one: each row of a table is treated on its own."""
    tables, ids, grads = zip(*problems, strict=True)
    size = len(tables[0])
    moved = [
        np.where((own >= 0) & (own < size), own + seed * size, -1) for seed, own in enumerate(ids)
    ]
    return np.concatenate(tables), np.concatenate(moved, axis=1), np.concatenate(grads, axis=1)


def test_embedding_is_trained_as_by_pytorch():
    """From the loss on: gradients of looked-up rows against ``nn.Embedding(sparse=True)``."""
    rng = np.random.default_rng(0)
    table, ids = rng.normal(size=(30, 4)), rng.integers(0, 30, (12, 6, 5))
    embedding = torch.nn.Embedding(30, 4, sparse=True, _weight=torch.tensor(table))
    optimizer = torch.optim.SparseAdam(embedding.parameters(), lr=0.05)
    tx = ja.optimizers.sparse_adam(lr=0.05)

    @jax.jit
    def step(params, state, batch):
        grad = jax.grad(lambda rows: jnp.sum(jnp.cos(jnp.sum(rows, axis=1))))(params[batch])
        updates, state = tx.update(ja.optimizers.SparseRows(batch, grad), state)
        return ja.optimizers.apply_sparse_updates(params, updates), state

    params = jnp.asarray(table)
    state = tx.init(params)
    for batch in ids:
        optimizer.zero_grad()
        torch.cos(embedding(torch.tensor(batch)).sum(dim=1)).sum().backward()
        optimizer.step()
        params, state = step(params, state, jnp.asarray(batch))
        error = largest(np.asarray(params) - to_numpy(embedding.weight))
        assert error <= tol.CONTRACT_FLOAT64_OF_MAX * largest(table)


# --- rows ---------------------------------------------------------------------------------------


def test_rows_that_are_not_named_stay_to_the_bit():
    """Whatever is in them: NaN, infinity, minus zero."""
    table = jnp.array([[1.0], [NAN], [-0.0], [jnp.inf], [2.0]])
    tx = ja.optimizers.sparse_adam()
    state = tx.init(table)._replace(exp_avg=3 * table, exp_avg_sq=table**2)
    grad = ja.optimizers.SparseRows(jnp.array([4, 0, 4, 5, -1]), jnp.array([[2.0]] * 4 + [[NAN]]))
    updates, new_state = tx.update(grad, state)
    pairs = [
        (ja.optimizers.apply_sparse_updates(table, updates), table),
        *zip(new_state[1:], state[1:], strict=True),
    ]
    for found, before in pairs:
        bits, bits_before = (np.asarray(x).view(np.int64) for x in (found, before))
        assert np.array_equal(bits[1:4], bits_before[1:4])
        assert not np.any(bits[[0, 4]] == bits_before[[0, 4]])


def test_updates_name_each_touched_row_once_and_pad_with_zeros():
    table = jnp.ones((6, 2))
    grad = (jnp.array([[4, 1], [4, -2]]), jnp.ones((2, 2, 2)))
    tx = ja.optimizers.sparse_adam(lr=0.5)
    updates, state = tx.update(grad, tx.init(table), table)
    assert isinstance(updates, ja.optimizers.SparseRows)
    assert updates.indices.tolist() == [1, 4, 8, 9]
    assert not np.any(updates.rows[2:])
    weights = np.array([0, 1, 0, 0, 2, 0]) * (1 - 0.9)
    assert np.max(np.abs(state.exp_avg[:, 0] - weights)) <= tol.CONTRACT_FLOAT64_OF_MAX


@pytest.mark.parametrize("dtype", ["int8", "uint8", "int32", "uint32", "int64"])
def test_row_numbers_of_any_integer_type(dtype):
    table = jnp.zeros((300, 2))
    ids = jnp.array([5, 100, 5], dtype)
    tx = ja.optimizers.sparse_adam(lr=0.5)
    updates, _ = tx.update((ids, jnp.ones((3, 2))), tx.init(table))
    moved = ja.optimizers.apply_sparse_updates(table, updates)
    assert np.flatnonzero(moved[:, 0]).tolist() == [5, 100]


def test_rows_in_half_precision_are_summed_in_float32():
    """In bfloat16 256 + 1 is 256."""
    table = jnp.zeros((3, 1), jnp.bfloat16)
    rows = jnp.array([256, 1, 1, 1, 1], jnp.bfloat16).reshape(5, 1)
    tx = ja.optimizers.sparse_adam(betas=(0.0, 0.999))
    updates, state = tx.update((jnp.full(5, 2), rows), tx.init(table))
    assert updates.rows.dtype == state.exp_avg.dtype == jnp.bfloat16
    assert state.exp_avg.reshape(-1).tolist() == [0.0, 0.0, 260.0]


def test_a_gradient_of_no_rows_counts_as_a_step():
    """As in PyTorch: the moments stay, and the next bias correction is that of step 2."""
    table = torch.nn.Parameter(torch.ones(4, 2, dtype=torch.float64))
    optimizer = torch.optim.SparseAdam([table], lr=0.5)
    tx = ja.optimizers.sparse_adam(lr=0.5)
    params = jnp.ones((4, 2))
    state = tx.init(params)
    for ids in ([], [2], []):
        ids = np.array(ids, np.int64)
        grads = np.ones((len(ids), 2))
        table.grad = torch_gradient(params, ids, grads, "float64")
        optimizer.step()
        updates, state = tx.update((jnp.asarray(ids), jnp.asarray(grads)), state)
        params = ja.optimizers.apply_sparse_updates(params, updates)
        assert largest(params - to_numpy(table)) <= tol.CONTRACT_FLOAT64_OF_MAX
    assert int(state.step) == 3


def test_apply_adds_every_form_and_keeps_the_dtype():
    pair = (jnp.array([2, 0, 2, -1, 7]), jnp.arange(1.0, 6.0))
    updates = {
        "pair": pair,
        "rows": ja.optimizers.SparseRows(*pair),
        "bcoo": BCOO((pair[1], pair[0][:, None]), shape=(3,)),
        "dense": jnp.array([2.0, 0.0, 4.0]),
        "none": None,
    }
    params = {name: jnp.full(3, 10, jnp.float32) for name in updates}
    updates["dense"] = updates["dense"].astype(jnp.float32)
    moved = ja.optimizers.apply_sparse_updates(params, updates)
    assert all(leaf.dtype == jnp.float32 for leaf in jax.tree.leaves(moved))
    assert moved.pop("none").tolist() == [10.0, 10.0, 10.0]
    assert all(leaf.tolist() == [12.0, 10.0, 14.0] for leaf in moved.values())
    assert ja.optimizers.apply_sparse_updates({}, {}) == {}


# --- the contract: compiled, donated, mapped, sharded, wrapped ----------------------------------


def plain_run(tables, steps, tx=None):
    """Return the tables and the state after some steps, operation by operation."""
    tx = tx or ja.optimizers.sparse_adam(lr=0.1)
    state = tx.init(tables)
    for grads in steps:
        updates, state = tx.update(grads, state, tables)
        tables = ja.optimizers.apply_sparse_updates(tables, updates)
    return tables, state


def small_problem(seed=0):
    """Return two tables and the gradients of three steps."""
    rng = np.random.default_rng(seed)
    tables = {"a": jnp.asarray(rng.normal(size=(16, 3))), "b": jnp.asarray(rng.normal(size=(40,)))}
    steps = [
        {
            name: ja.optimizers.SparseRows(
                jnp.asarray(rng.integers(0, len(table), 9)),
                jnp.asarray(rng.normal(size=(9, *table.shape[1:]))),
            )
            for name, table in tables.items()
        }
        for _ in range(3)
    ]
    return tables, steps


same = functools.partial(assert_same_tree, of_max=tol.CONTRACT_FLOAT64_OF_MAX)


def full_step(tx):
    """Return a whole step: gradients, state and tables to state and tables."""

    def step(grads, state, tables):
        updates, state = tx.update(grads, state, tables)
        return state, ja.optimizers.apply_sparse_updates(tables, updates)

    return step


def shard_rows(tree):
    mesh = ja.parallel.make_mesh()
    return jax.device_put(tree, NamedSharding(mesh, P("data")))


@pytest.mark.parametrize("place", [lambda tree: tree, shard_rows], ids=["one device", "sharded"])
def test_compiled_step_is_traced_once_and_donates(place):
    tables, steps = small_problem()
    expected = plain_run(tables, steps)
    tx = ja.optimizers.sparse_adam(lr=0.1)
    step = jax.jit(full_step(tx), donate_argnums=(1, 2), compiler_options=FAST_COMPILE)
    # A copy: the run above still reads the tables, and the step takes them away.
    tables = place(jax.tree.map(jnp.copy, tables))
    state = tx.init(tables)
    homes = jax.tree.map(lambda leaf: leaf.sharding, tables)
    for grads in steps:
        assert_no_shared_buffers((state, tables))
        old = (state, tables)
        state, tables = step(grads, state, tables)
        assert jax.tree.all(jax.tree.map(lambda leaf: leaf.is_deleted(), old))
        for tree in (tables, state.exp_avg, state.exp_avg_sq):
            assert jax.tree.all(
                jax.tree.map(lambda x, s: x.sharding.is_equivalent_to(s, x.ndim), tree, homes)
            )
    assert step._cache_size() == 1
    same((tables, state), expected)


def test_under_vmap():
    """A table per member of an ensemble."""
    problems = [small_problem(seed) for seed in (0, 1)]
    tables, steps = jax.tree.map(lambda *leaves: jnp.stack(leaves), *problems)
    expected = jax.tree.map(
        lambda *leaves: jnp.stack(leaves), *[plain_run(*problem) for problem in problems]
    )
    same(jax.vmap(plain_run)(tables, steps), expected)


def test_inside_shard_map():
    """Replicated tables, and the rows of all devices put side by side: one device's numbers."""
    tables, steps = small_problem()
    mesh = ja.parallel.make_mesh()
    padded = [
        jax.tree.map(
            lambda pair: ja.optimizers.SparseRows(
                jnp.pad(pair.indices, (0, 7), constant_values=-1),
                jnp.pad(pair.rows, [(0, 7)] + [(0, 0)] * (pair.rows.ndim - 1)),
            ),
            grads,
            is_leaf=lambda node: isinstance(node, ja.optimizers.SparseRows),
        )
        for grads in steps
    ]

    def step(own, state, tables):
        gathered = jax.tree.map(lambda x: jax.lax.all_gather(x, "data", tiled=True), own)
        return full_step(ja.optimizers.sparse_adam(lr=0.1))(gathered, state, tables)

    # all_gather's result is the same everywhere, which JAX's check cannot tell.
    mapped = jax.jit(
        jax.shard_map(
            step, mesh=mesh, in_specs=(P("data"), P(), P()), out_specs=P(), check_vma=False
        ),
        compiler_options=FAST_COMPILE,
    )
    state, moved = ja.optimizers.sparse_adam().init(tables), tables
    for grads in padded:
        state, moved = mapped(grads, state, moved)
    same((moved, state), plain_run(tables, steps))


def test_beside_a_dense_optimizer():
    """``optax.partition`` gives the table to one and the rest to another."""
    tables, steps = small_problem()
    dense = jnp.linspace(-1.0, 1.0, 5)
    tx = optax.partition(
        {"sparse": ja.optimizers.sparse_adam(lr=0.1), "dense": ja.optimizers.adam(lr=0.1)},
        {"tables": "sparse", "dense": "dense"},
    )
    grads = [{"tables": step, "dense": jnp.cos((1.0 + t) * dense)} for t, step in enumerate(steps)]
    params, _ = plain_run({"tables": tables, "dense": dense}, grads, tx)
    same(params["tables"], plain_run(tables, steps)[0])
    only_dense, _ = plain_run(dense, [g["dense"] for g in grads], ja.optimizers.adam(lr=0.1))
    same(params["dense"], only_dense)


def test_with_injected_hyperparams():
    tables, steps = small_problem()
    inject = optax.inject_hyperparams(ja.optimizers.sparse_adam, hyperparam_dtype=jnp.float64)
    same(plain_run(tables, steps, inject(lr=0.1))[0], plain_run(tables, steps)[0])


def test_eval_shape_tells_the_truth():
    tables, (grads, *_) = small_problem()
    tx = ja.optimizers.sparse_adam()
    state = tx.init(tables)

    def described(tree):
        return jax.tree.map(lambda leaf: (leaf.shape, leaf.dtype, leaf.weak_type), tree)

    found = tx.update(grads, state)
    assert described(jax.eval_shape(tx.update, grads, state)) == described(found)
    assert described(found[1]) == described(state)


# --- cost ---------------------------------------------------------------------------------------


def compiled_cost(count):
    """Return temporary bytes, operations and bytes not in place of a donated, compiled step."""
    tx = ja.optimizers.sparse_adam()
    table = jax.ShapeDtypeStruct((count, 16), jnp.float32)
    grad = ja.optimizers.SparseRows(
        jax.ShapeDtypeStruct((64,), jnp.int32), jax.ShapeDtypeStruct((64, 16), jnp.float32)
    )
    state = jax.eval_shape(tx.init, table)
    step = jax.jit(full_step(tx), donate_argnums=(1, 2), keep_unused=True)
    compiled = step.lower(grad, state, table).compile()
    memory = compiled.memory_analysis()
    new_bytes = memory.output_size_in_bytes - memory.alias_size_in_bytes
    return memory.temp_size_in_bytes, compiled.cost_analysis()["flops"], new_bytes


def test_the_cost_of_a_step_does_not_grow_with_the_table():
    """A table a thousand times as large: the same work space and the same arithmetic, in place."""
    assert compiled_cost(1_000_000) == compiled_cost(1_000)


# --- errors -------------------------------------------------------------------------------------


def test_a_dense_gradient_raises_what_pytorch_raises():
    param = torch.nn.Parameter(torch.ones(3, 2))
    param.grad = torch.ones(3, 2)
    with pytest.raises(RuntimeError) as expected:
        torch.optim.SparseAdam([param]).step()
    tx, leaf = ja.optimizers.sparse_adam(), jnp.ones((3, 2))
    with pytest.raises(RuntimeError) as found:
        tx.update({"w": leaf}, tx.init({"w": leaf}))
    assert str(found.value) == str(expected.value)


def test_complex_parameters_are_refused_by_name():
    ones = jnp.asarray([1j, 2j])
    tx = ja.optimizers.sparse_adam()
    with pytest.raises(ValueError, match=r"Complex params at \['w'\]: SparseAdam does not support"):
        tx.init({"w": ones})


TABLE = (3, 2)
WRONG = {
    "float indices": (lambda: (jnp.ones(4), jnp.ones((4, 2))), ["integers", "float"]),
    "too few rows": (lambda: (ids(4), jnp.ones((3, 2))), ["(3, 2)", "(4,)"]),
    "rows of another width": (lambda: (ids(4), jnp.ones((4, 5))), ["(3, 2)", "(4, 5)"]),
    "rows without their axes": (lambda: (ids(4), jnp.ones(4)), ["(3, 2)", "(4,)"]),
    "a triple": (lambda: (ids(4), jnp.ones((4, 2)), 1), ["pair", "3"]),
    "a list": (lambda: [ids(4), jnp.ones((4, 2))], ["pair", "list"]),
}


def ids(count):
    return jnp.zeros(count, dtype=jnp.int32)


@pytest.mark.parametrize("wrong", WRONG)
def test_what_is_not_a_gradient_of_rows_is_named(wrong):
    make, fragments = WRONG[wrong]
    tx = ja.optimizers.sparse_adam()
    state = tx.init(jnp.ones(TABLE))
    _, text = raised_by(lambda: tx.update(make(), state))
    assert all(fragment in text for fragment in fragments), text


def test_a_scalar_has_no_rows():
    tx = ja.optimizers.sparse_adam()
    with pytest.raises(ValueError, match=r"table of shape \(\)"):
        tx.update((jnp.zeros(1, int), jnp.ones(1)), tx.init(jnp.ones(())))


def test_a_sparse_array_of_elements_is_refused():
    elements = BCOO.fromdense(jnp.ones(TABLE))
    tx = ja.optimizers.sparse_adam()
    with pytest.raises(ValueError, match=r"n_sparse=1\), got n_batch=0 and n_sparse=2"):
        tx.update(elements, tx.init(jnp.ones(TABLE)))


NUMBERS = {
    "lr": lambda x: {"lr": x},
    "eps": lambda x: {"eps": x},
    "beta1": lambda x: {"betas": (x, 0.5)},
    "beta2": lambda x: {"betas": (0.5, x)},
}
numbers = pytest.mark.parametrize("number", NUMBERS)


@numbers
def test_what_is_not_a_number_is_named(number):
    for value, shown in NO_NUMBERS.values():
        kwargs = NUMBERS[number](value)
        _, text = raised_by(lambda kwargs=kwargs: ja.optimizers.sparse_adam(**kwargs))
        assert next(iter(kwargs)) in text
        assert shown in text


@numbers
def test_numbers_in_other_clothes_give_the_same(number):
    """0.375 is itself in every precision, and 1 - 0.375 too."""
    tables, steps = small_problem()

    def two_steps(value):
        tx = ja.optimizers.sparse_adam(**NUMBERS[number](value))
        return plain_run(tables, steps[:2], tx)

    expected = two_steps(0.375)
    for clothe in CLOTHES.values():
        same(two_steps(clothe(0.375)), expected)
