"""Where a run stops being finite: planted at known places, and beside PyTorch's own word for it."""

import re

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
import torch
from flax import nnx

import jaxaccel as ja
from jaxaccel._named_gradients import naming_gradients

HUGE = 3e38
PICKED = np.array([True, False])


class Toys:
    """Functions whose derivative is infinite at the second number, which the loss leaves out."""

    def sqrt(x):
        return jnp.sqrt(x)

    def rsqrt(x):
        return jax.lax.rsqrt(x)

    def log(x):
        return jnp.log(x)

    def log1p(x):
        return jnp.log1p(x - 1)

    def pow(x):
        return x**0.3

    def div(x):
        return 1 / x

    def asin(x):
        return jnp.arcsin(1 - x)

    def exp(x):
        return jnp.exp(1000 - 999 * x)


TORCH = {
    "sqrt": torch.sqrt,
    "rsqrt": torch.rsqrt,
    "log": torch.log,
    "log1p": lambda x: torch.log1p(x - 1),
    "pow": lambda x: x**0.3,
    "div": lambda x: torch.ones(()) / x,
    "asin": lambda x: torch.asin(1 - x),
    "exp": lambda x: torch.exp(1000 - 999 * x),
}


def named_by_torch(function):
    """Return the function whose backward is the first to return NaN, by PyTorch."""
    x = torch.tensor([1.0, 0.0], requires_grad=True)
    with torch.autograd.set_detect_anomaly(True):
        loss = torch.where(torch.tensor(PICKED), function(x), 0.0).sum()
        assert torch.isfinite(loss)
        with (
            pytest.warns(UserWarning, match="Traceback of forward call"),
            pytest.raises(RuntimeError, match="returned nan") as caught,
        ):
            loss.backward()
    return re.search(r"Function '(\w+)Backward\d'", str(caught.value))[1].lower()


@pytest.mark.parity
@pytest.mark.parametrize("name", TORCH)
def test_the_backward_that_pytorch_names(name):
    function = vars(Toys)[name]

    def gradient(x):
        return jax.grad(lambda x: jnp.sum(jnp.where(PICKED, function(x), 0.0)))(x)

    found = ja.monitoring.find_anomaly(gradient, jnp.array([1.0, 0.0]))
    became_nan = found.became_nan or found.first
    assert became_nan.phase == "backward"
    assert "1 NaN of 2" in became_nan.output
    assert became_nan.line.function == f"Toys.{named_by_torch(TORCH[name])}"


def loss_of(apply):
    """Return the loss function of a model."""

    def loss_fn(params, model_state, batch):
        outputs, model_state = apply(params, model_state, batch, training=True)
        return jnp.mean(outputs**2), (model_state, {})

    return loss_fn


def planted(params, path, change):
    """Return parameters of which one is changed."""

    def one(own, leaf):
        return change(leaf) if ja._tree.path_name(own) == path else leaf

    return jax.tree.map_with_path(one, params)


TOKENS = jnp.array([[0, 1, 2, 3], [3, 2, 1, 0]])
IMAGES = jnp.asarray(np.random.default_rng(0).normal(size=(2, 8, 8, 3)), jnp.float32)


def gpt(**options):
    config = ja.models.GPTConfig(vocab_size=7, block_size=4, n_layer=2, n_head=1, n_embd=4)
    return ja.models.gpt(config, rngs=nnx.Rngs(0), **options)


FORWARD = {
    "mlp": (
        lambda: ja.models.mlp(192, [4, 4], 3, rngs=nnx.Rngs(0)),
        IMAGES,
        {"layers.0": "layers.0.weight"},
    ),
    "vit": (
        lambda: ja.models.vit_tiny(3, 3, 8, 4, 4, 1, 1, rngs=nnx.Rngs(0)),
        IMAGES,
        {"layers.0.linear1": "layers.0.linear1.weight"},
    ),
    "gpt, layers stacked and checkpointed": (
        lambda: gpt(scan_layers=True, checkpoint=ja.memory.checkpoint),
        TOKENS,
        {"transformer.h.1.attn.c_attn": "transformer.h.layer.attn.c_attn.weight"},
    ),
}
"""Model, input, and layer -> parameter that is as large as numbers get, in the last of a stack."""


