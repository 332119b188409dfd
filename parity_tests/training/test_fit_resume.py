"""A run that goes on at any step of any epoch is the run that never ended, bit for bit."""

import random

import jax
import jax.numpy as jnp
import numpy as np

import jaxaccel as ja

EPOCHS, STEPS = 3, 4


def loss_fn(params, model_state, batch, key):
    """A loss with a mask, so that the key of a step counts, and a running statistic."""
    x, shift = batch
    mask = jax.random.bernoulli(key, 0.5, x.shape)
    return jnp.mean(jnp.where(mask, params - x - shift, 0.0) ** 2), (model_state + jnp.mean(x), {})


TX = ja.optimizers.adam(lr=0.1)
SCALER = ja.precision.grad_scaler(init_scale=4.0, growth_interval=2)
STEP = ja.training.train_step(ja.training.gradients(loss_fn), TX, scaler=SCALER)


def run(seed, resume=None, at=None, epochs=EPOCHS):
    """Return a run's end, its history and snapshots after the steps and epochs named in ``at``."""
    ja.training.set_seed(seed)
    generator, found = ja.random.manual_seed(seed), []

    def batches(epoch):
        order = generator.randperm(2 * STEPS + 1)  # drawn at the start of an epoch
        for begin in range(0, 2 * STEPS + 1, 2):
            if begin < 2 * STEPS:  # and on the way: Python's and NumPy's global streams
                shift = random.random() + np.random.normal()  # noqa: NPY002
                yield jnp.asarray(order[begin : begin + 2], float), jnp.asarray(shift)

    def take(run, memory):
        here = run.total_steps, run.is_epoch_end
        if here == at:
            tree, extra = run.snapshot()
            found.append(ja.training.Snapshot(jax.tree.map(host, tree), extra))
        return ja.training.Reply(memory={"calls": memory["calls"] + 1, "sum": memory["sum"] + 1.0})

    first = ja.training.train_state(
        jnp.zeros(()), TX, jnp.zeros(()), key=jax.random.key(seed), scaler=SCALER
    )
    counting = ja.training.Callback(
        "counting", {"calls": 0, "sum": np.zeros(2)}, on_step=take, on_epoch=take
    )
    state, history = ja.training.fit(
        STEP,
        first,
        batches,
        epochs=epochs,
        callbacks=[counting],
        progress=False,
        generator=generator,
        resume=resume,
    )
    return state, history, found


def host(leaf):
    """Return a copy that the next step does not overwrite."""
    return leaf.copy() if is_key(leaf) else np.array(leaf)


def is_key(leaf):
    return isinstance(leaf, jax.Array) and jnp.issubdtype(leaf.dtype, jax.dtypes.prng_key)


def bits(leaf):
    return np.asarray(jax.random.key_data(leaf) if is_key(leaf) else leaf).tobytes()


def test_a_resumed_run_has_the_same_bits():
    """In the first, a middle and the last step of an epoch, and between epochs."""
    whole, history, _ = run(0)
    expected = jax.tree.map(host, whole)
    for at in [(1, False), (4, False), (4, True), (6, False), (12, False), (12, True)]:
        _, _, (snapshot,) = run(0, at=at)
        state, resumed, _ = run(1, resume=snapshot)
        pairs = zip(jax.tree.leaves(expected), jax.tree.leaves(state), strict=True)
        assert all(bits(one) == bits(other) for one, other in pairs), at
        for one, other in zip(history.epochs, resumed.epochs, strict=True):
            assert {**one, "seconds": 0} == {**other, "seconds": 0}, at
        if at[0] < EPOCHS * STEPS:
            assert resumed.steps["loss"][-1] == history.steps["loss"][-1], at
