"""ZeRO and FSDP: the sharded step against that of one device, and what its program sends."""

import contextlib
import functools

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from jax.sharding import NamedSharding

import jaxaccel as ja
from parity_tests import tolerances as tol
from parity_tests.harness.compare import assert_close, assert_same_tree
from parity_tests.harness.optimizer import in_full_precision
from parity_tests.optimizers import rows_optimizers
from parity_tests.registry import lookup

ROWS, WIDTH, LAYERS, STEPS = 16, 8, 3, 3
STRATEGIES = {
    "FULL_SHARD": {"strategy": "FULL_SHARD"},
    "FULL_SHARD by the compiler": {"strategy": "FULL_SHARD", "mode": "jit"},
    "SHARD_GRAD_OP": {"strategy": "SHARD_GRAD_OP"},
    "NO_SHARD by the compiler": {"strategy": "NO_SHARD", "mode": "jit"},
    "HYBRID_SHARD": {"strategy": "HYBRID_SHARD", "replica_axis": "replica"},
    "_HYBRID_SHARD_ZERO2 by the compiler": {
        "strategy": "_HYBRID_SHARD_ZERO2",
        "replica_axis": "replica",
        "mode": "jit",
    },
    "over two axes": {"axis": ("replica", "data")},
    "stage 0": {"stage": 0},
    "stage 1": {"stage": 1},
    "stage 2": {"stage": 2},
    "stage 2 by the compiler": {"stage": 2, "mode": "jit"},
}


def wrapped(gradient_fn, options):
    """Return the gradient function and the placement, of small arrays too, and the mesh."""
    options = {"param_persistence_threshold": 0, **options}
    is_hybrid = "replica_axis" in options or isinstance(options.get("axis"), tuple)
    mesh = ja.parallel.make_mesh({"replica": 2, "data": 4} if is_hybrid else None)
    wrap = ja.parallel.zero if "stage" in options else ja.parallel.fully_shard
    return *wrap(gradient_fn, mesh, **options), mesh


def shard_rows(batch, mesh):
    return ja.parallel.shard_batch(batch, mesh, axis=mesh.axis_names)


# --- one loss of everything that a program may do with a parameter -------------------------------


@jax.custom_vjp
def doubled(w):
    return 2 * w


doubled.defvjp(lambda w: (2 * w, w), lambda w, g: (2 * g + 0 * w,))


def block(x, weights):
    w, b = weights
    return jnp.tanh(x @ w + b[None]), None


def zoo(params, model_state, batch):
    """Loops, choices, casts, own derivatives, tied and unused weights, a mean that is a state."""
    x, y, p = batch["x"], batch["y"], params
    stack = p["stack"]["w"], p["stack"]["b"]
    x, _ = jax.lax.scan(jax.checkpoint(block), x @ p["tied"], stack)
    x, _ = jax.lax.scan(block, x, stack)

    def fixed(x, _):
        return jnp.tanh(x @ jnp.tanh(p["loop"])), None

    x, _ = jax.lax.scan(fixed, x, None, length=2)

    def rounded(x, w):
        return jnp.tanh(x @ w.astype(jnp.float32).astype(x.dtype)), None

    x, _ = jax.lax.scan(rounded, x, p["narrow"])
    x += jax.lax.cond(jnp.sum(y) > -1e9, lambda w: x @ w, lambda w: x - w[:1], p["choice"])
    x += jax.lax.platform_dependent(p["choice"], cpu=lambda w: x @ w.T, default=lambda w: x @ w)
    x += jax.jit(lambda x, w: x @ doubled(w))(x, p["own"])
    kept = jax.lax.stop_gradient(p["count"])
    x *= jax.lax.while_loop(lambda s: s < 1, lambda s: s + jnp.sum(kept**2), kept[0])
    x = jnp.tanh(x @ -p["tied"].T)
    found = x.astype(complex) @ p["complex"]
    loss = jnp.mean((found.real - y) ** 2 + found.imag**2) + jnp.sum(p["odd"] ** 2) * p["scalar"]
    loss += jnp.sum(p["twin"]["a"] + p["twin"]["b"]) + p["first"][0, 0]
    state = {"mean": 0.9 * model_state["mean"] + 0.1 * p["choice"]}
    return loss, (state, {"size": jnp.mean(jnp.abs(x))})


