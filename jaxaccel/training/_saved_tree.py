"""The leaves of a saved tree: what each is, in JSON, and what goes to the disk of it."""

from __future__ import annotations

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax.core import Tracer

from jaxaccel._arrays import has_numbers
from jaxaccel._keys import is_key
from jaxaccel._processes import as_host_array, digest, is_global, of_all_processes

_NUMBERS: tuple[type, ...] = (bool, int, float, complex)
_AS_BYTES = ("float8_e4m3", "uint4", "uint2")
"""Dtypes that the files know no name for, and keep as bytes."""

SHOWN = 5
"""So many differences stand in the text of an error; all of them in its ``differences``."""


class Leaf(NamedTuple):
    """One leaf: an array, keys, or a number of Python."""

    path: str
    """As JAX writes it: ``".params['fc']['weight']"``."""
    dtype: str
    """``"float32"``, ``"key<fry>"``, or ``"Python's float"``."""
    shape: tuple[int, ...] = ()
    impl: str | None = None
    """Of keys, the algorithm."""
    value: Any = None
    """Of a number, itself; a complex one as two."""

    def __str__(self) -> str:
        """Return the dtype and shape."""
        is_number = self.dtype.startswith("Python")
        return self.dtype if is_number else f"{self.dtype}[{', '.join(map(str, self.shape))}]"

    @property
    def is_stored(self) -> bool:
        """Whether it has numbers in the arrays' files."""
        return not self.dtype.startswith("Python") and 0 not in self.shape


def leaves_of(what: str, tree: Any) -> list[tuple[Leaf, Any]]:
    """Return a tree's leaves with what each is; raise for what cannot be saved."""
    found = [
        (_leaf(what, jax.tree_util.keystr(path), leaf), leaf)
        for path, leaf in jax.tree_util.tree_leaves_with_path(tree)
    ]
    paths = [leaf.path for leaf, _ in found]
    if len(set(paths)) < len(paths):
        twice = next(path for path in paths if paths.count(path) > 1)
        raise ValueError(
            f"{what} has two leaves at {twice}; give the keys of its nodes other names"
        )
    return found


def _leaf(what: str, path: str, leaf: Any) -> Leaf:
    if isinstance(leaf, Tracer):
        raise TypeError(
            f"{what}{path} is traced; save outside of jax.jit and other transformations"
        )
    if type(leaf) in _NUMBERS:
        value = [leaf.real, leaf.imag] if isinstance(leaf, complex) else leaf
        return Leaf(path, f"Python's {type(leaf).__name__}", value=value)
    is_array = isinstance(leaf, (jax.Array, np.ndarray, np.generic, jax.ShapeDtypeStruct))
    dtype: Any = leaf.dtype if is_array else None
    shape = leaf.shape if is_array else None
    if dtype is not None and jnp.issubdtype(dtype, jax.dtypes.prng_key):
        return Leaf(path, str(dtype), tuple(leaf.shape), _impl(what, path, leaf))
    if shape is None or not has_numbers(dtype) or _is_long(np.dtype(dtype)):
        raise TypeError(
            f"{what}{path} is {leaf!r:.60}, of {type(leaf).__name__}: arrays, keys and numbers are "
            "saved; texts and other values of JSON go into extra="
        )
    return Leaf(path, np.dtype(dtype).name, tuple(shape))


def _is_long(dtype: np.dtype) -> bool:
    """Return whether these are long doubles, which no other machine may have."""
    return dtype.itemsize > (16 if dtype.kind == "c" else 8)


def _impl(what: str, path: str, leaf: Any) -> str | None:
    """Return the name of the algorithm of keys; None of a mere shape."""
    if not is_key(leaf):
        return None
    impl = jax.random.key_impl(leaf)
    if not isinstance(impl, str):
        raise TypeError(f"{what}{path} is a key of {impl}, which has no name to find it by again")
    return impl


def check_same(saved: list[Leaf], wanted: list[Leaf], what: str, remedy: str) -> None:
    """Raise where two trees differ in a path, a shape or a dtype; the error lists everything."""
    old, new = ({leaf.path: leaf for leaf in leaves} for leaves in (saved, wanted))
    differences = [
        f"{path or 'the tree'}: saved {old[path]}, here {new[path]}"
        for path in new
        if path in old and str(old[path]) != str(new[path])
    ]
    differences += [f"{path}: saved {old[path]}, not here" for path in old if path not in new]
    differences += [f"{path}: not saved, here {new[path]}" for path in new if path not in old]
    if not differences:
        return
    more = len(differences) - SHOWN
    listed = [*differences[:SHOWN], *([f"... and {more} more"] if more > 0 else [])]
    error: Any = ValueError(
        "\n  ".join([f"{what}, in {len(differences)} place(s):", *listed, remedy])
    )
    error.differences = tuple(differences)
    raise error


