"""The binary version of CIFAR-10."""

from __future__ import annotations

import gzip
import tarfile
import zlib
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from jaxaccel.data._image_set import Split

BATCH_FILES = (*(f"data_batch_{i}.bin" for i in range(1, 6)), "test_batch.bin")
FOLDER = "cifar-10-batches-bin"
_RECORD = 1 + 3 * 32 * 32


def read_cifar10(paths: Sequence[Path]) -> Split:
    """Read the archive (one path) or its six extracted files (in the order of BATCH_FILES)."""
    if len(paths) == 1:
        sources, contents = _read_archive(paths[0])
    else:
        sources, contents = [str(path) for path in paths], [path.read_bytes() for path in paths]
    # The published files have 10,000 records each; smaller ones must at least be equally long,
    # so that a file cut off at the end of a record is noticed.
    expected = max(len(content) for content in contents)
    if expected == 0 or expected % _RECORD:
        expected = 10_000 * _RECORD
    for source, content in zip(sources, contents, strict=True):
        if len(content) != expected:
            raise ValueError(
                f"{source}: expected {expected} bytes ({expected // _RECORD} records of {_RECORD} "
                f"bytes: a label and 3 x 32 x 32 pixels), found {len(content)} bytes"
            )
    train_images, train_labels = _decode(b"".join(contents[:-1]))
    test_images, test_labels = _decode(contents[-1])
    return Split(train_images, train_labels, test_images, test_labels)


def _decode(records: bytes) -> tuple[np.ndarray, np.ndarray]:
    """Return images, channels last, and labels."""
    table = np.frombuffer(records, np.uint8).reshape(-1, _RECORD)
    planes = table[:, 1:].reshape(-1, 3, 32, 32)
    return np.ascontiguousarray(planes.transpose(0, 2, 3, 1)), table[:, 0].astype(np.int32)


def _read_archive(path: Path) -> tuple[list[str], list[bytes]]:
    """Return the six files' names and contents, without writing anything."""
    contents: dict[str, bytes] = {}
    try:
        with gzip.open(path, "rb") as stream:
            with tarfile.open(fileobj=stream, mode="r|") as archive:
                for member in archive:
                    name = member.name.rpartition("/")[2]
                    file = archive.extractfile(member) if name in BATCH_FILES else None
                    if file is not None:
                        contents[name] = file.read()
            while stream.read(1 << 20):  # gzip compares its checksum only at the very end
                pass
    except (EOFError, zlib.error, gzip.BadGzipFile, tarfile.TarError) as error:
        raise ValueError(
            f"{path}: truncated or corrupted archive ({error}): found {path.stat().st_size} "
            "bytes, the published archive has 170052171 bytes"
        ) from error
    missing = [name for name in BATCH_FILES if name not in contents]
    if missing:
        raise ValueError(
            f"{path}: not the binary version of CIFAR-10: {', '.join(missing)} not found in it"
        )
    return [f"{path}: {name}" for name in BATCH_FILES], [contents[name] for name in BATCH_FILES]
