"""torch_ref stands beside jaxaccel: the same files, functions and arguments, in the same order."""

import ast
import importlib
import inspect
import tomllib
from pathlib import Path

import pytest

import jaxaccel
import torch_ref
from parity_tests.harness.errors import assert_no_faults
from parity_tests.harness.mirror import COUNTERPARTS, functions_of

ROOT = Path(__file__).resolve().parents[2]
ROOMS = ("optimizers", "transforms", "functional", "init", "precision")
"""Rooms of algorithms; ``schedules`` builds PyTorch's schedulers, ``models`` its modules."""

FILES = sorted(
    f"{room}.{path.stem}"
    for room in ROOMS
    for path in (ROOT / "torch_ref" / room).glob("_*.py")
    if path.stem not in ("__init__", "_hessian_diagonal")  # which is all a counterpart
)
FILES += ["_layout", "_math"]

OMITS = {
    "axis_name": "devices: torch.nn.SyncBatchNorm",
    "dtype": "of scalars, which are Python's floats there",
    "guess": "a mean that is known early, which saves a compiler a pass",
    "stored": "the numbers before they were widened, which saves a compiler a copy",
}
"""Arguments of jaxaccel's functions that PyTorch's side has no use for."""

CALLED_OTHERWISE = {"array": "tensor", "arrays": "tensors"}


def arguments_of(function):
    """Return [(name, kind, default)] of a function of jaxaccel, as torch_ref has them."""
    return [
        (CALLED_OTHERWISE.get(name, name), p.kind, p.default)
        for name, p in inspect.signature(function).parameters.items()
    ]


@pytest.mark.quick
def test_functions_have_the_names_order_and_arguments_of_jaxaccels():
    assert_no_faults((file, fault) for file in FILES for fault in faults_of(file))


def faults_of(file):
    """Yield how a file of torch_ref differs from jaxaccel's."""
    theirs, ours = (importlib.import_module(f"{p}.{file}") for p in ("torch_ref", "jaxaccel"))
    own = functions_of(ours)
    mirrored = [name for name in functions_of(theirs) if name not in COUNTERPARTS]
    order = [name for name in own if name in mirrored]
    if not mirrored or order != mirrored:
        yield f"has {mirrored}, where jaxaccel has {order}"
    for name in order:
        found = arguments_of(getattr(theirs, name))
        names = [argument[0] for argument in found]
        expected = [a for a in arguments_of(own[name]) if a[0] not in OMITS or a[0] in names]
        if name == "newton_schulz":  # whose dtype is each package's own
            found, expected = found[:-1], expected[:-1]
        if found != expected:
            yield f"{name}{found} is not {expected}"


@pytest.mark.quick
def test_every_algorithm_has_a_mirror():
    """Of the optimizers and transforms: whatever has an ``_update_leaf``."""
    algorithms = {
        f"{room}.{path.stem}"
        for room in ("optimizers", "transforms")
        for path in (ROOT / "jaxaccel" / room).glob("_*.py")
        if "def _update_leaf(" in path.read_text()
    }
    assert len(algorithms) >= 17
    for file in algorithms:
        assert hasattr(importlib.import_module(f"torch_ref.{file}"), "_update_leaf"), file


def test_every_normalization_loss_and_initializer_has_a_mirror():
    files = {
        "functional": "batch_norm group_norm instance_norm layer_norm local_response_norm rms_norm "
        "*_loss cross_entropy kl_div binary_cross_entropy_with_logits",
        "init": "constant default dirac eye kaiming normal orthogonal sparse trunc_normal uniform "
        "xavier",
    }
    for room, patterns in files.items():
        for pattern in patterns.split():
            paths = list((ROOT / "jaxaccel" / room).glob(f"_{pattern}.py"))
            assert paths, pattern
            for path in paths:
                assert (ROOT / "torch_ref" / room / path.name).is_file(), path.name


def test_what_is_public():
    """What a PyTorch user runs; functions on tensors have the names of jaxaccel's."""
    assert torch_ref.optimizers.__all__ == ["Lookahead", "DiagonalNewton", "hessian_diagonal"]
    assert torch_ref.models.__all__ == jaxaccel.models.__all__
    for room in ("functional", "init", "transforms", "schedules", "precision", "parallel"):
        ours, theirs = getattr(jaxaccel, room).__all__, getattr(torch_ref, room).__all__
        assert theirs == [name for name in ours if name in theirs]
        assert set(theirs) <= set(ours)
    rooms = {path.parent.name for path in (ROOT / "torch_ref").glob("*/__init__.py")}
    assert rooms == set(torch_ref.__all__) <= set(jaxaccel.__all__)


def imports_of(path):
    """Return the names of the modules that a file imports."""
    nodes = [node for node in ast.walk(ast.parse(path.read_text())) if _is_import(node)]
    return {
        name
        for node in nodes
        for name in (
            [node.module, *(f"{node.module}.{alias.name}" for alias in node.names)]
            if isinstance(node, ast.ImportFrom)
            else [alias.name for alias in node.names]
        )
    }


def _is_import(node):
    return isinstance(node, (ast.Import, ast.ImportFrom))


def needs_torch(path):
    """Return whether a file of torch_ref does not run without PyTorch: by itself or by another."""
    imported = imports_of(path)
    inside = [ROOT / f"{name.replace('.', '/')}.py" for name in imported]
    return any(name.split(".")[0] == "torch" for name in imported) or any(
        needs_torch(other) for other in inside if other.is_file()
    )


def test_every_file_is_about_tensors():
    """SGD's arithmetic is that of tensors though it names no function of torch's: it uses one."""
    paths = sorted((ROOT / "torch_ref").rglob("_[a-z]*.py"))
    assert_no_faults((path.name, "runs without torch") for path in paths if not needs_torch(path))
    assert not needs_torch(ROOT / "jaxaccel" / "_names.py")


def test_it_is_small_and_not_in_the_wheel():
    lines = sum(len(path.read_text().splitlines()) for path in (ROOT / "torch_ref").rglob("*.py"))
    assert lines < 3900
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    assert project["tool"]["hatch"]["build"]["targets"]["wheel"]["packages"] == ["jaxaccel"]
