"""Layers against ``torch.nn`` on the same weights: values, gradients, buffers, modes, errors."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import torch
from flax import nnx

import jaxaccel as ja
from parity_tests import tolerances as tol
from parity_tests.harness.layer import (
    assert_close,
    assert_same_layer,
    assert_same_state_dict,
    channels_last,
    own_layer,
)
from parity_tests.harness.optimizer import lookup, oracle_of
from parity_tests.nn.rows_layers import BAD, BAD_INPUTS, DROPOUT, LAYERS


@pytest.mark.parity
@pytest.mark.usefixtures("no_draws")
@pytest.mark.filterwarnings("ignore:Using padding='same' with even kernel:UserWarning")
@pytest.mark.parametrize("case", LAYERS, ids=lambda case: case.id)
def test_float64_layer_equals_pytorch(case):
    assert_same_layer(case, "float64")


@pytest.mark.usefixtures("no_draws")
@pytest.mark.parametrize(
    "case",
    [c for c in LAYERS if c.why in ("defaults", "all together", "padding")],
    ids=lambda case: case.id,
)
def test_float32_layer_equals_pytorch(case):
    assert_same_layer(case, "float32")


@pytest.mark.usefixtures("no_draws")
@pytest.mark.parametrize("case", LAYERS, ids=lambda case: case.id)
def test_state_dict_is_pytorchs(case):
    """Same names, order, shapes; and a fresh layer starts from PyTorch's constants."""
    assert_same_state_dict(case)
    if "Norm" in case.function:
        fresh = oracle_of(case)(**case.kwargs).state_dict()
        new = ja.nn.state_dict(lookup("jaxaccel", case.function)(**case.kwargs))
        for name, tensor in fresh.items():
            assert np.array_equal(new[name], tensor.numpy())
            assert str(new[name].dtype) == str(tensor.dtype).removeprefix("torch.")


@pytest.mark.usefixtures("no_draws")
@pytest.mark.parametrize("case", [c for c in LAYERS if c.why == "defaults"], ids=lambda c: c.id)
def test_default_dtype_is_float32(case):
    layer = own_layer(case)
    assert all(p.dtype == jnp.float32 for p in jax.tree.leaves(nnx.state(layer, nnx.Param)))
    x = channels_last(np.ones(case.options["shape"]), case)
    assert layer(jnp.asarray(x, jnp.float32)).dtype == jnp.float32


@pytest.mark.parametrize("name", ["Linear", "Conv2d"])
def test_fresh_layers_draw_pytorchs_distribution(name):
    """The bound 1 / sqrt(fan_in) for weight and bias, groups included; one key each."""
    arguments = (64, 256) if name == "Linear" else (32, 128, (3, 2))
    kwargs = {} if name == "Linear" else {"groups": 4}
    layer = getattr(ja.nn, name)(*arguments, **kwargs, rngs=nnx.Rngs(0))
    fan_in = 64 if name == "Linear" else 8 * 6
    for variable in (layer.weight, layer.bias):
        array = np.asarray(variable[...]) * np.sqrt(fan_in)
        assert 0.9 < array.max() <= 1.0
        assert -1.0 <= array.min() < -0.9
    flat = np.asarray(layer.weight[...]).ravel()
    assert not np.array_equal(flat[: layer.bias.size], layer.bias[...])


# --- modes --------------------------------------------------------------------------------------


@pytest.mark.parity
@pytest.mark.parametrize("case", DROPOUT, ids=lambda case: case.id)
def test_dropout(case):
    """The function's, with the next key of the layer's own stream for each call."""
    layer, name = own_layer(case), case.function.split(".")[1]
    function = getattr(ja.functional, name.lower())
    stream = nnx.Rngs(0)["dropout"].fork()
    x = np.random.default_rng(0).normal(1, 1, case.options["shape"])
    x = jnp.asarray(channels_last(x, case))
    outputs = [layer(x) for _ in range(3)]
    for output in outputs:
        assert np.array_equal(output, function(x, layer.p, key=stream()))
    assert np.array_equal(outputs[0], outputs[1]) == (layer.p == 1)
    assert oracle_of(case)(**case.kwargs).p == layer.p
    layer.eval()
    assert layer(x) is x


def test_dropout_draws_the_same_mask_under_jit_and_moves_its_stream():
    layer, other = (ja.nn.Dropout(0.5, rngs=nnx.Rngs(0)) for _ in range(2))
    x = jnp.ones((8, 8))
    run = nnx.jit(lambda layer, x: layer(x))
    assert np.array_equal(run(layer, x), other(x))
    assert np.array_equal(run(layer, x), other(x))
    streams = (ja.nn.Dropout(0.5, rngs=nnx.Rngs(params=0, dropout=seed))(x) for seed in (1, 2))
    assert not np.array_equal(*streams)


