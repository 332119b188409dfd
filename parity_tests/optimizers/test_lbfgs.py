"""L-BFGS against ``torch.optim.LBFGS``: iterates, state and evaluation counts, call by call.

Quasi-Newton iterations amplify every rounding, each problem and start by its own factor. So the
yardstick is PyTorch itself, started 1e-15 away.
"""

import functools
import importlib

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
import torch
from jax.sharding import NamedSharding, PartitionSpec

import jaxaccel as ja
from jaxaccel.optimizers._strong_wolfe import strong_wolfe
from parity_tests import tolerances as tol
from parity_tests.harness.compare import assert_same_tree
from parity_tests.harness.compiled import FAST_COMPILE
from parity_tests.harness.mirror import torch_ref_inside
from parity_tests.harness.optimizer import (
    FROZEN,
    to_numpy,
    to_torch,
    transform_of,
    values_at,
)
from parity_tests.optimizers.rows_lbfgs import CASES
from parity_tests.optimizers.rows_optim_db import cases
from parity_tests.registry import Case

AWAY = 1e-15
NEIGHBOURS = 5
"""How many starts that far away: a single one may be moved to where nothing grows."""

COUNTS = ("func_evals", "n_iter", "num_stored")
LISTS = ("old_dirs", "old_stps", "ro")

rows = pytest.mark.parametrize("case", CASES, ids=lambda case: case.id)


# --- problems: a loss of named leaves, in either package, and where to start ---------------------


def constants(seed, **shapes):
    rng = np.random.default_rng(seed)
    return {name: rng.normal(size=shape) for name, shape in shapes.items()}


def rosenbrock(w, xp):
    x = w["x"]
    return (100 * (x[1:] - x[:-1] ** 2) ** 2 + (1 - x[:-1]) ** 2).sum()


_ROTATION, _ = np.linalg.qr(constants(1, a=(12, 12))["a"])
HESSIAN = (_ROTATION * np.logspace(0, 4, 12)) @ _ROTATION.T
DIAGONAL = np.logspace(0, 6, 15)
DATA = constants(2, features=(60, 7), noise=60, teacher=7)
LABELS = np.sign(DATA["features"] @ DATA["teacher"] + DATA["noise"])


def quadratic(w, xp):
    """A condition number of 1e4, in a rotated basis."""
    x = w["x"]
    return 0.5 * (x * (constant(HESSIAN, x, xp) @ x)).sum() - x.sum()


def diagonal(w, xp):
    """A condition number of 1e6."""
    x = w["x"]
    return 0.5 * (constant(DIAGONAL, x, xp) * x * x).sum()


def logistic(w, xp):
    x = w["x"]
    margins = constant(LABELS, x, xp) * (constant(DATA["features"], x, xp) @ x)
    return xp.logaddexp(-margins, 0 * margins).mean() + 1e-3 * (x * x).sum()


def waves(w, xp):
    """Hills and valleys: negative curvature, steps that climb, brackets that turn."""
    x = w["x"]
    return (xp.sin(3 * x) + 0.1 * x * x).sum() + 0.5 * xp.cos(x.sum())


def cliff(w, xp):
    """Infinite, in floating point, a step too far to the right."""
    x = w["x"]
    return xp.exp(4 * x).sum() + 0.5 * ((x - 2) ** 2).sum()


def tree(w, xp):
    """A complex leaf, a matrix, a scalar, and one that no gradient reaches."""
    z, m = w["pairs"], w["matrix"]
    close = z * z - (1 + 2j)
    parts = (close.real**2 + close.imag**2).sum(), (xp.cos(m) * m).sum() + 0.3 * (m * m).sum()
    return parts[0] + parts[1] + (w["scalar"] - 2) ** 2 * (1 + (w[FROZEN] ** 2).sum())


PROBLEMS = {
    "rosenbrock": (rosenbrock, {"x": 5}),
    "quadratic": (quadratic, {"x": 12}),
    "diagonal": (diagonal, {"x": 15}),
    "logistic": (logistic, {"x": 7}),
    "waves": (waves, {"x": 6}),
    "cliff": (cliff, {"x": 4}),
    "tree": (tree, {"matrix": (3, 2), "scalar": (), FROZEN: 3, "pairs": 4}),
}


