"""Whole networks in shares: the steps of ZeRO and FSDP against those of one device."""

import functools
import re

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

import jaxaccel as ja
from jaxaccel._keys import is_key
from parity_tests import tolerances as tol
from parity_tests.harness.compare import assert_close, assert_same_tree
from parity_tests.harness.network import (
    classification_loss,
    conv_net,
    images_and_labels,
    weights_of,
)

STEPS = 3
FULL, BY_COMPILER = {"strategy": "FULL_SHARD"}, {"strategy": "FULL_SHARD", "mode": "jit"}
HYBRID = {"strategy": "HYBRID_SHARD", "replica_axis": "replica"}
PAIRS = {"replica": 4, "data": 2}


@pytest.fixture(autouse=True)
def optax_losses():
    """Optax's loss mixes int32 and float64."""
    with jax.numpy_dtype_promotion("standard"):
        yield


def in_shares(gradient_fn, options, shape=None):
    """Return the gradient function and the placement, of small arrays too, and the mesh."""
    mesh = ja.parallel.make_mesh(shape)
    wrap = ja.parallel.zero if "stage" in options else ja.parallel.fully_shard
    return *wrap(gradient_fn, mesh, param_persistence_threshold=0, **options), mesh


def by_devices(gradient_fn):
    """Return the gradient function as DistributedDataParallel has it, no placement, the mesh."""
    mesh = ja.parallel.make_mesh()
    return ja.parallel.data_parallel(gradient_fn, mesh, mode="shard_map"), None, mesh


def alone(gradient_fn):
    """Return the gradient function for one device, and no placement and no mesh."""
    return gradient_fn, None, None


def trained(model, loss_of, tx, batches, wrap, between=lambda state: state):
    """Return the state and all metrics of a network that is trained."""
    apply, params, model_state = ja.training.split_model(model)
    gradient_fn, placement, mesh = wrap(ja.training.gradients(loss_of(apply)))
    step, found = ja.training.train_step(gradient_fn, tx, max_grad_norm=0.5), []
    state = ja.training.train_state(params, tx, model_state, mesh=mesh, placement=placement)
    if placement is not None:
        assert_in_shares(state, mesh, placement)
    for batch in batches:
        if mesh is not None:
            batch = ja.parallel.shard_batch(batch, mesh, axis=mesh.axis_names)
        state, metrics = step(between(state), batch)
        found.append(metrics)
    if placement is not None:
        assert_in_shares(state, mesh, placement)
    return state, found


def assert_in_shares(state, mesh, placement):
    """Assert that a state lies where its placement says, and most of the optimizer's in shares."""
    leaves = jax.tree.leaves(state.opt_state)
    whole = sum(leaf.size for leaf in leaves if leaf.sharding.is_fully_replicated)
    assert whole < sum(leaf.size for leaf in leaves) / 2
    for path, leaf in jax.tree.leaves_with_path(state):
        where = jax.sharding.NamedSharding(mesh, placement(path, leaf))
        assert leaf.sharding.is_equivalent_to(where, leaf.ndim), path


def of_images(count=STEPS):
    """Return batches of images and of labels of eight classes."""
    draws = [images_and_labels(32, seed=seed) for seed in range(count)]
    return [(jnp.asarray(images), jnp.asarray(labels % 8)) for images, labels in draws]


def perceptron(dtype=jnp.float64):
    """Return a network with 1,176 parameters, a multiple of eight."""
    return ja.models.mlp(64, [16], 8, dtype=dtype, rngs=nnx.Rngs(0))


def test_batch_norm_over_all_devices():
    """Its statistics are those of all rows, whoever holds the weights."""
    tx, names = ja.optimizers.adamw(lr=1e-2, weight_decay=0.1), ("replica", "data")
    expected = trained(conv_net()[0], classification_loss, tx, of_images(), alone)
    found = trained(
        conv_net(axis_name=names)[0],
        classification_loss,
        tx,
        of_images(),
        lambda gradient_fn: in_shares(gradient_fn, HYBRID, PAIRS),
    )
    assert_same_tree(found, expected, tol.DEVICES_FLOAT64_OF_MAX)


def next_token_loss(apply):
    def loss_fn(params, model_state, batch):
        tokens, following = batch
        logits, model_state = apply(params, model_state, tokens, training=True)
        return ja.functional.cross_entropy(logits, following), (model_state, {})

    return loss_fn


@functools.cache
def of_tokens():
    """Return a GPT in a loop over layers, checkpointed, with dropout, and batches of tokens."""
    config = ja.models.GPTConfig(
        vocab_size=24, block_size=8, n_layer=2, n_head=2, n_embd=16, dropout=0.2
    )
    model = ja.models.gpt(
        config,
        jnp.float64,
        scan_layers=True,
        checkpoint=ja.memory.checkpoint,
        rngs=nnx.Rngs(0, dropout=1),
    )
    rng = np.random.default_rng(0)
    draws = [jnp.asarray(rng.integers(0, 24, (16, 9)), jnp.int32) for _ in range(STEPS)]
    return model, [(draw[:, :-1], draw[:, 1:]) for draw in draws]


def without_keys(tree):
    """Return a tree with the words of its random keys."""
    return jax.tree.map(lambda x: jax.random.key_data(x) if is_key(x) else x, tree)