@functools.cache
def of_zoo():
    """Return parameters, state and batch, and one device's gradients."""
    rng = np.random.default_rng(0)

    def draw(*shape):
        return jnp.asarray(rng.normal(size=shape) * 0.4)

    square = (WIDTH, WIDTH)
    params = {
        "stack": {"w": draw(LAYERS, *square), "b": draw(LAYERS, WIDTH)},
        "narrow": draw(LAYERS, *square),
        **{name: draw(*square) for name in ("tied", "loop", "choice", "own", "unused")},
        "count": draw(WIDTH),
        "complex": jax.lax.complex(draw(WIDTH, 3), draw(WIDTH, 3)),
        "odd": draw(7),
        "scalar": draw(),
        "twin": {"a": draw(WIDTH), "b": draw(WIDTH)},
        "first": draw(2 * WIDTH, 3),
    }
    state = {"mean": draw(*square)}
    batch = {"x": draw(ROWS, WIDTH), "y": draw(ROWS, 3)}
    return params, state, batch, ja.training.gradients(zoo)(params, state, batch)


def placed(params, mesh, placement):
    return ja.parallel.distribute_state({"params": params}, mesh, placement)["params"]


@pytest.mark.parametrize("name", [*STRATEGIES])
def test_gradients_are_those_of_one_device(name):
    """And lie where the placement says: a gradient is split as its parameter, or its state."""
    params, state, batch, expected = of_zoo()
    gradient_fn, placement, mesh = wrapped(ja.training.gradients(zoo), STRATEGIES[name])
    found = gradient_fn(placed(params, mesh, placement), state, shard_rows(batch, mesh))
    for (path, leaf), judge in zip(
        jax.tree.leaves_with_path(found), jax.tree.leaves(expected), strict=True
    ):
        where = jax.tree_util.keystr(path)
        # Each device's gradient of what is cast comes in float32.
        is_narrow = "narrow" in where
        share = tol.FLOAT32_ULP_OF_MAX if is_narrow else tol.DEVICES_FLOAT64_OF_MAX
        assert_close(leaf, judge, share, what=where)
    for (path, grad), param in zip(
        jax.tree.leaves_with_path(found.grads), jax.tree.leaves(params), strict=True
    ):
        spec = placement((jax.tree_util.GetAttrKey("opt_state"), *path), param)
        assert grad.sharding.is_equivalent_to(NamedSharding(mesh, spec), grad.ndim), path


# --- the step around it --------------------------------------------------------------------------


def steps_of(gradient_fn, tx, start, batches, *, max_grad_norm=None, scaler=None):
    """Return the state and the metrics after some steps; ``start`` makes the first state."""
    step = ja.training.train_step(gradient_fn, tx, max_grad_norm=max_grad_norm, scaler=scaler)
    state, found = start(tx), []
    for batch in batches:
        state, metrics = step(state, batch)
        found.append(jax.tree.map(jnp.nan_to_num, metrics))  # of a step that is skipped
    return state, found


COMPOSED = {
    "accumulated inside, clipped": ("FULL_SHARD", "inside", False),
    "accumulated outside, clipped": ("stage 2", "outside", False),
    "accumulated outside, scaled": ("FULL_SHARD by the compiler", "outside", True),
    "accumulated inside, scaled": ("HYBRID_SHARD", "inside", True),
}


def stack_loss(params, model_state, batch):
    """A part of the zoo, for what compiles it often."""
    stack = params["stack"]["w"], params["stack"]["b"]
    x, _ = jax.lax.scan(jax.checkpoint(block), batch["x"] @ params["tied"], stack)
    x = jnp.tanh(x @ params["tied"].T).astype(complex) @ params["complex"]
    loss = jnp.mean((x.real - batch["y"]) ** 2 + x.imag**2) + jnp.sum(params["odd"] ** 2)
    return loss, (model_state, {})


