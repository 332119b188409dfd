"""One seed, one set of weights: layers and models drawn by a generator, and drawn sharded."""

import functools
import inspect

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import torch
from flax import nnx
from jax.sharding import NamedSharding
from jax.sharding import PartitionSpec as P

import jaxaccel as ja
from parity_tests.harness.compiled import FAST_COMPILE
from parity_tests.harness.optimizer import lookup, oracle_of
from parity_tests.harness.seeded import assert_built_alike, assert_same_drawn
from parity_tests.models.rows_models import CASES as MODELS
from parity_tests.nn.rows_layers import LAYERS
from parity_tests.registry import rows

SEEDS = [0, 42, -3, 2**32 + 5, 2**63]
DRAWING = [case for case in LAYERS if case.function in ("nn.Linear", "nn.Conv2d")]
FULL_SIZE = [
    ("mlp", {"in_features": 784, "hidden_features": (256, 128), "out_features": 10}),
    ("simple_cnn", {}),
    ("resnet10", {}),
    ("resnet18", {}),
    ("resnet50", {}),
    ("depthwise_cnn", {}),
    ("vit_tiny", {}),
]


@pytest.mark.parametrize("dtype", ["float32", "float64", "bfloat16", "float16"])
@pytest.mark.parametrize("case", DRAWING, ids=lambda case: case.id)
def test_layer_of_a_seed_is_pytorchs(case, dtype):
    function, oracle = lookup("jaxaccel", case.function), oracle_of(case)
    for seed in SEEDS if dtype == "float32" else SEEDS[-2:]:
        assert_built_alike(function, oracle, case.kwargs, dtype, seed)


@pytest.mark.parametrize("case", MODELS, ids=lambda case: case.id)
def test_model_of_a_seed_is_pytorchs(case):
    function, oracle = lookup("jaxaccel", case.function), oracle_of(case)
    for seed in SEEDS:
        assert_built_alike(function, oracle, case.kwargs, "float32", seed)


@pytest.mark.parametrize(("name", "kwargs"), FULL_SIZE, ids=lambda value: str(value))
def test_full_size_model_of_a_seed_is_pytorchs(name, kwargs):
    function, oracle = (lookup(package, f"models.{name}") for package in ("jaxaccel", "torch_ref"))
    assert_built_alike(function, oracle, kwargs, "float32", 2024)


def test_one_generator_builds_one_model_after_the_other():
    """As a script does that calls ``torch.manual_seed`` once."""
    torch.manual_seed(1)
    generator = ja.random.manual_seed(1)
    for _ in range(2):
        theirs = torch.nn.Linear(5, 3)
        assert_same_drawn(ja.nn.Linear(5, 3, rngs=generator), theirs)


@pytest.mark.filterwarnings("ignore:Initializing zero-element tensors:UserWarning")
def test_a_layer_without_inputs_draws_its_bias_too():
    """From U(0, 0): numbers are used up, and none of the zeros is negative."""
    kwargs = {"in_features": 0, "out_features": 3}
    assert_built_alike(ja.nn.Linear, torch.nn.Linear, kwargs, "float32", 3)


def test_a_generator_under_a_trace_raises():
    """Its numbers would be constants of the program, and the same at every call."""
    generator = ja.random.manual_seed(0)
    before = generator.get_state()
    for transform in (nnx.jit, nnx.eval_shape):
        with pytest.raises(RuntimeError, match="trace"):
            transform(lambda: ja.nn.Linear(3, 2, rngs=generator))()
    assert np.array_equal(generator.get_state(), before)


NOT_RNGS = [0, np.uint32(3), jax.random.key(0), jax.random.PRNGKey(0), torch.Generator(), None]


