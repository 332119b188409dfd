"""Download one published file, whole and checked or not at all."""

from __future__ import annotations

import hashlib
import http.client
import os
import secrets
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import urljoin
from urllib.request import urlopen

from jaxaccel.data._sources import PublishedFile

_TIMEOUT_SECONDS = 30


def download(file: PublishedFile, urls: Sequence[str], folder: Path) -> Path:
    """Fetch ``file`` from the first of ``urls`` that has it, and return its path in ``folder``.

    It is written under another name in the same folder, compared with the published size and
    SHA-256, and only then renamed: a file under its own name is complete.
    """
    _check_writable(folder)
    failures = []
    for url in urls:
        temporary = folder / f".{file.name}.{secrets.token_hex(4)}.part"
        try:
            _fetch(urljoin(url, file.name), temporary, file)
            target = folder / file.name
            os.replace(temporary, target)
            return target
        except (OSError, http.client.HTTPException) as error:
            failures.append(f"  {urljoin(url, file.name)}: {error}")
        finally:
            temporary.unlink(missing_ok=True)
    raise OSError(
        f"could not download {file.name}; is there a network? Nothing was kept.\n"
        + "\n".join(failures)
    )


def _check_writable(folder: Path) -> None:
    """Make the folder; raise where nothing can be written there, before anything is fetched."""
    probe = folder / f".{secrets.token_hex(4)}.part"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        probe.touch()
        probe.unlink()
    except OSError as error:
        raise OSError(
            f"cannot write to {folder} ({error}); give a folder of your own, load(name, folder, "
            "download=True), or set XDG_CACHE_HOME to a cache that can be written to"
        ) from error


def _fetch(url: str, temporary: Path, file: PublishedFile) -> None:
    """Write the contents of ``url`` to ``temporary`` and compare size and checksum."""
    digest, size = hashlib.sha256(), 0
    with (
        urlopen(url, timeout=_TIMEOUT_SECONDS) as response,
        temporary.open("xb") as output,
        _progress(file) as advance,
    ):
        while chunk := response.read(1 << 16):
            output.write(chunk)
            digest.update(chunk)
            size += len(chunk)
            advance(len(chunk))
    if size != file.size:
        raise OSError(f"expected {file.size} bytes, found {size} bytes")
    if digest.hexdigest() != file.sha256:
        raise OSError(f"expected the SHA-256 {file.sha256}, found {digest.hexdigest()}")


@contextmanager
def _progress(file: PublishedFile) -> Iterator[Callable[[int], None]]:
    """Show a progress bar on stderr where rich is installed; otherwise be silent."""
    try:
        from rich.console import Console
        from rich.progress import DownloadColumn, Progress
    except ImportError:
        yield lambda size: None
        return
    columns = (*Progress.get_default_columns(), DownloadColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True) as progress:
        task = progress.add_task(file.name, total=file.size)
        yield lambda size: progress.advance(task, size)
