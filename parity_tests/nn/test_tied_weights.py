"""Layers that share a weight: PyTorch's numbers, one array, one optimizer state, both names."""

import functools
import re

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import torch
from flax import nnx

import jaxaccel as ja
from parity_tests import tolerances as tol
from parity_tests.harness.compare import assert_close

FLOAT64, ATTENTION = jnp.float64, ("MultiheadAttention", 4, 2)


class Ours(nnx.Module):
    """One layer after the other; the second has the first's weight, or the reverse."""

    def __init__(self, first, second, reverse):
        self.first, self.second = first, second
        if reverse:
            self.first.weight = self.second.weight
        else:
            self.second.weight = self.first.weight

    def __call__(self, x):
        return self.second(self.first(x))


class Theirs(torch.nn.Module):
    """The same in PyTorch; convolutions take their channels first."""

    def __init__(self, first, second, reverse, spatial):
        super().__init__()
        self.first, self.second, self.spatial = first, second, spatial
        if reverse:
            self.first.weight = self.second.weight
        else:
            self.second.weight = self.first.weight

    def forward(self, x):
        if self.spatial:
            return self.second(self.first(x.movedim(-1, 1))).movedim(1, -1)
        return self.second(self.first(x))


ROWS = {
    # why: (first layer and its sizes, second layer and its sizes, the shape of the input, reverse)
    "a language model": (("Embedding", 7, 4), ("Linear", 4, 7), (5, 3), False),
    "a language model reverse": (
        ("Embedding", 7, 4),
        ("Linear", 4, 7),
        (5, 3),
        True,
    ),
    "as many words as features": (("Embedding", 4, 4), ("Linear", 4, 4), (5, 3), False),
    "as many words as features reverse": (("Embedding", 4, 4), ("Linear", 4, 4), (5, 3), True),
    "an autoencoder of bags": (("EmbeddingBag", 7, 4), ("Linear", 4, 7), (5, 3), False),
    "linear to linear": (("Linear", 4, 4), ("Linear", 4, 4), (5, 4), False),
    "a pair of convolutions": (
        ("Conv2d", 2, 4, 3),
        ("ConvTranspose2d", 4, 2, 3),
        (2, 5, 5, 2),
        False,
    ),
}


@pytest.mark.quick
@pytest.mark.parametrize("why", ROWS)
def test_tied_layers_train_as_pytorchs(why):
    """Weights, and both names of the shared one, after each of four steps of AdamW."""
    (first, *sizes), (second, *others), shape, reverse = ROWS[why]
    theirs = Theirs(
        getattr(torch.nn, first)(*sizes),
        getattr(torch.nn, second)(*others),
        reverse,
        len(shape) == 4,
    ).double()
    ours = Ours(
        getattr(ja.nn, first)(*sizes, dtype=FLOAT64, rngs=nnx.Rngs(0)),
        getattr(ja.nn, second)(*others, dtype=FLOAT64, rngs=nnx.Rngs(1)),
        reverse,
    )
    ja.nn.load_state_dict(ours, theirs.state_dict())
    assert ours.first.weight is ours.second.weight
    rng = np.random.default_rng(0)
    x = rng.integers(0, sizes[0], shape) if "Embedding" in first else rng.normal(size=shape)
    options = {"lr": 0.1, "weight_decay": 0.1}
    optimizer = torch.optim.AdamW(theirs.parameters(), **options)
    tx = ja.optimizers.adamw(**options)
    apply, params, rest = ja.training.split_model(ours)
    state = ja.training.train_state(params, tx, rest)
    assert len(jax.tree.leaves(state.opt_state.exp_avg)) == len(list(theirs.parameters()))

    def loss_fn(params, model_state, batch):
        output, model_state = apply(params, model_state, batch, training=True)
        return jnp.sum(jnp.sin(output)), (model_state, {})

    step = ja.training.train_step(ja.training.gradients(loss_fn), tx)
    for _ in range(4):
        optimizer.zero_grad()
        theirs(torch.tensor(x)).sin().sum().backward()
        optimizer.step()
        state, _ = step(state, jnp.asarray(x))
        ja.training.merge(ours, state.params, state.model_state)
        found, expected = ja.nn.state_dict(ours), theirs.state_dict()
        assert list(found) == list(expected)
        for name, tensor in expected.items():
            assert_close(found[name], tensor, tol.NETWORK_FLOAT64_OF_NORM, what=name)


