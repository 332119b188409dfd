"""Normalization layers against ``torch.nn``: values, gradients, statistics, modes, devices."""

import inspect
import re

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import torch
from flax import nnx
from jax.sharding import PartitionSpec as P

import jaxaccel as ja
from parity_tests import tolerances as tol
from parity_tests.harness.layer import (
    assert_close,
    assert_same_layer,
    assert_same_state_dict,
    both_layers,
    channels_first,
    channels_last,
    largest,
    own_layer,
)
from parity_tests.harness.optimizer import lookup, oracle_of
from parity_tests.nn.rows_fused_layers import BAD_FUSIONS, FUSED
from parity_tests.nn.rows_norm_errors import BAD, BAD_INPUTS
from parity_tests.nn.rows_norm_layers import CASES, EIGHT_DEVICES, LAYERS, TWENTY_BATCHES
from parity_tests.registry import Case

DEFAULTS = [case for case in LAYERS if case.why == "defaults"]
BATCH_NORMS = ("BatchNorm1d", "BatchNorm2d", "BatchNorm3d", "SyncBatchNorm")
INSTANCE_NORMS = ("InstanceNorm1d", "InstanceNorm2d", "InstanceNorm3d")

call = nnx.jit(lambda layer, x: layer(x))


def as_pytorch(case, layer):
    """Return the arguments of a layer in PyTorch's own layout, where it has channels."""
    takes = inspect.signature(layer.__init__).parameters
    return {**case.kwargs, **({"channel_axis": 1} if "channel_axis" in takes else {})}


@pytest.mark.parity
@pytest.mark.parametrize("case", CASES, ids=lambda case: case.id)
def test_float64_layer_equals_pytorch(case):
    assert_same_layer(case, "float64")


@pytest.mark.parametrize(
    "case",
    [c for c in DEFAULTS if c.function.endswith(("1d", "GroupNorm", "RMSNorm", "ResponseNorm"))],
    ids=lambda case: case.id,
)
def test_float32_layer_equals_pytorch(case):
    assert_same_layer(case, "float32")


@pytest.mark.parametrize("case", LAYERS, ids=lambda case: case.id)
def test_state_dict_is_pytorchs(case):
    """Same names, order, shapes; and a fresh layer starts from PyTorch's constants."""
    assert_same_state_dict(case)
    fresh = oracle_of(case)(**case.kwargs).state_dict()
    found = ja.nn.state_dict(lookup("jaxaccel", case.function)(**case.kwargs))
    for name, tensor in fresh.items():
        assert np.array_equal(found[name], tensor.numpy())
        assert str(found[name].dtype) == str(tensor.dtype).removeprefix("torch.")


@pytest.mark.parametrize("case", DEFAULTS, ids=lambda case: case.id)
def test_default_dtype_is_float32(case):
    layer = own_layer(case)
    assert all(p.dtype == jnp.float32 for p in jax.tree.leaves(nnx.state(layer, nnx.Param)))
    x = np.random.default_rng(0).normal(size=case.options["shape"])
    assert call(layer, jnp.asarray(channels_last(x, case), jnp.float32)).dtype == jnp.float32


@pytest.mark.parametrize("parameters", ["float32", "bfloat16"])
@pytest.mark.parametrize("case", DEFAULTS, ids=lambda case: case.id)
def test_bfloat16_inputs_are_rounded_once(case, parameters):
    ours, theirs = own_layer(case, parameters), oracle_of(case)(**case.kwargs)
    x = jnp.asarray(np.random.default_rng(3).normal(size=case.options["shape"]), jnp.bfloat16)
    given = np.asarray(x, np.float64)
    found = call(ours, jnp.asarray(channels_last(given, case), jnp.bfloat16))
    assert found.dtype == jnp.bfloat16
    assert all(v.dtype == parameters for v in jax.tree.leaves(nnx.state(ours, nnx.Param)))
    found = channels_first(np.asarray(found, np.float64), case)
    assert_close(found, theirs.double()(torch.tensor(given)).detach(), tol.LAYER_BFLOAT16_OF_MAX)


# --- running statistics and modes ---------------------------------------------------------------


