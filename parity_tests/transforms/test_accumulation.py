"""Accumulated gradients: against ``(loss / A).backward()``, and against one large batch."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
import torch
from jax.sharding import PartitionSpec as P

import jaxaccel as ja
from parity_tests import tolerances as tol
from parity_tests.harness.compiled import FAST_COMPILE
from parity_tests.harness.mirror import torch_ref_inside
from parity_tests.harness.optimizer import (
    lookup,
    oracle_of,
    to_jax,
    to_torch,
    values_at,
)
from parity_tests.transforms.rows_transforms import ACCUMULATE_GRADIENTS

MICRO_BATCHES, ROWS, FEATURES = 12, 4, 6

rows = pytest.mark.parametrize("case", ACCUMULATE_GRADIENTS, ids=lambda case: case.id)


def regression():
    """Return parameters, and micro-batches of inputs and targets, in double precision."""
    rng = np.random.default_rng(0)
    params = {"w": rng.normal(size=(FEATURES, 3)), "b": rng.normal(size=(1, 3))}
    x = rng.normal(size=(MICRO_BATCHES, ROWS, FEATURES))
    y = rng.normal(size=(MICRO_BATCHES, ROWS, 3))
    return params, list(zip(x, y, strict=True))


def loss_fn(params, batch, package=jnp):
    x, y = batch
    return package.mean((package.tanh(x @ params["w"] + params["b"]) - y) ** 2)


def inner_of(case):
    inner = case.options["inner"]
    return lookup("jaxaccel", inner.function)(**inner.kwargs)


def transform_of(case):
    return lookup("jaxaccel", case.function)(inner_of(case), **case.kwargs)


def run_pytorch(case, params, batches, dtype="float64", flush_at=()):
    """Run the script that accumulates by hand; return the parameters after every micro-batch."""
    inner, steps = case.options["inner"], case.kwargs["steps"]
    tensors = {name: torch.nn.Parameter(to_torch(p, dtype)) for name, p in params.items()}
    optimizer = oracle_of(inner)(tensors.values(), **values_at(inner.kwargs, 0))
    groups, group = [], []
    for t in range(len(batches)):
        group.append(t)
        if len(group) == steps or t in flush_at:
            groups.append(group)
            group = []
    groups.append(group)
    moved = []
    for step, group in enumerate(groups):
        optimizer.param_groups[0].update(values_at(inner.kwargs, step))
        optimizer.zero_grad()
        for t in group:
            batch = [to_torch(part, dtype) for part in batches[t]]
            (loss_fn(tensors, batch, torch) / len(group)).backward()
            if t == group[-1] and group is not groups[-1]:
                optimizer.step()
            moved.append({n: p.detach().double().numpy().copy() for n, p in tensors.items()})
    return moved


def run_jax(tx, params, batches, dtype="float64", extra=lambda t: {}):
    """Return the parameters after every micro-batch, and the last state; compiled once."""
    traces = []

    @jax.jit
    def step(params, state, batch, extra):
        traces.append(1)
        grads = jax.grad(loss_fn)(params, batch)
        updates, state = tx.update(grads, state, params, **extra)
        return optax.apply_updates(params, updates), state

    params = {name: to_jax(p, dtype) for name, p in params.items()}
    state, moved = tx.init(params), []
    for t, batch in enumerate(batches):
        batch = [to_jax(part, dtype) for part in batch]
        params, state = step(params, state, batch, extra(t))
        moved.append({name: np.asarray(p, np.float64) for name, p in params.items()})
    assert len(traces) == 1
    return moved, state


def assert_same_path(found, expected):
    for t, (ours, theirs) in enumerate(zip(found, expected, strict=True)):
        for name, p in theirs.items():
            error = np.max(np.abs(ours[name] - p))
            assert error <= tol.FLOAT64_OF_PATH * np.max(np.abs(p)), f"{name}, {t}: {error:.1e}"


def flushing(*at):
    return lambda t: {"flush": jnp.asarray(t in at)}


# --- against PyTorch ----------------------------------------------------------------------------


@pytest.mark.parity
@rows
def test_equals_pytorch_after_every_micro_batch(case):
    params, batches = regression()
    moved, state = run_jax(transform_of(case), params, batches)
    assert_same_path(moved, run_pytorch(case, params, batches))
    assert int(state.inner_state.step) == MICRO_BATCHES // case.kwargs["steps"]
    assert int(state.micro_step) == MICRO_BATCHES % case.kwargs["steps"]


@rows
def test_a_leftover_batch_is_flushed(case):
    """After micro-batches 5 and 12, whatever is in the buffer then."""
    params, batches = regression()
    moved, state = run_jax(transform_of(case), params, batches, extra=flushing(4, 11))
    expected = run_pytorch(case, params, batches, flush_at=(4, 11))
    assert_same_path(moved, expected)
    assert int(state.micro_step) == float(state.weight) == 0


@rows
def test_torch_ref_equals_pytorch(case):
    params, batches = regression()
    params_now, moved = {name: jnp.asarray(p) for name, p in params.items()}, []
    with torch_ref_inside("transforms", "optimizers") as ran:
        tx = transform_of(case)
        state = tx.init(params_now)
        for t, batch in enumerate(batches):
            grads = jax.grad(loss_fn)(params_now, batch)
            extra = {"weight": 2.5, "flush": t in (4, 11)}
            updates, state = tx.update(grads, state, params_now, **extra)
            params_now = optax.apply_updates(params_now, updates)
            moved.append({name: np.asarray(p) for name, p in params_now.items()})
    own = {name for name in ran if name.startswith("transforms.")}
    assert own == {f"transforms._accumulate_gradients.{n}" for n in ("_add", "_mean")}
    assert_same_path(moved, run_pytorch(case, params, batches, flush_at=(4, 11)))


def large_batch(batches):
    return [np.concatenate(parts) for parts in zip(*batches, strict=True)]


@pytest.mark.parametrize("sizes", [(4, 4, 4), (1, 4, 2)], ids=["equal parts", "unequal parts"])
def test_equals_the_large_batch(sizes):
    """Parts of unequal size too, when each is weighted by its rows: a mean over all rows."""
    params, batches = regression()
    batches = [(x[: sizes[t % 3]], y[: sizes[t % 3]]) for t, (x, y) in enumerate(batches)]
    tx = ja.transforms.accumulate_gradients(ja.optimizers.adamw(lr=0.05), 3)
    state, params_now = tx.init(jax.tree.map(jnp.asarray, params)), params
    for x, y in batches:
        grads = jax.grad(loss_fn)(params_now, (x, y))
        with jax.disable_jit():  # else both branches are compiled at every call
            updates, state = tx.update(grads, state, params_now, weight=len(x))
        params_now = optax.apply_updates(params_now, updates)
    large = [large_batch(batches[t : t + 3]) for t in range(0, MICRO_BATCHES, 3)]
    expected, _ = run_jax(ja.optimizers.adamw(lr=0.05), params, large)
    assert_same_path([params_now], expected[-1:])


@pytest.mark.parametrize("dtype", ["float32", "bfloat16", "float16"])
def test_low_precision_is_no_worse_than_pytorch(dtype):
    """The mean of 64 gradients, which PyTorch sums in the parameters' dtype."""
    rng = np.random.default_rng(0)
    grads = [to_torch(rng.normal(0.3, 1.0, size=500), dtype) for _ in range(64)]
    truth = torch.stack([g.double() for g in grads]).mean(0).numpy()
    parameter = torch.nn.Parameter(torch.zeros_like(grads[0]))
    tx = ja.transforms.accumulate_gradients(ja.optimizers.sgd(lr=1.0), len(grads))
    w = jnp.zeros(500, dtype)
    state = tx.init(w)
    update = jax.jit(tx.update)
    for g in grads:
        (parameter * g / len(grads)).sum().backward()
        updates, state = update(to_jax(g.double().numpy(), dtype), state, w)
        assert updates.dtype == w.dtype
    assert state.grad.dtype == jnp.float32
    ours = np.sqrt(np.mean((-np.asarray(updates, np.float64) - truth) ** 2))
    theirs = np.sqrt(np.mean((parameter.grad.double().numpy() - truth) ** 2))
    assert ours <= tol.OWN_ERROR_RATIO * theirs