def language_model():
    """PyTorch's first name of the weight is the embedding's, the alphabet's the decoder's."""
    rngs = ja.random.manual_seed(0)
    embedding, decoder = ja.nn.Embedding(7, 4, rngs=rngs), ja.nn.Linear(4, 7, rngs=rngs)
    decoder.weight = embedding.weight
    return ja.nn.Sequential({"words": embedding, "decoder": decoder})


NAMED = {
    # pattern: which of (words.weight, decoder.bias) PyTorch's named_parameters() has by it
    "words": (True, False),
    "weight": (True, False),
    "words|bias": (True, True),
    "bias": (False, True),
    r"decoder\.bias": (False, True),
    "decoder": None,  # the bias, and by its second name the weight
    r"decoder\.weight": None,
}


@pytest.mark.quick
@pytest.mark.parametrize("pattern", NAMED)
def test_a_pattern_means_a_shared_weight_by_pytorchs_name(pattern):
    """In groups, in the trainable part and in packs; a second name alone is refused, not lost."""
    theirs = torch.nn.Sequential()
    theirs.add_module("words", torch.nn.Embedding(7, 4))
    theirs.add_module("decoder", torch.nn.Linear(4, 7))
    theirs.decoder.weight = theirs.words.weight
    names = [name for name, _ in theirs.named_parameters()]
    assert names == ["words.weight", "decoder.bias"]

    _, params, rest = ja.training.split_model(language_model())
    tx = ja.optimizers.param_groups(ja.optimizers.sgd, [{"params": pattern, "lr": 0.5}], lr=0.25)
    gradient_fn = ja.training.gradients(
        lambda p, s, b: (sum(map(jnp.sum, jax.tree.leaves(p))), (s, {})), trainable=pattern
    )
    if NAMED[pattern] is None:
        for call in (
            lambda: tx.init(params),
            lambda: gradient_fn(params, rest, None),
            lambda: ja.training.packed(params, groups=[pattern]),
        ):
            with pytest.raises(ValueError, match=r"another name of 'words\.weight', which layers"):
                call()
        return
    assert tuple(re.search(pattern, name) is not None for name in names) == NAMED[pattern]
    whole = tx.update(jax.tree.map(jnp.ones_like, params), tx.init(params), params)[0]
    rates = {n: -float(leaf.ravel()[0]) for n, leaf in dotted(whole).items()}
    in_group = dict(zip(("decoder.weight", "decoder.bias"), NAMED[pattern], strict=True))
    assert rates == {name: 0.5 if member else 0.25 for name, member in in_group.items()}
    found = dotted(gradient_fn(params, rest, None).grads)
    assert set(found) == {name for name, member in in_group.items() if member}


def dotted(tree):
    return {
        ".".join(path): leaf[...]
        for path, leaf in nnx.to_flat_state(tree)
        if leaf.get_value() is not None
    }


def test_names_are_of_the_split_trees_and_not_of_the_model():
    model = language_model()
    _, params, rest = ja.training.split_model(model)
    assert params["decoder"]["weight"].get_metadata("all_paths") == (
        "words.weight",
        "decoder.weight",
    )
    assert not params["decoder"]["bias"].has_metadata("all_paths")
    ja.training.merge(model, params, rest)
    assert not model.decoder.weight.has_metadata("all_paths")
    assert model.decoder.weight is model.words.weight
    alone = ja.nn.Sequential(model.decoder)
    nnx.update(model, params)  # by flax itself, which carries the names over
    _, params, _ = ja.training.split_model(alone)
    assert not params["0"]["weight"].has_metadata("all_paths")


def test_a_state_crosses_whether_its_parameters_say_their_names_or_not():
    model = language_model()
    _, named, _ = ja.training.split_model(model)
    trees = (named, nnx.state(model, nnx.Param))
    tx = ja.optimizers.param_groups(ja.optimizers.adam, [{"params": "weight"}], lr=0.25)
    for params in trees:
        _, state = tx.update(params, tx.init(params), params)
        found = [ja.optimizers.state_dict(state, each, model=model, tx=tx) for each in trees]
        for each in found:
            assert [group["params"] for group in each["param_groups"]] == [[0], [1]]
            assert each["state"][0]["exp_avg"].shape == (7, 4)
            loaded = ja.optimizers.load_state_dict(tx.init(params), named, each, model=model, tx=tx)
            assert jax.tree.structure(loaded) == jax.tree.structure(state)
            jax.tree.map(np.testing.assert_array_equal, loaded, state)


