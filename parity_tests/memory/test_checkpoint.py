"""Checkpoints: values and gradients are the function's own, and what is kept is what was asked."""

import functools
import re

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import torch
from flax import nnx
from jax.ad_checkpoint import checkpoint_name
from jax.sharding import PartitionSpec as P
from torch.utils.checkpoint import checkpoint as of_torch
from torch.utils.checkpoint import checkpoint_sequential as sequential_of_torch

import jaxaccel as ja
from jaxaccel._operations import names_of_results
from parity_tests import tolerances as tol
from parity_tests.harness.compare import assert_close
from parity_tests.harness.compiled import FAST_COMPILE

checkpoint, F = ja.memory.checkpoint, ja.functional
ROWS, WIDTH = 6, 8


def layers(rngs=None):
    """Return five layers, two of them linear."""
    options = {"dtype": jnp.float64, "rngs": nnx.Rngs(0) if rngs is None else rngs}
    return [
        ja.nn.Linear(WIDTH, 3 * WIDTH, **options),
        ja.nn.GELU(),
        ja.nn.LayerNorm(3 * WIDTH, dtype=jnp.float64),
        ja.nn.Linear(3 * WIDTH, WIDTH, **options),
        ja.nn.Tanh(),
    ]


def twins():
    """Return the same layers here and in PyTorch, and an input."""
    ours = ja.nn.Sequential(*layers())
    theirs = torch.nn.Sequential(
        torch.nn.Linear(WIDTH, 3 * WIDTH),
        torch.nn.GELU(),
        torch.nn.LayerNorm(3 * WIDTH),
        torch.nn.Linear(3 * WIDTH, WIDTH),
        torch.nn.Tanh(),
    ).double()
    arrays = ja.nn.state_dict(ours)
    theirs.load_state_dict({name: torch.from_numpy(value) for name, value in arrays.items()})
    return ours, theirs, np.random.default_rng(0).normal(size=(ROWS, WIDTH))


def gradients(model, x, call):
    """Return the loss and, under PyTorch's names, the gradients of it; operation by operation."""
    graph, params, rest = nnx.split(model, nnx.Param, ...)

    def loss_of(params):
        return jnp.sum(call(nnx.merge(graph, params, rest, copy=True), x) ** 2)

    loss, found = jax.value_and_grad(loss_of)(params)
    holder = nnx.merge(graph, found, rest, copy=True)
    return loss, ja.nn.state_dict(holder)


def assert_same(found, expected):
    """Assert two trees of the same arrays, to the bit."""
    assert jax.tree.structure(found) == jax.tree.structure(expected)
    for (path, a), b in zip(
        jax.tree.leaves_with_path(found), jax.tree.leaves(expected), strict=True
    ):
        if jnp.issubdtype(a.dtype, jax.dtypes.extended):
            a, b = jax.random.key_data(a), jax.random.key_data(b)
        assert np.array_equal(a, b), jax.tree_util.keystr(path)


OPTIONS = {
    "nothing": {},
    "dots": {"policy": "dots"},
    "dots without batch": {"policy": "dots_with_no_batch_dims"},
    "everything": {"policy": "everything"},
    "of jax": {"policy": jax.checkpoint_policies.dots_saveable},
    "names": {"names": ["linear"]},
    "names and a policy": {"names": ["gelu"], "policy": "dots"},
    "on the host": {"policy": "dots", "offload": True},
    "no masks": {"preserve_rng_state": False},
}
WAYS = {
    **{
        name: lambda model, x, options=options: checkpoint(model, **options)(x)
        for name, options in OPTIONS.items()
    },
    "nested": lambda model, x: checkpoint(lambda model, x: model[3](checkpoint(model[:3])(x)))(
        model, x
    ),
    "twice the same": lambda model, x: checkpoint(lambda a, b: a[1:](b[0](x)))(model, model),
    "a method": lambda model, x: checkpoint(model.__call__)(x),
    "a partial": lambda model, x: checkpoint(functools.partial(model, x))(),
    "sequential": lambda model, x: ja.memory.checkpoint_sequential(model, 2, x),
    "each": lambda model, x: ja.memory.checkpoint_sequential(list(model), 5, x, names=["linear"]),
}


