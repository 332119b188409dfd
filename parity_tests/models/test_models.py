"""Whole models against the same models of ``torch.nn`` layers, on the same weights."""

import functools
import inspect
import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import torch
from flax import nnx
from jax.sharding import PartitionSpec as P

import jaxaccel as ja
from jaxaccel.init import _draw
from parity_tests import tolerances as tol
from parity_tests.harness.compare import assert_close
from parity_tests.harness.compiled import FAST_COMPILE
from parity_tests.harness.optimizer import lookup, oracle_of
from parity_tests.models.rows_models import CASES as MODELS

rows = pytest.mark.parametrize("case", MODELS, ids=lambda case: case.id)


pytestmark = pytest.mark.usefixtures("no_draws")


def channels_last(array):
    return np.moveaxis(array, 1, -1) if array.ndim == 4 else array


def models(case):
    """Return jaxaccel's model and the mirror, with the mirror's weights and some statistics."""
    torch.manual_seed(0)
    theirs = oracle_of(case)(**case.kwargs, dtype=torch.float64)
    for name, buffer in theirs.named_buffers():
        if buffer.is_floating_point():
            buffer.uniform_(0.5, 1.5) if "var" in name else buffer.normal_()
    ours = lookup("jaxaccel", case.function)(**case.kwargs, dtype=jnp.float64, rngs=nnx.Rngs(0))
    ja.nn.load_state_dict(ours, theirs.state_dict())
    return ours, theirs


def loss_and_gradients(model, x, labels):
    """Return logits, loss, gradients and the model after the step's forward pass."""
    graph, params, rest = nnx.split(model, nnx.Param, ...)

    @functools.partial(jax.jit, compiler_options=FAST_COMPILE)
    def run(params, rest, x, labels):
        def loss_of(params):
            model = nnx.merge(graph, params, rest, copy=True)
            logits = model(x)
            chosen = jnp.take_along_axis(jax.nn.log_softmax(logits), labels[..., None], -1)
            return -chosen.mean(), (logits, nnx.state(model, nnx.BatchStat))

        return jax.value_and_grad(loss_of, has_aux=True)(params)

    (loss, (logits, buffers)), gradients = run(params, rest, x, labels)
    nnx.update(model, buffers)
    after = ja.nn.state_dict(model)
    nnx.update(model, gradients)
    return logits, loss, ja.nn.state_dict(model), after


@pytest.mark.parametrize(
    ("case", "mode"),
    [(case, mode) for case in MODELS for mode in case.options.get("modes", ("train", "eval"))],
    ids=lambda value: getattr(value, "id", value),
)
def test_forward_and_backward_equal_pytorch(case, mode):
    ours, theirs = models(case)
    getattr(ours, mode)()
    getattr(theirs, mode)()
    rng = np.random.default_rng(1)
    x = rng.normal(size=case.options["shape"])
    if "integers" in case.options:
        x = rng.integers(0, case.options["integers"], case.options["shape"])
    logits = theirs(torch.tensor(x))
    labels = rng.integers(0, 4, logits.shape[:-1])
    loss = torch.nn.functional.cross_entropy(logits.flatten(0, -2), torch.tensor(labels).flatten())
    loss.backward()
    found, found_loss, gradients, after = loss_and_gradients(
        ours, jnp.asarray(channels_last(x)), jnp.asarray(labels)
    )
    of_max = tol.MODEL_FLOAT64_OF_MAX
    assert_close(found, logits.detach(), of_max, what="logits")
    assert_close(found_loss, loss.detach(), of_max, what="loss")
    expected = {name: p.grad.numpy() for name, p in theirs.named_parameters()}
    rounding = tol.MODEL_FLOAT64_ROUNDING * max(np.max(np.abs(g)) for g in expected.values())
    for name, gradient in expected.items():
        assert_close(gradients[name], gradient, of_max, what=name, floor=rounding)
    for name, tensor in theirs.state_dict().items():
        assert_close(after[name], tensor, of_max, what=name)


