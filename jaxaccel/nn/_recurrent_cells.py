"""One step of the recurrent layers, as layers: RNNCell, LSTMCell, GRUCell."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp
from flax import nnx

from jaxaccel._checked import checked, checked_but
from jaxaccel._types import DType, Generator
from jaxaccel.init import uniform
from jaxaccel.nn._arguments import array_of, parameter_dtype, params_key, value_of
from jaxaccel.nn._recurrent_checks import check_cell_input, check_cell_states, check_kinds
from jaxaccel.nn._recurrent_steps import Cell, States, one_step
from jaxaccel.nn._recurrent_steps import gru_cell as GRU_STEP
from jaxaccel.nn._recurrent_steps import lstm_cell as LSTM_STEP
from jaxaccel.nn._recurrent_steps import relu_cell as RELU_STEP
from jaxaccel.nn._recurrent_steps import tanh_cell as TANH_STEP

_STEPS = {"tanh": TANH_STEP, "relu": RELU_STEP}


class _Cell(nnx.Module):
    """What the cells share: PyTorch's parameters, registered and drawn in its order."""

    torch_transposed = ("weight_ih", "weight_hh")
    kernel_axes = 2
    reads_any_layout = True

    def __init__(
        self,
        gates: int,
        input_size: int,
        hidden_size: int,
        bias: bool,
        dtype: Any,
        rngs: nnx.Rngs | Generator,
    ):
        self.input_size = input_size
        self.hidden_size = hidden_size
        self.bias = bias
        bound = 1 / math.sqrt(hidden_size) if hidden_size > 0 else 0.0
        width, dtype = gates * hidden_size, parameter_dtype(dtype)

        def draw(*shape: int) -> jax.Array:
            return uniform(-bound, bound)(params_key(rngs), shape, dtype)

        self.weight_ih = nnx.Param(draw(input_size, width), layout="flax")
        self.weight_hh = nnx.Param(draw(hidden_size, width), layout="flax")
        self.bias_ih: Any = nnx.Param(draw(width)) if bias else nnx.data(None)
        self.bias_hh: Any = nnx.Param(draw(width)) if bias else nnx.data(None)

    def _next(self, step: Cell, input: jax.Array, states: Sequence[jax.Array] | None) -> States:
        """Return the next states, in the form of the input."""
        check_kinds(states, None, self)
        check_cell_input(input, states, self)
        is_batched = input.ndim == 2
        rows = input if is_batched else input[None]
        if states is None:
            # In a dtype that Python may not see: autocast's of what they stand beside.
            zeros = jnp.zeros((len(rows), self.hidden_size), rows.dtype)
            zeros = jnp.where(False, rows[:, :1], zeros) if self.input_size else zeros
            states = (zeros,) * (2 if step is LSTM_STEP else 1)
        else:
            states = tuple(state if is_batched else state[None] for state in states)
        check_cell_states(states, len(rows), self)
        weights = (array_of(self, "weight_ih"), array_of(self, "weight_hh"))
        biases = (value_of(self.bias_ih), value_of(self.bias_hh))
        new = one_step(step, rows, tuple(states), weights, biases)
        return new if is_batched else tuple(state[0] for state in new)


