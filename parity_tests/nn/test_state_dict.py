"""What a class says about its arrays: names, order, layout, kinds, against ``torch.nn.Module``."""

import sys

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import torch
from flax import nnx

import jaxaccel as ja
from jaxaccel import _layout
from parity_tests.harness.optimizer import lookup, oracle_of
from parity_tests.models.rows_models import CASES as MODELS

pytestmark = pytest.mark.usefixtures("no_draws")

WAYS = {
    "split and merge": lambda model: nnx.merge(*nnx.split(model)),
    "clone": nnx.clone,
    "jax.tree.map": lambda model: jax.tree.map(lambda x: x, model),
    "nnx.jit": nnx.jit(lambda model: nnx.clone(model)),
}
"""In which flax builds a model anew; it sorts the attributes by name."""


@pytest.mark.parametrize("way", WAYS)
def test_every_model_keeps_pytorchs_order(way):
    for case in MODELS:
        ours = lookup("jaxaccel", case.function)(**case.kwargs, rngs=nnx.Rngs(0))
        with torch.device("meta"):
            expected = oracle_of(case)(**case.kwargs).state_dict()
        assert list(ja.nn.state_dict(WAYS[way](ours))) == list(expected), case.id


class Frozen(nnx.Param):
    """A parameter that a filter can tell from the others."""


class Table(nnx.Variable):
    """A kind of variable that nobody else knows."""


class Own(nnx.Module):
    """A user's module: arrays of every kind, a kernel of its own, names out of order."""

    torch_transposed = ("zoom",)

    def __init__(self, rngs):
        self.window = nnx.Variable(jnp.full((2, 3), 1.0))
        self.zoom = nnx.Param(jnp.arange(6.0).reshape(2, 3))
        self.second = ja.nn.Linear(2, 2, rngs=rngs)
        self.counts = Table(jnp.zeros((), jnp.int32))
        self.scale = Frozen(jnp.full((3,), 2.0))
        self.first = ja.nn.BatchNorm1d(2)
        self.dropout = ja.nn.Dropout(0.5, rngs=rngs)
        self.seen = nnx.Cache(jnp.zeros(5))
        self.rng = nnx.Rngs(0)
        self.plain = jnp.ones(4)


class Theirs(torch.nn.Module):
    """The same in PyTorch."""

    def __init__(self):
        super().__init__()
        self.register_buffer("window", torch.full((2, 3), 1.0))
        self.zoom = torch.nn.Parameter(torch.arange(6.0).reshape(2, 3).T)
        self.second = torch.nn.Linear(2, 2)
        self.register_buffer("counts", torch.zeros((), dtype=torch.int32))
        self.scale = torch.nn.Parameter(torch.full((3,), 2.0), requires_grad=False)
        self.first = torch.nn.BatchNorm1d(2)
        self.dropout = torch.nn.Dropout(0.5)
        self.register_buffer("seen", torch.zeros(5), persistent=False)
        self.plain = torch.ones(4)


@pytest.mark.parametrize("way", WAYS)
def test_a_users_module_has_its_order_layouts_and_buffers(way):
    expected = Theirs().state_dict()
    found = ja.nn.state_dict(WAYS[way](Own(nnx.Rngs(0))))
    assert list(found) == list(expected)
    assert [a.shape for a in found.values()] == [tuple(t.shape) for t in expected.values()]
    for name in ("window", "zoom", "scale", "counts"):
        assert np.array_equal(found[name], expected[name].numpy()), name


def test_a_users_module_is_filled_from_pytorch():
    theirs, ours = Theirs(), Own(nnx.Rngs(0))
    state = {name: torch.full_like(t, 7) for name, t in theirs.state_dict().items()}
    state["zoom"] = torch.arange(6.0).reshape(3, 2)
    ja.nn.load_state_dict(ours, state)
    assert np.array_equal(ours.zoom[...], state["zoom"].numpy().T)
    assert all((variable[...] == 7).all() for variable in (ours.window, ours.counts, ours.scale))
    assert not ours.seen[...].any()


def test_an_attribute_that_is_replaced_comes_last_as_in_pytorch():
    ours, theirs = Own(nnx.Rngs(0)), Theirs()
    for module, layer in ((ours, ja.nn.LayerNorm(2)), (theirs, torch.nn.LayerNorm(2))):
        module.first = layer  # in its old place
        del module.second
        module.second = layer  # last
    found = ja.nn.state_dict(nnx.clone(ours))
    assert list(found) == list(theirs.state_dict())


def test_lists_and_mappings_of_parameters_are_pytorchs():
    arrays = [jnp.ones((2, 3)), jnp.ones((3,)), jnp.ones((4, 1))]
    ours, theirs = nnx.Dict(), torch.nn.Module()
    ours["late"] = nnx.List([nnx.Param(a) for a in arrays])
    del ours["late"][1]
    ours["early"] = nnx.Dict(b=nnx.Param(arrays[0]), a=nnx.Param(arrays[1]))
    tensors = [torch.nn.Parameter(torch.tensor(np.asarray(a))) for a in arrays]
    theirs.late = torch.nn.ParameterList([tensors[0], tensors[2]])
    theirs.early = torch.nn.ParameterDict([("b", tensors[0]), ("a", tensors[1])])
    found = ja.nn.state_dict(nnx.clone(ours))
    assert {k: v.shape for k, v in found.items()} == {
        k: tuple(v.shape) for k, v in theirs.state_dict().items()
    }
    assert list(found) == list(theirs.state_dict())


