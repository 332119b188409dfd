"""How often the elements of an axis meet those of a window that moves over it."""

from __future__ import annotations

import functools
import re


@functools.cache
def positions(window: str, axis: int, read: int, made: int) -> int:
    """Return for how many pairs of a window's element and a result there is an element to read.

    What falls on padding, or between the elements of what is dilated, is not there.

    Args:
        window: As XLA writes it: ``{size=3x3 stride=2x2 pad=1_1x1_1 lhs_dilate=2x2}``.
        axis: Which of its axes.
        read: Elements along the axis.
        made: Results along the axis.
    """
    fields = dict(re.findall(r"(\w+)=(\S+?)(?=[ }])", window))

    def of(name: str, default: str) -> str:
        return fields[name].split("x")[axis] if name in fields else default

    size, stride = int(of("size", "1")), int(of("stride", "1"))
    before = int(of("pad", "0_0").split("_")[0])
    base, dilation = int(of("lhs_dilate", "1")), int(of("rhs_dilate", "1"))
    found = 0
    for element in range(size):
        first = element * dilation - before  # what the first result reads, in dilated places
        if base == 1:
            # The results for which first + stride * result is among those that are there.
            lowest = max(0, -(first // stride))
            highest = min(made - 1, (read - 1 - first) // stride)
            found += max(0, highest - lowest + 1)
            continue
        places = (first + stride * result for result in range(made))
        found += sum(place % base == 0 and 0 <= place < read * base for place in places)
    return found