@pytest.mark.parametrize("rngs", NOT_RNGS, ids=lambda rngs: type(rngs).__name__)
def test_a_seed_or_a_key_is_refused_by_every_layer_and_model(rngs):
    """A key would draw the same numbers for every layer."""
    drawing = {c.function: c for c in rows() if c.function.split(".")[0] in ("nn", "models")}
    refused = 0
    for name, case in drawing.items():
        function = lookup("jaxaccel", name)
        call = function.__init__ if inspect.isclass(function) else function
        takes = inspect.signature(call).parameters
        if "rngs" not in takes or (rngs is None and takes["rngs"].default is None):
            continue
        kwargs = {**case.kwargs, **case.options.get("own", {})}
        if "module" in takes:  # a parametrization
            kwargs = {"module": ja.nn.Linear(3, 2, rngs=nnx.Rngs(0))}
        with pytest.raises(TypeError, match=r"nnx\.Rngs or [\s\S]*nnx\.Rngs\(seed\)"):
            function(**kwargs, rngs=rngs)
        refused += 1
    assert refused > 25


def test_arrays_of_a_generator_can_be_donated():
    """They belong to JAX alone: warnings are errors here, and JAX warns of what it cannot reuse."""
    graph, state = nnx.split(ja.nn.Linear(64, 64, rngs=ja.random.manual_seed(0)))
    moved = jax.jit(lambda state: jax.tree.map(lambda x: x + 1, state), donate_argnums=0)(state)
    assert moved["weight"].shape == (64, 64)
    assert all(leaf.is_deleted() for leaf in jax.tree.leaves(state))
    assert isinstance(nnx.merge(graph, moved), ja.nn.Linear)


class WithDropout(nnx.Module):
    """A model that draws at every call in training."""

    def __init__(self, rngs):
        self.first = ja.nn.Linear(4, 4, rngs=rngs)
        self.dropout1 = ja.nn.Dropout(0.5, rngs=rngs)
        self.dropout2 = ja.nn.Dropout(0.5, rngs=rngs)
        self.second = ja.nn.Linear(4, 2, rngs=rngs)

    def __call__(self, x):
        return self.second(self.dropout2(self.dropout1(self.first(x))))


def test_dropout_draws_nothing_when_it_is_built_and_gets_its_masks_later():
    torch.manual_seed(9)
    theirs = torch.nn.ModuleDict()
    for name, shape in (("first", (4, 4)), ("second", (4, 2))):
        theirs[name] = torch.nn.Linear(*shape)
    model = WithDropout(ja.random.manual_seed(9))
    assert_same_drawn(model, theirs)
    x = jnp.ones((3, 4), jnp.float32)
    with pytest.raises(ValueError, match=r"nnx\.view"):
        model(x)
    model = nnx.view(model, rngs=nnx.Rngs(0))
    ones = jnp.ones(64)
    masks = [np.asarray(layer(ones)) for layer in (model.dropout1, model.dropout2, model.dropout1)]
    assert all(0 < mask.sum() < 2 * mask.size for mask in masks)
    assert not any(np.array_equal(masks[i], masks[j]) for i, j in ((0, 1), (0, 2), (1, 2)))
    model.eval()
    assert np.array_equal(model(x), model(x))


def test_a_model_is_drawn_sharded():
    """No device, and not the host, ever holds a whole array: each draws its own part."""
    mesh = jax.make_mesh((8,), ("model",), axis_types=(jax.sharding.AxisType.Auto,))
    build_model = functools.partial(ja.models.simple_cnn, 16, 1, 8)

    def build(key):
        return nnx.state(build_model(rngs=nnx.Rngs(key)), nnx.Param)

    def last_axis(leaf):
        return NamedSharding(mesh, P(*[None] * (leaf.ndim - 1), "model"))

    key = jax.random.key(0)
    shardings = jax.tree.map(last_axis, jax.eval_shape(build, key))
    jit = functools.partial(jax.jit, compiler_options=FAST_COMPILE)
    sharded = jit(build, out_shardings=shardings)(key)
    whole = jit(build)(key)
    leaves = jax.tree.leaves(sharded)
    assert len(leaves) == len(jax.tree.leaves(nnx.state(build_model(rngs=nnx.Rngs(0)), nnx.Param)))
    for part, full in zip(leaves, jax.tree.leaves(whole), strict=True):
        assert len(part.sharding.device_set) == 8
        assert all(shard.data.size == part.size // 8 for shard in part.addressable_shards)
        assert np.array_equal(part, full)
