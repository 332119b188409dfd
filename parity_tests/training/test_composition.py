"""Wrappers in every order and mode: the gradient of the whole batch, by one device."""

import functools
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from jax.sharding import AxisType, NamedSharding, PartitionSpec

import jaxaccel as ja
from parity_tests import tolerances as tol

ROWS, FEATURES, SCALE = 64, 5, 8.0
MODES = ("jit", "shard_map", "pmap")


class Problem(NamedTuple):
    """A loss, and what a part of the batch counts for in it."""

    loss: Any
    """``(axis name or None, params, model_state, batch) -> (loss, (model_state, metrics))``."""
    weight: Any = None
    mask: str = "mask"
    parts_matter: bool = False
    """Whether the loss sees which rows are together."""
    frozen: tuple[str, ...] = ()
    """Parameters without a gradient: their leaves are ``None``."""


def tokens(batch):
    return jnp.sum(batch["mask"], dtype=int)


def errors(params, batch):
    return (jnp.tanh(batch["x"] @ params["w"]) * batch["scale"] - batch["y"]) ** 2


def mean(axis, params, model_state, batch):
    found = errors(params, batch)
    return jnp.mean(found), (model_state, {"largest": jnp.mean(jnp.sqrt(found))})


def of_tokens(axis, params, model_state, batch):
    found = errors(params, batch)
    mean = functools.partial(masked_mean, mask=batch["mask"])
    return mean(found), (model_state, {"root": mean(jnp.sqrt(found))})


def masked_mean(x, mask):
    return jnp.sum(jnp.where(mask, x, 0.0)) / jnp.sum(mask, dtype=float)


def reduced(axis, params, model_state, batch):
    """The mean over the tokens of all devices, formed inside."""
    sums = (
        jnp.sum(jnp.where(batch["mask"], errors(params, batch), 0.0)),
        tokens(batch).astype(float),
    )
    total, count = sums if axis is None else jax.lax.psum(sums, axis)
    return total / count, (model_state, {"root": jnp.sqrt(total / count) * 0 + 1.0})


def shared(axis, params, model_state, batch):
    """A mean that is the same number on all devices."""
    loss = jnp.mean(errors(params, batch))
    return loss if axis is None else jax.lax.pmean(loss, axis), (model_state, {})


def mixed(axis, params, model_state, batch):
    """A local mean, and a penalty on a mean over all devices, which enters linearly."""
    penalty = jnp.mean(batch["x"] @ params["w"])
    penalty = penalty if axis is None else jax.lax.pmean(penalty, axis)
    return jnp.mean(errors(params, batch)) + 0.5 * penalty, (model_state, {})


def of_complex(axis, params, model_state, batch):
    outputs = batch["x"].astype(complex) @ params["z"]
    return jnp.mean(outputs.real**2 + (outputs.imag - batch["y"]) ** 2), (model_state, {})


def normalized(axis, params, model_state, batch):
    """Statistics of all devices' rows, and running ones."""
    x = batch["x"] * params["w"][None]
    moments = jnp.mean(x, axis=0, keepdims=True), jnp.mean(x**2, axis=0, keepdims=True)
    first, second = moments if axis is None else jax.lax.pmean(moments, axis)
    outputs = jnp.sum((x - first) / jnp.sqrt(second - first**2 + 0.1), axis=1)
    running = 0.9 * model_state["mean"] + 0.1 * first
    return jnp.mean((outputs - batch["y"]) ** 2), (model_state | {"mean": running}, {})


PROBLEMS = {
    "mean": Problem(mean),
    "tokens": Problem(of_tokens, tokens),
    "tokens, some parts have none": Problem(of_tokens, tokens, "sparse mask"),
    "reduced inside": Problem(reduced, tokens),
    "the same on all devices": Problem(shared),
    "mixed": Problem(mixed),
    "complex": Problem(of_complex),
    "statistics of the batch": Problem(normalized, parts_matter=True),
    "frozen": Problem(mean, frozen=("z",)),
}


def start():
    """Return parameters, a model's state, and the batch for each mask."""
    rng = np.random.default_rng(0)
    params = {
        "w": rng.normal(size=FEATURES),
        "z": rng.normal(size=FEATURES) + 1j * rng.normal(size=FEATURES),
    }
    batch = {"x": rng.normal(size=(ROWS, FEATURES)), "y": rng.normal(size=ROWS), "scale": 1.25}
    masks = {"mask": rng.random(ROWS) < 0.6, "sparse mask": np.zeros(ROWS, bool)}
    masks["mask"][::4] = True
    masks["sparse mask"][[0, 1, 2, 17, 40]] = True
    model_state = {"mean": jnp.zeros((1, FEATURES)), "count": jnp.asarray(3)}
    params, batch, masks = jax.tree.map(jnp.asarray, (params, batch, masks))
    return params, model_state, {name: batch | {"mask": mask} for name, mask in masks.items()}