@pytest.mark.quick
def test_gradients_are_the_functions_own_to_the_bit():
    """In whatever way it is checkpointed; and PyTorch's are its own, and ours."""
    ours, theirs, x = twins()
    expected = gradients(ours, x, lambda model, x: model(x))
    expected_nested = gradients(ours, x, lambda model, x: model[3](model[:3](x)))
    for name, call in WAYS.items():
        found = gradients(ours, x, call)
        assert_same(found, expected_nested if name == "nested" else expected)

    ways = {
        "plain": theirs,
        "checkpoint": lambda x: of_torch(theirs, x, use_reentrant=False),
        "sequential": lambda x: sequential_of_torch(theirs, 2, x, use_reentrant=False),
    }
    for name, call in ways.items():
        theirs.zero_grad()
        loss = (call(torch.tensor(x)) ** 2).sum()
        loss.backward()
        assert_close(expected[0], loss, tol.MODEL_FLOAT64_OF_MAX, what=name)
        for key, parameter in theirs.named_parameters():
            assert_close(
                expected[1][key], parameter.grad, tol.MODEL_FLOAT64_OF_MAX, what=f"{name} {key}"
            )


# --- what is kept -------------------------------------------------------------------------------


def kept(function, *args):
    """Return the shapes of what the backward pass is given, but for the arguments' own."""
    residuals = jax.tree.leaves(jax.eval_shape(lambda *a: jax.vjp(function, *a)[1], *args))
    own = [np.shape(leaf) for leaf in jax.tree.leaves(args)]
    shapes = [leaf.shape for leaf in residuals if jnp.issubdtype(leaf.dtype, jnp.floating)]
    for shape in own:
        if shape in shapes:
            shapes.remove(shape)
    return sorted(shapes)


FIRST, SECOND = np.ones((WIDTH, 5)), np.ones((5, 7))
X = np.linspace(-1.0, 1.0, ROWS * WIDTH).reshape(ROWS, WIDTH)
ONE, TWO = (ROWS, 5), (ROWS, 7)


def block(x, first, second):
    hidden = F.gelu(F.linear(x, first))
    return jnp.sin(F.linear(checkpoint_name(jnp.sin(hidden), "mine"), second))


@pytest.mark.quick
def test_what_is_kept_is_what_was_asked_for():
    """By the shapes of what differentiation hands from forward to backward."""
    assert len(kept(block, X, FIRST, SECOND)) > 3
    for options, expected in [
        ({}, []),
        ({"policy": "nothing"}, []),
        ({"policy": "dots"}, [ONE, TWO]),
        ({"policy": "dots_with_no_batch_dims"}, [ONE, TWO]),
        ({"names": ["linear"]}, [ONE, TWO]),
        ({"names": ["gelu"]}, [ONE]),
        ({"names": ["mine"]}, [ONE]),
        ({"names": ["mine", "gelu"]}, [ONE, ONE]),
        ({"names": ["mine"], "policy": "dots"}, [ONE, ONE, TWO]),
        ({"names": ["layer_norm"]}, []),
        ({"policy": jax.checkpoint_policies.save_only_these_names("mine")}, [ONE]),
    ]:
        assert kept(checkpoint(block, **options), X, FIRST, SECOND) == expected, options
    assert len(kept(checkpoint(block, policy="everything"), X, FIRST, SECOND)) > 3


@pytest.mark.quick
def test_a_name_that_is_taken_keeps_something():
    """Every function's, of operations by their arguments too; of all others it is said."""
    image = np.linspace(-1.0, 1.0, 2 * 4 * 4 * 3).reshape(2, 4, 4, 3)
    for name, function in (
        ("local_response_norm", lambda x: F.local_response_norm(x, 2)),
        ("upsample_bilinear2d", lambda x: F.interpolate(x, scale_factor=2, mode="bilinear")),
        ("reflection_pad2d", lambda x: F.pad(x, (1, 1, 1, 1), mode="reflect")),
    ):
        call, shape = (lambda x, f=function: jnp.sin(f(jnp.sin(x)))), function(image).shape
        assert kept(checkpoint(call, names=[name]), image).count(shape) == 1, name
        assert shape not in kept(checkpoint(call, names=["mine"]), image), name
    names = names_of_results()
    for name in F.__all__:
        if name not in names and not isinstance(getattr(F, name), type):
            with pytest.raises((UserWarning, ValueError), match=r"names has"):
                checkpoint(abs, names=[name])


