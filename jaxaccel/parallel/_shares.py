"""Shares of arrays: how they are split, put together and reduced, in two notations."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple, Protocol, TypeAlias

import jax
from jax.sharding import AbstractMesh, Mesh, NamedSharding, PartitionSpec

from jaxaccel._math import as_complex, as_real_pairs
from jaxaccel.parallel._mesh import entry_of

Split: TypeAlias = tuple[tuple[str, ...], ...]
"""For each dimension of an array the mesh axes that it is split over, the outermost first."""


class Share(NamedTuple):
    """An array of which every device has a part."""

    array: Any
    """The part, or the whole array where the compiler does the splitting."""
    split: Split


class Collectives(Protocol):
    """A notation: what is to happen, said to the compiler or done."""

    def gather(self, share: Share) -> Any:
        """Return the whole array on every device."""
        ...

    def scatter(self, gradient: Any, split: Split) -> Any:
        """Return this device's part of the mean over devices."""
        ...

    def mean(self, gradient: Any) -> Any:
        """Return the mean over devices."""
        ...

    def differs(self, value: Any) -> bool:
        """Return whether a value may be another one on another device."""
        ...


class Explicit(NamedTuple):
    """Collectives by name, inside ``shard_map``: axis by axis, as the wires of a TPU run.

    One collective over all of a torus becomes an all-reduce, several over a ring each do not.
    """

    axes: tuple[str, ...]
    """All axes that the batch is split over."""
    devices: int
    """Their devices."""
    reduce_dtype: Any = None
    """What real gradients are reduced in; None for their own dtype."""

    def gather(self, share: Share) -> Any:
        """Return the whole array on every device, from the innermost axis outwards."""
        whole = share.array
        for dimension, names in enumerate(share.split):
            for name in reversed(names):
                whole = jax.lax.all_gather(whole, name, axis=dimension, tiled=True)
        return whole

    def scatter(self, gradient: Any, split: Split) -> Any:
        """Return this device's part of the mean, from the outermost axis inwards."""

        def summed(part: Any) -> Any:
            for dimension, names in enumerate(split):
                for name in names:
                    part = jax.lax.psum_scatter(part, name, scatter_dimension=dimension, tiled=True)
            used = {name for names in split for name in names}
            others = tuple(name for name in self.axes if name not in used)
            return jax.lax.psum(part, others) if others else part

        return self._reduced(gradient, summed)

    def mean(self, gradient: Any) -> Any:
        """Return the mean over devices."""
        return self._reduced(gradient, lambda part: jax.lax.psum(part, self.axes))

    def differs(self, value: Any) -> bool:
        """Return whether a value may be another one on another device, as its type says."""
        return not {*self.axes}.isdisjoint(jax.typeof(value).manual_axis_type.varying)

    def _reduced(self, gradient: Any, summed: Any) -> Any:
        """Return a mean by a sum; XLA aborts on sums of complex constants, but not of pairs."""
        dtype = gradient.dtype
        if jax.numpy.iscomplexobj(gradient):
            return as_complex(summed(as_real_pairs(gradient)) / self.devices).astype(dtype)
        given = gradient if self.reduce_dtype is None else gradient.astype(self.reduce_dtype)
        if given.dtype == jax.numpy.float16:  # a sum might overflow where no share of a mean does
            return summed(given / self.devices).astype(dtype)
        return (summed(given) / self.devices).astype(dtype)


class Automatic(NamedTuple):
    """Where arrays are to live, said to the compiler, which finds the collectives."""

    mesh: Mesh | AbstractMesh
    free: Any = None
    """Of a dimension that is not split: None, or ``PartitionSpec.UNCONSTRAINED``, where the mesh
    has axes of other kinds of parallelism."""

    def gather(self, share: Share) -> Any:
        """Return the array, to be whole on every device here."""
        entries = (None if names else self.free for names in share.split)
        return self._placed(share.array, PartitionSpec(*entries))

    def scatter(self, gradient: Any, split: Split) -> Any:
        """Return the gradient, of which each device is to have its part here."""
        return self._placed(gradient, PartitionSpec(*(names or self.free for names in split)))

    def mean(self, gradient: Any) -> Any:
        """Return the gradient as it is: that of a mean over the whole batch."""
        return gradient

    def differs(self, value: Any) -> bool:
        """Return False: there is one program, of all rows."""
        return False

    def _placed(self, array: Any, spec: PartitionSpec) -> Any:
        return jax.lax.with_sharding_constraint(array, NamedSharding(self.mesh, spec))


def split_of(spec: PartitionSpec, ndim: int, axes: Sequence[str]) -> Split:
    """Return how a placement splits an array, as far as some axes go."""
    entries = [(e,) if isinstance(e, str) else tuple(e or ()) for e in spec]
    entries += [()] * (ndim - len(entries))
    return tuple(tuple(name for name in entry if name in axes) for entry in entries)


def spec_of(split: Split) -> PartitionSpec:
    """Return the placement of a split array."""
    return PartitionSpec(*map(entry_of, split))


def is_split(split: Split) -> bool:
    """Return whether an array is split at all."""
    return any(split)
