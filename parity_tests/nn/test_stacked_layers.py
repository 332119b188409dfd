"""Stacked layers are their layers called one by one, under PyTorch's names."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import torch
from flax import nnx

import jaxaccel as ja
from parity_tests import tolerances as tol
from parity_tests.harness.compare import assert_close
from parity_tests.harness.compiled import FAST_COMPILE

WIDTH, DEPTH = 6, 3
X = np.linspace(-1.0, 1.0, 5 * WIDTH).reshape(5, WIDTH)


class Layer(nnx.Module):
    """A kernel, a norm with statistics, masks, and a residual."""

    torch_transposed = ()

    def __init__(self, *, rngs, p=0.5):
        self.linear = ja.nn.Linear(WIDTH, WIDTH, dtype=jnp.float64, rngs=rngs)
        self.bn = ja.nn.BatchNorm1d(WIDTH, dtype=jnp.float64)
        self.drop = ja.nn.Dropout(p, rngs=rngs)

    def __call__(self, x, scale=1.0):
        return x + scale * self.drop(self.bn(self.linear(x)))


class Model(nnx.Module):
    def __init__(self, wrap, checkpoint=None):
        rngs = nnx.Rngs(params=0, dropout=1)
        self.layers = wrap([Layer(rngs=rngs) for _ in range(DEPTH)])
        self.checkpoint = checkpoint

    def __call__(self, x):
        if isinstance(self.layers, ja.nn.StackedLayers):
            return self.layers(x, scale=0.5)
        for layer in self.layers:
            x = layer(x, scale=0.5)
        return x


def two_steps(model):
    """Return losses, and by PyTorch's names gradients and state, after two steps forward."""
    apply, params, state = ja.training.split_model(model)

    def loss_of(params, state):
        outputs, state = apply(params, state, X, training=True)
        return jnp.sum(outputs**2), state

    step = jax.jit(jax.value_and_grad(loss_of, has_aux=True), compiler_options=FAST_COMPILE)
    (first, state), _ = step(params, state)
    (second, state), found = step(params, state)
    ja.training.merge(model, found, state)
    return [first, second], ja.nn.state_dict(model)


@pytest.mark.quick
def test_a_stack_is_its_layers():
    """Losses, gradients, running statistics and masks of two steps; with checkpoints, too."""
    losses, expected = two_steps(Model(nnx.List))
    stack = ja.nn.StackedLayers
    for wrap in (stack, functools.partial(stack, checkpoint=ja.memory.checkpoint)):
        found_losses, found = two_steps(Model(wrap))
        assert_close(found_losses, losses, tol.MODEL_FLOAT64_OF_MAX)
        assert list(found) == list(expected)
        for name, value in expected.items():
            assert_close(found[name], value, tol.MODEL_FLOAT64_OF_MAX, what=name, floor=1e-15)
    assert expected["layers.2.bn.num_batches_tracked"] == 2