@pytest.mark.parametrize("case", TWENTY_BATCHES, ids=lambda case: case.id)
def test_running_statistics_over_twenty_batches(case):
    """After each batch, and what they make of an input in evaluation."""
    ours, theirs = own_layer(case, "float64"), oracle_of(case)(**case.kwargs).double()
    rng = np.random.default_rng(4)
    for t in range(20):
        x = rng.normal(t, 1 + t, case.options["shape"])
        theirs(torch.tensor(x))
        call(ours, jnp.asarray(channels_last(x, case)))
        for name, buffer in theirs.named_buffers():
            assert_close(getattr(ours, name)[...], buffer, tol.LAYER_FLOAT64_OF_MAX, what=name)
    ours.eval(), theirs.eval()
    before = ja.nn.state_dict(ours)
    found = call(ours, jnp.asarray(channels_last(x, case)))
    expected = theirs(torch.tensor(x)).detach()
    assert_close(channels_first(found, case), expected, tol.LAYER_FLOAT64_OF_MAX)
    assert all(np.array_equal(before[k], v) for k, v in ja.nn.state_dict(ours).items())
    counted = case.function.removeprefix("nn.") in BATCH_NORMS
    assert int(before["num_batches_tracked"]) == (20 if counted else 0)


class Norms(nnx.Module):
    """Every layer with a mode, two of them in a list."""

    def __init__(self):
        self.layers = nnx.List([getattr(ja.nn, name)(3) for name in BATCH_NORMS])
        self.instance_norm = ja.nn.InstanceNorm2d(3, track_running_stats=True)

    def modes(self):
        return {layer.use_running_average for layer in (*self.layers, self.instance_norm)}


def test_train_eval_and_view_switch_every_layer():
    model = Norms()
    assert model.modes() == {False}
    model.eval()
    assert model.modes() == {True}
    model.train()
    assert model.modes() == {False}
    view = nnx.view(model, use_running_average=True)
    assert (view.modes(), model.modes()) == ({True}, {False})
    only = nnx.view(model, only=ja.nn.InstanceNorm2d, use_running_average=True)
    assert only.instance_norm.use_running_average
    assert not only.layers[0].use_running_average
    # A view shares its variables with the model.
    x = jnp.asarray(np.random.default_rng(0).normal(3, 1, (4, 2, 2, 3)), jnp.float32)
    before = view.instance_norm(x)
    model.instance_norm(x)
    assert not np.array_equal(view.instance_norm(x), before)


# --- devices ------------------------------------------------------------------------------------


def eight_devices():
    return jax.make_mesh((8,), ("data",), axis_types=(jax.sharding.AxisType.Auto,))


def on_eight_devices(layer, x, cotangent):
    """Return output, buffers and gradients of parameters and input, an eighth on each device."""
    graph, params, rest = nnx.split(layer, nnx.Param, ...)

    def part(params, x, rest, cotangent):
        model = nnx.merge(graph, params, rest, copy=True)
        output = model(x)
        loss = jax.lax.psum(jnp.sum(output * cotangent), "data")
        return loss, (output, nnx.state(model, nnx.BatchStat))

    spread = jax.shard_map(
        part,
        mesh=eight_devices(),
        in_specs=(P(), P("data"), P(), P("data")),
        out_specs=(P(), (P("data"), P())),
    )
    run = jax.jit(jax.value_and_grad(spread, argnums=(0, 1), has_aux=True))
    (_, (output, buffers)), (gradients, input_gradient) = run(params, x, rest, cotangent)
    carrier = nnx.clone(layer)
    nnx.update(carrier, gradients, buffers)
    return output, ja.nn.state_dict(carrier), input_gradient


