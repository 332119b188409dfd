"""Weight, spectral and orthogonal parametrizations against ``torch.nn.utils.parametrizations``."""

import functools
import inspect

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import torch
from flax import nnx
from torch.nn.utils.parametrize import remove_parametrizations

import jaxaccel as ja
from parity_tests import tolerances as tol
from parity_tests.harness.compare import assert_close, largest
from parity_tests.harness.compiled import FAST_COMPILE
from parity_tests.harness.layer import OF_MAX, channels_first, channels_last
from parity_tests.harness.optimizer import TORCH, lookup, oracle_of
from parity_tests.nn.rows_parametrizations import BAD, CASES

STEPS, LEARNING_RATE = 10, 0.05

layer_rows = pytest.mark.parametrize("case", CASES, ids=lambda case: case.id)


# --- layers -------------------------------------------------------------------------------------


def plain_layers(case, dtype="float64", seed=0):
    """Return jaxaccel's layer and PyTorch's of a row, the weights drawn by one seed."""
    torch.manual_seed(seed)
    generator = ja.random.manual_seed(seed)
    name, arguments = case.options["layer"], case.options["arguments"]
    theirs = getattr(torch.nn, name)(**arguments, dtype=TORCH[dtype])
    layer = getattr(ja.nn, name)
    draws = {"rngs": generator} if "rngs" in inspect.signature(layer.__init__).parameters else {}
    return layer(**arguments, dtype=jnp.dtype(dtype), **draws), theirs, generator


def own(case, layer, generator):
    """Apply a row's parametrization to jaxaccel's layer."""
    function = lookup("jaxaccel", case.function)
    draws = {"rngs": generator} if "rngs" in inspect.signature(function).parameters else {}
    return function(layer, **case.kwargs, **draws)


def both_layers(case, dtype="float64", seed=0):
    """Return both layers, parametrized."""
    ours, theirs, generator = plain_layers(case, dtype, seed)
    assert own(case, ours, generator) is ours
    theirs = oracle_of(case)(theirs, **case.kwargs)
    assert np.array_equal(generator.get_state(), torch.get_rng_state().numpy())
    return ours, theirs


def input_of(case, dtype="float64"):
    """Return the input of a row for both layers."""
    rng = np.random.default_rng(1)
    if "integers" in case.options:
        x = rng.integers(0, case.options["integers"], case.options["shape"])
        return jnp.asarray(x), torch.tensor(x)
    x = rng.normal(size=case.options["shape"]).astype(dtype)
    return jnp.asarray(channels_last(x, case)), torch.tensor(x)


def first(output):
    """Return the output of a layer that returns states besides."""
    return output[0] if isinstance(output, tuple) else output


def training_step(layer):
    """Return ``step(params, rest, x, cotangent)``, with SGD's next parameters among its results."""
    graph = nnx.graphdef(layer)

    @functools.partial(jax.jit, compiler_options=FAST_COMPILE)
    def step(params, rest, x, cotangent):
        def call(params):
            model = nnx.merge(graph, params, rest, copy=True)
            return first(model(x)), nnx.split(model, nnx.Param, ...)[2]

        output, pullback, moved = jax.vjp(call, params, has_aux=True)
        (gradients,) = pullback(cotangent)
        new = jax.tree.map(lambda p, g: p - LEARNING_RATE * g, params, gradients)
        return output, gradients, new, moved

    return step


def assert_same_arrays(found, expected, of_max, at_least=0.0):
    """Assert PyTorch's names in its order, and the same numbers."""
    assert list(found) == list(expected)
    for name, tensor in expected.items():
        assert_close(found[name], tensor.detach(), of_max, at_least, name)


