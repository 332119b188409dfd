"""Which of a folder's saves stay: the last ones, and the best by a metric."""

from __future__ import annotations

import math
import warnings
from collections.abc import Mapping
from typing import Any

from jaxaccel.training._saved_files import complete_saves, remove
from jaxaccel.training._saved_record import read_record


def ranked(metrics: Mapping[int, Mapping[str, float]], metric: str, mode: str) -> list[int]:
    """Return the steps of saves, the best first; of equal ones the earlier.

    A save without the metric, or where it is not a number (NaN), has no rank.
    """
    sign = 1 if mode == "min" else -1
    values = {step: own[metric] for step, own in metrics.items() if metric in own}
    numbers = {step: sign * value for step, value in values.items() if not math.isnan(value)}
    return sorted(numbers, key=lambda step: (numbers[step], step))


def drop_others(folder: Any, choice: Mapping[str, Any]) -> None:
    """Remove the saves that are neither among the last ones nor among the best.

    One whose record cannot be read has no rank and stays: it is for people to look at.
    """
    last, best = choice["keep_last"], choice["keep_best"]
    if last is None and best is None:
        return
    saves = complete_saves(folder)
    kept = set(list(saves)[-(last or 1) :])
    if best is not None:
        metrics = {}
        for step, path in saves.items():
            try:
                metrics[step] = read_record(path)["metrics"]
            except (ValueError, OSError) as error:
                warnings.warn(f"{error}; until then {path.name} stays, unranked", stacklevel=2)
                kept.add(step)
        kept |= set(ranked(metrics, choice["metric"], choice["mode"])[:best])
    for step, path in saves.items():
        if step not in kept:
            remove(path)
