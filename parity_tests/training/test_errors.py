"""Meshes, batches and steps that cannot be: the text names the value and the remedy."""

import collections

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
import torch
from flax import nnx
from jax.sharding import AxisType

import jaxaccel as ja


@ja.training.gradients
def gradients(params, model_state, batch):
    return jnp.mean((params - batch) ** 2), (model_state, {})


def step_on(batch, gradient_fn=gradients, **kwargs):
    """Build a training step and call it once."""
    tx = ja.optimizers.sgd()
    state = ja.training.train_state(jnp.zeros(()), tx)
    return ja.training.train_step(gradient_fn, tx, **kwargs)(state, batch)


def mesh(**shape):
    return ja.parallel.make_mesh(shape or None)


def parallel(**kwargs):
    return ja.parallel.data_parallel(gradients, **({"mesh": mesh()} | kwargs))


def explicit(kind=AxisType.Explicit):
    return jax.sharding.Mesh(np.array(jax.devices()), ("data",), axis_types=(kind,))


OTHER_DEVICE = collections.namedtuple("Device", "platform device_kind")("tpu", "v9")


def on(batch, **kwargs):
    return parallel(**kwargs)(jnp.ones(()), (), batch)


def fit(**kwargs):
    tx = ja.optimizers.sgd()
    state = ja.training.train_state(jnp.zeros(()), tx)
    ja.training.fit(ja.training.train_step(gradients, tx), state, progress=False, **kwargs)


def fit_with(step, batches=lambda epoch: [jnp.ones(2)], **kwargs):
    state = ja.training.train_state(jnp.zeros(()), ja.optimizers.sgd())
    ja.training.fit(step, state, batches, progress=False, **kwargs)


def evaluate(metric_fn=lambda p, s, b: {"x": b}, params=0.0, batches=()):
    ja.training.evaluate(metric_fn, params, (), batches)


def keyed(takes, key):
    """Call a loss function with a key, or without one."""
    losses = {
        "none": lambda params, state, batch: (jnp.mean(params * batch), (state, {})),
        "needed": lambda params, state, batch, key: (jnp.mean(params * batch), (state, {})),
    }
    state = ja.training.train_state(jnp.ones(()), ja.optimizers.sgd(), key=key)
    gradient_fn = ja.training.gradients(losses[takes])
    ja.training.train_step(gradient_fn, ja.optimizers.sgd())(state, jnp.ones(2))


def donated():
    tx = ja.optimizers.sgd()
    state = ja.training.train_state(jnp.zeros(()), tx)
    step = ja.training.train_step(gradients, tx)
    step(state, jnp.ones(2))
    step(state, jnp.ones(2))


def step_of(state, batch=None):
    ja.training.train_step(gradients, ja.optimizers.sgd())(state, batch)


def own(params, model_state, batch, *, loss_scale=None, key=None):
    """A gradient function of a user's own, in order; each row below replaces something."""
    return ja.training.Gradients(params * 0, model_state, {"loss": params})


def returning(change, state=(), wrap=lambda g: g):
    """Train a step with the gradient function above, changed in what it returns."""

    def gradient_fn(*args, **kwargs):
        return change(own(*args, **kwargs))

    tx = optax.sgd(0.1)
    start = ja.training.train_state(jnp.zeros((2,)), tx, state)
    ja.training.train_step(wrap(gradient_fn), tx)(start, jnp.ones(8))


def accumulated(gradient_fn):
    return ja.training.accumulate(gradient_fn, 2, unroll=False)


def model():
    return ja.nn.Linear(2, 3, rngs=ja.random.manual_seed(0))