@pytest.mark.parametrize("converted", [False, True], ids=["made", "converted"])
@pytest.mark.parametrize("case", EIGHT_DEVICES, ids=lambda case: case.id)
def test_eight_devices_equal_pytorch_on_the_whole_batch(case, converted):
    if converted:
        case = case._replace(function=case.oracle.removeprefix("torch."))
    else:
        case = case._replace(options={**case.options, "own": {"axis_name": "data"}})
    ours, theirs = both_layers(case)
    if converted:
        assert ja.nn.convert_sync_batchnorm(ours, "data") is ours
    rng = np.random.default_rng(5)
    x, cotangent = rng.normal(2.0, 3.0, (2, *case.options["shape"]))
    input = torch.tensor(x, requires_grad=True)
    output = theirs(input)
    output.backward(torch.tensor(cotangent))
    found, arrays, input_gradient = on_eight_devices(
        ours, *(jnp.asarray(channels_last(a, case)) for a in (x, cotangent))
    )
    scale = largest(cotangent)
    assert_close(channels_first(found, case), output.detach(), tol.LAYER_FLOAT64_OF_MAX)
    gradient = channels_first(input_gradient, case)
    assert_close(gradient, input.grad, tol.LAYER_FLOAT64_OF_MAX, scale)
    expected = {name: p.grad for name, p in theirs.named_parameters()}
    expected |= dict(theirs.named_buffers())
    assert arrays.keys() == expected.keys()
    for name, tensor in expected.items():
        assert_close(arrays[name], tensor, tol.LAYER_FLOAT64_OF_MAX, scale, name)


@pytest.mark.parametrize(
    "case",
    [case for case in EIGHT_DEVICES if case.kwargs.get("track_running_stats", True)],
    ids=lambda case: case.id,
)
def test_eight_devices_over_twenty_batches(case):
    ours = ja.nn.SyncBatchNorm(**case.kwargs, dtype=jnp.float64, axis_name="data")
    theirs = oracle_of(case)(**case.kwargs).double()
    graph, state = nnx.split(ours)

    def part(state, x):
        model = nnx.merge(graph, state, copy=True)
        output = model(x)
        return output, nnx.state(model)

    specs = {"in_specs": (P(), P("data")), "out_specs": (P("data"), P())}
    run = jax.jit(jax.shard_map(part, mesh=eight_devices(), **specs))
    rng = np.random.default_rng(7)
    for t in range(20):
        x = rng.normal(t, 1 + t, case.options["shape"])
        output = theirs(torch.tensor(x)).detach()
        found, state = run(state, jnp.asarray(channels_last(x, case)))
        assert_close(channels_first(found, case), output, tol.LAYER_FLOAT64_OF_MAX)
        for name, buffer in theirs.named_buffers():
            assert_close(state[name][...], buffer, tol.LAYER_FLOAT64_OF_MAX, what=name)


def test_evaluation_asks_no_other_device():
    """As in PyTorch, with or without running statistics: no mapped axis is needed."""
    x = jnp.asarray(np.random.default_rng(0).normal(size=(4, 3)), jnp.float32)
    for tracked in (True, False):
        layer, alone = (
            ja.nn.SyncBatchNorm(3, track_running_stats=tracked, axis_name=name)
            for name in ("data", None)
        )
        layer.eval(), alone.eval()
        assert np.array_equal(call(layer, x), call(alone, x))


def test_convert_reaches_every_batch_norm_and_nothing_else():
    model = Norms()
    before = ja.nn.state_dict(model)
    model.layers[0].eval()
    kinds = [type(layer) for layer in model.layers]
    ja.nn.convert_sync_batchnorm(model, ("data", "model"))
    assert [layer.axis_name for layer in model.layers] == [("data", "model")] * 4
    assert not hasattr(model.instance_norm, "axis_name")
    assert [type(layer) for layer in model.layers] == kinds
    assert [layer.use_running_average for layer in model.layers] == [True, False, False, False]
    assert list(ja.nn.state_dict(model)) == list(before)
    ja.nn.convert_sync_batchnorm(model, None)
    assert all(layer.axis_name is None for layer in model.layers)


# --- errors -------------------------------------------------------------------------------------


@pytest.mark.parametrize("case", BAD, ids=lambda case: case.id)
def test_constructor_errors_have_pytorchs_text(case):
    with pytest.raises((ValueError, RuntimeError)) as expected:
        oracle_of(case)(**case.kwargs)(torch.ones(case.options["shape"]))
    with pytest.raises(ValueError) as found:
        lookup("jaxaccel", case.function)(**case.kwargs)
    assert str(found.value) == str(expected.value)


def test_no_group_at_all():
    with pytest.raises(ZeroDivisionError):
        torch.nn.GroupNorm(0, 4)
    with pytest.raises(ValueError, match="num groups to be greater than 0, got 0"):
        ja.nn.GroupNorm(0, 4)


