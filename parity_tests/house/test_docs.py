"""Docstrings and documents: complete, in one order, and true when they are run."""

import ast
import functools
import importlib
import importlib.util
import inspect
import json
import os
import pkgutil
import re
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest
from flax import nnx

import jaxaccel
from parity_tests import tolerances

ROOT = Path(__file__).parents[2]
PAGES = {"README": ROOT / "README.md"} | {p.stem: p for p in sorted((ROOT / "docs").glob("*.md"))}
MODULES = sorted(
    [jaxaccel.__name__]
    + [module.name for module in pkgutil.walk_packages(jaxaccel.__path__, "jaxaccel.")]
)
PUBLIC = {
    f"{room}.{name}": getattr(importlib.import_module(f"jaxaccel.{room}"), name)
    for room in jaxaccel.__all__
    for name in importlib.import_module(f"jaxaccel.{room}").__all__
}

SECTIONS = ("Args", "Returns", "Raises", "PyTorch", "Example", "References")
REQUIRED = {
    "function": ("Returns", "PyTorch", "Example"),
    "layer": ("PyTorch", "Example"),
    "class": ("PyTorch", "Example"),  # and each of its methods as a function
    "value": (),  # a NamedTuple: a docstring for every field, or Args
}
"""Besides Args, which must be there whenever there are parameters. A function without a
counterpart in PyTorch says so under PyTorch."""

PAGES_THAT_SHOW_CODE = ("README", "index", "contributing")
FENCES = ("python", "pycon", "console", "text", "{toctree}")
"""What a code block may be: the first two are run."""

MACHINE_PATH = re.compile(r"(?<![\w.~])/(?:work|opt|tmp|home|root|usr|mnt|Users)/")


