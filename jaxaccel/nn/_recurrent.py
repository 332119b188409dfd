"""The recurrent layers."""

from __future__ import annotations

from collections.abc import Sequence

import jax
from flax import nnx

from jaxaccel._checked import checked_but
from jaxaccel._types import DType, Generator
from jaxaccel.nn._recurrent_scan import Recurrent, run
from jaxaccel.nn._recurrent_steps import gru_cell, lstm_cell, relu_cell, tanh_cell

_CELLS = {"tanh": tanh_cell, "relu": relu_cell}


_IN_PYTORCHS_WORDS = ("input_size", "hidden_size", "num_layers", "bias", "batch_first", "dropout")


class RNN(Recurrent):
    r"""A recurrent network (Elman's) over a sequence, in layers.

    .. math::
        h_t = \tanh(x_t W_{ih} + b_{ih} + h_{t-1} W_{hh} + b_{hh})

    ``layer(input, hx=None, lengths=None)`` returns ``(output, h_n)``. With L steps, N sequences, D
    directions and the defaults, ``input`` is (L, N, input_size), ``output`` (L, N,
    D * hidden_size), ``hx`` and ``h_n``, the first and the last states, (D * num_layers, N,
    hidden_size); all without N for one sequence alone. ``hx=None`` is zeros. ``lengths``, an
    integer for each sequence, is how many of its steps count: behind them the output is zero and
    the state stays, and the reverse direction begins at the last one.

    Args:
        input_size: The length of the input's last axis.
        hidden_size: The length of a state.
        num_layers: How many layers there are, each over the outputs of the one before.
        nonlinearity: ``"tanh"`` or ``"relu"`` in its place.
        bias: Whether to add biases.
        batch_first: Whether input and output are (N, L, features). States are not affected.
        dropout: The probability with which an element of a layer's output is zeroed on its way to
            the next layer, in training.
        bidirectional: Whether a second set of units runs from the last step to the first; both
            outputs are side by side.
        dtype: Of the parameters and so of the input; None for float32.
        rngs: Draws the parameters from PyTorch's default distribution, uniform within
            1 / sqrt(hidden_size): the ``params`` stream of an ``nnx.Rngs``, or a
            :class:`jaxaccel.random.Generator` for PyTorch's own numbers. Its ``dropout`` stream is
            forked where there is dropout (see :class:`Dropout`).

    Raises:
        TypeError: An argument of the wrong type; from a call, a state of another dtype than the
            input, lengths that are not integers.
        ValueError: A size that is not positive, a ``dropout`` outside [0, 1], another
            ``nonlinearity``; from a call, an input of another dtype than the parameters, a wrong
            shape or no step at all.

    PyTorch:
        ``torch.nn.RNN``: same arguments, defaults, numbers, and names of parameters, which are
        attributes (``weight_ih_l0``, ``bias_hh_l1_reverse``) with kernels (in, out) where PyTorch's
        are (out, in); :func:`jaxaccel.nn.state_dict` gives PyTorch's. ``lengths`` replaces
        ``PackedSequence``: the results are those of ``pad_packed_sequence`` after
        ``pack_padded_sequence(enforce_sorted=False)``; a length below 1, which it refuses, is 0,
        and one beyond the input is the input's. Left out: ``device`` (JAX places arrays), the same
        masks of dropout. PyTorch raises ``RuntimeError`` for shapes and dtypes in a call.

    Example:
        >>> import jax.numpy as jnp
        >>> import jaxaccel as ja
        >>> layer = ja.nn.RNN(3, 4, num_layers=2, rngs=ja.random.manual_seed(0))
        >>> output, h_n = layer(jnp.ones((5, 2, 3), jnp.float32))
        >>> output.shape, h_n.shape
        ((5, 2, 4), (2, 2, 4))

    References:
        Elman. Finding Structure in Time. Cognitive Science 14, 1990.
    """

    reads_any_layout = True

    @checked_but(*_IN_PYTORCHS_WORDS)
    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        num_layers: int = 1,
        nonlinearity: str = "tanh",
        bias: bool = True,
        batch_first: bool = False,
        dropout: float = 0.0,
        bidirectional: bool = False,
        dtype: DType | None = None,
        *,
        rngs: nnx.Rngs | Generator,
    ):
        if nonlinearity not in _CELLS:
            raise ValueError(
                f"Unknown nonlinearity '{nonlinearity}'. Select from 'tanh' or 'relu'."
            )
        self.nonlinearity = nonlinearity
        sizes = (input_size, hidden_size, num_layers)
        super().__init__(1, *sizes, bias, batch_first, dropout, bidirectional, dtype, rngs)

    @checked_but("hx", "lengths")
    def __call__(
        self,
        input: jax.Array,
        hx: jax.Array | None = None,
        lengths: Sequence[int] | jax.Array | None = None,
    ) -> tuple[jax.Array, jax.Array]:
        """Return the outputs of all steps and the last states."""
        states = None if hx is None else (hx,)
        cell = _CELLS[self.nonlinearity]
        output, (h_n,) = run(self, cell, input, states, (self.hidden_size,), lengths)
        return output, h_n


