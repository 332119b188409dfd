"""Who may import whom, what is imported at all, and how long it takes."""

import ast
import functools
import json
import re
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import NamedTuple

import pytest

from parity_tests.harness.errors import assert_no_faults

ROOT = Path(__file__).parents[2]
CORE = (
    "_types",
    "_arrays",
    "_uncalled",
    "_functions",
    "_keys",
    "_math",
    "_gradient",
    "_equations",
    "_spread",
    "_untraceable",
    "_weight_map",
    "_tracing",
    "_filled",
    "_tree",
    "_donated",
    "_check_trees",
    "_returned",
    "_counts",
    "_packed",
    "_check_packed",
    "_selectors",
    "_layout",
    "_checks",
    "_spatial",
    "_reversed_windows",
    "_shapes",
    "_rows",
    "_processes",
    "_call_repr",
    "_names",
    "_stacked",
    "_named_arrays",
    "_host_arrays",
    "_kinds",
    "_annotations",
    "_remedies",
    "_traced_numbers",
    "_refused_calls",
    "_operations",
    "_checked",
    "_meshes",
    "_lowering",
    "_hlo",
    "_text_table",
    "_progress",
    "_epoch_batches",
    "_named_gradients",
)

MAY_IMPORT = {
    "_uncalled": (),
    "_functions": ("_uncalled",),
    "_keys": (),
    "_arrays": (),
    "_types": ("_arrays", "_keys"),
    "_untraceable": (),
    "_math": ("_types", "_functions", "_untraceable"),
    "_gradient": ("_math",),
    "_equations": (),
    "_spread": ("_types", "_tree"),
    "_weight_map": ("_math", "_gradient"),
    "_tracing": (),
    "_filled": ("_tracing",),
    "_tree": ("_types", "_math", "_filled"),
    "_donated": ("_tree",),
    "_check_trees": ("_arrays", "_tree", "_donated"),
    "_returned": ("_types", "_tree", "_check_trees", "_spread"),
    "_counts": ("_types", "_tree"),
    "_packed": ("_tree", "_donated", "_check_trees"),
    "_check_packed": ("_tree", "_packed"),
    "_selectors": (
        *("_functions", "_tree", "_packed", "_check_packed", "_named_arrays"),
        "_stacked",
    ),
    "_layout": ("_types", "_functions"),
    "_rows": ("_types", "_math", "_tree", "_checks"),
    "_processes": ("_keys",),
    "_checks": ("_types", "_functions", "_math"),
    "_spatial": ("_checks",),
    "_reversed_windows": ("_spatial",),
    "_shapes": ("_checks",),
    "_call_repr": ("_tree", "_uncalled"),
    "_names": (),
    "_stacked": ("_tree",),
    "_named_arrays": ("_layout", "_tree", "_stacked"),
    "_host_arrays": (),
    "_kinds": ("_arrays", "_functions", "_math", "_checks"),
    "_annotations": ("_arrays", "_types", "_kinds"),
    "_remedies": ("_arrays", "_uncalled"),
    "_traced_numbers": ("_kinds", "_call_repr"),
    "_refused_calls": ("_kinds", "_remedies", "_call_repr", "_uncalled"),
    "_operations": ("_gradient",),
    "_meshes": (),
    "_progress": (),
    "_epoch_batches": ("_functions", "_rows"),
    "_lowering": ("_meshes",),
    "_hlo": (),
    "_text_table": (),
    "_named_gradients": ("_tree",),
    "_checked": (
        *("_kinds", "_annotations", "_donated", "_refused_calls", "_traced_numbers"),
        "_operations",
    ),
    "optimizers": CORE,
    "schedules": CORE,
    "transforms": CORE,
    "init": CORE,
    "random": CORE,
    "functional": CORE,
    "nn": (*CORE, "init", "random", "functional"),
    "models": (*CORE, "init", "nn", "functional"),
    "precision": CORE,
    "parallel": CORE,
    "aot": CORE,
    "memory": (*CORE, "aot"),
    "__main__": (*CORE, "aot", "parallel"),
    "data": (*CORE, "random"),
    "training": (
        *(*CORE, "transforms", "optimizers", "schedules", "nn", "precision", "parallel", "random"),
    ),
    "tuning": (
        *(*CORE, "transforms", "optimizers", "schedules", "init", "random", "functional", "nn"),
        *("models", "precision", "memory", "parallel", "aot", "data", "training", "interop"),
    ),
    "interop": (
        *(*CORE, "optimizers", "schedules", "nn", "precision", "memory", "parallel"),
        "training",
    ),
    "monitoring": (
        *(*CORE, "transforms", "optimizers", "schedules", "init", "random", "functional", "nn"),
        *("models", "precision", "memory", "parallel", "aot", "data", "training", "interop"),
    ),
}
"""Room -> rooms that it may import. A new room is added here, on purpose."""

