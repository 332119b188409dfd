"""A function's program, as a region reads it: traced in the dtypes that it is called with."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import jax
import numpy as np
from flax import nnx
from flax.errors import TraceContextError
from jax.extend.core import ClosedJaxpr, Jaxpr, Literal

from jaxaccel import _operations


class Traced(NamedTuple):
    """A call of a function, taken apart."""

    program: ClosedJaxpr
    arrays: list[Any]
    """What the program takes."""
    rebuild: Callable[[list[Any]], Any]
    """What the function returns, of the program's results."""


def _is_array(leaf: Any) -> bool:
    """Return whether a leaf is traced; modules, Python numbers and words stay as they are."""
    return isinstance(leaf, jax.Array | np.ndarray | np.generic | jax.ShapeDtypeStruct)


def trace(fn: Callable[..., Any], args: Any, kwargs: Any, dtype: Any) -> Traced:
    """Trace a call of a function with the marks of its operations.

    Args:
        fn: The function.
        args: By position.
        kwargs: By name.
        dtype: What the marks' bodies are in, beside float32; None for no marks.
    """
    leaves, tree = jax.tree.flatten((args, kwargs), is_leaf=_is_module)
    arrays = [leaf for leaf in leaves if _is_array(leaf)]
    outside: list[Any] = []

    def call(*arrays: Any) -> list[Any]:
        given = iter(arrays)
        own = [next(given) if _is_array(leaf) else leaf for leaf in leaves]
        args, kwargs = jax.tree.unflatten(tree, own)
        results, out_tree = jax.tree.flatten(fn(*args, **kwargs))
        outside[:] = [out_tree, [None if _is_array(leaf) else leaf for leaf in results]]
        outside.append([_is_array(leaf) for leaf in results])
        return [leaf for leaf in results if _is_array(leaf)]

    try:
        with _operations.region(dtype):
            program = jax.make_jaxpr(call)(*arrays)
    except TraceContextError as error:
        raise TypeError(_STATEFUL) from error
    if dtype is not None and _returns_gradient(program.jaxpr, program.jaxpr.outvars):
        raise TypeError(_DIFFERENTIATED)
    out_tree, others, are_arrays = outside

    def rebuild(results: list[Any]) -> Any:
        found = iter(results)
        own = [
            next(found) if is_one else other
            for is_one, other in zip(are_arrays, others, strict=True)
        ]
        return jax.tree.unflatten(out_tree, own)

    return Traced(program, arrays, rebuild)


def _is_module(node: Any) -> bool:
    """Return whether a node is an nnx module, which holds its arrays by reference."""
    return isinstance(node, nnx.Module)


def _returns_gradient(jaxpr: Jaxpr, results: Sequence[Any]) -> bool:
    """Return whether a result comes straight out of differentiation, by the scopes' names."""
    wanted = {v for v in results if not isinstance(v, Literal)}
    for equation in jaxpr.eqns:
        places = [i for i, v in enumerate(equation.outvars) if v in wanted]
        if places and "transpose(" in str(equation.source_info.name_stack):
            return True
        if places and equation.primitive.name == "jit":
            inner = equation.params["jaxpr"].jaxpr
            if _returns_gradient(inner, [inner.outvars[i] for i in places]):
                return True
    return False


_DIFFERENTIATED = (
    "autocast cannot run a function that returns gradients: its backward pass would be cast "
    "operation by operation, and not as the forward pass was.\nDifferentiate what autocast "
    "returns: jax.value_and_grad(autocast(loss, ...)), training.gradients(autocast(loss, ...))"
)

_STATEFUL = (
    "autocast cannot run a function that changes the state of an nnx module (running statistics, "
    "a counter of masks): what is traced is not stored.\nTake the module apart: apply, params, "
    "model_state = training.split_model(model), and give autocast a function of these that "
    "returns the new model_state"
)
