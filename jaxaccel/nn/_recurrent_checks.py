"""What the recurrent layers ask of their arguments and inputs, with PyTorch's texts."""

from __future__ import annotations

import numbers
import warnings
from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from jaxaccel._arrays import has_numbers
from jaxaccel._kinds import INT


def check_arguments(
    input_size: int,
    hidden_size: int,
    num_layers: int,
    bias: bool,
    batch_first: bool,
    dropout: float,
    proj_size: int = 0,
) -> None:
    """Raise on bad arguments of a constructor, warn of a dropout without effect."""
    is_number = isinstance(dropout, numbers.Real) and not isinstance(dropout, bool)
    if not is_number or not 0 <= dropout <= 1:
        raise ValueError(
            "dropout should be a number in range [0, 1] "
            "representing the probability of an element being zeroed"
        )
    if dropout > 0 and num_layers == 1:
        warnings.warn(
            "dropout option adds dropout after all but last recurrent layer, so non-zero dropout "
            f"expects num_layers greater than 1, but got dropout={dropout} and "
            f"num_layers={num_layers}",
            stacklevel=8,  # beyond the frames of nnx that call a constructor
        )
    _check_type(bool, bias=bias, batch_first=batch_first)
    sizes = {"input_size": input_size, "hidden_size": hidden_size, "num_layers": num_layers}
    _check_type(int, **sizes, proj_size=proj_size)
    for name, size in sizes.items():
        if size <= 0:
            raise ValueError(f"{name} must be greater than zero")
    if proj_size < 0:
        raise ValueError("proj_size should be a positive integer or zero to disable projections")
    if proj_size >= hidden_size:
        raise ValueError("proj_size has to be smaller than hidden_size")


def check_kinds(states: Sequence[Any] | None, lengths: Any, layer: Any) -> None:
    """Raise unless states are arrays, and lengths something that integers can be read from."""
    kind = type(layer).__name__
    for state in states or ():
        if not isinstance(state, (jax.Array, np.ndarray)):
            what = "a pair of arrays" if kind.startswith("LSTM") else "an array"
            raise TypeError(f"{kind}: hx must be {what} or None, got {state!r:.60}")
    if isinstance(lengths, (jax.Array, np.ndarray)):
        is_readable = has_numbers(lengths.dtype) and not isinstance(lengths, np.ma.MaskedArray)
    else:
        several = lengths if isinstance(lengths, (list, tuple)) else [lengths]
        is_readable = all(
            isinstance(each, jax.Array) or (INT.fits(each) and abs(int(each)) < 2**31)
            for each in several
        )
    if lengths is not None and not is_readable:
        raise TypeError(
            f"{kind}: lengths must be integers, one for each sequence, got {lengths!r:.60}"
        )


def check_input(input: jax.Array, states: tuple[jax.Array, ...] | None, layer: Any) -> None:
    """Raise unless the input is one sequence or a batch of them, and the states go with it."""
    if input.ndim not in (2, 3):
        raise ValueError(
            f"{type(layer).__name__}: Expected input to be 2D or 3D, got {input.ndim}D instead"
        )
    kind = "batched" if input.ndim == 3 else "unbatched"
    if states is not None and any(state.ndim != input.ndim for state in states):
        dims = [f"{state.ndim}-D" for state in states]
        subject, got = "hx", f"{dims[0]} tensor"
        if len(states) > 1:
            subject, got = "hx and cx", f"({', '.join(dims)}) tensors"
        raise ValueError(
            f"For {kind} {input.ndim}-D input, "
            f"{subject} should also be {input.ndim}-D but got {got}"
        )
    dtype = layer.weight_ih_l0.dtype
    if input.dtype != dtype:
        raise ValueError(
            f"RNN input dtype ({input.dtype}) does not match weight dtype ({dtype}). Convert "
            f"input: input.astype({dtype}), or construct the layer with dtype={input.dtype}"
        )
    if input.shape[-1] != layer.input_size:
        raise ValueError(
            "input.size(-1) must be equal to input_size. "
            f"Expected {layer.input_size}, got {input.shape[-1]}"
        )
    if input.shape[1 if input.ndim == 3 and layer.batch_first else 0] == 0:
        raise ValueError("Expected sequence length to be larger than 0 in RNN")


def check_states(
    states: tuple[jax.Array, ...], shapes: Sequence[tuple[int, ...]], dtype: Any
) -> None:
    """Raise unless the initial states have these shapes and this dtype."""
    for index, (state, shape) in enumerate(zip(states, shapes, strict=True)):
        name = "hidden" if len(states) == 1 else f"hidden[{index}]"
        if state.shape != shape:
            raise ValueError(f"Expected {name} size {shape}, got {list(state.shape)}")
        if state.dtype != dtype:
            raise TypeError(
                f"expected input and {name} to have the same dtype, but got: "
                f"{dtype} != {state.dtype}"
            )


def check_lengths(lengths: jax.Array | None, batch: int) -> None:
    """Raise unless there is an integer for each sequence."""
    if lengths is None:
        return
    if not jnp.issubdtype(lengths.dtype, jnp.integer):
        raise TypeError(f"lengths must be integers, got {lengths.dtype}")
    if lengths.shape != (batch,):
        raise ValueError(
            f"lengths must have one number for each sequence: expected shape {(batch,)}, got "
            f"{lengths.shape}"
        )


def _check_type(kind: type, **values: Any) -> None:
    """Raise unless all values are of this type."""
    for name, value in values.items():
        if not isinstance(value, kind) or (kind is int and isinstance(value, bool)):
            raise TypeError(
                f"{name} should be of type {kind.__name__}, got: {type(value).__name__}"
            )


def check_cell_input(input: jax.Array, states: Sequence[jax.Array] | None, cell: Any) -> None:
    """Raise unless the input of a cell is one row or a batch of them, and the states go with it."""
    kind = type(cell).__name__
    if input.ndim not in (1, 2):
        raise ValueError(f"{kind}: Expected input to be 1D or 2D, got {input.ndim}D instead")
    for index, state in enumerate(states or ()):
        name = f"hx[{index}]" if kind == "LSTMCell" else "hidden"
        if state.ndim not in (1, 2):
            raise ValueError(f"{kind}: Expected {name} to be 1D or 2D, got {state.ndim}D instead")
        if state.ndim != input.ndim:
            raise ValueError(
                f"{kind}: Expected {name} to be {input.ndim}D as the input, got {state.ndim}D "
                "instead"
            )
    dtype = cell.weight_ih.dtype
    if any(each.dtype != dtype for each in (input, *(states or ()))):
        found = [str(each.dtype) for each in (input, *(states or ()))]
        raise TypeError(
            f"{kind}: Expected input and states of the parameters' dtype {dtype}, got "
            f"{', '.join(found)}"
        )
    if input.shape[-1] != cell.input_size:
        raise ValueError(
            f"input has inconsistent input_size: got {input.shape[-1]} expected {cell.input_size}"
        )


def check_cell_states(states: Sequence[jax.Array], batch: int, cell: Any) -> None:
    """Raise unless the states of a cell are of its size, one row for each of the input."""
    for index, state in enumerate(states):
        if state.shape[0] != batch:
            raise ValueError(
                f"Input batch size {batch} doesn't match hidden{index} batch size {state.shape[0]}"
            )
        if state.shape[1] != cell.hidden_size:
            raise ValueError(
                f"hidden{index} has inconsistent hidden_size: got {state.shape[1]}, expected "
                f"{cell.hidden_size}"
            )
