"""A packed run: the numbers of one that is not, bit for bit, and PyTorch's keys."""

import functools
import inspect

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from flax import nnx
from jax.sharding import NamedSharding, PartitionSpec

import jaxaccel as ja
from parity_tests import tolerances as tol
from parity_tests.harness.compare import assert_close
from parity_tests.harness.compiled import FAST_COMPILE

STEPS, BELOW = 4, 100
GROUPS = [{"params": r"\.b$", "lr": 0.02}, {"params": "scale$", "lr": 0.005}]
OWN = {
    "sgd": {"momentum": 0.9, "nesterov": True},
    "rmsprop": {"momentum": 0.9, "centered": True},
    "adam": {"amsgrad": True},
    "asgd": {"t0": 1},
}
"""Options with which an optimizer has all its slots."""


def elementwise():
    """Return the optimizers whose state says that every number is treated by itself."""
    found = {}
    for name in ja.optimizers.__all__:
        factory = getattr(ja.optimizers, name)
        if inspect.isfunction(factory) and "lr" in inspect.signature(factory).parameters:
            state = factory().init(jnp.ones((2, 2)))
            if getattr(type(state), "is_elementwise", False):
                found[name] = functools.partial(factory, **OWN.get(name, {}))
    return found


def network(dtype="float32"):
    """Return parameters of several shapes, a large one among them, and a leaf of another dtype."""
    rng = np.random.default_rng(0)

    def draw(*shape, dtype=dtype):
        return jnp.asarray(rng.normal(size=shape), dtype)

    layers = {f"l{i}": {"w": draw(5 + i % 3, 4), "b": draw(4)} for i in range(2)}
    halves = {f"h{i}": draw(4, dtype="bfloat16") for i in range(2)}
    return {**layers, **halves, "scale": draw(), "table": draw(30, 4), "last": {"b": draw(7)}}


def loss_fn(params, model_state, batch):
    total = jnp.sum(params["table"] ** 2) / 50 + jnp.sum(params["last"]["b"] ** 2)
    for index in range(2):
        layer = params[f"l{index}"]
        inputs = batch[:, : len(layer["w"])]
        outputs = jnp.tanh(inputs @ layer["w"] + layer["b"][None]) * params["scale"]
        total += jnp.mean(outputs**2)
    # Their gradients are numbers of half precision: else XLA may skip the rounding where it fuses
    # a gradient with its update, which it cannot across a buffer.
    halves = sum(jnp.sum(params[f"h{index}"].astype(total.dtype)) for index in range(2))
    return total + 0.25 * halves, (model_state, {})


def batches():
    rng = np.random.default_rng(1)
    return [jnp.asarray(rng.normal(size=(8, 7)), jnp.float32) for _ in range(STEPS)]


def assert_same_bits(found, expected, what=""):
    pairs = jax.tree.leaves_with_path(expected)
    assert jax.tree.structure(found) == jax.tree.structure(expected), what
    for (path, old), new in zip(pairs, jax.tree.leaves(found), strict=True):
        name = f"{what}{jax.tree_util.keystr(path)}"
        assert new.dtype == old.dtype, name
        assert np.asarray(new).tobytes() == np.asarray(old).tobytes(), name


def assert_same_but_for_fusion(found, expected, what=""):
    """Compare trees of programs in which products and sums may be fused at other places."""
    pairs = jax.tree.leaves_with_path(expected)
    assert jax.tree.structure(found) == jax.tree.structure(expected), what
    for (path, old), new in zip(pairs, jax.tree.leaves(found), strict=True):
        assert new.dtype == old.dtype, f"{what}{jax.tree_util.keystr(path)}"
        assert_close(new, old, tol.FLOAT32_ULP_OF_MAX, what=f"{what}{jax.tree_util.keystr(path)}")


def assert_same_runs(txs, gradient_fn, groups, assert_same=assert_same_bits):
    """Compare every step of several optimizers, compiled together, and of an average beside."""
    average = ja.transforms.exponential_moving_average(0.9)
    steps = {n: ja.training.train_step(gradient_fn, tx, max_grad_norm=2.0) for n, tx in txs.items()}

    @jax.jit
    def step(runs, batch):
        new = {}
        for name, (state, averaged) in runs.items():
            state, metrics = steps[name](state, batch)
            new[name] = state, average.update(averaged, state.params), metrics
        return new

    def history(params):
        states = {name: ja.training.train_state(params, tx) for name, tx in txs.items()}
        runs = {name: (state, average.init(params)) for name, state in states.items()}
        for batch in batches():
            found = step(runs, batch)
            runs = {name: each[:2] for name, each in found.items()}
            yield ja.training.unpacked(found)

    packed = ja.training.packed(network(), below=BELOW, groups=groups)
    for t, (found, expected) in enumerate(zip(history(packed), history(network()), strict=True)):
        for name in txs:
            assert_same(found[name], expected[name], f"{name}, step {t}: ")


