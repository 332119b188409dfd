"""What an ablation has found: a verdict, a table and a chart."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from jaxaccel._call_repr import in_brief
from jaxaccel._text_table import columns

COLOURS = {"helps": "#76b041", "hurts": "#e4572e"}
GREY = "#8a8f98"


class Effect(NamedTuple):
    """What one technique does."""

    name: str
    """The technique's."""
    options: Mapping[str, Any]
    """What the recipe was called with, besides the seed."""
    metrics: Mapping[str, tuple[float, ...]]
    """All that the recipe returned, a number for each seed."""
    difference: float
    """What the technique adds to the metric, mean over the seeds: of the run with it, less the one
    without it and of the same seed."""
    margin: float
    """How far the true difference may be off. Infinite for one seed."""
    effect: str
    """``"helps"``, ``"hurts"``, ``"no effect seen"``: the difference is within its margin; or why
    it cannot be told."""
    seconds: float
    """That its runs took together."""


class Ablation(NamedTuple):
    """What :func:`ablate` returns; printed, it is the verdict and a table."""

    verdict: str
    """In a sentence."""
    metric: str
    """Which number is judged."""
    mode: str
    """``"min"``: less is better; ``"max"``: more is."""
    confidence: float
    """Of all margins together."""
    seeds: tuple[int, ...]
    """Of every run."""
    base: Effect
    """The recipe that the others are compared with; its difference is 0."""
    effects: tuple[Effect, ...]
    """One for each technique, in their order."""
    leave_one_out: bool
    """Whether the base has all techniques, and each other run is without one."""

    def __str__(self) -> str:
        return _text(self)

    def to_json(self) -> str:
        """Return all of it as JSON: one object, numbers that are not finite as ``null``."""
        effects = [_plain(each) for each in self.effects]
        return json.dumps(self._asdict() | {"base": _plain(self.base), "effects": effects})

    def figure(self) -> Any:
        """Draw what each technique adds: a bar with its margin, and a point for every seed.

        Returns:
            A ``matplotlib.figure.Figure``: ``figure.savefig("ablation.svg")`` writes it.

        Raises:
            ModuleNotFoundError: matplotlib is not installed.
        """
        return _figure(self)


def added(
    base: tuple[float, ...], other: tuple[float, ...], leave_one_out: bool
) -> tuple[float, ...]:
    """Return what a technique adds to a metric for each seed."""
    sign = -1 if leave_one_out else 1
    return tuple(sign * (own - known) for known, own in zip(base, other, strict=True))


def effect_of(differences: tuple[float, ...], difference: float, margin: float, mode: str) -> str:
    """Return what may be said of a technique."""
    lost = sum(not math.isfinite(each) for each in differences)
    if lost:
        return f"not finite in {lost} of {len(differences)}"
    if len(differences) == 1:
        return "one seed: not known"
    if difference == margin == 0:
        return "changes nothing"
    if abs(difference) <= margin:
        return "no effect seen"
    return "helps" if (difference < 0) == (mode == "min") else "hurts"


def verdict_of(effects: Sequence[Effect], metric: str, seeds: int) -> str:
    """Return the effects in a sentence."""
    told = [
        f"{each.name} {each.effect} ({each.difference:+.3g} ± {each.margin:.2g})"
        for kind in COLOURS
        for each in effects
        if each.effect == kind
    ]
    rest = dict.fromkeys(each.effect for each in effects if each.effect not in COLOURS)
    told += [f"{kind}: {', '.join(e.name for e in effects if e.effect == kind)}" for kind in rest]
    return f"{metric}, {seeds} seeds: " + "; ".join(told)


def _text(found: Ablation) -> str:
    """Return the verdict and a table: means and deviations, and what each technique adds."""
    others = [name for name in found.base.metrics if name != found.metric]
    rows = [("", found.metric, "added", "effect", *others, "seconds")]
    for each in (found.base, *found.effects):
        is_base = each is found.base
        prefix = "without " if found.leave_one_out and not is_base else ""
        difference = "" if is_base else f"{each.difference:+.4g} ± {each.margin:.2g}"
        numbers = (_spread(each.metrics[name]) for name in others)
        own = _spread(each.metrics[found.metric])
        seconds = f"{each.seconds:.1f}"
        rows.append((prefix + each.name, own, difference, each.effect, *numbers, seconds))
    margins = f"{100 * found.confidence:g} % that all differences are within their margins (±)"
    lines = "\n".join(columns(rows))
    return f"{found.verdict}\n{lines}\nmean ± deviation of {len(found.seeds)} seeds; {margins}"


def _spread(values: tuple[float, ...]) -> str:
    """Return a mean and a standard deviation."""
    deviation = f" ± {np.std(values, ddof=1):.2g}" if len(values) > 1 else ""
    return f"{np.mean(values):.4g}{deviation}"


def _plain(effect: Effect) -> dict[str, Any]:
    """Return what JSON can hold."""

    def number(value: float) -> float | None:
        return value if math.isfinite(value) else None

    return effect._asdict() | {
        "options": {name: in_brief(value) for name, value in effect.options.items()},
        "metrics": {name: [*map(number, values)] for name, values in effect.metrics.items()},
        "difference": number(effect.difference),
        "margin": number(effect.margin),
    }


def _figure(found: Ablation) -> Any:
    """Return the chart."""
    try:
        from matplotlib.figure import Figure
        from matplotlib.patches import Patch
    except ModuleNotFoundError as error:
        raise ModuleNotFoundError(
            'the figure needs matplotlib: pip install "jaxaccel[examples]"'
        ) from error
    figure = Figure(figsize=(7.2, 1.6 + 0.4 * len(found.effects)), layout="constrained")
    axis = figure.subplots()
    base = found.base.metrics[found.metric]
    for place, each in enumerate(found.effects):
        if not math.isfinite(each.difference):
            axis.text(0, place, f" {each.effect}", va="center")
            continue
        margin = each.margin if math.isfinite(each.margin) else None
        colour = COLOURS.get(each.effect, GREY)
        axis.barh(place, each.difference, 0.6, xerr=margin, color=colour, capsize=3, alpha=0.8)
        seeds = added(base, each.metrics[found.metric], found.leave_one_out)
        axis.plot(seeds, [place] * len(seeds), "o", color="black", markersize=3, alpha=0.6)
    axis.set_yticks(range(len(found.effects)), [each.name for each in found.effects])
    axis.invert_yaxis()
    axis.axvline(0, color="black", linewidth=0.8)
    better = "less" if found.mode == "min" else "more"
    axis.set_xlabel(f"added to {found.metric} ({better} is better); base {np.mean(base):.4g}")
    keys = {**COLOURS, "no effect seen": GREY}
    handles = [Patch(color=colour, alpha=0.8, label=effect) for effect, colour in keys.items()]
    figure.legend(handles=handles, loc="outside upper center", ncols=3, frameon=False)
    axis.grid(axis="x", alpha=0.3)
    axis.set_axisbelow(True)
    return figure
