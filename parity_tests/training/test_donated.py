"""What was donated is named wherever it is handed in again, with what to hand in instead."""

import jax
import jax.numpy as jnp
import pytest
from flax import nnx

import jaxaccel as ja


def gone(tree):
    """Return a copy of a tree as a donating program leaves its arguments."""
    copy = jax.tree.map(jnp.copy, tree)
    for leaf in jax.tree.leaves(copy):
        leaf.delete()
    return copy


def loss_fn(params, model_state, batch):
    return jnp.mean(params["w"] * batch), (model_state, {})


PARAMS = {"w": jnp.ones(8, jnp.float32)}
GONE = gone(PARAMS)
BATCH = jnp.ones(8)
TX = ja.optimizers.sgd(0.1, momentum=0.9)
GROUPS = ja.optimizers.param_groups(ja.optimizers.sgd, [], lr=0.1)
GRADIENT_FN = ja.training.gradients(loss_fn)
MODEL = ja.nn.Linear(2, 2, rngs=ja.random.manual_seed(0))
APPLY, OF_MODEL, REST = ja.training.split_model(MODEL)


def mesh():
    return ja.parallel.make_mesh()


def parallel(*args):
    ja.parallel.data_parallel(GRADIENT_FN, mesh())(*args)


def accumulated(*args):
    ja.training.accumulate(GRADIENT_FN, 2)(*args)


def evaluate(params, batch, model_state=()):
    ja.training.evaluate(lambda p, s, b: {"x": p["w"] * b}, params, model_state, [batch])


def state():
    return ja.training.train_state(PARAMS, TX)


def step(state, batch):
    ja.training.train_step(GRADIENT_FN, TX)(state, batch)


CALLS = {
    "the batch of a step": (lambda: step(state(), GONE), "batch at 'w'"),
    "a whole batch": (lambda: GRADIENT_FN(PARAMS, (), GONE["w"]), "batch, float32 of shape (8,)"),
    "parameters of a gradient": (lambda: GRADIENT_FN(GONE, (), BATCH), "params at 'w'"),
    "parameters in parts": (lambda: accumulated(GONE, (), BATCH), "params at 'w'"),
    "a batch in parts": (lambda: accumulated(PARAMS, (), GONE), "batch at 'w'"),
    "parameters on a mesh": (lambda: parallel(GONE, (), BATCH), "params at 'w'"),
    "model state on a mesh": (lambda: parallel(PARAMS, GONE, BATCH), "model_state at 'w'"),
    "a batch on a mesh": (lambda: parallel(PARAMS, (), GONE), "batch at 'w'"),
    "train_state": (lambda: ja.training.train_state(GONE, TX), "params at 'w'"),
    "its model state": (lambda: ja.training.train_state(PARAMS, TX, GONE), "model_state at 'w'"),
    "evaluate": (lambda: evaluate(GONE, BATCH), "params at 'w'"),
    "evaluate's batch": (lambda: evaluate(PARAMS, GONE), "batch at 'w'"),
    "evaluate's state": (lambda: evaluate(PARAMS, BATCH, GONE), "model_state at 'w'"),
    "merge": (
        lambda: ja.training.merge(MODEL, gone(nnx.state(MODEL))),
        "params at 'bias', float32 of shape (2,)",
    ),
    "a model's call": (
        lambda: APPLY(gone(OF_MODEL), REST, jnp.ones((1, 2), jnp.float32), training=True),
        "params at 'bias'",
    ),
    "unpacked": (
        lambda: ja.training.unpacked(gone(ja.training.packed({"a": BATCH, "b": BATCH}))),
        "tree at 'buffers.0'",
    ),
    "replicate": (lambda: ja.parallel.replicate(GONE, mesh()), "tree at 'w'"),
    "shard_batch": (lambda: ja.parallel.shard_batch(GONE, mesh()), "tree at 'w'"),
    "gradients": (lambda: TX.update(GONE, TX.init(PARAMS), PARAMS), "gradients at 'w'"),
    "parameters": (lambda: TX.update(PARAMS, TX.init(PARAMS), GONE), "params at 'w'"),
    "an optimizer's state": (
        lambda: TX.update(PARAMS, gone(TX.init(PARAMS)), PARAMS),
        "state at 'step', int32 of shape ()",
    ),
    "init": (lambda: TX.init(GONE), "params at 'w'"),
    "get_total_norm": (lambda: ja.transforms.get_total_norm(GONE), "tensors at 'w'"),
    "get_hyperparams": (
        lambda: ja.optimizers.get_hyperparams(gone(GROUPS.init(PARAMS))),
        "state at ",
    ),
    "set_hyperparams": (
        lambda: ja.optimizers.set_hyperparams(gone(GROUPS.init(PARAMS)), lr=0.2),
        "state at ",
    ),
}


@pytest.mark.parametrize("what", CALLS)
def test_what_was_donated_is_named_with_the_remedy(what):
    call, text = CALLS[what]
    with pytest.raises(ValueError, match="donate=False") as raised:
        call()
    assert str(raised.value).startswith(text), str(raised.value)
    assert "go on with the state that the step returned" in str(raised.value)
