"""Bugs planted in autocast: a test of its own must fail on each, and pass without it."""

import pytest

from parity_tests.house.test_mutants import Mutant, planted
from parity_tests.precision import test_autocast, test_autocast_knows, test_autocast_numbers

PRECISION = "jaxaccel.precision._autocast"

MUTANTS = [
    Mutant(
        "cast after the gradient",
        f"{PRECISION}_trace",
        "if dtype is not None and _returns_gradient(program):",
        "if False:",
        test_autocast.test_gradients_are_not_cast_afterwards,
        None,
    ),
    Mutant(
        "a mark lost under vmap",
        "jaxaccel._operations",
        "if wide is None and low is None:",
        "if True:",
        test_autocast_knows.test_marks_are_seen_under_vmap_scan_and_remat,
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
        f"{PRECISION}_composites",
        "for value in as_traced(program.invars, operands)",
        "for value in operands",
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
        "frames of an earlier caller",
        f"{PRECISION}_frames",
        "if code.co_firstlineno == line and code.co_filename == file:",
        "if False:",
        test_autocast_knows.test_frames_of_whoever_traced_first_say_nothing,
        None,
    ),
    Mutant(
        "numbers that widen",
        f"{PRECISION}_casts",
        "or floats\n    return widest",
        "and floats\n    return widest",
        test_autocast_numbers.test_numbers_do_not_widen,
        None,
    ),
]


@pytest.mark.parametrize("mutant", MUTANTS, ids=lambda mutant: mutant.why.replace(" ", "-"))
@pytest.mark.filterwarnings("ignore:overflow encountered:RuntimeWarning")
def test_planted_bug_is_caught(mutant):
    with planted(mutant), pytest.raises((AssertionError, pytest.fail.Exception)):
        mutant.check()