def constant(array, like, xp):
    """Return an array in the package and dtype of another."""
    return jnp.asarray(array, like.dtype) if xp is jnp else torch.tensor(array, dtype=like.dtype)


def loss_of(case):
    return PROBLEMS[case.options["problem"]][0]


def starts(case):
    """Return the row's starts, each named leaves in NumPy, in PyTorch's and the tree's order."""
    name = case.options["problem"]
    points = []
    for seed in range(case.options["starts"]):
        point = constants(10 + seed, **PROBLEMS[name][1])
        if "pairs" in point:
            point["pairs"] = point["pairs"] + 1j * point["pairs"][::-1]
        points.append({leaf: np.asarray(point[leaf]) for leaf in sorted(point)})
    return points


def flat(params):
    """Return named leaves as one real vector."""
    parts = [np.ravel(leaf) for leaf in params.values()]
    return np.concatenate([p.view(np.float64) if np.iscomplexobj(p) else p for p in parts])


# --- three packages, one record: {field: array by call} -----------------------------------------


def record_torch(case, start, dtype="float64", jitter=None):
    """Run the row in ``torch.optim``; a record also holds the loss at each call and at the end.

    ``jitter``, a generator, moves the loss and its gradient by up to one unit in the last place in
    every evaluation.
    """
    params = {name: torch.nn.Parameter(to_torch(leaf, dtype)) for name, leaf in start.items()}
    if FROZEN in params:
        params[FROZEN].requires_grad_(False)
    optimizer = torch.optim.LBFGS(params.values(), **values_at(case.kwargs, 0))
    size = flat(start).size
    loss = functools.partial(loss_of(case), params, torch)

    def closure():
        optimizer.zero_grad()
        value = loss()
        if jitter is not None:
            value = value * (1 + int(jitter.integers(-1, 2)) * torch.finfo(value.dtype).eps)
        value.backward()
        return value

    entries = []
    for call in range(case.options["calls"]):
        optimizer.param_groups[0].update(values_at(case.kwargs, call))
        before = optimizer.step(closure).item()
        state = optimizer.state[next(iter(params.values()))]
        entries.append(torch_entry(state, size, optimizer.param_groups[0]["history_size"]))
        entries[-1] |= {"params": flat({n: to_numpy(p) for n, p in params.items()})}
        entries[-1] |= {"before": before, "after": loss().item()}
    return stack(entries)


def torch_entry(state, size, history_size):
    """Return the fields of PyTorch's state, lists filled up with zeros."""
    empty = {"d": np.zeros(size), "t": 0.0, "H_diag": 1.0, "prev_flat_grad": np.zeros(size)}
    entry = {"prev_loss": 0.0, "num_stored": len(state.get("ro", ())), **empty}
    held = {name: state[name] for name in (*empty, "prev_loss") if name in state}
    entry |= {name: np.asarray(x).copy() for name, x in held.items()}
    entry |= {name: state[name] for name in COUNTS[:2]}
    for name in LISTS:
        rows = np.zeros((history_size,) if name == "ro" else (history_size, size))
        for row, value in enumerate(state.get(name, ())):
            rows[row] = to_numpy(value)
        entry[name] = rows
    return entry


def entry_of(state, params):
    """Return the fields of an :class:`LBFGSState`, rings unrolled; the oldest pair first."""
    entry = {name: np.asarray(x) for name, x in state._asdict().items() if name != "step"}
    history_size = len(entry["ro"])
    for name in LISTS:
        if entry["num_stored"] > history_size:
            entry[name] = np.roll(entry[name], -(entry["num_stored"] % history_size), axis=0)
    entry["num_stored"] = np.minimum(entry["num_stored"], history_size)
    return entry | {"params": flat({n: np.asarray(p) for n, p in params.items()})}


def stack(entries):
    return {name: np.stack([entry[name] for entry in entries]) for name in entries[0]}


