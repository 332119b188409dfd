"""The line search of L-BFGS: a step that fulfils the strong Wolfe conditions."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from jaxaccel._math import in_dtype
from jaxaccel.optimizers._flat_vector import dot, largest


class _Point(NamedTuple):
    """The loss seen along the line, at one step length or (stacked) at both ends of a bracket."""

    t: jax.Array
    f: jax.Array
    g: jax.Array
    gtd: jax.Array


class _Search(NamedTuple):
    """The search between two evaluations."""

    ls_iter: jax.Array
    """int32 scalar: evaluations so far."""
    t: jax.Array
    """The step length to look at next."""
    bracket: _Point
    """The two points in hand: the last two while bracketing, the interval's ends in the zoom."""
    low: jax.Array
    """int32 scalar: which of the two has the lower loss."""
    zooming: jax.Array
    found: jax.Array
    """Whether the lower point fulfils the conditions."""
    insuf_progress: jax.Array
    ended: jax.Array


def strong_wolfe(
    obj_func: Callable[[jax.Array], tuple[jax.Array, jax.Array]],
    t: jax.Array,
    d: jax.Array,
    f: jax.Array,
    g: jax.Array,
    gtd: jax.Array,
    c1: float = 1e-4,
    c2: float = 0.9,
    tolerance_change: Any = 1e-9,
    max_ls: Any = 25,
) -> tuple[jax.Array, jax.Array, jax.Array, jax.Array]:
    """Return the loss, the gradient and the step where PyTorch's search ends, and its evaluations.

    ``obj_func(t)`` gives loss and gradient at step length ``t`` along the direction ``d``; ``f``,
    ``g`` and ``gtd`` are loss, gradient and slope at 0. PyTorch's two loops, to bracket and to
    zoom, are one here, so that ``obj_func`` is compiled once.
    """
    (tolerance_change,) = in_dtype(d.dtype, tolerance_change)
    start = _Point(jnp.zeros_like(t), f, g, gtd)
    d_norm = largest(d)

    def look(search: _Search) -> _Search:
        f_new, g_new = obj_func(search.t)
        new = _Point(search.t, f_new, g_new, dot(g_new, d))
        exhausted = search.ls_iter >= max_ls
        too_high = new.f > start.f + c1 * new.t * start.gtd
        flat = jnp.abs(new.gtd) <= -c2 * start.gtd
        search = jax.lax.cond(
            search.zooming,
            lambda: _zoom(search, new, too_high, flat),
            lambda: _bracket(search, new, start, too_high, flat, exhausted),
        )
        ends = search.bracket.t
        too_small = search.zooming & (jnp.abs(ends[1] - ends[0]) * d_norm < tolerance_change)
        t, insuf_progress = jax.lax.cond(search.zooming, _inside, _beyond, search)
        return search._replace(
            ls_iter=search.ls_iter + 1,
            t=t,
            insuf_progress=insuf_progress,
            ended=search.found | exhausted | too_small,
        )

    no = jnp.zeros((), bool)
    search = jax.lax.while_loop(
        lambda search: ~search.ended,
        look,
        _Search(
            ls_iter=jnp.zeros((), jnp.int32),
            t=t,
            bracket=_both(start, start),
            low=jnp.zeros((), jnp.int32),
            zooming=no,
            found=no,
            insuf_progress=no,
            ended=no,
        ),
    )
    best = _at(search.bracket, search.low)
    return best.f, best.g, best.t, search.ls_iter


def _bracket(
    search: _Search, new: _Point, start: _Point, too_high: Any, flat: Any, exhausted: Any
) -> _Search:
    """Return the search after a point beyond the last one: is there a minimum between them?"""
    last = _at(search.bracket, 1)
    not_lower = too_high | ((search.ls_iter > 1) & (new.f >= last.f))
    bracket = _both(_where(exhausted, start, last), new)
    found = ~not_lower & flat & ~exhausted
    return search._replace(
        bracket=bracket,
        low=jnp.where(found, 1, _lower(bracket)),
        found=found,
        zooming=not_lower | (~flat & (new.gtd >= 0)),
    )


