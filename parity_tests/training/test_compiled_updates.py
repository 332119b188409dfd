"""What an update moves on a TPU, by its compiler: packed parameters, accumulated gradients."""

import importlib.util
import math

import jax
import jax.numpy as jnp
import optax
import pytest

import jaxaccel as ja

pytestmark = pytest.mark.skipif(
    importlib.util.find_spec("libtpu") is None, reason="libtpu is for Linux alone"
)


def figures(tx, shapes, pack=list):
    """Return bytes and temporary bytes a parameter of a donated step on given gradients."""
    (device,) = ja.aot.topology_devices("tpu:v5e:1x1")
    place = jax.sharding.SingleDeviceSharding(device)

    def on_device(tree):
        return jax.tree.map(lambda x: jax.ShapeDtypeStruct(x.shape, x.dtype, sharding=place), tree)

    def step(params, state, grads):
        updates, state = tx.update(grads, state, params)
        return optax.apply_updates(params, updates), state

    made = jax.eval_shape(lambda: pack([jnp.zeros(shape, jnp.float32) for shape in shapes]))
    params, state = on_device(made), on_device(jax.eval_shape(tx.init, made))
    with jax.numpy_dtype_promotion("standard"):  # optax's own
        lowered = jax.jit(step, donate_argnums=(0, 1)).lower(params, state, params)
    report = ja.aot.report(lowered.compile())
    count = sum(map(math.prod, shapes))
    return report.bytes_accessed / count, report.temporary_bytes / count


def test_a_packed_step_moves_what_it_must():
    """AdamW reads parameter, gradient and two moments, writes all but the gradient: 28 bytes."""
    moved, temporary = figures(ja.optimizers.adamw(), [(512,)] * 200, ja.training.packed)
    assert 28 <= moved < 28.4
    assert temporary == 0


@pytest.mark.parametrize(
    ("ours", "theirs"),
    [
        (ja.optimizers.adamw(1e-3), optax.adamw(1e-3)),
        (ja.optimizers.sgd(1e-3, momentum=0.9), optax.sgd(1e-3, 0.9)),
    ],
    ids=["adamw", "sgd"],
)
def test_accumulated_gradients_move_no_more_than_optaxs(ours, theirs):
    """In a step of the optimizer; between those ours moves about half of it, optax's all of it."""
    shapes = [(50257, 768)]
    moved, temporary = figures(ja.transforms.accumulate_gradients(ours, 4), shapes)
    peer, of_peer = figures(optax.MultiSteps(theirs, 4), shapes)
    assert moved <= peer
    assert temporary <= of_peer