class Silent(nnx.Module):
    """A module that holds others, one of which says nothing about its arrays."""

    def __init__(self, layer):
        self.head = ja.nn.Linear(2, 2, rngs=nnx.Rngs(0))
        self.body = nnx.List([layer])


@pytest.mark.parametrize(
    ("build", "name"),
    [
        (lambda: nnx.Linear(2, 2, rngs=nnx.Rngs(0)), "kernel"),
        (lambda: nnx.Conv(2, 2, (3,), rngs=nnx.Rngs(0)), "kernel"),
        (lambda: nnx.BatchNorm(2, rngs=nnx.Rngs(0)), "scale"),
        (lambda: nnx.Embed(2, 2, rngs=nnx.Rngs(0)), "embedding"),
    ],
    ids=["Linear", "Conv", "BatchNorm", "Embed"],
)
def test_a_module_that_says_nothing_is_refused_by_name(build, name):
    with jax.numpy_dtype_promotion("standard"):
        layer = build()
    text = rf"{type(layer).__name__} holds '{name}' and does not say.*torch_transposed = \('{name}'"
    model = Silent(layer)
    before = np.array(model.head.weight[...])
    with pytest.raises(TypeError, match=text):
        ja.nn.state_dict(model)
    with pytest.raises(TypeError, match=text):
        ja.nn.load_state_dict(model, {"head.weight": np.ones((2, 2))}, strict=False)
    with pytest.raises(TypeError, match=text):
        ja.nn.weight_norm(layer, name)
    assert np.array_equal(model.head.weight[...], before)


class Spoken(nnx.Linear):
    """flax's layer with a word about its kernel."""

    torch_transposed = ("kernel",)


def test_one_that_speaks_takes_part():
    with jax.numpy_dtype_promotion("standard"):
        layer = Spoken(2, 3, rngs=nnx.Rngs(0))
    kernel = np.array(layer.kernel[...])
    found = ja.nn.state_dict(Silent(layer))
    assert np.array_equal(found["body.0.kernel"], kernel.T)
    assert found["body.0.bias"].shape == (3,)
    normed = ja.nn.state_dict(ja.nn.weight_norm(layer, "kernel"))
    assert normed["parametrizations.kernel.original0"].shape == (3, 1)


@pytest.mark.parametrize("names", ["kernel", ("kernl",)], ids=["a string", "misspelled"])
def test_a_word_that_would_be_read_wrongly_is_refused(names):
    with jax.numpy_dtype_promotion("standard"):
        layer = nnx.Linear(2, 3, rngs=nnx.Rngs(0))
    layer.torch_transposed = names
    with pytest.raises(TypeError, match=r"torch_transposed of Linear must be a tuple of names"):
        ja.nn.state_dict(layer)


def test_a_variable_without_an_array_is_refused_by_name():
    layer = ja.nn.LayerNorm(2)
    layer.extra = nnx.Variable(1.5)
    with pytest.raises(TypeError, match=r"0\.extra \(Variable\) holds a float"):
        ja.nn.state_dict(nnx.List([layer]))


# --- names, and what is loaded -----------------------------------------------------------------


class Nested(nnx.Module):
    """A list in a list, a shared layer and a module that is absent."""

    def __init__(self, rngs):
        self.blocks = nnx.List([nnx.List([ja.nn.Linear(2, 3, rngs=rngs)]), ja.nn.LayerNorm((3, 2))])
        self.shared = self.blocks[0]
        self.absent = nnx.data(None)


def test_names_of_nested_lists_are_pytorchs():
    theirs = torch.nn.Module()
    theirs.blocks = torch.nn.ModuleList(
        [torch.nn.ModuleList([torch.nn.Linear(2, 3)]), torch.nn.LayerNorm((3, 2))]
    )
    theirs.shared = theirs.blocks[0]
    found = ja.nn.state_dict(Nested(nnx.Rngs(0)))
    assert {k: v.shape for k, v in found.items()} == {
        k: tuple(v.shape) for k, v in theirs.state_dict().items()
    }
    assert list(found) == list(theirs.state_dict())


class WithNorm(nnx.Module):
    """A model with parameters and buffers."""

    def __init__(self):
        self.bn = ja.nn.BatchNorm2d(2)


