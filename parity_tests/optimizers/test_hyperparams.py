"""Hyperparameters are found, named and changed wherever in a state they are."""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
import torch
from jax.sharding import NamedSharding, PartitionSpec

import jaxaccel as ja
from parity_tests.optimizers.rows_hyperparameters import decaying

PARAMS = {"kernel": np.ones((3, 2)), "bias": np.ones(2)}
sgd, adamw, param_groups = ja.optimizers.sgd, ja.optimizers.adamw, ja.optimizers.param_groups
get, put = ja.optimizers.get_hyperparams, ja.optimizers.set_hyperparams


def params_of():
    return jax.tree.map(jnp.asarray, PARAMS)


def grouped(lr=1.0):
    """Return groups with the learning rates lr, and half of it by default."""
    return param_groups(sgd, [{"params": "bias", "lr": lr}], lr=lr / 2)


def partitioned():
    return optax.partition(
        {"first": grouped(8.0), "second": optax.inject_hyperparams(sgd)(2.0)},
        {"kernel": "second", "bias": "first"},
    )


def alone(lr=1.0):
    """Return a transformation with one group, on any parameters."""
    return param_groups(adamw, [], lr=lr)


KINDS = {
    "alone": (grouped, {"0": 1.0, "default": 0.5}),
    "chain": (
        lambda: optax.chain(ja.transforms.clip_grad_norm(1.0), grouped()),
        {"0": 1.0, "default": 0.5},
    ),
    "two in a chain": (
        lambda: optax.chain(alone(4.0), ja.transforms.clip_grad_norm(1.0), grouped()),
        {"0.default": 4.0, "2.0": 1.0, "2.default": 0.5},
    ),
    "partition": (
        lambda: optax.partition(
            {"late": alone(3.0), "early": alone(2.0)}, {"kernel": "late", "bias": "early"}
        ),
        {"early.default": 2.0, "late.default": 3.0},  # a dictionary's keys are sorted
    ),
    "injected": (lambda: optax.inject_hyperparams(sgd)(2.0), {"default": 2.0}),
    "two injected": (
        lambda: optax.chain(optax.inject_hyperparams(sgd)(2.0), optax.inject_hyperparams(sgd)(3.0)),
        {"0": 2.0, "1": 3.0},
    ),
    "one inside the other": (
        lambda: optax.inject_hyperparams(lambda lr: optax.chain(alone(5.0), optax.scale(lr)))(2.0),
        {"default": 2.0, "inner_state.0.default": 5.0},
    ),
    "inside lookahead": (
        lambda: ja.optimizers.lookahead(grouped()),
        {"0": 1.0, "default": 0.5},
    ),
    "under MultiSteps": (
        lambda: optax.MultiSteps(grouped(), 2),
        {"0": 1.0, "default": 0.5},
    ),
}
kinds = pytest.mark.parametrize("kind", KINDS)


def rates(state):
    return {group["name"]: group["lr"] for group in get(state)}


@kinds
def test_every_state_is_found_and_named(kind):
    make, expected = KINDS[kind]
    with jax.numpy_dtype_promotion("standard"):
        state = make().init(params_of())
    train_state = {"params": params_of(), "opt_state": state}
    for tree in (state, train_state):
        assert ja.optimizers.has_hyperparams(tree)
        assert rates(tree) == expected
        assert list(rates(tree)) == list(expected)


@kinds
def test_each_is_set_by_name_and_by_index(kind):
    make, expected = KINDS[kind]
    with jax.numpy_dtype_promotion("standard"):
        state = make().init(params_of())
    avals = jax.tree.map(lambda leaf: leaf.aval, state)
    for index, name in enumerate(expected):
        for group in (index, np.int64(index - len(expected)), name):
            changed = put(state, group, lr=0.25)
            assert rates(changed) == expected | {name: 0.25}
            assert jax.tree.map(lambda leaf: leaf.aval, changed) == avals
    assert set(rates(put(state, lr=0.125)).values()) == {0.125}


@kinds
def test_all_are_read_and_set_under_a_trace(kind):
    make, expected = KINDS[kind]
    with jax.numpy_dtype_promotion("standard"):
        state = make().init(params_of())

    @jax.jit
    def halve(state):
        assert ja.optimizers.has_hyperparams(state)
        found = rates(state)
        for name, lr in found.items():
            state = put(state, name, lr=lr / 2)
        return found, state

    found, state = halve(state)
    assert found == expected
    assert rates(state) == {name: lr / 2 for name, lr in expected.items()}


def test_the_changed_numbers_move_the_right_parameters():
    """Of an ``optax.partition``, beside what each learning rate alone does."""
    tx, params = partitioned(), params_of()
    state = tx.init(params)
    assert {"name": "second", "lr": 2.0}.items() <= get(state)[2].items()
    for group, lr, leaf in (("first.0", 0.25, "bias"), ("second", 0.125, "kernel")):
        state = put(state, group, lr=lr)
        with jax.numpy_dtype_promotion("standard"):
            updates, _ = tx.update(params, state, params)
        assert np.all(updates[leaf] == -lr)