@pytest.mark.parity
@pytest.mark.parametrize("name", FORWARD)
def test_the_layer_of_a_model(name):
    make, inputs, plants = FORWARD[name]
    apply, params, model_state = ja.training.split_model(make())
    loss_fn = loss_of(apply)
    for layer, path in plants.items():
        is_stack = ".layer." in path

        def change(leaf, is_stack=is_stack):
            return leaf.at[-1].set(HUGE) if is_stack else jnp.full_like(leaf, HUGE)

        with jax.numpy_dtype_promotion("standard"):
            found = ja.monitoring.find_anomaly(
                loss_fn, planted(params, path, change), model_state, inputs
            )
        assert found.first.layer == layer
        assert found.first.phase == "forward"
        assert found.first.line.function == "loss_of.<locals>.loss_fn"
        assert found.first.inputs == ("finite", "finite")
        assert found.argument is None


def linear_loss(params, model_state, batch):
    x, y = batch
    return jnp.mean((x @ params["w"] - y) ** 2), (model_state, {})


WEIGHTS = {"b": jnp.zeros(2, jnp.float32), "w": jnp.ones((2, 2), jnp.float32)}
BATCH = (jnp.ones((8, 2), jnp.float32), jnp.zeros((8, 2), jnp.float32))


def trained(tx, loss_fn=linear_loss, **options):
    """Return a step and the state it begins with."""
    step = ja.training.train_step(ja.training.gradients(loss_fn), tx, **options)
    scaler = options.get("scaler")
    return step, ja.training.train_state(WEIGHTS, tx, scaler=scaler)


def raised_by(call, *args, **kwargs):
    """Return what is said of a step that is not finite."""
    with pytest.raises(FloatingPointError) as caught:
        call(*args, **kwargs)
    return caught.value.args[0]


def test_the_step_stays_the_same_program_and_gives_the_same_bits():
    """Names are only in the program that is looked at; states are overwritten as before."""
    step, state = trained(ja.optimizers.adamw(lr=0.1))
    plain = step.lowered(state, BATCH).as_text(debug_info=True)
    checked = ja.monitoring.detect_anomaly(step)
    own, found = (ja.training.train_state(WEIGHTS, ja.optimizers.adamw()) for _ in range(2))
    for _ in range(3):
        own, _ = step(own, BATCH)
        before = found
        found, _ = checked(found, BATCH)
        assert before.params["w"].is_deleted()
    assert jax.tree.map(np.array_equal, own, found) == jax.tree.map(lambda _: True, own)
    with naming_gradients():
        named, _ = trained(ja.optimizers.adamw(lr=0.1))
        assert "gradient: w" in str(jax.make_jaxpr(named)(state, BATCH))
    assert ja.monitoring.find_anomaly(step, found, BATCH) is None
    again = trained(ja.optimizers.adamw(lr=0.1))[0].lowered(state, BATCH)
    assert again.as_text(debug_info=True) == plain
    assert "gradient: w" not in plain
    assert "layer:" not in plain


def test_an_update_that_is_not_finite_is_the_optimizers():
    """In the third step, by a rate; nothing before it is at fault."""
    tx = ja.optimizers.sgd(lr=lambda step: 1 / (2 - jnp.asarray(step, jnp.float32)))
    step, state = trained(tx)
    step = ja.monitoring.detect_anomaly(step)
    for _ in range(2):
        state, _ = step(state, BATCH)
    found = raised_by(step, state, BATCH)
    assert (found.step, found.first.name, found.first.phase) == (2, "div", "update")
    assert found.first.line.function.endswith("<lambda>")
    assert (found.gradients, found.argument) == ((), None)
    assert {"state.params.w"} <= {*found.outputs}


def test_what_was_not_finite_before_is_the_arguments():
    step, state = trained(ja.optimizers.sgd(lr=0.1), donate=False)
    step = ja.monitoring.detect_anomaly(step)
    x, y = BATCH
    found = raised_by(step, state, (x, y.at[1, 0].set(jnp.nan)))
    assert (found.argument, found.first) == ("batch.1", None)
    assert found.gradients == ("w",)
    broken = state._replace(params={**WEIGHTS, "w": WEIGHTS["w"].at[0, 0].set(jnp.inf)})
    found = raised_by(step, broken, BATCH)
    assert found.argument == "state.params.w"
    assert "state.params.w was not finite when it was given" in str(found)
    unused = state._replace(params={**WEIGHTS, "b": jnp.full(2, jnp.nan, jnp.float32)})
    found = raised_by(step, unused, BATCH)  # it stays, and is told of in every step
    assert (found.argument, found.outputs) == ("state.params.b", ("state.params.b",))


