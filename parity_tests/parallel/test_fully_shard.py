"""ZeRO and FSDP: the sharded step against that of one device, and what its program sends."""

import contextlib
import functools
import importlib.util
import re

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from jax.sharding import NamedSharding, PartitionSpec

import jaxaccel as ja
from parity_tests import tolerances as tol
from parity_tests.harness.compare import assert_close, assert_same_tree
from parity_tests.harness.figures import SOONER
from parity_tests.harness.optimizer import in_full_precision
from parity_tests.optimizers import rows_optimizers
from parity_tests.registry import lookup

HAS_LIBTPU = importlib.util.find_spec("libtpu") is not None
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


@jax.custom_vjp
def turned(w):
    return jnp.sum(w)


turned.defvjp(lambda w: (jnp.sum(w), w), lambda w, g: (-w,))  # its gradient is a share already


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
    # Which of the two, equal ones, each device finds in its own rows.
    x += jax.lax.cond(x[0, 0] > 0, lambda w: x @ w, lambda w: -(x @ -w), p["choice"])
    x += jax.jit(lambda x, w: x @ doubled(w))(x, p["own"])
    kept = jax.lax.stop_gradient(p["count"])
    x *= jax.lax.while_loop(lambda s: s < 1, lambda s: s + jnp.sum(kept**2), kept[0])
    x = jnp.tanh(x @ -p["tied"].T)
    found = x.astype(complex) @ p["complex"]
    loss = jnp.mean((found.real - y) ** 2 + found.imag**2) + jnp.sum(p["odd"] ** 2) * p["scalar"]
    loss += jnp.sum(p["twin"]["a"] + p["twin"]["b"]) + p["first"][0, 0] + turned(p["turned"])
    metrics = {"size": jnp.mean(jnp.abs(x))}
    # The last result on the way there may be a parameter, of which a device has a share.
    state = {"mean": 0.9 * model_state["mean"] + 0.1 * p["choice"], "copy": jnp.copy(p["choice"])}
    return loss, (state, metrics)


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
        **{name: draw(*square) for name in ("tied", "loop", "choice", "own", "turned", "unused")},
        "count": draw(WIDTH),
        "complex": jax.lax.complex(draw(WIDTH, 3), draw(WIDTH, 3)),
        "odd": draw(7),
        "scalar": draw(),
        "twin": {"a": draw(WIDTH), "b": draw(WIDTH)},
        "first": draw(2 * WIDTH, 3),
    }
    state = {"mean": draw(*square), "copy": draw(*square)}
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


# --- what its program sends and holds ------------------------------------------------------------

SENT = {
    "NO_SHARD": {"all-reduce": 1},
    "FULL_SHARD": {"all-gather": 2, "reduce-scatter": 1},
    "SHARD_GRAD_OP": {"all-gather": 1, "reduce-scatter": 1},
    1: {"all-gather": 1, "reduce-scatter": 1},
    2: {"all-gather": 1, "reduce-scatter": 1},
    3: {"all-gather": 2, "reduce-scatter": 1},
}
"""How often each parameter is sent by one step, and how."""
DEPTH = 6


def residual(x, weights):
    inner, outer = weights
    return x + jnp.tanh(x @ inner) @ outer, None


def layers_loss(params, model_state, batch):
    found, _ = jax.lax.scan(jax.checkpoint(residual), batch, (params["inner"], params["outer"]))
    return jnp.mean(found**2), (model_state, {})


def narrow_loss(params, model_state, batch):
    """The same, the whole stack cast in front of the loop, as ``precision.cast`` does."""
    params = jax.tree.map(lambda p: p.astype(jnp.bfloat16), params)
    return layers_loss(params, model_state, batch.astype(jnp.bfloat16))


def unrolled_loss(params, model_state, batch):
    for inner, outer in zip(params["inner"], params["outer"], strict=True):
        batch, _ = residual(batch, (inner, outer))
    return jnp.mean(batch**2), (model_state, {})


