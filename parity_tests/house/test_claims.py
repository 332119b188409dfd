"""What the documents claim about PyTorch and about the code, where code can tell."""

import ast
import importlib
import inspect
import re
import tomllib

import jax.numpy as jnp
import mpmath
import pytest
import torch

import jaxaccel as ja
from jaxaccel.optimizers._radam import _average_length
from parity_tests.harness.documents import ROOT, load_extension
from parity_tests.harness.torchvision import v2

DOCS = ROOT / "docs"
TORCH_NAMES = DOCS / "_ext" / "torch_names.txt"
HELPERS = re.compile(
    r"_.*|.*_|\w+_torch_function\w*|boolean_dispatch|assert_int_or_pair|Optional"
    r"|native_channel_shuffle|multi_head_attention_forward|\w+_with_indices"  # functional
    r"|Container|RNNBase|RNNCellBase|NLLLoss2d|CrossMapLRN2d|Uninitialized\w+|\w+Options"  # nn
    r"|.*(?i:datapipe).*|.*validation.*|DataChunk|non_deterministic|guaranteed_.*"  # data
)
"""Public by name only: what other names are made of, and forms in place."""


def torch_names():
    """Return {module of PyTorch: its names that a recipe may use}."""
    optim, nn = torch.optim, torch.nn
    modules = {
        optim: lambda value: _is(value, optim.Optimizer),
        optim.lr_scheduler: lambda value: _is(value, optim.lr_scheduler.LRScheduler),
        nn: lambda value: inspect.isclass(value) and value.__module__.startswith("torch.nn"),
        nn.functional: lambda value: callable(value) and not inspect.isclass(value),
    }
    found = {
        module.__name__: [
            name
            for name, value in sorted(vars(module).items())
            if not HELPERS.fullmatch(name) and ok(value)
        ]
        for module, ok in modules.items()
    }
    found["torch.nn.init"] = [
        name for name in sorted(vars(nn.init)) if re.fullmatch(r"[a-z]\w*_|calculate_gain", name)
    ]
    for name in (
        "torch.optim.swa_utils",
        "torch.nn.utils",
        "torch.nn.utils.parametrizations",
        "torch.amp",
        "torch.utils.data",
    ):
        module = importlib.import_module(name)
        found[name] = sorted(
            each
            for each in module.__all__
            if callable(getattr(module, each))
            and (name == "torch.nn.utils" or not HELPERS.fullmatch(each))
        )
    return found


def _is(value, base):
    return inspect.isclass(value) and issubclass(value, base) and value is not base


def as_text(names):
    return "".join(f"{module}: {' '.join(found)}\n" for module, found in names.items())


def page(name):
    return (ROOT if name == "README.md" else DOCS).joinpath(name).read_text(encoding="utf-8")


# --- the map of PyTorch's names -------------------------------------------------------------------


@pytest.fixture(name="porting_map")
def _porting_map(monkeypatch):
    """Return the page with its tables."""
    monkeypatch.syspath_prepend(DOCS / "_ext")
    return load_extension("porting_map").porting_tables(page("from_pytorch.md"))


def test_the_list_of_pytorchs_names_is_current():
    """Written with ``python -m parity_tests.house.test_claims``."""
    assert TORCH_NAMES.read_text(encoding="utf-8") == as_text(torch_names())


def cells(text):
    """Return the tables' rows as lists of cells, without heads."""
    rows = [line for line in text.splitlines() if line.startswith("| ")]
    return [re.split(r"(?<!\\) \| ", row.strip("| ")) for row in rows if "|---" not in row]


def test_every_name_of_pytorch_is_on_the_page(porting_map):
    for module, names in torch_names().items():
        missing = [name for name in names if not re.search(rf"\b{name}`", porting_map)]
        assert not missing, (module, missing)


def test_every_name_is_here_or_has_its_stead_named(porting_map):
    assert not re.findall(r"^Not here yet: (.*)\.$", porting_map, re.MULTILINE)


def test_names_in_the_tables_by_hand_are_pytorchs():
    known = {name for names in torch_names().values() for name in names}
    known |= {*vars(torch.nn.Module), *vars(torch.distributed), *vars(torch), "torchrun"}
    known |= {
        "FullyShardedDataParallel",
        "ZeroRedundancyOptimizer",
        "set_epoch",
        "DTensor",
        *vars(v2),
    }
    text = page("from_pytorch.md")
    _, *sections = re.split(r"^## ", text, flags=re.MULTILINE)
    for section in sections[1:]:  # the loop's own table is in expressions
        if section.startswith("What differs on purpose"):  # in sentences, with tests of its own
            continue
        for first, *_ in cells(section)[1:]:
            for name in re.findall(r"`([\w.]+)`", first):
                assert first == "PyTorch" or name.split(".")[-1] in known, name


