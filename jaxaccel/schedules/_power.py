"""Powers of a number known in double precision."""

from __future__ import annotations

from typing import Any

import numpy as np

from jaxaccel.schedules._inputs import is_known
from jaxaccel.schedules._table import read_table

DIGIT = 8
"""Bits of the exponent that one table serves."""


def power(xp: Any, base: Any, exponent: Any) -> Any:
    """Return ``base ** exponent`` for an array of whole numbers from 0 to ``2**32``.

    A base near 1, rounded to float32, would give something else after a million steps, and so would
    its logarithm for a power of many magnitudes. So the powers by each digit of the exponent are
    tabulated in double: what is rounded are four factors, each by one part in 2**24. A traced base
    is rounded already.
    """
    if xp is np:
        return np.power(base, exponent.astype(float))
    if not is_known(base):
        return xp.power(base, exponent.astype(float))
    value = 1.0
    for shift in range(0, 32, DIGIT):
        with np.errstate(over="ignore"):
            table = np.power(base, np.arange(2.0**DIGIT) * 2.0**shift)
        value = value * read_table(xp, table, (exponent >> shift) & (2**DIGIT - 1))
    return value
