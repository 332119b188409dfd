"""Formulas as MathML, made when the pages are built: browsers draw them, no script is loaded.

An inline formula of a docstring is ``:math:``, a block ``.. math::``; in Markdown both are dollars.
A formula that cannot be converted fails the build.
"""

from __future__ import annotations

import re
from typing import Any

from docutils import nodes
from math_core import LatexError, LatexToMathML
from sphinx.errors import ExtensionError

CONVERTER = LatexToMathML(fancy_error=False)


def mathml(latex: str, *, block: bool) -> str:
    r"""Return a formula as a MathML element; several lines are aligned at their ``&``.

    Raises:
        ExtensionError: the formula is not valid LaTeX.
    """
    outside = re.sub(r"\\begin\{(\w+)\}.*?\\end\{\1\}", "", latex, flags=re.DOTALL)
    if re.search(r"\\\\|&", outside):
        latex = rf"\begin{{aligned}}{latex}\end{{aligned}}"
    try:
        return CONVERTER.convert_with_local_state(latex, displaystyle=block)
    except LatexError as error:
        raise ExtensionError(f"not a formula: {latex}: {error}") from error


def setup(app: Any) -> dict[str, Any]:
    """Offer the renderer as ``html_math_renderer = "mathml"``."""
    app.add_html_math_renderer("mathml", (_inline, None), (_block, None))
    return {"parallel_read_safe": True}


def _inline(writer: Any, node: nodes.math) -> None:
    writer.body.append(mathml(node.astext(), block=False))
    raise nodes.SkipNode


def _block(writer: Any, node: nodes.math_block) -> None:
    writer.body.append(f'<div class="math">{mathml(node.astext(), block=True)}</div>\n')
    raise nodes.SkipNode
