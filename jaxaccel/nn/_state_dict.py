"""PyTorch's names and layouts for a model's arrays, out and in."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx

from jaxaccel._layout import to_flax, to_torch
from jaxaccel.nn._convolution import Convolution
from jaxaccel.nn._gru import GRU
from jaxaccel.nn._linear import Linear
from jaxaccel.nn._lstm import LSTM
from jaxaccel.nn._multihead_attention import MultiheadAttention
from jaxaccel.nn._parametrized import Parametrized
from jaxaccel.nn._rnn import RNN
from jaxaccel.nn._transposed_convolution import TransposedConvolution

_TRANSPOSED = {
    Linear: ("weight",),
    Convolution: ("weight",),
    TransposedConvolution: ("weight",),
    MultiheadAttention: ("in_proj_weight", "q_proj_weight", "k_proj_weight", "v_proj_weight"),
    RNN: ("weight_",),
    LSTM: ("weight_",),
    GRU: ("weight_",),
}
"""The arrays that have another layout in PyTorch: how their names begin."""


class IncompatibleKeys(NamedTuple):
    """What :func:`load_state_dict` could not match, with ``strict=False``."""

    missing_keys: list[str]
    """In the model, but not in the mapping."""
    unexpected_keys: list[str]
    """In the mapping, but not in the model."""


class _Entry(NamedTuple):
    """One array of a model."""

    name: str
    variable: nnx.Variable[jax.Array]
    transposed: bool

    @property
    def torch_shape(self) -> tuple[int, ...]:
        """The shape in PyTorch's layout."""
        shape = self.variable.shape
        return (*shape[:-3:-1], *shape[:-2]) if self.transposed else shape


def state_dict(model: nnx.Module) -> dict[str, np.ndarray]:
    """Return a model's parameters and running statistics under PyTorch's names.

    Args:
        model: A model of jaxaccel's layers; its lists are ``nnx.List``.

    Returns:
        ``{"layer1.0.conv1.weight": array, ...}`` in PyTorch's order and layout: kernels are
        ``(O, I, *k)``. The arrays are NumPy copies on the host.

    PyTorch:
        ``torch.nn.Module.state_dict``: the same names, order and shapes. Left out: ``destination``,
        ``prefix`` and ``keep_vars``. ``torch_model.load_state_dict({k: torch.from_numpy(v) for k, v
        in state_dict(model).items()})`` fills the same model in PyTorch (not from bfloat16, which
        NumPy does not know).

    Example:
        >>> from flax import nnx
        >>> import jaxaccel as ja
        >>> {k: v.shape for k, v in ja.nn.state_dict(ja.nn.Linear(3, 2, rngs=nnx.Rngs(0))).items()}
        {'weight': (2, 3), 'bias': (2,)}
    """
    arrays = {}
    for name, variable, transposed in _entries(model):
        value = np.array(variable[...])
        arrays[name] = np.array(to_torch(value), order="C") if transposed else value
    return arrays


def load_state_dict(
    model: nnx.Module, state_dict: Mapping[str, Any], strict: bool = True
) -> IncompatibleKeys:
    """Copy parameters and running statistics into a model, in place.

    Nothing is changed when anything does not fit.

    Args:
        model: A model of jaxaccel's layers, which keeps its dtypes and its arrays' placement.
        state_dict: PyTorch's names, and arrays in PyTorch's layout: NumPy, JAX, or PyTorch tensors
            on the host.
        strict: Whether the names must be exactly the model's.

    Returns:
        ``(missing_keys, unexpected_keys)``, both empty when ``strict``.

    Raises:
        TypeError: ``state_dict`` is no mapping.
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
    entries = list(_entries(model))
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
        _copy(entry.variable, to_flax(array) if entry.transposed else array)
    return IncompatibleKeys(missing, unexpected)


def layout_of(module: nnx.Module, name: str) -> str:
    """Return the layout in which a module keeps one of its arrays."""
    if isinstance(module, Parametrized):
        return module.layout
    names = [n for layer, names in _TRANSPOSED.items() if isinstance(module, layer) for n in names]
    return "flax" if name.startswith(tuple(names)) else "torch"


def _copy(variable: nnx.Variable[jax.Array], value: np.ndarray) -> None:
    """Give a variable new numbers; its dtype and, where one was chosen, its placement stay."""
    old = variable[...]
    # A copy: the caller may go on to change its own array, or the tensor behind it.
    new = jnp.array(value, old.dtype)
    variable[...] = jax.device_put(new, old.sharding) if old.committed else new


def _entries(module: nnx.Module, prefix: str = "") -> Iterator[_Entry]:
    """Walk a model as PyTorch does: own arrays first, parameters before buffers, then children."""
    attributes = vars(module)
    for kind in (nnx.Param, nnx.BatchStat):
        for name, value in attributes.items():
            if isinstance(value, kind):
                yield _Entry(prefix + name, value, layout_of(module, name) == "flax")
    for name, value in attributes.items():
        parent = "parametrizations." if isinstance(value, Parametrized) else ""
        if isinstance(value, nnx.Module):
            yield from _entries(value, f"{prefix}{parent}{name}.")


def _quoted(names: list[str]) -> str:
    """Return the names in quotes, separated by commas."""
    return ", ".join(f'"{name}"' for name in names)