def test_infinities_that_belong_there_are_not_an_anomaly():
    """A mask's, a plateau's best loss before the first, a value that nothing is made of."""
    mask = jnp.array([[0.0, -jnp.inf], [0.0, 0.0]], jnp.float32)

    def loss_fn(params, model_state, batch):
        x, y = batch
        shares = jax.nn.softmax(x @ params["w"] + mask[jnp.arange(8) % 2])
        unused = jnp.where(y == 0, 0.0, jnp.log(y))
        return jnp.mean(shares[:, 0]) + jnp.sum(unused), (model_state, {})

    plateau = ja.schedules.reduce_lr_on_plateau(0.1, patience=2)
    tx = optax.chain(ja.optimizers.sgd(lr=0.1), plateau.transformation)
    step, state = trained(tx, loss_fn)
    assert any(np.isinf(leaf).any() for leaf in map(np.asarray, jax.tree.leaves(state.opt_state)))
    state, _ = ja.monitoring.detect_anomaly(step)(state, BATCH, value=None)
    assert np.isfinite(state.params["w"]).all()


def test_steps_that_a_scaler_skips_are_not_unless_asked():
    """Gradients of a scaled loss overflow float16; a loss that does is another matter."""
    scaler = ja.precision.grad_scaler(init_scale=2.0**16)

    def loss_fn(params, model_state, batch, factor=1.0):
        outputs = batch[0].astype(jnp.float16) @ (params["w"].astype(jnp.float16) * factor)
        return jnp.mean(outputs.astype(jnp.float32)) * 4, (model_state, {})

    step, state = trained(ja.optimizers.sgd(lr=0.1), loss_fn, scaler=scaler, donate=False)
    state, metrics = ja.monitoring.detect_anomaly(step)(state, BATCH)
    assert (float(metrics["skipped"]), float(metrics["grad_norm"])) == (1.0, np.inf)
    found = raised_by(
        ja.monitoring.detect_anomaly(step, skipped=True),
        trained(ja.optimizers.sgd(lr=0.1), loss_fn, scaler=scaler)[1],
        BATCH,
    )
    assert (found.first.phase, found.outputs) == ("backward", ("metrics.grad_norm",))
    assert found.gradients == ("w",)
    huge = state._replace(params={**WEIGHTS, "w": WEIGHTS["w"] * 6e4})
    found = raised_by(ja.monitoring.detect_anomaly(step), huge, BATCH)
    assert (found.first.name, found.first.phase) == ("dot_general", "forward")


def test_a_loop_ends_with_the_text():
    """``fit`` hands the error on, which says the step, the layer's line and the gradients."""

    def loss_fn(params, model_state, batch):
        return jnp.mean(jnp.log(batch @ params["w"])), (model_state, {})

    step, state = trained(ja.optimizers.sgd(lr=0.1), loss_fn)
    batches = [jnp.ones((8, 2), jnp.float32), jnp.zeros((8, 2), jnp.float32)]
    found = raised_by(
        ja.training.fit,
        ja.monitoring.detect_anomaly(step),
        state,
        lambda epoch: batches,
        progress=False,
    )
    text = str(found)
    assert re.match(r"not finite in step 1: .*state\.params\.w", text)
    assert "first: `log`, in the forward pass\n  result: 16 inf of 16; operands: finite" in text
    assert re.search(r"test_detect_anomaly\.py:\d+ in .*loss_fn: return jnp\.mean\(jnp\.log", text)
    assert "gradients that are not finite: w" in text


def test_inside_a_larger_program_there_is_nothing_to_look_at():
    step, state = trained(ja.optimizers.sgd(lr=0.1))
    with pytest.raises(TypeError, match="wrap the outermost function"):
        jax.jit(ja.monitoring.detect_anomaly(step))(state, BATCH)


def test_any_function_of_arrays_and_results_without_names():
    with pytest.raises(FloatingPointError) as raised:
        ja.monitoring.detect_anomaly(jnp.log)(jnp.zeros(2))
    assert str(raised.value.args[0]).startswith("not finite: the result\nfirst: ")
    with pytest.raises(TypeError, match="fn must be a function of arrays"):
        ja.monitoring.detect_anomaly(3)