def load_extension(name):
    """Return a module of ``docs/_ext``."""
    spec = importlib.util.spec_from_file_location(name, ROOT / "docs" / "_ext" / f"{name}.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def run_by_a_user(script, *arguments):
    """Run Python in a fresh process with JAX's default flags; return what it prints."""
    env = {k: v for k, v in os.environ.items() if not k.startswith(("JAX_", "XLA_"))}
    done = subprocess.run(
        [sys.executable, *script, *arguments],
        cwd=ROOT,
        env=env | {"JAX_PLATFORMS": "cpu"},
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


# --- docstrings: sections -----------------------------------------------------------------------


def kind_of(value):
    """Return the kind of a public name: a key of REQUIRED."""
    if not inspect.isclass(value):
        return "function"
    if issubclass(value, nnx.Module):
        return "layer"
    if value is jaxaccel.random.Generator:
        return "class"
    assert hasattr(value, "_fields"), f"{value} is neither a function, a layer nor a NamedTuple"
    return "value"


def parameters_of(value):
    """Return the names of the parameters, in order."""
    call = value.__init__ if kind_of(value) == "layer" else value
    if call is object.__init__:
        return []  # a layer without arguments has no constructor of its own
    return [name for name in inspect.signature(call).parameters if name != "self"]


def sections_of(text):
    """Return the parts of a docstring as (heading, lines); the first has the heading ""."""
    parts = [("", [])]
    for line in text.splitlines():
        if match := re.fullmatch(r"([A-Z]\w*):", line):
            parts.append((match[1], []))
        else:
            parts[-1][1].append(line)
    return parts


def documented_arguments(lines):
    """Return {name: text} of an Args section; deeper lines go on with a text."""
    entries = {}
    for line in lines:
        if match := re.match(r"    (\*{0,2}\w+):(?: (.*))?$", line):
            name = match[1].lstrip("*")
            entries[name] = match[2] or ""
        elif line.strip() and entries:
            assert line.startswith("        "), f"not an entry of Args: {line!r}"
            entries[name] += line
    return entries


def faults(kind, parameters, text):
    """Return what is wrong with a docstring, in words."""
    parts = sections_of(inspect.cleandoc(text or ""))
    headings = [heading for heading, _ in parts[1:]]
    sections = dict(parts)
    summary, *rest = sections[""] or [""]
    found = []
    if not summary.endswith(".") or (rest and rest[0]):
        found.append(f"the first line is no sentence by itself: {summary!r}")
    found += [f"unknown section {heading}" for heading in headings if heading not in SECTIONS]
    if headings != [heading for heading in SECTIONS if heading in headings]:
        found.append(f"sections out of order: {headings}")
    found += [f"no section {h}" for h in REQUIRED[kind] if h not in headings]
    found += [f"section {h} is empty" for h, lines in parts if not "".join(lines).strip()]
    for heading, lines in parts[1:]:
        if any(line.strip().startswith(".. math::") for line in lines):
            found.append(f".. math:: belongs before the sections, not under {heading}")
    if "Args" in sections or (parameters and kind != "value"):
        arguments = documented_arguments(sections.get("Args", []))
        if list(arguments) != parameters:
            found.append(f"Args {list(arguments)} are not the parameters {parameters}")
        found += [f"{name} has no text" for name, meaning in arguments.items() if not meaning]
    if "Example" in sections:
        prompts = [line for line in sections["Example"] if line.strip().startswith(">>> ")]
        output = [line for line in sections["Example"] if re.match(r"    (?!>>>|\.\.\.)\S", line)]
        if not prompts or not output:
            found.append("the Example prints nothing")
    return found


def documented_fields(cls):
    """Return the fields of a NamedTuple that have a docstring under them."""
    (node,) = ast.parse(textwrap.dedent(inspect.getsource(cls))).body
    return [
        field.target.id
        for field, after in zip(node.body, node.body[1:], strict=False)
        if isinstance(field, ast.AnnAssign)
        and isinstance(after, ast.Expr)
        and isinstance(after.value, ast.Constant)
        and after.value.value.strip()
    ]


@pytest.mark.parametrize("name", PUBLIC)
def test_the_docstring_is_complete_and_in_order(name):
    value = PUBLIC[name]
    assert not faults(kind_of(value), parameters_of(value), value.__doc__)


@pytest.mark.parametrize("name", [n for n in vars(jaxaccel.random.Generator) if n[0] != "_"])
def test_the_docstring_of_a_method_is_complete_and_in_order(name):
    method = getattr(jaxaccel.random.Generator, name)
    assert not faults("function", [*inspect.signature(method).parameters][1:], method.__doc__)


@pytest.mark.parametrize("name", [n for n, value in PUBLIC.items() if kind_of(value) == "value"])
def test_every_field_is_explained(name):
    value = PUBLIC[name]
    in_args = documented_arguments(dict(sections_of(inspect.getdoc(value))).get("Args", []))
    assert [*in_args] == [*value._fields] or documented_fields(value) == [*value._fields]


COMPLETE = """Return a number.

    It may be any.

    .. math::
        y = x

    Args:
        x: A number.
        scale: Another,
            above 0.

    Returns:
        A number.

    Raises:
        ValueError: It is none.

    PyTorch:
        ``torch.clone``.

    Example:
        >>> 2 - 1
        1

    References:
        Euclid. Elements.
    """


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("a number.\n\n    It", "a number, or\n    It"),
        ("Return a number.", "Return a number"),
        ("    PyTorch:\n        ``torch.clone``.\n\n", ""),
        ("    Returns:\n        A number.\n\n", ""),
        ("    Example:\n        >>> 2 - 1\n        1\n\n", ""),
        ("        >>> 2 - 1\n        1\n", "        >>> x = 1\n"),
        ("        >>> 2 - 1\n        1\n", "        See the tutorial.\n"),
        ("        x: A number.\n", ""),
        ("x: A number.", "x:"),
        ("        scale: Another,\n", "        factor: Another,\n"),
        ("        scale: Another,\n", "        size: Another,\n        scale: Another,\n"),
        ("Returns:", "Yields:"),
        ("Raises:", "PyTorch:"),
        ("Example:", "Examples:"),
        ("        A number.\n", "        A number.\n\n        .. math:: y\n"),
        ("        ValueError: It is none.\n", ""),
    ],
)
def test_a_faulty_docstring_is_seen(old, new):
    assert not faults("function", ["x", "scale"], COMPLETE)
    assert old in COMPLETE
    assert faults("function", ["x", "scale"], COMPLETE.replace(old, new))


def test_arguments_out_of_order_are_seen():
    assert faults("function", ["scale", "x"], COMPLETE)


@pytest.mark.parametrize("name", MODULES)
def test_the_module_and_what_it_shows_to_others_have_docstrings(name):
    tree = ast.parse(inspect.getsource(importlib.import_module(name)))
    definitions = [
        node
        for outer in (tree, *(node for node in tree.body if isinstance(node, ast.ClassDef)))
        for node in outer.body
        if isinstance(node, (ast.FunctionDef, ast.ClassDef)) and not node.name.startswith("_")
    ]
    missing = [node.name for node in definitions if not ast.get_docstring(node)]
    assert ast.get_docstring(tree)
    assert not missing


# --- examples -----------------------------------------------------------------------------------

DOCTESTS = """
import doctest, importlib, json, sys, warnings

import jaxaccel, flax.nnx, jax.numpy

warnings.simplefilter("error")
reports = {}
for name in sys.argv[1:]:
    module, report = importlib.import_module(name), []
    for test in doctest.DocTestFinder(exclude_empty=True).find(module, globs={}):
        doctest.DocTestRunner(verbose=False).run(test, out=report.append)
    reports[name] = "".join(report)
print(json.dumps(reports))
"""
"""Examples see no names but those that they import: a reader can paste them."""


@functools.cache
def doctest_reports():
    """Return {module: what its doctests complain about}."""
    return json.loads(run_by_a_user(("-c", DOCTESTS), *MODULES).splitlines()[-1])