def test_dropout_without_rngs():
    x = jnp.ones(4)
    layer = ja.nn.Dropout(0.5)
    with pytest.raises(ValueError, match="needs rngs"):
        layer(x)
    layer.eval()
    assert layer(x) is x
    assert ja.nn.Dropout(0.0)(x) is x
    assert not ja.nn.Dropout(1.0)(x).any()


class Small(nnx.Module):
    """A model with both kinds of modes."""

    def __init__(self):
        self.bn = ja.nn.BatchNorm2d(2)
        self.dropout = ja.nn.Dropout(0.5, rngs=nnx.Rngs(0))

    def __call__(self, x):
        return self.dropout(self.bn(x))


def test_train_and_eval_switch_every_layer():
    model = Small()
    x = jnp.asarray(np.random.default_rng(0).normal(3, 1, (4, 2, 2, 2)), jnp.float32)
    assert (model.bn.use_running_average, model.dropout.deterministic) == (False, False)
    model(x)
    model.eval()
    assert (model.bn.use_running_average, model.dropout.deterministic) == (True, True)
    before = ja.nn.state_dict(model)
    assert np.array_equal(model(x), model(x))
    assert all(np.array_equal(before[k], v) for k, v in ja.nn.state_dict(model).items())
    model.train()
    assert (model.bn.use_running_average, model.dropout.deterministic) == (False, False)
    view = nnx.view(model, use_running_average=True, deterministic=True)
    assert (view.bn.use_running_average, view.dropout.deterministic) == (True, True)
    assert (model.bn.use_running_average, model.dropout.deterministic) == (False, False)
    assert int(before["bn.num_batches_tracked"]) == 1


@pytest.mark.parametrize("momentum", [0.1, None])
def test_batch_norm_over_twenty_batches(momentum):
    ours, theirs = (
        ja.nn.BatchNorm2d(3, momentum=momentum),
        torch.nn.BatchNorm2d(3, momentum=momentum),
    )
    rng = np.random.default_rng(4)
    step = nnx.jit(lambda layer, x: layer(x))
    theirs = theirs.double()
    for t in range(20):
        x = rng.normal(t, 1 + t, (4, 3, 5, 5)).astype(np.float32)
        theirs(torch.tensor(x).double())
        step(ours, jnp.asarray(np.moveaxis(x, 1, -1)))
        for name, buffer in theirs.named_buffers():
            assert_close(getattr(ours, name)[...], buffer, tol.LAYER_FLOAT32_OF_MAX)
    ours.eval(), theirs.eval()
    found = np.moveaxis(np.asarray(step(ours, jnp.asarray(np.moveaxis(x, 1, -1)))), -1, 1)
    assert_close(found, theirs(torch.tensor(x).double()).detach(), tol.LAYER_FLOAT32_OF_MAX)
    assert int(ours.num_batches_tracked[...]) == 20


# --- dtypes -------------------------------------------------------------------------------------


@pytest.mark.parametrize("parameters", ["float32", "bfloat16"])
@pytest.mark.parametrize("name", ["BatchNorm2d", "LayerNorm"])
def test_normalization_layers_take_bfloat16(name, parameters):
    layer = getattr(ja.nn, name)(3, dtype=parameters)
    assert layer(jnp.ones((4, 2, 2, 3), jnp.bfloat16)).dtype == jnp.bfloat16
    assert all(v.dtype == parameters for v in jax.tree.leaves(nnx.state(layer, nnx.Param)))


@pytest.mark.parametrize("name", ["Linear", "Conv2d"])
def test_bfloat16_layers(name):
    """From bfloat16 inputs and weights comes bfloat16, about one rounding from the truth."""
    arguments = (16, 8) if name == "Linear" else (16, 8, 3)
    layer = getattr(ja.nn, name)(*arguments, dtype=jnp.bfloat16, rngs=nnx.Rngs(0))
    theirs = getattr(torch.nn, name)(*arguments).double()
    theirs.load_state_dict(
        {k: torch.tensor(v.astype(np.float64)) for k, v in ja.nn.state_dict(layer).items()}
    )
    x = jnp.asarray(np.random.default_rng(0).normal(size=(4, 5, 5, 16)), jnp.bfloat16)
    given = torch.tensor(np.asarray(x, np.float64))
    expected = theirs(given if name == "Linear" else given.permute(0, 3, 1, 2)).detach().numpy()
    found = layer(x)
    assert found.dtype == jnp.bfloat16
    found = np.asarray(found, np.float64)
    assert_close(
        found if name == "Linear" else np.moveaxis(found, -1, 1),
        expected,
        tol.LAYER_BFLOAT16_OF_MAX,
    )