def gradient_fn(problem, axis=None):
    of_all = ja.training.gradients(functools.partial(problem.loss, axis))
    if not problem.frozen:
        return of_all

    def of_some(params, model_state, batch, *, loss_scale=None, key=None):
        found = of_all(params, model_state, batch, loss_scale=loss_scale, key=key)
        return found._replace(grads=found.grads | dict.fromkeys(problem.frozen))

    return of_some


def composed(order, unroll, mode, mesh, axis, problem, batch_axes=0):
    """Return ``gradients`` wrapped in the order given, from the inside out."""
    wrapped = gradient_fn(problem, axis)
    for wrapper in order:
        if wrapper == "dp":
            wrapped = ja.parallel.data_parallel(
                wrapped, mesh, axis=axis, mode=mode, weight=problem.weight, batch_axes=batch_axes
            )
        else:
            wrapped = ja.training.accumulate(
                wrapped, 2, weight=problem.weight, unroll=unroll, batch_axes=batch_axes
            )
    return wrapped


@functools.cache
def expected(accumulations):
    """Return the gradients by one device: of the whole batch, or of its parts where they matter."""
    params, model_state, batches = start()

    def alone(problem):
        wrapped = gradient_fn(problem)
        for _ in range(accumulations if problem.parts_matter else 0):
            wrapped = ja.training.accumulate(wrapped, 2, unroll=True)
        return wrapped

    return jax.jit(
        lambda: {
            name: alone(problem)(params, model_state, batches[problem.mask])
            for name, problem in PROBLEMS.items()
        }
    )()


def assert_same(found, right, where):
    assert jax.tree.structure(found) == jax.tree.structure(right), where
    paths = jax.tree_util.tree_leaves_with_path(right)
    for (path, b), a in zip(paths, jax.tree.leaves(found), strict=True):
        error, size = np.max(np.abs(np.asarray(a) - b)), np.max(np.abs(b))
        name = where + jax.tree_util.keystr(path)
        assert a.dtype == b.dtype, name
        assert error <= tol.DEVICES_FLOAT64_OF_MAX * size, f"{name}: {error:.1e}"


def assert_all_problems(order, unroll, mode, mesh, axis="data"):
    """Compare all losses in one program; the gradients of a scaled loss are scaled, no metric."""
    params, model_state, batches = start()
    compose = functools.partial(composed, order, unroll, mode, mesh, axis)

    @jax.jit
    def run(params, model_state, batches):
        return {
            name: compose(problem)(params, model_state, batches[problem.mask], loss_scale=SCALE)
            for name, problem in PROBLEMS.items()
        }

    # Under an Explicit mesh the batch comes sharded, as a loader would hand it in.
    batches = ja.parallel.shard_batch(batches, mesh, axis)
    params, model_state = ja.parallel.replicate((params, model_state), mesh)
    found = run(params, model_state, batches)
    for name, right in expected(order.count("acc")).items():
        grads = jax.tree.map(lambda g: g / SCALE, found[name].grads)
        assert_same(found[name]._replace(grads=grads), right, f"{name} ")


ORDERS = {
    "dp": (("dp",), None),
    "dp of parts, unrolled": (("acc", "dp"), True),
    "dp of parts, scanned": (("acc", "dp"), False),
    "parts of dp, unrolled": (("dp", "acc"), True),
    "parts of dp, scanned": (("dp", "acc"), False),
    "parts of dp of parts": (("acc", "dp", "acc"), None),
}


SELECTED = [
    (order, mode)
    for order in ORDERS
    for mode in MODES
    # pmap runs shard_map's body: only what is its own, how rows come to devices, is asked of it.
    if mode != "pmap" or order in ("dp", "dp of parts, scanned", "parts of dp, unrolled")
]


@pytest.mark.parametrize(("order", "mode"), SELECTED)
def test_every_order_and_mode_gives_the_gradient_of_the_whole_batch(order, mode):
    assert_all_problems(*ORDERS[order], mode, ja.parallel.make_mesh())


@pytest.mark.parametrize("mode", MODES)
def test_without_a_weight_it_is_the_mean_over_tokens_or_ddps_mean_of_means(mode):
    params, model_state, batches = start()
    batch = batches["mask"]
    by_device = jax.tree.map(lambda x: x.reshape(8, -1, *x.shape[1:]) if x.ndim else x, batch)
    whole = gradient_fn(PROBLEMS["tokens"])
    rows = {name: None if name == "scale" else 0 for name in batch}
    means = jax.vmap(whole, in_axes=(None, None, rows))(params, model_state, by_device).grads["w"]
    expected = {"jit": whole(params, model_state, batch).grads["w"], "ddp": jnp.mean(means, 0)}
    assert np.max(np.abs(expected["jit"] - expected["ddp"])) > 1e-3
    wrapped = ja.parallel.data_parallel(whole, ja.parallel.make_mesh(), mode=mode)
    found = wrapped(params, model_state, batch).grads["w"]
    assert_same(found, expected["jit" if mode == "jit" else "ddp"], mode)


