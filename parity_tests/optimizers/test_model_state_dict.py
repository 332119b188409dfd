"""A model and its optimizer cross from PyTorch and back, by name, and train on equal."""

import contextlib
import functools
import re

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
import torch
from flax import nnx

import jaxaccel as ja
from parity_tests import tolerances as tol
from parity_tests.harness.compiled import FAST_COMPILE
from parity_tests.harness.optimizer import (
    as_tensors,
    in_full_precision,
    lookup,
    oracle_of,
    to_numpy,
    values_at,
)
from parity_tests.optimizers.rows_hyperparameters import decaying
from parity_tests.registry import Case

STEPS = 2
TOKENS = np.random.default_rng(0).integers(0, 6, (3, 4))


class Net(nnx.Module):
    """Every layout, no biases where that hides nothing, and names in no alphabetical order."""

    def __init__(self, rngs):
        self.z_table = ja.nn.Embedding(6, 4, dtype=jnp.float64, rngs=rngs)
        self.y_norm = ja.nn.LayerNorm(4, dtype=jnp.float64)
        self.x_mix = ja.nn.Linear(4, 4, bias=False, dtype=jnp.float64, rngs=rngs)
        self.c_frozen = ja.nn.Linear(3, 3, dtype=jnp.float64, rngs=rngs)
        self.b_conv = ja.nn.Conv2d(4, 3, (1, 2), bias=False, dtype=jnp.float64, rngs=rngs)
        self.a_head = ja.nn.Linear(3, 3, bias=False, dtype=jnp.float64, rngs=rngs)

    def __call__(self, tokens):
        mixed = jnp.tanh(self.x_mix(self.y_norm(self.z_table(tokens))))
        pooled = jnp.mean(self.b_conv(mixed[:, None]), (1, 2))
        return jnp.mean((self.a_head(jnp.tanh(self.c_frozen(pooled))) - 1) ** 2)


class Twin(torch.nn.Module):
    """The same in PyTorch."""

    def __init__(self):
        super().__init__()
        self.z_table = torch.nn.Embedding(6, 4)
        self.y_norm = torch.nn.LayerNorm(4)
        self.x_mix = torch.nn.Linear(4, 4, bias=False)
        self.c_frozen = torch.nn.Linear(3, 3)
        self.b_conv = torch.nn.Conv2d(4, 3, (1, 2), bias=False)
        self.a_head = torch.nn.Linear(3, 3, bias=False)

    def forward(self, tokens):
        mixed = torch.tanh(self.x_mix(self.y_norm(self.z_table(tokens))))
        pooled = self.b_conv(mixed.mT[:, :, None]).mean((2, 3))
        return ((self.a_head(torch.tanh(self.c_frozen(pooled))) - 1) ** 2).mean()


def is_trained(path, _=None):
    return "frozen" not in path


def is_matrix(path, _=None):
    return path in ("x_mix.weight", "a_head.weight")


def case(function, oracle, kwargs, **options):
    return Case(f"optimizers.{function}", kwargs, f"torch.optim.{oracle}", function, options)


CASES = [
    case("sgd", "SGD", {"lr": decaying, "momentum": 0.9, "dampening": 0.5}),
    case("adam", "Adam", {"lr": decaying, "amsgrad": True}),
    case("adamw", "AdamW", {"lr": 0.01, "betas": (0.8, 0.99), "maximize": True}),
    case("adamax", "Adamax", {}),
    case("nadam", "NAdam", {"decoupled_weight_decay": True, "weight_decay": 0.1}),
    case("radam", "RAdam", {"betas": (0.9, 0.9)}),
    case("adagrad", "Adagrad", {"lr_decay": 0.1}),
    case("adadelta", "Adadelta", {}),
    case("rmsprop", "RMSprop", {"momentum": 0.9, "centered": True}),
    case("rprop", "Rprop", {}),
    case("asgd", "ASGD", {"lambd": 0.1, "t0": 2}),
    case("adafactor", "Adafactor", {}),  # of the table either layout has the same numbers
    case("muon", "Muon", {}, trained=is_matrix),
    case("lbfgs", "LBFGS", {"max_iter": 2, "history_size": 3}),
]
rows = pytest.mark.parametrize("case", CASES, ids=lambda case: case.why)


@functools.cache
def model_of(trained):
    """Return the loss of the trained parameters and its gradient, compiled once."""
    apply, params, state = ja.training.split_model(Net(nnx.Rngs(0)), trainable=trained)

    def loss(params):
        return apply(params, state, jnp.asarray(TOKENS), training=True)[0]

    del params
    return loss, jax.jit(jax.value_and_grad(loss), compiler_options=FAST_COMPILE)