INSTANCE_NORM = (
    "The same, its warning about `num_features` without `affine` too, but channels are last"
)


@pytest.mark.parametrize(
    ("torch_name", "function", "note"),
    [
        ("Adadelta", "optimizers.adadelta", "Nothing"),
        ("ExponentialLR", "schedules.exponential_lr", "Nothing"),
        ("InstanceNorm2d", "nn.InstanceNorm2d", INSTANCE_NORM),
        ("InstanceNorm3d", "nn.InstanceNorm3d", INSTANCE_NORM),  # refers to its sibling
    ],
)
def test_rows_of_the_map(porting_map, torch_name, function, note):
    (row,) = [row for row in cells(porting_map) if row[0] == f"`{torch_name}`"]
    assert row == [f"`{torch_name}`", f"{{py:obj}}`{function} <jaxaccel.{function}>`", note]


# --- versions and packages ------------------------------------------------------------------------

PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
EXTRAS = PROJECT["project"]["optional-dependencies"]


def test_the_version_is_in_one_place_and_its_minor_is_pytorchs():
    minor = ja.__version__.split(".")[1]
    assert PROJECT["project"]["dynamic"] == ["version"]
    assert minor == torch.__version__.split(".")[1]
    assert f"torch==2.{minor}.*" in EXTRAS["twins"]
    assert f"torch==2.{minor}.*" in EXTRAS["test"]
    assert f"version = {{{ja.__version__}}}" in page("README.md")
    assert f"0.{minor}.x matches\nPyTorch 2.{minor}.x" in page("stability.md")


def test_the_readme_is_short_and_its_first_command_needs_no_torch():
    text = page("README.md")
    assert text.count("\n") < 200
    extra, script = re.search(r'pip install -e "\.\[(\w+)\]" && python (\S+)', text).groups()
    for name in (extra, "docs"):
        assert not any("torch" in package for package in EXTRAS[name]), name
    imported = {
        alias.split(".")[0]
        for node in ast.walk(ast.parse((ROOT / script).read_text(encoding="utf-8")))
        for alias in (
            [each.name for each in node.names]
            if isinstance(node, ast.Import)
            else [node.module or ""]
            if isinstance(node, ast.ImportFrom)
            else []
        )
    }
    assert "jaxaccel" in imported
    assert not {"torch", "torch_ref"} & imported


def test_the_workflow_tests_the_oldest_versions_that_the_project_allows():
    least = dict(
        re.findall(r"^(jax|flax|optax)>=(.*)$", "\n".join(PROJECT["project"]["dependencies"]), re.M)
    )
    text = (ROOT / ".github" / "workflows" / "tests.yml").read_text(encoding="utf-8")
    (pins,) = re.findall(r"pins: (jax==.*)", text)
    assert dict(pin.split("==") for pin in pins.split()) == least | {"jaxlib": least["jax"]}
    pythons = re.findall(r'"(3\.\d+)"', re.search(r"python: \[(.*)\]", text)[1])
    assert PROJECT["project"]["requires-python"] == f">={pythons[0]}"
    for python in pythons:
        assert f"Programming Language :: Python :: {python}" in PROJECT["project"]["classifiers"]


def test_the_extras_on_the_page_are_the_projects():
    section = page("installation.md").partition("## Extras")[2].partition("## ")[0]
    assert {row[0].strip("`") for row in cells(section)[1:]} == {*EXTRAS}


# --- numerics -------------------------------------------------------------------------------------


@pytest.mark.parametrize("beta", [0.5, 0.9, 0.99, 0.999, 0.9999, 1 - 1e-6])
def test_radams_rho_in_float32_is_as_exact_as_numerics_says(beta):
    (bound,) = re.findall(
        r"In float32 it is within\s+(\S+) of\s+the exact value", page("numerics.md")
    )
    with mpmath.workdps(60):
        exact_beta = mpmath.mpf(beta)
        rho_inf = 2 / (1 - exact_beta) - 1
        for step in (1, 2, 3, 5, 10, 40, 300, 3000, 100_000):
            power = exact_beta**step
            exact = rho_inf - 2 * step * power / (1 - power)
            got = _average_length(beta, jnp.int32(step), jnp.float32(2 / (1 - beta) - 1))
            assert got.dtype == jnp.float32
            error = abs((mpmath.mpf(float(got)) - exact) / exact)
            assert error <= float(bound), (beta, step, mpmath.nstr(error, 3))


if __name__ == "__main__":
    TORCH_NAMES.write_text(as_text(torch_names()), encoding="utf-8")