def gradient(loss, params):
    """Return the loss and PyTorch's gradient: the conjugate of JAX's, none for the frozen leaf."""
    value, grads = jax.value_and_grad(loss)(params)
    grads = {n: jnp.conj(g) if jnp.iscomplexobj(g) else g for n, g in grads.items()}
    return value, {n: None if n == FROZEN else g for n, g in grads.items()}


def update_jax(tx, loss, params, state):
    """Return the parameters and the state after one update."""
    value, grads = gradient(loss, params)
    updates, state = tx.update(grads, state, params, value=value, value_fn=loss)
    return {name: p + updates[name] for name, p in params.items()}, state


def run_jax(case, start):
    """Return parameters and states by call, as one scan."""
    tx = transform_of("jaxaccel", case)
    loss = functools.partial(loss_of(case), xp=jnp)

    def body(carry, _):
        carry = update_jax(tx, loss, *carry)
        return carry, carry

    return jax.lax.scan(body, (start, tx.init(start)), length=case.options["calls"])[1]


def records_jax(case, points):
    """Run the row in jaxaccel, all starts in one vmap."""
    batch = jax.tree.map(lambda *leaves: jnp.stack(leaves), *points)
    run = jax.jit(jax.vmap(functools.partial(run_jax, case)), compiler_options=FAST_COMPILE)
    moved, states = jax.tree.map(np.asarray, run(batch))

    def entry(index):
        params, state = jax.tree.map(lambda leaf: leaf[index], (moved, states))
        return entry_of(state, params)

    calls = range(case.options["calls"])
    return [stack([entry((i, call)) for call in calls]) for i in range(len(points))]


def compiled(loss):
    """Return a loss that is compiled, and its gradient with it, where nothing else is."""
    run = jax.jit(jax.value_and_grad(loss), compiler_options=FAST_COMPILE)

    def at_once(params):
        with jax.disable_jit(False):
            return run(params)

    compiled_loss = jax.custom_vjp(lambda params: at_once(params)[0])

    def back(grads, by):
        return (jax.tree.map(lambda g: by.astype(g.dtype) * g, grads),)

    compiled_loss.defvjp(at_once, back)
    return compiled_loss


def record_ref(case, start):
    """Run the row with torch_ref's iterations inside jaxaccel's transformation."""
    loss = compiled(functools.partial(loss_of(case), xp=jnp))
    with torch_ref_inside("optimizers") as ran:
        tx = transform_of("jaxaccel", case)
        params = jax.tree.map(jnp.asarray, start)
        state, entries = tx.init(params), []
        for _ in range(case.options["calls"]):
            params, state = update_jax(tx, loss, params, state)
            entries.append(entry_of(state, params))
    assert ran
    return stack(entries)


# --- the criterion ------------------------------------------------------------------------------


def distance(found, expected):
    """Return the 2-norm of the difference by call; where both are NaN they are equal."""
    difference = np.where(np.isnan(found) & np.isnan(expected), 0.0, found - expected)
    return np.sqrt((np.abs(difference.reshape(len(expected), -1)) ** 2).sum(axis=1))


def neighbours(case, start, judge):
    """Return by field and call how far PyTorch's runs from 1e-15 away have been from the judge."""
    apart = {name: np.zeros(case.options["calls"]) for name in judge}
    apart["params"] += AWAY * np.sqrt(flat(start).size)
    for seed in range(NEIGHBOURS):
        signs = np.sign(np.random.default_rng(seed).normal(size=64))
        near = {n: x + AWAY * signs[: x.size].reshape(x.shape) for n, x in start.items()}
        run = record_torch(case, near)
        apart = {n: np.maximum(far, distance(run[n], judge[n])) for n, far in apart.items()}
    return {name: np.maximum.accumulate(far) for name, far in apart.items()}


