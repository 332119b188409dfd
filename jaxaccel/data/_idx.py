"""The IDX files of MNIST and Fashion-MNIST."""

from __future__ import annotations

import math
import zlib
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import BinaryIO

import numpy as np

from jaxaccel.data._image_set import Split

_PIECE = 1 << 16


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
    header = 4 + 4 * ndim
    with path.open("rb") as file:
        members = _gunzip(file)
        contents, damage = _first(members, header)
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
        if not damage:  # one byte more than is expected says that there are too many
            rest, damage = _first(members, expected + 1 - len(contents))
            contents += rest
    if damage or len(contents) != expected:
        found = f"more than {expected}" if len(contents) > expected else len(contents)
        raise ValueError(
            f"{path}: {damage or 'the size does not fit the header'}: expected {expected} bytes "
            f"for the shape {shape}, found {found} bytes"
        )
    return np.frombuffer(contents, np.uint8, offset=header).reshape(shape)


def _first(pieces: Iterator[bytes], count: int) -> tuple[bytearray, str]:
    """Return at least ``count`` bytes, or all, and what was wrong with the file ("" if nothing)."""
    found = bytearray()
    try:
        while len(found) < count and (piece := next(pieces, b"")):
            found += piece
    except (zlib.error, EOFError) as error:
        return found, f"truncated or corrupted gzip file ({error})"
    return found, ""


def _gunzip(file: BinaryIO) -> Iterator[bytes]:
    """Yield what a file decompresses to, in pieces that are small whatever it holds.

    A file may be several compressed ones, one after the other, as ``gzip`` itself reads it.
    """
    decoder = zlib.decompressobj(wbits=zlib.MAX_WBITS | 16)  # 16: gzip
    chunk, is_between = file.read(_PIECE), False
    if not chunk:
        raise EOFError("it is empty")
    while chunk:
        if is_between:
            decoder, is_between = zlib.decompressobj(wbits=zlib.MAX_WBITS | 16), False
        if piece := decoder.decompress(chunk, _PIECE):
            yield piece
        chunk, is_between = decoder.unconsumed_tail, decoder.eof
        if decoder.eof:
            chunk = decoder.unused_data
        chunk = chunk or file.read(_PIECE)
    if not is_between:
        raise EOFError("it ends before its checksum")
