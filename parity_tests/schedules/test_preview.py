"""What ``preview`` foresees is what PyTorch's ``optimizer.param_groups`` hold, step by step."""

import importlib.util
import re
import subprocess
import sys
import warnings
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
import torch

import jaxaccel as ja
from parity_tests import tolerances as tol
from parity_tests.harness.compare import assert_close

ROOT = Path(__file__).parents[2]
STEPS = 60
PARAMS = {"kernel": jnp.ones((3, 2)), "bias": jnp.ones(2)}
GROUPS = [
    {"params": "bias$", "lr": 0.05, "weight_decay": 0.0, "betas": (0.9, 0.99)},
    {"params": "kernel", "lr": 0.01, "weight_decay": 0.1, "betas": (0.8, 0.999)},
]


def standard_promotion():
    """Return a context for what is not ours and breaks the strict rules itself."""
    return jax.numpy_dtype_promotion("standard")


def live(optimizer, scheduler, names):
    """Return what PyTorch's groups hold at every step of a training run."""
    groups = [{name: [] for name in names} for _ in optimizer.param_groups]
    with warnings.catch_warnings():
        # SequentialLR steps its members before the optimizer has.
        warnings.simplefilter("ignore")
        scheduler = scheduler(optimizer)
    for _ in range(STEPS):
        for group, found in zip(optimizer.param_groups, groups, strict=True):
            for name in names:
                found[name].append(group[name])
        optimizer.step()
        scheduler.step()
    return groups


def torch_optimizer(constructor, groups):
    """Return PyTorch's optimizer with one made-up parameter a group."""
    return constructor(
        [
            {**group, "params": [torch.nn.Parameter(torch.zeros(1, dtype=torch.float64))]}
            for group in groups
        ]
    )


def assert_same_groups(found, expected, share=tol.SCHEDULE_FLOAT64_OF_PEAK):
    """Assert the same groups, names and, per hyperparameter, values."""
    assert [set(group) for group in found] == [set(group) for group in expected]
    for group, other in zip(found, expected, strict=True):
        for name, values in group.items():
            # A pair is (steps, 2) in PyTorch's list.
            ours = np.stack(values, axis=-1) if isinstance(values, tuple) else values
            theirs = np.asarray(other[name])
            assert ours.dtype == np.float64
            assert_close(ours, theirs, share, what=name)


def chosen(groups, names):
    """Return the groups with some of their hyperparameters."""
    return [{name: group[name] for name in names} for group in groups]


# --- against PyTorch's groups -------------------------------------------------------------------

PEAKS = [0.5, 0.02]


def one_cycle(optimizer):
    return torch.optim.lr_scheduler.OneCycleLR(optimizer, max_lr=PEAKS, total_steps=STEPS)


def one_cycle_groups():
    """Return AdamW's two groups under OneCycleLR, which moves lr and beta1, for jaxaccel."""
    beta1 = ja.schedules.one_cycle_momentum(total_steps=STEPS)
    return [
        {
            **group,
            "lr": ja.schedules.one_cycle_lr(peak, total_steps=STEPS),
            "betas": (beta1, group["betas"][1]),
        }
        for group, peak in zip(GROUPS, PEAKS, strict=True)
    ]


def test_adamw_groups_under_one_cycle():
    names = ("lr", "betas", "weight_decay")
    expected = live(torch_optimizer(torch.optim.AdamW, GROUPS), one_cycle, names)
    groups = one_cycle_groups()
    tx = ja.optimizers.param_groups(ja.optimizers.adamw, groups)
    for transform in (tx, optax.chain(optax.clip(1.0), tx), optax.MultiSteps(tx, 1)):
        with standard_promotion():
            found = ja.schedules.preview(transform, STEPS, PARAMS).groups
        assert len(found) == 3  # the default group, which is empty, comes last
        assert_same_groups(chosen(found[:2], names), expected)
    found = ja.schedules.preview([{k: g[k] for k in names} for g in groups], STEPS).groups
    assert_same_groups(found, expected)


FACTORS = [lambda k: 0.95**k, lambda k: 1 / (1 + 0.1 * k)]


def test_sgd_groups_under_a_list_of_lambdas():
    names = ("lr", "momentum")
    groups = [{"params": "bias$", "lr": 0.1}, {"params": "kernel", "lr": 0.3}]
    groups = [{**group, "momentum": 0.9} for group in groups]
    expected = live(
        torch_optimizer(torch.optim.SGD, groups),
        lambda optimizer: torch.optim.lr_scheduler.LambdaLR(optimizer, FACTORS),
        names,
    )
    for group, factor in zip(groups, FACTORS, strict=True):
        group["lr"] = lambda k, lr=group["lr"], factor=factor: lr * factor(k)
    tx = ja.optimizers.param_groups(ja.optimizers.sgd, groups)
    with standard_promotion():
        found = ja.schedules.preview(tx, STEPS, PARAMS).groups
    assert_same_groups(chosen(found[:2], names), expected)
    assert_same_groups(ja.schedules.preview(chosen(groups, names), STEPS).groups, expected)