def assert_stays_with_pytorch(found, judge, apart):
    """Assert iterates at every call; counts and state until the loss stands still."""
    error = distance(found["params"], judge["params"])
    allowed = tol.LBFGS_OF_PYTORCHS_OWN * apart["params"]
    assert np.all(error <= allowed), f"parameters {error} > {allowed}"
    decrease = (judge["before"] - judge["after"]) / np.abs(judge["before"])
    moving = np.logical_and.accumulate(~(np.abs(decrease) < tol.LBFGS_STANDS_STILL))
    for name in COUNTS:
        assert np.array_equal(found[name][moving], judge[name][moving]), name
    for name in found.keys() - set(COUNTS) - {"params"}:
        rounding = tol.FLOAT64_OF_FIELD * distance(judge[name], 0 * judge[name])
        error = distance(found[name], judge[name])[moving]
        allowed = (tol.LBFGS_OF_PYTORCHS_OWN * apart[name] + rounding)[moving]
        assert np.all(error <= allowed), f"{name} {error} > {allowed}"


@pytest.mark.parity
@rows
def test_stays_with_pytorch(case):
    points = starts(case)
    for index, found in enumerate(records_jax(case, points)):
        judge = record_torch(case, points[index])
        apart = neighbours(case, points[index], judge)
        assert_stays_with_pytorch(found, judge, apart)
        if index in (0, 3):  # enough to reach every line of torch_ref's files
            assert_stays_with_pytorch(record_ref(case, points[index]), judge, apart)


def test_inputs_of_pytorchs_own_tests_stay_with_it():
    own = cases("lbfgs")
    assert own
    for case in own:
        test_stays_with_pytorch(case)


# --- the line search on its own -----------------------------------------------------------------

LINES = 600


def bumpy(t, a, b, c, e, xp):
    """A line that falls at 0 and then may do anything."""
    return a * xp.sin(b * t + c) + e * (t - 2) ** 2 - 0.1 * t


def line_problems():
    """Return lines, first steps, how many evaluations there may be, tolerances, and last digits.

    Every third loss is rounded to a half or a tenth, so that two may be the same.
    """
    rng = np.random.default_rng(1)
    shape = {"a": 1.0, "b": 6.0, "c": 3.0, "e": 0.3}
    lines = {name: scale * rng.normal(size=4 * LINES) for name, scale in shape.items()}
    lines["e"] = np.where(np.arange(4 * LINES) % 3 == 0, 0.0, np.abs(lines["e"]))
    slope = lines["a"] * lines["b"] * np.cos(lines["c"]) - 4 * lines["e"] - 0.1
    falling = np.flatnonzero(slope < 0)[:LINES]
    assert falling.size == LINES
    return (
        {name: x[falling] for name, x in lines.items()},
        10.0 ** rng.uniform(-1, 1.3, size=LINES),
        rng.choice([0, 1, 2, 5, 25], size=LINES).astype(np.int32),
        rng.choice([1e-9, 0.1], size=LINES),
        rng.choice([0.0, 0.0, 0.0, 0.0, 0.1, 0.5], size=LINES),
    )


def test_line_search_is_pytorchs():
    """Bracket, zoom, too small a bracket and too few evaluations, on lines of every shape."""
    problems = line_problems()

    def search(line, t, max_ls, tolerance_change, digit):
        direction = jnp.ones(1)

        def obj_func(t):
            f, g = jax.value_and_grad(bumpy)(t, **line, xp=jnp)
            rounded = jnp.round(f / jnp.where(digit == 0, 1.0, digit)) * digit
            return jnp.where(digit == 0, f, rounded), g[None]

        f, g = obj_func(jnp.zeros(()))
        return strong_wolfe(
            obj_func, t, direction, f, g, g[0], tolerance_change=tolerance_change, max_ls=max_ls
        )

    run = jax.jit(jax.vmap(search), compiler_options=FAST_COMPILE)
    found = jax.tree.map(np.asarray, run(*jax.tree.map(jnp.asarray, problems)))
    pytorchs = importlib.import_module("torch.optim.lbfgs")._strong_wolfe
    lines, *numbers = problems
    for i, (first, max_ls, tolerance_change, digit) in enumerate(zip(*numbers, strict=True)):
        line = {name: torch.tensor(x[i]) for name, x in lines.items()}

        def obj_func(x, t, d, line=line, digit=digit):
            t = torch.as_tensor(t, dtype=torch.float64).clone().requires_grad_()
            f = bumpy(t, **line, xp=torch)
            rounded = f.item() if digit == 0 else float(np.round(f.item() / digit) * digit)
            return rounded, torch.autograd.grad(f, t)[0][None]

        def judge(start, obj_func=obj_func, settings=(tolerance_change, max_ls)):
            f, g = obj_func(None, 0.0, None)
            return pytorchs(
                obj_func, None, float(start), torch.ones(1).double(), f, g, g[0],
                tolerance_change=settings[0].item(), max_ls=int(settings[1]),
            )  # fmt: skip

        expected, ulp_away = judge(first), judge(np.nextafter(first, np.inf))
        assert found[3][i] == expected[3]
        for mine, theirs, moved in zip(found[:3], expected[:3], ulp_away[:3], strict=True):
            allowed = tol.LINE_SEARCH_OF_MAX * max(1.0, abs(float(theirs)))
            # A minimum that lies in a flat bottom is ill-conditioned, for PyTorch too.
            allowed += tol.OF_ONE_ULP_AWAY * abs(float(moved) - float(theirs))
            assert abs(float(mine[i].reshape(())) - float(theirs)) <= allowed, i


