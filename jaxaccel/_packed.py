"""Small leaves of a tree in a few long arrays: the arrays, and where in them each leaf lies."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax.core import Tracer
from jax.sharding import NamedSharding

from jaxaccel._check_trees import check_arrays
from jaxaccel._donated import check_not_donated
from jaxaccel._tree import path_name, short_repr


@jax.tree_util.register_static
class Layout(NamedTuple):
    """Where the leaves of a tree lie in :class:`Packed`; the same object in all trees of a run."""

    treedef: Any
    """The tree's structure, in which ``None`` is a leaf."""
    paths: tuple[str, ...]
    """The name of every leaf."""
    shapes: tuple[Any, ...]
    """The shape of every leaf; None of one that is None."""
    dtypes: tuple[Any, ...]
    """The dtype of every leaf."""
    members: tuple[tuple[int, ...], ...]
    """For every buffer the indices of its leaves, in the order in which they lie there: leaves of
    one shape are neighbours."""

    @property
    def others(self) -> list[int]:
        """The indices of the leaves that are in no buffer."""
        packed = {index for members in self.members for index in members}
        return [index for index in range(len(self.paths)) if index not in packed]

    def like(self, members: Sequence[int]) -> list[jax.ShapeDtypeStruct]:
        """Return the shapes and dtypes of some leaves."""
        return [jax.ShapeDtypeStruct(self.shapes[i], self.dtypes[i]) for i in members]


class Packed(NamedTuple):
    """A tree whose small leaves lie one after the other in a few long arrays.

    It is a pytree of those arrays and of the large leaves: what treats every number by itself
    treats it as any other tree. :func:`unpacked` returns the tree.
    """

    buffers: tuple[Any, ...]
    """Vectors, each of leaves of one dtype, one place and one group of parameters."""
    others: tuple[Any, ...]
    """The leaves that are by themselves, in the tree's order."""
    layout: Layout
    """Where in the vectors each leaf lies: no array, the same in all trees of a run."""

    own_counts = ()
    hidden = ("layout",)
    __repr__ = short_repr


def is_packed(node: Any) -> bool:
    """Return whether a node is a packed tree."""
    return isinstance(node, Packed)


def has_packed(tree: Any) -> bool:
    """Return whether a packed tree is anywhere in a tree."""
    return any(map(is_packed, jax.tree.leaves(tree, is_leaf=is_packed)))


def unpacked(tree: Any, name: str = "tree") -> Any:
    """Return a tree with what every packed tree in it holds in its place."""
    if has_packed(tree):
        check_not_donated(**{name: tree})
    return jax.tree.map(
        lambda node: _unpacked(node) if is_packed(node) else node, tree, is_leaf=is_packed
    )


def _unpacked(packed: Packed) -> Any:
    """Return the tree that a packed one holds."""
    layout = packed.layout
    leaves: list[Any] = [None] * len(layout.paths)
    for index, leaf in zip(layout.others, packed.others, strict=True):
        leaves[index] = leaf
    for members, buffer in zip(layout.members, packed.buffers, strict=True):
        for index, leaf in zip(members, _parts(buffer, layout.like(members)), strict=True):
            leaves[index] = leaf
    return layout.treedef.unflatten(leaves)


def _parts(buffer: Any, like: Sequence[jax.ShapeDtypeStruct]) -> Sequence[Any]:
    """Return the leaves that lie in a buffer, or what is there in the place of all of them."""
    sizes = [math.prod(each.shape) for each in like]
    *outer, length = getattr(buffer, "shape", None) or (None,)  # outer: of trees that are stacked
    if length != sum(sizes):
        return [buffer] * len(like)  # a count for all, None, nothing of this group
    shapes = [(*outer, *each.shape) for each in like]
    if isinstance(buffer, jax.ShapeDtypeStruct):
        return [jax.ShapeDtypeStruct(shape, buffer.dtype) for shape in shapes]
    if isinstance(buffer, np.ndarray):
        parts: Sequence[Any] = np.split(buffer, np.cumsum(sizes)[:-1], -1)
    else:  # of which the gradient is one concatenation
        parts = jax.lax.split(buffer, sizes, buffer.ndim - 1)
    return [part.reshape(shape) for part, shape in zip(parts, shapes, strict=True)]


def packed_by(layout: Layout, tree: Any, like: Sequence[Any] | None = None) -> Packed:
    """Return a tree packed as a layout says: parameters, or what there is one of for each.

    ``like`` has other trees' buffers, to tell counts from parameters that are single numbers.
    """
    leaves = _in_places_of(layout.treedef, tree)
    buffers = [
        _joined(members, leaves, layout, like is None or getattr(like[index], "ndim", 0) == 1)
        for index, members in enumerate(layout.members)
    ]
    return Packed(tuple(buffers), tuple(leaves[i] for i in layout.others), layout)


def _in_places_of(treedef: Any, tree: Any) -> list[Any]:
    """Return what a tree has in the place of each leaf of another."""
    try:
        return treedef.flatten_up_to(tree)
    except ValueError as error:
        raise ValueError(
            f"a tree to pack must have the structure of what is packed: {error}\nGive as like= "
            "the packed tree that this one was, before it was unpacked"
        ) from None


