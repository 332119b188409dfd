"""What the recurrent layers share: their parameters, and scans over time."""

from __future__ import annotations

import functools
import math
from collections.abc import Mapping, Sequence
from typing import Any

import jax
import jax.numpy as jnp
from flax import nnx

from jaxaccel._math import compute_dtype
from jaxaccel._operations import in_region, operation
from jaxaccel._types import Generator
from jaxaccel.functional import linear
from jaxaccel.init import uniform
from jaxaccel.nn._arguments import array_of, parameter_dtype, params_key
from jaxaccel.nn._dropout import Dropout
from jaxaccel.nn._recurrent_checks import (
    check_arguments,
    check_input,
    check_kinds,
    check_lengths,
    check_states,
)
from jaxaccel.nn._recurrent_steps import Cell, States, steps


class Recurrent(nnx.Module):
    """A recurrent layer: PyTorch's names for its parameters, registered and drawn in its order."""

    kernel_axes = 2

    def __init__(
        self,
        gates: int,
        input_size: int,
        hidden_size: int,
        num_layers: int,
        bias: bool,
        batch_first: bool,
        dropout: float,
        bidirectional: bool,
        dtype: Any,
        rngs: nnx.Rngs | Generator,
        proj_size: int = 0,
    ):
        check_arguments(input_size, hidden_size, num_layers, bias, batch_first, dropout, proj_size)
        self.input_size = input_size
        self.hidden_size = hidden_size
        self.num_layers = num_layers
        self.bias = bias
        self.batch_first = batch_first
        self.bidirectional = bidirectional
        self.proj_size = proj_size
        # It has a stream of masks only where it draws any.
        self.dropout = Dropout(dropout, rngs=rngs if dropout > 0 and num_layers > 1 else None)
        bound, dtype, kernels = 1 / math.sqrt(hidden_size), parameter_dtype(dtype), []
        for name, shape in self._shapes(gates).items():
            drawn = uniform(-bound, bound)(params_key(rngs), shape, dtype)
            kernels += [name] if len(shape) == 2 else []
            is_kernel = name in kernels
            setattr(self, name, nnx.Param(drawn, layout="flax") if is_kernel else nnx.Param(drawn))
        self.torch_transposed = tuple(kernels)

    def _shapes(self, gates: int) -> dict[str, tuple[int, ...]]:
        """Return the shapes of the parameters, layer by layer, forward before reverse."""
        width, state_size = gates * self.hidden_size, self.proj_size or self.hidden_size
        directions, shapes = 2 if self.bidirectional else 1, {}
        for index, suffix in enumerate(_suffixes(self)):
            inputs = self.input_size if index < directions else directions * state_size
            own = {"weight_ih": (inputs, width), "weight_hh": (state_size, width)}
            if self.bias:
                own |= {"bias_ih": (width,), "bias_hh": (width,)}
            if self.proj_size:
                own["weight_hr"] = (self.hidden_size, self.proj_size)
            shapes |= {name + suffix: shape for name, shape in own.items()}
        return shapes


def run(
    layer: Recurrent,
    cell: Cell,
    input: jax.Array,
    states: States | None,
    sizes: tuple[int, ...],
    lengths: Sequence[int] | jax.Array | None,
) -> tuple[jax.Array, States]:
    """Run all layers over a batch of sequences, or over one.

    Args:
        layer: Whose parameters are used.
        cell: One step of one layer.
        input: The layer's input, as it was given.
        states: The initial states, as they were given; None for zeros.
        sizes: The features of each state.
        lengths: Of each sequence, as they were given.

    Returns:
        The output and the final states, in the form of the input.
    """
    check_kinds(states, lengths, layer)
    check_input(input, states, layer)
    batch_axis, is_batched = 0 if layer.batch_first else 1, input.ndim == 3
    lengths = None if lengths is None else jnp.asarray(lengths)
    if not is_batched:
        input = jnp.expand_dims(input, batch_axis)
        states = states and tuple(state[:, None] for state in states)
        lengths = None if lengths is None else lengths[None]
    values = jnp.swapaxes(input, 0, 1) if layer.batch_first else input
    count, batch = len(_suffixes(layer)), values.shape[1]
    shapes = [(count, batch, size) for size in sizes]
    if states is None:
        states = tuple(_zeros(shape, values) for shape in shapes)
        if layer.proj_size:  # h, of which there are products alone
            states = (jnp.zeros_like(states[0]), *states[1:])
    check_states(states, shapes, values.dtype)
    check_lengths(lengths, batch)
    inside = None if lengths is None else _inside(lengths, len(values))
    values, states = _layers(layer, cell, values, states, inside)
    output = jnp.swapaxes(values, 0, 1) if layer.batch_first else values
    if not is_batched:
        output = jnp.squeeze(output, batch_axis)
        states = tuple(state[:, 0] for state in states)
    return output, states