@pytest.mark.parity
@layer_rows
def test_training_equals_pytorch_at_every_step(case):
    """Outputs, gradients of the originals, u and v; then evaluation, which moves nothing."""
    ours, theirs = both_layers(case)
    x, tx = input_of(case)
    of_max = OF_MAX["float64"]
    assert_same_arrays(ja.nn.state_dict(ours), theirs.state_dict(), of_max)
    optimizer = torch.optim.SGD(theirs.parameters(), LEARNING_RATE)
    step, rng = training_step(ours), np.random.default_rng(2)
    # Vectors far from the singular ones: at those a gradient through them would be zero.
    moved = {
        name: rng.normal(size=array.shape) if name.endswith((".0._u", ".0._v")) else array
        for name, array in ja.nn.state_dict(ours).items()
    }
    ja.nn.load_state_dict(ours, moved)
    theirs.load_state_dict({name: torch.tensor(array) for name, array in moved.items()})
    carrier = nnx.clone(ours)
    for _ in range(STEPS):
        output = first(theirs(tx))
        cotangent = rng.normal(size=tuple(output.shape))
        optimizer.zero_grad()
        output.backward(torch.tensor(cotangent))
        _, params, rest = nnx.split(ours, nnx.Param, ...)
        found, gradients, params, rest = step(
            params, rest, x, jnp.asarray(channels_last(cotangent, case))
        )
        assert_close(channels_first(found, case), output.detach(), of_max)
        nnx.update(carrier, gradients)
        arrays = ja.nn.state_dict(carrier)
        for name, parameter in theirs.named_parameters():
            assert_close(arrays[name], parameter.grad, of_max, largest(cotangent), name)
        optimizer.step()
        nnx.update(ours, params, rest)
        assert_same_arrays(ja.nn.state_dict(ours), theirs.state_dict(), of_max)
    before = ja.nn.state_dict(ours)
    ours.eval(), theirs.eval()
    assert_close(channels_first(first(ours(x)), case), first(theirs(tx)).detach(), of_max)
    after = ja.nn.state_dict(ours)
    assert all(np.array_equal(before[name], array) for name, array in after.items())


@layer_rows
def test_state_goes_to_pytorch_and_back(case):
    ours, theirs = both_layers(case)
    rng = np.random.default_rng(3)
    state = {name: rng.normal(size=a.shape) for name, a in ja.nn.state_dict(ours).items()}
    ja.nn.load_state_dict(ours, state)
    theirs.load_state_dict({name: torch.tensor(a) for name, a in ja.nn.state_dict(ours).items()})
    for name, tensor in theirs.state_dict().items():
        assert np.array_equal(tensor.numpy(), state[name]), name


@pytest.mark.parametrize("case", BAD, ids=lambda case: case.id)
def test_errors_have_pytorchs_text(case):
    ours, theirs, generator = plain_layers(case)
    with pytest.raises((ValueError, IndexError)) as expected:
        oracle_of(case)(theirs, **case.kwargs)
    text = str(expected.value).replace(str(theirs), type(ours).__name__)
    before = vars(ours).copy()
    with pytest.raises(expected.type) as found:
        own(case, ours, generator)
    assert str(found.value) == text
    assert vars(ours) == before


def test_weight_norm_of_nothing_raises():
    """PyTorch's text for it is another than for the other two."""
    with pytest.raises(ValueError, match="'Linear' has no parameter or buffer with name 'kernel'"):
        ja.nn.weight_norm(ja.nn.Linear(3, 2, rngs=nnx.Rngs(0)), "kernel")


def test_what_is_parametrized_is_neither_assigned_nor_parametrized_again():
    layer = ja.nn.weight_norm(ja.nn.Linear(3, 2, rngs=nnx.Rngs(0)))
    with pytest.raises(TypeError, match="remove_parametrizations"):
        layer.weight[...] = jnp.zeros((3, 2), jnp.float32)
    with pytest.raises(ValueError, match="remove_parametrizations"):
        ja.nn.spectral_norm(layer, rngs=nnx.Rngs(0))


def case_of(id):
    """Return the row with an id."""
    return next(case for case in CASES if case.id == id)


