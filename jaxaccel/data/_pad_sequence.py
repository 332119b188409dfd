"""Sequences of many lengths as one array, on the host."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from jaxaccel._check_trees import MASKED
from jaxaccel._checked import checked, checked_but
from jaxaccel._host_arrays import host_array


@checked_but("sequences")
def pad_sequence(
    sequences: Sequence[Any],
    batch_first: bool = False,
    padding_value: float = 0.0,
    padding_side: str = "right",
    *,
    length: int | None = None,
) -> np.ndarray:
    """Stack sequences along a new axis, each padded to the length of the longest.

    A compiled step compiles anew for every length that it meets. With ``length=bucket_size(...)``
    it meets a few. Pad targets with ``padding_value=-100``, which
    :func:`jaxaccel.functional.cross_entropy` leaves out.

    Args:
        sequences: One or more arrays ``(L, *)`` whose lengths L may differ, of equal other sizes.
        batch_first: Whether the result is ``(B, L, *)`` instead of ``(L, B, *)``.
        padding_value: What is put where a sequence has no elements.
        padding_side: ``"right"`` or ``"left"`` of a sequence.
        length: Pad to this length; default: to that of the longest.

    Returns:
        A new NumPy array in the first sequence's dtype.

    Raises:
        ValueError: There is no sequence, one has no axis or other sizes than the first, is longer
            than ``length``, or ``padding_side`` is another word.
        TypeError: ``sequences`` are not arrays.

    PyTorch:
        ``torch.nn.utils.rnn.pad_sequence``: same arguments and numbers; ``length`` is added. It
        runs on the host, as the ``collate_fn`` in which it usually stands.

    Example:
        >>> import numpy as np
        >>> import jaxaccel as ja
        >>> ja.data.pad_sequence([np.array([1, 2, 3]), np.array([4])], batch_first=True).tolist()
        [[1, 2, 3], [4, 0, 0]]
    """
    arrays = _arrays(sequences)
    if padding_side not in ("right", "left"):
        raise ValueError(
            f"Expected padding_side to be one of left or right, but got {padding_side}."
        )
    longest = max(len(array) for array in arrays)
    size = longest if length is None else length
    if size < longest:
        raise ValueError(
            f"length is {length}, and the longest sequence has {longest} elements; pass a length "
            f"that is not smaller, or length=bucket_size({longest}, sizes)"
        )
    padded = np.full((len(arrays), size, *arrays[0].shape[1:]), padding_value, arrays[0].dtype)
    for row, array in zip(padded, arrays, strict=True):
        start = 0 if padding_side == "right" else size - len(array)
        row[start : start + len(array)] = array
    return padded if batch_first else np.swapaxes(padded, 0, 1)


@checked
def bucket_size(length: int, sizes: Sequence[int] | None = None) -> int:
    """Return the smallest of a few sizes that is not smaller than ``length``.

    Powers of two waste at most half of a batch and make one program for each of them: eleven for
    lengths up to 1,024. Own sizes are better where lengths are known.

    Args:
        length: At least 0.
        sizes: The sizes, in any order; default: powers of two.

    Returns:
        One of ``sizes``, or a power of two.

    Raises:
        ValueError: ``length`` is negative or larger than all of ``sizes``, or one of these is not
            positive.

    PyTorch:
        Has no such function: it stands where ``torch.compile(dynamic=True)`` stands, which makes
        one program for all sizes.

    Example:
        >>> import jaxaccel as ja
        >>> ja.data.bucket_size(37), ja.data.bucket_size(37, sizes=(16, 48, 128))
        (64, 48)
    """
    if length < 0:
        raise ValueError(f"length must be at least 0, got {length}")
    if sizes is None:
        return 1 << max(0, length - 1).bit_length()
    if not sizes or min(sizes) < 1:
        raise ValueError(f"sizes must be one or more positive integers, got {sizes!r}")
    if length > max(sizes):
        raise ValueError(
            f"length is {length}, and the largest of sizes is {max(sizes)}; add a larger size, or "
            "cut the sequence"
        )
    return min(size for size in sizes if size >= length)


def _arrays(sequences: Any) -> list[np.ndarray]:
    """Return the sequences as arrays of equal sizes behind the first axis, one or more."""
    is_one = isinstance(sequences, (str, bytes, dict)) or getattr(sequences, "ndim", 1) == 0
    if is_one or not hasattr(sequences, "__len__"):
        raise TypeError(
            "pad_sequence: Expected iterable for input sequences, but got arg of type: "
            f"{type(sequences)}\nsequences is {sequences!r:.60}; pass a list of arrays"
        )
    if any(isinstance(each, np.ma.MaskedArray) for each in [sequences, *sequences]):
        raise TypeError(f"sequences is {sequences!r:.60}; {MASKED}")
    try:
        arrays = [host_array(f"sequences[{place}]", each) for place, each in enumerate(sequences)]
    except TypeError as error:
        raise TypeError(f"{error}; sequences is {sequences!r:.60}") from error
    if not arrays:
        raise ValueError("received an empty list of sequences")
    for index, array in enumerate(arrays):
        if array.ndim == 0 or array.shape[1:] != arrays[0].shape[1:]:
            raise ValueError(
                f"sequences[{index}] has shape {array.shape} and sequences[0] {arrays[0].shape}; "
                "all must have the same sizes but for the first, along which they are padded, got "
                f"{sequences!r:.60}"
            )
    return arrays