class Pair:
    """One model and its optimizer, in both libraries; it starts in PyTorch."""

    def __init__(self, case, make=None, groups=None):
        self.case, self.trained = case, case.options.get("trained", is_trained)
        self.model, self.twin = Net(nnx.Rngs(0)), Twin().double()
        self.twin.load_state_dict(as_tensors(ja.nn.state_dict(self.model)))
        self.everything = dict(self.twin.named_parameters())
        for name, p in self.everything.items():
            p.requires_grad_(self.trained(name))
        own = case.options.get("ours", {})
        self.tx = make() if make else lookup("jaxaccel", case.function)(**case.kwargs, **own)
        self.split()
        # Muon takes matrices only; the others get all that model.parameters() has.
        self.only = self.trained is is_matrix
        given = [p for p in self.everything.values() if p.requires_grad or not self.only]
        self.optimizer = oracle_of(case)(groups or given, **values_at(case.kwargs, 0))

    def split(self):
        _, self.params, _ = ja.training.split_model(self.model, trainable=self.trained)
        self.state = self.tx.init(self.params)

    def step_theirs(self, k):
        self.optimizer.zero_grad()
        if self.case.function.endswith("lbfgs"):
            self.optimizer.step(self.closure)
            return
        self.closure()
        self.optimizer.step()
        for group in self.optimizer.param_groups:  # as a scheduler's step() does
            group.update({n: v(k + 1) for n, v in self.case.kwargs.items() if callable(v)})

    def closure(self):
        self.optimizer.zero_grad()
        loss = self.twin(torch.tensor(TOKENS))
        loss.backward()
        return loss

    def step_ours(self, k):
        del k
        loss, gradient = model_of(self.trained)
        value, grads = gradient(self.params)
        extra = {}
        if self.case.function.endswith("lbfgs"):
            extra = {"value": value, "value_fn": loss}
        updates, self.state = self.tx.update(grads, self.state, self.params, **extra)
        self.params = optax.apply_updates(self.params, updates)

    def carry_over(self, step):
        """Let ours have what theirs has."""
        ja.nn.load_state_dict(self.model, self.twin.state_dict())
        self.split()
        saved = self.optimizer.state_dict()
        keeps_none = self.case.why in ("sgd", "muon", "lbfgs")
        self.state = ja.optimizers.load_state_dict(
            self.state,
            self.params,
            saved,
            step if keeps_none else None,
            model=self.model,
            tx=self.tx,
        )

    def carry_back(self):
        """Let theirs have what ours has."""
        ja.training.merge(self.model, self.params)
        self.twin.load_state_dict(as_tensors(ja.nn.state_dict(self.model)))
        found = ja.optimizers.state_dict(
            self.state, self.params, model=self.model, tx=self.tx, trainable_only=self.only
        )
        before = [set(group) for group in self.optimizer.state_dict()["param_groups"]]
        assert [set(group) for group in found["param_groups"]] == before
        with torch.no_grad():  # nothing of the old optimizer is left
            for group in self.optimizer.param_groups:
                group.update({n: float("nan") for n, v in group.items() if type(v) is float})
        self.optimizer.load_state_dict(as_tensors(found))
        for entry in self.optimizer.state.values():  # PyTorch casts them to the parameter's dtype
            for name in entry.keys() & {"mu_product", "eta", "mu"}:
                entry[name] = entry[name].float()

    def assert_equal(self, k):
        ja.training.merge(self.model, self.params)
        found = ja.nn.state_dict(self.model)
        for name, p in self.everything.items():
            expected = to_numpy(p)
            error = np.max(np.abs(found[name] - expected))
            assert error <= tol.CONTRACT_FLOAT64_OF_MAX * np.max(np.abs(expected)), (name, k)


def in_double(case):
    """Compute Muon's Newton-Schulz iterations in double precision."""
    if case.why != "muon":
        return contextlib.nullcontext()
    return in_full_precision(case._replace(options={"bfloat16_inside": "Newton-Schulz"}))


def train_on(pair, steps):
    for k in steps:
        with in_double(pair.case):
            pair.step_ours(k)
            pair.step_theirs(k)
        pair.assert_equal(k)


@rows
def test_a_model_comes_from_pytorch_and_goes_back(case):
    pair = Pair(case)
    for k in range(STEPS):
        with in_double(case):
            pair.step_theirs(k)
    pair.carry_over(STEPS)
    pair.assert_equal(STEPS)
    train_on(pair, range(STEPS, 2 * STEPS))
    pair.carry_back()
    train_on(pair, range(2 * STEPS, 3 * STEPS))


