"""What is wrong raises at once, with PyTorch's text where PyTorch looks; what is right does not."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import torch

import jaxaccel as ja
from parity_tests import tolerances as tol
from parity_tests.harness.compare import assert_close
from parity_tests.harness.errors import raised_by
from parity_tests.optimizers.rows_errors import (
    CLOTHES,
    ERRORS,
    NEEDS_NO_PARAMS,
    NEEDS_PARAMS,
    NO_NUMBERS,
    NUMBERS,
)
from parity_tests.registry import lookup, oracle_of

PACKAGES = pytest.mark.parametrize("package", ["jaxaccel", "torch_ref"])


def rows(cases):
    return pytest.mark.parametrize("case", cases, ids=lambda case: case.id)


# --- hyperparameters ----------------------------------------------------------------------------


@PACKAGES
@rows([case for case in ERRORS if case.oracle])
def test_raises_what_pytorch_raises(case, package):
    parameter = torch.nn.Parameter(torch.ones(1))
    parameter.grad = torch.ones(1)
    expected = raised_by(lambda: oracle_of(case)([parameter], **case.kwargs))
    found = raised_by(lambda: lookup(package, case.function)(**case.kwargs))
    assert found == expected


@PACKAGES
@rows([case for case in ERRORS if not case.oracle])
def test_raises_where_pytorch_lets_it_pass(case, package):
    _, text = raised_by(lambda: lookup(package, case.function)(**case.kwargs))
    assert all(fragment in text for fragment in case.options["fragments"]), text


def kwargs_with(case, value):
    """Return the row's kwargs with ``value`` as the number that the row is about."""
    name, index = case.options["name"], case.options["index"]
    pair = list(case.kwargs.get(name, (0.5, 0.5))) if index is not None else []
    if index is not None:
        pair[index] = value
    return {**case.kwargs, name: value if index is None else tuple(pair)}


NO_ARRAYS = {
    "two elements": ([0.1, 0.2], "(2,)"),
    "no element": ([], "(0,)"),
    "bool": (True, "True"),
    "complex": (0.5j, "0.5"),
}
ARRAYS = {
    "jaxaccel": {"jax": jnp.asarray, "numpy": np.asarray},
    "torch_ref": {"torch": torch.tensor},
}


@PACKAGES
@rows(NUMBERS)
def test_what_is_no_number_is_named(case, package):
    """The text holds the argument's name and what was given instead."""
    bad = [*NO_NUMBERS.values()]
    for make in ARRAYS[package].values():
        bad += [(make(value), shown) for value, shown in NO_ARRAYS.values()]
    for value, shown in bad:
        _, text = raised_by(
            lambda value=value: lookup(package, case.function)(**kwargs_with(case, value))
        )
        assert case.options["name"] in text
        assert shown in text


# --- numbers in other clothes -------------------------------------------------------------------


def two_updates(function, kwargs, dtype):
    """Return the second update of the function for a leaf of ``dtype``."""
    tx = lookup("jaxaccel", function)(**kwargs)
    params = jnp.linspace(-1.0, 2.0, 6, dtype=dtype).reshape(2, 3)
    _, state = tx.update(params, tx.init(params), params)
    updates, _ = tx.update(jnp.cos(params), state, params)
    assert updates.dtype == dtype
    return np.asarray(updates, np.float64)


@rows(NUMBERS)
def test_numbers_in_other_clothes_give_the_same(case):
    """0.375 is itself in every precision, and 1 - 0.375 too."""
    value = case.options.get("value", 0.375)
    shares = {"float64": tol.CONTRACT_FLOAT64_OF_MAX, "float32": tol.FLOAT32_ONE_STEP}
    for dtype, share in shares.items():
        expected = two_updates(case.function, kwargs_with(case, value), dtype)
        assert np.max(np.abs(expected)) > 0
        for name, clothe in CLOTHES.items():
            found = two_updates(case.function, kwargs_with(case, clothe(value)), dtype)
            assert_close(found, expected, share, what=f"{name}, {dtype}")


@pytest.mark.parametrize("integer", [int, np.int32, jnp.asarray], ids=["python", "numpy", "jax"])
def test_integers_are_numbers(integer):
    expected = two_updates("optimizers.sgd", {"lr": 2.0, "weight_decay": 1.0}, "float32")
    found = two_updates("optimizers.sgd", {"lr": integer(2), "weight_decay": integer(1)}, "float32")
    assert np.array_equal(found, expected)