@pytest.mark.quick
def test_what_is_offloaded_is_what_is_kept():
    """And what is computed again stays where it is."""
    for options in ({"policy": "dots"}, {"names": ["mine", "gelu"]}):
        call = checkpoint(block, **options)
        expected = {str(list(shape)) for shape in kept(call, X, FIRST, SECOND)}
        for offload in (False, True):
            call = checkpoint(block, offload=offload, **options)
            gradient = jax.grad(lambda *a, call=call: call(*a).sum(), (0, 1, 2))
            text = str(jax.make_jaxpr(gradient)(X, FIRST, SECOND)).replace(",", ", ")
            found = set(re.findall(r"<host>(\[[\d, ]*\])", text))
            assert found == (expected if offload else set()), options


def test_products_of_attention_are_batched():
    """``dots_with_no_batch_dims`` keeps what weights give, and not the scores."""
    query = np.ones((2, 3, 4, 5))

    def attend(query, weight):
        return F.scaled_dot_product_attention(
            *[F.linear(query, weight)] * 3, implementation="plain"
        )

    weight, scores = np.ones((5, 6)), (2, 3, 4, 4)
    shapes = {
        word: kept(checkpoint(attend, policy=word), query, weight)
        for word in ("dots", "dots_with_no_batch_dims")
    }
    assert scores in shapes["dots"]
    assert scores not in shapes["dots_with_no_batch_dims"]
    assert (2, 3, 4, 6) in shapes["dots_with_no_batch_dims"]


