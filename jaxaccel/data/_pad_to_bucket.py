"""Batches whose sizes change, padded to a few sizes, on the host."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import jax
import numpy as np

from jaxaccel._check_trees import check_arrays
from jaxaccel._checked import checked_but
from jaxaccel._host_arrays import host_array
from jaxaccel.data._pad_sequence import bucket_size


@checked_but("batch")
def pad_to_bucket(
    batch: Any, sizes: Sequence[int] | None = None, *, axis: int = 0, padding_value: float = 0.0
) -> tuple[Any, np.ndarray]:
    """Pad all arrays of a batch along an axis to one of a few sizes, and say what is real.

    A compiled step compiles anew for every size that it meets; so it meets a few. Give the mask to
    the loss, as weights of a mean: what is padded would count otherwise.

    Args:
        batch: A tree of arrays, on the host, that have one size along ``axis``; those with fewer
            axes stay as they are.
        sizes: The sizes; default: powers of two.
        axis: 0 for the rows of a batch, 1 for the steps of its sequences.
        padding_value: What is put where the batch has no elements.

    Returns:
        The batch as NumPy arrays, in their dtypes, and the mask: bool, one entry for each place
        along ``axis``, False for padding.

    Raises:
        ValueError: The arrays have several sizes along ``axis``, none has it, the size is larger
            than all of ``sizes``, or ``axis`` is negative.
        TypeError: The batch is not made of arrays.

    PyTorch:
        Has no such function: it stands where ``torch.compile(dynamic=True)`` stands, which makes
        one program for all sizes.

    Example:
        >>> import numpy as np
        >>> import jaxaccel as ja
        >>> tokens, mask = ja.data.pad_to_bucket(np.ones((2, 5), np.int32), axis=1)
        >>> tokens.shape, mask.sum()
        ((2, 8), np.int64(5))
    """
    check_arrays("batch", batch)
    if axis < 0:
        raise ValueError(f"axis must be at least 0, as arrays differ in their axes, got {axis}")
    leaves, treedef = jax.tree.flatten_with_path(batch)
    arrays = [host_array("batch" + jax.tree_util.keystr(path), leaf) for path, leaf in leaves]
    lengths = {array.shape[axis] for array in arrays if array.ndim > axis}
    if len(lengths) != 1:
        raise ValueError(
            f"the arrays of batch have {len(lengths)} sizes along axis {axis}, "
            f"{sorted(lengths)}; pad those that belong together in one call"
        )
    (length,) = lengths
    size = bucket_size(length, sizes)

    def padded(array: np.ndarray) -> np.ndarray:
        if array.ndim <= axis:
            return array
        widths = [(0, size - length if place == axis else 0) for place in range(array.ndim)]
        return np.pad(array, widths, constant_values=array.dtype.type(padding_value))

    return treedef.unflatten(map(padded, arrays)), np.arange(size) < length
