"""A flax.nnx model as a pure function of its parameters and its state, and back."""

from __future__ import annotations

import functools
import inspect
import re
from collections.abc import Callable, Mapping
from typing import Any

import jax
from flax import nnx

from jaxaccel._call_repr import in_brief
from jaxaccel._checked import checked
from jaxaccel._donated import check_not_donated
from jaxaccel._filled import copied
from jaxaccel._named_arrays import paths_of_variables, say_names
from jaxaccel._packed import unpacked
from jaxaccel._selectors import path_test
from jaxaccel._tree import path_name
from jaxaccel._types import ModelFunction, Params


@checked
def split_model(model: nnx.Module, trainable: Any = None) -> tuple[ModelFunction, Params, Any]:
    """Split a model into a pure function, its parameters and the rest of its state.

    Args:
        model: A flax.nnx module. It is not changed and can be used on.
        trainable: Which parameters (``nnx.Param``) are trained: a regular expression that is
            searched for in the path (``"head"``, ``"blocks.0.attention.bias"``), a function
            ``(path, leaf) -> bool``, or an nnx filter. The others are frozen: they are in
            ``model_state``, and so in no gradient, no norm and no optimizer state. Default: all.

    Returns:
        ``(apply, params, model_state)``: ``apply(params, model_state, *inputs, training, **named)``
        calls the model with the inputs, positional and named, and returns
        ``(outputs, new_model_state)``. ``params`` holds the parameters that are trained,
        ``model_state`` everything else (running statistics, which move in frozen layers too,
        counters, dropout keys, frozen parameters). ``training`` selects train or eval mode, as
        ``model.train()`` and ``model.eval()`` do. :func:`merge` is the way back.

    Raises:
        ValueError: ``trainable`` matches no parameter: the text lists the paths.

    PyTorch:
        ``torch.func.functional_call(module, parameters_and_buffers, args, kwargs)``: here buffers
        that the call changes come back instead of being changed. What is not ``trainable`` has
        ``requires_grad=False``; PyTorch's optimizer gets the parameters without those.

    Example:
        >>> import jax.numpy as jnp
        >>> import jaxaccel as ja
        >>> model = ja.nn.BatchNorm2d(1)
        >>> apply, params, state = ja.training.split_model(model, trainable="bias")
        >>> x = jnp.arange(4.0).reshape(4, 1, 1, 1)
        >>> _, state = apply(params, state, x, training=True)
        >>> print(list(params), state["running_mean"][...])
        ['bias'] [0.15]
    """
    names = paths_of_variables(model)
    own = nnx.clone(model, variables=False)
    own.eval()
    eval_graph = nnx.graphdef(own)
    own.train()
    chosen = nnx.Param if trainable is None else _chosen(own, trainable, names)
    training_graph, *trees = nnx.split(own, chosen, ...)
    # Variables of their own around the same arrays: those of the model may be given others.
    params, model_state = jax.tree.map(lambda leaf: leaf, tuple(trees))
    for tree in (params, model_state):
        say_names(tree, names)

    @checked
    def apply(
        params: Params, model_state: Any, *inputs: Any, training: bool, **named: Any
    ) -> tuple[Any, Any]:
        graph = training_graph if training else eval_graph
        params = unpacked(params, "params")
        try:
            # Copied, so that variables made outside a transformation are not changed inside it.
            called = nnx.merge(graph, params, model_state, copy=True)
        except (AttributeError, TypeError, ValueError):
            _check_state(model_state)  # asked here, so that a call in order pays nothing for it
            _check_fits(own, params, model_state, is_whole=True)
            raise
        try:
            outputs = called(*inputs, **named)
        except (RuntimeError, ValueError):  # JAX's, and a layer's, which knows its own array
            check_not_donated(params=params, model_state=model_state, inputs=(inputs, named))
            raise
        _, _, new_state = nnx.split(called, chosen, ...)
        return outputs, new_state

    return apply, params, model_state