def twin(depth=DEPTH):
    """Return the layers in PyTorch, without what draws."""

    class Twin(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.linear = torch.nn.Linear(WIDTH, WIDTH)
            self.bn = torch.nn.BatchNorm1d(WIDTH)
            self.bn.running_mean.normal_()

    return torch.nn.ModuleList([Twin() for _ in range(depth)]).double()


@pytest.mark.quick
def test_names_are_pytorchs_both_ways():
    theirs = twin().state_dict()
    stack = ja.nn.StackedLayers([Layer(rngs=nnx.Rngs(i)) for i in range(DEPTH)])
    ja.nn.load_state_dict(stack, theirs)
    found = ja.nn.state_dict(stack)
    assert list(found) == list(theirs)
    for name, tensor in theirs.items():
        assert np.array_equal(found[name], tensor.numpy()), name
    for index, layer in enumerate(stack):
        for name, value in ja.nn.state_dict(layer).items():
            assert np.array_equal(value, theirs[f"{index}.{name}"].numpy()), name
    assert index == len(stack) - 1
    twin().load_state_dict({name: torch.from_numpy(value) for name, value in found.items()})


def test_a_part_of_the_names_changes_a_part():
    stack = ja.nn.StackedLayers([Layer(rngs=nnx.Rngs(i)) for i in range(DEPTH)])
    before, bias = ja.nn.state_dict(stack), np.arange(WIDTH, dtype=float)
    missing, unexpected = ja.nn.load_state_dict(stack, {"1.linear.bias": bias}, strict=False)
    assert "0.linear.bias" in missing
    assert not unexpected
    for name, value in ja.nn.state_dict(stack).items():
        expected = bias if name == "1.linear.bias" else before[name]
        assert np.array_equal(value, expected), name
    with pytest.raises(ValueError, match=r"Missing key\(s\) in state_dict: \"0.linear.weight\""):
        ja.nn.load_state_dict(stack, {"1.linear.bias": bias})
    with pytest.raises(ValueError, match=r"size mismatch for 2.linear.bias: .* \(6,\)"):
        ja.nn.load_state_dict(stack, {**before, "2.linear.bias": np.ones(WIDTH + 1)})


def test_a_model_of_shapes_is_given_its_first_numbers():
    """Without drawing, stacked or not; and shapes alone have no numbers to give."""
    theirs = twin().state_dict()
    for wrap in (ja.nn.StackedLayers, nnx.List):
        model = nnx.eval_shape(lambda wrap=wrap: Model(wrap))
        with pytest.raises(TypeError, match=r"layers.0.linear.weight has a shape and no numbers"):
            ja.nn.state_dict(model)
        ja.nn.load_state_dict(model, {f"layers.{k}": v for k, v in theirs.items()})
        for name, value in ja.nn.state_dict(model).items():
            assert np.array_equal(value, theirs[name.removeprefix("layers.")].numpy()), name
        assert all(
            isinstance(leaf, jax.Array) for leaf in jax.tree.leaves(nnx.state(model, nnx.Param))
        )


def test_depth_is_not_in_the_program():
    def size(depth):
        rngs = nnx.Rngs(0)
        stack = ja.nn.StackedLayers([Layer(rngs=rngs, p=0.0) for _ in range(depth)])
        graph, params, rest = nnx.split(stack, nnx.Param, ...)

        def loss_of(params):
            return jnp.sum(nnx.merge(graph, params, rest, copy=True)(X))

        return len(str(jax.make_jaxpr(jax.grad(loss_of))(params)).splitlines())

    assert size(9) == size(2)


def test_what_sees_whole_parameters_sees_one_layer_or_refuses():
    """No weight decay on stacked biases and norms; Adafactor, Muon and centralization refuse."""
    model = Model(ja.nn.StackedLayers)
    _, params, _ = ja.training.split_model(model)
    tx = ja.optimizers.param_groups(
        ja.optimizers.sgd,
        [{"params": lambda path, leaf: len(leaf.shape) < 2, "weight_decay": 0.0}],
        lr=1.0,
        weight_decay=0.5,
    )
    zeros = jax.tree.map(jnp.zeros_like, params)
    updates, _ = tx.update(zeros, tx.init(params), params)
    moved = {
        jax.tree_util.keystr(path): bool(np.any(leaf))
        for path, leaf in jax.tree.leaves_with_path(updates)
    }
    assert {path for path, has_moved in moved.items() if has_moved} == {
        path for path in moved if "linear" in path and "weight" in path
    }
    centralize = ja.transforms.centralize_gradients()
    for call, text in [
        (lambda: ja.optimizers.adafactor(0.1).init(params), "adafactor computes from all"),
        (lambda: ja.optimizers.muon(0.1).init(params), "Muon only supports 2D"),
        (lambda: centralize.update(params, centralize.init(params)), "holds those of 3 layers"),
        (
            lambda: ja.optimizers.state_dict(tx.init(params), params, model=model, tx=tx),
            "PyTorch's optimizer has a parameter for each",
        ),
    ]:
        with pytest.raises(ValueError, match=text):
            call()


def test_a_view_gives_every_layer_masks_of_its_own():
    """To a model that a generator has drawn, which has no streams."""

    def masks(model):
        return [layer.drop(np.ones(400)) > 0 for layer in model]

    drawn = [Layer(rngs=ja.random.manual_seed(0)) for _ in range(DEPTH)]
    model = nnx.view(ja.nn.StackedLayers(drawn), rngs=nnx.Rngs(0))
    found = masks(model)
    assert not np.array_equal(found[0], found[1])
    first, second = model(X), model(X)
    assert not np.array_equal(first, second)
    still = nnx.view(model, deterministic=True, use_running_average=True)
    assert np.array_equal(still(X), still(X))


def test_refusals():
    rngs = nnx.Rngs(0)
    one, other = Layer(rngs=rngs), Layer(rngs=rngs, p=0.25)
    wide = ja.nn.Linear(WIDTH, 2 * WIDTH, dtype=jnp.float64, rngs=rngs)
    for layers, text in [
        ([], "at least one layer"),
        ([one, other], "layer 1, Layer, differs from the first"),
        ([ja.nn.Linear(3, 3, rngs=rngs), ja.nn.Linear(3, 4, rngs=rngs)], "a shape"),
    ]:
        with pytest.raises(ValueError, match=text):
            ja.nn.StackedLayers(layers)
    with pytest.raises(TypeError, match="carry"):
        ja.nn.StackedLayers([wide])(X)
    stack = ja.nn.StackedLayers([one])
    stack.layer.linear.bias.set_value(jnp.zeros(WIDTH))
    with pytest.raises(ValueError, match=r"linear.bias of stacked layers must have a first axis"):
        stack(X)
    with pytest.raises(IndexError, match="out of range"):
        ja.nn.StackedLayers([one])[1]
