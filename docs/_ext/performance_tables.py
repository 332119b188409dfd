"""The tables of docs/performance.md, from what the benchmarks wrote into docs/benchmarks.

``python docs/_ext/performance_tables.py`` writes them between their markers; with ``--check`` it
changes nothing and fails when the page has old ones. A run that has no file keeps what is there.
"""

from __future__ import annotations

import json
import re
import sys
from pathlib import Path
from typing import Any

DOCS = Path(__file__).parents[1]
BLOCK = re.compile(r"<!-- benchmark (\w+) -->\n.*?<!-- /benchmark -->", re.DOTALL)


def with_tables(page: str, folder: Path) -> str:
    """Return the page with the current tables between its markers."""

    def fill(match: re.Match[str]) -> str:
        path = folder / f"{match[1]}.json"
        if not path.exists():
            return match[0]
        content = json.loads(path.read_text(encoding="utf-8"))
        lines = [f"<!-- benchmark {match[1]} -->"]
        for table in content["tables"]:
            lines += [f"**{table['title']}**", "", *markdown(table["rows"]), ""]
        return "\n".join([*lines, source(content["machine"]), "", "<!-- /benchmark -->"])

    return BLOCK.sub(fill, page)


def markdown(rows: list[dict[str, Any]]) -> list[str]:
    """Return the lines of a table; numbers to three digits, ratios to two decimals."""
    columns = list(dict.fromkeys(column for row in rows for column in row))
    texts = {c for c in columns if any(isinstance(row.get(c), str) for row in rows)}
    lines = [f"| {' | '.join(columns)} |"]
    lines.append("|" + "|".join("---" if column in texts else "--:" for column in columns) + "|")
    for row in rows:
        lines.append(f"| {' | '.join(cell(c, row.get(c)) for c in columns)} |")
    return lines


def cell(column: str, value: Any) -> str:
    """Return a cell."""
    if value is None:
        return ""
    if isinstance(value, float):
        if "/" in column or "ratio" in column:
            return f"{value:.2f}" if value < 100 else f"{value:.0f}"
        return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.3g}"
    return f"{value:,}" if isinstance(value, int) else str(value)


def source(machine: dict[str, str]) -> str:
    """Return the line that says what the numbers were made on."""
    where = f"{machine['processor']}, {machine['cores']} core(s), Python {machine['python']}"
    return f"*{where}; {machine['versions']}.*"


if __name__ == "__main__":
    from in_place import rewrite  # beside this file, as the script's folder is on the path

    sys.exit(
        rewrite(
            DOCS / "performance.md",
            lambda old: with_tables(old, DOCS / "benchmarks"),
            "docs/_ext/performance_tables.py",
        )
    )
