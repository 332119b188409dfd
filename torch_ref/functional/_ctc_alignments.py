"""The likelihood of label sequences, summed over their alignments step by step."""

from __future__ import annotations

import functools

import torch
from torch import Tensor


def log_likelihood(
    log_probs: Tensor,
    labels: Tensor,
    lengths: Tensor,
    of_labels: Tensor,
    blank: int,
) -> Tensor:
    """Return the log-likelihood of each label sequence; minus infinity where it does not fit."""
    steps, batch, classes = log_probs.shape
    between = torch.full_like(labels, blank)
    # Blank, label, blank, label, ..., blank.
    path = torch.stack([between, labels], 2).reshape(batch, -1)
    path = torch.cat([path, path.new_full((batch, 1), blank)], 1)
    skips = torch.zeros_like(path, dtype=torch.bool)
    skips[:, 2:] = path[:, 2:] != path[:, :-2]
    place = path.clamp(0, classes - 1)[None].expand(steps, *path.shape)
    of_path = torch.take_along_dim(log_probs, place, 2)
    # Before the first step: from here, it reaches the first blank and the first label.
    reached = torch.full_like(of_path[0], -torch.inf)
    reached[:, 0] = 0
    for step in range(steps):
        from_second = torch.where(skips, _moved(reached, 2), -torch.inf)
        moved = _log_sum(reached, _moved(reached, 1), from_second) + of_path[step]
        reached = torch.where((step < lengths)[:, None], moved, reached)

    def at(place: Tensor) -> Tensor:
        there = torch.take_along_dim(reached, place.clamp_min(0)[:, None], 1)[:, 0]
        return torch.where(place >= 0, there, -torch.inf)

    last = (2 * of_labels).clamp_max(path.shape[1] - 1)
    return _log_sum(at(last), at(last - 1))


def _moved(reached: Tensor, by: int) -> Tensor:
    """Return what stood some places before; minus infinity at the beginning."""
    size = reached.shape[1]
    return torch.nn.functional.pad(reached, (by, 0), value=-torch.inf)[:, :size]


def _log_sum(*terms: Tensor) -> Tensor:
    """Return the logarithm of a sum of exponentials; of nothing but zeros the gradient is 0."""
    highest = functools.reduce(torch.maximum, terms).detach()
    highest = torch.where(torch.isneginf(highest), torch.zeros_like(highest), highest)
    total = functools.reduce(torch.add, (torch.exp(term - highest) for term in terms))
    is_some = total > 0
    log_total = torch.log(torch.where(is_some, total, torch.ones_like(total))) + highest
    return torch.where(is_some, log_total, -torch.inf)
