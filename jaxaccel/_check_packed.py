"""What packed parameters cannot be given to, and what their buffers must agree on."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import jax
import optax

from jaxaccel._packed import Packed, has_packed, is_packed
from jaxaccel._tree import is_named_tuple, is_none


def of_arrays(what: str, of_leaves: Sequence[Any], tree: Any) -> list[Any]:
    """Return what is said of every leaf as said of every array: a buffer's leaves must agree."""
    found, start = [], 0
    for node in jax.tree.leaves(tree, is_leaf=lambda node: is_none(node) or is_packed(node)):
        if not is_packed(node):
            found.append(of_leaves[start])
            start += 1
            continue
        layout = node.layout
        own = of_leaves[start : start + len(layout.paths)]
        start += len(layout.paths)
        for members in layout.members:
            other = next((i for i in members if own[i] != own[members[0]]), None)
            if other is not None:
                raise ValueError(
                    f"{what} is {own[members[0]]} for {layout.paths[members[0]]!r} and "
                    f"{own[other]} for {layout.paths[other]!r}, which are in one buffer; say so "
                    "when packing: training.packed(params, groups=[...])"
                )
            found.append(own[members[0]])
        found += [own[i] for i in layout.others]
    return found


def check_not_packed(reader: str, params: Any) -> None:
    """Raise for packed parameters, where a leaf is more than its numbers."""
    if has_packed(params):
        raise TypeError(
            f"{reader} needs every parameter in its own shape, and these are packed in buffers; "
            "give it the parameters as they are (training.unpacked), or pack the others only"
        )


def check_elementwise(state: Any) -> None:
    """Raise unless all parts of a state say that every number is treated by itself."""
    for part in _silent(state):
        raise TypeError(
            f"the parameters are packed, and {part} does not say that its update treats every "
            "number by itself, whatever the shape of its array: adam, adamw, sgd and most of "
            "ja.optimizers do. Of a transformation of your own, say it in its state's class: "
            "is_elementwise = True; or leave the parameters as they are"
        )


def _silent(state: Any) -> Iterator[str]:
    """Yield the names of the parts of a state that do not say so."""
    if isinstance(state, (Packed, optax.MaskedNode)) or state is None:
        return
    if not is_named_tuple(state):
        if type(state) not in (tuple, list):
            yield f"a state that is {type(state).__name__}"
            return
        for part in state:
            yield from _silent(part)
    elif not getattr(type(state), "is_elementwise", False):
        yield type(state).__name__
    else:
        for name, part in state._asdict().items():
            if name != "hyperparams" and (is_named_tuple(part) or type(part) in (tuple, list)):
                yield from _silent(part)
