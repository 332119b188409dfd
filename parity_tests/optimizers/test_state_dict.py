"""Every optimizer's state goes to PyTorch and comes back, and both continue equal."""

import functools
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
import torch

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

SHAPES = {"kernel": (6, 4), "table": (5, 3)}
STEPS = 3

_EVERYTHING = {
    "sgd": ("SGD", {"lr": decaying, "momentum": 0.9, "dampening": 0.5}),
    "adam": ("Adam", {"lr": decaying, "amsgrad": True}),
    "adamw": ("AdamW", {}),
    "adamax": ("Adamax", {}),
    "nadam": ("NAdam", {"momentum_decay": 0.1}),
    "radam": ("RAdam", {"betas": (0.9, 0.9)}),
    "adagrad": ("Adagrad", {"lr_decay": 0.1}),
    "adadelta": ("Adadelta", {}),
    "rmsprop": ("RMSprop", {"momentum": 0.9, "centered": True}),
    "rprop": ("Rprop", {}),
    "asgd": (
        "ASGD",
        {"lr": decaying, "lambd": 0.1, "t0": 2},
        {"quick": "numbers that PyTorch keeps with every parameter, and jaxaccel once"},
    ),
    "adafactor": ("Adafactor", {}),
    "muon": ("Muon", {"lr": decaying}),
    "sparse_adam": ("SparseAdam", {}),
    "lbfgs": ("LBFGS", {"max_iter": 4, "history_size": 5}),
    "lbfgs with a line search": (
        "LBFGS",
        {"max_iter": 3, "history_size": 3, "line_search_fn": "strong_wolfe"},
    ),
}
CASES = [
    Case(f"optimizers.{name.split()[0]}", kwargs, f"torch.optim.{oracle}", name, *options)
    for name, (oracle, kwargs, *options) in _EVERYTHING.items()
]
rows = pytest.mark.parametrize("case", CASES, ids=lambda case: case.why)


def draw(step):
    """Return a matrix and, not for Muon, a vector and a scalar beside it."""
    rng = np.random.default_rng(step)
    return {name: rng.normal(size=shape) for name, shape in SHAPES.items()}


def transform_of(case):
    own = {"layout": "torch"} if case.function.endswith(("muon", "adafactor")) else {}
    return lookup("jaxaccel", case.function)(**case.kwargs, **own)


class Ours:
    """jaxaccel's side of a run."""

    def __init__(self, case):
        self.case, self.tx = case, transform_of(case)
        self.params = {name: jnp.asarray(leaf) for name, leaf in draw(0).items()}
        self.state = self.tx.init(self.params)

    def step(self, k):
        if self.case.function.endswith("lbfgs"):
            self.params, self.state = self.lbfgs_step(self.params, self.state)
            return
        grads = jax.tree.map(jnp.asarray, draw(1 + k))
        if self.case.function.endswith("sparse_adam"):
            grads = {
                name: ja.optimizers.SparseRows(jnp.arange(2) + k % 2, leaf[:2])
                for name, leaf in grads.items()
            }
        updates, self.state = self.tx.update(grads, self.state, self.params)
        self.params = ja.optimizers.apply_sparse_updates(self.params, updates)

    @functools.cached_property
    def lbfgs_step(self):
        def step(params, state):
            value, grads = jax.value_and_grad(quartic)(params)
            updates, state = self.tx.update(grads, state, params, value=value, value_fn=quartic)
            return optax.apply_updates(params, updates), state

        return jax.jit(step, compiler_options=FAST_COMPILE)


class Theirs:
    """PyTorch's side."""

    def __init__(self, case, arrays):
        self.case = case
        self.tensors = {name: torch.nn.Parameter(torch.tensor(a)) for name, a in arrays.items()}
        self.optimizer = oracle_of(case)(self.tensors.values(), **values_at(case.kwargs, 0))

    def step(self, k):
        if self.case.function.endswith("lbfgs"):
            self.optimizer.step(self.closure)
            return
        self.optimizer.param_groups[0].update(values_at(self.case.kwargs, k))
        for p, grad in zip(self.tensors.values(), draw(1 + k).values(), strict=True):
            p.grad = torch.tensor(grad)
            if self.case.function.endswith("sparse_adam"):
                indices = torch.arange(2)[None] + k % 2
                p.grad = torch.sparse_coo_tensor(
                    indices, p.grad[:2], p.shape, check_invariants=True
                )
        self.optimizer.step()

    def closure(self):
        self.optimizer.zero_grad()
        loss = sum((p**4 / 4 - p).sum() for p in self.tensors.values())
        loss.backward()
        return loss

    def state(self):
        return self.optimizer.state_dict()

    def load(self, state):
        """Load as a checkpoint is loaded; scalars stay float32, as they are without a load."""
        self.optimizer.load_state_dict(as_tensors(state))
        for entry in self.optimizer.state.values():
            for name in entry.keys() & {"mu_product", "eta", "mu"}:
                entry[name] = entry[name].float()