@pytest.mark.parametrize("name", MODULES)
def test_examples_print_what_they_say_with_default_flags(name):
    report = doctest_reports()[name]
    assert not report, report


BLOCKS = """
import doctest, json, sys, warnings

warnings.simplefilter("error")
names, report = {"__name__": "page"}, []
for kind, line, code in json.loads(sys.argv[1]):
    if kind == "python":
        exec(compile("\\n" * line + code, "<page>", "exec"), names)
    else:
        test = doctest.DocTestParser().get_doctest(code, names, "page", "<page>", line)
        doctest.DocTestRunner(verbose=False).run(test, out=report.append, clear_globs=False)
        names.update(test.globs)
sys.exit("".join(report) or 0)
"""


def code_blocks(text):
    """Return (kind, line before the first, code) of every fenced block of a page."""
    fenced = re.compile(r"^```([^\n`]*)\n(.*?)^```$", re.DOTALL | re.MULTILINE)
    return [(m[1], text[: m.start(2)].count("\n"), m[2]) for m in fenced.finditer(text)]


def run_blocks(text):
    """Run a page's Python from top to bottom, in one namespace."""
    blocks = [block for block in code_blocks(text) if block[0] in ("python", "pycon")]
    run_by_a_user(("-c", BLOCKS), json.dumps(blocks))
    return blocks


@pytest.mark.parametrize("page", PAGES)
def test_the_pages_python_runs(page):
    text = PAGES[page].read_text(encoding="utf-8")
    has_code = any(kind in ("python", "pycon") for kind, *_ in code_blocks(text))
    assert has_code or page not in PAGES_THAT_SHOW_CODE
    if has_code:
        run_blocks(text)


@pytest.mark.parametrize(
    "block",
    ["```python\nx = undefined\n```\n", "```pycon\n>>> 1 + 1\n3\n```\n"],
)
def test_a_faulty_block_is_seen(block):
    with pytest.raises(AssertionError, match=r"undefined|Expected:\s+3"):
        run_blocks("```python\nx = 1\n```\n" + block)


@pytest.mark.parametrize("page", PAGES)
def test_no_block_escapes_by_its_name(page):
    text = PAGES[page].read_text(encoding="utf-8")
    assert {kind for kind, *_ in code_blocks(text)} <= {*FENCES}
    assert text.count("```") == 2 * len(code_blocks(text))


# --- pages --------------------------------------------------------------------------------------


@pytest.mark.parametrize("page", PAGES)
def test_no_private_or_machine_path_is_shown(page):
    names = load_extension("public_names")
    text = PAGES[page].read_text(encoding="utf-8")
    assert not MACHINE_PATH.findall(text)
    if page not in names.FOR_CONTRIBUTORS:
        assert not names.PRIVATE.findall(text)


@pytest.mark.parametrize("text", ["jaxaccel.optimizers._adam.adam", "`torch_ref._math`"])
def test_a_private_path_would_be_seen(text):
    assert load_extension("public_names").PRIVATE.findall(text)


def test_the_readmes_parity_table_is_current():
    """When it is not: ``python docs/_ext/parity_table.py``."""
    readme = PAGES["README"].read_text(encoding="utf-8")
    assert load_extension("parity_table").with_table(readme, "README.md") == readme


def test_the_parity_table_has_every_function_of_the_rows():
    table = load_extension("parity_table").parity_table()
    rows = re.findall(r"^\| `([\w.]+)` \|.*\| (\d+) \|", table, re.MULTILINE)
    assert len(rows) == len(dict(rows)) == len(table.splitlines()) - 2
    assert set(dict(rows)) <= set(PUBLIC)
    assert all(int(count) for count in dict(rows).values())
    assert "``" not in table  # every row has a judge


def distances(text):
    """Return {(PyTorch, usual way): (its distance, ours)} of a table of distances."""
    row = re.compile(r"^\| `(.*)` \| (.*) \| (\S+e\S+) \| (\S+e\S+) \|$", re.MULTILINE)
    found = [((m[1], m[2]), (float(m[3]), float(m[4]))) for m in row.finditer(text)]
    assert found
    assert len(dict(found)) == len(found)
    return dict(found)


def test_the_quoted_distances_are_what_the_script_measures():
    quoted = distances(PAGES["semantics"].read_text(encoding="utf-8"))
    script = ROOT / "examples" / "benchmarks" / "distance_from_optax.py"
    measured = distances(run_by_a_user((str(script),)))
    assert list(measured) == list(quoted)
    for row, pair in measured.items():
        for value, claim in zip(pair, quoted[row], strict=True):
            limit = tolerances.QUOTED_FACTOR * claim + tolerances.FLOAT64_OF_PATH
            assert value <= limit, (row, value, claim)
            if claim > tolerances.QUOTED_AS_FAR:
                assert value >= claim / tolerances.QUOTED_FACTOR, (row, value, claim)
