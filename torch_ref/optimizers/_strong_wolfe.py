"""The line search of L-BFGS: a step that fulfils the strong Wolfe conditions."""

from typing import Any, NamedTuple

import torch

from torch_ref.optimizers._flat_vector import dot, largest


class _Point(NamedTuple):
    """The loss seen along the line at one step length."""

    t: torch.Tensor
    f: torch.Tensor
    g: torch.Tensor
    gtd: torch.Tensor


class _Search(NamedTuple):
    """The search between two evaluations."""

    ls_iter: int
    t: torch.Tensor
    bracket: tuple[_Point, _Point]
    low: int
    zooming: bool
    found: bool
    insuf_progress: bool
    ended: bool


def strong_wolfe(
    obj_func, t, d, f, g, gtd, c1=1e-4, c2=0.9, tolerance_change: Any = 1e-9, max_ls: Any = 25
):
    """Return the loss, the gradient and the step where PyTorch's search ends, and its evaluations.

    PyTorch's two loops, to bracket and to zoom, are one here.
    """
    start = _Point(torch.zeros_like(t), f, g, gtd)
    d_norm = largest(d)

    def look(search):
        f_new, g_new = obj_func(search.t)
        new = _Point(search.t, f_new, g_new, dot(g_new, d))
        exhausted = search.ls_iter >= max_ls
        too_high = bool(new.f > start.f + c1 * new.t * start.gtd)
        flat = bool(new.gtd.abs() <= -c2 * start.gtd)
        if search.zooming:
            search = _zoom(search, new, too_high, flat)
        else:
            search = _bracket(search, new, start, too_high, flat, exhausted)
        ends = [point.t for point in search.bracket]
        too_small = search.zooming and bool((ends[1] - ends[0]).abs() * d_norm < tolerance_change)
        t, insuf_progress = _inside(search) if search.zooming else _beyond(search)
        return search._replace(
            ls_iter=search.ls_iter + 1,
            t=t,
            insuf_progress=insuf_progress,
            ended=search.found or exhausted or too_small,
        )

    search = _Search(
        ls_iter=0,
        t=t,
        bracket=(start, start),
        low=0,
        zooming=False,
        found=False,
        insuf_progress=False,
        ended=False,
    )
    while not search.ended:
        search = look(search)
    best = search.bracket[search.low]
    return best.f, best.g, best.t, search.ls_iter


def _bracket(search, new, start, too_high, flat, exhausted):
    """Return the search after a point beyond the last one: is there a minimum between them?"""
    last = search.bracket[1]
    not_lower = too_high or (search.ls_iter > 1 and bool(new.f >= last.f))
    bracket = (start if exhausted else last, new)
    found = not not_lower and flat and not exhausted
    return search._replace(
        bracket=bracket,
        low=1 if found else _lower(bracket),
        found=found,
        zooming=not_lower or (not flat and bool(new.gtd >= 0)),
    )


def _zoom(search, new, too_high, flat):
    """Return the search after a point inside the bracket, which takes the place of an end."""
    low, high = search.bracket[search.low], search.bracket[1 - search.low]
    not_lower = too_high or bool(new.f >= low.f)
    turned = bool(new.gtd * (high.t - low.t) >= 0)
    new_low = low if not_lower else new
    new_high = new if not_lower else (low if turned and not flat else high)
    bracket = (new_low, new_high) if search.low == 0 else (new_high, new_low)
    return search._replace(
        bracket=bracket,
        low=_lower(bracket) if not_lower else search.low,
        found=not not_lower and flat,
    )


def _beyond(search):
    """Return the next step length while bracketing: the cubic's minimum beyond the last point."""
    last, t = (point.t for point in search.bracket)
    bounds = (t + 0.01 * (t - last), t * 10)
    return _cubic_interpolate(search.bracket, bounds), search.insuf_progress


def _inside(search):
    """Return the next step length in the zoom, and whether it is close to an end.

    A second one in a row that is close, or one at the end itself, moves inwards.
    """
    ends = [point.t for point in search.bracket]
    left, right = min(ends), max(ends)
    t = _cubic_interpolate(search.bracket, (left, right))
    eps = 0.1 * (right - left)
    close = bool(min(right - t, t - left) < eps)
    move = close and (search.insuf_progress or bool(t >= right) or bool(t <= left))
    inwards = right - eps if (t - right).abs() < (t - left).abs() else left + eps
    return inwards if move else t, close and not move


def _cubic_interpolate(ends, bounds):
    """Return where the cubic through two points and their slopes is lowest, within the bounds."""
    (x1, f1, _, g1), (x2, f2, _, g2) = ends
    lowest, highest = bounds
    d1 = g1 + g2 - 3 * (f1 - f2) / (x1 - x2)
    d2_square = d1**2 - g1 * g2
    if not d2_square >= 0:
        return (lowest + highest) / 2
    d2 = torch.sqrt(d2_square)
    if x1 <= x2:
        min_pos = x2 - (x2 - x1) * ((g2 + d2 - d1) / (g2 - g1 + 2 * d2))
    else:
        min_pos = x1 - (x1 - x2) * ((g1 + d2 - d1) / (g1 - g2 + 2 * d2))
    return min(max(min_pos, lowest), highest)


def _lower(bracket):
    """Return which end has the lower loss: the first one if they are equal."""
    return 0 if bracket[0].f <= bracket[1].f else 1