def quartic(params):
    return sum(jnp.sum(p**4 / 4 - p) for p in params.values())


def assert_equal_runs(ours, theirs, steps):
    for k in steps:
        with in_double(ours.case):
            ours.step(k)
            theirs.step(k)
        for name, p in theirs.tensors.items():
            expected = to_numpy(p)
            error = np.max(np.abs(ours.params[name] - expected))
            assert error <= tol.CONTRACT_FLOAT64_OF_MAX * np.max(np.abs(expected)), (name, k)


def in_double(case):
    """Compute Muon's Newton-Schulz iterations in double precision."""
    return in_full_precision(case._replace(options={"bfloat16_inside": "Newton-Schulz"}))


@rows
def test_state_there_continues_equal(case):
    ours = Ours(case)
    for k in range(STEPS):
        with in_double(case):
            ours.step(k)
    theirs = Theirs(case, {name: np.array(leaf) for name, leaf in ours.params.items()})
    theirs.load(ja.optimizers.state_dict(ours.state, ours.params, tx=ours.tx))
    assert_equal_runs(ours, theirs, range(STEPS, 2 * STEPS))


@pytest.mark.parity
@rows
def test_state_back_continues_equal(case):
    theirs = Theirs(case, draw(0))
    for k in range(STEPS):
        with in_double(case):
            theirs.step(k)
    ours = Ours(case)
    ours.params = {name: jnp.asarray(to_numpy(p)) for name, p in theirs.tensors.items()}
    keeps_none = case.function.endswith(("sgd", "muon", "lbfgs")) and "asgd" not in case.function
    step = {"step": STEPS} if keeps_none else {}
    loaded = ja.optimizers.load_state_dict(ours.state, ours.params, theirs.state(), **step)
    assert jax.tree.map(lambda leaf: leaf.aval, loaded) == jax.tree.map(
        lambda leaf: leaf.aval, ours.state
    )
    ours.state = loaded
    assert_equal_runs(ours, theirs, range(STEPS, 2 * STEPS))


@rows
def test_keys_and_shapes_are_pytorchs(case):
    ours, theirs = Ours(case), Theirs(case, draw(0))
    for k in range(STEPS):
        ours.step(k)
        theirs.step(k)
    found = ja.optimizers.state_dict(ours.state, ours.params)
    assert described(found["state"]) == described(theirs.state()["state"])


def described(state):
    """Return every key with its shape and dtype.

    ``al`` is scratch space, of which only the length counts; ``t`` is a number or, after a line
    search, a tensor.
    """

    def describe(name, value):
        if name in ("al", "t"):
            return len(value) if name == "al" else "number"
        if isinstance(value, list):
            return [describe(name, item) for item in value]
        if isinstance(value, (int, float)):
            return "number"
        return tuple(value.shape), str(value.dtype).split(".")[-1]

    return {
        index: {name: describe(name, value) for name, value in entry.items()}
        for index, entry in state.items()
    }


@rows
def test_round_trip_gives_the_same_state(case):
    ours = Ours(case)
    for k in range(STEPS):
        ours.step(k)
    found = ja.optimizers.state_dict(ours.state, ours.params)
    fresh = ours.tx.init(ours.params)
    back = ja.optimizers.load_state_dict(fresh, ours.params, found, step=ours.state.step)
    again = ja.optimizers.state_dict(back, ours.params)
    jax.tree.map(np.testing.assert_array_equal, again, found)
    assert back.step == ours.state.step


def test_a_leaf_without_gradient_keeps_its_state():
    tx, params = ja.optimizers.adam(), {"a": jnp.ones(2), "b": jnp.ones(3)}
    entry = {"step": 4.0, "exp_avg": np.ones(3), "exp_avg_sq": np.ones(3)}
    state = ja.optimizers.load_state_dict(tx.init(params), params, {1: entry})
    assert not np.any(state.exp_avg["a"])
    assert np.all(state.exp_avg["b"])
    assert state.step == 4


class OwnState(NamedTuple):
    """A user's own state, which says what PyTorch keeps of it."""

    count: Any
    step: Any
    momentum: Any
    torch_fields = ja.optimizers.TorchFields(("momentum",), ("step",), shared_integers=("count",))


class SilentState(NamedTuple):
    """A user's own state that looks like PyTorch's and says nothing."""

    step: Any
    exp_avg: Any


class SilentAdamState(NamedTuple):
    """A namesake's words count for nothing: the class itself must say them."""

    step: Any
    torch_fields = ("exp_avg",)


