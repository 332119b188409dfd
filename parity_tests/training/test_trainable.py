"""Gradients of a part of the parameters, in every mode, and of complex ones, beside PyTorch."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
import torch

import jaxaccel as ja
from parity_tests import tolerances as tol
from parity_tests.harness.compare import assert_close, assert_same_path

SHAPES = {"trunk": (4, 3), "neck": (3, 3), "head": (3, 2)}


def problem():
    rng = np.random.default_rng(0)
    params = {name: rng.normal(size=shape) for name, shape in SHAPES.items()}
    return params, rng.normal(size=(6, 16, 4))


def loss_of(params, x, tanh):
    """Return the loss of a small network, in either framework."""
    hidden = tanh(tanh(x @ params["trunk"]) @ params["neck"])
    return ((hidden @ params["head"]) ** 2).mean()


def loss_fn(params, model_state, batch):
    return loss_of(params, batch, jnp.tanh), (model_state, {})


MODES = {
    "alone": lambda g: g,
    "parts": lambda g: ja.training.accumulate(g, 2),
    "parts in a loop": lambda g: ja.training.accumulate(g, 2, unroll=False),
    **{
        mode: functools.partial(
            lambda g, mode: ja.parallel.data_parallel(g, ja.parallel.make_mesh(), mode=mode),
            mode=mode,
        )
        for mode in ("jit", "shard_map", "pmap")
    },
    "parts of shard_map": lambda g: ja.training.accumulate(
        ja.parallel.data_parallel(g, ja.parallel.make_mesh(), mode="shard_map"), 2
    ),
    "shard_map of parts": lambda g: ja.parallel.data_parallel(
        ja.training.accumulate(g, 2), ja.parallel.make_mesh(), mode="shard_map"
    ),
}
STAGES = ("head", "neck|head", None)


@pytest.mark.parity
@pytest.mark.parametrize("mode", MODES)
def test_groups_thawed_one_by_one_equal_pytorch(mode):
    """Two steps a stage; the norm that is clipped is that of the gradients that there are."""
    start, batches = problem()
    tensors = {name: torch.nn.Parameter(torch.tensor(leaf)) for name, leaf in start.items()}
    theirs = torch.optim.AdamW([tensors["head"]], lr=0.1)
    tx = ja.optimizers.count_per_parameter(ja.optimizers.adamw(lr=0.1))
    state = ja.training.train_state({n: jnp.asarray(p) for n, p in start.items()}, tx)
    if "shard_map" in mode or mode in ("jit", "pmap"):
        state = ja.training.train_state(state.params, tx, mesh=ja.parallel.make_mesh())
    paths = [{n: [np.array(p)] for n, p in start.items()} for _ in range(2)]
    for stage, trainable in enumerate(STAGES):
        step = ja.training.train_step(
            MODES[mode](ja.training.gradients(loss_fn, trainable)), tx, max_grad_norm=0.05
        )
        named = ("head", "neck", "trunk")[: stage + 1]
        if stage:
            theirs.add_param_group({"params": [tensors[named[-1]]]})
        for name, p in tensors.items():
            p.requires_grad_(name in named)
        for batch in batches[2 * stage : 2 * stage + 2]:
            theirs.zero_grad()
            loss_of(tensors, torch.tensor(batch), torch.tanh).backward()
            moved = [p for p in tensors.values() if p.requires_grad]
            norm = torch.nn.utils.clip_grad_norm_(moved, 0.05)
            theirs.step()
            state, metrics = step(state, jnp.asarray(batch))
            assert_close(metrics["grad_norm"], norm, tol.TRANSFORM_FLOAT64_OF_MAX)
            for name in start:
                paths[0][name].append(np.asarray(state.params[name]))
                paths[1][name].append(tensors[name].detach().numpy().copy())
    for name in start:
        assert_same_path(paths[0][name], paths[1][name], what=name)


@pytest.mark.parity
@pytest.mark.parametrize("mode", MODES)
def test_gradients_of_complex_parameters_are_pytorchs(mode):
    rng = np.random.default_rng(1)
    values = {
        "pairs": rng.normal(size=3) + 1j * rng.normal(size=3),
        "reals": rng.normal(size=3),
        "frozen": rng.normal(size=3) + 0j,
    }
    batch = rng.normal(size=(16, 3))

    def loss(params, x, widen):
        pairs, frozen, reals = (params[name][None] for name in ("pairs", "frozen", "reals"))
        z = widen(x) * pairs * frozen + widen(reals)
        return (abs(z) ** 2 + (z * z).real + z.imag).mean()

    tensors = {name: torch.tensor(v, requires_grad=name != "frozen") for name, v in values.items()}
    loss(tensors, torch.tensor(batch), lambda x: x.to(torch.complex128)).backward()

    def loss_fn(params, model_state, batch):
        return loss(params, batch, lambda x: x.astype(jnp.complex128)), (model_state, {})

    gradient_fn = MODES[mode](ja.training.gradients(loss_fn, trainable="pairs|reals"))
    params = {name: jnp.asarray(v) for name, v in values.items()}
    grads = gradient_fn(params, (), jnp.asarray(batch)).grads
    assert grads["frozen"] is None
    for name in ("pairs", "reals"):
        assert_close(grads[name], tensors[name].grad, tol.TRANSFORM_FLOAT64_OF_MAX, what=name)


def test_the_backward_pass_of_what_is_frozen_is_not_computed():
    start, batches = problem()
    params = {name: jnp.asarray(leaf) for name, leaf in start.items()}

    def flops(trainable):
        gradient_fn = ja.training.gradients(loss_fn, trainable)
        compiled = jax.jit(gradient_fn).lower(params, (), jnp.asarray(batches[0])).compile()
        return compiled.cost_analysis()["flops"]

    assert flops("head") < 0.7 * flops(None)


@pytest.mark.parametrize(
    "trainable",
    [
        "neck",
        lambda path, leaf: leaf.shape == (3, 3),
        {"trunk": False, "neck": True, "head": False},
    ],
    ids=["pattern", "predicate", "mask"],
)
def test_a_selector_is_what_it_is_for_groups(trainable):
    start, batches = problem()
    params = {name: jnp.asarray(leaf) for name, leaf in start.items()}
    grads = ja.training.gradients(loss_fn, trainable)(params, (), jnp.asarray(batches[0])).grads
    assert [name for name, grad in grads.items() if grad is not None] == ["neck"]
    with pytest.raises(ValueError, match="matches no parameter; the paths are head, neck, trunk"):
        ja.training.gradients(loss_fn, "Head")(params, (), jnp.asarray(batches[0]))


def test_parameters_of_a_model_and_optimizers_of_optax():
    """The gradient of an nnx variable is ``None`` inside it, and updates may be ``None``."""
    model = ja.nn.Sequential(
        ja.nn.Linear(4, 3, rngs=ja.random.manual_seed(0)),
        ja.nn.Linear(3, 2, rngs=ja.random.manual_seed(1)),
    )
    apply, params, model_state = ja.training.split_model(model)

    def loss(params, model_state, batch):
        outputs, model_state = apply(params, model_state, batch, training=True)
        return jnp.mean(outputs**2), (model_state, {})

    gradient_fn = ja.training.gradients(loss, trainable=r"\b1\b")
    for tx in (
        ja.optimizers.adamw(),
        optax.chain(ja.transforms.clip_grad_norm(1.0), optax.scale(-0.1)),
    ):
        state = ja.training.train_state(params, tx, model_state)
        new, _ = ja.training.train_step(gradient_fn, tx, donate=False)(
            state, jnp.ones((2, 4), jnp.float32)
        )
        moved = jax.tree.map(lambda a, b: bool(jnp.any(a != b)), new.params, state.params)
        found = {
            jax.tree_util.keystr(path): leaf for path, leaf in jax.tree.leaves_with_path(moved)
        }
        assert found
        assert all(leaf == ("1" in path) for path, leaf in found.items())