@pytest.mark.parametrize("segments", range(1, 6))
def test_segments_are_pytorchs(segments):
    """So many layers each, and the last segment keeps what its backward pass needs."""
    runs = []

    def layer(index):
        def call(x):
            runs.append(index)
            return torch.sin(x)

        return call

    x = torch.ones(3, requires_grad=True)
    functions = [layer(index) for index in range(5)]
    sequential_of_torch(functions, segments, x, use_reentrant=False).sum().backward()
    again = sorted(runs[5:])  # what PyTorch has run twice

    calls = [jax.jit(lambda x: jnp.sin(x)) for _ in range(5)]
    program = jax.make_jaxpr(lambda x: ja.memory.checkpoint_sequential(calls, segments, x).sum())(
        np.ones(3)
    )
    inside = [len(e.params["jaxpr"].eqns) for e in program.eqns if e.primitive.name == "remat2"]
    assert len(inside) == segments - 1
    assert sum(inside) == len(again)
    assert set(inside) <= {5 // segments}


# --- masks and statistics -----------------------------------------------------------------------


class Dropping(nnx.Module):
    """A linear layer, dropout and batch normalization: whatever moves on in a call."""

    torch_transposed = ()

    def __init__(self):
        rngs = nnx.Rngs(params=0, dropout=1)
        self.linear = ja.nn.Linear(WIDTH, WIDTH, dtype=jnp.float64, rngs=rngs)
        self.drop = ja.nn.Dropout(0.5, rngs=rngs)
        self.bn = ja.nn.BatchNorm1d(WIDTH, dtype=jnp.float64)

    def __call__(self, x):
        return self.bn(self.drop(self.linear(x)))


def two_steps(wrap):
    """Return losses, gradients and what is left of two steps of a model that moves on."""
    apply, params, state = ja.training.split_model(Outer(wrap))

    def loss_of(params, state):
        outputs, state = apply(params, state, X, training=True)
        return jnp.sum(outputs**3), state

    step = jax.value_and_grad(loss_of, has_aux=True)  # operation by operation
    (first, state), _ = step(params, state)
    (second, state), found = step(params, state)
    leaves = [jax.tree.leaves(tree) for tree in (found, state)]
    assert not np.array_equal(first, second)  # another mask
    return first, second, leaves


class Outer(nnx.Module):
    def __init__(self, wrap):
        self.wrap, self.inner = wrap, Dropping()

    def __call__(self, x):
        return self.wrap(self.inner)(x)


def test_masks_and_statistics_move_on_once_and_are_the_same_again():
    """Whatever the switch says: the backward pass has the forward pass's masks."""
    expected = two_steps(lambda module: module)
    for wrap in (
        checkpoint,
        functools.partial(checkpoint, preserve_rng_state=False),
        lambda module: lambda x: checkpoint(lambda m, x: checkpoint(m)(x))(module, x),
    ):
        assert_same(two_steps(wrap), expected)


def test_pytorch_moves_statistics_twice():
    """What differs on purpose: its second forward pass counts, ours is not one."""
    theirs = torch.nn.BatchNorm1d(WIDTH).double()
    x = torch.tensor(X, requires_grad=True)
    of_torch(theirs, x, use_reentrant=False).sum().backward()
    assert theirs.num_batches_tracked == 2
    ours = ja.nn.BatchNorm1d(WIDTH, dtype=jnp.float64)
    graph, state = nnx.split(ours)

    def loss_of(x):
        model = nnx.merge(graph, state, copy=True)
        return jnp.sum(checkpoint(model)(x)), nnx.state(model)

    _, after = jax.grad(loss_of, has_aux=True)(X)
    assert after["num_batches_tracked"][...] == 1
    plain = torch.nn.BatchNorm1d(WIDTH).double()
    plain(torch.tensor(X))
    assert_close(after["running_var"][...], plain.running_var, tol.MODEL_FLOAT64_OF_MAX)


def test_keys_are_values():
    """A function that is given a key draws the same mask in both passes."""
    key = jax.random.key(3)

    def drop(x, key):
        return jnp.sum(F.dropout(jnp.sin(x), 0.5, key=key) ** 2)

    assert_same(jax.grad(checkpoint(drop))(X, key), jax.grad(drop)(X, key))


# --- where it stands ----------------------------------------------------------------------------


def scanned(function):
    def run(x, weights):
        return jax.lax.scan(lambda x, w: (function(x, w), None), x, weights)[0]

    return run


def over_devices(function):
    mesh = jax.make_mesh((2,), ("data",), axis_types=(jax.sharding.AxisType.Auto,))
    return jax.shard_map(function, mesh=mesh, in_specs=(P("data"), P()), out_specs=P("data"))


WEIGHT = np.linspace(-0.5, 0.5, WIDTH * WIDTH).reshape(WIDTH, WIDTH)
FORMS = {
    "jit": (jax.jit, WEIGHT),
    "vmap": (lambda f: jax.vmap(f, (0, None)), WEIGHT),
    "scan over layers": (scanned, np.stack([WEIGHT, -WEIGHT])),
    "shard_map": (over_devices, WEIGHT),
    "cond": (lambda f: lambda x, w: jax.lax.cond(x[0, 0] > 0, f, lambda x, w: x, x, w), WEIGHT),
}


def test_gradients_are_the_same_inside_transformations():
    def layer(x, weight):
        return jnp.tanh(F.linear(jnp.sin(x), weight))

    for name, (change, weight) in FORMS.items():
        found, expected = (
            jax.jit(
                jax.grad(lambda x, w, f=f, change=change: jnp.sum(change(f)(x, w) ** 2), (0, 1)),
                compiler_options=FAST_COMPILE,
            )(X, weight)
            for f in (checkpoint(layer, names=["linear"]), layer)
        )
        assert np.any(expected[0]), name
        assert_same([*found], [*expected])


def test_autocast_inside_and_outside():
    """The same products in half precision, in both orders, kept by name or not."""
    arrays = [np.asarray(array, np.float32) for array in (X, FIRST, SECOND)]
    autocast = functools.partial(ja.precision.autocast, device_type="cpu")
    named = functools.partial(checkpoint, names=["linear"])

    def run(function):
        def loss(x, first, second):
            return jnp.sum(function(x, first, second).astype(jnp.float32) ** 2)

        return [*jax.grad(loss, (0, 1, 2))(*arrays)]

    expected = run(autocast(block))
    for function in (
        *(checkpoint(autocast(block)), autocast(checkpoint(block))),
        *(named(autocast(block)), autocast(named(block))),
    ):
        assert_same(run(function), expected)
    lows = kept(named(autocast(block)), *arrays)
    assert ONE in lows
    assert TWO in lows


def test_other_arguments_reach_the_function_as_they_are():
    def function(x, negate, scale=1.0, *, power, note=None):
        assert negate is True
        assert isinstance(scale, float)
        assert isinstance(power, int)
        assert note in (None, "a note")
        return {"y": (-x if negate else x) ** power * scale, "nothing": None}

    call = checkpoint(function)
    found = call(X, True, 2.0, power=3, note="a note")
    assert found["nothing"] is None
    assert_close(found["y"], -(X**3) * 2.0, tol.MODEL_FLOAT64_OF_MAX)
    assert call.__name__ == "function"


# --- refusals -----------------------------------------------------------------------------------


class Sowing(nnx.Module):
    def __call__(self, x):
        self.seen = nnx.Intermediate(x)
        return x


def test_refusals():
    bn = ja.nn.BatchNorm1d(WIDTH)
    for call, error, text in [
        (lambda: checkpoint(abs, policy="dot"), ValueError, "'dots_with_no_batch_dims'"),
        (lambda: checkpoint(abs, X), TypeError, "that it returns: checkpoint(function)(...)"),
        (lambda: checkpoint(3), TypeError, "must be function, not int"),
        (lambda: checkpoint(abs, use_reentrant=False), TypeError, "leave it out"),
        (lambda: checkpoint(abs, names="linear"), TypeError, "names"),
        (lambda: checkpoint(abs, names=["Linear"]), ValueError, "'Linear', which no operation"),
        (lambda: checkpoint(abs, names=["LayerNorm"]), ValueError, "pass 'layer_norm'"),
        (lambda: checkpoint(abs, names=["aten.addmm.default"]), ValueError, "pass 'linear'"),
        (lambda: checkpoint(abs, names=["aten::gelu"]), ValueError, "pass 'gelu'"),
        (
            lambda: checkpoint(abs, names=["torch.ops.aten.convolution.default"]),
            ValueError,
            "pass 'conv2d'",
        ),
        (
            lambda: checkpoint(abs, names=["aten._scaled_dot_product_flash_attention.default"]),
            ValueError,
            "pass 'scaled_dot_product_attention'",
        ),
        (
            lambda: checkpoint(abs, names=["relu"]),
            UserWarning,
            "functional.relu returns has no name",
        ),
        (lambda: checkpoint(abs, names=["ReLU"]), UserWarning, "checkpoint_name(x, 'my_relu')"),
        (lambda: checkpoint(abs, names=["dropout"]), UserWarning, "that have names: _upsample"),
        (lambda: checkpoint(abs, names=["cross_entropy"]), UserWarning, "'cross_entropy_loss', or"),
        (lambda: checkpoint(abs, names=["interpolate"]), UserWarning, "has no name"),
        (lambda: checkpoint(abs, names=["linaer"]), UserWarning, "did you mean 'linear'?"),
        (lambda: checkpoint(abs, offload=True), ValueError, "say what with policy='dots'"),
        (lambda: checkpoint(torch.nn.Linear(2, 2)), TypeError, "a module of PyTorch"),
        (
            lambda: jax.grad(lambda x: checkpoint(lambda x: bn(x))(x).sum())(np.float32(X)),
            ValueError,
            "checkpoint(function)(module, x)",
        ),
        (lambda: checkpoint(Sowing())(X), ValueError, "variables that it did not have"),
        *(
            (
                lambda n=n: ja.memory.checkpoint_sequential([abs, abs], n, X),
                ValueError,
                f"the number of functions, 2, got {n}",
            )
            for n in (0, 3)
        ),
    ]:
        with pytest.raises(error) as info:
            call()
        assert text in str(info.value), str(info.value)