DEPENDENCIES = {"jaxaccel": {"jax", "flax", "optax", "numpy"}, "torch_ref": {"torch"}}
OPTIONAL = {
    "jaxaccel": {"rich", "matplotlib", "tyro", "yaml", "orbax", "safetensors"},
    "torch_ref": set(),
}
"""Packages of an extra, imported inside the function that uses them."""

FILES = {
    path.relative_to(ROOT): path.read_text()
    for package in DEPENDENCIES
    for path in sorted((ROOT / package).rglob("*.py"))
}
LONGEST = 300
"""Lines of a file; past 200 it is asked whether it holds two concepts."""


class Import(NamedTuple):
    """An imported module (dots before it where it is relative), its line, and where it stands."""

    module: str
    line: int
    in_function: bool


@functools.cache
def imports(path):
    """Return every import statement of a file."""
    found = []

    def walk(node, in_function):
        if isinstance(node, ast.Import):
            found.extend(Import(alias.name, node.lineno, in_function) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            module = "." * node.level + (node.module or "")
            found.append(Import(module, node.lineno, in_function))
        in_function = in_function or isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef))
        for child in ast.iter_child_nodes(node):
            walk(child, in_function)

    walk(ast.parse(FILES[path]), False)
    return found


def room_of(path):
    """Return the room that a file belongs to, or None for the package's own ``__init__``."""
    parts = path.with_suffix("").parts[1:]
    return None if parts == ("__init__",) else parts[0]


def breaches(path):
    """Yield what a file imports that its room may not."""
    package, room = path.parts[0], room_of(path)
    for module, line, _ in imports(path):
        first, *rest = module.split(".")
        if first == "":
            yield f"{path}:{line}", "imports are absolute"
        if room is None or first != package or not rest or rest[0] == room:
            continue
        if rest[0] not in MAY_IMPORT.get(room, ()):
            yield f"{path}:{line}", f"{room} imports {rest[0]}"
        if len(rest) > 1:
            yield f"{path}:{line}", f"{module} is private to its room"


@pytest.mark.quick
def test_rooms_import_only_what_is_below_them():
    assert_no_faults(fault for path in FILES for fault in breaches(path))


def strangers(path):
    """Yield what a file imports that its package does not depend on."""
    package = path.parts[0]
    always = DEPENDENCIES[package] | {package} | set(sys.stdlib_module_names)
    for module, line, in_function in imports(path):
        allowed = always | OPTIONAL[package] if in_function else always
        if module.split(".")[0] not in allowed:
            yield f"{path}:{line}", f"imports {module}"


@pytest.mark.quick
def test_packages_import_only_their_dependencies():
    assert_no_faults(fault for path in FILES for fault in strangers(path))


TESTS = {
    path.relative_to(ROOT): path.read_text()
    for path in sorted((ROOT / "parity_tests").rglob("test_*.py"))
}


def imported_tests(path, text):
    """Yield which tests a test imports: what two share is in the harness or among the rows."""
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.ImportFrom):
            named = [f"{node.module}.{alias.name}" for alias in node.names]
        elif isinstance(node, ast.Import):
            named = [alias.name for alias in node.names]
        else:
            continue
        for name in named:
            modules = [part for part in name.split(".")[:3] if part.startswith("test_")]
            if name.startswith("parity_tests.") and modules:
                yield f"{path}:{node.lineno}", f"imports {modules[0]}"


@pytest.mark.quick
def test_tests_import_no_other_tests():
    """Only the planted bugs run tests of other files."""
    others = {path: text for path, text in TESTS.items() if path.name != "test_mutants.py"}
    assert_no_faults(fault for each in others.items() for fault in imported_tests(*each))
    for text in (
        "from parity_tests.nn.test_conv import x",
        "from parity_tests.nn import rows_conv, test_conv",
        "def f():\n    import parity_tests.nn.test_conv",
    ):
        assert [what for _, what in imported_tests("a", text)] == ["imports test_conv"], text


def untidy(path):
    """Yield what is wrong with a file's place, name or length."""
    if len(path.parts) > 3:
        yield path, "packages are two levels deep"
    if not path.name.startswith("_"):
        yield path, "files are private"
    if (lines := FILES[path].count("\n")) > LONGEST:
        yield path, f"{lines} lines: does it hold two concepts?"


@pytest.mark.quick
def test_files_are_private_short_and_two_levels_deep():
    assert_no_faults(fault for path in FILES for fault in untidy(path))


def more_than_names(path):
    """Yield what a room's ``__init__`` holds besides a docstring, imports and ``__all__``.

    Its last line is ``teach(__name__)``, which answers wrong names.
    """
    docstring, *statements, exported, last = ast.parse(FILES[path]).body
    if ast.unparse(last) != "teach(__name__)":
        yield path, "teach(__name__) is not the last line"
    if not isinstance(docstring, ast.Expr):
        yield path, "no docstring"
    if not all(isinstance(statement, ast.ImportFrom) for statement in statements):
        yield path, "more than imports"
    imported = [alias.name for node in statements for alias in getattr(node, "names", ())]
    if not isinstance(exported, ast.Assign):
        yield path, "__all__ is not the last statement but one"
    elif sorted([*ast.literal_eval(exported.value), "teach"]) != sorted(imported):
        yield path, "__all__ is not what is imported"