READERS = {
    # which array: (the layer that keeps it the other way and its sizes, name, reader and its sizes)
    "weight of bilinear": (("Conv1d", 4, 3, 2), "weight", ("Bilinear", 4, 2, 3)),
    "in_proj_weight of attention": (("Embedding", 12, 4), "in_proj_weight", ATTENTION),
    "out_proj.weight of attention": (("Embedding", 4, 4), "out_proj.weight", ATTENTION),
    "weight_ih_l0 of LSTM": (("Embedding", 12, 4), "weight_ih_l0", ("LSTM", 4, 3)),
    "weight_hh_l0 of GRU": (("Embedding", 9, 3), "weight_hh_l0", ("GRU", 4, 3)),
    "weight_ih_l0 of RNN": (("Embedding", 3, 4), "weight_ih_l0", ("RNN", 4, 3)),
}


@pytest.mark.quick
@pytest.mark.parametrize("why", READERS)
def test_other_layers_read_an_array_that_is_kept_the_other_way(why):
    """Bilinear forms, attention and recurrent layers: the numbers, and the shared gradient."""
    (keeper, *sizes), name, (reader, *others) = READERS[why]
    *above, last = name.split(".")

    def tied(nn, lists, **options):
        first, second = (
            getattr(nn, keeper)(*sizes, **options),
            getattr(nn, reader)(*others, **options),
        )
        setattr(functools.reduce(getattr, above, second), last, first.weight)
        return lists([first, second])

    theirs = tied(torch.nn, torch.nn.ModuleList).double()
    ours = tied(ja.nn, nnx.List, dtype=FLOAT64, rngs=nnx.Rngs(0))
    ja.nn.load_state_dict(ours, theirs.state_dict())
    rng = np.random.default_rng(0)
    shapes = {"Bilinear": [(5, 4), (5, 2)], "MultiheadAttention": [(3, 2, 4)] * 3}
    inputs = [rng.normal(size=shape) for shape in shapes.get(reader, [(3, 2, 4)])]

    def first_of(output):
        return output[0] if isinstance(output, tuple) else output

    expected = first_of(theirs[1](*map(torch.tensor, inputs)))
    expected.sin().sum().backward()
    apply, params, rest = ja.training.split_model(ours[1])

    def loss(params):
        output = first_of(apply(params, rest, *map(jnp.asarray, inputs), training=True)[0])
        return jnp.sum(jnp.sin(output)), output

    grads, found = jax.grad(loss, has_aux=True)(params)
    assert_close(np.asarray(found), expected.detach().numpy(), tol.NETWORK_FLOAT64_OF_NORM)
    carrier = nnx.clone(ours[1])
    nnx.update(carrier, grads)
    gradient = dict(theirs[1].named_parameters())[name].grad
    assert_close(ja.nn.state_dict(carrier)[name], gradient, tol.NETWORK_FLOAT64_OF_NORM)


class Head(nnx.Module):
    """A user's own layer, which reads the array itself."""

    def __init__(self, weight):
        self.weight = weight

    def __call__(self, x):
        return x @ self.weight[...].T


class TableHead(Head):
    torch_transposed = ()


class KernelHead(Head):
    torch_transposed = ("weight",)


class ScaledLinear(ja.nn.Linear):
    """A layer of jaxaccel's whose call is the user's."""

    def __call__(self, x):
        return x @ self.weight[...]


class Model(nnx.Module):
    def __init__(self, table, head):
        self.table, self.head = table, head

    def __call__(self, x):
        return self.head(self.table(x))


def test_a_users_own_layer_shares_what_it_reads_as_it_is_kept():
    table = ja.nn.Embedding(4, 4, rngs=nnx.Rngs(0))
    found = ja.nn.state_dict(Model(table, TableHead(table.weight)))
    assert np.array_equal(found["head.weight"], found["table.weight"])
    scaled = ScaledLinear(4, 4, bias=False, rngs=nnx.Rngs(1))
    scaled.weight = table.weight
    for head in (KernelHead(table.weight), scaled):
        model = Model(table, head)
        for walk in (
            ja.nn.state_dict,
            lambda model: ja.nn.load_state_dict(model, found),
            ja.training.split_model,
        ):
            with pytest.raises(TypeError, match=r"reads 'weight' as .* torch_transposed = \(\)"):
                walk(model)
    with pytest.raises(TypeError, match="does not say whether PyTorch keeps it transposed"):
        ja.nn.state_dict(nnx.List([nnx.Linear(2, 2, rngs=nnx.Rngs(0))]))


