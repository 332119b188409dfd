"""What shows of schedules only with x64 off: a process of its own, in which each file's is run."""

import pytest

from parity_tests.harness.compiled import run_without_x64
from parity_tests.harness.schedule import assert_float32_bounds
from parity_tests.schedules import rows_plateau, rows_schedules, rows_warmup_schedules


@pytest.mark.long
def test_float32_is_as_exact_and_decides_as_pytorch():
    """Traced steps hold their bounds up to a million; a plateau's metrics are judged alike."""
    of_schedules, of_warmups, of_plateaus = run_without_x64(
        "parity_tests.schedules.test_schedules.report_float32",
        "parity_tests.schedules.test_warmup_schedules.report_float32",
        "parity_tests.schedules.test_plateau.check_float32",
    )
    assert_float32_bounds(of_schedules, [*rows_schedules.CASES, *rows_schedules.LONG])
    warmups = [*rows_warmup_schedules.SCHEDULES, *rows_warmup_schedules.LONG]
    assert_float32_bounds(of_warmups, warmups)
    assert of_plateaus == f"{len(rows_plateau.CASES)} rows\n"