def test_a_schedule_alone_is_the_lr():
    def warmup_and_cosine(optimizer):
        lr_scheduler = torch.optim.lr_scheduler
        members = [
            lr_scheduler.LinearLR(optimizer, total_iters=10),
            lr_scheduler.CosineAnnealingLR(optimizer, T_max=20),
        ]
        return lr_scheduler.SequentialLR(optimizer, members, milestones=[10])

    members = [
        ja.schedules.linear_lr(0.1, total_iters=10),
        ja.schedules.cosine_annealing_lr(0.1, T_max=20),
    ]
    schedule = ja.schedules.sequential_lr(members, milestones=[10])
    optimizer = torch_optimizer(torch.optim.SGD, [{"lr": 0.1}])
    expected = live(optimizer, warmup_and_cosine, ("lr",))
    found = ja.schedules.preview(schedule, STEPS)
    assert_same_groups(found.groups, expected)
    assert np.array_equal(found.steps, np.arange(STEPS))
    assert found.steps.dtype == np.int64


def test_hyperparameters_that_optax_injects():
    """Its state holds what the last update used, so the first value must not come twice."""
    names = {"learning_rate": "lr", "momentum": "momentum"}
    optimizer = torch_optimizer(torch.optim.SGD, [{"lr": 0.1, "momentum": 0.9}])
    expected = live(
        optimizer,
        lambda optimizer: torch.optim.lr_scheduler.OneCycleLR(optimizer, 0.7, total_steps=STEPS),
        names.values(),
    )
    tx = optax.inject_hyperparams(optax.sgd)(
        learning_rate=ja.schedules.one_cycle_lr(0.7, total_steps=STEPS),
        momentum=ja.schedules.one_cycle_momentum(total_steps=STEPS),
    )
    for transform in (tx, optax.chain(optax.clip(1.0), tx)):
        found = ja.schedules.preview(transform, STEPS).groups
        assert_same_groups([{names[name]: values for name, values in found[0].items()}], expected)


def test_every_transformation_inside_is_a_group():
    lr = ja.schedules.linear_lr(0.1)
    tx = optax.partition(
        {
            "first": optax.inject_hyperparams(optax.sgd)(lr),
            "second": optax.inject_hyperparams(optax.sgd)(0.5),
        },
        {"kernel": "first", "bias": "second"},
    )
    groups = ja.schedules.preview(tx, 8, PARAMS).groups
    assert_same_groups(groups, [{"learning_rate": lr(np.arange(8))}, {"learning_rate": [0.5] * 8}])


def test_training_reads_the_same_values():
    groups = one_cycle_groups()
    tx = ja.optimizers.param_groups(ja.optimizers.adamw, groups, lr=0.3)
    foreseen = ja.schedules.preview(tx, 5, PARAMS).groups
    state = tx.init(PARAMS)
    for k in range(5):
        held = ja.optimizers.get_hyperparams(state)
        assert_same_groups(
            [{name: _at(values, slice(k, k + 1)) for name, values in g.items()} for g in foreseen],
            [{name: [value] for name, value in g.items() if name != "name"} for g in held],
        )
        _, state = tx.update(PARAMS, state, PARAMS)


def _at(values, index):
    return tuple(v[index] for v in values) if isinstance(values, tuple) else values[index]


def test_without_x64_a_decay_factor_near_one_keeps_its_digits():
    beta2 = 1 - 1e-6
    with jax.enable_x64(False):
        tx = ja.optimizers.param_groups(
            ja.optimizers.adamw, [], lr=ja.schedules.linear_lr(0.1), betas=(0.9, beta2)
        )
        (group,) = ja.schedules.preview(tx, 9).groups
    lr = ja.schedules.linear_lr(0.1)(np.arange(9))
    assert_same_groups([{"lr": group["lr"]}], [{"lr": lr}], tol.SCHEDULE_FLOAT32_OF_PEAK)
    # Of 1 - beta2, which is what counts.
    distance = {"betas": 1 - group["betas"][1]}
    assert_same_groups([distance], [{"betas": [1 - beta2] * 9}], tol.SCHEDULE_FLOAT32_OF_PEAK)


# --- steps, parameters, schedules of others -----------------------------------------------------


