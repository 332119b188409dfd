"""Rows for ``jaxaccel.optimizers``: defaults, every option alone, options that meet, extremes.

Options of a row: ``one_minus_beta``, the smallest ``1 - beta``, where PyTorch's own ``1 - beta**t``
is the limit; ``own_error_ratio``, another bound than the usual one for the low-precision runs, and
``one_step`` for the updates of single float32 steps; ``optimized``, why its programs in low
precision are compiled as users have them;
``shapes``, leaves in place of the harness' own; ``real_only``, why there is no complex leaf,
``matrices_only``, why there are no vectors;
``layout``, the kernel layout that the transform is told, or a function from a leaf's name to it;
``bfloat16_inside``, what PyTorch computes in bfloat16 for every dtype, and a judge must not.
"""

from parity_tests.optimizers.rows_adam_optimizers import ADAM, ADAMAX, ADAMW, NADAM, RADAM
from parity_tests.optimizers.rows_adaptive_optimizers import ADADELTA, ADAFACTOR, ADAGRAD, RMSPROP
from parity_tests.optimizers.rows_momentum_optimizers import ASGD, MUON, RPROP, SGD

CASES = [
    *SGD,
    *ASGD,
    *RPROP,
    *MUON,
    *ADAM,
    *ADAMW,
    *ADAMAX,
    *NADAM,
    *RADAM,
    *ADAGRAD,
    *ADADELTA,
    *RMSPROP,
    *ADAFACTOR,
]

_SIGNS_AND_ZEROS = {
    "lr zero",
    "maximize",
    "maximize weight decay",
    "decoupled maximize",
    "weight decay zero",
    "eps one",
}
LOW_PRECISION = [case for case in CASES if case.why not in _SIGNS_AND_ZEROS]
"""The rows that say something in low precision: an exact sign, a zero, or an ``eps`` that hides the
second moment round as their neighbours do."""
