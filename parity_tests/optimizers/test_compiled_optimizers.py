"""What optimizers' steps move, hold and compute beside optax's, by two compilers."""

from parity_tests.harness import figures
from parity_tests.harness.errors import assert_no_faults

BOUNDS = {
    "cpu": {
        "sgd": {"bytes_accessed": 1.001, "temporary_bytes": 1.0, "flops": 1.001, "fusions": 1.1},
        "adamw": {"bytes_accessed": 1.001, "temporary_bytes": 1.0, "flops": 1.0, "fusions": 1.0},
        "adafactor": {"bytes_accessed": 1.0, "temporary_bytes": 1.05, "flops": 1.0, "fusions": 1.0},
        "accumulate": {"bytes_accessed": 1.0, "temporary_bytes": 1.0, "flops": 1.0},
    },
    "tpu": {
        "sgd": {"bytes_accessed": 1.001, "temporary_bytes": 1.0, "flops": 1.001, "fusions": 1.0},
        "adamw": {"bytes_accessed": 1.001, "temporary_bytes": 1.0, "flops": 1.0, "fusions": 1.0},
        "adafactor": {"bytes_accessed": 1.01, "flops": 1.0, "fusions": 1.25},
        "accumulate": {"bytes_accessed": 1.0, "temporary_bytes": 1.0, "flops": 1.0},
    },
}
"""A few thousandths are a step count that is kept beside the arrays."""


def test_optimizers_move_and_hold_no_more_than_optaxs():
    assert_no_faults(figures.above(figures.read("optimizers"), BOUNDS))