def _zoom(search: _Search, new: _Point, too_high: Any, flat: Any) -> _Search:
    """Return the search after a point inside the bracket, which takes the place of an end."""
    low, high = _at(search.bracket, search.low), _at(search.bracket, 1 - search.low)
    not_lower = too_high | (new.f >= low.f)
    turned = new.gtd * (high.t - low.t) >= 0
    new_low = _where(not_lower, low, new)
    new_high = _where(not_lower, new, _where(turned & ~flat, low, high))
    bracket = _where(search.low == 0, _both(new_low, new_high), _both(new_high, new_low))
    return search._replace(
        bracket=bracket,
        low=jnp.where(not_lower, _lower(bracket), search.low),
        found=~not_lower & flat,
    )


def _beyond(search: _Search) -> tuple[jax.Array, jax.Array]:
    """Return the next step length while bracketing: the cubic's minimum beyond the last point."""
    last, t = search.bracket.t
    bounds = (t + 0.01 * (t - last), t * 10)
    return _cubic_interpolate(search.bracket, bounds), search.insuf_progress


def _inside(search: _Search) -> tuple[jax.Array, jax.Array]:
    """Return the next step length in the zoom, and whether it is close to an end.

    A second one in a row that is close, or one at the end itself, moves inwards.
    """
    left, right = jnp.min(search.bracket.t), jnp.max(search.bracket.t)
    t = _cubic_interpolate(search.bracket, (left, right))
    eps = 0.1 * (right - left)
    close = jnp.minimum(right - t, t - left) < eps
    move = close & (search.insuf_progress | (t >= right) | (t <= left))
    inwards = jnp.where(jnp.abs(t - right) < jnp.abs(t - left), right - eps, left + eps)
    return jnp.where(move, inwards, t), close & ~move


def _cubic_interpolate(ends: _Point, bounds: tuple[jax.Array, jax.Array]) -> jax.Array:
    """Return where the cubic through two points and their slopes is lowest, within the bounds."""
    (x1, x2), (f1, f2), (g1, g2) = ends.t, ends.f, ends.gtd
    lowest, highest = bounds
    d1 = g1 + g2 - 3 * (f1 - f2) / (x1 - x2)
    d2_square = d1**2 - g1 * g2
    d2 = jnp.sqrt(d2_square)
    min_pos = jnp.where(
        x1 <= x2,
        x2 - (x2 - x1) * ((g2 + d2 - d1) / (g2 - g1 + 2 * d2)),
        x1 - (x1 - x2) * ((g1 + d2 - d1) / (g1 - g2 + 2 * d2)),
    )
    # Python's min and max: a position that is NaN stays.
    min_pos = jnp.where(lowest > min_pos, lowest, min_pos)
    min_pos = jnp.where(highest < min_pos, highest, min_pos)
    return jnp.where(d2_square >= 0, min_pos, (lowest + highest) / 2)


def _lower(bracket: _Point) -> jax.Array:
    """Return which end has the lower loss: the first one if they are equal."""
    return jnp.where(bracket.f[0] <= bracket.f[1], 0, 1).astype(jnp.int32)


def _both(first: _Point, second: _Point) -> _Point:
    """Return two points as a bracket."""
    return jax.tree.map(lambda a, b: jnp.stack([a, b]), first, second)


def _at(bracket: _Point, index: Any) -> _Point:
    """Return one point of a bracket."""
    return jax.tree.map(lambda pair: pair[index], bracket)


def _where(condition: Any, yes: _Point, no: _Point) -> _Point:
    """Return one of two points or brackets."""
    return jax.tree.map(lambda a, b: jnp.where(condition, a, b), yes, no)