def test_load_state_dict_reports_everything_and_changes_nothing():
    model, theirs = WithNorm(), torch.nn.Module()
    theirs.bn = torch.nn.BatchNorm2d(2)
    before = ja.nn.state_dict(model)
    state = {k: torch.ones_like(v) for k, v in theirs.state_dict().items()}
    del state["bn.bias"], state["bn.running_var"]
    state |= {"head.weight": torch.ones(1), "bn.extra": torch.ones(1), "bn.weight": torch.ones(3)}
    with pytest.raises(RuntimeError) as expected:
        theirs.load_state_dict(state)
    with pytest.raises(ValueError) as found:
        ja.nn.load_state_dict(model, state)
    text = str(expected.value).replace("torch.Size([3])", "(3,)").replace("torch.Size([2])", "(2,)")
    assert str(found.value) == text.replace("for Module", "for WithNorm")
    assert all(np.array_equal(before[k], v) for k, v in ja.nn.state_dict(model).items())
    with pytest.raises(TypeError, match="Expected state_dict to be dict-like"):
        ja.nn.load_state_dict(model, [1])
    state["bn.weight"] = torch.full((2,), 5.0)
    keys = ja.nn.load_state_dict(model, state, strict=False)
    assert keys == theirs.load_state_dict(state, strict=False)
    assert model.bn.weight[...].tolist() == [5.0, 5.0]


def test_kernel_shapes_in_errors_are_pytorchs():
    for layer, theirs in (
        (ja.nn.Conv2d(3, 4, (1, 2), rngs=nnx.Rngs(0)), torch.nn.Conv2d(3, 4, (1, 2))),
        (ja.nn.Linear(3, 4, rngs=nnx.Rngs(0)), torch.nn.Linear(3, 4)),
    ):
        state = theirs.state_dict() | {"weight": torch.ones(4, 3, 2, 2)}
        shape = ", ".join(map(str, theirs.weight.shape))
        with pytest.raises(ValueError, match=rf"\(4, 3, 2, 2\).*current model is \({shape}\)"):
            ja.nn.load_state_dict(layer, state)


def test_loaded_arrays_are_copies_and_keep_dtype_and_placement():
    layer = ja.nn.Linear(2, 2, dtype=jnp.bfloat16, rngs=nnx.Rngs(0))
    weight = torch.ones(2, 2)
    ja.nn.load_state_dict(layer, {"weight": weight, "bias": np.zeros(2)})
    weight.fill_(7)
    assert layer.weight.dtype == jnp.bfloat16
    assert (layer.weight[...] == 1).all()
    assert not layer.weight[...].committed
    norm = ja.nn.LayerNorm(4096)  # JAX would share aligned host memory of the same dtype
    shared = {name: torch.ones(4096) for name in ("weight", "bias")}
    ja.nn.load_state_dict(norm, shared)
    shared["weight"].fill_(7)
    assert (norm.weight[...] == 1).all()
    exported = ja.nn.state_dict(layer)["bias"]
    exported[:] = 3
    assert (layer.bias[...] == 0).all()
    mesh = jax.make_mesh((8,), ("data",), axis_types=(jax.sharding.AxisType.Auto,))
    sharding = jax.sharding.NamedSharding(mesh, jax.sharding.PartitionSpec("data"))
    layer = ja.nn.Linear(8, 2, bias=False, rngs=nnx.Rngs(0))
    layer.weight[...] = jax.device_put(layer.weight[...], sharding)
    ja.nn.load_state_dict(layer, {"weight": np.ones((2, 8))})
    assert layer.weight[...].sharding == sharding


def test_from_the_seed_to_the_state_dict_a_layout_is_checked_once():
    code, calls = _layout.check_layout.__code__, []

    def count(frame, event, _):
        calls.extend([frame.f_back.f_code.co_name] * (event == "call" and frame.f_code is code))

    layer = ja.nn.Linear(3, 2, rngs=ja.random.manual_seed(0))  # imports, traces and compiles
    sys.setprofile(count)
    try:
        layer = ja.nn.Linear(3, 2, rngs=ja.random.manual_seed(0))
        found = ja.nn.state_dict(layer)
    finally:
        sys.setprofile(None)
    assert found["weight"].shape == (2, 3)
    assert len(calls) == 1, calls


def test_a_stack_of_layers_has_no_names_in_pytorch():
    make = {
        "Linear": lambda rngs: ja.nn.Linear(3, 2, rngs=rngs),
        "Conv1d": lambda rngs: ja.nn.Conv1d(3, 2, 1, rngs=rngs),
        "GRU": lambda rngs: ja.nn.GRU(3, 2, rngs=rngs),
        "MultiheadAttention": lambda rngs: ja.nn.MultiheadAttention(4, 2, rngs=rngs),
        "weight_norm": lambda rngs: ja.nn.weight_norm(ja.nn.Linear(3, 2, rngs=rngs), dim=None),
    }
    for name, layer in make.items():
        stack = nnx.vmap(layer)(nnx.Rngs(0).split(2))
        first = layer(nnx.Rngs(1))
        wanted = ja.nn.state_dict(first)
        for refused in (ja.nn.state_dict, lambda m, w=wanted: ja.nn.load_state_dict(m, w)):
            with pytest.raises(ValueError, match=r"a stack of layers, as nnx\.vmap makes one"):
                refused(stack)
        # The remedy of the text: the layers one by one.
        graph, state = nnx.split(stack)
        one = nnx.merge(graph, jax.tree.map(lambda x: x[0], state))
        found = ja.nn.state_dict(one)
        assert {k: v.shape for k, v in found.items()} == {k: v.shape for k, v in wanted.items()}, (
            name
        )
