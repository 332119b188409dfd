"""What is wrong raises at once, with PyTorch's text where PyTorch looks; what is right does not."""

import jax.numpy as jnp
import numpy as np
import pytest
import torch

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


def rows(cases):
    return pytest.mark.parametrize("case", cases, ids=lambda case: case.id)


# --- hyperparameters ----------------------------------------------------------------------------


@rows([case for case in ERRORS if case.oracle])
def test_raises_what_pytorch_raises(case):
    parameter = torch.nn.Parameter(torch.ones(1))
    parameter.grad = torch.ones(1)
    kind, text = raised_by(lambda: oracle_of(case)([parameter], **case.kwargs))
    own_kind, own_text = raised_by(lambda: lookup("jaxaccel", case.function)(**case.kwargs))
    assert own_kind is kind
    assert f"{own_text}\n".startswith(f"{text}\n")  # a remedy of ours comes on the next line


@rows([case for case in ERRORS if not case.oracle])
def test_raises_where_pytorch_lets_it_pass(case):
    _, text = raised_by(lambda: lookup("jaxaccel", case.function)(**case.kwargs))
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
ARRAYS = {"jax": jnp.asarray, "numpy": np.asarray}


@rows(NUMBERS)
def test_what_is_not_a_number_is_named(case):
    """The text holds the argument's name and what was given instead."""
    bad = [*NO_NUMBERS.values()]
    for make in ARRAYS.values():
        bad += [(make(value), shown) for value, shown in NO_ARRAYS.values()]
    for value, shown in bad:
        _, text = raised_by(
            lambda value=value: lookup("jaxaccel", case.function)(**kwargs_with(case, value))
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


@rows(NEEDS_PARAMS)
def test_update_without_parameters_says_what_to_pass(case):
    tx = lookup("jaxaccel", case.function)(**case.kwargs)
    leaf = jnp.ones((2, 2))
    with pytest.raises(ValueError, match=r"params=None; pass the current ones"):
        tx.update(leaf, tx.init(leaf))


@rows(NEEDS_NO_PARAMS)
def test_update_without_parameters_where_they_are_not_read(case):
    tx = lookup("jaxaccel", case.function)(**case.kwargs)
    leaf = jnp.ones((2, 2))
    found, _ = tx.update(leaf, tx.init(leaf))
    expected, _ = tx.update(leaf, tx.init(leaf), leaf)
    assert bool((found == expected).all())


def test_muon_names_the_leaf_that_is_not_a_matrix():
    tx = lookup("jaxaccel", "optimizers.muon")(weight_decay=0.0)
    matrix, vector = jnp.ones((2, 2)), jnp.ones((3,))
    with pytest.raises(ValueError, match=r"Muon only supports 2D parameters .*\(3,\) at 'b.c'"):
        tx.init({"a": matrix, "b": {"c": vector}})
    with pytest.raises(ValueError, match=r"Param gradient must be a 2D matrix.*\(3,\) at 'b'"):
        tx.update({"a": matrix, "b": vector}, tx.init({"a": matrix, "b": matrix}))
    with pytest.raises(RuntimeError, match=r"Muon does not support complex parameters.* 'a'"):
        tx.init({"a": jnp.asarray([[1j]])})


def test_adafactor_refuses_complex_parameters():
    leaf = jnp.asarray([1j, 2j])
    tx = lookup("jaxaccel", "optimizers.adafactor")()
    with pytest.raises(RuntimeError, match=r"does not support complex parameters .*complex"):
        tx.init(leaf)


def test_complex_gradients_cannot_be_clipped_by_value():
    leaf = jnp.asarray([1j, 2j])
    tx = lookup("jaxaccel", "transforms.clip_grad_value")(1.0)
    with pytest.raises(TypeError, match=r"dtype .*complex.*use clip_grad_norm"):
        tx.update(leaf, tx.init(leaf))