@pytest.mark.parametrize("leave_parametrized", [True, False])
@pytest.mark.parametrize(
    "id", ["weight_norm-defaults", "spectral_norm-images", "orthogonal-windows"]
)
def test_removal_is_pytorchs(id, leave_parametrized):
    case = case_of(id)
    ours, theirs = both_layers(case)
    x, tx = input_of(case)
    remove = functools.partial(
        ja.nn.remove_parametrizations, ours, leave_parametrized=leave_parametrized
    )
    if case.function == "nn.weight_norm" and not leave_parametrized:
        with pytest.raises(ValueError) as expected:
            remove_parametrizations(theirs, "weight", False)
        with pytest.raises(ValueError) as found:
            remove()
        assert str(found.value) == str(expected.value)
        return
    remove_parametrizations(theirs, "weight", leave_parametrized)
    assert remove() is ours
    assert isinstance(ours.weight, nnx.Param)
    assert_same_arrays(ja.nn.state_dict(ours), theirs.state_dict(), OF_MAX["float64"])
    assert_close(channels_first(ours(x), case), theirs(tx).detach(), OF_MAX["float64"])
    with pytest.raises(ValueError) as expected:
        remove_parametrizations(theirs, "weight")
    with pytest.raises(ValueError) as found:
        ja.nn.remove_parametrizations(ours)
    assert str(found.value) == str(expected.value).replace(str(theirs), case.options["layer"])


def test_an_orthogonal_weight_stays_as_it_is():
    """As PyTorch judges it: a hundred-thousandth more than orthogonal is orthogonal too."""
    weight = torch.linalg.qr(torch.tensor(np.random.default_rng(0).normal(size=(5, 5))))[0]
    for factor, stays in ((1 + 4e-6, True), (1 + 6e-6, False)):
        theirs = torch.nn.Linear(5, 5, bias=False, dtype=torch.float64)
        theirs.weight.data = weight * factor
        ours = ja.nn.Linear(5, 5, bias=False, dtype=jnp.float64, rngs=nnx.Rngs(0))
        ja.nn.load_state_dict(ours, theirs.state_dict())
        torch.nn.utils.parametrizations.orthogonal(theirs)
        ja.nn.orthogonal(ours, rngs=nnx.Rngs(0))
        assert_same_arrays(ja.nn.state_dict(ours), theirs.state_dict(), OF_MAX["float64"])
        base = ja.nn.state_dict(ours)["parametrizations.weight.0.base"]
        assert np.array_equal(base, (weight * factor).numpy()) == stays


def test_several_parameters_of_one_layer_have_pytorchs_order():
    """That in which they were parametrized, after what is plain."""
    ours = ja.nn.LSTM(3, 2, rngs=nnx.Rngs(0))
    theirs = torch.nn.LSTM(3, 2)
    names = ("weight_norm", "weight_hh_l0"), ("spectral_norm", "weight_ih_l0")
    for function, name in names:
        draws = {"rngs": nnx.Rngs(0)} if function == "spectral_norm" else {}
        getattr(ja.nn, function)(ours, name, **draws)
        getattr(torch.nn.utils.parametrizations, function)(theirs, name)
    assert list(ja.nn.state_dict(ours)) == list(theirs.state_dict())
    for _, name in names:
        ja.nn.remove_parametrizations(ours, name)
        remove_parametrizations(theirs, name)
    assert list(ja.nn.state_dict(ours)) == list(theirs.state_dict())


