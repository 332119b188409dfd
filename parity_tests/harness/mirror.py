"""Runs the algorithms of torch_ref inside the plumbing of jaxaccel."""

import contextlib
import functools
import importlib
import inspect
import sys
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import torch

import torch_ref

ROOT = Path(torch_ref.__file__).parent

COUNTERPARTS = {"centralize_gradients", "hessian_diagonal"}
"""Functions that a PyTorch user calls: they take an optimizer, a generator, ... where jaxaccel's
take something else, and are tested as what they are."""


def files_of(room):
    """Return the names of a room's files in torch_ref."""
    return sorted(path.stem for path in (ROOT / room).glob("_*.py") if path.stem != "__init__")


def functions_of(module):
    """Return {name: function} of the functions that a module defines, in its order."""
    return {
        name: value
        for name, value in vars(module).items()
        if inspect.isfunction(value) and value.__module__ == module.__name__
    }


def mirrors_of(module):
    """Return {name: function} of the functions of a file of torch_ref that jaxaccel's has too."""
    return {n: f for n, f in functions_of(module).items() if n not in COUNTERPARTS}


@contextlib.contextmanager
def torch_ref_inside(*rooms, branches=True):
    """Put every function of torch_ref's rooms in the place of jaxaccel's that it mirrors.

    What jaxaccel then computes, step by step and without ``jit``, is the arithmetic of torch_ref on
    tensors; only the walk over trees, the schedules and the state are its own. Yields a set that
    collects the names of the functions that ran. Without ``branches`` (none of JAX's branches and
    loops calls a mirrored function) what is JAX's own keeps its compiled operations: sooner.
    """
    ran = set()
    by_itself = jax.disable_jit() if branches else contextlib.nullcontext()
    _mirrors(rooms)  # imports what it replaces
    users = frozenset(name for name in sys.modules if name.startswith("jaxaccel."))
    with pytest.MonkeyPatch.context() as patch, by_itself:
        for user, key, file, function in _places(rooms, users):
            name = f"{file}.{function.__name__}"
            patch.setattr(user, key, _on_arrays(function, name, ran))
        yield ran


@functools.cache
def _mirrors(rooms):
    """Return {function of jaxaccel: (file, function of torch_ref)}."""
    mirrors = {}
    for file in (f"{room}.{file}" for room in rooms for file in files_of(room)):
        theirs, ours = (importlib.import_module(f"{p}.{file}") for p in ("torch_ref", "jaxaccel"))
        for name, function in mirrors_of(theirs).items():
            mirrors[getattr(ours, name)] = (file, function)
    return mirrors


@functools.cache
def _places(rooms, users):
    """Return (module, name in it, file, function of torch_ref), wherever one has been imported."""
    mirrors = _mirrors(rooms)
    return [
        (sys.modules[user], key, *mirrors[value])
        for user in users
        for key, value in vars(sys.modules[user]).items()
        if inspect.isfunction(value) and value in mirrors
    ]


def _on_arrays(function, name, ran):
    """Return a function of tensors as one of JAX arrays."""

    @functools.wraps(function)
    def run(*args, **kwargs):
        ran.add(name)
        kwargs = {key: _number(value) for key, value in kwargs.items()}
        return _to_jax(function(*_to_torch(args), **_to_torch(kwargs)))

    return run


def _number(value):
    """Return a hyperparameter as PyTorch has it: a Python number, where it is a scalar array."""
    return value.item() if isinstance(value, jax.Array) and value.ndim == 0 else value


def _to_torch(tree):
    """Return a tree with tensors for arrays; counts and conditions are Python's."""

    def convert(leaf):
        if isinstance(leaf, jax.Array):
            is_number = leaf.ndim == 0 and not jnp.issubdtype(leaf.dtype, jnp.inexact)
            return leaf.item() if is_number else _tensor(leaf)
        if callable(leaf):
            return lambda *args: _to_torch(leaf(*_to_jax(args)))
        return leaf

    return jax.tree.map(convert, tree)


def _to_jax(tree):
    """Return a tree with arrays for tensors and Python's numbers."""

    def convert(leaf):
        if isinstance(leaf, torch.Tensor):
            return _array(leaf.detach())
        if isinstance(leaf, (bool, int)):
            return jnp.asarray(leaf, bool if isinstance(leaf, bool) else jnp.int32)
        return leaf

    return jax.tree.map(convert, tree)


def _tensor(array):
    """Return an array as a tensor (a copy)."""
    if array.dtype == jnp.bfloat16:
        return torch.tensor(np.asarray(array, np.float32)).bfloat16()
    return torch.tensor(np.asarray(array))


def _array(tensor):
    """Return a tensor as an array (a copy)."""
    if tensor.dtype == torch.bfloat16:
        return jnp.asarray(tensor.float().numpy(), jnp.bfloat16)
    return jnp.asarray(tensor.numpy().copy())