@pytest.mark.parametrize(("options", "judge"), [(BY_COMPILER, alone), (FULL, by_devices)])
def test_gpt_with_tied_weights_and_dropout(options, judge):
    """The compiler's masks are those of one device, explicit ones those of ``data_parallel``."""
    model, batches = of_tokens()
    tx = ja.optimizers.adamw(lr=1e-3)
    expected = trained(model, next_token_loss, tx, batches, judge)
    found = trained(model, next_token_loss, tx, batches, lambda g: in_shares(g, options))
    assert_same_tree(*map(without_keys, (found, expected)), tol.DEVICES_FLOAT64_OF_MAX)
    weights, theirs = weights_of(model, found[0]), weights_of(model, expected[0])
    assert weights.keys() == theirs.keys()
    assert np.array_equal(weights["lm_head.weight"], weights["transformer.wte.weight"])
    for name, array in theirs.items():
        assert_close(weights[name], array, tol.DEVICES_FLOAT64_OF_MAX, what=name)


def test_hyperparameters_are_set_between_steps():
    """Groups' numbers are whole on every device, and a new one goes where the old one was."""
    groups = [{"params": "bias$", "weight_decay": 0.0}]
    tx = ja.optimizers.param_groups(ja.optimizers.adamw, groups, lr=1e-2)
    slower = functools.partial(ja.optimizers.set_hyperparams, lr=3e-3)
    expected = trained(perceptron(), classification_loss, tx, of_images(), alone, slower)
    found = trained(
        perceptron(),
        classification_loss,
        tx,
        of_images(),
        lambda gradient_fn: in_shares(gradient_fn, {"stage": 2}),
        slower,
    )
    assert_same_tree(found, expected, tol.DEVICES_FLOAT64_OF_MAX)
    of_torch = [
        ja.optimizers.state_dict(state.opt_state, state.params, model=perceptron(), tx=tx)["state"]
        for state, _ in (found, expected)
    ]
    assert_same_tree(*of_torch, tol.DEVICES_FLOAT64_OF_MAX)


def test_lbfgs_searches_along_its_line_in_shares():
    """Each evaluation in its loops gathers, and reduces, as the first one.

    One step: a search that divides by differences of gradients makes more of every rounding.
    """
    tx = ja.optimizers.lbfgs(max_iter=3, history_size=4, line_search_fn="strong_wolfe")
    expected = trained(perceptron(), classification_loss, tx, of_images(1), alone)
    found = trained(
        perceptron(),
        classification_loss,
        tx,
        of_images(1),
        lambda gradient_fn: in_shares(gradient_fn, FULL),
    )
    assert_same_tree(found, expected, tol.DEVICES_FLOAT64_OF_MAX)


PRECISIONS = {
    "autocast": lambda apply: ja.precision.autocast(apply, "cpu", jnp.bfloat16),
    "policy": lambda apply: ja.precision.cast(apply, ja.precision.Policy()),
}


@pytest.mark.parametrize("name", [*PRECISIONS])
def test_what_is_gathered_is_cast_already(name):
    """Half the bytes are sent, and the numbers are those of the same model in ``data_parallel``."""
    apply, params, model_state = ja.training.split_model(perceptron(jnp.float32))
    plain = ja.training.gradients(classification_loss(PRECISIONS[name](apply)))
    images, labels = of_images(1)[0]
    batch = images.astype(jnp.float32), labels
    judge, _, mesh = by_devices(plain)
    gradient_fn, placement, _ = in_shares(plain, FULL)
    start = ja.parallel.distribute_state({"params": params}, mesh, placement)["params"]
    rows = ja.parallel.shard_batch(batch, mesh)
    text = jax.jit(gradient_fn).lower(start, model_state, rows).as_text()
    gathered = re.findall(r'"stablehlo\.all_gather".*?-> tensor<([\dx]+)x(\w+)>', text, re.DOTALL)
    assert {dtype for shape, dtype in gathered if "x" in shape} == {"bf16"}
    expected = judge(params, model_state, batch)
    assert_same_tree(gradient_fn(start, model_state, rows), expected, tol.FLOAT32_ULP_OF_MAX)


def test_sparse_adam_on_a_table_in_shares():
    """Rows are looked up, and moved, where they live; its moments live with them."""
    rng, mesh = np.random.default_rng(0), ja.parallel.make_mesh()
    params = {"table": jnp.asarray(rng.normal(size=(64, 4)))}
    tx = ja.optimizers.sparse_adam(lr=0.1)
    _, placement = ja.parallel.fully_shard(
        ja.training.gradients(lambda p, s, b: (0.0, (s, {}))), mesh, param_persistence_threshold=0
    )

    @jax.jit
    def step(state, ids):
        rows = jax.grad(lambda rows: jnp.sum(jnp.sin(rows)))(state.params["table"][ids])
        grads = {"table": ja.optimizers.SparseRows(ids, rows)}
        updates, opt_state = tx.update(grads, state.opt_state, state.params)
        moved = ja.optimizers.apply_sparse_updates(state.params, updates)
        return state._replace(params=moved, opt_state=opt_state)

    expected = ja.training.train_state(params, tx)
    found = ja.training.train_state(params, tx, mesh=mesh, placement=placement)
    assert not found.opt_state.exp_avg["table"].sharding.is_fully_replicated
    for seed in range(STEPS):
        ids = jnp.asarray(np.random.default_rng(seed).integers(0, 64, 12), jnp.int32)
        expected, found = step(expected, ids), step(found, ja.parallel.replicate(ids, mesh))
    assert_same_tree(found, expected, tol.DEVICES_FLOAT64_OF_MAX)