def test_values_of_many_runs_at_once():
    """A state under ``vmap`` has an axis of runs in every number."""
    tx = param_groups(adamw, [], betas=(0.9, 0.75))
    states = jax.vmap(lambda lr: put(tx.init(params_of()), lr=lr))(jnp.array([0.5, 0.25]))
    (group,) = get(states)
    assert group["lr"].tolist() == [0.5, 0.25]
    assert group["betas"][1].tolist() == [0.75, 0.75]
    assert get(put(states, lr=1.0))[0]["lr"].tolist() == [1.0, 1.0]


@pytest.mark.parametrize("lr", [float("nan"), float("inf"), -0.5])
def test_numbers_out_of_bounds_are_taken_as_pytorch_takes_them(lr):
    """``param_groups[0]["lr"] = value`` is not checked; what it makes of a parameter is seen."""
    theirs = torch.ones(2, requires_grad=True)
    optimizer = torch.optim.SGD([theirs], lr=0.25)
    optimizer.param_groups[0]["lr"] = lr
    theirs.grad = torch.tensor([1.0, -2.0])
    optimizer.step()
    tx, ours, grads = param_groups(sgd, [], lr=0.25), jnp.ones(2), jnp.array([1.0, -2.0])
    state = put(tx.init(ours), lr=lr)
    updates, _ = jax.jit(tx.update)(grads, state, ours)
    np.testing.assert_array_equal(ours + updates, theirs.detach().numpy())
    if not lr > 0:
        with pytest.raises(ValueError, match=f"Invalid learning rate: {lr}"):
            tx.update(grads, state, ours)


def test_set_numbers_stay_on_the_mesh():
    mesh = jax.make_mesh((8,), ("data",))
    everywhere = NamedSharding(mesh, PartitionSpec())
    state = jax.device_put(grouped().init(params_of()), everywhere)
    changed = put(state, 0, lr=0.125)
    assert changed.hyperparams[0]["lr"].sharding == everywhere


def test_a_number_that_was_written_into_optax_dictionary():
    """As optax's documentation does it."""
    state = optax.inject_hyperparams(sgd)(2.0).init(params_of())
    state.hyperparams["lr"] = 0.5
    assert rates(state) == {"default": 0.5}
    assert rates(put(state, lr=0.25)) == {"default": 0.25}


def test_states_without_hyperparameters():
    for state in ((), None, adamw().init(params_of()), {"a": sgd().init(params_of())}):
        assert not ja.optimizers.has_hyperparams(state)


class Run(NamedTuple):
    """A state of the user's own."""

    hyperparams: Any
    opt_state: Any


@pytest.mark.parametrize(
    "config",
    [
        {"optimizer": "adam", "lr": 0.1},
        {"optimizer": {"lr": 0.1}},
        {"nesterov": True},
        {"names": np.array(["adam"])},
        ({"lr": 0.1}, None),
        (),
        None,
    ],
    ids=str,
)
def test_a_configuration_in_a_field_of_that_name_is_the_users_own(config):
    alone = Run(config, adamw().init(params_of()))
    assert not ja.optimizers.has_hyperparams(alone)
    both = Run(config, grouped().init(params_of()))
    assert rates(both) == {"0": 1.0, "default": 0.5}
    changed = put(both, "0", lr=0.25)
    assert changed.hyperparams == config
    assert rates(changed) == {"0": 0.25, "default": 0.5}


WRONG = {
    "a plain optimizer": (
        lambda: get(adamw().init(params_of())),
        ["AdamState", "param_groups(adamw, [], lr=...)"],
    ),
    "a plain optimizer, set": (
        lambda: put(sgd().init(params_of()), lr=0.1),
        ["SGDState", "param_groups(adamw, [], lr=...)"],
    ),
    "no such name": (
        lambda: put(partitioned().init(params_of()), "third", lr=0.1),
        ["'first.0', 'first.default', 'second'", "'third'"],
    ),
    "no such index": (
        lambda: put(partitioned().init(params_of()), 3, lr=0.1),
        ["between -3 and 2", "'second'"],
    ),
    "neither": (
        lambda: put(grouped().init(params_of()), 1.0, lr=0.1),
        ["group", "int or str", "1.0"],
    ),
    "a number of another group": (
        lambda: put(partitioned().init(params_of()), dampening_=0.5),
        ["'dampening_'", "'first.0'"],
    ),
    "scheduled by optax": (
        lambda: put(optax.inject_hyperparams(sgd)(decaying).init(params_of()), lr=0.5),
        ["lr is driven by a schedule"],
    ),
}


@pytest.mark.parametrize("wrong", WRONG)
def test_error_names_the_value_and_the_remedy(wrong):
    call, fragments = WRONG[wrong]
    with pytest.raises((ValueError, TypeError)) as raised:
        call()
    for fragment in fragments:
        assert fragment in str(raised.value), str(raised.value)
