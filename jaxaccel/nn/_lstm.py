"""Long short-term memory."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
from flax import nnx

from jaxaccel._types import Generator
from jaxaccel.nn._recurrent import States, draw_parameters, dropout_between, run
from jaxaccel.nn._recurrent_checks import check_arguments


class LSTM(nnx.Module):
    r"""Long short-term memory over a sequence, in layers.

    .. math::
        i_t &= \sigma(x_t W_{ii} + b_{ii} + h_{t-1} W_{hi} + b_{hi}) \\
        f_t &= \sigma(x_t W_{if} + b_{if} + h_{t-1} W_{hf} + b_{hf}) \\
        g_t &= \tanh(x_t W_{ig} + b_{ig} + h_{t-1} W_{hg} + b_{hg}) \\
        o_t &= \sigma(x_t W_{io} + b_{io} + h_{t-1} W_{ho} + b_{ho}) \\
        c_t &= f_t \odot c_{t-1} + i_t \odot g_t \\
        h_t &= o_t \odot \tanh(c_t)

    With ``proj_size``, :math:`h_t` is that times :math:`W_{hr}`.

    ``layer(input, hx=None, lengths=None)`` returns ``(output, (h_n, c_n))``. With L steps, N
    sequences, D directions, the defaults and H = proj_size or hidden_size, ``input`` is
    (L, N, input_size), ``output`` (L, N, D * H), ``hx`` a pair (h_0, c_0) like (h_n, c_n), the last
    states: (D * num_layers, N, H) and (D * num_layers, N, hidden_size); all without N for one
    sequence alone. ``hx=None`` is zeros. ``lengths``, an integer for each sequence, is how many of
    its steps count: behind them the output is zero and the states stay, and the reverse direction
    begins at the last one.

    Args:
        input_size: The length of the input's last axis.
        hidden_size: The length of a state.
        num_layers: How many layers there are, each over the outputs of the one before.
        bias: Whether to add biases.
        batch_first: Whether input and output are (N, L, features). States are not affected.
        dropout: The probability with which an element of a layer's output is zeroed on its way to
            the next layer, in training.
        bidirectional: Whether a second set of units runs from the last step to the first; both
            outputs are side by side.
        proj_size: Above 0, the length of :math:`h_t`, below hidden_size.
        dtype: Of the parameters and so of the input; None for float32.
        rngs: Draws the parameters from PyTorch's default distribution, uniform within
            1 / sqrt(hidden_size): the ``params`` stream of an ``nnx.Rngs``, or a
            :class:`jaxaccel.random.Generator` for PyTorch's own numbers. Its ``dropout`` stream is
            forked where there is dropout (see :class:`Dropout`).

    Raises:
        TypeError: An argument of the wrong type; from a call, ``hx`` that is no pair, a state of
            another dtype than the input, lengths that are no integers.
        ValueError: A size that is not positive, a ``proj_size`` that is negative or not below
            hidden_size, a ``dropout`` outside [0, 1]; from a call, an input of another dtype than
            the parameters, a wrong shape or no step at all.

    PyTorch:
        ``torch.nn.LSTM``: same arguments, defaults, numbers, and names of parameters, which are
        attributes (``weight_ih_l0``, ``bias_hh_l1_reverse``) with kernels (in, out) where PyTorch's
        are (out, in); :func:`jaxaccel.nn.state_dict` gives PyTorch's. ``lengths`` replaces
        ``PackedSequence``: the results are those of ``pad_packed_sequence`` after
        ``pack_padded_sequence(enforce_sorted=False)``, and a length of 0 is allowed. Left out:
        ``device`` (JAX places arrays), the same masks of dropout. PyTorch raises ``RuntimeError``
        for shapes and dtypes in a call.

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
        dtype: Any = None,
        *,
        rngs: nnx.Rngs | Generator,
    ):
        check_arguments(input_size, hidden_size, num_layers, bias, batch_first, dropout, proj_size)
        self.input_size = input_size
        self.hidden_size = hidden_size
        self.num_layers = num_layers
        self.bias = bias
        self.batch_first = batch_first
        self.bidirectional = bidirectional
        self.proj_size = proj_size
        self.dropout = dropout_between(num_layers, dropout, rngs)
        draw_parameters(self, 4, dtype, rngs, proj_size)

    def __call__(
        self,
        input: jax.Array,
        hx: tuple[jax.Array, jax.Array] | None = None,
        lengths: jax.Array | None = None,
    ) -> tuple[jax.Array, tuple[jax.Array, jax.Array]]:
        """Return the outputs of all steps and the last states."""
        if hx is not None and not (isinstance(hx, (tuple, list)) and len(hx) == 2):
            raise TypeError(f"LSTM: Expected hx to be a pair (h_0, c_0), got {type(hx).__name__}")
        states = None if hx is None else (hx[0], hx[1])
        sizes = (self.proj_size or self.hidden_size, self.hidden_size)
        output, (h_n, c_n) = run(self, _cell, input, states, sizes, lengths)
        return output, (h_n, c_n)


def _cell(x: jax.Array, hidden: jax.Array, states: States) -> States:
    """Return the next states."""
    _, c = states
    i, f, g, o = jnp.split(x + hidden, 4, -1)
    c = jax.nn.sigmoid(f) * c + jax.nn.sigmoid(i) * jnp.tanh(g)
    return jax.nn.sigmoid(o) * jnp.tanh(c), c
