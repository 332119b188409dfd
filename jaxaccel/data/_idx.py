"""The IDX files of MNIST and Fashion-MNIST."""

from __future__ import annotations

import math
import zlib
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from jaxaccel.data._image_set import Split


def read_idx_split(paths: Sequence[Path]) -> Split:
    """Read training images, training labels, test images and test labels, in this order."""
    train_images, train_labels, test_images, test_labels = paths
    return Split(
        read_idx(train_images, ndim=3)[..., None],
        read_idx(train_labels, ndim=1).astype(np.int32),
        read_idx(test_images, ndim=3)[..., None],
        read_idx(test_labels, ndim=1).astype(np.int32),
    )


def read_idx(path: Path, ndim: int) -> np.ndarray:
    """Read one gzip-compressed IDX file of unsigned bytes with ``ndim`` axes.

    The format: a magic number (two zero bytes, the type 0x08, the number of axes), the length of
    each axis, the data; numbers are 32-bit, big-endian.
    """
    contents, damage = _gunzip(path)
    header = 4 + 4 * ndim
    if len(contents) < header:
        raise ValueError(
            f"{path}: {damage or 'too short for an IDX file'}: expected a header of {header} "
            f"bytes, found {len(contents)} bytes"
        )
    words = [int.from_bytes(contents[i : i + 4], "big") for i in range(0, header, 4)]
    magic, shape = 0x0800 + ndim, tuple(words[1:])
    if words[0] != magic:
        raise ValueError(
            f"{path}: expected the magic number 0x{magic:08x} (IDX, unsigned bytes, "
            f"{ndim} axes), found 0x{words[0]:08x}"
        )
    expected = header + math.prod(shape)
    if damage or len(contents) != expected:
        raise ValueError(
            f"{path}: {damage or 'the size does not fit the header'}: expected {expected} bytes "
            f"for the shape {shape}, found {len(contents)} bytes"
        )
    return np.frombuffer(contents, np.uint8, offset=header).reshape(shape)


def _gunzip(path: Path) -> tuple[bytearray, str]:
    """Return what could be decompressed, and what was wrong with the file ("" if nothing)."""
    contents, decoder = bytearray(), zlib.decompressobj(wbits=zlib.MAX_WBITS | 16)  # 16: gzip
    fault = ""
    try:
        with path.open("rb") as file:
            while chunk := file.read(1 << 16):
                contents += decoder.decompress(chunk)
        if not decoder.eof:
            fault = "it ends before its checksum"
        elif decoder.unused_data:
            fault = "it goes on after its checksum"
    except zlib.error as error:
        fault = str(error)
    return contents, f"truncated or corrupted gzip file ({fault})" if fault else ""
