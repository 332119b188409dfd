"""The page ``from_pytorch``: PyTorch's name, jaxaccel's, and what differs.

A row is made from the rows of the tests, which say which PyTorch object judges a function, and
from the *PyTorch* section of its docstring, which says what differs (and names the object where
no test row does). It stands under the marker of its section. What PyTorch has besides is in the
tables written by hand, or in the list behind the section's own table: ``torch_names.txt`` has all
the names, and a test keeps it.
"""

from __future__ import annotations

import re
import sys
from pathlib import Path
from typing import Any, NamedTuple

from porting_notes import markdown, note, said_of_pytorch

ROOT = Path(__file__).parents[2]
PAGE = "from_pytorch"
TORCH_NAMES = Path(__file__).with_name("torch_names.txt")
MARKER = re.compile(r"^<!-- porting: (\w+) -->$", re.MULTILINE)


class Section(NamedTuple):
    """A part of PyTorch's names: which ones, and the rooms that they are first looked for in."""

    names: str
    rooms: tuple[str, ...]
    modules: tuple[str, ...] = ()
    """The modules of PyTorch all of whose names are accounted for."""


SECTIONS = {
    "optim": Section(r"torch\.optim\.[A-Z]\w+", ("optimizers",), ("torch.optim",)),
    "lr_scheduler": Section(
        r"torch\.optim\.(lr_scheduler\.\w+|swa_utils\.SWALR)",
        ("schedules",),
        ("torch.optim.lr_scheduler",),
    ),
    "functional": Section(
        r"torch\.nn\.functional\.\w+", ("functional", "nn"), ("torch.nn.functional",)
    ),
    "nn": Section(r"torch\.nn\.(Module\.)?\w+", ("nn",), ("torch.nn",)),
    "init": Section(r"torch\.nn\.init\.\w+", ("init",), ("torch.nn.init",)),
    "utils": Section(
        r"torch\.(nn\.utils|optim\.swa_utils)\.(?!SWALR)[\w.]+",
        ("transforms", "nn", "training"),
        ("torch.nn.utils", "torch.nn.utils.parametrizations", "torch.optim.swa_utils"),
    ),
    "amp": Section(r"torch\.(amp|cuda\.amp|autocast)[\w.]*", ("precision",), ("torch.amp",)),
    "data": Section(
        r"torch(\.utils\.data|vision\.(datasets|transforms))[\w.]*",
        ("data",),
        ("torch.utils.data",),
    ),
    "distributed": Section(r"torch\.(nn\.parallel|distributed)\.[\w.]+", ("parallel",)),
}


def porting_tables(text: str) -> str:
    """Return the page with its tables under their markers."""
    found = counterparts()

    def fill(match: re.Match[str]) -> str:
        start, stop = match.end(), text.find("\n## ", match.end())
        by_hand = text[start : stop if stop > 0 else None]
        return "\n\n".join([match[0], *_section(match[1], found, by_hand)])

    return MARKER.sub(fill, text)


def counterparts() -> dict[str, list[str]]:
    """Return {PyTorch's name: functions of jaxaccel}, in the library's order."""
    sys.path.insert(0, str(ROOT))
    import jaxaccel
    from parity_tests.registry import rows

    judges: dict[str, list[str]] = {}
    for case in rows():
        judges.setdefault(case.function, []).append(case.oracle)
    found: dict[str, list[str]] = {}
    for room in jaxaccel.__all__:
        for name in getattr(jaxaccel, room).__all__:
            function = f"{room}.{name}"
            mentioned = re.findall(r"``(torch[\w.]+)[^`]*``", said_of_pytorch(function))[:1]
            for torch_name in dict.fromkeys(judges.get(function, mentioned)):
                if re.fullmatch(r"torch(vision)?\.(?!.*\._)[\w.]+", torch_name):
                    found.setdefault(torch_name, []).append(function)
    for torch_name, functions in found.items():
        functions.sort(key=lambda function: function.split(".")[1] != _snake(torch_name))
    return found


def _snake(name: str) -> str:
    """Return the last part of a name as jaxaccel would write it."""
    return re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", name.split(".")[-1]).lower().rstrip("_")


