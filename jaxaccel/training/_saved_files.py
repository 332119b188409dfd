"""The folder of a run's saves: names, the commit of one by a rename, digests of its files."""

from __future__ import annotations

import contextlib
import errno
import hashlib
import json
import os
import re
import shutil
import stat
from collections.abc import Iterable, Iterator
from pathlib import Path, PurePosixPath
from typing import Any

FORMAT = 1
"""The number of the format that is written; a greater one is of a newer version."""

MANIFEST, RUN, ARRAYS = "manifest.json", "run.json", "arrays"
_SAVE = re.compile(r"step_(\d{8,})")
_LEFT = re.compile(r"step_\d{8,}\.(unfinished|removed)")
_LOCK = ".saving"


def step_path(folder: Path, step: int) -> Path:
    """Return where the save of a step is once it is complete."""
    return folder / f"step_{step:08d}"


def unfinished(path: Path) -> Path:
    """Return where a save is written until it is complete."""
    return path.with_name(f"{path.name}.unfinished")


@contextlib.contextmanager
def explained(what: str) -> Iterator[None]:
    """Say what was being done, and what to do, where the file system refuses."""
    try:
        yield
    except PermissionError as error:
        raise PermissionError(
            error.errno,
            f"{what}: no permission for {error.filename or 'it'}; nothing was changed. Give this "
            "user the right to read and write there (chmod, chown), or name another folder",
        ) from error
    except ValueError as error:  # orbax's storage says it in words alone
        if "RESOURCE_EXHAUSTED" not in str(error):
            raise
        raise OSError(
            errno.ENOSPC, f"{what}: no space is left there; free some, or name another folder"
        ) from error


def complete_saves(folder: Path) -> dict[int, Path]:
    """Return the complete saves of a folder by their steps, oldest first; none of no folder.

    Raises:
        NotADirectoryError: The folder, or what is named like a save in it, is something else.
        FileNotFoundError: What is named like a save has no manifest.
    """
    with explained(f"looking for saves in {folder}"):
        if not os.path.lexists(folder):
            return {}
        if not folder.is_dir():
            raise NotADirectoryError(f"{folder} is not a folder; name the folder of a run's saves")
        names = [name for name in os.listdir(folder) if _SAVE.fullmatch(name)]
    found = {int(name.removeprefix("step_")): folder / name for name in names}
    return {step: path for step, path in sorted(found.items()) if is_there(path, step)}


def is_there(path: Path, step: int) -> bool:
    """Return whether a save is there; it is not where another process has dropped it meanwhile."""
    is_folder = path.is_dir() and not path.is_symlink() and path == step_path(path.parent, step)
    if not is_folder and os.path.lexists(path):
        raise NotADirectoryError(
            f"{path} has the name of a save and is not a folder of this library's "
            f"({'a symbolic link' if path.is_symlink() else 'another kind of file'}); "
            "move it away"
        )
    if not os.path.lexists(path / MANIFEST) and os.path.lexists(path):
        raise FileNotFoundError(
            f"{path} has no {MANIFEST}, without which a save is not complete: it was copied in "
            "part, or is another program's; copy it again, or move it away"
        )
    return os.path.lexists(path)


def walk(directory: Path, below: str = "") -> Iterator[tuple[str, Path]]:
    """Yield the files of a save, by their paths in it; raise for what is not a plain file."""
    with os.scandir(directory) as entries:
        for entry in sorted(entries, key=lambda entry: entry.name):
            name, path = below + entry.name, Path(entry.path)
            if entry.is_dir(follow_symlinks=False):
                yield from walk(path, f"{name}/")
            elif stat.S_ISREG(entry.stat(follow_symlinks=False).st_mode):
                yield name, path
            else:
                kind = "a symbolic link" if entry.is_symlink() else "not a plain file"
                raise ValueError(
                    f"{path} is {kind}, which no save has: it is not read. Copy the save again "
                    "from where it was made (cp -rL)"
                )


def seal(directory: Path) -> None:
    """Write all of a save to the disk, and last its manifest."""
    files = {name: _entry(path) for name, path in walk(directory)}
    write_text(directory / MANIFEST, _manifest_text(files))
    for parent, _, _ in os.walk(directory, topdown=False):
        _sync(Path(parent))


def _entry(path: Path) -> dict[str, Any]:
    """Return the size and digest of a file that is on the disk when this returns."""
    _sync(path)
    return {"bytes": path.stat().st_size, "sha256": _digest(path)}


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _sync(path: Path) -> None:
    """Wait until a file, or the names in a folder, are on the disk."""
    number = os.open(path, os.O_RDONLY)
    try:
        os.fsync(number)
    finally:
        os.close(number)


def make(folder: Path) -> None:
    """Make a folder where it is missing, and those that it is in, all on the disk."""
    missing = [each for each in (folder, *folder.parents) if not each.exists()]
    folder.mkdir(parents=True, exist_ok=True)
    for each in missing:
        _sync(each.parent)