@pytest.mark.parametrize("case", BAD_INPUTS, ids=lambda case: case.id)
def test_input_errors_have_pytorchs_text(case):
    layer = lookup("jaxaccel", case.function)
    ours, theirs = layer(**as_pytorch(case, layer)), oracle_of(case)(**case.kwargs)
    if case.options.get("mode") == "eval":
        ours.eval(), theirs.eval()
    with pytest.raises((ValueError, RuntimeError)) as expected:
        theirs(torch.ones(case.options["shape"]))
    with pytest.raises(ValueError) as found:
        ours(jnp.ones(case.options["shape"], jnp.float32))
    text = re.sub(r"torch\.Size\(\[(.*?)\]\)", r"(\1)", str(expected.value))
    assert str(found.value) == text


@pytest.mark.parametrize("name", INSTANCE_NORMS)
@pytest.mark.parametrize("batched", [True, False])
def test_instance_norm_without_affine_warns_about_other_channels(name, batched):
    shape = (2, 4, *(3,) * int(name[-2]))[0 if batched else 1 :]
    theirs, ours = getattr(torch.nn, name)(3), getattr(ja.nn, name)(3, channel_axis=1)
    x, text = np.random.default_rng(0).normal(size=shape), "does not match num_features"
    with pytest.warns(UserWarning, match=text) as expected:
        output = theirs(torch.tensor(x))
    with pytest.warns(UserWarning, match=text) as found:
        result = jax.jit(lambda x: ours(x))(jnp.asarray(x))
    assert [str(w.message) for w in found] == [str(w.message) for w in expected]
    assert found[0].filename == __file__
    assert_close(result, output, tol.LAYER_FLOAT64_OF_MAX)
    last, x = getattr(ja.nn, name)(3), np.moveaxis(x, -len(shape) + batched, -1)
    with pytest.warns(UserWarning, match=rf"input's size at dim={len(shape) - 1} does not match"):
        jax.eval_shape(lambda x: last(x), x)


# --- fusing -------------------------------------------------------------------------------------


def fused_pair(case, dtype="float64"):
    """Return jaxaccel's layer and normalization of a row, and PyTorch's, in evaluation."""
    ours, theirs = both_layers(case, dtype)
    weight = ja.nn.state_dict(ours)["weight"]
    outputs = weight.shape[1] * case.kwargs.get("groups", 1) if transposed(case) else len(weight)
    norm = Case(
        f"nn.{case.options['bn']}",
        {"num_features": outputs, "affine": case.options.get("affine", True)},
        f"torch.nn.{case.options['bn']}",
        "after the layer",
        {"mode": "eval"},
    )
    our_norm, their_norm = both_layers(norm, dtype, seed=1)
    return (ours, our_norm), (theirs.eval(), their_norm)


def transposed(case):
    return "Transpose" in case.function


def fuse(case, layer, bn):
    """Call the fusion of a row's kind."""
    if case.function == "nn.Linear":
        return ja.nn.fuse_linear_bn(layer, bn)
    return ja.nn.fuse_conv_bn(layer, bn, transposed(case))


@pytest.mark.parity
@pytest.mark.parametrize("case", FUSED, ids=lambda case: case.id)
def test_fused_layer_equals_pytorchs(case):
    """Its weights, and its output for an input: that of the two layers."""
    (layer, bn), theirs = fused_pair(case)
    before = [ja.nn.state_dict(module) for module in (layer, bn)]
    fused = fuse(case, layer, bn)
    assert type(fused) is type(layer)
    x = np.random.default_rng(2).normal(size=case.options["shape"])
    expected = theirs[1](theirs[0](torch.tensor(x))).detach()
    found = jax.jit(lambda x: fused(x))(jnp.asarray(channels_last(x, case)))
    assert_close(channels_first(found, case), expected, tol.LAYER_FLOAT64_OF_MAX)
    if "unfused" not in case.options:
        transpose = {"transpose": True} if transposed(case) else {}
        kind = "linear" if case.function == "nn.Linear" else "conv"
        judge = getattr(torch.nn.utils.fusion, f"fuse_{kind}_bn_eval")(*theirs, **transpose)
        arrays = ja.nn.state_dict(fused)
        assert list(arrays) == list(judge.state_dict())
        for name, tensor in judge.state_dict().items():
            assert_close(arrays[name], tensor, tol.LAYER_FLOAT64_OF_MAX, what=name)
    for module, arrays in zip((layer, bn), before, strict=True):
        after = ja.nn.state_dict(module)
        assert list(after) == list(arrays)
        assert all(np.array_equal(after[name], array) for name, array in arrays.items())