# --- between the steps --------------------------------------------------------------------------


def bits(tree):
    return [np.asarray(leaf).tobytes() for leaf in jax.tree.leaves(tree)]


def test_between_steps_nothing_moves():
    """Not one bit: of parameters that are -0.0 either, nor of the inner state."""
    tx = ja.transforms.accumulate_gradients(ja.optimizers.adamw(), 3)
    params = {"w": -jnp.zeros(3), "z": jnp.asarray([-0.0 - 0.0j, 1.0 + 2.0j])}
    grads = jax.tree.map(jnp.ones_like, params)
    state = tx.init(params)
    _, state = tx.update(
        grads, tx.update(grads, tx.update(grads, state, params)[1], params)[1], params
    )
    for _ in range(2):
        updates, after = tx.update(grads, state, params)
        assert bits(after.inner_state) == bits(state.inner_state)
        assert bits(updates["w"]) == bits(-jnp.zeros(3))
        assert bits(params["w"] + updates["w"]) == bits(params["w"])
        state = after
    updates, state = tx.update(grads, state, params)
    assert int(state.inner_state.step) == 2
    assert np.all(updates["w"] != 0)


@pytest.mark.parametrize("bad", [1.0, np.nan], ids=["finite", "nan"])
def test_flushing_an_empty_buffer_changes_nothing(bad):
    tx = ja.transforms.accumulate_gradients(ja.optimizers.adamw(), 3)
    w = jnp.ones(2)
    start = tx.init(w)
    updates, state = tx.update(jnp.full(2, bad), start, w, weight=0, flush=True)
    assert bits(state) == bits(start)
    assert bits(updates) == bits(-jnp.zeros(2))


