"""What users' functions return for every batch: numbers by the same names."""

from __future__ import annotations

import numbers
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from jaxaccel._check_trees import check_arrays


def check_same_names(function: str, found: Sequence[Mapping[str, Any]]) -> None:
    """Raise where a function has returned other metrics for a later batch than for the first."""
    names = [sorted(metrics, key=repr) for metrics in found]
    for own in names:
        if own != names[0]:
            raise ValueError(
                f"{function} must return the same metrics for every batch, got {own} for one and "
                f"{names[0]} for the first"
            )


def numbers_of(metrics: Mapping[str, Any], of: str = "step(state, batch)") -> dict[str, float]:
    """Return metrics that are at hand as floats; raise for one that is not one number."""
    if all(map(_is_plain, metrics.values())):  # of every step, so that it is to cost little
        return {name: float(metric) for name, metric in metrics.items()}
    arrays = {name: each for name, each in metrics.items() if not isinstance(each, numbers.Real)}
    check_arrays(f"the metrics of {of}", arrays)
    for name, metric in arrays.items():
        if np.size(metric) != 1:
            raise TypeError(
                f"metric {name!r} of {of} must be one number, got shape "
                f"{np.shape(metric)}; return its mean"
            )
    return {name: _number(name, metric, of) for name, metric in metrics.items()}


def _number(name: str, metric: Any, of: str) -> float:
    """Return a metric as a float; Python's numbers need not be of those that JAX holds."""
    try:
        return float(metric if isinstance(metric, numbers.Real) else np.asarray(metric).item())
    except (TypeError, OverflowError):
        raise TypeError(
            f"metric {name!r} of {of} must be one number that a float holds, got {metric!r:.60}"
        ) from None


def _is_plain(metric: Any) -> bool:
    """Return whether something is one number on the host, of a kind that NumPy has itself."""
    return type(metric) is np.ndarray and metric.shape == () and metric.dtype.kind in "fiub"
