"""A model and its optimizer cross from PyTorch and back, by name, and train on equal."""

import contextlib
import functools

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
from parity_tests.harness.optimizer import in_full_precision, lookup, oracle_of, to_numpy, values_at
from parity_tests.optimizers.rows_hyperparameters import decaying
from parity_tests.optimizers.test_state_dict import as_tensors
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


def layout(path):
    return "torch" if "table" in path else "flax"


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
    case("adafactor", "Adafactor", {}, ours={"layout": layout}),
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