@pytest.mark.parity
def test_every_step_of_every_optimizer_has_the_bits_of_a_run_that_is_not_packed():
    txs = {name: factory() for name, factory in elementwise().items()}
    assert {"adam", "adamw", "sgd", "rmsprop", "rprop", "asgd", "radam", "nadam"} <= set(txs)
    assert_same_runs(txs, ja.training.gradients(loss_fn), ())


@pytest.mark.parity
def test_so_it_is_with_groups_clipping_accumulation_and_averages():
    txs = {
        name: ja.transforms.accumulate_gradients(
            optax.chain(
                ja.transforms.clip_grad_norm(0.5),
                ja.optimizers.param_groups(getattr(ja.optimizers, name), GROUPS, lr=0.01),
            ),
            2,
        )
        for name in ("adamw", "sgd")
    }
    packed = ja.training.packed(network(), below=BELOW, groups=GROUPS)
    assert [len(buffer) for buffer in packed.buffers] == [8, 15, 44]
    gradient_fn = ja.training.accumulate(ja.training.gradients(loss_fn), 2)
    # The product that clips and the sum of micro-batches stand beside the update's own.
    assert_same_runs(txs, gradient_fn, GROUPS, assert_same_but_for_fusion)


@pytest.mark.parametrize("order", [2.0, 1.0, np.inf, 0.0, 3.0])
def test_a_norm_is_that_of_the_leaves(order):
    """PyTorch's norm of norms: of the vectors themselves it would have other last bits."""
    norm = functools.partial(ja.transforms.get_total_norm, norm_type=order)
    params = network()
    packed = ja.training.packed(params, below=BELOW)
    assert_same_bits(jax.jit(norm)(packed), jax.jit(norm)(params))
    frozen = packed._replace(buffers=(None, *packed.buffers[1:]))
    assert_same_bits(norm(frozen), norm(ja.training.unpacked(frozen)))


def test_gradients_are_joined_by_one_concatenation_each():
    """A slice's own derivative pads a whole buffer with zeros, once for every leaf."""
    packed = ja.training.packed(network(), below=BELOW)
    gradient_fn = ja.training.gradients(loss_fn)
    program = str(jax.make_jaxpr(gradient_fn)(packed, (), batches()[0]))
    assert program.count("concatenate[") == len(packed.buffers) == 2
    assert "pad[" not in program
    assert "dynamic_update_slice" not in program


# --- the state ----------------------------------------------------------------------------------


def trained(params, tx, gradient_fn=None):
    state = ja.training.train_state(params, tx)
    step = ja.training.train_step(gradient_fn or ja.training.gradients(loss_fn), tx)
    for batch in batches()[:2]:
        state, _ = step(state, batch)
    return state


def test_state_leaves_and_comes_back_by_pytorchs_keys():
    tx = ja.optimizers.param_groups(ja.optimizers.adamw, GROUPS, lr=0.01)
    params = network()
    state = trained(ja.training.packed(params, below=BELOW, groups=GROUPS), tx)
    whole = ja.training.unpacked(state)
    assert_same_bits(whole, trained(params, tx))

    found = ja.optimizers.state_dict(state.opt_state, state.params, tx=tx)
    expected = ja.optimizers.state_dict(whole.opt_state, whole.params, tx=tx)
    assert found["param_groups"] == expected["param_groups"]
    assert_same_bits(found["state"], expected["state"])
    assert found["state"][0]["exp_avg"].shape == (4,)

    start = tx.init(state.params)
    loaded = ja.optimizers.load_state_dict(start, state.params, found, tx=tx)
    assert_same_bits(loaded, state.opt_state)
    assert_same_bits(ja.training.packed_as(whole, state), state)
    shapes = jax.eval_shape(lambda: state)
    assert_same_bits(ja.training.packed_as(whole, shapes), state)
    assert ja.optimizers.get_hyperparams(state.opt_state) == ja.optimizers.get_hyperparams(
        whole.opt_state
    )


