"""Bugs planted in autocast: a test of its own must fail on each, and pass without it."""

import weakref

import jax
import pytest

from jaxaccel.precision import _autocast_inner
from parity_tests.harness.planted import Mutant, planted
from parity_tests.precision import test_autocast, test_autocast_knows, test_autocast_numbers

PRECISION = "jaxaccel.precision._autocast"

MUTANTS = [
    Mutant(
        "cast after the gradient",
        f"{PRECISION}_trace",
        "if dtype is not None and _returns_gradient(program.jaxpr, program.jaxpr.outvars):",
        "if False:",
        test_autocast.test_gradients_are_not_cast_afterwards,
        None,
    ),
    Mutant(
        "a mark lost under vmap",
        "jaxaccel._operations",
        "if wide is None and low is None:",
        "if True:",
        test_autocast_knows.test_marks_are_seen_in_every_form,
        None,
    ),
    Mutant(
        "gradient of a bias summed in bfloat16",
        f"{PRECISION}_casts",
        "wide = cast(value, jnp.float32)",
        "wide = cast(value, dtype)",
        test_autocast_numbers.test_gradient_of_a_bias_is_summed_in_float32,
        None,
    ),
    Mutant(
        "a mean in float16 that overflows",
        f"{PRECISION}_frames",
        "known = [_composite_of_code(code) for code in codes]",
        "known = [None for _ in codes]",
        test_autocast_numbers.test_a_mean_in_float16_does_not_overflow,
        None,
    ),
    Mutant(
        "a mask that becomes infinite",
        f"{PRECISION}_casts",
        "overflows = value.is_weak and",
        "overflows = False and",
        test_autocast_numbers.test_a_mask_of_the_smallest_number_stays_finite,
        None,
    ),
    Mutant(
        "a user's log_softmax taken for JAX's",
        f"{PRECISION}_frames",
        'if file.replace("\\\\", "/").endswith("/" + end):',
        "if True:",
        test_autocast_knows.test_a_function_of_the_users_that_is_called_log_softmax_is_not_jaxs,
        None,
    ),
    Mutant(
        "numbers that widen",
        f"{PRECISION}_casts",
        "if not value.is_weak] or floats",
        "if not value.is_weak] and floats",
        test_autocast_numbers.test_numbers_do_not_widen,
        None,
    ),
]


@pytest.fixture(autouse=True)
def promotion_as_users_have_it():
    with jax.numpy_dtype_promotion("standard"), jax.numpy_rank_promotion("allow"):
        yield


@pytest.mark.parametrize("mutant", MUTANTS, ids=lambda mutant: mutant.why.replace(" ", "-"))
@pytest.mark.filterwarnings("ignore:overflow encountered:RuntimeWarning")
def test_planted_bug_is_caught(mutant, monkeypatch):
    # What jnp.where holds is transformed once for all: not with a bug that others would find.
    monkeypatch.setattr(_autocast_inner, "_inners", weakref.WeakKeyDictionary())
    with planted(mutant), pytest.raises((AssertionError, pytest.fail.Exception)):
        mutant.check()