class LSTM(Recurrent):
    r"""Long short-term memory over a sequence, in layers.

    .. math::
        i_t &= \sigma(x_t W_{ii} + b_{ii} + h_{t-1} W_{hi} + b_{hi}) \\
        f_t &= \sigma(x_t W_{if} + b_{if} + h_{t-1} W_{hf} + b_{hf}) \\
        g_t &= \tanh(x_t W_{ig} + b_{ig} + h_{t-1} W_{hg} + b_{hg}) \\
        o_t &= \sigma(x_t W_{io} + b_{io} + h_{t-1} W_{ho} + b_{ho}) \\
        c_t &= f_t \odot c_{t-1} + i_t \odot g_t \\
        h_t &= o_t \odot \tanh(c_t)

    With ``proj_size``, :math:`h_t` is that times :math:`W_{hr}`.

    Called like :class:`RNN`, but ``hx`` is a pair ``(h_0, c_0)``, and the last states are a pair
    ``(h_n, c_n)``: with H = proj_size or hidden_size, (D * num_layers, N, H) and (D * num_layers,
    N, hidden_size). ``output`` is (L, N, D * H).

    Args:
        as :class:`RNN`.
        proj_size: Above 0, the length of :math:`h_t`, below hidden_size.

    Raises:
        as :class:`RNN`; besides ``TypeError`` for an ``hx`` that is not a pair and ``ValueError``
            for a ``proj_size`` that is negative or not below hidden_size.

    PyTorch:
        ``torch.nn.LSTM``: as :class:`RNN` is to ``torch.nn.RNN``.

    Example:
        >>> import jax.numpy as jnp
        >>> import jaxaccel as ja
        >>> layer = ja.nn.LSTM(3, 4, num_layers=2, rngs=ja.random.manual_seed(0))
        >>> output, (h_n, c_n) = layer(jnp.ones((5, 2, 3), jnp.float32))
        >>> output.shape, h_n.shape, c_n.shape
        ((5, 2, 4), (2, 2, 4), (2, 2, 4))

    References:
        Hochreiter, Schmidhuber. Long Short-Term Memory. Neural Computation 9, 1997.

        Sak, Senior, Beaufays. Long Short-Term Memory Based Recurrent Neural Network Architectures
        for Large Vocabulary Speech Recognition. 2014. https://arxiv.org/abs/1402.1128
    """

    reads_any_layout = True

    @checked_but(*_IN_PYTORCHS_WORDS)
    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        num_layers: int = 1,
        bias: bool = True,
        batch_first: bool = False,
        dropout: float = 0.0,
        bidirectional: bool = False,
        proj_size: int = 0,
        dtype: DType | None = None,
        *,
        rngs: nnx.Rngs | Generator,
    ):
        sizes, options = (input_size, hidden_size, num_layers), (bias, batch_first, dropout)
        super().__init__(4, *sizes, *options, bidirectional, dtype, rngs, proj_size)

    @checked_but("hx", "lengths")
    def __call__(
        self,
        input: jax.Array,
        hx: tuple[jax.Array, jax.Array] | None = None,
        lengths: Sequence[int] | jax.Array | None = None,
    ) -> tuple[jax.Array, tuple[jax.Array, jax.Array]]:
        """Return the outputs of all steps and the last states."""
        if hx is not None and not (isinstance(hx, (tuple, list)) and len(hx) == 2):
            raise TypeError(f"LSTM: Expected hx to be a pair (h_0, c_0), got {type(hx).__name__}")
        states = None if hx is None else (hx[0], hx[1])
        sizes = (self.proj_size or self.hidden_size, self.hidden_size)
        output, (h_n, c_n) = run(self, lstm_cell, input, states, sizes, lengths)
        return output, (h_n, c_n)


class GRU(Recurrent):
    r"""Gated recurrent units over a sequence, in layers.

    .. math::
        r_t &= \sigma(x_t W_{ir} + b_{ir} + h_{t-1} W_{hr} + b_{hr}) \\
        z_t &= \sigma(x_t W_{iz} + b_{iz} + h_{t-1} W_{hz} + b_{hz}) \\
        n_t &= \tanh(x_t W_{in} + b_{in} + r_t \odot (h_{t-1} W_{hn} + b_{hn})) \\
        h_t &= (1 - z_t) \odot n_t + z_t \odot h_{t-1}

    Called like :class:`RNN`.

    Args:
        as :class:`RNN`.

    Raises:
        as :class:`RNN`.

    PyTorch:
        ``torch.nn.GRU``: as :class:`RNN` is to ``torch.nn.RNN``.

    Example:
        >>> import jax.numpy as jnp
        >>> import jaxaccel as ja
        >>> layer = ja.nn.GRU(3, 4, num_layers=2, rngs=ja.random.manual_seed(0))
        >>> output, h_n = layer(jnp.ones((5, 2, 3), jnp.float32))
        >>> output.shape, h_n.shape
        ((5, 2, 4), (2, 2, 4))

    References:
        Cho, van Merrienboer, Gulcehre, Bahdanau, Bougares, Schwenk, Bengio. Learning Phrase
        Representations using RNN Encoder-Decoder for Statistical Machine Translation. 2014.
        https://arxiv.org/abs/1406.1078
    """

    reads_any_layout = True

    @checked_but(*_IN_PYTORCHS_WORDS)
    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        num_layers: int = 1,
        bias: bool = True,
        batch_first: bool = False,
        dropout: float = 0.0,
        bidirectional: bool = False,
        dtype: DType | None = None,
        *,
        rngs: nnx.Rngs | Generator,
    ):
        sizes = (input_size, hidden_size, num_layers)
        super().__init__(3, *sizes, bias, batch_first, dropout, bidirectional, dtype, rngs)

    @checked_but("hx", "lengths")
    def __call__(
        self,
        input: jax.Array,
        hx: jax.Array | None = None,
        lengths: Sequence[int] | jax.Array | None = None,
    ) -> tuple[jax.Array, jax.Array]:
        """Return the outputs of all steps and the last states."""
        states = None if hx is None else (hx,)
        output, (h_n,) = run(self, gru_cell, input, states, (self.hidden_size,), lengths)
        return output, h_n