# --- parameters that are needed -----------------------------------------------------------------


def ones(package):
    return {"jaxaccel": jnp.ones, "torch_ref": torch.ones}[package]((2, 2))


@PACKAGES
@rows(NEEDS_PARAMS)
def test_update_without_parameters_says_what_to_pass(case, package):
    tx = lookup(package, case.function)(**case.kwargs)
    leaf = ones(package)
    with pytest.raises(ValueError, match=r"params=None; pass the current ones"):
        tx.update(leaf, tx.init(leaf))


@PACKAGES
@rows(NEEDS_NO_PARAMS)
def test_update_without_parameters_where_they_are_not_read(case, package):
    tx = lookup(package, case.function)(**case.kwargs)
    leaf = ones(package)
    found, _ = tx.update(leaf, tx.init(leaf))
    expected, _ = tx.update(leaf, tx.init(leaf), leaf)
    assert bool((found == expected).all())


@PACKAGES
def test_muon_names_the_leaf_that_is_no_matrix(package):
    array = {"jaxaccel": jnp, "torch_ref": torch}[package]
    tx = lookup(package, "optimizers.muon")(weight_decay=0.0)
    matrix, vector = array.ones((2, 2)), array.ones((3,))
    with pytest.raises(ValueError, match=r"Muon only supports 2D parameters .*\(3,\) at 'b.c'"):
        tx.init({"a": matrix, "b": {"c": vector}})
    with pytest.raises(ValueError, match=r"Param gradient must be a 2D matrix.*\(3,\) at 'b'"):
        tx.update({"a": matrix, "b": vector}, tx.init({"a": matrix, "b": matrix}))
    with pytest.raises(RuntimeError, match=r"Muon does not support complex parameters.* 'a'"):
        tx.init({"a": array.asarray([[1j]])})


@PACKAGES
def test_adafactor_refuses_complex_parameters(package):
    leaf = {"jaxaccel": jnp, "torch_ref": torch}[package].asarray([1j, 2j])
    tx = lookup(package, "optimizers.adafactor")()
    with pytest.raises(RuntimeError, match=r"does not support complex parameters .*complex"):
        tx.init(leaf)


@PACKAGES
def test_complex_gradients_cannot_be_clipped_by_value(package):
    leaf = {"jaxaccel": jnp, "torch_ref": torch}[package].asarray([1j, 2j])
    tx = lookup(package, "transforms.clip_grad_value")(1.0)
    with pytest.raises(TypeError, match=r"dtype .*complex.*use clip_grad_norm"):
        tx.update(leaf, tx.init(leaf))


# --- meshes, steps and casts --------------------------------------------------------------------


def mean_loss(params, model_state, batch):
    return jnp.mean((params - batch) ** 2), (model_state, {})


def mean_gradients(carry, batch):
    return carry[0], carry[1], {"loss": jnp.mean(batch)}


def step_on(batch, **kwargs):
    """Build a training step and call it once."""
    tx = ja.optimizers.sgd()
    state = ja.training.train_state(jnp.zeros(()), tx)
    return ja.training.train_step(mean_loss, tx, **kwargs)(state, batch)


def mesh(**shape):
    return ja.parallel.make_mesh(shape or None)


def parallel(**kwargs):
    return ja.parallel.data_parallel(lambda w, x: jnp.mean(w * x), **({"mesh": mesh()} | kwargs))


def fit(**kwargs):
    tx = ja.optimizers.sgd()
    state = ja.training.train_state(jnp.zeros(()), tx)
    step = ja.training.train_step(mean_loss, tx)
    ja.training.fit(step, state, progress=False, **kwargs)