def reported(
    strategy, devices=None, shape=None, depth=DEPTH, width=64, loss_fn=layers_loss, options=None
):
    """Return the compiler's figures of a step of some layers, and the number of parameters."""
    mesh = ja.parallel.make_mesh(shape, devices=devices)
    how = {"stage": strategy} if isinstance(strategy, int) else {"strategy": strategy}
    wrap = ja.parallel.zero if isinstance(strategy, int) else ja.parallel.fully_shard
    gradient_fn, placement = wrap(ja.training.gradients(loss_fn), mesh, axis=mesh.axis_names, **how)
    tx = ja.optimizers.adamw()
    sizes = {"inner": (depth, width, 4 * width), "outer": (depth, 4 * width, width)}
    params = {k: jax.ShapeDtypeStruct(size, jnp.float32) for k, size in sizes.items()}
    if loss_fn is unrolled_loss:
        params = {k: [leaf.update(shape=leaf.shape[1:])] * depth for k, leaf in params.items()}
    with jax.enable_x64(False):
        state = jax.eval_shape(lambda params: ja.training.train_state(params, tx), params)
        state = ja.parallel.distribute_state(state, mesh, placement)
        split = NamedSharding(mesh, PartitionSpec(mesh.axis_names))
        batch = jax.ShapeDtypeStruct((mesh.size, width), jnp.float32, sharding=split)
        step = ja.training.train_step(gradient_fn, tx)
        compiled = step.lowered(state, batch).compile(options)
        return ja.aot.report(compiled), 8 * depth * width**2


def sent(report, count):
    """Return how often each parameter is sent, by kind, without what is small."""
    found = {}
    for each in report.collectives:
        times = each.bytes * each.times / 4 / count
        found[each.kind] = found.get(each.kind, 0) + times
    return {kind: round(times) for kind, times in found.items() if times > 0.01}


@pytest.mark.parametrize("strategy", [*SENT], ids=str)
def test_a_step_sends_each_parameter_as_often_as_theory_says(strategy):
    """And its arguments are the bytes of ZeRO's formula."""
    report, count = reported(strategy)
    assert sent(report, count) == SENT[strategy]
    stage = {"NO_SHARD": 0, "FULL_SHARD": 3, "SHARD_GRAD_OP": 3}.get(strategy, strategy)
    share = [12, 4 + 8 / 8, 4 + 8 / 8, 12 / 8][stage]
    assert report.argument_bytes == pytest.approx(share * count, rel=0.02)


@pytest.mark.skipif(not HAS_LIBTPU, reason="needs the extra aot")
@pytest.mark.quick
def test_what_is_kept_is_gathered_once_in_the_program_itself():
    """Not by a compiler that takes equal gathers for one: in functions compiled by themselves."""
    first = jax.jit(lambda w, x: jnp.tanh(x @ w.astype(x.dtype)))
    second = jax.jit(lambda params, x: first(params["b"], first(params["a"], x)))

    def loss_fn(params, model_state, x):
        in_jits = second(params, x.astype(jnp.bfloat16))
        in_remat = jax.checkpoint(lambda w, x: first(w, x))(params["c"], in_jits)
        out, _ = jax.lax.scan(lambda x, _: (first(params["d"], x), None), in_remat, length=3)
        return jnp.mean(out.astype(jnp.float32) ** 2), (model_state, {})

    params = {name: jax.ShapeDtypeStruct((16, 16), jnp.float32) for name in "abcd"}
    x = jax.ShapeDtypeStruct((16, 16), jnp.float32)
    gradients = ja.training.gradients(loss_fn)
    gradient_fn, *_ = wrapped(gradients, {"strategy": "SHARD_GRAD_OP"})
    program = jax.make_jaxpr(lambda params, x: gradient_fn(params, (), x).grads)(params, x)
    gathers = re.findall(r"(\w+)\[16,16\]\S* = all_gather", str(program))
    # A checkpoint that casts is the exception: for the way back it has the parameter uncast.
    assert sorted(gathers) == ["bf16"] * 4 + ["f32"]


def test_without_a_loop_a_parameter_is_gathered_again_on_the_way_back():
    """The compiler would keep what it has gathered, and hold the whole model (a CPU's does)."""
    devices = ja.aot.topology_devices("tpu:v5e:2x4")
    report, count = reported(
        "FULL_SHARD", devices, depth=2, width=512, loss_fn=unrolled_loss, options=SOONER
    )
    of_weights = [each for each in report.collectives if each.kind == "all-gather"]
    gathered = sum(each.bytes * each.times for each in of_weights) / 4 / count
    # Nothing asks for the first of four weights again: the batch has no gradient.
    assert gathered == pytest.approx(1.75, rel=0.02)