@pytest.mark.parametrize("steps", [[7], [3, 0, 30, 3], np.arange(10, 20, dtype=np.int32)])
def test_steps_in_any_order(steps):
    tx = ja.optimizers.param_groups(ja.optimizers.adamw, one_cycle_groups()[:1])
    params = {"bias": jnp.ones(2)}
    lr = one_cycle_groups()[0]["lr"]
    for what in (tx, [{"lr": lr, "betas": 0.5}, {"lr": 0.1}]):
        every, some = (ja.schedules.preview(what, n, params) for n in (STEPS, steps))
        assert np.array_equal(some.steps, steps)
        assert np.array_equal(some.groups[0]["lr"], every.groups[0]["lr"][np.asarray(steps)])


def test_shapes_are_enough_and_no_parameter_is_computed():
    """The parameters would take 40 TB."""
    params = {"kernel": jax.ShapeDtypeStruct((10**6, 10**7), jnp.float32)}
    tx = ja.optimizers.param_groups(ja.optimizers.adamw, [{"params": "kernel", "lr": 0.5}])
    assert ja.schedules.preview(tx, 3, params).groups[0]["lr"].tolist() == [0.5] * 3


def test_schedules_of_others_need_not_know_arrays():
    steps = np.arange(5)
    foreign = [
        (lambda k: 0.1 if k < 2 else 0.01, np.where(steps < 2, 0.1, 0.01)),
        (lambda k: 0.25, np.full(5, 0.25)),
        (optax.linear_schedule(1.0, 0.0, 4), 1 - steps / 4),
        (lambda k: jnp.full((1,), 0.5) ** k, 0.5**steps),
        (lambda k: 0.5 * jnp.minimum(k, 3), 0.5 * np.minimum(steps, 3)),
    ]
    for schedule, expected in foreign:
        assert_same_groups(ja.schedules.preview(schedule, 5).groups, [{"lr": expected}])


# --- errors -------------------------------------------------------------------------------------


@pytest.mark.parametrize("room", [ja.optimizers, optax], ids=["jaxaccel", "optax"])
def test_an_optimizer_that_hides_its_schedules(room):
    text = r'\{"lr": schedule\}.*param_groups or optax.inject'
    with standard_promotion(), pytest.raises(ValueError, match=text):
        ja.schedules.preview(room.adamw(ja.schedules.linear_lr(0.1)), 5)


def test_groups_that_need_the_parameters():
    tx = ja.optimizers.param_groups(ja.optimizers.sgd, [{"params": "bias$"}], lr=0.1)
    with pytest.raises(ValueError, match="group 0") as raised:
        ja.schedules.preview(tx, 5)
    assert any("params=" in note for note in raised.value.__notes__)
    with pytest.raises(ValueError, match="group 0") as raised:
        ja.schedules.preview(tx, 5, {"kernel": jnp.ones(2)})
    assert not any("params=" in note for note in raised.value.__notes__)


@pytest.mark.parametrize(
    ("schedule", "steps", "error", "text"),
    [
        (3, 5, TypeError, "schedule must be"),
        ([], 5, TypeError, "schedule must be"),
        ({}, 5, TypeError, "schedule must be"),
        ("lr", 5, TypeError, "schedule must be"),
        ([0.1], 5, TypeError, "schedule must be"),
        ({"lr": "fast"}, 5, TypeError, "lr must be a number"),
        ({"betas": (0.9, None)}, 5, TypeError, r"betas\[1\] must be a number"),
        ({"lr": 0.1}, 0, ValueError, "steps must be a whole number of at least 1"),
        ({"lr": 0.1}, 2.5, TypeError, "'steps' .* must be int"),
        ({"lr": 0.1}, "all", TypeError, "'steps' .* must be int"),
        ({"lr": 0.1}, [], TypeError, "step must be an integer"),
        ({"lr": 0.1}, [0.5], TypeError, "'steps' .* must be int"),
        ({"lr": 0.1}, [-1], ValueError, "step must be at least 0"),
        ({"lr": 0.1}, [[1]], TypeError, "element of type list"),
        (ja.schedules.one_cycle_lr(1.0, total_steps=5), 9, ValueError, "Tried to step 6 times"),
    ],
)
def test_bad_arguments(schedule, steps, error, text):
    with pytest.raises(error, match=text):
        ja.schedules.preview(schedule, steps)


# --- figures ------------------------------------------------------------------------------------


