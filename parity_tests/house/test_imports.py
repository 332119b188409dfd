"""Who may import whom, what is imported at all, and how long it takes."""

import ast
import json
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
CORE = ("_types", "_math", "_tree", "_layout", "_checks")

MAY_IMPORT = {
    "_types": (),
    "_math": ("_types",),
    "_tree": ("_types", "_math"),
    "_layout": ("_types",),
    "_checks": ("_types", "_math"),
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
    "data": (*CORE, "random"),
    "training": (*CORE, "transforms", "optimizers", "schedules", "nn", "precision", "parallel"),
}
"""Room -> rooms that it may import. A new room is added here, on purpose."""

DEPENDENCIES = {"jaxaccel": {"jax", "flax", "optax", "numpy"}, "torch_ref": {"torch"}}
OPTIONAL = {"jaxaccel": {"rich", "matplotlib"}, "torch_ref": set()}
"""Packages of an extra, imported inside the function that uses them."""

FILES = [path for package in DEPENDENCIES for path in sorted((ROOT / package).rglob("*.py"))]
files = pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(ROOT)))


def imports(path, top_level_only=False):
    """Yield (module, line) of every import statement of a file."""
    tree = ast.parse(path.read_text())
    inside = {
        id(node)
        for function in ast.walk(tree)
        if isinstance(function, ast.FunctionDef)
        for node in ast.walk(function)
    }
    for node in ast.walk(tree):
        if top_level_only and id(node) in inside:
            continue
        if isinstance(node, ast.Import):
            yield from ((alias.name, node.lineno) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}:{node.lineno}: imports are absolute"
            yield node.module, node.lineno


def room_of(path):
    """Return the room that a file belongs to, or None for the package's own ``__init__``."""
    parts = path.relative_to(ROOT).with_suffix("").parts[1:]
    return None if parts == ("__init__",) else parts[0]


@files
def test_rooms_import_only_what_is_below_them(path):
    package, room = path.relative_to(ROOT).parts[0], room_of(path)
    if room is None:
        return
    for module, line in imports(path):
        first, *rest = module.split(".")
        if first != package or not rest or rest[0] == room:
            continue
        assert rest[0] in MAY_IMPORT[room], f"{path.name}:{line}: {room} imports {rest[0]}"
        assert len(rest) == 1, f"{path.name}:{line}: {module} is private to its room"


@files
def test_packages_import_only_their_dependencies(path):
    package = path.relative_to(ROOT).parts[0]
    allowed = DEPENDENCIES[package] | {package} | set(sys.stdlib_module_names)
    for module, line in imports(path, top_level_only=True):
        assert module.split(".")[0] in allowed, f"{path.name}:{line} imports {module}"
    for module, line in imports(path):
        assert module.split(".")[0] in allowed | OPTIONAL[package], f"{path.name}:{line}: {module}"


@files
def test_files_are_private_and_packages_are_two_levels_deep(path):
    parts = path.relative_to(ROOT).parts
    assert len(parts) <= 3
    assert path.name.startswith("_")
    lines = path.read_text().count("\n")
    assert lines <= 300, f"{path.name} has {lines} lines: does it hold two concepts?"


@pytest.mark.parametrize(
    "path", sorted((ROOT / "jaxaccel").rglob("__init__.py")), ids=lambda path: path.parent.name
)
def test_init_files_only_import_names(path):
    """Rooms: a docstring, imports and ``__all__``, in step with each other."""
    body = ast.parse(path.read_text()).body
    if path.parent.name == "jaxaccel":
        return
    docstring, *statements, exported = body
    assert isinstance(docstring, ast.Expr)
    assert all(isinstance(statement, ast.ImportFrom) for statement in statements)
    imported = [alias.name for statement in statements for alias in statement.names]
    assert isinstance(exported, ast.Assign)
    assert sorted(ast.literal_eval(exported.value)) == sorted(imported)


def run_python(code):
    """Run code in a fresh interpreter and return the JSON that it prints."""
    command = [sys.executable, "-c", code]
    return json.loads(subprocess.run(command, capture_output=True, text=True, check=True).stdout)


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
    runs = [run_python(MEASURE) for _ in range(5)]
    for name in runs[0][0]:
        assert min(seconds[name] for seconds, _ in runs) < 0.1, name
    brought = set(runs[0][1]) - set(sys.stdlib_module_names)
    assert brought == {"jaxaccel"}


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