# --- groups, and what is around an optimizer ----------------------------------------------------


def in_groups(pair, patterns):
    """Return PyTorch's groups of a twin by patterns, the rest last; frozen ones are members."""
    groups = [[] for _ in range(len(patterns) + 1)]
    for name, p in pair.everything.items():
        first = [re.search(pattern, name) is not None for pattern in patterns]
        groups[[*first, True].index(True)].append((name, p))
    return groups


GROUPED = case("adamw", "AdamW", {"lr": decaying, "weight_decay": 0.5})
PATTERNS = ["norm|head", "table"]
OURS = [{"params": PATTERNS[0], "weight_decay": 0.0, "betas": (0.8, 0.9)}, {"params": PATTERNS[1]}]


def grouped_pair(wrap=lambda tx: tx, named=False):
    """Return a pair whose optimizers have three groups, one with numbers of its own."""
    pair = Pair(GROUPED, lambda: wrap(tx_of_groups()))
    members = in_groups(pair, PATTERNS)
    pair.optimizer = torch.optim.AdamW(
        [
            {
                "params": own if named else [p for _, p in own],
                **{name: value for name, value in options.items() if name != "params"},
            }
            for own, options in zip(members, [*OURS, {}], strict=True)
        ],
        **values_at(GROUPED.kwargs, 0),
    )
    return pair


def tx_of_groups():
    return ja.optimizers.param_groups(ja.optimizers.adamw, OURS, **GROUPED.kwargs)


WRAPPERS = {
    "groups": lambda tx: tx,
    "lookahead, whose weights stay": lambda tx: ja.optimizers.lookahead(tx, k=100),
    "one micro-batch a step": lambda tx: ja.transforms.accumulate_gradients(tx, steps=1),
}


@pytest.mark.parametrize("wrapper", WRAPPERS)
def test_groups_come_from_pytorch_and_go_back(wrapper):
    pair = grouped_pair(WRAPPERS[wrapper])
    for k in range(STEPS):
        pair.step_theirs(k)
    pair.carry_over(STEPS)
    pair.assert_equal(STEPS)
    train_on(pair, range(STEPS, 2 * STEPS))
    pair.carry_back()
    train_on(pair, range(2 * STEPS, 3 * STEPS))


def test_names_in_the_groups_count_and_not_their_order():
    pair = grouped_pair(named=True)
    for group in pair.optimizer.param_groups:
        for key in ("params", "param_names"):
            group[key].reverse()
    for k in range(STEPS):
        pair.step_theirs(k)
    pair.carry_over(STEPS)
    train_on(pair, range(STEPS, 2 * STEPS))


def test_numbers_that_the_state_holds_are_restored_and_keep_their_digits():
    pair = grouped_pair()
    pair.optimizer.param_groups[0].update(
        betas=(0.7, 0.9), weight_decay=torch.tensor(0.125, dtype=torch.float64)
    )
    pair.step_theirs(0)
    pair.carry_over(1)
    first, *_ = ja.optimizers.get_hyperparams(pair.state)
    assert first["betas"][0] == pytest.approx(0.7, abs=1e-7)
    assert (first["weight_decay"], first["lr"]) == (0.125, pytest.approx(decaying(1), rel=1e-6))
    train_on(pair, range(1, 3))
    found = ja.optimizers.state_dict(pair.state, pair.params, model=pair.model, tx=pair.tx)
    groups = found["param_groups"]
    assert [group["betas"] for group in groups][1:] == [(0.9, 0.999)] * 2
    assert [group["lr"] for group in groups] == [decaying(3)] * 3
    assert [group["params"] for group in groups] == [[0, 1, 2], [3], [4, 5, 6, 7]]


def test_in_a_chain_the_optimizer_inside_crosses():
    adam = ja.optimizers.adam()
    pair = Pair(case("adam", "Adam", {}), lambda: optax.chain(optax.clip(1e9), adam))
    pair.step_theirs(0)
    chained, pair.tx = pair.tx, adam
    ja.nn.load_state_dict(pair.model, pair.twin.state_dict())
    _, pair.params, _ = ja.training.split_model(pair.model, trainable=is_trained)
    pair.state = ja.optimizers.load_state_dict(
        chained.init(pair.params), pair.params, pair.optimizer.state_dict(), model=pair.model,
        tx=adam,
    )  # fmt: skip
    pair.tx = chained
    train_on(pair, range(1, 3))
    with pytest.raises(TypeError, match=r"of an optax.chain pass the optimizer in it"):
        ja.optimizers.state_dict(pair.state, pair.params, model=pair.model, tx=chained)