def _section(key: str, found: dict[str, list[str]], by_hand: str) -> list[str]:
    """Return a section's table and the names that it lacks."""
    if key == "besides":
        return _besides(found)
    section = SECTIONS[key]
    names = [name for name in found if re.fullmatch(section.names, name)]
    if key == "nn":
        names = [name for name in names if "." not in name.removeprefix("torch.nn.")]
        names += [name for name in _as_functions(found) if name not in found]
    lines = ["| PyTorch | jaxaccel | what differs |", "|---|---|---|"]
    for name in sorted(names, key=lambda name: _place(name, found)):
        functions = _functions(name, found, section)
        differs = note(name, functions[0]) if name in found else "A function: it has no parameters"
        links = ", ".join(f"{{py:obj}}`{each} <jaxaccel.{each}>`" for each in functions)
        lines.append(f"| `{_short(name)}` | {links} | {differs} |")
    taken = {name.split(".")[-1] for name in names} | set(re.findall(r"`(?:\w+\.)*(\w+)`", by_hand))
    missing = [
        name
        for module in section.modules
        for name in _torch_names()[module]
        if name not in taken and f"{module}.{name}" not in found
    ]
    parts = ["{.porting}\n" + "\n".join(lines)]
    if missing:
        parts.append("Not here yet: " + ", ".join(f"`{name}`" for name in missing) + ".")
    return parts


def _place(name: str, found: dict[str, list[str]]) -> tuple[int, int, str]:
    """Return where a name's function stands in the library."""
    import jaxaccel

    functions = found.get(name)
    if functions is None:
        return len(jaxaccel.__all__), 0, name
    room, own = functions[0].split(".")
    return jaxaccel.__all__.index(room), getattr(jaxaccel, room).__all__.index(own), name


def _torch_names() -> dict[str, list[str]]:
    """Return PyTorch's names by module."""
    lines = TORCH_NAMES.read_text(encoding="utf-8").splitlines()
    return {module: names.split() for module, names in (line.split(": ") for line in lines)}


def _as_functions(found: dict[str, list[str]]) -> dict[str, str]:
    """Return {class of torch.nn: its function in torch.nn.functional}, where that is here."""
    pairs = {}
    for name in _torch_names()["torch.nn"]:
        function = f"torch.nn.functional.{_snake(name)}"
        if function in found:
            pairs[f"torch.nn.{name}"] = function
    return pairs


def _functions(name: str, found: dict[str, list[str]], section: Section) -> list[str]:
    """Return a name's functions: those of the section's own rooms, if any."""
    functions = found[name] if name in found else found[_as_functions(found)[name]]
    return [each for each in functions if each.split(".")[0] in section.rooms] or functions


def _besides(found: dict[str, list[str]]) -> list[str]:
    """Return the table of what has rows and no counterpart in PyTorch."""
    import jaxaccel
    from parity_tests.registry import rows

    known = {function for functions in found.values() for function in functions}
    lines = ["| jaxaccel | what it is |", "|---|---|"]
    for function in dict.fromkeys(case.function for case in rows()):
        room, name = function.split(".")
        if function not in known and room not in ("functional", "models", "init"):
            summary = (getattr(jaxaccel, room).__dict__[name].__doc__ or "").strip().splitlines()[0]
            summary = markdown(summary, room)
            lines.append(f"| {{py:obj}}`{function} <jaxaccel.{function}>` | {summary} |")
    return ["{.porting}\n" + "\n".join(lines)]


def _short(name: str) -> str:
    """Return a name as recipes write it."""
    for prefix in ("torch.nn.functional.", "torch.nn.init.", "torch.nn.utils.parametrizations."):
        if name.startswith(prefix):
            return name.removeprefix(prefix)
    for prefix in ("torch.optim.lr_scheduler.", "torch.optim.swa_utils.", "torch.nn.utils."):
        if name.startswith(prefix):
            return name.removeprefix(prefix)
    for prefix in ("torch.optim.", "torch.nn.", "torch.utils.data."):
        if name.startswith(prefix) and name.count(".") == prefix.count("."):
            return name.removeprefix(prefix)
    return name


def setup(app: Any) -> dict[str, Any]:
    """Fill in the page while Sphinx reads it."""

    def fill(app: Any, name: str, source: list[str]) -> None:
        if name == PAGE:
            source[0] = porting_tables(source[0])

    app.connect("source-read", fill)
    app.connect("env-get-outdated", lambda *_: [PAGE])  # the library may have changed
    return {"parallel_read_safe": True}


if __name__ == "__main__":
    print(porting_tables((ROOT / "docs" / f"{PAGE}.md").read_text(encoding="utf-8")))