# --- compiled, in trees, on devices -------------------------------------------------------------

WOLFE_OR_NOT = pytest.mark.parametrize("line_search_fn", [None, "strong_wolfe"])
ROSENBROCK = functools.partial(rosenbrock, xp=jnp)


same = functools.partial(assert_same_tree, of_max=tol.LBFGS_FEW_ITERATIONS_OF_MAX)


def few_updates(tx, loss, params, step=None, calls=2):
    """Return the parameters and the state after some updates."""
    own = functools.partial(update_jax, tx, loss)
    step = step or jax.jit(own, compiler_options=FAST_COMPILE)
    state = tx.init(params)
    for _ in range(calls):
        params, state = step(params, state)
    return params, state


@pytest.mark.filterwarnings("ignore:Some donated buffers were not usable:UserWarning")
@WOLFE_OR_NOT
def test_compiled_step_is_traced_once_and_donates(line_search_fn):
    tx = ja.optimizers.lbfgs(max_iter=4, history_size=5, line_search_fn=line_search_fn)
    params = {"x": jnp.linspace(-1.0, 1.0, 5)}
    expected = few_updates(tx, ROSENBROCK, params)
    traced = []

    def step(params, state):
        traced.append(None)
        return update_jax(tx, ROSENBROCK, params, state)

    pointers = [leaf.unsafe_buffer_pointer() for leaf in jax.tree.leaves(tx.init(params))]
    assert len(set(pointers)) == len(pointers)
    compiled = jax.jit(step, donate_argnums=1)
    same(few_updates(tx, ROSENBROCK, params, compiled), expected)
    assert len(traced) == 1


@WOLFE_OR_NOT
def test_loss_is_traced_once_however_often_it_is_evaluated(line_search_fn):
    """Twice with the caller's own: a network would be compiled as often."""
    traced = []

    def loss(w):
        traced.append(None)
        return rosenbrock(w, jnp)

    tx = ja.optimizers.lbfgs(line_search_fn=line_search_fn)
    params = {"x": jnp.zeros(5)}
    jax.jit(functools.partial(update_jax, tx, loss)).lower(params, tx.init(params))
    assert len(traced) == 2


@WOLFE_OR_NOT
def test_tree_of_leaves_is_one_vector(line_search_fn):
    tx = ja.optimizers.lbfgs(max_iter=5, line_search_fn=line_search_fn)
    x = jnp.asarray(constants(3, x=12)["x"])
    parts = {"a": x[:6].reshape(2, 3), "b": [x[6], x[7:7]], "c": x[7:]}

    def joined(parts):
        return {"x": jnp.concatenate([jnp.ravel(leaf) for leaf in jax.tree.leaves(parts)])}

    def loss(parts):
        return quadratic(joined(parts), jnp)

    value, grads = jax.value_and_grad(loss)(parts)
    updates, state = tx.update(grads, tx.init(parts), parts, value=value, value_fn=loss)
    whole = functools.partial(quadratic, xp=jnp)
    expected, expected_state = few_updates(tx, whole, {"x": x}, calls=1)
    same(joined(optax.apply_updates(parts, updates)), expected)
    same(state, expected_state)