WRONG = {
    "gradients of a model": (lambda: ja.training.gradients(model()), ["loss function", "Linear"]),
    "gradients of gradients": (
        lambda: ja.training.gradients(gradients),
        ["gradient function already", "train_step"],
    ),
    "gradients of a number": (lambda: ja.training.gradients(0.5), ["gradients", "function", "0.5"]),
    "step of a model": (
        lambda: ja.training.train_step(model(), ja.optimizers.sgd()),
        ["train_step takes a gradient function", "model Linear", "training.gradients"],
    ),
    "step of a loss": (
        lambda: ja.training.train_step(lambda p, s, b: p, ja.optimizers.sgd()),
        ["train_step takes a gradient function", "training.gradients"],
    ),
    "step of swapped arguments": (
        lambda: ja.training.train_step(ja.optimizers.sgd(), gradients),
        ["train_step", "function", "sgd()"],
    ),
    "a pair of one's own": (
        lambda: returning(lambda g: (g.grads, g.metrics)),
        ["train_step: a gradient function must return training.Gradients(", "got tuple"],
    ),
    "a pair in parts": (
        lambda: returning(lambda g: (g.grads, g.metrics), wrap=accumulated),
        ["accumulate: a gradient function must return training.Gradients(", "got tuple"],
    ),
    "a pair on devices": (
        lambda: returning(
            lambda g: (g.grads, g.metrics), wrap=lambda g: ja.parallel.data_parallel(g, mesh())
        ),
        ["data_parallel: a gradient function must return training.Gradients(", "got tuple"],
    ),
    "metrics without a loss": (
        lambda: returning(lambda g: g._replace(metrics={"error": 0.0})),
        ["metrics with the mean loss", "error"],
    ),
    "a metric that is a text": (
        lambda: returning(lambda g: g._replace(metrics={"loss": "0"})),
        ["metrics['loss'] is a builtins.str"],
    ),
    "gradients of another shape": (
        lambda: returning(lambda g: g._replace(grads=jnp.ones(3)), wrap=accumulated),
        ["accumulate: the gradient of", "(3,)", "(2,)"],
    ),
    "gradients of another tree": (
        lambda: returning(lambda g: g._replace(grads={"w": jnp.ones(2)})),
        ["train_step takes an array as the gradient of", "dict"],
    ),
    "gradients of other names": (
        lambda: ja.training.accumulate(
            lambda p, s, b, loss_scale=None, key=None: ja.training.Gradients(
                {"v": p["w"]}, s, {"loss": 1.0}
            ),
            2,
        )({"w": 1.0}, (), jnp.ones(4)),
        ["accumulate: the gradients and the parameters are different trees", "'w'", "'v'"],
    ),
    "a state of another shape in parts": (
        lambda: returning(
            lambda g: g._replace(model_state={"mean": jnp.ones((3,))}),
            state={"mean": jnp.ones((2,), jnp.float32)},
            wrap=accumulated,
        ),
        ["model_state at 'mean'", "[3]", "float32[2]"],
    ),
    "a state of another dtype in parts": (
        lambda: returning(
            lambda g: g._replace(model_state={"mean": jnp.ones((2,), jnp.bfloat16)}),
            state={"mean": jnp.ones((2,), jnp.float32)},
            wrap=accumulated,
        ),
        ["the gradient function returned model_state at 'mean' as bfloat16[2]", "float32[2]"],
    ),
    "a state of another dtype of a loss": (
        lambda: ja.training.gradients(lambda p, s, b: (p, (s.astype(jnp.bfloat16), {})))(
            1.0, jnp.ones(2), None
        ),
        ["the loss function returned model_state at", "bfloat16[2]"],
    ),
    "a step of a plateau": (
        lambda: ja.training.train_step(gradients, ja.schedules.reduce_lr_on_plateau(0.1)),
        ["train_step takes a transformation", "plateau.transformation"],
    ),
    "a step of two gradient functions": (
        lambda: ja.training.train_step(gradients, gradients),
        ["train_step takes a transformation", "the gradient function gradient_fn"],
    ),
    "a state of swapped arguments": (
        lambda: ja.training.train_state(ja.optimizers.sgd(), {"w": jnp.ones(2)}),
        ["params and tx are in each other's place: train_state(params, tx)"],
    ),
    "step on parameters": (lambda: step_of({"w": 1.0}), ["TrainState", "dict", "train_state("]),
    "step on a donated state": (donated, ["earlier step", "donate=False", "the step returned"]),
    "tensor in a batch": (
        lambda: step_on({"x": torch.ones(2)}),
        ["batch['x']", "torch.Tensor", "numpy()"],
    ),
    "text in a batch": (lambda: step_on([jnp.ones(2), "a"]), ["batch[1]", "str"]),
    "tensor to evaluate": (
        lambda: evaluate(batches=[torch.ones(2)]),
        ["batch is a torch.Tensor", "numpy()"],
    ),
    "key without a taker": (lambda: keyed("none", jax.random.key(0)), ["takes no key", "key="]),
    "taker without a key": (lambda: keyed("needed", None), ["needs key=", "jax.random.key(seed)"]),
    "state of a model": (
        lambda: ja.training.train_state(model(), ja.optimizers.sgd()),
        ["tree of arrays", "Linear", "split_model"],
    ),
    "integer parameters": (
        lambda: ja.training.gradients(lambda p, s, b: (0.0, (s, {})))({"n": 3}, (), None),
        ["floating point and complex dtype can require gradients", "'n'", "model_state"],
    ),
    "fit without a function of epochs": (
        lambda: fit_with(ja.training.train_step(gradients, ja.optimizers.sgd()), [jnp.ones(2)]),
        ["batches", "function", "list"],
    ),
    "fit a gradient function": (lambda: fit_with(gradients), ["step", "training.train_step"]),
    "fit a state": (lambda: fit_with({"w": 1.0}), ["step", "function", "dict"]),
    "fit with measurements": (
        lambda: fit_with(lambda s, b: (s, {}), evaluate={"x": 1.0}),
        ["evaluate", "function", "dict"],
    ),
    "evaluate a model": (lambda: evaluate(model()), ["metric_fn", "Linear"]),
    "evaluate a state": (
        lambda: evaluate(params=ja.training.train_state(jnp.ones(()), ja.optimizers.sgd())),
        ["TrainState", "state.params, state.model_state"],
    ),
    "evaluate a function of epochs": (
        lambda: evaluate(batches=lambda epoch: []),
        ["batches", "iterable"],
    ),
    "evaluate other metrics for a later batch": (
        lambda: evaluate(
            lambda p, s, b: {"x": b} if len(b) == 2 else {"x": b, "y": b},
            batches=[jnp.ones(2), jnp.ones(3)],
        ),
        ["metric_fn must return the same metrics", "['x', 'y'] for one", "['x'] for the first"],
    ),
    "fit with other metrics for a later batch": (
        lambda: fit_with(
            lambda s, b: (s, {"x": 1.0} if b.ndim else {}),
            lambda epoch: [jnp.ones(2), jnp.ones(())],
        ),
        ["step must return the same metrics", "[] for one", "['x'] for the first"],
    ),
    "fit without metrics": (
        lambda: fit_with(lambda s, b: (s, None)),
        ["metrics of step(state, batch) must be {name: number}", "None"],
    ),
    "fit with a metric of each row": (
        lambda: fit_with(lambda s, b: (s, {"x": b})),
        ["metric 'x' of step(state, batch) must be one number", "(2,)"],
    ),
    "fit with a text for a metric": (
        lambda: fit_with(lambda s, b: (s, {"x": "1"})),
        ["the metrics of step(state, batch)['x'] is a builtins.str"],
    ),
    "fit with a measurement that is a number": (
        lambda: fit_with(lambda s, b: (s, {"x": 1.0}), evaluate=lambda s: 0.5),
        ["evaluate(state) must be {name: number}", "0.5"],
    ),
    "join batches of other structures": (
        lambda: ja.training.join_micro_batches([{"x": jnp.ones(2)}, [jnp.ones(2)]]),
        ["same structure", "batches[1]"],
    ),
    "join batches of other shapes": (
        lambda: ja.training.join_micro_batches([jnp.ones((2, 3)), jnp.ones((2, 4))]),
        ["same shape", "(2, 3)", "(2, 4)"],
    ),
    "mesh size zero": (lambda: mesh(data=0), ["'data'", "positive or -1", "0"]),
    "mesh size negative": (lambda: mesh(data=-2), ["'data'", "positive or -1", "-2"]),
    "mesh with two free axes": (lambda: mesh(a=-1, b=-1), ["only one", "'a'", "'b'"]),
    "mesh too small": (lambda: mesh(data=4), ["'data': 4", "8 devices", "change a size"]),
    "mesh too large": (lambda: mesh(a=4, b=4), ["'a': 4", "8 devices", "change a size"]),
    "mesh with a rest": (lambda: mesh(a=3, b=-1), ["'a': 3", "8 devices", "change a size"]),
    "mesh of other devices": (
        lambda: ja.parallel.make_mesh({"data": 8}, devices=jax.devices()[:3]),
        ["'data': 8", "3 devices", "devices="],
    ),
    "mesh of a number": (
        lambda: ja.parallel.make_mesh(8),
        ["shape", "8", "make_mesh({"],
    ),
    "mesh of a text": (lambda: ja.parallel.make_mesh("data"), ["shape", "'data'", "make_mesh({"]),
    "mesh without an axis": (lambda: ja.parallel.make_mesh({}), ["at least one axis", "{}"]),
    "mesh axis that is a number": (lambda: ja.parallel.make_mesh({1: 8}), ["names", "{1: 8}"]),
    "mesh size a fraction": (lambda: mesh(data=8.0), ["'data'", "8.0", "whole number"]),
    "mesh size a text": (lambda: mesh(data="8"), ["'data'", "'8'", "whole number"]),
    "mesh size a bool": (lambda: mesh(data=True), ["'data'", "True", "whole number"]),
    "mesh without a device": (lambda: ja.parallel.make_mesh(devices=[]), ["one device", "[]"]),
    "mesh of a number of devices": (
        lambda: ja.parallel.make_mesh(devices=8),
        ["devices", "8"],
    ),
    "mesh of numbers of devices": (
        lambda: ja.parallel.make_mesh(devices=[0, 1]),
        ["devices", "[0, 1]", "jax.devices()"],
    ),
    "mesh with a device twice": (
        lambda: ja.parallel.make_mesh(devices=jax.devices()[:1] * 2),
        ["once", "devices="],
    ),
    "mesh of two kinds of devices": (
        lambda: ja.parallel.make_mesh(devices=[jax.devices()[0], OTHER_DEVICE]),
        ["one kind", "'tpu v9'", "jax.devices(platform)"],
    ),
    "not a mesh": (lambda: parallel(mesh="data"), ["mesh", "Mesh", "'data'"]),
    "not a mesh to replicate on": (
        lambda: ja.parallel.replicate(jnp.ones(8), None),
        ["mesh", "Mesh", "None"],
    ),
    "an abstract mesh to shard over": (
        lambda: ja.parallel.shard_batch(jnp.ones(8), mesh().abstract_mesh),
        ["mesh", "AbstractMesh", "make_mesh()"],
    ),
    "pmap on an abstract mesh": (
        lambda: parallel(mesh=mesh().abstract_mesh, mode="pmap"),
        ["'pmap'", "mesh of devices", "'shard_map'"],
    ),
    "a mesh of manual axes": (
        lambda: ja.parallel.shard_batch(jnp.ones(8), explicit(AxisType.Manual)),
        ["automatic or explicit", "['data']", "make_mesh()"],
    ),
    "axis a number": (lambda: parallel(axis=0), ["axis", "0", "name one of them"]),
    "axis twice": (lambda: parallel(axis=("data", "data")), ["('data', 'data')", "each once"]),
    "texts to shard": (
        lambda: ja.parallel.shard_batch({"names": np.array(["a"] * 8)}, mesh()),
        ["['names']", "<U1", "pass arrays"],
    ),
    "objects to replicate": (
        lambda: ja.parallel.replicate([object], mesh()),
        ["[0]", "object", "pass arrays"],
    ),
    "a raw key": (
        lambda: parallel(mode="shard_map")(
            jnp.ones(()), (), jnp.ones(8), key=jax.random.PRNGKey(0)
        ),
        ["typed key", "jax.random.key(seed)"],
    ),
    "a raw key in a state": (
        lambda: parallel(mode="shard_map")(
            jnp.ones(()), {"noise": {"key": jax.random.PRNGKey(0)}}, jnp.ones(8)
        ),
        ["'noise.key'", "(2,)", "raw key", "jax.random.key(seed)", "wrap_key_data"],
    ),
    "raw keys in a variable": (
        lambda: parallel(mode="pmap")(
            jnp.ones(()),
            nnx.State({"key": nnx.RngKey(jax.random.split(jax.random.PRNGKey(0), 3), tag="a")}),
            jnp.ones(8),
        ),
        ["'key'", "(3, 2)", "raw key", "jax.random.key(seed)"],
    ),
    "weight of each row": (
        lambda: on(jnp.ones(8), mode="shard_map", weight=lambda rows: rows),
        ["weight", "one real number", "sum over the rows"],
    ),
    "weight of each row of a part": (
        lambda: ja.training.accumulate(gradients, 2, weight=lambda rows: rows)(
            jnp.ones(()), (), jnp.ones(8)
        ),
        ["weight", "one real number", "sum over the rows"],
    ),
    "weight without a number": (
        lambda: on(jnp.ones(8), mode="pmap", weight=lambda rows: None),
        ["weight", "one real number", "None"],
    ),
    "unknown mode": (lambda: parallel(mode="ddp"), ["'ddp'", "'jit', 'shard_map' or 'pmap'"]),
    "unknown axis": (lambda: parallel(axis="model"), ["'data'", "axis='model'"]),
    "one unknown axis of two": (
        lambda: parallel(axis=("data", "model")),
        ["'data'", "axis=('data', 'model')"],
    ),
    "pmap on two axes": (
        lambda: parallel(mesh=mesh(data=4, model=2), mode="pmap"),
        ["one axis", "('data', 'model')", "'shard_map'"],
    ),
    "pmap on an explicit axis": (
        lambda: parallel(mesh=explicit(), mode="pmap"),
        ["automatic axis", "'data'", "'shard_map'"],
    ),
    "batch in parallel": (
        lambda: on(jnp.ones(12)),
        ["batch of 12", "8 devices", "'data'", "multiple of 8"],
    ),
    "batch under shard_map": (
        lambda: on(jnp.ones(12), mode="shard_map"),
        ["batch of 12", "8 devices", "multiple of 8"],
    ),
    "batch under pmap": (
        lambda: on(jnp.ones(12), mode="pmap"),
        ["batch of 12", "8 devices", "multiple of 8"],
    ),
    "batch over two axes": (
        lambda: on(jnp.ones(12), mesh=mesh(a=4, b=2), axis=("a", "b")),
        ["batch of 12", "8 devices", "('a', 'b')"],
    ),
    "batch to shard": (
        lambda: ja.parallel.shard_batch({"x": jnp.ones(9), "y": jnp.ones(9)}, mesh()),
        ["batch of 9", "8 devices", "multiple of 8"],
    ),
    "axis of a batch": (
        lambda: ja.parallel.shard_batch(jnp.ones(8), mesh(), axis="model"),
        ["'data'", "axis='model'"],
    ),
    "metric with an axis": (
        lambda: ja.training.gradients(
            lambda params, state, batch: (jnp.sum(params * batch), (state, {"errors": batch}))
        )(jnp.ones(()), (), jnp.ones(3)),
        ["'errors'", "(3,)", "mean"],
    ),
    "no accumulation step": (lambda: ja.training.accumulate(gradients, 0), ["at least 1", "0"]),
    "accumulation steps fractional": (
        lambda: ja.training.accumulate(gradients, 2.0),
        ["steps", "int", "2.0"],
    ),
    "batch to accumulate": (
        lambda: step_on(jnp.ones(6), ja.training.accumulate(gradients, 4)),
        ["batch of 6", "4 accumulation steps", "multiple of 4"],
    ),
    "batch of a parallel step": (
        lambda: step_on(jnp.ones(6), parallel()),
        ["batch of 6", "8 devices", "multiple of 8"],
    ),
    "step with a negative norm": (lambda: step_on(None, max_grad_norm=-1.0), ["max_norm", "-1.0"]),
    "step with a norm that is a text": (
        lambda: step_on(None, max_grad_norm="1"),
        ["max_grad_norm", "'1'"],
    ),
    "epochs negative": (lambda: fit(batches=lambda epoch: [], epochs=-1), ["epochs", "-1"]),
    "epoch without a batch": (lambda: fit(batches=lambda epoch: []), ["epoch 0", "no batch"]),
}


@pytest.mark.parametrize("wrong", WRONG)
def test_error_names_the_value_and_the_remedy(wrong):
    call, fragments = WRONG[wrong]
    with pytest.raises((ValueError, TypeError)) as raised:
        call()
    for fragment in fragments:
        assert fragment in str(raised.value)


def test_pmap_in_several_processes(monkeypatch):
    monkeypatch.setattr(jax, "process_count", lambda: 2)
    with pytest.raises(ValueError, match=r"'pmap' runs in one process, got 2; use 'shard_map'"):
        parallel(mode="pmap")
