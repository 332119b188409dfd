"""One technique at a time: what each adds to a recipe."""

from __future__ import annotations

import functools
import itertools
import os
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Literal

from jaxaccel._checked import checked_but
from jaxaccel._functions import is_function, name_of, number_of, taken_by, takes
from jaxaccel.tuning._ablation import Ablation, Effect, added, effect_of, verdict_of
from jaxaccel.tuning._finished_runs import Finished, add_run, name_of_run, read_runs
from jaxaccel.tuning._progress import shown
from jaxaccel.tuning._student import mean_and_margin

Options = Mapping[str, Any]

BASE = ("base", "all techniques")
"""How the run is called that the others are compared with, and where they leave one out."""


@checked_but("recipe")
def ablate(
    recipe: Callable[..., Mapping[str, Any]],
    techniques: Mapping[str, Mapping[str, Any]],
    *,
    metric: str = "loss",
    mode: Literal["min", "max"] = "min",
    seeds: Sequence[int] = (0, 1, 2),
    leave_one_out: bool = False,
    confidence: float = 0.95,
    record: str | os.PathLike[str] | None = None,
    progress: bool = True,
) -> Ablation:
    r"""Run a recipe with one technique at a time, and tell what each does from the noise of seeds.

    .. math::
        \bar d \pm t_{1 - \alpha / m,\; n - 1} \frac{s_d}{\sqrt n}

    is what a technique adds: the mean over n seeds of the differences between the runs with it and
    without it, and its margin, of Student's distribution and so wide that all m techniques are
    within theirs with the probability ``confidence`` (Bonferroni). An effect is what is beyond its
    margin; within it there may be a smaller one, which more seeds would show.

    Args:
        recipe: ``(*, seed, **options) -> {metric: number}``: trains and measures. All that is
            random in it must come from ``seed``, so that runs of one seed differ by the technique
            alone (:func:`jaxaccel.training.set_seed`).
        techniques: ``{name: options}``, with the arguments that turn the technique on.
        metric: Which number is judged.
        mode: ``"min"``: less is better; ``"max"``: more is.
        seeds: Each is a run of every technique; at least two, to say anything, and five are better.
        leave_one_out: Begin with all techniques, and leave out one at a time: what each adds where
            all others are.
        confidence: Between 0 and 1.
        record: A file into which every finished run is written. Runs that are in it already are
            not repeated: so a search that was interrupted goes on, and more seeds or techniques are
            added to it. It knows a run by its seed, its options and those of a
            ``functools.partial`` (functions by name), and not whether any code has changed.
        progress: Show how far it is.

    Returns:
        :class:`Ablation`: the verdict, the numbers, ``figure()`` and ``to_json()``; printed, it is
        the verdict and a table.

    Raises:
        ValueError: There is no technique or no seed, one is named twice, techniques that are to be
            together set the same option, ``confidence`` is out of its range, a run returns no
            ``metric`` or other ones than the first, ``record`` is a file of something else, or an
            option of a recorded run is a lambda, which has no name.
        TypeError: ``recipe`` is not a function, or does not take ``seed`` and all options; asked
            before anything runs.

    PyTorch:
        PyTorch has none.

    Example:
        >>> import random
        >>> import jaxaccel as ja
        >>> def recipe(*, seed, depth=1, luck=0):
        ...     noise = random.Random(f"{seed} {luck}").gauss(0, 0.1)
        ...     return {"loss": 3 / depth + noise}
        >>> found = ja.tuning.ablate(
        ...     recipe, {"deeper": {"depth": 3}, "luck": {"luck": 7}}, progress=False
        ... )
        >>> print(found.verdict)
        loss, 3 seeds: deeper helps (-2 ± 0); no effect seen: luck

    References:
        Bouthillier et al. Accounting for Variance in Machine Learning Benchmarks. 2021.
        https://arxiv.org/abs/2103.03098
    """
    runs = _planned(techniques, leave_one_out)
    _check(recipe, runs, seeds, mode, confidence)
    finished = _run_all(recipe, runs, seeds, metric, record, progress)
    level = 1 - (1 - confidence) / len(techniques)
    found: list[Effect] = []
    for name, options in runs.items():
        metrics = _columns(finished[name])
        seconds = sum(run.seconds for run in finished[name])
        if not found:
            found.append(Effect(name, options, metrics, 0.0, 0.0, "", seconds))
            continue
        each = added(found[0].metrics[metric], metrics[metric], leave_one_out)
        difference, margin = mean_and_margin(each, level)
        effect = effect_of(each, difference, margin, mode)
        found.append(Effect(name, options, metrics, difference, margin, effect, seconds))
    base, *effects = found
    verdict = verdict_of(effects, metric, len(seeds))
    return Ablation(
        verdict, metric, mode, confidence, tuple(seeds), base, tuple(effects), leave_one_out
    )