def _joined(members: Sequence[int], leaves: Sequence[Any], layout: Layout, is_vector: bool) -> Any:
    """Return some leaves as one vector, or what is in the place of all of them."""
    own = [leaves[i] for i in members]
    first = own[0]
    if is_vector and all(getattr(leaves[i], "shape", None) == layout.shapes[i] for i in members):
        if isinstance(first, jax.ShapeDtypeStruct):
            return jax.ShapeDtypeStruct((sum(math.prod(x.shape) for x in own),), first.dtype)
        return _placed_like(first, jnp.concatenate([jnp.ravel(leaf) for leaf in own]))
    for index in members:
        if not _is_same(first, leaves[index]):
            raise ValueError(
                f"{layout.paths[members[0]]!r} and {layout.paths[index]!r} are in one buffer, but "
                f"one has {first!r:.60} and the other {leaves[index]!r:.60}; pack them in two: "
                "training.packed(params, groups=[...])"
            )
    return first


def _is_same(first: Any, other: Any) -> bool:
    """Return whether two leaves are the same number, or the same kind of nothing."""
    if not hasattr(first, "shape") or not hasattr(other, "shape"):
        return type(first) is type(other)
    is_known = not isinstance(first, Tracer) and not isinstance(other, Tracer)
    return first is other or (is_known and np.array_equal(np.asarray(first), np.asarray(other)))


def _placed_like(leaf: Any, buffer: jax.Array) -> jax.Array:
    """Return a buffer on the mesh of its leaves."""
    sharding = None if isinstance(leaf, Tracer) else getattr(leaf, "sharding", None)
    if isinstance(sharding, NamedSharding):
        whole = jax.sharding.PartitionSpec()
        kind = sharding.memory_kind
        return jax.device_put(buffer, NamedSharding(sharding.mesh, whole, memory_kind=kind))
    return buffer


def packed_as(tree: Any, like: Any) -> Any:
    """Return a tree packed wherever another one of the same kind is."""
    nodes, treedef = jax.tree.flatten_with_path(like, is_leaf=is_packed)
    parts = [
        _packed_like(part, node) if is_packed(node) else _checked_like(path_name(path), part, node)
        for (path, node), part in zip(nodes, _in_places_of(treedef, tree), strict=True)
    ]
    return treedef.unflatten(parts)


def _packed_like(tree: Any, like: Packed) -> Packed:
    """Return a tree packed as another one is, of the same shapes and dtypes."""
    layout = like.layout
    buffers = [
        jax.ShapeDtypeStruct(each.shape, each.dtype) if hasattr(each, "shape") else each
        for each in like.buffers
    ]
    wanted = layout.treedef.flatten_up_to(_unpacked(like._replace(buffers=tuple(buffers))))
    for row in zip(layout.paths, _in_places_of(layout.treedef, tree), wanted, strict=True):
        _checked_like(*row)
    return packed_by(layout, tree, like.buffers)


def _checked_like(path: str, leaf: Any, like: Any) -> Any:
    """Return a leaf, of the shape and dtype of the one that it is to stand for."""
    if hasattr(like, "shape") and leaf is not None and not hasattr(leaf, "shape"):
        check_arrays(repr(path), leaf)
    for what, remedy in (("shape", ""), ("dtype", ", or convert it first: leaf.astype(dtype)")):
        found, own = getattr(leaf, what, None), getattr(like, what, None)
        if found is not None and own is not None and found != own:
            raise ValueError(
                f"{path!r} has {what} {found}, where it is to be packed {own}; give a tree of the "
                f"same kind{remedy}"
            )
    return leaf


def names_and_shapes(tree: Any) -> Any:
    """Return a tree unpacked, with shapes and dtypes in the place of what is in buffers."""

    def shapes(node: Any) -> Any:
        if not is_packed(node):
            return node
        buffers = tuple(
            jax.ShapeDtypeStruct((sum(math.prod(x.shape) for x in like),), like[0].dtype)
            for like in map(node.layout.like, node.layout.members)
        )
        return _unpacked(node._replace(buffers=buffers))

    return jax.tree.map(shapes, tree, is_leaf=is_packed)


def stacked_leaves(packed: Packed) -> Iterator[tuple[list[int], Any]]:
    """Yield (indices, array) of all leaves that there are: those of one shape on a new axis."""
    layout = packed.layout
    for index, leaf in zip(layout.others, packed.others, strict=True):
        if hasattr(leaf, "shape"):
            yield [index], jnp.asarray(leaf)[None]
    for members, buffer in zip(layout.members, packed.buffers, strict=True):
        if not hasattr(buffer, "shape"):
            continue
        runs = _runs(layout, members)
        sizes = [len(run) * math.prod(layout.shapes[run[0]]) for run in runs]
        for run, part in zip(runs, jax.lax.split(buffer, sizes), strict=True):
            yield run, part.reshape(len(run), *layout.shapes[run[0]])


def _runs(layout: Layout, members: Sequence[int]) -> list[list[int]]:
    """Return neighbours of one shape."""
    runs: list[list[int]] = []
    for index in members:
        if runs and layout.shapes[runs[-1][0]] == layout.shapes[index]:
            runs[-1].append(index)
        else:
            runs.append([index])
    return runs