@pytest.mark.quick
def test_init_files_only_import_names():
    rooms = [path for path in FILES if path.parts[0] == "jaxaccel" and len(path.parts) == 3]
    inits = [path for path in rooms if path.name == "__init__.py"]
    assert inits
    assert_no_faults(fault for path in inits for fault in more_than_names(path))


TEACH = "teach(__name__)\n"
BREACHES = {
    ("jaxaccel/nn/_a.py", "from jaxaccel.models import x"): "nn imports models",
    ("jaxaccel/nn/_a.py", "from jaxaccel.init._draw import x"): "private to its room",
    ("jaxaccel/nn/_a.py", "from . import x"): "imports are absolute",
    ("jaxaccel/nn/_a.py", "import torch"): "imports torch",
    ("jaxaccel/nn/_a.py", "import rich"): "imports rich",
    ("jaxaccel/nn/deep/_a.py", ""): "two levels deep",
    ("jaxaccel/nn/a.py", ""): "files are private",
    ("jaxaccel/nn/_a.py", "x = 1\n" * 301): "301 lines",
    ("jaxaccel/a/__init__.py", f"'Room.'\nx = 1\n__all__ = []\n{TEACH}"): "more than imports",
    ("jaxaccel/a/__init__.py", f"'Room.'\nfrom b import c\n__all__ = []\n{TEACH}"): (
        "not what is imported"
    ),
    ("jaxaccel/a/__init__.py", f"'Room.'\nfrom b import c\n{TEACH}"): "not the last statement",
    ("jaxaccel/a/__init__.py", "'Room.'\nfrom b import c\n__all__ = ['c']\n"): "teach(__name__)",
}


def test_every_kind_of_breach_is_seen(monkeypatch):
    for (name, text), fault in BREACHES.items():
        path = Path(name)
        monkeypatch.setitem(FILES, path, text)
        imports.cache_clear()
        found = [*breaches(path), *strangers(path), *untidy(path)]
        if path.name == "__init__.py":
            found += more_than_names(path)
        assert any(fault in what for _, what in found), (name, text, found)
        monkeypatch.undo()
    imports.cache_clear()


def run_python(code):
    """Run code in a fresh interpreter and return the JSON that it prints."""
    command = [sys.executable, "-c", code]  # which finds what is in the working directory
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    return json.loads(done.stdout)


MEASURE = """
import sys, time, json
import jax, flax.nnx, optax
before, start, seconds = set(sys.modules), time.process_time(), {}
import jaxaccel
seconds["jaxaccel"] = time.process_time() - start
for room in jaxaccel.__all__:
    start = time.process_time()
    getattr(jaxaccel, room)
    seconds[room] = time.process_time() - start
print(json.dumps([seconds, sorted({m.split(".")[0] for m in set(sys.modules) - before})]))
"""


def test_import_is_fast_and_brings_nothing_else():
    """Under 0.1 s of CPU beyond jax, flax and optax, and so each room (the best of five)."""
    best = {}
    for _ in range(5):
        seconds, modules = run_python(MEASURE)
        best = {name: min(own, best.get(name, own)) for name, own in seconds.items()}
        if max(best.values()) < 0.1:
            break
    assert not {name: own for name, own in best.items() if own >= 0.1}
    assert set(modules) - set(sys.stdlib_module_names) == {"jaxaccel"}


READ_ROWS = """
import importlib.abc, json, sys

class Refuse(importlib.abc.MetaPathFinder):
    def find_spec(self, name, path, target=None):
        if name.split(".")[0] in REFUSED:
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)

sys.meta_path.insert(0, Refuse())
from parity_tests.registry import rows
print(json.dumps(len(rows())))
"""


@pytest.mark.quick
def test_rows_are_data_that_need_no_package_of_the_tests():
    """The documentation reads them, where neither PyTorch nor pytest is installed."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    wanted = project["optional-dependencies"]["test"]
    refused = {re.match(r"[\w-]+", line)[0].replace("-", "_") for line in wanted}
    assert {"torch", "pytest"} <= refused
    refused -= {"rich", "jax"}  # flax imports the one; the other is jax[tpu]
    assert run_python(f"REFUSED = {refused!r}\n{READ_ROWS}") > 1000


def test_import_does_not_start_a_backend_or_change_the_configuration():
    """No device is touched, no flag set, until the user does."""
    untouched = run_python(
        "import json, jax; values = dict(jax.config.values)\n"
        "import jaxaccel\n"
        "for room in jaxaccel.__all__: getattr(jaxaccel, room)\n"
        "from jax._src import xla_bridge\n"
        "print(json.dumps(not xla_bridge.backends_are_initialized() "
        "and dict(jax.config.values) == values))"
    )
    assert untouched is True