def test_a_flush_without_a_micro_batch_steps_on_what_is_there():
    tx = ja.transforms.accumulate_gradients(ja.optimizers.sgd(lr=1.0), 5)
    w = jnp.zeros(2)
    _, state = tx.update(jnp.array([1.0, 2.0]), tx.init(w), w, weight=3)
    _, state = tx.update(jnp.array([5.0, 2.0]), state, w, weight=1)
    updates, state = tx.update(jnp.full(2, jnp.nan), state, w, weight=0, flush=True)
    assert updates.tolist() == [-2.0, -2.0]
    assert int(state.micro_step) == 0
    _, state = tx.update(jnp.array([1.0, 2.0]), state, w)
    assert state.grad.tolist() == [1.0, 2.0], "nothing is left of what was"


def test_a_batch_without_tokens_is_not_a_step():
    tx = ja.transforms.accumulate_gradients(ja.optimizers.adamw(), 2)
    w = jnp.ones(2)
    state = tx.init(w)
    for _ in range(2):
        updates, state = tx.update(jnp.full(2, jnp.nan), state, w, weight=0)
    assert bits(state) == bits(tx.init(w))
    assert not np.any(updates)


def test_leaf_without_gradient_stays_and_the_inner_transform_sees_none():
    seen = []

    def update(updates, state, params=None, *, value, **extra):
        seen.append((updates, value))
        return jax.tree.map(jnp.negative, updates), state

    inner = optax.GradientTransformationExtraArgs(lambda params: optax.EmptyState(), update)
    tx = ja.transforms.accumulate_gradients(inner, 2)
    params = {"a": jnp.ones(2), "b": -jnp.zeros(2)}
    grads = {"a": jnp.full(2, 3.0), "b": None}
    state = tx.init(params)
    for _ in range(2):
        updates, state = tx.update(grads, state, params, value=7.0)
    assert updates["a"].tolist() == [-3.0, -3.0]
    assert bits(params["b"] + updates["b"]) == bits(params["b"])
    assert all(given["b"] is None and value == 7.0 for given, value in seen)
    updates, state = tx.update(grads, state, value=7.0)
    assert updates["b"] is None


