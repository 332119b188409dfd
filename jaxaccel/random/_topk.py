"""The largest numbers of a vector, equal ones in the order in which ``torch.topk`` has them.

PyTorch calls ``std::partial_sort``, or ``std::nth_element`` and ``std::sort``. Which of several
equal numbers these leave in front follows from the steps of GCC's library, which are repeated here,
one number at a time, when there are equal ones.
"""

from __future__ import annotations

import numpy as np

_Items = list[tuple[float, int]]

_SHORT = 16
"""Up to this length ``std::sort`` leaves a part to the insertion sort."""


def topk(values: np.ndarray, k: int) -> np.ndarray:
    """Return the indices of the k largest numbers, the largest first; NaN is above infinity."""
    # A rank is a number that is smaller for a larger value, and equal for equal ones.
    _, ranks = np.unique(-values.astype(np.float64), return_inverse=True)
    ranks = np.where(np.isnan(values), -1, ranks.reshape(-1))
    order = np.argsort(ranks, kind="stable")
    leading = ranks[order[: k + 1]]
    if (np.diff(leading) != 0).all():
        return order[:k]
    items = list(zip(ranks.tolist(), range(values.size), strict=True))
    if k * 64 <= values.size:
        _partial_sort(items, 0, k, values.size)
    else:
        _nth_element(items, k - 1)
        _sort(items, k - 1)
    return np.asarray([index for _, index in items[:k]])


def _partial_sort(items: _Items, first: int, middle: int, last: int) -> None:
    _heap_select(items, first, middle, last)
    for end in range(middle - 1, first, -1):
        _pop_heap(items, first, end, end)


def _heap_select(items: _Items, first: int, middle: int, last: int) -> None:
    for parent in range((middle - first - 2) // 2, -1, -1):
        _adjust_heap(items, first, parent, middle - first, items[first + parent])
    for index in range(middle, last):
        if items[index][0] < items[first][0]:
            _pop_heap(items, first, middle, index)


def _pop_heap(items: _Items, first: int, last: int, result: int) -> None:
    value, items[result] = items[result], items[first]
    _adjust_heap(items, first, 0, last - first, value)


def _adjust_heap(items: _Items, first: int, hole: int, length: int, value: tuple) -> None:
    top = child = hole
    while child < (length - 1) // 2:
        child = 2 * (child + 1)
        if items[first + child][0] < items[first + child - 1][0]:
            child -= 1
        items[first + hole] = items[first + child]
        hole = child
    if length % 2 == 0 and child == (length - 2) // 2:
        child = 2 * child + 1
        items[first + hole] = items[first + child]
        hole = child
    parent = (hole - 1) // 2
    while hole > top and items[first + parent][0] < value[0]:
        items[first + hole] = items[first + parent]
        hole, parent = parent, (parent - 1) // 2
    items[first + hole] = value


def _nth_element(items: _Items, nth: int) -> None:
    first, last = 0, len(items)
    if nth == last:
        return
    depth = 2 * (last.bit_length() - 1)
    while last - first > 3:
        if depth == 0:
            _heap_select(items, first, nth + 1, last)
            items[first], items[nth] = items[nth], items[first]
            return
        depth -= 1
        cut = _partition(items, first, last)
        first, last = (cut, last) if cut <= nth else (first, cut)
    _insertion_sort(items, first, last)


def _sort(items: _Items, last: int) -> None:
    if last > 0:
        _introsort(items, 0, last, 2 * (last.bit_length() - 1))
        _insertion_sort(items, 0, last)


def _introsort(items: _Items, first: int, last: int, depth: int) -> None:
    while last - first > _SHORT:
        if depth == 0:
            _partial_sort(items, first, last, last)
            return
        depth -= 1
        cut = _partition(items, first, last)
        _introsort(items, cut, last, depth)
        last = cut


def _partition(items: _Items, first: int, last: int) -> int:
    """Part around the median of three, which goes to ``first``; return where."""
    median = _median(items, first + 1, first + (last - first) // 2, last - 1)
    items[first], items[median] = items[median], items[first]
    pivot, low, high = items[first][0], first + 1, last
    while True:
        while items[low][0] < pivot:
            low += 1
        high -= 1
        while pivot < items[high][0]:
            high -= 1
        if low >= high:
            return low
        items[low], items[high] = items[high], items[low]
        low += 1


def _median(items: _Items, a: int, b: int, c: int) -> int:
    x, y, z = items[a][0], items[b][0], items[c][0]
    if x < y:
        return b if y < z else c if x < z else a
    return a if x < z else c if y < z else b


def _insertion_sort(items: _Items, first: int, last: int) -> None:
    """Sort stably; GCC's final pass over parts that are in order among each other is the same."""
    items[first:last] = sorted(items[first:last], key=lambda item: item[0])
