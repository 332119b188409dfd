"""One direction of one recurrent layer, step by step, and its derivative."""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple, TypeAlias

import jax
import jax.numpy as jnp

from jaxaccel._gradient import with_float32_sums
from jaxaccel._math import compute_dtype
from jaxaccel._operations import operation
from jaxaccel._weight_map import ROWS, map_of_weight
from jaxaccel.functional import linear

States: TypeAlias = tuple[jax.Array, ...]
"""(h,), or (h, c) of an LSTM: of all layers, or the one that a scan carries."""

Gates: TypeAlias = tuple[jax.Array, ...]
"""What the nonlinearities of a step are of."""


class Cell(NamedTuple):
    """One step of a layer, all gates side by side."""

    join: Callable[[jax.Array, jax.Array], Gates]
    """``(W_i x + b_i, W_h h + b_h) -> gates``, linear."""
    activate: Callable[[Gates], Gates]
    """``gates -> activated``: what is of one gate alone."""
    move: Callable[[Gates, Gates], Gates]
    """``(activated, gates' tangents) -> activated's tangents``, without a function to evaluate."""
    step: Callable[[Gates, States], States]
    """``(activated, states) -> states``."""
    layer: str
    """PyTorch's operation that is all steps of a layer."""
    is_fused: bool = True
    """Whether that is one kernel on CPUs too."""


@functools.partial(jax.custom_jvp, nondiff_argnums=(0, 1))
def steps(
    cell: Cell,
    reverse: bool,
    projected: jax.Array,
    parameters: tuple[Any, ...],
    initial: States,
    inside: jax.Array | None,
) -> tuple[States, jax.Array]:
    """Return the final states and the outputs of all steps.

    Args:
        cell: One step.
        reverse: Whether the last step comes first.
        projected: (L, N, gates), the input's part of the gates.
        parameters: ``weight_hh, bias_hh, weight_hr, bias_ih``; None for what there is not, or what
            ``projected`` has in it already.
        initial: The states before the first step.
        inside: (L, N, 1), whether a sequence has that step; None where all have all.
    """
    final, (output, _) = _run(cell, reverse, projected, parameters, initial, inside, False)
    return final, output


@steps.defjvp
def _jvp(cell: Cell, reverse: bool, primals: Any, tangents: Any) -> Any:
    """Return the results and their tangents.

    What a step's tangent owes to the tangents of the parameters waits for no other step, and so is
    one product over all of them; transposed, so is the gradient of each parameter, where a loop
    would add up one product a step. A step's derivative starts again from its activated gates, so
    that nothing else is kept of it; in half precision from the gates, which were rounded then.
    """
    projected, parameters, initial, inside = primals
    projected_dot, parameters_dot, initial_dot, _ = tangents
    weight, _, projection, _ = parameters
    weight_dot, bias_dot, projection_dot, input_bias_dot = parameters_dot
    final, (output, kept) = _run(cell, reverse, projected, parameters, initial, inside, True)
    kept, before, whole = kept
    is_wide = projected.dtype == compute_dtype(projected.dtype)

    hidden_dot = map_of_weight(ROWS, before[0], weight_dot)
    if bias_dot is not None:
        own = jax.lax.expand_dims(bias_dot, (0, 1))
        hidden_dot = hidden_dot + with_float32_sums(own, hidden_dot)
    if input_bias_dot is not None:
        projected_dot = projected_dot + jax.lax.expand_dims(input_bias_dot, (0, 1))
    own_dots = _joined(cell, projected_dot, hidden_dot)
    output_dots = None if projection is None else map_of_weight(ROWS, whole, projection_dot)

    @functools.partial(jax.checkpoint, prevent_cse=False)
    def step(states_dot: States, now: Any) -> tuple[States, jax.Array]:
        activated, states, own_dot, output_dot, is_inside = now
        activated = activated if is_wide else _activated(cell, activated)
        through = jnp.dot(states_dot[0], weight)
        gates_dot = jax.tree.map(jnp.add, own_dot, _joined(cell, jnp.zeros_like(through), through))
        moved = cell.move(activated, _wide(gates_dot))
        new = functools.partial(_new_states, cell)
        _, new_dot = jax.jvp(new, (activated, states), (moved, states_dot))
        if projection is not None:
            new_dot = (jnp.dot(new_dot[0], projection) + output_dot, *new_dot[1:])
        return _inside_only(is_inside, new_dot, states_dot)

    initial_dot = tuple(jnp.where(False, hidden_dot[0, :, :1], state) for state in initial_dot)
    given = (kept, before, own_dots, output_dots, inside)
    final_dot, output_dot = jax.lax.scan(step, initial_dot, given, reverse=reverse)
    return (final, output), (final_dot, output_dot)