@rows
def test_names_shapes_and_a_round_trip(case):
    ours, theirs = models(case)
    found, expected = ja.nn.state_dict(ours), theirs.state_dict()
    assert list(found) == list(expected)
    for name, tensor in expected.items():
        assert np.array_equal(found[name], tensor.numpy()), name
    fresh = oracle_of(case)(**case.kwargs, dtype=torch.float64)
    fresh.load_state_dict({k: torch.from_numpy(v) for k, v in found.items()})
    for name, tensor in fresh.state_dict().items():
        assert torch.equal(tensor, expected[name])


@rows
def test_signatures_differ_in_what_says_how_only(case):
    how = ("rngs", "axis_name", "checkpoint", "scan_layers")
    ours = inspect.signature(lookup("jaxaccel", case.function)).parameters
    theirs = inspect.signature(oracle_of(case)).parameters
    assert [n for n in ours if n not in how] == list(theirs)
    assert all(ours[n].default == p.default for n, p in theirs.items())


@pytest.mark.parametrize(
    ("name", "kwargs", "expected"),
    [
        ("resnet10", {}, 4_903_242),
        ("resnet18", {"num_classes": 1000, "small_images": False}, 11_689_512),
        ("resnet50", {}, 25_557_032),
        ("vit_tiny", {}, 5_717_416),
        ("gpt", {"config": ja.models.GPTConfig(vocab_size=50257)}, 124_439_808),
    ],
    ids=lambda value: str(value),
)
def test_default_sizes_are_the_published_ones(name, kwargs, expected):
    """Of torchvision, of DeiT and of GPT-2: parameters counted without allocating them."""
    ours = nnx.eval_shape(lambda: lookup("jaxaccel", f"models.{name}")(**kwargs, rngs=nnx.Rngs(0)))
    with torch.device("meta"):
        theirs = lookup("torch_ref", f"models.{name}")(**kwargs)
    leaves = jax.tree.leaves(nnx.state(ours, nnx.Param))
    assert all(leaf.dtype == jnp.float32 for leaf in leaves)
    size = sum(math.prod(leaf.shape) for leaf in leaves)
    assert size == sum(p.numel() for p in theirs.parameters()) == expected


def test_resnet10_over_a_mapped_axis_equals_the_global_batch():
    """Batch normalization with ``axis_name``: eight devices, two images each."""
    mesh = jax.make_mesh((8,), ("data",), axis_types=(jax.sharding.AxisType.Auto,))
    case = next(c for c in MODELS if c.id == "resnet10-digits")
    one, _ = models(case)
    many = ja.models.resnet10(**case.kwargs, dtype=jnp.float64, axis_name="data", rngs=nnx.Rngs(0))
    ja.nn.load_state_dict(many, ja.nn.state_dict(one))
    x = jnp.asarray(np.random.default_rng(2).normal(size=(16, 8, 8, 1)))

    def forward(graph, state, x):
        model = nnx.merge(graph, state, copy=True)
        return model(x), nnx.state(model, nnx.BatchStat)

    def spread(graph, state, x):
        mapped = functools.partial(forward, graph)
        specs = (P(), P("data")), (P("data"), P())
        return jax.shard_map(mapped, mesh=mesh, in_specs=specs[0], out_specs=specs[1])(state, x)

    results = []
    for call, model in ((forward, one), (spread, many)):
        graph, state = nnx.split(model)
        compiled = jax.jit(functools.partial(call, graph), compiler_options=FAST_COMPILE)
        results.append(compiled(state, x))
    for found, expected in zip(*map(jax.tree.leaves, results), strict=True):
        assert_close(found, expected, tol.MODEL_FLOAT64_OF_MAX, what="output or statistic")


def test_models_draw_anew_for_every_layer(monkeypatch):
    """One seed gives one model; two layers never get the same key."""
    keys = []

    def record(key, shape, dtype, *_):
        keys.append(tuple(np.asarray(jax.random.key_data(key)).tolist()))
        return jnp.zeros(shape, dtype)

    monkeypatch.setattr(_draw, "uniform", record)
    for _ in range(2):
        ja.models.simple_cnn(rngs=nnx.Rngs(5))
    assert len(keys) == 2 * 8
    assert keys[:8] == keys[8:]
    assert len(set(keys)) == 8