@pytest.mark.parametrize("case", [c for c in FUSED if "unfused" in c.options], ids=lambda c: c.id)
def test_pytorch_cannot_fuse(case):
    _, theirs = fused_pair(case)
    kind = "linear" if case.function == "nn.Linear" else "conv"
    transpose = {"transpose": True} if transposed(case) else {}
    with pytest.raises((RuntimeError, TypeError)):
        getattr(torch.nn.utils.fusion, f"fuse_{kind}_bn_eval")(*theirs, **transpose)


def test_fused_with_one_feature_for_all():
    linear, bn = ja.nn.Linear(4, 3, rngs=nnx.Rngs(0), bias=False), ja.nn.BatchNorm1d(1)
    ja.nn.load_state_dict(
        bn,
        {"weight": [2.0], "bias": [3.0], "running_mean": [5.0], "running_var": [4.0]},
        strict=False,
    )
    bn.eval()
    x = jnp.arange(8.0, dtype=jnp.float32).reshape(2, 4)
    expected = bn(linear(x).reshape(6, 1)).reshape(2, 3)
    fused = ja.nn.fuse_linear_bn(linear, bn)
    assert fused.bias.shape == (3,)  # PyTorch's has one element, which no state_dict takes
    assert_close(fused(x), expected, tol.LAYER_FLOAT32_OF_MAX)


@pytest.mark.parametrize("statistics", ["float32", "bfloat16"])
def test_fused_keeps_the_dtypes_of_the_layer(statistics):
    """Computed in float32 and rounded once, as PyTorch does beside statistics in float32."""
    case = next(c for c in FUSED if c.function == "nn.Conv2d")
    (layer, bn), theirs = fused_pair(case, "float32")
    low = ja.nn.Conv2d(**case.kwargs, dtype=jnp.bfloat16, rngs=nnx.Rngs(0))
    norm = ja.nn.BatchNorm2d(6, dtype=statistics)
    ja.nn.load_state_dict(low, ja.nn.state_dict(layer))
    ja.nn.load_state_dict(norm, ja.nn.state_dict(bn))
    norm.eval()
    found = ja.nn.state_dict(ja.nn.fuse_conv_bn(low, norm))
    for module, ours in zip(theirs, (low, norm), strict=True):
        module.load_state_dict(
            {k: torch.tensor(v.astype(np.float64)) for k, v in ja.nn.state_dict(ours).items()}
        )
    for name, tensor in torch.nn.utils.fusion.fuse_conv_bn_eval(*theirs).state_dict().items():
        assert found[name].dtype == jnp.bfloat16
        # Half a unit in the last place is at most 2^-8 of a value.
        error = np.abs(found[name].astype(np.float64) - tensor.numpy())
        assert np.all(error <= tol.LAYER_BFLOAT16_OF_MAX * np.abs(tensor.numpy()))


@pytest.mark.parametrize("case", BAD_FUSIONS, ids=lambda case: case.id)
def test_what_cannot_be_fused(case):
    norm, bn = case.options["norm"], ja.nn.BatchNorm2d(**case.options["norm"])
    layer, theirs = own_layer(case), oracle_of(case)(**case.kwargs)
    if case.options.get("mode") == "eval":
        bn.eval()
    fuse = getattr(ja.nn, case.options["fuse"])
    with pytest.raises(ValueError, match=re.escape(case.options["text"])):
        fuse(layer, bn, **case.options.get("transpose", {}))
    if "unseen" not in case.options:
        judge = getattr(torch.nn.utils.fusion, case.options["fuse"] + "_eval")
        theirs.eval(), (norm := torch.nn.BatchNorm2d(**norm)).train(not bn.use_running_average)
        with pytest.raises(AssertionError, match=re.escape(case.options["text"])):
            judge(theirs, norm)
