"""Which devices talk to each other, and along which axes of a mesh that is."""

from __future__ import annotations

import itertools
import math
import re

import numpy as np
from jax.sharding import Mesh

from jaxaccel._hlo import Operation

Groups = list[tuple[int, ...]]

_GROUPS = re.compile(
    r"replica_groups=(?:mesh\[(?P<mesh>[^\]]*)\](?:, ?device_ids=\((?P<ids>.*?)\))? ?"
    r"\{(?P<axes>[^}]*)\}|(?P<iota>\[[^ ]*?)(?=, [a-z]|$)|(?P<list>\{(?:\{[\d,]*\},?)*\}))"
)


def groups_of(operation: Operation, count: int) -> Groups:
    """Return the groups of a collective, of a program for so many devices."""
    if operation.kind.startswith("collective-permute"):
        return _pairs(operation)
    slices = re.search(r'_xla_megascale_target="\{([^}]*)\}', operation.rest)
    if slices:
        number = len(slices[1].split(","))
        return _rows(np.arange(count).reshape(number, -1).T)
    found = _GROUPS.search(operation.rest)
    if found is None or found["list"] == "{}":
        return [tuple(range(count))]
    if found["list"]:
        inner = re.findall(r"\{([\d,]+)\}", found["list"])
        return [tuple(map(int, group.split(","))) for group in inner]
    if found["iota"]:
        shape, _, rest = found["iota"].partition("<=")
        return _rows(_iota(rest).reshape(_numbers(shape)))
    ids = _iota(found["ids"].rpartition("<=")[2]) if found["ids"] else np.arange(count)
    return _along(found["mesh"], found["axes"], ids)


def axes_of(operation: Operation, groups: Groups, mesh: Mesh | None) -> tuple[str, ...] | None:
    """Return the axes of a mesh that groups of devices run along, or None if it is none's."""
    if not groups or mesh is None or mesh.size <= max(map(max, groups), default=0):
        return None
    sizes = {name: size for name, size in mesh.shape.items() if size > 1}
    places = np.arange(mesh.size).reshape([*sizes.values()])
    if operation.kind.startswith("collective-permute"):
        ends = np.array(groups)
        moved = np.stack(np.unravel_index(ends[:, 0], places.shape)) != np.stack(
            np.unravel_index(ends[:, 1], places.shape)
        )
        return tuple(name for name, has in zip(sizes, moved.any(axis=1), strict=True) if has)
    wanted = {frozenset(group) for group in groups}
    met = sum(map(len, wanted))
    if met < mesh.size and not mesh.size % met:  # of one slice, and the others do the same
        parts = range(0, mesh.size, met)
        wanted = {frozenset(each + start for each in group) for group in wanted for start in parts}
    for length in range(1, len(sizes) + 1):
        for chosen in itertools.combinations(range(len(sizes)), length):
            if {*map(frozenset, _rows(_last(places, chosen)))} == wanted:
                return tuple(name for index, name in enumerate(sizes) if index in chosen)
    return None


def _pairs(operation: Operation) -> Groups:
    """Return who sends to whom; what stays where it is does not count."""
    pairs = re.findall(r"\{(\d+),(\d+)\}", operation.attribute("source_target_pairs") or "")
    return [(int(a), int(b)) for a, b in pairs if a != b]


def _numbers(text: str) -> list[int]:
    return [*map(int, re.findall(r"\d+", text))]


def _iota(text: str) -> np.ndarray:
    """Return ``[4,2]T(1,0)``: numbers from 0 in a shape, transposed, in one row."""
    shape, _, order = text.partition("T")
    numbers = np.arange(math.prod(_numbers(shape))).reshape(_numbers(shape))
    return (numbers.transpose(_numbers(order)) if order else numbers).reshape(-1)


def _along(mesh: str, axes: str, ids: np.ndarray) -> Groups:
    """Return ``mesh['a'=2,'b'=4] {'b'}``, or of half an axis ``{'b':(1)2}``."""
    sizes = {name: int(size) for name, size in re.findall(r"'?([\w.]+)'?=(\d+)", mesh)}
    dims = {name: [size] for name, size in sizes.items()}
    chosen = []
    for name, before, length in re.findall(r"'?([A-Za-z_][\w.]*)'?(?::\((\d+)\)(\d+))?", axes):
        if length:
            rest = sizes[name] // (int(before) * int(length))
            dims[name] = [int(before), int(length), rest]
        chosen.append((name, 1 if length else 0))
    ends = itertools.accumulate(map(len, dims.values()), initial=0)
    starts = dict(zip(dims, ends, strict=False))
    flat = [size for parts in dims.values() for size in parts]
    places = ids.reshape(flat)
    return _rows(_last(places, tuple(starts[name] + part for name, part in chosen)))


def _last(places: np.ndarray, chosen: tuple[int, ...]) -> np.ndarray:
    """Return a row for each group of what lies along some axes."""
    length = math.prod(places.shape[axis] for axis in chosen)
    return np.moveaxis(places, chosen, range(-len(chosen), 0)).reshape(-1, length)


def _rows(table: np.ndarray) -> Groups:
    return [tuple(map(int, row)) for row in table]
