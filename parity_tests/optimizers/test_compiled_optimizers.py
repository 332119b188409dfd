"""What optimizers' steps move, hold and compute beside optax's, by two compilers."""

import pytest

from parity_tests.harness import figures
from parity_tests.harness.errors import assert_no_faults

BOUNDS = {
    "cpu": {
        "sgd": {"bytes_accessed": 1.001, "temporary_bytes": 1.0, "flops": 1.001, "fusions": 1.1},
        "adamw": {"bytes_accessed": 1.001, "temporary_bytes": 1.0, "flops": 1.0, "fusions": 1.0},
        "adafactor": {
            "bytes_accessed": 0.85,
            "temporary_bytes": 1.05,
            "flops": 0.7,
            "fusions": 0.85,
        },
        "accumulate": {"bytes_accessed": 0.45, "temporary_bytes": 0.35, "flops": 0.5},
    },
    "tpu": {
        "sgd": {"bytes_accessed": 1.001, "temporary_bytes": 1.0, "flops": 1.001, "fusions": 1.0},
        "adamw": {"bytes_accessed": 1.001, "temporary_bytes": 1.0, "flops": 1.0, "fusions": 1.0},
        "adafactor": {"bytes_accessed": 1.01, "flops": 0.85, "fusions": 1.22},
        "accumulate": {"bytes_accessed": 0.5, "temporary_bytes": 1.0, "flops": 0.85},
    },
}
"""A few thousandths are a step count that is kept beside the arrays."""


@pytest.mark.long
def test_optimizers_move_and_hold_no_more_than_optaxs():
    assert_no_faults(figures.above(figures.read("optimizers"), BOUNDS))
