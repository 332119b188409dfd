"""PyTorch's names and layouts for a model's arrays, out and in."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx

from jaxaccel._layout import from_torch, to_torch
from jaxaccel._named_arrays import named_arrays


class IncompatibleKeys(NamedTuple):
    """What :func:`load_state_dict` could not match, with ``strict=False``."""

    missing_keys: list[str]
    """In the model, but not in the mapping."""
    unexpected_keys: list[str]
    """In the mapping, but not in the model."""


def state_dict(model: nnx.Module) -> dict[str, np.ndarray]:
    """Return a model's parameters and buffers under PyTorch's names.

    Parameters are every ``nnx.Param``, buffers every variable of another kind: an
    ``nnx.BatchStat``, a plain ``nnx.Variable``, a kind of one's own. Left out are the state of
    random streams (``nnx.RngState``), an ``nnx.Cache`` (in PyTorch's words a buffer that is not
    persistent), an ``nnx.Intermediate``, and arrays that are not in a variable.

    A class whose modules hold variables says in ``torch_transposed`` which of them are kernels
    ``(*k, I, O)``, that is ``(O, I, *k)`` in PyTorch; all layers of jaxaccel do. What only holds
    other modules need not say anything.

    Args:
        model: A model of jaxaccel's layers, and of others that have ``torch_transposed``; its lists
            are ``nnx.List``.

    Returns:
        ``{"layer1.0.conv1.weight": array, ...}`` in PyTorch's order and layout: kernels are
        ``(O, I, *k)``. The arrays are NumPy copies on the host. The order is that in which the
        attributes were first assigned, own parameters before own buffers before other modules; it
        survives ``nnx.split`` and ``nnx.merge``.

    Raises:
        TypeError: a module holds a variable and has no ``torch_transposed`` (one of flax's own
            layers), or a variable holds something else than an array.

    PyTorch:
        ``torch.nn.Module.state_dict``: the same names, order and shapes. Left out: ``destination``,
        ``prefix`` and ``keep_vars``. ``torch_model.load_state_dict({k: torch.from_numpy(v) for k, v
        in state_dict(model).items()})`` fills the same model in PyTorch (not from bfloat16, which
        NumPy does not know).

    Example:
        >>> import jax.numpy as jnp
        >>> from flax import nnx
        >>> import jaxaccel as ja
        >>> {k: v.shape for k, v in ja.nn.state_dict(ja.nn.Linear(3, 2, rngs=nnx.Rngs(0))).items()}
        {'weight': (2, 3), 'bias': (2,)}
        >>> class Scale(nnx.Module):
        ...     torch_transposed = ()  # ("kernel",) if it had a kernel
        ...     def __init__(self):
        ...         self.factor = nnx.Param(jnp.ones(2, jnp.float32))
        >>> list(ja.nn.state_dict(Scale()))
        ['factor']
    """
    arrays = {}
    for array in named_arrays(model):
        value = np.array(array.variable.get_value())
        value = np.array(to_torch(value), order="C") if array.layout == "flax" else value
        arrays[array.name] = value
    return arrays


def load_state_dict(
    model: nnx.Module, state_dict: Mapping[str, Any], strict: bool = True
) -> IncompatibleKeys:
    """Copy parameters and buffers into a model, in place.

    Nothing is changed when anything does not fit.

    Args:
        model: A model as :func:`state_dict` takes it, which keeps its dtypes and its arrays'
            placement.
        state_dict: PyTorch's names, and arrays in PyTorch's layout: NumPy, JAX, or PyTorch tensors
            on the host.
        strict: Whether the names must be exactly the model's.

    Returns:
        ``(missing_keys, unexpected_keys)``, both empty when ``strict``.

    Raises:
        TypeError: ``state_dict`` is not a mapping, or :func:`state_dict` refuses ``model``.
        ValueError: a shape differs or, when ``strict``, a name is missing or not expected.

    PyTorch:
        ``torch.nn.Module.load_state_dict``: the same, with its texts. Left out: ``assign``. PyTorch
        raises ``RuntimeError``, and only after it has copied what fits; in mappings from before
        ``num_batches_tracked`` it accepts its absence, here that takes ``strict=False``.

    Example:
        >>> import numpy as np
        >>> from flax import nnx
        >>> import jaxaccel as ja
        >>> layer = ja.nn.Linear(2, 1, rngs=nnx.Rngs(0))
        >>> weights = {"weight": np.array([[1.0, 2.0]]), "bias": np.array([0.5])}
        >>> ja.nn.load_state_dict(layer, weights)
        IncompatibleKeys(missing_keys=[], unexpected_keys=[])
        >>> layer.weight.ravel().tolist()
        [1.0, 2.0]
    """
    if not isinstance(state_dict, Mapping):
        raise TypeError(f"Expected state_dict to be dict-like, got {type(state_dict)}.")
    entries = list(named_arrays(model))
    names = {entry.name for entry in entries}
    missing = [entry.name for entry in entries if entry.name not in state_dict]
    unexpected = [name for name in state_dict if name not in names]
    problems = []
    if strict and missing:
        problems.append(f"Missing key(s) in state_dict: {_quoted(missing)}. ")
    if strict and unexpected:
        problems.append(f"Unexpected key(s) in state_dict: {_quoted(unexpected)}. ")
    present = [
        (entry, np.asarray(state_dict[entry.name])) for entry in entries if entry.name in state_dict
    ]
    for entry, array in present:
        shape = entry.torch_shape
        if array.shape != shape:
            problems.append(
                f"size mismatch for {entry.name}: copying a param with shape {array.shape} from "
                f"checkpoint, the shape in current model is {shape}."
            )
    if problems:
        listed = "\n\t".join(problems)
        raise ValueError(f"Error(s) in loading state_dict for {type(model).__name__}:\n\t{listed}")
    for entry, array in present:
        _copy(entry.variable, from_torch(array, entry.layout))
    return IncompatibleKeys(missing, unexpected)


def _copy(variable: nnx.Variable[jax.Array], value: np.ndarray) -> None:
    """Give a variable new numbers; its dtype and, where one was chosen, its placement stay."""
    old = variable[...]
    # A copy: the caller may go on to change its own array, or the tensor behind it.
    new = jnp.array(value, old.dtype)
    variable[...] = jax.device_put(new, old.sharding) if old.committed else new


def _quoted(names: list[str]) -> str:
    """Return the names in quotes, separated by commas."""
    return ", ".join(f'"{name}"' for name in names)