def test_sparse_rows_of_a_table_cross():
    model, twin = ja.nn.Embedding(6, 4, dtype=jnp.float64, rngs=nnx.Rngs(0)), None
    twin = torch.nn.Embedding(6, 4, sparse=True).double()
    _, params, _ = ja.training.split_model(model)
    optimizer, tx = torch.optim.SparseAdam(twin.parameters()), ja.optimizers.sparse_adam()
    twin(torch.tensor([1, 3])).sum().backward()
    optimizer.step()
    state = ja.optimizers.load_state_dict(
        tx.init(params), params, optimizer.state_dict(), model=model, tx=tx
    )
    found = ja.optimizers.state_dict(state, params, model=model, tx=tx)
    expected = optimizer.state_dict()
    assert found["state"][0]["step"] == 1
    for name in ("exp_avg", "exp_avg_sq"):
        assert np.array_equal(found["state"][0][name], expected["state"][0][name].numpy())
    assert found["param_groups"] == expected["param_groups"]


def test_before_the_first_step_and_with_trained_parameters_only():
    pair = Pair(case("sgd", "SGD", {"momentum": 0.9}))
    pair.optimizer = torch.optim.SGD(
        [p for p in pair.everything.values() if p.requires_grad], momentum=0.9
    )
    pair.only = True
    pair.carry_over(0)
    assert not ja.optimizers.state_dict(pair.state, pair.params, model=pair.model)["state"]
    train_on(pair, range(2))
    pair.carry_back()
    train_on(pair, range(2, 4))


def test_tied_parameters_are_one_under_either_name():
    model = nnx.Dict(z=ja.nn.Embedding(3, 2, rngs=nnx.Rngs(0)))
    model["a"] = nnx.Dict(weight=model["z"].weight)  # where flax has it
    twin = torch.nn.Module()
    twin.z, twin.a = torch.nn.Embedding(3, 2), torch.nn.Linear(2, 3, bias=False)
    twin.a.weight = twin.z.weight
    optimizer, tx = torch.optim.Adam(twin.named_parameters()), ja.optimizers.adam()
    twin.a(twin.z(torch.tensor([1]))).sum().backward()
    optimizer.step()
    _, params, _ = ja.training.split_model(model)
    state = ja.optimizers.load_state_dict(
        tx.init(params), params, optimizer.state_dict(), model=model, tx=tx
    )
    found = ja.optimizers.state_dict(state, params, model=model, tx=tx)
    assert found["param_groups"][0]["params"] == [0]
    expected = optimizer.state_dict()["state"][0]["exp_avg"].numpy()
    assert np.array_equal(found["state"][0]["exp_avg"], expected)


def test_a_parameter_that_never_had_a_gradient_is_left_alone():
    pair = Pair(case("adam", "Adam", {}))
    pair.everything["a_head.weight"].requires_grad_(False)
    pair.step_theirs(0)
    pair.carry_over(1)
    assert not np.any(pair.state.exp_avg["a_head"]["weight"][...])
    assert np.any(pair.state.exp_avg["x_mix"]["weight"][...])


# --- a count per parameter ----------------------------------------------------------------------

COUNTED = [case for case in CASES if case.why not in ("lbfgs", "muon")]


@pytest.mark.parametrize("case", COUNTED, ids=lambda case: case.why)
def test_parameters_that_joined_later_cross_with_their_own_steps(case):
    own = case.options.get("ours", {})
    pair = Pair(
        case,
        lambda: ja.optimizers.count_per_parameter(
            lookup("jaxaccel", case.function)(**case.kwargs, **own)
        ),
    )
    for k, waits in enumerate((True, False)):  # the last layer joins in the second step
        pair.everything["a_head.weight"].requires_grad_(not waits)
        pair.step_theirs(k)
    pair.carry_over(STEPS)
    train_on(pair, range(STEPS, 2 * STEPS))
    pair.carry_back()
    train_on(pair, range(2 * STEPS, 3 * STEPS))


def test_one_step_for_all_refuses_them():
    pair = Pair(CASES[1])
    for k, waits in enumerate((True, False)):
        pair.everything["a_head.weight"].requires_grad_(not waits)
        pair.step_theirs(k)
    with pytest.raises(ValueError, match=r"different step.*count_per_parameter"):
        pair.carry_over(STEPS)