def test_frozen_leaves_stay_and_are_counted_apart():
    """A gradient that is None, and a step for every parameter as PyTorch keeps it."""
    gradient_fn = ja.training.gradients(loss_fn, trainable=r"^l\d")
    tx = ja.optimizers.count_per_parameter(ja.optimizers.adamw())
    params = network()
    packed = ja.training.packed(params, below=BELOW, groups=[r"^l\d"])
    state, expected = (trained(each, tx, gradient_fn) for each in (packed, params))
    assert_same_bits(ja.training.unpacked(state), expected)
    found = ja.optimizers.state_dict(state.opt_state, state.params)["state"]
    assert_same_bits(found, ja.optimizers.state_dict(expected.opt_state, params)["state"])
    assert [float(each["step"]) for each in found.values()] == [0.0] * 2 + [2.0] * 4 + [0.0] * 3


def test_a_model_is_trained_evaluated_and_merged():
    rngs = nnx.Rngs(0)
    model = nnx.Sequential(ja.nn.Linear(6, 5, rngs=rngs), nnx.relu, ja.nn.Linear(5, 3, rngs=rngs))
    apply, params, model_state = ja.training.split_model(model)

    def loss(params, model_state, batch):
        outputs, model_state = apply(params, model_state, batch, training=True)
        return jnp.mean(outputs**2), (model_state, {})

    def metric(params, model_state, batch):
        return {"size": jnp.abs(apply(params, model_state, batch, training=False)[0][:, 0])}

    def run(params):
        tx = ja.optimizers.adamw(lr=0.1)
        step = ja.training.train_step(ja.training.gradients(loss), tx)
        inputs = jnp.ones((4, 6), jnp.float32)
        state, _ = step(ja.training.train_state(params, tx, model_state), inputs)
        sizes = ja.training.evaluate(metric, state.params, state.model_state, [inputs])
        ja.training.merge(model, state.params, state.model_state)
        saved = ja.optimizers.state_dict(state.opt_state, state.params, model=model, tx=tx)
        return sizes, nnx.to_pure_dict(nnx.state(model)), saved["state"]

    plain, found = run(params), run(ja.training.packed(params))
    assert found[0] == plain[0]
    assert_same_bits(found[1:], plain[1:])


def test_numbers_and_arrays_of_numpys_are_copied():
    own = {"a": 1.0, "b": 2.0, "c": np.ones(3, np.float32), "d": np.ones(20000, np.float32)}
    packed = ja.training.packed(own)
    own["c"][:] = own["d"][:] = 7
    found = ja.training.unpacked(packed)
    assert [float(np.max(found[name])) for name in "abcd"] == [1, 2, 1, 1]


def test_stacked_trees_are_unpacked_leaf_by_leaf():
    """What ``vmap`` makes of packed parameters, as of many seeds in one program."""

    def make(scale):
        return {"a": scale * jnp.arange(2.0), "b": scale * jnp.ones((3, 2))}

    scales = jnp.arange(4.0)
    found = ja.training.unpacked(jax.vmap(lambda scale: ja.training.packed(make(scale)))(scales))
    assert_same_bits(found, jax.vmap(make)(scales))


def test_on_a_mesh():
    """Buffers are replicated as their leaves were; what is divided stays by itself."""
    mesh = ja.parallel.make_mesh()
    params = ja.parallel.replicate(network(), mesh)
    divided = jax.device_put(jnp.arange(8.0), NamedSharding(mesh, PartitionSpec("data")))
    packed = ja.training.packed(params | {"divided": divided}, below=BELOW)
    assert any(each is divided for each in packed.others)
    assert all(buffer.sharding.is_fully_replicated for buffer in packed.buffers)
    assert {buffer.sharding.mesh for buffer in packed.buffers} == {mesh}

    tx = ja.optimizers.adamw()
    gradient_fn = ja.parallel.data_parallel(ja.training.gradients(loss_fn), mesh)
    found = trained(ja.training.packed(params, below=BELOW), tx, gradient_fn)
    assert_same_bits(ja.training.unpacked(found), trained(params, tx, gradient_fn))


