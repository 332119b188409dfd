"""Random masks: other ones on every device, in every part, at every step; the same in every run."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

import jaxaccel as ja
from parity_tests import tolerances as tol

FEATURES, ROWS, STEPS = 3000, 32, 3
WANTED = 0.5 / np.sqrt(ROWS)
"""The deviation of a mean of so many fair coins; equal masks on eight devices would make it .25."""


def by_key(params, model_state, batch, key):
    return jnp.mean(params * coins(key, batch)), (model_state, {})


def by_state(params, model_state, batch):
    """A state that splits its own key, as a model may do."""
    new, used = jax.random.split(model_state["key"])
    return jnp.mean(params * coins(used, batch)), ({"key": new}, {})


def coins(key, batch):
    return jnp.mean(jax.random.bernoulli(key, 0.5, batch.shape).astype(float), 0) * FEATURES


dropout = ja.nn.Dropout(0.5, rngs=nnx.Rngs(7))
apply, NO_PARAMS, OF_LAYER = ja.training.split_model(dropout)


def by_layer(params, model_state, batch):
    kept, model_state = apply(NO_PARAMS, model_state, 0.5 * batch, training=True)
    return jnp.mean(params * jnp.mean(kept, axis=0)) * FEATURES, (model_state, {})


LOSSES = {
    "key": (by_key, ()),
    "state": (by_state, {"key": jax.random.key(3)}),
    "layer": (by_layer, OF_LAYER),
}


def masks(loss, mode, order):
    """Return the mean mask of each of some steps (gradients of weights), the same in two runs."""
    loss_fn, model_state = LOSSES[loss]
    mesh, gradient_fn = ja.parallel.make_mesh(), ja.training.gradients(loss_fn)
    for wrapper in order:
        if wrapper == "dp":
            gradient_fn = ja.parallel.data_parallel(gradient_fn, mesh, mode=mode)
        else:
            gradient_fn = ja.training.accumulate(gradient_fn, 2)
    key = jax.random.key(5) if loss == "key" else None
    tx = ja.optimizers.sgd(lr=1.0)
    step = ja.training.train_step(gradient_fn, tx)
    batch, runs = ja.parallel.shard_batch(jnp.ones((ROWS, FEATURES)), mesh), []
    for _ in range(2):
        state = ja.training.train_state(jnp.ones(FEATURES), tx, model_state, key=key, mesh=mesh)
        found = [np.ones(FEATURES)]
        for _ in range(STEPS):
            state, _ = step(state, batch)
            found.append(np.asarray(state.params))
        runs.append(-np.diff(found, axis=0))
    assert np.array_equal(*runs)
    return runs[0], state


@pytest.mark.parametrize("mode", ["jit", "shard_map", "pmap"])
@pytest.mark.parametrize("loss", LOSSES)
def test_masks_differ_by_device_part_and_step_and_repeat(loss, mode):
    for order in (("acc", "dp"), ("dp", "acc")):
        found, state = masks(loss, mode, order)
        assert np.std(found, axis=1) == pytest.approx([WANTED] * STEPS, rel=tol.MASK_STD_RELATIVE)
        assert np.std(np.mean(found, axis=0)) == pytest.approx(
            WANTED / np.sqrt(STEPS), rel=tol.MASK_STD_RELATIVE
        )
    if loss == "state":  # goes on as on one device: the first keeps the key
        expected = LOSSES[loss][1]["key"]
        for _ in range(2 * STEPS):
            expected = jax.random.split(expected)[0]
        assert jnp.all(
            jax.random.key_data(state.model_state["key"]) == jax.random.key_data(expected)
        )
    if loss == "layer":
        counts = [leaf for leaf in jax.tree.leaves(state.model_state) if leaf.dtype == jnp.uint32]
        assert [int(count) for count in counts] == [2 * STEPS]


@pytest.mark.parametrize("mode", ["jit", "shard_map", "pmap"])
def test_a_raw_key_of_a_state_is_one_for_the_whole_batch_or_refused(mode):
    """A device cannot tell it from numbers; counters of streams are never keys."""
    loss_fn, _ = LOSSES["state"]
    gradient_fn = ja.parallel.data_parallel(
        ja.training.gradients(loss_fn), ja.parallel.make_mesh(), mode=mode
    )
    counts = {"count": nnx.RngCount(jnp.zeros((3, 2), jnp.uint32), tag="a")}
    arguments = jnp.ones(FEATURES), {"key": jax.random.PRNGKey(3)}, jnp.ones((ROWS, FEATURES))
    if mode == "jit":
        found = gradient_fn(*arguments).grads
        assert np.std(found) == pytest.approx(WANTED, rel=tol.MASK_STD_RELATIVE)
    else:
        with pytest.raises(
            TypeError, match=r"model_state at 'key', uint32 of shape \(2,\), is a raw"
        ):
            gradient_fn(*arguments)

    def counted(params, model_state, batch):
        return jnp.mean(params * batch), (model_state, {})

    run = ja.parallel.data_parallel(
        ja.training.gradients(counted), ja.parallel.make_mesh(), mode=mode
    )
    kept = run(jnp.ones(()), nnx.State(counts), jnp.ones(ROWS)).model_state
    assert kept["count"][...].tolist() == [[0, 0]] * 3
