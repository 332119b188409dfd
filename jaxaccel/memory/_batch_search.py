"""The search for the last batch that fits: predicted from bytes, and bracketed."""

from __future__ import annotations

from collections.abc import Callable

from jaxaccel.memory._batch_trials import Candidate


def search(
    trial: Callable[[int], Candidate], start: int, most: int, unit: int
) -> tuple[int, list[Candidate]]:
    """Return the largest batch that fits, and all that was tried.

    ``start`` and ``most`` are in units. It stops when a batch fits and the next does not, or at
    ``most``.
    """
    tried: list[Candidate] = []
    low, high, at = 0, most + 1, start
    predictions, stride = 0, 1
    while high - low > 1:
        tried.append(trial(at * unit))
        if tried[-1].fits:
            low = at
        else:
            high = at
        predicted = _predicted(tried, unit)
        if predicted is not None and low <= predicted < high and predictions < _PREDICTIONS:
            predictions += 1
            at = predicted
        elif high <= most:
            at = (low + high) // 2
        elif predictions == 0:
            at = 2 * low
        else:
            at, stride = low + stride, 2 * stride
        at = min(max(at, low + 1), high - 1, max(8 * low, start))
    return low * unit, tried


_PREDICTIONS = 6
"""How often a prediction is trusted. Memory is not quite proportional to the batch, and near the
limit a compiler may compute again what it would have kept; then the search goes by halves."""


def _predicted(tried: list[Candidate], unit: int) -> int | None:
    """Return the last batch that fits, in units, if bytes grow along a line; None: not known."""
    known = sorted({(each.batch_size, each.nbytes) for each in tried if each.nbytes is not None})
    budget = next((each.budget for each in tried if each.budget is not None), None)
    if len(known) < 2 or budget is None:
        return None
    above = next((i for i, (_, nbytes) in enumerate(known) if nbytes > budget), len(known) - 1)
    (one, of_one), (other, of_other) = known[max(0, above - 1) : max(0, above - 1) + 2]
    if of_other <= of_one:
        return None
    return int(one + (budget - of_one) * (other - one) / (of_other - of_one)) // unit
