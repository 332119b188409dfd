"""The tables of every key of DeepSpeed's and accelerate's configurations, from the library's own.

``python docs/_ext/config_keys.py`` writes them into the page between its markers.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

PAGE = Path(__file__).parents[1] / "deepspeed.md"
WORDS = {"used": "", "noted": "noted: ", "refused": "refused: "}


def tables() -> dict[str, str]:
    """Return {name of a marker: table in Markdown}."""
    from jaxaccel.interop import _deepspeed_keys, _fsdp_keys

    return {"DeepSpeed": table(_deepspeed_keys.KEYS), "accelerate": table(_fsdp_keys.KEYS)}


def table(keys: Any) -> str:
    """Return a line for each key; those of a section stand together, and neighbours of one fate."""
    lines = ["| key | here |", "|---|---|"]
    found: list[tuple[str, list[str]]] = []
    for path, key in keys.items():
        harmless = " or ".join(f"`{value!r}`" for value in key.harmless)
        text = f"{WORDS[key.kind]}{key.text}" + (f" (not {harmless})" if harmless else "")
        if found and found[-1][0] == text:
            found[-1][1].append(path)
        else:
            found.append((text, [path]))
    for text, paths in found:
        lines.append(f"| {', '.join(f'`{path}`' for path in paths)} | {text} |")
    return "\n".join(lines)


def with_tables(page: str) -> str:
    """Return the page with the tables as they are now."""
    for name, text in tables().items():
        begin, end = f"<!-- keys of {name} -->", f"<!-- /keys of {name} -->"
        between = re.compile(f"{re.escape(begin)}.*?{re.escape(end)}", re.DOTALL)
        page = between.sub(lambda _, new=f"{begin}\n{text}\n{end}": new, page)
    return page


if __name__ == "__main__":
    PAGE.write_text(with_tables(PAGE.read_text(encoding="utf-8")), encoding="utf-8")