def _layers(
    layer: Recurrent, cell: Cell, values: jax.Array, states: States, inside: jax.Array | None
) -> tuple[jax.Array, States]:
    """Run layer after layer over (L, N, features); each direction is a scan."""
    directions = 2 if layer.bidirectional else 1
    suffixes, last = _suffixes(layer), []
    # The steps add the bias where nothing is rounded between: a pass less over all of them.
    adds_bias = values.dtype == compute_dtype(values.dtype) and not in_region()
    for index in range(layer.num_layers):
        outputs = []
        if index > 0:
            values = layer.dropout(values)
        for place in range(directions * index, directions * (index + 1)):
            initial = tuple(state[place] for state in states)
            parameters = _parameters(layer, suffixes[place])
            reverse = suffixes[place].endswith("_reverse")
            scan = _fused if cell.is_fused and parameters[-1] is None else _composed
            output, final = scan(parameters, values, initial, inside, cell, reverse, adds_bias)
            outputs.append(output)
            last.append(final)
        values = jnp.concatenate(outputs, -1)
    return values, tuple(jnp.stack(parts) for parts in zip(*last, strict=True))


@functools.partial(jax.jit, static_argnames=("cell", "reverse", "adds_bias"), inline=True)
def _scan(
    parameters: Sequence[Any],
    values: jax.Array,
    initial: States,
    inside: jax.Array | None,
    cell: Cell,
    reverse: bool,
    adds_bias: bool,
) -> tuple[jax.Array, States]:
    """Run one direction of one layer; what does not wait for the last step is one product.

    Compiled here, since a scan by itself is compiled anew whenever it is called.
    """
    weight_ih, weight_hh, bias_ih, bias_hh, weight_hr = parameters
    projected = linear(values, weight_ih, None if adds_bias else bias_ih)
    others = (weight_hh, bias_hh, weight_hr, bias_ih if adds_bias else None)
    final, output = steps(cell, reverse, projected, others, initial, inside)
    return output, final


def _name(arguments: Mapping[str, Any]) -> str:
    """Return PyTorch's name of all steps of a layer; projections make another one of an LSTM."""
    cell, projection = arguments["cell"], arguments["parameters"][-1]
    return cell.layer if projection is None else f"{cell.layer}_with_projections"


_fused = operation(_name, low=None, has_wide=False)(_scan)
"""What is one kernel of PyTorch's everywhere."""

_composed = operation(_name, low=None)(_scan)
"""What PyTorch composes of a product and more for every step, on CPUs."""


def _zeros(shape: tuple[int, ...], values: jax.Array) -> jax.Array:
    """Return zeros in a dtype that Python may not see: autocast's of what they stand beside."""
    return jnp.where(False, values[:1, :, :1], jnp.zeros(shape, values.dtype))


def _parameters(layer: Recurrent, suffix: str) -> list[jax.Array | None]:
    """Return the parameters of one direction of one layer; None for what it does not have."""
    names = ("weight_ih", "weight_hh", "bias_ih", "bias_hh", "weight_hr")
    full = [name + suffix for name in names]
    return [array_of(layer, name) if hasattr(layer, name) else None for name in full]


def _inside(lengths: jax.Array, steps: int) -> jax.Array:
    """Return (L, N, 1): whether a sequence has that step."""
    times = jnp.arange(steps)
    return times[:, None, None] < lengths.astype(times.dtype)[None, :, None]


def _suffixes(layer: Recurrent) -> list[str]:
    """Return how the names of parameters end: layer by layer, forward before reverse."""
    ends = ("", "_reverse") if layer.bidirectional else ("",)
    return [f"_l{index}{end}" for index in range(layer.num_layers) for end in ends]