@pytest.mark.parametrize(
    ("function", "name"),
    [
        ("weight_norm", "q_proj_weight"),
        ("spectral_norm", "in_proj_weight"),
    ],
)
def test_attention_equals_pytorch(function, name):
    """In evaluation: in training PyTorch's layer reads a weight more than once."""
    sizes = {"kdim": 3, "vdim": 5} if name.startswith("q") else {}
    theirs = torch.nn.MultiheadAttention(4, 2, batch_first=True, dtype=torch.float64, **sizes)
    ours = ja.nn.MultiheadAttention(
        4, 2, batch_first=True, dtype=jnp.float64, rngs=nnx.Rngs(0), **sizes
    )
    getattr(torch.nn.utils.parametrizations, function)(theirs, name).eval()
    draws = {} if function == "weight_norm" else {"rngs": nnx.Rngs(0)}
    getattr(ja.nn, function)(ours, name, **draws).eval()
    ja.nn.load_state_dict(ours, theirs.state_dict())
    rng = np.random.default_rng(0)
    arrays = [rng.normal(size=(2, 3, sizes.get(size, 4))) for size in ("embed_dim", "kdim", "vdim")]
    if not sizes:
        arrays = arrays[:1] * 3
    output, _ = ours(*(jnp.asarray(array) for array in arrays))
    expected, _ = theirs(*(torch.tensor(array) for array in arrays))
    assert_close(output, expected.detach(), OF_MAX["float64"])


@pytest.mark.parametrize("layer", ["LSTM", "MultiheadAttention"])
def test_a_call_reads_a_weight_once(layer):
    """So that spectral norm goes one round, in layers for which PyTorch goes several."""
    if layer == "LSTM":
        model, name = ja.nn.LSTM(4, 2, dtype=jnp.float64, rngs=nnx.Rngs(0)), "weight_ih_l0"
    else:
        model = ja.nn.MultiheadAttention(4, 2, dtype=jnp.float64, rngs=nnx.Rngs(0))
        name = "in_proj_weight"
    parametrized = getattr(ja.nn.spectral_norm(model, name, rngs=nnx.Rngs(0)), name)
    once = nnx.clone(parametrized)
    before = np.array(getattr(once, "0")._u[...])
    once[...]
    x = jnp.ones((3, 2, 4))
    model(*([x] if layer == "LSTM" else [x] * 3))
    for found, expected in zip(
        *(jax.tree.leaves(nnx.state(module, nnx.BatchStat)) for module in (model, once)),
        strict=True,
    ):
        assert_close(found, expected, OF_MAX["float64"])
    assert not np.array_equal(getattr(parametrized, "0")._u[...], before)


class Network(nnx.Module):
    """Two layers, one of them parametrized."""

    def __init__(self):
        rngs = ja.random.manual_seed(0)
        first = ja.nn.Linear(4, 6, dtype=jnp.float64, rngs=rngs)
        self.layers = nnx.List([ja.nn.spectral_norm(first, rngs=rngs)])
        self.last = ja.nn.weight_norm(ja.nn.Linear(6, 2, dtype=jnp.float64, rngs=rngs))

    def __call__(self, x):
        return self.last(jnp.tanh(self.layers[0](x)))


def test_modes_and_compiled_calls():
    """A compiled call moves u and v like any other; a view and ``eval`` leave them alone."""
    model, x = Network(), jnp.ones((3, 4))
    other = nnx.clone(model)
    call = nnx.jit(lambda model, x: model(x))
    assert_close(call(model, x), other(x), OF_MAX["float64"])
    assert_same_arrays(
        ja.nn.state_dict(model),
        {n: torch.tensor(a) for n, a in ja.nn.state_dict(other).items()},
        OF_MAX["float64"],
    )
    before = ja.nn.state_dict(model)
    view = nnx.view(model, use_running_average=True)
    expected = view(x)
    model.eval()
    assert np.array_equal(model(x), expected)
    assert_close(call(model, x), expected, OF_MAX["float64"])
    after = ja.nn.state_dict(model)
    assert all(np.array_equal(before[name], array) for name, array in after.items())
    model.train()
    call(model, x)
    name = "layers.0.parametrizations.weight.0._u"
    assert not np.array_equal(before[name], ja.nn.state_dict(model)[name])


def test_an_optimizer_of_nnx_trains_the_originals():
    model, x = Network(), jnp.ones((3, 4))
    before = ja.nn.state_dict(model)
    optimizer = nnx.Optimizer(model, ja.optimizers.sgd(0.1), wrt=nnx.Param)

    @nnx.jit
    def step(model, optimizer, x):
        gradients = nnx.grad(lambda model: jnp.sum(model(x) ** 2))(model)
        optimizer.update(model, gradients)

    step(model, optimizer, x)
    after = ja.nn.state_dict(model)
    assert all(not np.array_equal(before[name], array) for name, array in after.items())


