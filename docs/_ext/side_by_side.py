"""The directive ``side-by-side``: a room's algorithms in JAX and in PyTorch, in two columns."""

from __future__ import annotations

import ast
import difflib
import re
from importlib import import_module
from pathlib import Path
from typing import Any, ClassVar

from docutils import nodes
from docutils.parsers.rst import Directive
from sphinx.application import Sphinx

ROOT = Path(__file__).resolve().parents[2]
STYLES = "side_by_side.css"

Node = ast.FunctionDef | ast.ClassDef

SAME = [
    (r"\b(jnp|jax\.nn|torch|F)\.", "xp."),
    (r"\b(jax\.Array|Tensor)\b", "Array"),
    (r"\.astype\(", ".to("),
    (r"\bkeepdims=", "keepdim="),
    (r"\blog_sigmoid\(", "logsigmoid("),
    (r"\btensor(s?)\b", r"array\1"),
]
"""What the two packages call differently, and nothing more."""


def setup(app: Sphinx) -> dict[str, Any]:
    """Register the directive, and the styles of the pages that use it."""
    app.add_directive("side-by-side", SideBySide)
    app.connect("config-inited", _find_styles)
    app.connect("html-page-context", _add_styles)
    return {"parallel_read_safe": True}


def _find_styles(app: Sphinx, config: Any) -> None:
    """Let the folder of styles be copied."""
    del app
    if "_static" not in config.html_static_path:
        config.html_static_path = [*config.html_static_path, "_static"]


def _add_styles(app: Sphinx, page: str, template: str, context: Any, doctree: Any) -> None:
    """Load the styles where there are two columns."""
    del page, template, context
    if doctree is not None and doctree.next_node(_is_pair) is not None:
        app.add_css_file(STYLES)


def _is_pair(node: nodes.Node) -> bool:
    return isinstance(node, nodes.container) and "side-by-side" in node["classes"]


class SideBySide(Directive):
    """A section for each file that the room has in both packages, public algorithms first."""

    required_arguments = 1
    option_spec: ClassVar = {}

    def run(self) -> list[nodes.Node]:
        """Return the sections."""
        room = self.arguments[0]
        public = set(import_module(f"jaxaccel.{room}").__all__)
        files = []
        for path in sorted((ROOT / "torch_ref" / room).glob("_*.py")):
            if path.stem != "__init__":
                theirs, ours = _definitions(path), _definitions(_beside(path))
                files.append((not public & set(ours), path, ours, theirs))
        files.sort(key=lambda file: file[0])
        env = self.state.document.settings.env
        for _, path, _, _ in files:
            env.note_dependency(str(path))
            env.note_dependency(str(_beside(path)))
        sections = [_section(room, path, ours, theirs) for _, path, ours, theirs in files]
        return [_links(sections), *sections]


def _links(sections: list[nodes.section]) -> nodes.paragraph:
    """Return a line of links to sections."""
    links = nodes.paragraph(classes=["side-by-side-links"])
    for section in sections:
        title, (target, *_) = section[0].astext(), section["ids"]
        links += [nodes.reference("", title, refid=target, internal=True), nodes.Text(" ")]
    return links


def _beside(path: Path) -> Path:
    """Return jaxaccel's file beside one of torch_ref."""
    return ROOT / "jaxaccel" / path.relative_to(ROOT / "torch_ref")


def _definitions(path: Path) -> dict[str, tuple[Node, str]]:
    """Return the functions and classes of a file, each with its source."""
    text = path.read_text()
    lines = text.splitlines()
    found = {}
    for node in ast.parse(text).body:
        if isinstance(node, Node):
            first = min([node.lineno, *(each.lineno for each in node.decorator_list)])
            found[node.name] = (node, "\n".join(_shortened(node, lines, first)))
    return found


def _shortened(node: Node, lines: list[str], first: int) -> list[str]:
    """Return the lines of a function; of its docstring the summary alone."""
    start = node.body[0]
    is_text = isinstance(start, ast.Expr) and isinstance(start.value, ast.Constant)
    if isinstance(node, ast.ClassDef) or not is_text or start.end_lineno == start.lineno:
        return lines[first - 1 : node.end_lineno]
    summary = lines[start.lineno - 1].rstrip() + '"""'
    summary = re.sub(r'^(\s*)r"""', r'\1"""', summary)
    return [
        *lines[first - 1 : start.lineno - 1],
        summary,
        *lines[start.end_lineno : node.end_lineno],
    ]


def _section(room: str, path: Path, ours: Any, theirs: Any) -> nodes.section:
    """Return the section of one file: its pairs, then what only torch_ref has."""
    name = path.stem.removeprefix("_")
    section = nodes.section(ids=[nodes.make_id(f"{room}-{name}")], names=[f"{room} {name}"])
    section += nodes.title("", name)
    summary = ast.get_docstring(ast.parse(path.read_text())) or ""
    section += nodes.paragraph("", summary.split("\n\n")[0].replace("\n", " "))
    columns = nodes.container(classes=["side-by-side", "side-by-side-names"])
    for file in (_beside(path), path):
        relative = str(file.relative_to(ROOT))
        columns += nodes.container("", nodes.literal(relative, relative))
    section += columns
    both = {name: source for name, (_, source) in theirs.items() if name in ours}
    for name, source in both.items():
        if isinstance(theirs[name][0], ast.FunctionDef):
            section += _pair(ours[name][1], source)
    for name, (_, source) in theirs.items():
        if name not in both:
            section += nodes.container("", _code(source, []), classes=["side-by-side"])
    return section


def _pair(left: str, right: str) -> nodes.container:
    """Return two sources in two columns; marked are lines that differ in more than names."""
    columns = nodes.container(classes=["side-by-side"])
    sides = zip(("jaxaccel", "torch_ref"), (left, right), _different(left, right), strict=True)
    for package, source, marked in sides:
        # For narrow screens, where the columns have no heads.
        label = nodes.paragraph("", package, classes=["side-by-side-label"])
        columns += nodes.container("", label, _code(source, marked))
    return columns


def _code(source: str, marked: list[int]) -> nodes.literal_block:
    """Return a block of Python with marked lines."""
    block = nodes.literal_block(source, source, language="python")
    block["highlight_args"] = {"hl_lines": marked}
    return block


def _different(left: str, right: str) -> tuple[list[int], list[int]]:
    """Return the numbers of the lines of each source that the other has not, but for names."""
    sides = [_normal(source) for source in (left, right)]
    matcher = difflib.SequenceMatcher(None, *sides, autojunk=False)
    equal: tuple[set[int], set[int]] = (set(), set())
    for block in matcher.get_matching_blocks():
        equal[0].update(range(block.a, block.a + block.size))
        equal[1].update(range(block.b, block.b + block.size))
    marked = [
        [number + 1 for number, line in enumerate(lines) if number not in same and line]
        for lines, same in zip(sides, equal, strict=True)
    ]
    return marked[0], marked[1]


def _normal(source: str) -> list[str]:
    """Return lines with the names that both packages share, without types and docstrings."""
    head, quotes, body = source.partition('"""')
    head = re.sub(r" -> .+:(?=\n)", ":", head)
    head = re.sub(r"(?<=\w): [^,=()]+(?=,| =|\))", "", head)
    head = head.replace(" = ", "=")
    source = head + quotes + re.sub(r'^.*"""', '"""', body)
    for pattern, name in SAME:
        source = re.sub(pattern, name, source)
    return [line.strip() for line in source.splitlines()]