def _name_of_step(arguments: Mapping[str, Any]) -> str:
    """Return PyTorch's name of one step."""
    return f"{arguments['cell'].layer}_cell"


@operation(_name_of_step, low=None)
def one_step(
    cell: Cell,
    input: jax.Array,
    states: States,
    weights: tuple[jax.Array, jax.Array],
    biases: tuple[jax.Array | None, jax.Array | None],
) -> States:
    """Return the states after one step.

    Args:
        cell: The step.
        input: (N, features).
        states: (N, size) each.
        weights: ``weight_ih, weight_hh``.
        biases: ``bias_ih, bias_hh``; None for what there is not.
    """
    projected = linear(input, weights[0], biases[0])
    gates = _joined(cell, projected, linear(states[0], weights[1], biases[1]))
    return _new_states(cell, _activated(cell, gates), states)


def _run(
    cell: Cell,
    reverse: bool,
    projected: jax.Array,
    parameters: tuple[Any, ...],
    initial: States,
    inside: jax.Array | None,
    keeps: bool,
) -> tuple[States, tuple[jax.Array, Any]]:
    """Return the final states, the outputs, and (gates, states before, h before a projection).

    The gates are activated, but for half precision.
    """
    weight, bias, projection, input_bias = parameters
    is_wide = projected.dtype == compute_dtype(projected.dtype)

    def step(states: States, now: Any) -> tuple[States, Any]:
        x, is_inside = now
        x = x if input_bias is None else x + input_bias[None]
        gates = _joined(cell, x, linear(states[0], weight, bias))
        activated = _activated(cell, gates)
        new = _new_states(cell, activated, states)
        of_gates = activated if is_wide else gates
        kept = (of_gates, states, None if projection is None else new[0]) if keeps else None
        if projection is not None:
            new = (jnp.dot(new[0], projection), *new[1:])
        carried, output = _inside_only(is_inside, new, states)
        return carried, (output, kept)

    # Under shard_map zeros are the same on all devices, and what the scan carries is not: the
    # states take on the type of what they will be added to, and nothing of its values.
    initial = tuple(jnp.where(False, projected[0, :, :1], state) for state in initial)
    return jax.lax.scan(step, initial, (projected, inside), reverse=reverse)


def _inside_only(is_inside: jax.Array | None, new: States, old: States) -> tuple[States, jax.Array]:
    """Return the states and the output after a step that some sequences may not have."""
    if is_inside is None:
        return new, new[0]
    states = tuple(jnp.where(is_inside, a, b) for a, b in zip(new, old, strict=True))
    return states, jnp.where(is_inside, new[0], jnp.zeros_like(new[0]))


def _joined(cell: Cell, x: jax.Array, hidden: jax.Array) -> Gates:
    """Return the gates, added up in at least float32 and rounded once."""
    wide = compute_dtype(x.dtype)
    return tuple(gate.astype(x.dtype) for gate in cell.join(x.astype(wide), hidden.astype(wide)))


def _wide(arrays: Gates) -> Gates:
    """Return arrays in at least float32."""
    return tuple(array.astype(compute_dtype(array.dtype)) for array in arrays)


def _activated(cell: Cell, gates: Gates) -> Gates:
    """Return the activated gates, in at least float32."""
    return cell.activate(_wide(gates))