class RNNCell(_Cell):
    r"""One step of Elman's recurrent network (:class:`RNN`).

    .. math::
        h' = \tanh(x W_{ih} + b_{ih} + h W_{hh} + b_{hh})

    ``cell(input, hx=None)`` returns the next state. ``input`` is (N, input_size) or (input_size,),
    ``hx`` and the next state (N, hidden_size) or (hidden_size,). ``hx=None`` is zeros.

    Args:
        input_size: The length of the input's last axis.
        hidden_size: The length of a state.
        bias: Whether to add biases.
        nonlinearity: ``"tanh"`` or ``"relu"`` in its place.
        dtype: Of the parameters and so of the input; None for float32.
        rngs: Draws ``weight_ih``, ``weight_hh``, ``bias_ih`` and ``bias_hh`` from PyTorch's default
            distribution, uniform within 1 / sqrt(hidden_size): the ``params`` stream of an
            ``nnx.Rngs``, or a :class:`jaxaccel.random.Generator` for PyTorch's own numbers.

    Raises:
        ValueError: another ``nonlinearity``; from a call, a wrong shape.
        TypeError: from a call, an input or a state of another dtype than the parameters.

    PyTorch:
        ``torch.nn.RNNCell``: the same, but for the weights, which are transposed
        (:func:`jaxaccel.nn.state_dict` gives PyTorch's). Left out: ``device`` (JAX places arrays).
        PyTorch raises ``RuntimeError``, and for a ``nonlinearity`` when the cell is called.

    Example:
        >>> import jax.numpy as jnp
        >>> import jaxaccel as ja
        >>> cell = ja.nn.RNNCell(3, 4, rngs=ja.random.manual_seed(0))
        >>> cell(jnp.ones((2, 3), jnp.float32)).shape
        (2, 4)
    """

    @checked
    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        bias: bool = True,
        nonlinearity: str = "tanh",
        dtype: DType | None = None,
        *,
        rngs: nnx.Rngs | Generator,
    ):
        if nonlinearity not in _STEPS:
            raise ValueError(f"Unknown nonlinearity: {nonlinearity}\nSelect from 'tanh' or 'relu'")
        self.nonlinearity = nonlinearity
        super().__init__(1, input_size, hidden_size, bias, dtype, rngs)

    @checked_but("hx")
    def __call__(self, input: jax.Array, hx: jax.Array | None = None) -> jax.Array:
        """Return the next state."""
        step = _STEPS[self.nonlinearity]
        return self._next(step, input, None if hx is None else (hx,))[0]


class LSTMCell(_Cell):
    r"""One step of long short-term memory (:class:`LSTM`, which has the formulas).

    Called like :class:`RNNCell`, but ``hx`` is a pair ``(h, c)``, and so is what it returns.

    Args:
        input_size: The length of the input's last axis.
        hidden_size: The length of a state.
        bias: Whether to add biases.
        dtype: Of the parameters and so of the input; None for float32.
        rngs: as for :class:`RNNCell`.

    Raises:
        TypeError: from a call, ``hx`` is not a pair; and as :class:`RNNCell`.
        ValueError: from a call, a wrong shape.

    PyTorch:
        ``torch.nn.LSTMCell``: as :class:`RNNCell` is to ``torch.nn.RNNCell``.

    Example:
        >>> import jax.numpy as jnp
        >>> import jaxaccel as ja
        >>> cell = ja.nn.LSTMCell(3, 4, rngs=ja.random.manual_seed(0))
        >>> h, c = cell(jnp.ones((2, 3), jnp.float32))
        >>> h.shape, c.shape
        ((2, 4), (2, 4))
    """

    @checked
    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        bias: bool = True,
        dtype: DType | None = None,
        *,
        rngs: nnx.Rngs | Generator,
    ):
        super().__init__(4, input_size, hidden_size, bias, dtype, rngs)

    @checked_but("hx")
    def __call__(
        self, input: jax.Array, hx: tuple[jax.Array, jax.Array] | None = None
    ) -> tuple[jax.Array, jax.Array]:
        """Return the next states."""
        if hx is not None and not (isinstance(hx, (tuple, list)) and len(hx) == 2):
            raise TypeError(f"LSTMCell: Expected hx to be a pair (h, c), got {type(hx).__name__}")
        h, c = self._next(LSTM_STEP, input, hx)
        return h, c


class GRUCell(_Cell):
    r"""One step of gated recurrent units (:class:`GRU`, which has the formulas).

    Called like :class:`RNNCell`.

    Args:
        as :class:`LSTMCell`.

    Raises:
        ValueError: from a call, a wrong shape.
        TypeError: from a call, an input or a state of another dtype than the parameters.

    PyTorch:
        ``torch.nn.GRUCell``: as :class:`RNNCell` is to ``torch.nn.RNNCell``.

    Example:
        >>> import jax.numpy as jnp
        >>> import jaxaccel as ja
        >>> cell = ja.nn.GRUCell(3, 4, rngs=ja.random.manual_seed(0))
        >>> cell(jnp.ones((2, 3), jnp.float32)).shape
        (2, 4)
    """

    @checked
    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        bias: bool = True,
        dtype: DType | None = None,
        *,
        rngs: nnx.Rngs | Generator,
    ):
        super().__init__(3, input_size, hidden_size, bias, dtype, rngs)

    @checked_but("hx")
    def __call__(self, input: jax.Array, hx: jax.Array | None = None) -> jax.Array:
        """Return the next state."""
        return self._next(GRU_STEP, input, None if hx is None else (hx,))[0]