@pytest.mark.usefixtures("no_draws")
@pytest.mark.parametrize("promotion", ["strict", "standard"])
@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("Linear", "same dtype, but got: bfloat16 != float32"),
        ("Conv2d", r"Input type \(bfloat16\) and bias type \(float32\) should be the same"),
    ],
)
def test_mixed_dtypes_raise(name, text, promotion):
    """In PyTorch too; under standard promotion JAX alone would compute in the wider one."""
    arguments = (3, 8) if name == "Linear" else (3, 8, 1)
    layer = getattr(ja.nn, name)(*arguments, rngs=nnx.Rngs(0))
    with pytest.raises(RuntimeError):
        getattr(torch.nn, name)(*arguments)(torch.ones(1, 3, 3, 3, dtype=torch.bfloat16))
    with (
        jax.numpy_dtype_promotion(promotion),
        pytest.raises(TypeError, match=text),
    ):
        layer(jnp.ones((1, 3, 3, 3), jnp.bfloat16))


# --- errors -------------------------------------------------------------------------------------


@pytest.mark.filterwarnings("ignore:Initializing zero-element tensors:UserWarning")
@pytest.mark.parametrize("case", BAD, ids=lambda case: case.id)
def test_constructor_errors_have_pytorchs_text(case):
    rngs = {"rngs": nnx.Rngs(0)} if case.function == "nn.Conv2d" else {}
    with pytest.raises((ValueError, RuntimeError)) as expected:
        oracle_of(case)(**case.kwargs)(torch.ones(case.options["shape"]))
    with pytest.raises(ValueError) as found:
        lookup("jaxaccel", case.function)(**case.kwargs, **rngs)
    assert str(found.value) == str(expected.value)


@pytest.mark.usefixtures("no_draws")
@pytest.mark.parametrize("case", BAD_INPUTS, ids=lambda case: case.id)
def test_input_errors_have_pytorchs_text(case):
    rngs = {"rngs": nnx.Rngs(0)} if case.function == "nn.Linear" else {}
    layer = lookup("jaxaccel", case.function)(**case.kwargs, **rngs)
    with pytest.raises((ValueError, RuntimeError)) as expected:
        oracle_of(case)(**case.kwargs)(torch.ones(case.options["shape"]))
    with pytest.raises(ValueError) as found:
        layer(jnp.ones(case.options["shape"], jnp.float32))
    assert str(found.value) == str(expected.value)


@pytest.mark.usefixtures("no_draws")
@pytest.mark.parametrize(
    ("why", "name", "arguments", "shape", "text"),
    [
        ("channels", "Conv2d", (3, 2, 1), (1, 5, 5, 4), "to have 3 channels, but got 4 channels"),
        ("axes", "Conv2d", (3, 2, 1), (5, 3), r"Expected 3D \(unbatched\) or 4D \(batched\)"),
        ("size", "Conv2d", (3, 2, 4), (1, 5, 3, 3), r"\(5 x 3\). Kernel size: \(4 x 4\)"),
        ("channels", "BatchNorm2d", (3,), (1, 5, 5, 4), "running_mean should contain 4 elements"),
        ("one value", "BatchNorm2d", (3,), (1, 1, 1, 3), "Expected more than 1 value per channel"),
    ],
)  # fmt: skip
def test_input_errors(why, name, arguments, shape, text):
    """The text is PyTorch's but for the order of axes in it; PyTorch raises for the same input."""
    rngs = {"rngs": nnx.Rngs(0)} if name == "Conv2d" else {}
    with pytest.raises(ValueError, match=text):
        getattr(ja.nn, name)(*arguments, **rngs)(jnp.ones(shape, jnp.float32))
    torch_shape = (*shape[:-3], shape[-1], *shape[-3:-1]) if len(shape) > 2 else shape
    with pytest.raises((RuntimeError, ValueError), match=text):
        getattr(torch.nn, name)(*arguments)(torch.ones(torch_shape))


@pytest.mark.usefixtures("no_draws")
def test_conv_errors_with_an_unordered_set_in_the_text():
    for kwargs, start in (
        ({"padding": "full"}, "Invalid padding string 'full', should be one of {"),
        ({"padding_mode": "mirror"}, "padding_mode must be one of {"),
    ):
        for build in (
            lambda kwargs: torch.nn.Conv2d(3, 2, 3, **kwargs),
            lambda kwargs: ja.nn.Conv2d(3, 2, 3, **kwargs, rngs=nnx.Rngs(0)),
        ):
            with pytest.raises(ValueError) as info:
                build(kwargs)
            assert str(info.value).startswith(start)


@pytest.mark.usefixtures("no_draws")
@pytest.mark.parametrize(("mode", "padding"), [("reflect", 4), ("circular", 5)])
def test_padding_larger_than_the_image_raises(mode, padding):
    x = np.ones((1, 4, 4, 3), np.float32)
    with pytest.raises(RuntimeError):
        torch.nn.Conv2d(3, 2, 3, padding=padding, padding_mode=mode)(
            torch.tensor(x.transpose(0, 3, 1, 2))
        )
    layer = ja.nn.Conv2d(3, 2, 3, padding=padding, padding_mode=mode, rngs=nnx.Rngs(0))
    with pytest.raises(ValueError, match="is too large"):
        layer(jnp.asarray(x))