def test_a_figure_has_a_panel_for_what_moves_and_a_line_a_group():
    pytest.importorskip("matplotlib")
    tx = ja.optimizers.param_groups(ja.optimizers.adamw, one_cycle_groups(), lr=0.3)
    run = ja.schedules.preview(tx, STEPS, PARAMS)
    panels = run.figure().axes
    assert [panel.get_ylabel() for panel in panels] == ["lr", "betas[0]"]
    assert [panel.get_xlabel() for panel in panels] == ["", "step"]
    for panel, read in zip(panels, (lambda g: g["lr"], lambda g: g["betas"][0]), strict=True):
        assert [line.get_label() for line in panel.lines] == ["group 0", "group 1", "group 2"]
        assert panel.get_legend()
        for line, group in zip(panel.lines, run.groups, strict=True):
            assert np.array_equal(line.get_xdata(), run.steps)
            assert np.array_equal(line.get_ydata(), read(group))


def test_groups_keep_their_colour_where_another_lacks_the_hyperparameter():
    pytest.importorskip("matplotlib")
    lr, momentum = (
        ja.schedules.linear_lr(0.1),
        ja.schedules.one_cycle_momentum(total_steps=9),
    )
    groups = [{"lr": lr}, {"lr": 0.1, "momentum": momentum}]
    first, second = ja.schedules.preview(groups, 9).figure().axes
    assert second.lines[0].get_color() == first.lines[1].get_color()
    assert second.lines[0].get_linestyle() == first.lines[1].get_linestyle()
    assert not second.get_legend()


def test_what_does_not_move_is_drawn_when_nothing_does():
    pytest.importorskip("matplotlib")
    panels = ja.schedules.preview({"lr": 0.1, "betas": (0.9, 0.99)}, 1).figure().axes
    assert [panel.get_ylabel() for panel in panels] == ["lr", "betas[0]", "betas[1]"]


def test_figures_leave_the_state_of_pyplot_alone():
    pytest.importorskip("matplotlib")
    code = (
        "import io, sys, jaxaccel as ja\n"
        "figure = ja.schedules.preview(ja.schedules.linear_lr(0.1), 9).figure()\n"
        "figure.savefig(io.BytesIO(), format='svg')\n"
        "sys.exit('matplotlib.pyplot' in sys.modules)"
    )
    subprocess.run([sys.executable, "-W", "error", "-c", code], cwd=ROOT, check=True)


def test_without_matplotlib_the_error_says_what_to_install(monkeypatch):
    run = ja.schedules.preview({"lr": 0.1}, 3)
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    with pytest.raises(ModuleNotFoundError, match="pip install matplotlib"):
        run.figure()


# --- the page of curves -------------------------------------------------------------------------

NO_CURVE = {"preview": "draws them", "scale_lr": "a number", "constant_schedule": "a flat line"}


def load_page():
    """Return the extension that draws the page's curves, and the page."""
    path = ROOT / "docs" / "_ext" / "schedule_curves.py"
    spec = importlib.util.spec_from_file_location("schedule_curves", path)
    extension = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(extension)
    return extension, (ROOT / "docs" / "schedules.md").read_text(encoding="utf-8")


def names_in(code):
    return set(re.findall(r"ja\.schedules\.(\w+)\(", code))


def test_the_page_has_a_curve_of_every_schedule():
    extension, page = load_page()
    drawn = set().union(*(names_in(curve.code) for curve in extension.curves(page)))
    public = {n for n in ja.schedules.__all__ if not isinstance(getattr(ja.schedules, n), type)}
    assert public - drawn - set(NO_CURVE) == set()
    linked = set(re.findall(r"`(\w+)\s<jaxaccel\.schedules\.\1>`", page))
    assert public - linked == set()


def test_every_curve_of_the_page_can_be_drawn_and_is_not_flat():
    extension, page = load_page()
    for curve in extension.curves(page):
        (group,) = ja.schedules.preview(curve.schedule, extension.STEPS).groups
        for values in group.values():
            assert np.isfinite(values).all(), curve.code
            assert np.ptp(values) > 0, curve.code


def test_the_pictures_follow_their_blocks(tmp_path):
    pytest.importorskip("matplotlib")
    extension, _ = load_page()
    page = (
        "Before.\n\n```python\nimport jaxaccel as ja\n\nlr = 0.1\n```\n\n"
        "```python\nja.schedules.linear_lr(lr)\n```\n\nAfter.\n"
    )
    text = extension.with_pictures(page, tmp_path / "curves", tmp_path)
    first, second, after = re.split(r"```\{image\} ", text)
    assert first.startswith("Before.\n")
    assert first.rstrip().endswith("ja.schedules.linear_lr(lr)\n```")
    assert second.startswith("curves/00-light.svg\n")
    assert after.startswith("curves/00-dark.svg\n")
    assert after.endswith("```\n\nAfter.\n")
    light, dark = ((tmp_path / "curves" / f"00-{theme}.svg") for theme in ("light", "dark"))
    assert light.read_text().count("<svg") == dark.read_text().count("<svg") == 1
    assert light.read_text() != dark.read_text()