def _new_states(cell: Cell, activated: Gates, states: States) -> States:
    """Compute a step in at least float32, and round its states once."""
    dtype = states[0].dtype
    return tuple(state.astype(dtype) for state in cell.step(activated, _wide(states)))


# --- one step of each layer ---------------------------------------------------------------------


def _sum(x: jax.Array, hidden: jax.Array) -> Gates:
    """Return gates that are of one sum."""
    return (x + hidden,)


def _of_sigmoid(activated: jax.Array, tangent: jax.Array) -> jax.Array:
    """Return the tangent of a sigmoid that has this value."""
    return activated * (1 - activated) * tangent


def _of_tanh(activated: jax.Array, tangent: jax.Array) -> jax.Array:
    """Return the tangent of a hyperbolic tangent that has this value."""
    return (1 - activated * activated) * tangent


def _tanh(gates: Gates) -> Gates:
    """Return the activated gate."""
    return (jnp.tanh(gates[0]),)


def _move_tanh(activated: Gates, tangents: Gates) -> Gates:
    """Return its tangent."""
    return (_of_tanh(activated[0], tangents[0]),)


def _relu(gates: Gates) -> Gates:
    """Return the activated gate."""
    return (jax.nn.relu(gates[0]),)


def _move_relu(activated: Gates, tangents: Gates) -> Gates:
    """Return its tangent, 0 where the gate is."""
    return (jnp.where(activated[0] > 0, tangents[0], jnp.zeros_like(tangents[0])),)


def _is_state(activated: Gates, states: States) -> States:
    """Return the next state, which is the activated gate."""
    del states
    return activated


def _lstm(gates: Gates) -> Gates:
    """Return input, forget, new and output gate, activated."""
    i, f, g, o = jnp.split(gates[0], 4, -1)
    return jax.nn.sigmoid(i), jax.nn.sigmoid(f), jnp.tanh(g), jax.nn.sigmoid(o)


def _move_lstm(activated: Gates, tangents: Gates) -> Gates:
    """Return their tangents."""
    moves = (_of_sigmoid, _of_sigmoid, _of_tanh, _of_sigmoid)
    parts = zip(moves, activated, jnp.split(tangents[0], 4, -1), strict=True)
    return tuple(move(gate, tangent) for move, gate, tangent in parts)


def _lstm_step(activated: Gates, states: States) -> States:
    """Return the next states."""
    i, f, g, o = activated
    c = f * states[1] + i * g
    return o * jnp.tanh(c), c


def _gru_join(x: jax.Array, hidden: jax.Array) -> Gates:
    """Return reset and update, and the two parts of the new state, of which one is reset."""
    size = x.shape[-1] // 3 * 2
    x, x_new = jnp.split(x, [size], -1)
    hidden, h_new = jnp.split(hidden, [size], -1)
    return x + hidden, x_new, h_new


def _gru(gates: Gates) -> Gates:
    """Return reset and update, activated, and the parts of the new state."""
    both, x_new, h_new = gates
    return jax.nn.sigmoid(both), x_new, h_new


def _move_gru(activated: Gates, tangents: Gates) -> Gates:
    """Return their tangents."""
    return _of_sigmoid(activated[0], tangents[0]), *tangents[1:]


def _gru_step(activated: Gates, states: States) -> States:
    """Return the next state."""
    both, x_new, h_new = activated
    (h,) = states
    reset, update = jnp.split(both, 2, -1)
    new = jnp.tanh(x_new + reset * h_new)
    return (new + update * (h - new),)


tanh_cell = Cell(_sum, _tanh, _move_tanh, _is_state, "rnn_tanh")
relu_cell = Cell(_sum, _relu, _move_relu, _is_state, "rnn_relu")
lstm_cell = Cell(_sum, _lstm, _move_lstm, _lstm_step, "lstm")
gru_cell = Cell(_gru_join, _gru, _move_gru, _gru_step, "gru", is_fused=False)
