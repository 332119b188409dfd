"""What an update moves on a TPU, by its compiler: packed parameters, accumulated gradients."""

import importlib.util
import math

import jax
import jax.numpy as jnp
import optax
import pytest

import jaxaccel as ja
from parity_tests.harness.figures import SOONER, mean_bytes

pytestmark = pytest.mark.skipif(
    importlib.util.find_spec("libtpu") is None, reason="libtpu is for Linux alone"
)


MICRO_BATCHES = 4


def figures(tx, shapes, pack=list, loss_fn=None):
    """Return bytes and temporary bytes a parameter of a donated step, a mean over micro-batches.

    The step is on given gradients, or a whole one, on those of a loss of the parameters.
    """
    (device,) = ja.aot.topology_devices("tpu:v5e:1x1")
    place = jax.sharding.SingleDeviceSharding(device)

    def on_device(tree):
        return jax.tree.map(lambda x: jax.ShapeDtypeStruct(x.shape, x.dtype, sharding=place), tree)

    def step(params, state, given):
        grads = given if loss_fn is None else jax.grad(loss_fn)(params, given)
        updates, state = tx.update(grads, state, params)
        return optax.apply_updates(params, updates), state

    made = jax.eval_shape(lambda: pack([jnp.zeros(shape, jnp.float32) for shape in shapes]))
    params, state = on_device(made), on_device(jax.eval_shape(tx.init, made))
    rows = on_device(jax.ShapeDtypeStruct((2 * shapes[0][0], shapes[0][0]), jnp.float32))
    with jax.numpy_dtype_promotion("standard"):  # optax's own
        traced = jax.jit(step, donate_argnums=(0, 1)).trace(
            params, state, params if loss_fn is None else rows
        )
        compiled = traced.lower().compile(None if loss_fn is None else SOONER)
    moved = mean_bytes(compiled, MICRO_BATCHES)
    count = sum(map(math.prod, shapes))
    return moved / count, ja.aot.report(compiled).temporary_bytes / count


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
    """In the update alone; ours moves more in the last of the micro-batches, less in the others."""
    shapes = [(50257, 768)]
    moved, temporary = figures(ja.transforms.accumulate_gradients(ours, MICRO_BATCHES), shapes)
    peer, of_peer = figures(optax.MultiSteps(theirs, MICRO_BATCHES), shapes)
    assert moved <= peer
    assert temporary <= 1.001 * of_peer


def test_a_whole_step_of_a_micro_batch_moves_no_more_than_optaxs():
    """With the gradients, to which a compiler adds where it makes them."""

    def loss_fn(params, x):
        for weight in params:
            x = jnp.tanh(x @ weight)
        return jnp.mean(x**2)

    shapes = [(1024, 1024)] * 2
    ours = ja.transforms.accumulate_gradients(ja.optimizers.adamw(1e-3), MICRO_BATCHES)
    theirs = optax.MultiSteps(optax.adamw(1e-3), MICRO_BATCHES)
    moved, _ = figures(ours, shapes, loss_fn=loss_fn)
    peer, _ = figures(theirs, shapes, loss_fn=loss_fn)
    assert moved <= peer
