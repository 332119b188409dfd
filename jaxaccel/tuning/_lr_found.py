"""What a range test of learning rates has found: suggestions, the curve and its figure."""

from __future__ import annotations

import json
import math
from typing import Any, NamedTuple

import numpy as np


class LRFind(NamedTuple):
    """What :func:`lr_find` has found; printed, it is a few lines."""

    suggestion: float | None
    """A learning rate to start from: in the middle of the longest descent of the smoothed loss
    (fastai's ``valley``). ``None``: the loss has not fallen."""
    steepest: float | None
    """Where the smoothed loss falls fastest (Lightning's ``suggestion()``, fastai's ``steep``)."""
    minimum: float | None
    """A tenth of the rate at which the smoothed loss is least (fastai's ``minimum``)."""
    stopped: str | None
    """Why it ended before the last rate; ``None``: it did not."""
    lrs: np.ndarray
    """float64 vector: the learning rates, in their order."""
    losses: np.ndarray
    """float64 vector: the loss of each step, before its update."""
    smoothed: np.ndarray
    """float64 vector: their moving average, without the bias of its start."""

    def __str__(self) -> str:
        return _text(self)

    def to_json(self) -> str:
        """Return all of it as JSON: one object, numbers that are not finite as ``null``."""
        vectors = {
            name: [each if math.isfinite(each) else None for each in getattr(self, name).tolist()]
            for name in ("lrs", "losses", "smoothed")
        }
        return json.dumps(self._asdict() | vectors)

    def figure(self) -> Any:
        """Draw the losses over the learning rate, with what they suggest.

        Returns:
            A ``matplotlib.figure.Figure``: ``figure.savefig("lr_find.svg")`` writes it.

        Raises:
            ModuleNotFoundError: matplotlib is not installed.
        """
        return _figure(self)


def _text(found: LRFind) -> str:
    """Return the suggestion first, then the others and how far it went."""

    def rate(value: float | None) -> str:
        return "none" if value is None else f"{value:.3g}"

    first = "suggestion: none, the loss has not fallen"
    if found.suggestion is not None:
        first = f"suggestion: lr {rate(found.suggestion)}"
    steps = f"{len(found.lrs)} steps from lr {rate(found.lrs[0])} to {rate(found.lrs[-1])}"
    return (
        f"{first}\nsteepest {rate(found.steepest)}, a tenth of the minimum {rate(found.minimum)}\n"
        f"{steps}; {found.stopped or 'all that were planned'}"
    )


def _figure(found: LRFind) -> Any:
    """Return the curve, with the suggestions in it."""
    try:
        from matplotlib.figure import Figure
    except ModuleNotFoundError as error:
        raise ModuleNotFoundError(
            'the figure needs matplotlib: pip install "jaxaccel[examples]"'
        ) from error
    figure = Figure(figsize=(6.4, 3.6), layout="constrained")
    axis = figure.subplots()
    axis.plot(found.lrs, found.losses, color="#bbbbbb", linewidth=1, label="loss")
    axis.plot(found.lrs, found.smoothed, color="#2f7ed8", linewidth=2, label="smoothed")
    places = {
        "suggestion": (found.suggestion, "-", "#e4572e"),
        "steepest": (found.steepest, "--", "#76b041"),
        "minimum / 10": (found.minimum, ":", "#9b5de5"),
    }
    for name, (lr, style, color) in places.items():
        if lr is not None:
            axis.axvline(lr, linestyle=style, color=color, label=f"{name} {lr:.2g}")
    fall = found.smoothed[0] - np.nanmin(found.smoothed)
    if fall > 0:  # what diverges would squeeze it
        axis.set_ylim(found.smoothed[0] - 1.15 * fall, found.smoothed[0] + 0.5 * fall)
    axis.set(xscale="log", xlabel="learning rate", ylabel="loss")
    axis.legend(frameon=False)
    return figure
