"""Warn when a built page shows a private path: readers import from the rooms."""

from __future__ import annotations

import re
from typing import Any

PRIVATE = re.compile(r"\b(?:jaxaccel|torch_ref)\.(?:\w+\.)*_(?!_)\w+")
OF_THE_INSIDE = ("contributing", "_modules/")
"""Starts of the names of pages that speak about the inside or are the source."""


def setup(app: Any) -> dict[str, Any]:
    """Look at every page before it is written."""
    app.connect("html-page-context", _warn)
    return {"parallel_read_safe": True}


def _warn(app: Any, page: str, template: str, context: dict[str, Any], doctree: Any) -> None:
    """Warn about the private names in a page's text and links."""
    from sphinx.util import logging

    del app, template, doctree
    if not page.startswith(OF_THE_INSIDE):
        for name in sorted(set(PRIVATE.findall(context.get("body", "")))):
            logging.getLogger(__name__).warning("shows the private name %s", name, location=page)