def test_a_gradient_that_is_cast_is_scattered_in_its_loop_and_in_float32():
    """It would be whole for all layers otherwise, until the loop is done."""
    report, count = reported("FULL_SHARD", loss_fn=narrow_loss)
    large = [e for e in report.collectives if e.kind == "reduce-scatter" and e.bytes > 1000]
    assert [(each.bytes, each.times) for each in large] == [(4 * count // DEPTH // 2, DEPTH)] * 2


def test_full_shard_holds_no_more_of_a_deeper_model_than_its_shares():
    """A layer more is its input and the share of its gradient; one layer at a time is whole."""
    few, many = (reported("FULL_SHARD", depth=depth)[0].temporary_bytes for depth in (2, 12))
    layer, its_input = 8 * 64**2 * 4, 64 * 4
    assert many - few <= 10 * (layer / 8 + its_input)
    assert few <= 2 * layer


@pytest.mark.skipif(not HAS_LIBTPU, reason="needs the extra aot")
def test_a_tpu_gathers_axis_by_axis_and_scatters():
    """One collective over a whole slice would be an all-reduce."""
    devices = ja.aot.topology_devices("tpu:v5e:4x4")
    report, count = reported("FULL_SHARD", devices, {"x": 4, "y": 4}, width=1024)
    by_axis = {}
    for each in report.collectives:
        if each.bytes * each.times > 0.01 * 4 * count:
            kind = each.kind, each.axes
            by_axis[kind] = by_axis.get(kind, 0) + each.bytes * each.times / 4 / count
    # The last axis gathers the whole, the first one scatters it; the other has a share of it.
    expected = {
        ("all-gather", ("x",)): 2.0,
        ("all-gather", ("y",)): 2 / 4,
        ("reduce-scatter", ("x",)): 1.0,
        ("reduce-scatter", ("y",)): 1 / 4,
    }
    assert by_axis == pytest.approx(expected, rel=0.02)
    assert report.temporary_bytes < 0.05 * 4 * count


# --- what it is told -----------------------------------------------------------------------------


def test_rows_that_count_differently_and_rules_of_ones_own():
    """Weighted as in ``data_parallel``; a rule names any axis, or leaves a leaf to the default."""
    mesh = ja.parallel.make_mesh({"data": 4, "model": 2})
    rng = np.random.default_rng(0)
    params = {"w": jnp.asarray(rng.normal(size=(4, 8))), "v": jnp.asarray(rng.normal(size=(8, 3)))}
    batch = {"x": jnp.asarray(rng.normal(size=(ROWS, 4))), "mask": jnp.arange(ROWS) % 5 != 0}

    def loss_fn(params, model_state, batch):
        found = jnp.sum((batch["x"] @ params["w"] @ params["v"]) ** 2, axis=1)
        count = jnp.sum(batch["mask"], dtype=float)
        return jnp.sum(jnp.where(batch["mask"], found, 0.0)) / count, (model_state, {})

    def rules(path, shape):
        return PartitionSpec("data", "model") if path.endswith("w") else None

    plain = ja.training.gradients(loss_fn)
    gradient_fn, placement = ja.parallel.fully_shard(
        plain,
        mesh,
        rules=rules,
        param_persistence_threshold=0,
        weight=lambda batch: jnp.sum(batch["mask"]),
    )
    start = placed(params, mesh, placement)
    assert start["w"].sharding.spec == PartitionSpec("data", "model")
    assert start["v"].sharding.spec == PartitionSpec("data")
    rows = ja.parallel.shard_batch(batch, mesh)
    expected = plain(params, (), batch)
    assert_same_tree(gradient_fn(start, (), rows), expected, tol.DEVICES_FLOAT64_OF_MAX)
    # What is left to the compiler stays split over the other axis.
    gradient_fn, _ = ja.parallel.fully_shard(
        plain, mesh, rules=rules, param_persistence_threshold=0, mode="jit"
    )
    found = gradient_fn(start, (), rows)
    assert_same_tree(found, expected, tol.DEVICES_FLOAT64_OF_MAX)
    assert found.grads["w"].sharding.spec == PartitionSpec("data", "model")


def test_dtypes_of_what_is_gathered_and_reduced():
    """``param_dtype`` is what the loss sees; gradients come in the parameters' own."""
    mesh, seen = ja.parallel.make_mesh(), []

    def loss_fn(params, model_state, batch):
        seen.append(params["w"].dtype)
        return jnp.mean((batch.astype(params["w"].dtype) @ params["w"]) ** 2), (model_state, {})

    gradient_fn, placement = ja.parallel.fully_shard(
        ja.training.gradients(loss_fn),
        mesh,
        param_dtype=jnp.bfloat16,
        reduce_dtype=jnp.float32,
        param_persistence_threshold=0,
    )
    params = placed({"w": jnp.ones((8, 2), jnp.float32)}, mesh, placement)
    batch = ja.parallel.shard_batch(jnp.ones((8, 8), jnp.float32), mesh)
    lowered = jax.jit(lambda params, batch: gradient_fn(params, (), batch)).lower(params, batch)
    pattern = r'"stablehlo\.(all_gather|reduce_scatter)".*?-> tensor<[\dx]+x(\w+)>'
    kinds = re.findall(pattern, lowered.as_text(), re.DOTALL)
    assert {*kinds} == {("all_gather", "bf16"), ("reduce_scatter", "f32")}
    assert {*seen} == {jnp.dtype(jnp.bfloat16)}
    assert gradient_fn(params, (), batch).grads["w"].dtype == jnp.float32


@pytest.mark.parametrize("cast_by", ["fully_shard", "the model"])
@pytest.mark.parametrize("threshold", [0, 1000])
def test_a_mean_is_not_rounded_to_the_dtype_of_the_gradients(threshold, cast_by):
    """Gradients in bfloat16 of 1 and 1 + 1/128, reduced in float32: FSDP's mean has nine bits."""
    mesh = ja.parallel.make_mesh()
    options = {"param_dtype": jnp.bfloat16, "reduce_dtype": jnp.float32}
    options = {} if cast_by == "the model" else options

    def loss_fn(params, model_state, batch):
        return jnp.sum(params["w"].astype(jnp.bfloat16) * batch[0]).astype(jnp.float32), (
            model_state,
            {},
        )

    gradient_fn, placement = ja.parallel.fully_shard(
        ja.training.gradients(loss_fn),
        mesh,
        param_persistence_threshold=threshold,
        **options,
    )
    params = placed({"w": jnp.ones(8, jnp.float32)}, mesh, placement)
    rows = jnp.where(jnp.arange(8)[:, None] % 2, 1 + 2.0**-7, 1.0).astype(jnp.bfloat16)
    batch = ja.parallel.shard_batch(jnp.broadcast_to(rows, (8, 8)), mesh)
    assert jnp.all(gradient_fn(params, (), batch).grads["w"] == 1 + 2.0**-8)


@pytest.mark.parametrize("wrap", ["data_parallel", "fully_shard"])
def test_a_float16_mean_does_not_overflow(wrap):
    """32,768 on each device: their sum is infinite in float16, and DDP divides first."""
    mesh = ja.parallel.make_mesh()

    def loss_fn(params, model_state, batch):
        return jnp.sum(params["w"] * batch[0]).astype(jnp.float32), (model_state, {})

    plain = ja.training.gradients(loss_fn)
    if wrap == "data_parallel":
        gradient_fn = ja.parallel.data_parallel(plain, mesh, mode="shard_map")
    else:
        gradient_fn, _ = ja.parallel.fully_shard(plain, mesh, param_persistence_threshold=0)
    batch = ja.parallel.shard_batch(jnp.full((8, 8), 32768.0, jnp.float16), mesh)
    params = ja.parallel.replicate({"w": jnp.ones(8, jnp.float16)}, mesh)
    assert jnp.all(gradient_fn(params, (), batch).grads["w"] == 32768.0)


def test_frozen_parameters_are_split_and_have_no_gradient():
    params, _, batch, _ = of_zoo()
    params = {name: params[name] for name in ("stack", "tied", "complex", "odd")}
    plain = ja.training.gradients(stack_loss, trainable="stack")
    gradient_fn, placement, mesh = wrapped(plain, STRATEGIES["FULL_SHARD"])
    start = placed(params, mesh, placement)
    found = gradient_fn(start, (), shard_rows(batch, mesh))
    assert not start["tied"].sharding.is_fully_replicated
    assert found.grads["tied"] is None
    assert_same_tree(found, plain(params, (), batch), tol.DEVICES_FLOAT64_OF_MAX)


EXPLICIT = "needs a mesh with automatic axes"
WRONG = {
    "strategy": ({"strategy": "FULL"}, "strategy must be one of FULL_SHARD, SHARD_GRAD_OP"),
    "hybrid": ({"strategy": "HYBRID_SHARD"}, "needs replica_axis, the mesh axis whose devices"),
    "replica": ({"replica_axis": "model"}, "replica_axis='model' is for the hybrid strategies"),
    "twice": (
        {"strategy": "HYBRID_SHARD", "replica_axis": "data"},
        "replica_axis must be another mesh axis than axis='data'",
    ),
    "axis": ({"axis": "rows"}, "the mesh has axes"),
    "mode": ({"mode": "pmap"}, "mode must be 'shard_map' or 'jit', got 'pmap'"),
    "weight": ({"mode": "jit", "weight": jnp.sum}, "weight is for mode='shard_map'"),
    "threshold": ({"param_persistence_threshold": -1}, "param_persistence_threshold must be"),
    "a dtype to reduce in": (
        {"mode": "jit", "reduce_dtype": jnp.bfloat16},
        "reduce_dtype is for mode='shard_map'",
    ),
    "dtype": ({"param_dtype": jnp.int32}, "param_dtype must be a floating-point dtype"),
    "torch's word": ({"sharding_strategy": 1}, "say strategy='FULL_SHARD'"),
    "stage": ({"stage": 4}, "ZeRO has the stages 0, 1, 2 and 3, got stage=4"),
    "a truth": ({"stage": True}, "argument 'stage' must be int, not bool"),
}
RULES = {
    "no spec": (lambda path, shape: "data", "rules must return a jax.sharding.PartitionSpec"),
    "long": (lambda path, shape: PartitionSpec(None, None, "data"), "at most 2"),
    "unknown": (lambda path, shape: PartitionSpec("rows"), "instead of 'rows'"),
    "uneven": (lambda path, shape: PartitionSpec("data"), "over 4 devices, which do not divide"),
}


def refusal(function, *args, **kwargs):
    try:
        function(*args, **kwargs)
    except (ValueError, TypeError) as error:
        return str(error)
    return "nothing was raised"


@pytest.mark.quick
def test_what_is_wrong_is_named_with_its_remedy():
    """Before anything is traced; what a rule returns, when its parameter is seen."""
    mesh = ja.parallel.make_mesh({"data": 4, "model": 2})
    plain = ja.training.gradients(layers_loss)
    for name, (options, text) in WRONG.items():
        wrap = ja.parallel.zero if "stage" in options else ja.parallel.fully_shard
        assert text in refusal(wrap, plain, mesh, **options), name
    explicit = jax.make_mesh((8,), ("data",))
    with pytest.raises(ValueError, match=EXPLICIT):
        ja.parallel.fully_shard(plain, explicit)
    for name, (rules, text) in RULES.items():
        _, placement = ja.parallel.fully_shard(plain, mesh, rules=rules)
        assert text in refusal(placement, "params.w", jnp.ones((3, 4))), name
    spread, _ = ja.parallel.fully_shard(plain, mesh)
    accumulated = ja.training.accumulate(spread, 2)
    for again in (ja.parallel.fully_shard, ja.parallel.data_parallel):
        assert "mesh axis 'data' already" in refusal(again, accumulated, mesh)
    for spec, text in (("data", "placement must return"), (PartitionSpec("rows"), "'rows'")):
        found = refusal(
            ja.parallel.distribute_state, {"w": jnp.ones((4, 4))}, mesh, lambda p, a, s=spec: s
        )
        assert text in found, found
    with pytest.raises(ValueError, match="placement needs the mesh that it speaks of"):
        ja.training.train_state({}, ja.optimizers.sgd(), placement=lambda path, array: None)


def test_a_state_that_is_whole_is_warned_of():
    """Without its placement a step works, and saves nothing; nor does an array of odd sizes."""
    mesh = ja.parallel.make_mesh()

    def loss_fn(params, model_state, batch):
        return jnp.mean((batch @ params["w"]) ** 2), (model_state, {})

    gradient_fn, placement = ja.parallel.fully_shard(ja.training.gradients(loss_fn), mesh)
    tx = ja.optimizers.sgd(0.1)
    step = ja.training.train_step(ja.training.accumulate(gradient_fn, 1), tx)
    params, batch = {"w": jnp.ones((64, 32))}, ja.parallel.shard_batch(jnp.ones((8, 64)), mesh)
    with pytest.warns(
        UserWarning, match=r"params.w is whole.*each of 8 devices.*placement="
    ) as told:
        step(ja.training.train_state(params, tx, mesh=mesh), batch)
    assert [each.filename for each in told] == [__file__]
    step = ja.training.train_step(gradient_fn, tx)
    step(ja.training.train_state(params, tx, mesh=mesh, placement=placement), batch)
    with pytest.warns(UserWarning, match="stays whole on each of 8 devices"):
        placement("params.w", jax.ShapeDtypeStruct((333, 333), jnp.float32))


def test_rows_that_parts_do_not_divide_are_those_of_all_devices():
    mesh = ja.parallel.make_mesh()
    parts = ja.training.accumulate(ja.training.gradients(stack_loss), 4)
    gradient_fn, _ = ja.parallel.fully_shard(parts, mesh)
    params, _, batch, _ = of_zoo()
    batch = jax.tree.map(lambda leaf: jnp.concatenate([leaf] * 3)[:40], batch)
    with pytest.raises(ValueError, match=r"a device's 5 of 40 rows .* choose a multiple of 32"):
        gradient_fn(params, (), ja.parallel.shard_batch(batch, mesh))
