"""One technique at a time: margins against SciPy's, noise that is not an effect, going on."""

import functools
import itertools
import json
import random
import types

import jax.numpy as jnp
import numpy as np
import pytest
import scipy.stats

import jaxaccel as ja
from jaxaccel.tuning import _progress

SHIFTS = {"better": -0.5, "worse": 0.4, "idle": 0.0, "nothing": None}
TECHNIQUES = {name: {name: True} for name in SHIFTS}
ablate = functools.partial(ja.tuning.ablate, progress=False)


def recipe(*, seed, better=False, worse=False, idle=False, nothing=False, noise=0.1):
    """Return a loss with noise of its own in every run, but for that of the base."""
    own = {"better": better, "worse": worse, "idle": idle}
    on = [name for name, is_on in own.items() if is_on]
    shift = sum(SHIFTS[name] for name in on)
    loss = 2 + shift + random.Random(f"{seed} {on}").gauss(0, noise)
    return {"loss": np.float32(loss), "accuracy": np.array([1 - loss / 10])}


@pytest.mark.quick
@pytest.mark.parametrize("leave_one_out", [False, True])
def test_differences_and_margins_are_scipys(leave_one_out):
    seeds = (3, 1, 4, 15)
    found = ablate(recipe, TECHNIQUES, seeds=seeds, leave_one_out=leave_one_out, confidence=0.9)
    assert [each.name for each in found.effects] == [*TECHNIQUES]
    everything = dict.fromkeys(TECHNIQUES, True)
    for each in found.effects:
        own = {n: v for n, v in everything.items() if (n == each.name) != leave_one_out}
        base = everything if leave_one_out else {}
        assert each.options == own
        runs = [
            np.array([float(recipe(seed=seed, **options)["loss"]) for seed in seeds])
            for options in (own, base)
        ]
        assert np.array_equal(each.metrics["loss"], runs[0])
        with_it, without = runs[::-1] if leave_one_out else runs
        if each.name == "nothing":
            assert (each.difference, each.margin) == (0.0, 0.0)
            continue
        theirs = scipy.stats.ttest_rel(with_it, without).confidence_interval(1 - 0.1 / 4)
        assert each.difference - each.margin == pytest.approx(theirs.low, rel=1e-9)
        assert each.difference + each.margin == pytest.approx(theirs.high, rel=1e-9)
    assert [each.effect for each in found.effects] == [
        *("helps", "hurts", "no effect seen", "changes nothing")
    ]
    assert found.verdict.startswith("loss, 4 seeds: better helps (-0.")
    assert found.verdict.endswith("; no effect seen: idle; changes nothing: nothing")


@pytest.mark.quick
def test_noise_is_seldom_called_an_effect():
    """Of 400 ablations in which nothing has any, about one in twenty shows one, as it says."""
    rng = np.random.default_rng(0)
    names = {f"t{i}": {"technique": i} for i in range(5)}
    shown = 0
    for _ in range(400):
        numbers = rng.normal(size=(6, 4))
        found = ablate(
            lambda *, seed, technique=5, numbers=numbers: {"loss": numbers[technique, seed]},
            names,
            seeds=range(4),
        )
        shown += any(each.effect in ("helps", "hurts") for each in found.effects)
    assert 4 <= shown <= 28  # 20 are expected where techniques share nothing; they share the base


@pytest.mark.quick
def test_which_way_is_better():
    up = {"up": {"by": 1.0}, "down": {"by": -1.0}, "away": {"by": float("nan")}}

    def measured(*, seed, by=0.0):
        return {"accuracy": seed + by + 0.01 * random.Random(f"{seed} {by}").random()}

    for mode, effects in [("max", ["helps", "hurts"]), ("min", ["hurts", "helps"])]:
        found = ablate(measured, up, metric="accuracy", mode=mode, seeds=[0, 1, 2])
        assert [each.effect for each in found.effects] == [*effects, "not finite in 3 of 3"]
    alone = ablate(measured, up, metric="accuracy", seeds=[0])
    assert [each.effect for each in alone.effects][:2] == ["one seed: not known"] * 2
    assert json.loads(alone.to_json())["effects"][0]["margin"] is None


def test_what_it_shows(monkeypatch, capsys):
    monkeypatch.setattr(_progress, "LINE", 0.0)
    found = ja.tuning.ablate(recipe, TECHNIQUES, seeds=range(3), leave_one_out=True)
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].startswith("ablate 1/15  ")
    assert "left  better, seed 0" in lines[0]
    assert lines[-1].startswith("ablate 15/15")
    verdict, header, base, first, *_, last = str(found).splitlines()
    assert verdict == found.verdict
    assert header.split() == ["loss", "added", "effect", "accuracy", "seconds"]
    assert base.startswith("all techniques")
    assert first.startswith("without better")
    assert "helps" in first
    assert last == (
        "mean ± deviation of 3 seeds; 95 % that all differences are within their margins (±)"
    )
    figure = found.figure()
    (axis,) = figure.axes
    assert [label.get_text() for label in axis.get_yticklabels()] == [*TECHNIQUES]
    assert [bar.get_width() for bar in axis.patches] == [e.difference for e in found.effects]
    data = json.loads(found.to_json())
    assert data["effects"][0]["options"] == {"worse": "True", "idle": "True", "nothing": "True"}