def test_leaf_without_gradient_keeps_every_bit():
    tx = ja.optimizers.lbfgs(line_search_fn="strong_wolfe")
    params = {"x": jnp.ones(3) * 2, FROZEN: jnp.array([-0.0, 0.0, 3.0]), "none": None}

    def loss(w):
        return (w["x"] ** 2).sum() * w[FROZEN].sum()

    grads = {"x": 2 * 3.0 * params["x"], FROZEN: None, "none": None}
    updates, state = tx.update(grads, tx.init(params), params, value=loss(params), value_fn=loss)
    kept = optax.apply_updates(params, updates)
    assert updates["none"] is None
    assert np.asarray(kept[FROZEN]).tobytes() == np.asarray(params[FROZEN]).tobytes()
    assert not np.any(state.d[:3])
    assert float(loss(kept)) < float(loss(params))


def test_sharded_parameters_give_the_same():
    tx = ja.optimizers.lbfgs(max_iter=3, history_size=3, line_search_fn="strong_wolfe")
    x = jnp.asarray(constants(4, x=16)["x"])
    expected = few_updates(tx, ROSENBROCK, {"x": x})
    mesh = ja.parallel.make_mesh({"data": 8})
    sharded = jax.device_put(x, NamedSharding(mesh, PartitionSpec("data")))
    same(few_updates(tx, ROSENBROCK, {"x": sharded}), expected)


def test_in_a_chain_with_its_arguments():
    tx = ja.optimizers.lbfgs(max_iter=5)
    params = {"x": jnp.zeros(5)}
    expected, _ = few_updates(tx, ROSENBROCK, params)
    chain = optax.chain(optax.identity(), tx, optax.scale(1.0))
    found, _ = few_updates(chain, ROSENBROCK, params)
    same(found, expected)


def test_one_iteration_without_search_needs_no_loss():
    tx = ja.optimizers.lbfgs(lr=0.5, max_iter=1)
    params = {"x": jnp.zeros(5)}
    expected, expected_state = few_updates(tx, ROSENBROCK, params, calls=3)
    state = tx.init(params)
    for _ in range(3):
        updates, state = tx.update(jax.grad(ROSENBROCK)(params), state, params)
        params = optax.apply_updates(params, updates)
    same(params, expected)
    assert np.isnan(state.prev_loss)
    same(state._replace(prev_loss=expected_state.prev_loss), expected_state)


# --- low precision ------------------------------------------------------------------------------


def ulp_away(leaf, seed):
    """Return a float32 array moved by one unit in the last place, up or down."""
    side = np.where(np.random.default_rng(seed).random(leaf.shape) < 0.5, -np.inf, np.inf)
    return np.nextafter(leaf.astype(np.float32), side.astype(np.float32)).astype(np.float64)


@pytest.mark.parametrize("problem", ["rosenbrock", "quadratic", "logistic"])
@WOLFE_OR_NOT
def test_float32_run_is_no_worse_than_pytorch(problem, line_search_fn):
    kwargs = {"max_iter": 5, "line_search_fn": line_search_fn}
    options = {"problem": problem, "calls": 2, "starts": 12}
    case = Case("optimizers.lbfgs", kwargs, "torch.optim.LBFGS", "float32", options)
    points = [{n: np.float64(np.float32(x)) for n, x in start.items()} for start in starts(case)]
    errors, allowed = 0.0, 0.0
    with jax.enable_x64(False):
        lows = [{n: jnp.asarray(x, jnp.float32) for n, x in start.items()} for start in points]
        records = records_jax(case, lows)
    for start, found in zip(points, records, strict=True):
        judge = record_torch(case, start)["params"]
        runs = [
            record_torch(
                case,
                {n: ulp_away(x, seed) for n, x in start.items()},
                "float32",
                np.random.default_rng(seed),
            )
            for seed in range(3)
        ]
        theirs = np.max([distance(run["params"], judge) for run in runs], axis=0)
        errors = errors + distance(found["params"], judge) ** 2
        allowed = allowed + theirs**2
    assert np.all(np.sqrt(errors) <= tol.LBFGS_FLOAT32_OF_PYTORCHS_OWN * np.sqrt(allowed))


