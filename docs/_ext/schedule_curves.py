"""The page ``schedules``: behind every Python block that ends in a schedule, its curve.

The block that the reader sees is the one that is run, so code and picture cannot part. Pictures
are drawn by ``preview``, once for the light and once for the dark theme.
"""

from __future__ import annotations

import ast
import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

PAGE = "schedules"
STEPS = 100
BLOCK = re.compile(r"^```python\n(.*?)^```$", re.DOTALL | re.MULTILINE)
INK = {"light": ("#4a4a4a", "#1f6fb4"), "dark": ("#b8b8b8", "#6cb6ff")}
"""Text and line of a theme; the background is the page's."""


class Curve(NamedTuple):
    """A block that ends in a schedule."""

    code: str
    """The block's text."""
    end: int
    """Where the block ends in the page."""
    schedule: Any
    """What its last line gives: a schedule, or schedules by name."""


def curves(text: str) -> Iterator[Curve]:
    """Run a page's Python blocks in one namespace; yield those whose last line is a value."""
    names: dict[str, Any] = {"__name__": PAGE}
    for block in BLOCK.finditer(text):
        *statements, last = ast.parse(block[1]).body
        if not isinstance(last, ast.Expr):
            exec(block[1], names)
            continue
        exec(compile(ast.Module(statements, []), PAGE, "exec"), names)
        value = eval(compile(ast.Expression(last.value), PAGE, "eval"), names)
        yield Curve(block[1], block.end(), value)


def with_pictures(text: str, folder: Path, page_folder: Path) -> str:
    """Return a page with pictures, drawn into ``folder``, behind its curves' blocks."""
    folder.mkdir(parents=True, exist_ok=True)
    parts, start = [], 0
    for index, curve in enumerate(curves(text)):
        parts.append(text[start : curve.end])
        start = curve.end
        for theme in INK:
            path = folder / f"{index:02}-{theme}.svg"
            _draw(curve.schedule, theme, path)
            link = Path(os.path.relpath(path, page_folder)).as_posix()
            options = f":alt: The values at steps 0 to {STEPS - 1}\n:class: only-{theme}"
            parts.append(f"\n\n```{{image}} {link}\n{options}\n```")
    return "".join([*parts, text[start:]])


def _draw(schedule: Any, theme: str, path: Path) -> None:
    """Write the figure of a preview, on a transparent ground."""
    import matplotlib as mpl

    import jaxaccel as ja

    ink, line = INK[theme]
    style = dict.fromkeys(
        ("axes.edgecolor", "axes.labelcolor", "xtick.color", "ytick.color", "grid.color"), ink
    )
    style |= {"axes.grid": True, "grid.alpha": 0.25, "grid.linewidth": 0.6}
    style |= {"axes.spines.top": False, "axes.spines.right": False, "axes.linewidth": 0.6}
    style |= {"lines.linewidth": 1.8, "axes.prop_cycle": mpl.cycler(color=[line])}
    # The same build gives the same files.
    style |= {"savefig.transparent": True, "svg.hashsalt": PAGE}
    with mpl.rc_context(style):
        figure = ja.schedules.preview(schedule, STEPS).figure()
        figure.axes[0].update_datalim([(0, 0)])  # learning rates are seen against 0
        figure.axes[0].autoscale_view()
        figure.savefig(path, metadata={"Date": None})


def setup(app: Any) -> dict[str, Any]:
    """Draw before autodoc comes, which changes the defaults of functions; fill in when read."""
    filled: dict[str, str] = {}

    def draw(app: Any) -> None:
        folder, page = Path(app.doctreedir) / "schedule_curves", Path(app.srcdir) / f"{PAGE}.md"
        filled[PAGE] = with_pictures(page.read_text(encoding="utf-8"), folder, page.parent)

    def fill(app: Any, name: str, source: list[str]) -> None:
        source[0] = filled.get(name, source[0])

    app.connect("builder-inited", draw)
    app.connect("env-get-outdated", lambda *_: [PAGE])  # the library may have changed
    app.connect("source-read", fill)
    return {"parallel_read_safe": True}