WRONG = {
    "mesh size zero": (lambda: mesh(data=0), ["'data'", "positive or -1", "0"]),
    "mesh size negative": (lambda: mesh(data=-2), ["'data'", "positive or -1", "-2"]),
    "mesh with two free axes": (lambda: mesh(a=-1, b=-1), ["only one", "'a'", "'b'"]),
    "mesh too small": (lambda: mesh(data=4), ["'data': 4", "8 devices", "change a size"]),
    "mesh too large": (lambda: mesh(a=4, b=4), ["'a': 4", "8 devices", "change a size"]),
    "mesh with a rest": (lambda: mesh(a=3, b=-1), ["'a': 3", "8 devices", "change a size"]),
    "mode without a mesh": (
        lambda: step_on(jnp.ones(4), mode="shard_map"),
        ["'shard_map'", "needs a mesh", "mesh="],
    ),
    "mesh of other devices": (
        lambda: ja.parallel.make_mesh({"data": 8}, devices=jax.devices()[:3]),
        ["'data': 8", "3 devices", "devices="],
    ),
    "unknown mode": (lambda: parallel(mode="ddp"), ["'ddp'", "'jit', 'shard_map' or 'pmap'"]),
    "unknown axis": (lambda: parallel(axis="model"), ["'data'", "axis='model'"]),
    "pmap on two axes": (
        lambda: parallel(mesh=mesh(data=4, model=2), mode="pmap"),
        ["one axis", "('data', 'model')"],
    ),
    "batch in parallel": (
        lambda: parallel()(jnp.ones(()), jnp.ones(12)),
        ["batch of 12", "8 devices", "'data'", "multiple of 8"],
    ),
    "batch under shard_map": (
        lambda: parallel(mode="shard_map")(jnp.ones(()), jnp.ones(12)),
        ["batch of 12", "8 devices", "multiple of 8"],
    ),
    "batch under pmap": (
        lambda: parallel(mode="pmap")(jnp.ones(()), jnp.ones(12)),
        ["batch of 12", "8 devices", "multiple of 8"],
    ),
    "batch of one leaf": (
        lambda: ja.parallel.shard_batch({"x": jnp.ones(8), "y": jnp.ones(9)}, mesh()),
        ["batch of 9", "8 devices", "multiple of 8"],
    ),
    "axis of a batch": (
        lambda: ja.parallel.shard_batch(jnp.ones(8), mesh(), axis="model"),
        ["'data'", "axis='model'"],
    ),
    "no accumulation step": (
        lambda: ja.training.accumulate(mean_gradients, 0),
        ["at least 1", "0"],
    ),
    "accumulation steps fractional": (
        lambda: ja.training.accumulate(mean_gradients, 2.0),
        ["integer", "2.0"],
    ),
    "batch to accumulate": (
        lambda: ja.training.accumulate(mean_gradients, 4)((jnp.ones(()), ()), jnp.ones(6)),
        ["batch of 6", "4 accumulation steps", "multiple of 4"],
    ),
    "step without accumulation": (lambda: step_on(None, accumulation_steps=0), ["at least 1", "0"]),
    "step with a negative norm": (
        lambda: step_on(None, max_grad_norm=-1.0),
        ["max_norm", "-1.0"],
    ),
    "step with a norm that is a text": (
        lambda: step_on(None, max_grad_norm="1"),
        ["max_grad_norm", "'1'"],
    ),
    "step with an unknown mode": (
        lambda: step_on(None, mesh=mesh(), mode="ddp"),
        ["'ddp'", "'jit', 'shard_map' or 'pmap'"],
    ),
    "step on a mesh without data": (
        lambda: step_on(None, mesh=mesh(model=8)),
        ["'model'", "axis='data'"],
    ),
    "batch of a step": (
        lambda: step_on(jnp.ones(6), accumulation_steps=4),
        ["batch of 6", "4 accumulation steps", "multiple of 4"],
    ),
    "batch of a parallel step": (
        lambda: step_on(jnp.ones(6), mesh=mesh()),
        ["batch of 6", "8 devices", "multiple of 8"],
    ),
    "epochs negative": (lambda: fit(batches=lambda epoch: [], epochs=-1), ["epochs", "-1"]),
    "epoch without a batch": (lambda: fit(batches=lambda epoch: []), ["epoch 0", "no batch"]),
    "cast to no dtype": (
        lambda: ja.precision.Policy(compute_dtype="bfloat17").cast_to_compute(jnp.ones(2)),
        ["bfloat17"],
    ),
}


@pytest.mark.parametrize("wrong", WRONG)
def test_error_names_the_value_and_the_remedy(wrong):
    call, fragments = WRONG[wrong]
    _, text = raised_by(call)
    for fragment in fragments:
        assert fragment in text, text
