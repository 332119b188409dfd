"""Normalized vectors, cosines and one-hot vectors: zeros, infinities, ties, traces, dtypes."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import torch
import torch.nn.functional as F

import jaxaccel as ja
from parity_tests import tolerances as tol
from parity_tests.functional.rows_vectors import CASES
from parity_tests.harness.function import assert_same_function, run_torch
from parity_tests.registry import lookup

EXTREMES = np.array(
    [
        [0.0, 0.0, 0.0],
        [1e-9, 0.0, -1e-9],
        [1e-13, 0.0, 0.0],
        [3.0, -3.0, 1.0],
        [-2.0, -2.0, -2.0],
        [1e30, 1e-30, 0.0],
        [np.nan, 1.0, 0.0],
    ]
)
"""Nothing, less than each eps, ties, both ends, no number."""

NORMS = [0.5, 1.0, 1.5, 2.0, 3.0, np.inf]


@pytest.mark.parametrize("p", NORMS)
def test_norms_of_extremes(p):
    """A vector of zeros stays one, and its gradient is that of the division by eps."""
    case = next(c for c in CASES if c.id == "normalize-defaults")
    assert_same_function(case._replace(kwargs={"p": p}), "float64", {"input": EXTREMES})


def test_cosines_of_extremes():
    """In PyTorch a length below eps has a gradient all the same."""
    case = next(c for c in CASES if c.id == "cosine_similarity-defaults")
    assert_same_function(case, "float64", {"x1": EXTREMES, "x2": np.ones_like(EXTREMES)})
    assert_same_function(case, "float64", {"x1": EXTREMES[::-1].copy(), "x2": EXTREMES})


@pytest.mark.parametrize("dtype", ["bfloat16", "float16"])
@pytest.mark.parametrize(
    "case", [c for c in CASES if c.why == "defaults" and "arrays" in c.options], ids=lambda c: c.id
)
def test_half_precision_is_rounded_once(case, dtype):
    rng = np.random.default_rng(0)
    rounded = {
        name: np.asarray(jnp.asarray(rng.normal(size=(50, 40)), dtype), np.float64)
        for name in case.options["arrays"]
    }
    exact = run_torch(case, rounded)[0].output
    found = lookup("jaxaccel", case.function)(*(jnp.asarray(a, dtype) for a in rounded.values()))
    assert found.dtype == dtype
    error = np.max(np.abs(np.asarray(found, np.float64) - exact))
    assert error <= tol.LAYER_BFLOAT16_OF_MAX * np.max(np.abs(exact))


def test_cosine_of_two_dtypes_is_in_the_wider_one():
    narrow, wide = (jnp.ones((2, 3), dtype) for dtype in (jnp.float32, jnp.float64))
    assert ja.functional.cosine_similarity(narrow, wide).dtype == jnp.float64
    assert F.cosine_similarity(torch.ones(2, 3), torch.ones(2, 3).double()).dtype == torch.float64


@pytest.mark.parametrize("name", ["normalize", "cosine_similarity"])
def test_integers_raise(name):
    x = jnp.ones((2, 3), int)
    arguments = (x, x) if name == "cosine_similarity" else (x,)
    with pytest.raises(TypeError, match="expected a floating point input"):
        getattr(ja.functional, name)(*arguments)


def test_one_hot_in_a_compiled_program():
    """It needs the number of classes, and an index out of range is not a class."""
    run = jax.jit(ja.functional.one_hot, static_argnums=1)
    assert run(jnp.array([0, 2, 3, -1]), 3).tolist() == [[1, 0, 0], [0, 0, 1], [0] * 3, [0] * 3]
    with pytest.raises(ValueError, match="needs num_classes"):
        jax.jit(ja.functional.one_hot)(jnp.array([0]))


@pytest.mark.parametrize("dtype", ["int32", "int64", "uint8"])
def test_one_hot_keeps_the_type_of_its_integers(dtype):
    assert ja.functional.one_hot(jnp.array([1, 0], dtype)).dtype == dtype


def test_one_hot_of_what_is_not_an_index():
    for bad in (jnp.ones(2), jnp.ones(2, bool)):
        with pytest.raises(TypeError, match="only applicable to integers"):
            ja.functional.one_hot(bad)
    empty = jnp.zeros(0, int)
    for classes in (-1, 0):
        with pytest.raises(RuntimeError) as expected:
            F.one_hot(torch.zeros(0, dtype=torch.long), classes)
        with pytest.raises(ValueError) as found:
            ja.functional.one_hot(empty, classes)
        assert str(found.value) == str(expected.value)
    assert ja.functional.one_hot(empty, 3).shape == (0, 3)
