"""Rows for ``jaxaccel.optimizers``: defaults, every option alone, options that meet, extremes.

Options of a row: ``one_minus_beta``, the smallest ``1 - beta``, where PyTorch's own ``1 - beta**t``
is the limit; ``own_error_ratio``, another bound than the usual one for the low-precision runs;
``shapes``, leaves in place of the harness' own; ``real_only``, why there is no complex leaf.
"""

from parity_tests.cases.adam_optimizers import ADAM, ADAMW
from parity_tests.cases.momentum_optimizers import SGD

CASES = [
    *SGD,
    *ADAM,
    *ADAMW,
]