def test_leaves_of_many_dtypes_keep_their_own():
    """The vectors have the widest dtype, at least float32; each leaf is rounded on its own."""
    tx = ja.optimizers.lbfgs(line_search_fn="strong_wolfe")
    for widest, vector in [(jnp.bfloat16, jnp.float32), (jnp.float64, jnp.float64)]:
        params = {"a": jnp.ones(3, jnp.bfloat16), "b": jnp.ones((), widest)}

        def loss(w):
            wide = {name: leaf.astype(jnp.float32) for name, leaf in w.items()}
            return ((wide["a"] - 0.5) ** 2).sum() + (wide["b"] + 0.25) ** 4

        value, grads = jax.value_and_grad(loss)(params)
        updates, state = tx.update(grads, tx.init(params), params, value=value, value_fn=loss)
        assert state.d.dtype == state.ro.dtype == state.t.dtype == state.prev_loss.dtype == vector
        for name, leaf in params.items():
            assert updates[name].dtype == leaf.dtype
        assert np.all(np.asarray(params["a"] + updates["a"]) == 0.5)


# --- what is wrong ------------------------------------------------------------------------------


def test_line_search_of_another_name_raises_what_pytorch_raises_in_its_first_step():
    leaf = torch.nn.Parameter(torch.ones(1))
    optimizer = torch.optim.LBFGS([leaf], line_search_fn="armijo")

    def closure():
        optimizer.zero_grad()
        loss = leaf.square().sum()
        loss.backward()
        return loss

    with pytest.raises(RuntimeError) as expected:
        optimizer.step(closure)
    with pytest.raises(RuntimeError) as found:
        ja.optimizers.lbfgs(line_search_fn="armijo")
    assert str(found.value) == str(expected.value)


def test_update_without_the_loss_says_what_to_pass():
    leaf = jnp.ones(2)
    for kwargs in ({}, {"max_iter": 1, "line_search_fn": "strong_wolfe"}):
        tx = ja.optimizers.lbfgs(**kwargs)
        with pytest.raises(ValueError, match=r"value_fn=loss_fn\).* got value=None"):
            tx.update(leaf, tx.init(leaf), leaf, value_fn=lambda w: w.sum())
        with pytest.raises(ValueError, match=r"value_fn=loss_fn\).* got value_fn=None"):
            tx.update(leaf, tx.init(leaf), leaf, value=0.0)


COUNTED = ("max_iter", "max_eval", "history_size")


@pytest.mark.parametrize("name", COUNTED)
def test_counts_are_positive_integers(name):
    with pytest.raises(TypeError, match=f"{name} must be an integer, got 2.5"):
        ja.optimizers.lbfgs(**{name: 2.5})
    with pytest.raises(ValueError, match=f"{name} must be at least 1, got 0"):
        ja.optimizers.lbfgs(**{name: 0})


NUMBERS = ("lr", "tolerance_grad", "tolerance_change")


@pytest.mark.parametrize("name", NUMBERS)
def test_what_is_not_a_number_is_named(name):
    with pytest.raises(TypeError, match=f"{name} must be a number.*got '0.1'"):
        ja.optimizers.lbfgs(**{name: "0.1"})


def test_numbers_in_other_clothes_give_the_same():
    numbers = dict(zip(NUMBERS, (0.5, 2.0**-8, 2.0**-12), strict=True))
    params = {"x": jnp.linspace(-1.0, 1.0, 5)}

    def run(dress):
        tx = ja.optimizers.lbfgs(**{name: dress(x) for name, x in numbers.items()}, max_iter=4)
        return few_updates(tx, ROSENBROCK, params)

    expected = run(float)
    for dress in (lambda x: jnp.float32(x), lambda x: np.array([x]), lambda x: lambda step: x):
        same(run(dress), expected)
