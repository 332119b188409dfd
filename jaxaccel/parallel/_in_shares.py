"""A gradient function of one device's rows, of parameters in shares."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax.sharding import NamedSharding, PartitionSpec

from jaxaccel._types import Gradients, Params
from jaxaccel.parallel._gathered_at_use import Reader
from jaxaccel.parallel._passing import Want
from jaxaccel.parallel._per_device import Own
from jaxaccel.parallel._shares import Share, Split, is_split


class Traced(NamedTuple):
    """The program of a gradient function."""

    program: Any
    """A closed jaxpr: parameters and all else, flat -> gradients and all else, flat."""
    tree: Any
    """Of its results."""
    moving: list[int]
    """The parameters that have a gradient, by their number."""


def in_shares(
    own: Own,
    reader: Reader,
    splits: Sequence[Split],
    are_shares: bool,
    dtype: Any,
    reduces_wider: bool = False,
) -> Own:
    """Return the function of parameters in shares, whose gradients are the mean, in shares.

    Args:
        own: The function of whole parameters.
        reader: Who reads its program.
        splits: How each parameter, or its gradient, is split.
        are_shares: Whether parameters are; otherwise gradients alone.
        dtype: What parameters are gathered and used in; None for their own.
        reduces_wider: Whether gradients are reduced in a dtype of their own, and the mean comes in
            the parameters'.
    """

    def run(params: Params, *others: Any) -> Gradients:
        leaves, treedef = jax.tree.flatten(params)
        pairs = zip([_as_used(leaf, dtype) for leaf in leaves], splits, strict=True)
        given = [Share(p, split) if are_shares and is_split(split) else p for p, split in pairs]
        whole = [_with_sharding(x) for x in jax.eval_shape(lambda: reader.whole(given))]
        traced = _traced(own, whole, treedef, others)
        like = [leaves[place].dtype for place in traced.moving]
        # A dtype to reduce in is not one to round the mean to.
        wide = like if reduces_wider else [None] * len(like)
        wanted = [
            Want(splits[place], dtype) if is_split(splits[place]) else None
            for place, dtype in zip(traced.moving, wide, strict=True)
        ]
        rest = len(traced.program.jaxpr.outvars) - len(wanted)
        results = reader.run(
            traced.program.jaxpr,
            traced.program.consts,
            [*given, *jax.tree.leaves(others)],
            [*wanted, *[None] * rest],
            [*[False] * len(wanted), *[True] * rest],
        )
        grads, found = results[: len(wanted)], results[len(wanted) :]
        means = [
            grad if want is not None else reader.collectives.mean(Want((), dtype).cast(grad))
            for grad, want, dtype in zip(reader.whole(grads), wanted, wide, strict=True)
        ]
        grads = [grad.astype(dtype) for grad, dtype in zip(means, like, strict=True)]
        return traced.tree.unflatten([*grads, *reader.whole(found)])

    return run


def _traced(own: Own, leaves: Sequence[Any], treedef: Any, others: Any) -> Traced:
    """Trace a gradient function of parameters, given flat, and all else."""
    rest, rest_tree = jax.tree.flatten(others)

    def flat(*arrays: Any) -> Gradients:
        params = treedef.unflatten(arrays[: len(leaves)])
        return own(params, *rest_tree.unflatten(arrays[len(leaves) :]))

    program, shapes = jax.make_jaxpr(flat, return_shape=True)(*leaves, *rest)
    grads = enumerate(treedef.flatten_up_to(shapes.grads))
    moving = [place for place, grad in grads if grad is not None]
    return Traced(program, jax.tree.structure(shapes), moving)


def _with_sharding(leaf: jax.ShapeDtypeStruct) -> jax.ShapeDtypeStruct:
    """Return a shape that says on which mesh its type varies, where other axes are automatic."""
    mesh = jax.sharding.get_abstract_mesh()
    if leaf.sharding is not None or mesh.empty:
        return leaf
    return leaf.update(sharding=NamedSharding(mesh, PartitionSpec(*[None] * leaf.ndim)))


def _as_used(leaf: Any, dtype: Any) -> Any:
    """Return a parameter in the dtype in which it is gathered and used."""
    is_floating = dtype is not None and jnp.issubdtype(leaf.dtype, jnp.floating)
    return leaf.astype(dtype) if is_floating else leaf
