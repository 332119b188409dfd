"""Schedules that the rows share, and the short way to write rows down."""

from parity_tests.registry import Case


def decaying(step):
    """A learning rate that falls on a line, one rounding away from exact in float32.

    Not so a power (below): its own float32 error counts as the optimizer's.
    """
    return (60 - _as_float(step)) * (0.05 / 60)


def decaying_power(step):
    """A learning rate that falls by 5 % a step: inexact in float32."""
    return 0.05 * 0.95 ** _as_float(step)


def rising(step):
    """A decay factor that climbs from 0.80 towards 0.95."""
    return 0.95 - 0.15 * 0.9 ** _as_float(step)


def _as_float(step):
    """Return a Python int or a traced integer as a float, which strict promotion asks for."""
    return step.astype(float) if hasattr(step, "astype") else float(step)


def rows(function, oracle, rows):
    """Return a :class:`Case` per (why, kwargs) or (why, kwargs, options)."""
    return [Case(function, kwargs, oracle, why, *rest) for why, kwargs, *rest in rows]