@checked
def merge(model: nnx.Module, params: Params, model_state: Any = ()) -> None:
    """Put trained parameters and state back into the model that they were split from.

    Args:
        model: The model, which is changed in place; its mode (``train`` or ``eval``) stays.
        params: All parameters that are trained, as :func:`split_model` returned them.
        model_state: All the rest of the state, frozen parameters included; ``()`` leaves the
            model's own.

    Returns:
        Nothing. The model has copies, so that a step may go on to overwrite its state; they live
        where the state lives.

    Raises:
        ValueError: The trees do not fit the model: what is missing, unknown or of another shape is
            listed, and nothing is changed.

    PyTorch:
        There training changes the model itself. Afterwards ``model.eval()`` evaluates, and
        ``nn.state_dict(model)`` gives PyTorch's names in PyTorch's order.

    Example:
        >>> import jax
        >>> import jaxaccel as ja
        >>> model = ja.nn.BatchNorm2d(1)
        >>> _, params, _ = ja.training.split_model(model)
        >>> ja.training.merge(model, jax.tree.map(lambda p: p + 1, params))
        >>> print(model.weight[...])
        [2.]
    """
    params = unpacked(params)
    _check_fits(model, params, model_state)
    check_not_donated(params=params, model_state=model_state)
    for tree in (params, model_state):
        if jax.tree.leaves(tree):
            new = jax.tree.map(copied, tree)
            say_names(new, {})
            nnx.update(model, new)


def _check_state(model_state: Any) -> None:
    """Raise for what is not the rest of a model's state: the first input in its place, say."""
    if not isinstance(model_state, (Mapping, tuple)):
        raise TypeError(
            f"model_state must be what split_model returned, got {in_brief(model_state)}; call "
            "apply(params, model_state, *inputs, training=...)"
        )


def _check_fits(
    model: nnx.Module, params: Params, model_state: Any, *, is_whole: bool = False
) -> None:
    """Raise unless two trees together are a model's state; without the second, a part of it."""
    own, given = _shapes(nnx.state(model)), _shapes(params) | _shapes(model_state)
    faults = [f"the model has no {path or 'such array'}" for path in given if path not in own]
    for path, shape in own.items():
        if path not in given:
            # Without the second tree nobody can say which parameters are frozen, and stay.
            if is_whole or jax.tree.leaves(model_state) or not given:
                faults.append(f"{path} is missing")
        elif given[path] != shape:
            faults.append(f"{path} has shape {given[path]}, in the model {shape}")
    if faults:
        raise ValueError(
            f"the trees do not fit {type(model).__name__}: {'; '.join(faults)}; pass params and "
            "model_state of a split_model of this model"
        )


def _shapes(tree: Any) -> dict[str, tuple[int, ...]]:
    """Return the shape of every array by its path."""
    leaves = jax.tree.leaves_with_path(tree)
    return {path_name(path): getattr(leaf, "shape", ()) for path, leaf in leaves}


def _chosen(model: nnx.Module, trainable: Any, names: Mapping[str, tuple[str, ...]]) -> Any:
    """Return the nnx filter of the parameters that are trained, by one of their paths."""
    parameters = nnx.to_flat_state(nnx.state(model, nnx.Param))
    matches = _predicate(trainable)
    paths = []
    for path, leaf in parameters:
        # A parameter that layers share is meant by any of its names.
        others = (tuple(name.split(".")) for name in names.get(_dotted(path), ()))
        if any(matches(each, leaf) for each in (path, *others)):
            paths.append(path)
    if not paths:
        known = ", ".join(_dotted(path) for path, _ in parameters)
        raise ValueError(
            f"trainable={trainable!r} matches no parameter of {type(model).__name__}; the paths "
            f"are {known}"
        )
    return nnx.filterlib.PathIn(*paths)


def _predicate(trainable: Any) -> Callable[[Any, Any], bool]:
    """Return a test of nnx's form ``(path as a tuple, variable)``."""
    is_function = inspect.isroutine(trainable) or isinstance(trainable, functools.partial)
    if isinstance(trainable, (str, re.Pattern)) or is_function:
        test = path_test("trainable", trainable)
        assert test is not None
        return lambda path, leaf: test(_dotted(path), leaf[...])
    try:
        if isinstance(trainable, (nnx.Module, nnx.Variable, nnx.Rngs)):
            raise TypeError  # which can be called, but not with a path
        return nnx.filterlib.to_predicate(trainable)
    except (TypeError, ValueError):
        raise TypeError(
            f"trainable must be a regular expression, a function (path, leaf) -> bool or a filter "
            f"of nnx, got {trainable!r:.80}"
        ) from None


def _dotted(path: Any) -> str:
    """Return a path as the optimizers' groups know it."""
    return path_name(tuple(jax.tree_util.DictKey(part) for part in path))
