"""What shows of schedules only with x64 off: a process of its own, in which each file's is run."""

import pytest

from parity_tests.harness.compiled import run_without_x64
from parity_tests.harness.schedule import assert_float32_bounds
from parity_tests.schedules import rows_plateau, rows_schedules, rows_warmup_schedules

WIDE = """\
0.1 0.071428575 0.1
ValueError step is too large for int32, got 2147483648, which it would turn
TypeError step must be of a type whose values int32 holds, got a traced ui
ValueError step is too large for int32, got 2147483648, which it would turn
ValueError step is too large for int64, got 9223372036854775808, which it w
"""
"""What comes of steps beyond 31 bits: a right value or an error, and no negative rate."""


@pytest.mark.long
def test_float32_is_as_exact_and_decides_as_pytorch():
    """Traced steps hold their bounds up to a million; a plateau's metrics are judged alike."""
    of_schedules, of_warmups, of_plateaus, of_wide_steps = run_without_x64(
        "parity_tests.schedules.test_schedules.report_float32",
        "parity_tests.schedules.test_warmup_schedules.report_float32",
        "parity_tests.schedules.test_plateau.check_float32",
        "parity_tests.schedules.test_traced_numbers.print_wide_steps",
    )
    assert_float32_bounds(of_schedules, [*rows_schedules.CASES, *rows_schedules.LONG])
    warmups = [*rows_warmup_schedules.SCHEDULES, *rows_warmup_schedules.LONG]
    assert_float32_bounds(of_warmups, warmups)
    assert of_wide_steps == WIDE
    assert of_plateaus == f"{len(rows_plateau.CASES)} rows\n"