def test_inside_scan_vmap_and_shard_map():
    """Eight problems: side by side, and each on a device of its own."""
    tx = ja.transforms.accumulate_gradients(ja.optimizers.adamw(), 2)
    rng = np.random.default_rng(0)
    params = jnp.asarray(rng.normal(size=(8, 3)))
    grads = jnp.asarray(rng.normal(size=(8, 5, 3)))
    weights = jnp.asarray(rng.integers(1, 9, size=(8, 5)))

    def run(params, grads, weights=None):
        def body(carry, inputs):
            grad, weight = inputs
            updates, state = tx.update(grad, carry[1], carry[0], weight=weight)
            return (carry[0] + updates, state), None

        return jax.lax.scan(body, (params, tx.init(params)), (grads, weights))[0][0]

    one = jax.jit(run, compiler_options=FAST_COMPILE)
    expected = jnp.stack([one(*each) for each in zip(params, grads, weights, strict=True)])
    found = jax.jit(jax.vmap(run), compiler_options=FAST_COMPILE)(params, grads, weights)
    np.testing.assert_allclose(found, expected, rtol=tol.CONTRACT_FLOAT64_OF_MAX)

    expected = jnp.stack([one(*each) for each in zip(params, grads, strict=True)])
    mesh = ja.parallel.make_mesh()
    sharded = jax.shard_map(
        lambda p, g: run(p[0], g[0])[None], mesh=mesh, in_specs=P("data"), out_specs=P("data")
    )
    found = jax.jit(sharded, compiler_options=FAST_COMPILE)(params, grads)
    np.testing.assert_allclose(found, expected, rtol=tol.CONTRACT_FLOAT64_OF_MAX)


def test_errors_name_the_steps():
    make, inner = ja.transforms.accumulate_gradients, ja.optimizers.sgd()
    for error, steps, text in [
        (ValueError, 0, "accumulation steps must be at least 1, got 0"),
        (TypeError, 2.0, "accumulation steps must be an integer, got 2.0"),
        (TypeError, True, "accumulation steps must be an integer, got True"),
    ]:
        with pytest.raises(error, match=text):
            make(inner, steps)


# --- memory -------------------------------------------------------------------------------------


def test_one_buffer_is_all_the_memory():
    """Of a compiled, donated step on given gradients, in gradients' sizes."""
    params = {f"w{i}": jnp.ones((128, 128), jnp.float32) for i in range(8)}
    size = sum(leaf.nbytes for leaf in params.values())
    inner = ja.optimizers.adamw()

    def used(tx):
        def step(grads, state, params):
            updates, state = tx.update(grads, state, params, flush=jnp.asarray(False))
            return optax.apply_updates(params, updates), state

        state = jax.eval_shape(tx.init, params)
        compiled = jax.jit(step, donate_argnums=(1, 2)).lower(params, state, params).compile()
        memory = compiled.memory_analysis()
        # Every output has the place of an input that it replaces.
        assert memory.output_size_in_bytes - memory.alias_size_in_bytes < 0.01 * size
        return memory.argument_size_in_bytes / size, memory.temp_size_in_bytes / size

    plain_arguments, plain_temporary = used(inner)
    arguments, temporary = used(ja.transforms.accumulate_gradients(inner, 4))
    assert arguments == pytest.approx(plain_arguments + 1, abs=0.01)
    # The mean, which is also where the inner transform leaves its updates.
    assert temporary <= plain_temporary + 1.01