def as_stored(leaf: Leaf, value: Any) -> Any:
    """Return the array whose numbers go to the disk; orbax copies NumPy's before it returns."""
    if is_key(value):
        value = jax.random.key_data(value)
    if not isinstance(value, jax.Array):
        value = np.asarray(value, np.dtype(value.dtype).newbyteorder("="))
    elif jax.process_count() > 1 and not is_global(value):
        value = np.asarray(value)
    if leaf.dtype not in _AS_BYTES:
        return value
    if "int" in leaf.dtype:
        return value.astype(np.uint8)
    if isinstance(value, np.ndarray):
        return value.view(np.uint8)
    return jax.lax.bitcast_convert_type(value, jnp.uint8)


def check_agreed(leaves: list[tuple[Leaf, Any]]) -> None:
    """Raise for what each of several processes has alone, and not all have alike."""
    if jax.process_count() == 1:
        return
    alone = [(leaf, value) for leaf, value in leaves if not is_global(value)]
    digests = of_all_processes([digest([as_host_array(value)]) for _, value in alone] or [0])
    for (leaf, _), row in zip(alone, digests.T, strict=False):
        if len(set(row.tolist())) > 1:
            raise ValueError(
                f"tree{leaf.path} is another one on each process; save what all have alike, or "
                "make it one array of all (parallel.shard_batch)"
            )


def as_wanted(leaf: Leaf, like: Any, found: Any) -> Any:
    """Return a leaf as the tree that is restored has it, of what was read of it."""
    if leaf.dtype.startswith("Python"):
        return complex(*leaf.value) if leaf.dtype.endswith("complex") else leaf.value
    place = place_of(like)
    if not leaf.is_stored:
        return _empty(leaf, like, place)
    if leaf.dtype in _AS_BYTES:
        dtype = jnp.dtype(leaf.dtype)
        if "int" in leaf.dtype:
            found = found.astype(dtype)
        elif isinstance(found, np.ndarray):
            found = found.view(dtype)
        else:
            found = jax.lax.bitcast_convert_type(found, dtype)
    if isinstance(like, np.generic):
        return found[()]
    if isinstance(like, np.ndarray):
        return found
    array = found if isinstance(found, jax.Array) else jnp.array(found)
    if leaf.impl is not None:
        keys = jax.random.wrap_key_data(array, impl=leaf.impl)
        return keys if place is None else jax.device_put(keys, place)
    if getattr(like, "weak_type", False) and array.shape == () and array.is_fully_addressable:
        weak = jnp.asarray(array.item())  # as Python's numbers are; a step is compiled for it
        array = weak if place is None else jax.device_put(weak, place)
    return array


def _empty(leaf: Leaf, like: Any, place: Any) -> Any:
    """Return an array without numbers."""
    if leaf.impl is not None or leaf.dtype.startswith("key<"):
        words = jax.random.key_data(jax.random.key(0, impl=leaf.impl))
        keys = jax.random.wrap_key_data(
            jnp.zeros((*leaf.shape, *words.shape), words.dtype), impl=leaf.impl
        )
        return keys if place is None else jax.device_put(keys, place)
    zeros = np.zeros(leaf.shape, jnp.dtype(leaf.dtype))
    if isinstance(like, np.ndarray):
        return zeros
    if place is None:
        return jnp.array(zeros)
    return jax.make_array_from_callback(leaf.shape, place, lambda index: zeros[index])


def read_to(leaf: Leaf, like: Any) -> Any:
    """Return where the numbers of a leaf are read to; None: onto the host.

    Keys go by way of the host where they can: their words would spell the same place another way,
    and a step be compiled again.
    """
    place = place_of(like)
    return None if leaf.impl and place is not None and place.is_fully_addressable else place


def place_of(like: Any) -> Any:
    """Return where an array is to be; None where that was left to JAX, and on the host."""
    if isinstance(like, jax.ShapeDtypeStruct):
        return like.sharding
    return like.sharding if isinstance(like, jax.Array) and like.committed else None