def test_forward_mode_second_derivatives_and_vmap_pass():
    params = network()
    packed = ja.training.packed(params, below=BELOW)
    batch = batches()[0]

    def of_tree(params):
        return loss_fn(ja.training.unpacked(params), (), batch)[0]

    def derivatives(params):
        ones = jax.tree.map(jnp.ones_like, params)
        _, slope = jax.jvp(of_tree, (params,), (ones,))
        _, curve = jax.jvp(jax.grad(of_tree), (params,), (ones,))
        many = jax.tree.map(lambda leaf: jnp.stack([leaf, 2 * leaf]), params)
        return slope, curve, jax.vmap(of_tree)(many)

    run = jax.jit(derivatives, compiler_options=FAST_COMPILE)
    found, expected = ja.training.unpacked(run(packed)), run(params)
    jax.tree.map(functools.partial(np.testing.assert_allclose, rtol=1e-5), found, expected)


# --- refused by name ----------------------------------------------------------------------------


def refused(make):
    packed = ja.training.packed(network(), below=BELOW)
    ja.training.train_state(packed, make())


@pytest.mark.parametrize(
    ("make", "text"),
    [
        (ja.optimizers.muon, "muon needs every parameter in its own shape"),
        (ja.optimizers.adafactor, "adafactor needs every parameter in its own shape"),
        (ja.optimizers.lbfgs, "lbfgs needs every parameter in its own shape"),
        (ja.optimizers.sparse_adam, "sparse_adam needs every parameter in its own shape"),
        (ja.optimizers.diagonal_newton, "diagonal_newton needs every parameter in its own shape"),
        (ja.transforms.centralize_gradients, "EmptyState does not say that its update treats"),
        (lambda: optax.adam(0.1), "ScaleByAdamState does not say that its update treats"),
        (
            lambda: optax.chain(ja.optimizers.sgd(), optax.scale(2.0)),
            "EmptyState does not say that its update treats",
        ),
        (
            lambda: ja.transforms.accumulate_gradients(optax.adam(0.1), 2),
            "ScaleByAdamState does not say that its update treats",
        ),
        (
            lambda: optax.masked(ja.optimizers.sgd(), lambda tree: True),
            "MaskedState does not say that its update treats",
        ),
    ],
)
def test_what_needs_shapes_refuses_packed_parameters(make, text):
    with pytest.raises(TypeError, match=text):
        refused(make)


def test_errors_name_what_is_wrong():
    params = network()
    packed = ja.training.packed(params, below=BELOW)
    with pytest.raises(TypeError, match="centralize_gradients needs every parameter"):
        ja.transforms.centralize_gradients().update(packed, optax.EmptyState())
    with pytest.raises(
        ValueError, match=r"False for 'scale' and True for 'l0\.b', which are in one"
    ):
        ja.optimizers.param_groups(ja.optimizers.sgd, GROUPS).init(packed)
    with pytest.raises(ValueError, match=r"trainable is .* in one buffer; say so when packing"):
        ja.training.gradients(loss_fn, trainable="b$")(packed, (), batches()[0])
    with pytest.raises(TypeError, match="params are packed already"):
        ja.training.packed(packed)
    with pytest.raises(ValueError, match="below must be at least 1, got 0"):
        ja.training.packed(params, below=0)
    with pytest.raises(TypeError, match=r"groups\[0\] must be a regular expression"):
        ja.training.packed(params, groups=[3])
    state = ja.optimizers.count_per_parameter(ja.optimizers.adam()).init(packed)
    apart = ja.training.unpacked(state)
    counts = apart.inner_state.step.of_leaves | {"h0": jnp.int32(3)}
    apart = apart._replace(
        inner_state=apart.inner_state._replace(
            step=apart.inner_state.step._replace(of_leaves=counts)
        )
    )
    with pytest.raises(ValueError, match="'h0' and 'h1' are in one buffer, but one has"):
        ja.training.packed_as(apart, state)
    for wrong, text in (
        (params | {"h0": params["h0"].astype("float32")}, "'h0' has dtype float32, where it is to"),
        (params | {"h0": jnp.ones((5,), "bfloat16")}, r"'h0' has shape \(5,\), where it is to"),
        (params | {"table": np.ones((30, 4), "float16")}, "'table' has dtype float16"),
    ):
        with pytest.raises(ValueError, match=text):
            ja.training.packed_as(wrong, packed)
    run = ja.training.train_state(packed, ja.optimizers.sgd())
    apart = ja.training.unpacked(run)._replace(step=np.int8(0))
    with pytest.raises(ValueError, match="'step' has dtype int8, where it is to be packed int32"):
        ja.training.packed_as(apart, run)


def test_repr_shows_arrays_and_not_names():
    text = repr(ja.training.packed(network(), below=BELOW))
    assert text == "Packed(buffers=(bfloat16[8], float32[60]), others=(float32[30, 4],))"