def test_ones_own_state_takes_part():
    params = {"a": jnp.ones(2), "b": jnp.ones(3)}
    state = OwnState(jnp.int32(7), jnp.int32(4), jax.tree.map(lambda p: 2 * p, params))
    found = ja.optimizers.state_dict(state, params)
    assert list(found) == ["state"]
    found = found["state"]
    assert list(found) == [0, 1]
    assert found[1]["count"] == 7
    assert isinstance(found[1]["count"], int)
    assert found[1]["step"].dtype == np.float32
    assert found[1]["momentum"].tolist() == [2, 2, 2]
    fresh = OwnState(jnp.int32(0), jnp.int32(0), jax.tree.map(jnp.zeros_like, params))
    back = ja.optimizers.load_state_dict(fresh, params, found)
    assert jax.tree.all(jax.tree.map(np.array_equal, back, state))


@pytest.mark.parametrize(
    "state", [SilentState(jnp.int32(0), jnp.ones(2)), SilentAdamState(jnp.int32(0)), (), {}, 3]
)
def test_a_state_that_says_nothing_is_refused_by_name(state):
    for call in (
        lambda: ja.optimizers.state_dict(state, jnp.ones(2)),
        lambda: ja.optimizers.load_state_dict(state, jnp.ones(2), {}),
    ):
        with pytest.raises(TypeError, match=f"got {type(state).__name__}, whose class does not"):
            call()


FLAT_ENTRY = dict.fromkeys(
    ["func_evals", "n_iter", "t", "prev_loss", "d", "H_diag", "prev_flat_grad"], 0
)
ADAM_ENTRY = {"step": 1.0, "exp_avg": np.ones(2), "exp_avg_sq": np.ones(2)}


def load(tx, state_dict, **step):
    params = {"a": jnp.ones(2), "b": jnp.ones(2)}
    return ja.optimizers.load_state_dict(tx.init(params), params, state_dict, **step)


WRONG = {
    "no step": (lambda: load(ja.optimizers.sgd(momentum=0.9), {}), ["step", "SGDState"]),
    "no key": (
        lambda: load(ja.optimizers.adam(), {0: {"step": 1.0}}),
        ["state_dict[0]", "exp_avg_sq", "arguments"],
    ),
    "another key": (
        lambda: load(ja.optimizers.adam(), {1: {**ADAM_ENTRY, "max_exp_avg_sq": np.ones(2)}}),
        ["state_dict[1]", "max_exp_avg_sq"],
    ),
    "an index past the last parameter": (
        lambda: load(ja.optimizers.adam(), {0: ADAM_ENTRY, 2: ADAM_ENTRY}),
        ["the index 2", "2 parameters", "one tree"],
    ),
    "a negative index": (lambda: load(ja.optimizers.adam(), {-1: ADAM_ENTRY}), ["the index -1"]),
    "keys that JSON made": (
        lambda: load(ja.optimizers.adam(), {"0": ADAM_ENTRY, "1": ADAM_ENTRY}),
        ["the key '0'", "{int(key): entry for key, entry in state_dict.items()}"],
    ),
    "groups without parameters": (
        lambda: load(ja.optimizers.adam(), {"state": {0: ADAM_ENTRY}, "param_groups": []}),
        ["groups have 0 parameters, params has 2"],
    ),
    "lbfgs with keys that JSON made": (
        lambda: load(ja.optimizers.lbfgs(), {"0": {"n_iter": 1}}, step=1),
        ["the key '0'", "int(key)"],
    ),
    "lbfgs at another parameter": (
        lambda: load(ja.optimizers.lbfgs(), {1: {"n_iter": 1}}, step=1),
        ["state_dict[1] must be empty", "state_dict[0]"],
    ),
    "shape": (
        lambda: load(ja.optimizers.adam(), {0: {**ADAM_ENTRY, "exp_avg": np.ones(3)}}),
        ["exp_avg of parameter 0", "(3,)", "(2,)"],
    ),
    "steps differ": (
        lambda: load(ja.optimizers.adam(), {0: ADAM_ENTRY, 1: {**ADAM_ENTRY, "step": 2.0}}),
        ["step", "[1.0, 2.0]"],
    ),
    "no such optimizer": (
        lambda: ja.optimizers.state_dict(ja.transforms.clip_grad_value(1.0).init(()), ()),
        ["ClipGradValueState", "torch_fields = TorchFields("],
    ),
    "too many pairs": (
        lambda: load(
            ja.optimizers.lbfgs(history_size=1),
            {0: FLAT_ENTRY | {"old_dirs": [0, 0], "old_stps": [0, 0], "ro": [0, 0]}},
            step=1,
        ),
        ["2 pairs", "history_size=1"],
    ),
    "lbfgs without a key": (
        lambda: load(ja.optimizers.lbfgs(), {0: {"n_iter": 1}}, step=1),
        ["state_dict[0]", "'func_evals'"],
    ),
}


@pytest.mark.parametrize("wrong", WRONG)
def test_error_names_the_value_and_the_remedy(wrong):
    call, fragments = WRONG[wrong]
    with pytest.raises((ValueError, TypeError)) as raised:
        call()
    for fragment in fragments:
        assert fragment in str(raised.value), str(raised.value)
