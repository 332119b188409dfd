"""Accumulation inside a step: parts against PyTorch's ``batch[a::A]``, weights, rows, platforms."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import torch

import jaxaccel as ja
from parity_tests import tolerances as tol
from parity_tests.harness import compare

FEATURES = 6
assert_close = functools.partial(compare.assert_close, of_max=tol.TRANSFORM_FLOAT64_OF_MAX)
assert_each_close = functools.partial(
    compare.assert_each_close, relative=tol.TRANSFORM_FLOAT64_OF_MAX
)

forms = pytest.mark.parametrize("unroll", [True, False], ids=["unrolled", "scanned"])


def tokens(batch):
    """Return the number of targets that count: all but padding."""
    return jnp.sum(batch["mask"])


@ja.training.gradients
def masked_gradients(params, model_state, batch):
    errors = (jnp.tanh(batch["x"] @ params["w"]) - batch["y"]) ** 2
    loss = jnp.sum(errors * batch["mask"]) / jnp.sum(batch["mask"])
    return loss, (model_state, {"twice": 2 * loss})


def masked_batch(counts, size=4, seed=0):
    """Return rows of which ``counts[a]`` of the ``size`` ones of part ``a`` count."""
    rng = np.random.default_rng(seed)
    mask = np.stack([np.arange(size) < count for count in counts], axis=1).ravel().astype(float)
    rows = len(mask)
    batch = {"x": rng.normal(size=(rows, FEATURES)), "y": rng.normal(size=rows), "mask": mask}
    return jax.tree.map(jnp.asarray, batch)


# --- which rows, and what they count for --------------------------------------------------------


@forms
def test_parts_are_pytorchs_strided_rows(unroll):
    """BatchNorm sees which rows are together, and in which order the parts come."""
    model, twin = ja.nn.BatchNorm1d(FEATURES), torch.nn.BatchNorm1d(FEATURES).double()
    x = np.random.default_rng(0).normal(size=(12, FEATURES))
    ja.nn.load_state_dict(model, twin.state_dict())
    apply, params, model_state = ja.training.split_model(model)
    params, model_state = jax.tree.map(
        lambda p: p.astype(float) if jnp.issubdtype(p.dtype, jnp.floating) else p,
        (params, model_state),
    )

    def loss_fn(params, model_state, batch):
        outputs, model_state = apply(params, model_state, batch, training=True)
        return jnp.mean(jnp.tanh(outputs + 1) ** 2), (model_state, {})

    gradient_fn = ja.training.accumulate(ja.training.gradients(loss_fn), 3, unroll=unroll)
    grads, model_state, metrics = jax.jit(gradient_fn)(params, model_state, jnp.asarray(x))
    losses = []
    for a in range(3):
        loss = (torch.tanh(twin(torch.tensor(x[a::3])) + 1) ** 2).mean()
        (loss / 3).backward()
        losses.append(loss.item())
    assert_close(metrics["loss"], np.mean(losses))
    assert_close(grads["weight"][...], twin.weight.grad)
    assert_close(model_state["running_mean"][...], twin.running_mean)
    assert_close(model_state["running_var"][...], twin.running_var)


def test_joined_batches_of_a_loader_are_the_parts():
    rng = np.random.default_rng(0)
    batches = [
        {"tokens": rng.integers(9, size=(5, 4)), "x": rng.normal(size=(4, 3)), "table": np.ones(7)}
        for _ in range(3)
    ]
    axes = {"tokens": 1, "x": 0, "table": None}
    joined = ja.training.join_micro_batches(batches, axes)
    seen = []

    @ja.training.gradients
    def record(params, model_state, batch):
        jax.debug.callback(lambda part: seen.append(part), batch, ordered=True)
        return params * 1.0, (model_state, {})

    ja.training.accumulate(record, 3, batch_axes=axes)(1.0, (), joined)
    jax.effects_barrier()
    for given, part in zip(batches, seen, strict=True):
        assert all(np.array_equal(part[name], given[name]) for name in given)
    for wrong, text in [
        ([], "at least one batch"),
        ([batches[0], jax.tree.map(lambda x: x[:, :3] if x.ndim > 1 else x, batches[0])], "rows"),
        ([batches[0], batches[0] | {"table": np.zeros(7)}], "must be the same in all batches"),
    ]:
        with pytest.raises(ValueError, match=text):
            ja.training.join_micro_batches(wrong, axes)


@forms
@pytest.mark.parametrize("counts", [(4, 1, 2), (4, 0, 2)], ids=["some", "a part without any"])
def test_weighted_parts_equal_the_large_batch(counts, unroll):
    """Gradients and metrics; a part without tokens has NaN for both."""
    params = {"w": jnp.asarray(np.random.default_rng(1).normal(size=FEATURES))}
    batch = masked_batch(counts)
    expected = masked_gradients(params, (), batch)
    accumulated = ja.training.accumulate(masked_gradients, 3, unroll=unroll, weight=tokens)
    found = jax.jit(accumulated)(params, (), batch)
    assert_each_close(found.grads["w"], expected.grads["w"])
    for name in ("loss", "twice"):
        assert_close(found.metrics[name], expected.metrics[name])


def test_weighted_parts_over_eight_devices_equal_the_large_batch():
    params = {"w": jnp.ones(FEATURES)}
    batch = masked_batch((4, 1, 2, 4, 3, 1), size=8)
    expected = masked_gradients(params, (), batch)
    parts = ja.training.accumulate(masked_gradients, 3, weight=tokens)
    for gradient_fn in (parts, ja.parallel.data_parallel(parts, ja.parallel.make_mesh())):
        found = jax.jit(gradient_fn)(params, (), batch)
        assert_each_close(found.grads["w"], expected.grads["w"])
        assert_each_close(found.metrics["loss"], expected.metrics["loss"])


def test_parts_that_all_weigh_nothing_give_zeros():
    params = {"w": jnp.ones(FEATURES)}
    accumulated = ja.training.accumulate(masked_gradients, 2, weight=tokens)
    assert not np.any(accumulated(params, (), masked_batch((0, 0))).grads["w"])


@forms
def test_half_precision_parts_are_summed_in_float32(unroll):
    """Parts whose bfloat16 sum would forget every one after the first."""

    @ja.training.gradients
    def mean_of_part(params, model_state, part):
        return jnp.sum(params["w"] * jnp.mean(part, axis=0)), (model_state, {})

    batch = jnp.full((65, 2), 1.0, jnp.bfloat16).at[0].set(512.0)
    params = {"w": jnp.zeros(2, jnp.bfloat16)}
    grads = ja.training.accumulate(mean_of_part, 65, unroll=unroll)(params, (), batch).grads
    assert grads["w"].dtype == jnp.bfloat16
    assert np.array_equal(grads["w"], jnp.full(2, (512 + 64) / 65, jnp.bfloat16))


# --- which axis holds rows ----------------------------------------------------------------------


@ja.training.gradients
def language_model(params, model_state, batch):
    """A loss of (time, batch) tokens, a table of a vocabulary, a key and a number."""
    noise = jax.random.uniform(batch["key"], ())
    scores = jnp.take(params["w"] * batch["table"], batch["tokens"], axis=0) * batch["scale"]
    return jnp.mean((scores + noise) ** 2), (model_state, {})


def test_a_time_by_batch_batch_is_split_along_batch_and_the_rest_is_whole():
    rng = np.random.default_rng(0)
    batch = {
        "tokens": jnp.asarray(rng.integers(7, size=(3, 32))),
        "table": jnp.asarray(rng.normal(size=7)),
        "key": jax.random.key(0),
        "scale": 0.5,
    }
    axes = {"tokens": 1, "table": None, "key": 0, "scale": 0}
    params, mesh = {"w": jnp.asarray(rng.normal(size=7))}, ja.parallel.make_mesh()
    expected = language_model(params, (), batch).grads["w"]
    sharded = ja.parallel.shard_batch(batch, mesh, batch_axes=axes)
    assert sharded["tokens"].sharding.shard_shape((3, 32)) == (3, 4)
    assert sharded["table"].sharding.is_fully_replicated
    for mode in ("jit", "shard_map", "pmap"):
        parts = ja.training.accumulate(language_model, 2, batch_axes=axes)
        wrapped = ja.parallel.data_parallel(parts, mesh, mode=mode, batch_axes=axes)
        assert_close(wrapped(params, (), sharded).grads["w"], expected)


def test_rows_may_be_keys():
    batch = {"key": jax.random.split(jax.random.key(0), 8), "x": jnp.arange(8.0)}

    @ja.training.gradients
    def loss_fn(params, model_state, batch):
        noise = jax.vmap(jax.random.uniform)(batch["key"])
        return jnp.mean(params * noise * batch["x"]), (model_state, {})

    expected = loss_fn(1.0, (), batch).grads
    for mode in ("jit", "shard_map"):
        parts = ja.training.accumulate(loss_fn, 2, unroll=False)
        found = ja.parallel.data_parallel(
            parts, ja.parallel.make_mesh({"data": 4, "m": 2}), mode=mode
        )
        assert_close(found(1.0, (), batch).grads, expected)


def test_leaves_that_disagree_are_listed_with_the_remedy():
    batch = {"x": jnp.ones((8, 2)), "raw key": jax.random.PRNGKey(0), "y": jnp.ones(8)}
    mesh = ja.parallel.make_mesh()
    for call in (
        lambda: ja.training.accumulate(language_model, 2)({}, (), batch),
        lambda: ja.parallel.data_parallel(language_model, mesh)({}, (), batch),
        lambda: ja.parallel.shard_batch(batch, mesh),
    ):
        with pytest.raises(
            ValueError, match=r"batch\['raw key'\] -> 2, batch\['x'\] -> 8.*batch_axes"
        ):
            call()
    with pytest.raises(ValueError, match=r"axis 1 to batch\['y'\], which has 1 axes"):
        ja.parallel.shard_batch({"y": jnp.ones(8)}, mesh, batch_axes=1)
    with pytest.raises(ValueError, match="prefix of the batch's tree"):
        ja.parallel.shard_batch({"y": jnp.ones(8)}, mesh, batch_axes={"x": 0})


def test_a_leaf_may_have_an_axis_of_length_0():
    """As a batch without boxes, or without a second kind of features, has it."""
    batch = {"x": jnp.arange(16.0), "none": jnp.zeros((16, 0, 2))}
    joined = ja.training.join_micro_batches([batch, batch])
    assert joined["none"].shape == (32, 0, 2)

    @ja.training.gradients
    def loss_fn(params, model_state, batch):
        return jnp.mean(params * batch["x"]) + jnp.sum(batch["none"]), (model_state, {})

    expected = loss_fn(1.0, (), joined).grads
    for mode in ("jit", "shard_map", "pmap"):
        parts = ja.training.accumulate(loss_fn, 2)
        wrapped = ja.parallel.data_parallel(parts, ja.parallel.make_mesh(), mode=mode)
        assert_close(wrapped(1.0, (), joined).grads, expected)


# --- where it is lowered ------------------------------------------------------------------------


@pytest.mark.parametrize("mode", [None, "jit", "shard_map", "pmap"])
def test_the_form_is_chosen_where_the_program_is_lowered(mode):
    """Parts are a loop on a TPU and none on a CPU, whatever this machine is; one trace for all."""
    traces = []

    @ja.training.gradients
    def loss_fn(params, model_state, batch):
        traces.append(1)
        return jnp.mean(params * batch), (model_state, {})

    wrapped = ja.training.accumulate(loss_fn, 4)
    if mode is not None:
        wrapped = ja.parallel.data_parallel(wrapped, ja.parallel.make_mesh(), mode=mode)
    program = jax.jit(wrapped).trace(1.0, (), jnp.ones(32))
    assert len(traces) == 1
    for platform, loops in (("tpu", 1), ("cuda", 1), ("cpu", 0)):
        text = program.lower(lowering_platforms=(platform,)).as_text()
        assert text.count("stablehlo.while") == loops, platform