def test_of_two_values_for_one_array_the_last_is_taken():
    theirs = Theirs(torch.nn.Embedding(3, 2), torch.nn.Linear(2, 3), False, False)
    table = ja.nn.Embedding(3, 2, rngs=nnx.Rngs(0))
    ours = Ours(table, ja.nn.Linear(2, 3, rngs=nnx.Rngs(0)), False)
    state = {k: torch.full_like(t, i) for i, (k, t) in enumerate(theirs.state_dict().items())}
    theirs.load_state_dict(state)
    ja.nn.load_state_dict(ours, state)
    for name, tensor in theirs.state_dict().items():
        assert np.array_equal(ja.nn.state_dict(ours)[name], tensor), name


def test_a_weight_of_another_shape_says_how_to_tie():
    """The first line is PyTorch's."""
    table, layer = torch.nn.Embedding(5, 3), torch.nn.Linear(5, 3)
    layer.weight = table.weight
    with pytest.raises(RuntimeError) as error:
        layer(torch.ones(2, 5))
    mine = ja.nn.Linear(5, 3, rngs=nnx.Rngs(0))
    mine.weight = ja.nn.Embedding(5, 3, rngs=nnx.Rngs(0)).weight
    with pytest.raises(ValueError, match=r"Linear\(E, V\) takes that of Embedding\(V, E\)") as own:
        mine(jnp.ones((2, 5), jnp.float32))
    assert str(own.value).splitlines()[0] == str(error.value)


def test_parametrizations_of_a_shared_weight():
    """Spectral norm leaves the array shared, as PyTorch's; weight norm would copy it: refused."""

    def tied(table, layer):
        layer.weight = table.weight
        return table, layer

    theirs = torch.nn.ModuleList(tied(torch.nn.Embedding(5, 3), torch.nn.Linear(3, 5)))
    torch.nn.utils.parametrizations.spectral_norm(theirs[1])
    rngs = nnx.Rngs(0)
    table, layer = tied(ja.nn.Embedding(5, 3, rngs=rngs), ja.nn.Linear(3, 5, rngs=rngs))
    ours = nnx.List([table, ja.nn.spectral_norm(layer, rngs=rngs)])
    ja.nn.load_state_dict(ours, theirs.state_dict())
    found = ja.nn.state_dict(ours)
    for name, tensor in theirs.state_dict().items():
        assert np.array_equal(found[name], tensor), name
    theirs.eval(), ours.eval()
    x = np.ones((2, 3), np.float32)
    expected = theirs[1](torch.tensor(x)).detach()
    assert_close(ours[1](jnp.asarray(x)), expected, tol.LAYER_FLOAT32_OF_MAX)

    model = nnx.List(tied(ja.nn.Embedding(5, 3, rngs=rngs), ja.nn.Linear(3, 5, rngs=rngs)))
    ja.nn.weight_norm(model[1])
    for walk in (ja.nn.state_dict, ja.training.split_model):
        with pytest.raises(ValueError, match="apply it before the weights are tied"):
            walk(model)


def test_a_shared_parameter_is_trained_by_any_of_its_names():
    table, layer = ja.nn.Embedding(3, 2, rngs=nnx.Rngs(0)), ja.nn.Linear(2, 3, rngs=nnx.Rngs(0))
    model = Ours(table, layer, False)
    for name in ("first.weight", "second.weight"):
        _, params, _ = ja.training.split_model(model, trainable=name)
        assert len(jax.tree.leaves(params)) == 1


def test_flaxs_own_layer_does_not_say_how_it_reads():
    """With a square table it would multiply by the transpose of what PyTorch multiplies by."""
    table, layer = ja.nn.Embedding(3, 3, rngs=nnx.Rngs(0)), nnx.Linear(3, 3, rngs=nnx.Rngs(0))
    layer.kernel = table.weight
    with pytest.raises(TypeError, match=r"use jaxaccel\.nn's"):
        ja.training.split_model(nnx.List([table, layer]))


def test_a_plain_array_may_stand_for_a_weight():
    layer = ja.nn.Linear(2, 3, bias=False, rngs=nnx.Rngs(0))
    layer.weight = jnp.ones((2, 3))
    assert np.array_equal(layer(jnp.ones((1, 2))), np.full((1, 3), 2.0))