def _planned(techniques: Mapping[str, Options], leave_one_out: bool) -> dict[str, Options]:
    """Return the options of every run by its name, the base first."""
    if not techniques:
        raise ValueError(f"techniques must be {{name: options}}, at least one, got {techniques!r}")
    if BASE[leave_one_out] in techniques:
        raise ValueError(f"techniques must not be called {BASE[leave_one_out]!r}, as the base is")
    if not leave_one_out:
        return {BASE[leave_one_out]: {}, **techniques}
    everything: dict[str, Any] = {}
    for name, options in techniques.items():
        if twice := everything.keys() & options:
            raise ValueError(
                f"techniques that are together must set other options, got {min(twice)!r} again "
                f"in {name!r}; leave leave_one_out out, or make two ablations of them"
            )
        everything |= options
    without = {
        name: {key: value for key, value in everything.items() if key not in options}
        for name, options in techniques.items()
    }
    return {BASE[leave_one_out]: everything, **without}


def _check(
    recipe: Any, runs: dict[str, Options], seeds: Sequence[int], mode: str, confidence: float
) -> None:
    """Raise for what would be seen only when it has run for long."""
    if not is_function(recipe):
        raise TypeError(
            "ablate takes recipe as a function (*, seed, **options) -> {metric: number}, got "
            f"{type(recipe).__name__}: {recipe!r:.80}"
        )
    for name, options in runs.items():
        if "seed" in options or not takes(recipe, seed=0, **options):
            wanted = ", ".join(f"{each}=" for each in ("seed", *options))
            raise TypeError(
                f"recipe must take {wanted} for {name!r}, got {name_of(recipe)}, which takes "
                f"{taken_by(recipe)}; the seed is no technique's"
            )
    if not seeds or len(set(seeds)) < len(seeds):
        raise ValueError(f"seeds must be different integers, at least one, got {seeds}")
    if mode not in ("min", "max"):
        raise ValueError(f"mode must be 'min' or 'max', got {mode!r}")
    if not 0 < confidence < 1:
        raise ValueError(f"confidence must be more than 0 and less than 1, got {confidence}")


def _run_all(
    recipe: Callable[..., Mapping[str, Any]],
    runs: dict[str, Options],
    seeds: Sequence[int],
    metric: str,
    record: str | os.PathLike[str] | None,
    progress: bool,
) -> dict[str, list[Finished]]:
    """Return what all runs have measured; seed after seed, so that early ones tell something."""
    known = read_runs(record)
    fixed = recipe.keywords if isinstance(recipe, functools.partial) else {}
    keys = dict.fromkeys(itertools.product(seeds, runs), "")
    if record is not None:
        keys = {(s, name): name_of_run({**fixed, **runs[name]}, s) for s, name in keys}
    finished: dict[str, list[Finished]] = {name: [] for name in runs}
    first: Finished | None = None
    with shown("ablate", len(runs) * len(seeds), "runs", progress) as show:
        for number, (seed, (name, options)) in enumerate(itertools.product(seeds, runs.items())):
            show(number, f"{name}, seed {seed}")
            key = keys[seed, name]
            run = known.get(key)
            if run is None:
                begun = time.perf_counter()
                measured = _numbers(recipe(seed=seed, **options))
                run = Finished(measured, time.perf_counter() - begun)
                add_run(record, key, run)
            first = first or run
            _check_metrics(run.metrics, first.metrics, metric)
            finished[name].append(run)
        show(len(runs) * len(seeds), "")
    return finished


def _columns(runs: list[Finished]) -> dict[str, tuple[float, ...]]:
    """Return each metric of all seeds."""
    return {name: tuple(run.metrics[name] for run in runs) for name in runs[0].metrics}


def _numbers(found: Any) -> dict[str, float]:
    """Return what a recipe has measured as floats."""
    if not isinstance(found, Mapping):
        raise TypeError(f"recipe(...) must return {{metric: number}}, got {found!r:.80}")
    return {str(name): float(number_of(f"metric {name!r}", each)) for name, each in found.items()}


def _check_metrics(own: Mapping[str, float], first: Mapping[str, float], metric: str) -> None:
    """Raise where a run lacks the metric that is judged, or has others than the first one."""
    if metric not in own:
        raise ValueError(f"metric must be one of the recipe's: {', '.join(own)}; got {metric!r}")
    if own.keys() != first.keys():
        raise ValueError(
            f"recipe(...) must return the same metrics every time, got {', '.join(own)} after "
            f"{', '.join(first)}"
        )
