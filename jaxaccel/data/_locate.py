"""Find the files of a set, or say where they were looked for and how to get them."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

from jaxaccel.data._download import download as fetch
from jaxaccel.data._sources import Source


def locate(
    name: str, source: Source, folder: str | os.PathLike[str] | None, download: bool
) -> Sequence[Path]:
    """Return the paths of a complete layout, downloading what is missing if asked to."""
    if folder is None:
        cache = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
        target = Path(cache) / "jaxaccel" / name
        folders = [*map(Path, source.folders), target]
    else:
        target = Path(folder).expanduser()
        folders = [target]
    for candidate in folders:
        for layout in source.layouts:
            paths = [candidate / part for part in layout]
            if all(path.is_file() for path in paths):
                return paths
    if not download:
        raise FileNotFoundError(_missing_text(name, source, folders, target))
    return [
        path if (path := target / file.name).is_file() else fetch(file, source.urls, target)
        for file in source.files
    ]


def _missing_text(name: str, source: Source, folders: Sequence[Path], target: Path) -> str:
    """Say what is missing where, and each way to get it."""
    wanted = source.layouts[0]
    looked = []
    for folder in folders:
        missing = [part for part in wanted if not (folder / part).is_file()]
        state = f"has no {', '.join(missing)}" if folder.is_dir() else "no such folder"
        looked.append(f"  {folder}: {state}")
    size = sum(file.size for file in source.files) / 1e6
    remedies = [
        f"  load({name!r}, folder) with the folder that holds {', '.join(wanted)}",
        f"  load({name!r}, download=True) to fetch {size:.1f} MB from {source.urls[0]} "
        f"into {target}",
    ]
    if source.hint:
        remedies.append(f"  {source.hint}")
    return "\n".join([f"{name}: files not found. Looked in", *looked, "What helps:", *remedies])
