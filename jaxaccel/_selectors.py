"""What says which parameters are meant: a pattern, a predicate or a mask."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import jax
import numpy as np
from flax import nnx
from jax.core import Tracer

from jaxaccel._check_packed import of_arrays
from jaxaccel._functions import check_takes, is_function
from jaxaccel._named_arrays import NAMES
from jaxaccel._packed import has_packed, names_and_shapes
from jaxaccel._stacked import of_one_layer
from jaxaccel._tree import is_none, path_name


def paths_of(params: Any) -> list[str]:
    """Return the path of every parameter, of packed ones too."""
    params = names_and_shapes(params)
    return [path_name(path) for path, _ in jax.tree.leaves_with_path(params, is_leaf=is_none)]


def paths_in_words(params: Any) -> str:
    """Return what a pattern can match, for whom it has matched nothing."""
    return (
        f"the paths are {', '.join(paths_of(params))}; a weight that layers share has one of its "
        "names in them, and its name in PyTorch means it too"
    )


def path_test(name: str, selector: Any) -> Callable[[str, Any], bool] | None:
    """Return ``(path, leaf) -> bool`` of a pattern or a predicate, or None for a mask.

    Raises:
        ValueError: The pattern is not a regular expression.
        TypeError: It is none of the three.
    """
    if isinstance(selector, (str, re.Pattern)):
        try:
            search = re.compile(selector).search
        except re.error as error:
            raise ValueError(
                f"{name}={selector!r} is not a regular expression: {error}; escape what is meant "
                "as it stands with re.escape"
            ) from error
        return lambda path, leaf: search(path) is not None
    if selector is ... or isinstance(selector, type) or _is_nnx_filter(selector):
        raise TypeError(
            f"{name} must be a regular expression, a predicate (path, leaf) -> bool or a mask, got "
            f"{selector!r:.80}, a filter of nnx, which split_model takes; here paths are texts: "
            'write "head", or lambda path, leaf: path.startswith("head.")'
        )
    if is_function(selector):
        check_takes(name, "(path, leaf) -> bool", selector, "", None)
        return lambda path, leaf: _answer(name, selector(path, leaf))
    leaves = jax.tree.leaves(selector, is_leaf=is_none)
    if not leaves or not all(map(_is_bool, leaves)):
        raise TypeError(
            f"{name} must be a regular expression, a predicate (path, leaf) -> bool or a mask (a "
            f"tree of bools like the parameters, or a prefix of it), got {selector!r:.80}"
        )
    return None


def _answer(name: str, found: Any) -> bool:
    """Return what a predicate says; raise where that is several things, or not known yet."""
    if hasattr(found, "shape") and not _is_bool(found):
        raise TypeError(f"{name} must return a bool that is known now, got {found!r:.80}")
    return bool(found)


def _is_nnx_filter(selector: Any) -> bool:
    """Return whether something is one of nnx's filters, which see paths as tuples."""
    return type(selector).__module__ == nnx.filterlib.__name__


def _is_bool(leaf: Any) -> bool:
    """Return whether a leaf of a mask is one bool that is known now."""
    if isinstance(leaf, (np.ndarray, jax.Array)) and not isinstance(leaf, Tracer):
        return leaf.dtype == bool and leaf.ndim == 0
    return isinstance(leaf, (bool, np.bool_))


def _paths_and_leaves(params: Any) -> list[tuple[tuple[str, ...], Any]]:
    """Return all paths of every parameter, several where it is of layers that share it, and it.

    A stack of layers' parameters comes in the form of one of them.
    """

    def is_node(node: Any) -> bool:
        return is_none(node) or isinstance(node, nnx.Variable)

    found: list[tuple[tuple[str, ...], Any]] = []
    for path, node in jax.tree.leaves_with_path(params, is_leaf=is_node):
        said = node.get_metadata().get(NAMES) if isinstance(node, nnx.Variable) else None
        for below, leaf in jax.tree.leaves_with_path(node, is_leaf=is_none):
            paths = said or (path_name((*path, *below)),)
            found.append((paths, of_one_layer(node, leaf)))
    return found


def _by_first(name: str, selector: Any, paths: tuple[str, ...], answers: list[bool]) -> bool:
    """Return what is said of the name that PyTorch has for a parameter; raise if of another only.

    ``named_parameters()`` has one name of it, and the others mean nothing there.
    """
    if any(answers) and not answers[0]:
        other = paths[answers.index(True)]
        raise ValueError(
            f"{name}={selector!r} means {other!r}, another name of {paths[0]!r}, which layers "
            f"share: PyTorch's named_parameters() has it as {paths[0]!r} alone, so let both names "
            "match, or neither"
        )
    return answers[0]


def selected(name: str, selector: Any, params: Any) -> list[bool]:
    """Return for every parameter, or for every buffer of packed ones, whether it is selected."""
    if has_packed(params):
        return of_arrays(name, selected(name, selector, names_and_shapes(params)), params)
    test = path_test(name, selector)
    if test is not None:
        return [
            _by_first(name, selector, paths, [test(path, leaf) for path in paths])
            for paths, leaf in _paths_and_leaves(params)
        ]
    try:
        mask = jax.tree.broadcast(selector, params, is_leaf=is_none)
    except ValueError as error:
        raise ValueError(
            f"{name} is a mask that does not fit the parameters, whose paths are "
            f"{', '.join(paths_of(params))}: {error}"
        ) from error
    return [bool(chosen) for chosen in jax.tree.leaves(mask)]