def write_text(path: Path, text: str) -> None:
    """Write a new file to the disk."""
    with path.open("x", encoding="utf-8") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())


def _manifest_text(files: dict[str, Any]) -> str:
    """Return the one text that a manifest of these files has, its own digest in it."""
    own = hashlib.sha256(json.dumps(files, sort_keys=True).encode()).hexdigest()
    whole = {"format": FORMAT, "files": files, "sha256_of_files": own}
    return json.dumps(whole, indent=1, sort_keys=True) + "\n"


def commit(path: Path) -> None:
    """Let the sealed save of a step appear under its name, all of it at once."""
    seal(unfinished(path))
    os.rename(unfinished(path), path)
    _sync(path.parent)


def read_manifest(directory: Path) -> dict[str, Any]:
    """Return the sizes and digests of a save's files; raise for another format, or damage."""
    path = directory / MANIFEST
    if path.is_symlink() or not path.is_file():
        raise ValueError(f"{path} is not a plain file; copy the save again from where it was made")
    data = path.read_bytes()
    number, files = _read_parts(data)
    if isinstance(number, int) and number > FORMAT:
        raise ValueError(
            f"{directory} has format {number}, of a newer version of jaxaccel; this one reads "
            f'formats up to {FORMAT}: pip install --upgrade "jaxaccel[save]"'
        )
    if not isinstance(files, dict) or _manifest_text(files).encode() != data:
        raise ValueError(f"{path} is damaged: it is not as it was written; {_REMEDY}")
    for name in files:
        pure = PurePosixPath(name)
        if pure.is_absolute() or ".." in pure.parts or "\\" in name:
            raise ValueError(f"{path} names a file outside of the save, {name!r}; {_REMEDY}")
    return files


def _read_parts(data: bytes) -> tuple[Any, Any]:
    """Return the format and the files of a manifest; None where it has none."""
    try:
        whole = json.loads(data)
        return whole["format"], whole["files"]
    except (ValueError, TypeError, KeyError, RecursionError):
        return None, None


_REMEDY = "restore an older save (step=), or copy this one again from where it was made"


def check_present(directory: Path, files: dict[str, Any]) -> dict[str, Path]:
    """Return a save's files; raise where one is missing, is too many, or has another size."""
    found = dict(walk(directory))
    found.pop(MANIFEST, None)
    if missing := sorted(set(files) - set(found)):
        raise FileNotFoundError(f"{directory} lacks {_named(missing)}; {_REMEDY}")
    if strange := sorted(set(found) - set(files)):
        raise ValueError(
            f"{directory} holds what was not saved, {_named(strange)}; move it away (a save is "
            "read only as it was written)"
        )
    for name, path in found.items():
        if (size := path.stat().st_size) != files[name]["bytes"]:
            raise ValueError(
                f"{path} is damaged: it has {size:,} bytes, {files[name]['bytes']:,} were written; "
                f"{_REMEDY}"
            )
    return found


def check_digests(paths: Iterable[tuple[str, Path]], files: dict[str, Any]) -> None:
    """Raise for the first file whose contents are not those that were written."""
    for name, path in paths:
        if _digest(path) != files[name]["sha256"]:
            raise ValueError(
                f"{path} is damaged: its bytes are not those that were written (sha256 differs); "
                f"{_REMEDY}"
            )


def _named(names: list[str]) -> str:
    more = f" and {len(names) - 3} more" if len(names) > 3 else ""
    return ", ".join(map(repr, names[:3])) + more


def clear_unfinished(folder: Path) -> None:
    """Remove what saves that were cut short have left, which no complete save is among."""
    for name in os.listdir(folder):
        path = folder / name
        if _LEFT.fullmatch(name) and path.is_dir() and not path.is_symlink():
            shutil.rmtree(path)


def remove(path: Path) -> None:
    """Remove a complete save; one that holds what was not saved stays."""
    try:
        check_present(path, read_manifest(path))
    except (ValueError, OSError):
        return
    gone = path.with_name(f"{path.name}.removed")
    os.rename(path, gone)  # from here on it is not a save, however much of it is left
    shutil.rmtree(gone)


def lock(folder: Path) -> int | None:
    """Return a lock of the folder's saves, which ends with this process at the latest.

    None where the file system has no locks.

    Raises:
        BlockingIOError: Another process is saving there.
    """
    try:
        import fcntl
    except ModuleNotFoundError:  # not on Windows
        return None
    number = os.open(folder / _LOCK, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o666)
    try:
        fcntl.lockf(number, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        os.close(number)
        raise BlockingIOError(
            error.errno,
            f"another process is saving to {folder}; one run saves to one folder: end the other "
            "process, or name another folder",
        ) from None
    except OSError:
        os.close(number)
        return None
    return number


def unlock(number: int | None) -> None:
    """Give a lock back."""
    if number is not None:
        os.close(number)