MESHES = {
    "explicit": ((8,), ("data",), AxisType.Explicit, "data"),
    "two of three axes": ((2, 2, 2), ("replica", "shard", "model"), AxisType.Auto, None),
    "two explicit axes": ((4, 2), ("replica", "shard"), AxisType.Explicit, None),
}


@pytest.mark.parametrize(
    ("order", "mode"),
    [("dp of parts, scanned", "shard_map"), ("parts of dp, unrolled", "jit")],
    ids=["shard_map", "jit"],
)
@pytest.mark.parametrize("kind", MESHES)
@pytest.mark.usefixtures("compiled_anew")
def test_other_meshes(kind, order, mode):
    shape, names, types, axis = MESHES[kind]
    mesh = jax.make_mesh(shape, names, axis_types=(types,) * len(names))
    assert_all_problems(*ORDERS[order], mode, mesh, axis or ("replica", "shard"))


@pytest.mark.parametrize("mode", MODES)
def test_a_loss_reduced_inside_needs_no_weight(mode):
    """Its gradient is that of the whole batch, not smaller by the number of devices."""
    params, model_state, batches = start()
    for name in ("reduced inside", "tokens, some parts have none"):
        batch = batches[PROBLEMS[name].mask]
        wrapped = ja.parallel.data_parallel(
            gradient_fn(PROBLEMS["reduced inside"], "data"), ja.parallel.make_mesh(), mode=mode
        )
        whole = gradient_fn(PROBLEMS["reduced inside"])(params, model_state, batch)
        assert_same(wrapped(params, model_state, batch), whole, f"{mode} {name} ")


@pytest.mark.parametrize(
    ("mode", "data"),
    [
        ("jit", AxisType.Explicit),
        ("shard_map", AxisType.Explicit),
        ("shard_map", AxisType.Auto),
    ],
    ids=["jit", "shard_map", "shard_map-automatic data"],
)
def test_parameters_sharded_over_another_explicit_axis(mode, data):
    """The gradient function need not name a sharding anywhere; gradients stay where they are."""

    def loss_fn(params, model_state, batch):
        return jnp.mean((jnp.tanh(batch @ params["w"]) @ params["v"]) ** 2), (model_state, {})

    rng = np.random.default_rng(0)
    params = {"w": rng.normal(size=(5, 6)), "v": rng.normal(size=6)}
    batch = jnp.asarray(rng.normal(size=(16, 5)))
    mesh = jax.make_mesh((4, 2), ("data", "model"), axis_types=(data, AxisType.Explicit))
    specs = {"w": PartitionSpec(None, "model"), "v": PartitionSpec("model")}
    places = {name: NamedSharding(mesh, spec) for name, spec in specs.items()}
    wrapped = ja.training.accumulate(ja.training.gradients(loss_fn), 2, unroll=False)
    wrapped = ja.parallel.data_parallel(wrapped, mesh, mode=mode)
    found = wrapped(jax.device_put(params, places), (), ja.parallel.shard_batch(batch, mesh))
    assert_same(found, jax.jit(ja.training.gradients(loss_fn))(params, (), batch), f"{mode} ")
    assert {name: grad.sharding.spec for name, grad in found.grads.items()} == specs


def taking_hessian_products():
    """Return a transformation that moves parameters by a Hessian product of ``value_fn``."""

    def update(updates, state, params=None, *, value_fn, value, grad, **extra):
        direction = {"w": jnp.arange(1.0, FEATURES + 1), "z": jnp.zeros_like(params["z"])}
        gradient, product = jax.jvp(jax.grad(value_fn), (params,), (direction,))
        return product, (value_fn(params) - value, gradient["w"] - grad["w"])

    return optax.GradientTransformationExtraArgs(
        lambda params: (jnp.zeros(()), jnp.zeros(FEATURES)), update
    )


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("order", [("acc", "dp"), ("dp", "acc")], ids="-".join)
def test_value_fn_is_the_loss_of_the_whole_batch_with_its_hessian(order, mode):
    params, model_state, batches = start()
    batch, tx = batches["sparse mask"], taking_hessian_products()
    problem, mesh = PROBLEMS["tokens, some parts have none"], ja.parallel.make_mesh()
    step = ja.training.train_step(composed(order, None, mode, mesh, "data", problem), tx)
    state = ja.training.train_state(params, tx, model_state, mesh=mesh)
    state, _ = step(state, ja.parallel.shard_batch(batch, mesh))
    hessian = jax.hessian(lambda w: problem.loss(None, params | {"w": w}, (), batch)[0])
    expected = params["w"] + hessian(params["w"]) @ jnp.arange(1.0, FEATURES + 1)
    assert_same(state.params["w"], expected, "after a Hessian product")
    for difference in state.opt_state:
        assert np.max(np.abs(difference)) <= tol.DEVICES_FLOAT64_OF_MAX