@pytest.mark.parametrize("name", [*COMPOSED])
def test_a_step_in_shares_is_the_step_of_one_device(name):
    """With clipping, accumulation on either side, a scaler that skips a step, an average."""
    strategy, where, is_scaled = COMPOSED[name]
    params, _, batch, _ = of_zoo()
    params = {name: params[name] for name in ("stack", "tied", "complex", "odd")}
    options, scaler, batches = {"max_grad_norm": 0.3}, None, [batch, batch, batch]
    if is_scaled:
        options["scaler"] = scaler = ja.precision.grad_scaler(init_scale=8.0, growth_interval=1)
        batches[1] = batch | {"y": batch["y"].at[0].set(jnp.inf)}
    tx = ja.optimizers.adamw(lr=1e-2)
    plain = ja.training.gradients(stack_loss)
    of_parts = ja.training.accumulate(plain, 2, unroll=False)
    start = ja.training.train_state(params, tx, scaler=scaler)
    expected = trained(of_parts, start, tx, batches, **options)
    gradient_fn, placement, mesh = wrapped(
        of_parts if where == "inside" else plain, STRATEGIES[strategy]
    )
    if where == "outside":
        gradient_fn = ja.training.accumulate(gradient_fn, 2, unroll=False)
    start = ja.training.train_state(params, tx, mesh=mesh, placement=placement, scaler=scaler)
    batches = [shard_rows(each, mesh) for each in batches]
    found = trained(gradient_fn, start, tx, batches, **options)
    assert_same_tree(found, expected, tol.DEVICES_FLOAT64_OF_MAX)
    for path, leaf in jax.tree.leaves_with_path(found[0]):
        where = NamedSharding(mesh, placement(path, leaf))
        assert leaf.sharding.is_equivalent_to(where, leaf.ndim), path


def trained(gradient_fn, state, tx, batches, **options):
    """Return the state, an average of the weights, and the metrics after some steps."""
    step, found = ja.training.train_step(gradient_fn, tx, **options), []
    average = ja.transforms.exponential_moving_average(0.9)
    averaged = average.init(state.params)
    for batch in batches:
        state, metrics = step(state, batch)
        averaged = average.update(averaged, state.params)
        found.append(jax.tree.map(jnp.nan_to_num, metrics))  # of a step that is skipped
    return state, averaged, found


OPTIMIZERS = [
    case for case in rows_optimizers.CASES if case.why in ("everything", "all with nesterov")
]


def leaves_of(case, rng):
    """Return a tree of arrays, matrices alone or with a complex leaf where the optimizer has it."""
    tree = {
        "kernel": rng.normal(size=(8, 4)),
        "wide": rng.normal(size=(4, 16)),
        "odd": rng.normal(size=(3, 2) if "matrices_only" in case.options else 3),
    }
    if "real_only" not in case.options:
        tree["pairs"] = rng.normal(size=8) + 1j * rng.normal(size=8)
    return tree


def given(params, model_state, batch):
    """A loss whose gradients are the mean over the batch's rows, one tree of gradients each."""
    products = jax.tree.map(
        lambda p, rows: jnp.sum((jnp.conj(rows) * p[None]).real, axis=range(1, rows.ndim)),
        params,
        batch,
    )
    return jnp.mean(sum(jax.tree.leaves(products))), (model_state, {})


@functools.cache
def of_optimizers():
    """Return all optimizers of the table as one, parameters and batches, and one device's run."""
    rng, cases = np.random.default_rng(0), {case.id: case for case in OPTIMIZERS}
    params = {key: leaves_of(case, rng) for key, case in cases.items()}
    labels = {key: jax.tree.map(lambda _, key=key: key, tree) for key, tree in params.items()}
    optimizers = {key: lookup("jaxaccel", c.function)(**c.kwargs) for key, c in cases.items()}
    tx = optax.partition(optimizers, labels)

    def rows(case):
        draws = [leaves_of(case, rng) for _ in range(ROWS)]
        return jax.tree.map(lambda *each: jnp.stack(each), *draws)

    batches = [{key: rows(case) for key, case in cases.items()} for _ in range(2)]
    start = ja.training.train_state(params, tx)
    return tx, params, batches, trained(ja.training.gradients(given), start, tx, batches)


@pytest.mark.parametrize("name", ["stage 2", "HYBRID_SHARD"])
def test_every_optimizer_steps_on_shares_as_on_one_device(name):
    """All of the table at once, each on a tree of its own."""
    with contextlib.ExitStack() as stack:
        for case in OPTIMIZERS:
            stack.enter_context(in_full_precision(case))
        tx, params, batches, expected = of_optimizers()
        gradient_fn, placement, mesh = wrapped(ja.training.gradients(given), STRATEGIES[name])
        start = ja.training.train_state(params, tx, mesh=mesh, placement=placement)
        found = trained(gradient_fn, start, tx, [shard_rows(b, mesh) for b in batches])
    assert_same_tree(found, expected, tol.DEVICES_FLOAT64_OF_MAX)