def test_a_parametrized_weight_reads_like_a_plain_one():
    layer = ja.nn.Conv2d(3, 4, 2, rngs=nnx.Rngs(0))
    plain = layer.weight
    shape, value = plain.shape, plain[...]
    ja.nn.weight_norm(layer)
    assert (layer.weight.shape, layer.weight.ndim, layer.weight.dtype) == (shape, 4, plain.dtype)
    assert_close(layer.weight[...], value, OF_MAX["float32"])
    assert layer.weight[0].shape == shape[1:]
    assert layer.weight.original1 is plain


@pytest.mark.parametrize(
    "id", ["weight_norm-transposed", "spectral_norm-images", "orthogonal-tall"]
)
def test_float32_equals_pytorch(id):
    case = case_of(id)
    ours, _ = both_layers(case, "float32")
    _, theirs = both_layers(case, "float64")
    state = ja.nn.state_dict(ours)
    theirs.load_state_dict({name: torch.tensor(a) for name, a in state.items()})
    x, tx = input_of(case, "float32")
    found = ours(x)
    assert found.dtype == jnp.float32
    expected = theirs(tx.double()).detach()
    assert_close(channels_first(found, case), expected, OF_MAX["float32"])


@pytest.mark.parametrize("dtype", ["bfloat16", "float16"])
def test_half_precision_is_rounded_once(dtype):
    rng, of_max = np.random.default_rng(0), float(jnp.finfo(dtype).eps)
    normed, divided = (ja.nn.Linear(24, 8, False, dtype, rngs=nnx.Rngs(0)) for _ in range(2))
    ja.nn.weight_norm(normed), ja.nn.spectral_norm(divided, rngs=nnx.Rngs(0))
    for layer in (normed, divided):
        state = {k: rng.normal(size=a.shape) for k, a in ja.nn.state_dict(layer).items()}
        ja.nn.load_state_dict(layer, state)
    (g, v), (w, u, right) = (
        [torch.tensor(a.astype(np.float64)) for a in ja.nn.state_dict(layer).values()]
        for layer in (normed, divided)
    )
    assert normed.weight[...].dtype == dtype
    assert_close(normed.weight[...].T, torch._weight_norm(v, g, 0), of_max)
    divided.eval()
    assert divided.weight[...].dtype == dtype
    assert_close(divided.weight[...].T, w / (u @ w @ right), of_max)
    divided.train()
    divided.weight[...]
    moved = getattr(divided.weight, "0")._u[...]
    assert moved.dtype == dtype
    assert_close(moved, torch.nn.functional.normalize(w @ right, dim=0), of_max)


@pytest.mark.parametrize("function", ["weight_norm", "spectral_norm", "orthogonal"])
def test_bfloat16_stays_bfloat16(function):
    layer = ja.nn.Linear(24, 16, dtype=jnp.bfloat16, rngs=nnx.Rngs(0))
    draws = {} if function == "weight_norm" else {"rngs": nnx.Rngs(0)}
    value = layer.weight[...]
    getattr(ja.nn, function)(layer, **draws)
    arrays = jax.tree.leaves(nnx.state(layer))
    assert {array.dtype for array in arrays} == {layer.weight[...].dtype} == {value.dtype}
    weight = np.asarray(layer.weight[...], np.float64)
    if function == "weight_norm":
        assert_close(weight, value, tol.LAYER_BFLOAT16_OF_MAX)
    elif function == "spectral_norm":
        norm = np.linalg.norm(np.asarray(value, np.float64), 2)
        # The rounds are too few for more.
        assert_close(weight, np.asarray(value, np.float64) / norm, 4 * tol.LAYER_BFLOAT16_OF_MAX)
    else:
        assert_close(weight.T @ weight, np.eye(16), 4 * tol.LAYER_BFLOAT16_OF_MAX)