def test_an_interrupted_search_goes_on(tmp_path):
    path = tmp_path / "runs" / "ablation.jsonl"
    calls, stops = [], [7]

    def interrupted(*, seed, **options):
        if len(calls) in stops:
            raise KeyboardInterrupt
        calls.append((seed, *options))
        return recipe(seed=seed, **options)

    def numbers(found):
        return [(each.metrics, each.difference, each.margin) for each in found.effects]

    whole = ablate(recipe, TECHNIQUES, seeds=(0, 1))
    with pytest.raises(KeyboardInterrupt):
        ablate(interrupted, TECHNIQUES, seeds=(0, 1), record=path)
    assert len(calls) == stops.pop()
    with path.open("a") as file:
        file.write('{"run": "cut o')  # a process that was killed while it wrote
    found = ablate(interrupted, TECHNIQUES, seeds=(0, 1), record=path)
    assert numbers(found) == numbers(whole)
    assert len(calls) == len(set(calls)) == 10
    more = ablate(interrupted, TECHNIQUES, seeds=(0, 1, 2), record=path)
    assert numbers(more) == numbers(ablate(recipe, TECHNIQUES, seeds=(0, 1, 2)))
    assert len(calls) == len(set(calls)) == 15
    other = functools.partial(interrupted, noise=0.2)
    ablate(other, {"idle": {"idle": True}}, seeds=(0, 1), record=path)
    assert len(calls) == 19  # of another recipe
    text = path.read_text()
    path.write_text("weights\n" + text)
    with pytest.raises(ValueError, match=r"record must be .*ablation.jsonl', whose line 1 is"):
        ablate(interrupted, TECHNIQUES, record=path)
    assert path.read_text() == "weights\n" + text


@pytest.mark.quick
def test_seconds_are_those_of_all_seeds_also_where_they_were_recorded(tmp_path, monkeypatch):
    clock = itertools.count(0, 5)
    fake = types.SimpleNamespace(perf_counter=lambda: next(clock))
    monkeypatch.setattr("jaxaccel.tuning._ablate.time", fake)
    for _ in range(2):
        found = ablate(recipe, {"idle": {"idle": True}}, seeds=(0, 1), record=tmp_path / "runs")
        assert [each.seconds for each in (found.base, *found.effects)] == [10, 10]


@pytest.mark.quick
def test_what_cannot_run_is_refused_before_anything_runs():
    def never(*, seed, a=0, b=0):
        raise AssertionError("it ran")

    fine = {"a": {"a": 1}, "b": {"b": 2}}
    for techniques, options, text in [
        ({}, {}, "techniques must be .*at least one, got {}"),
        ({"base": {"a": 1}}, {}, "must not be called 'base'"),
        ({"a": {"a": 1}, "c": {"a": 2}}, {"leave_one_out": True}, "got 'a' again in 'c'"),
        (fine, {"seeds": []}, r"at least one, got \[\]"),
        (fine, {"seeds": [1, 1]}, r"different integers, .*got \[1, 1\]"),
        (fine, {"mode": "more"}, "mode must be 'min' or 'max', got 'more'"),
        (fine, {"confidence": 1.0}, "confidence must be .*got 1.0"),
    ]:
        with pytest.raises(ValueError, match=text):
            ablate(never, techniques, **options)
    for techniques, text in [
        ({"c": {"c": 1}}, r"recipe must take seed=, c= for 'c', got never, which takes"),
        ({"s": {"seed": 1}}, "the seed is no technique's"),
    ]:
        with pytest.raises(TypeError, match=text):
            ablate(never, techniques)
    with pytest.raises(ValueError, match="metric must be one of the recipe's: loss, accuracy"):
        ablate(recipe, TECHNIQUES, metric="error")
    with pytest.raises(TypeError, match=r"metric 'loss' must be one real number, got 'low'"):
        ablate(lambda seed, a=0: {"loss": "low"}, {"a": {"a": 1}})
    with pytest.raises(ValueError, match="same metrics every time, got loss, a after loss"):
        ablate(lambda seed, **a: {"loss": 1.0, **a}, {"a": {"a": 1}})


@pytest.mark.quick
def test_recorded_runs_are_told_apart(tmp_path):
    """By the numbers in arrays and all of a long text; a function without a name is refused."""
    path, calls = tmp_path / "runs", []

    def told(*, seed, given=0):
        calls.append(given)
        return {"loss": 1.0}

    long = "x" * 100
    for given in (np.zeros(3), np.ones(3), [np.ones(3), 1], jnp.full(3, 2.0), long, long + "y"):
        before = len(calls)
        for _ in range(2):
            ablate(told, {"a": {"given": given}}, seeds=(0,), record=path)
        assert len(calls) == before + (2 if before == 0 else 1)
    for given in (lambda x: x, {"f": [lambda x: x]}):
        with pytest.raises(ValueError, match=r"record .*'given'.* a lambda.*def"):
            ablate(told, {"a": {"given": given}}, seeds=(1,), record=path)
        ablate(told, {"a": {"given": given}}, seeds=(1,))


@pytest.mark.quick
def test_a_line_that_was_cut_off_is_taken_away_alone(tmp_path, monkeypatch):
    """The file is never empty in between: a process may be killed at any time."""
    path = tmp_path / "runs"
    ablate(recipe, {"idle": {"idle": True}}, seeds=(0,), record=path)
    whole = path.read_bytes()
    path.write_bytes(whole + b'{"run": "cut o')
    monkeypatch.setattr(type(path), "write_text", lambda *_, **__: pytest.fail("it was emptied"))
    ablate(recipe, {"idle": {"idle": True}}, seeds=(0,), record=path)
    assert path.read_bytes() == whole
