"""A recurrent classifier of sequences."""

from __future__ import annotations

from typing import Any

import jax
from flax import nnx

from jaxaccel._checked import checked
from jaxaccel._types import DType, Generator
from jaxaccel.nn import LSTM, Embedding, Linear


class LSTMClassifier(nnx.Module):
    """An LSTM and a linear layer; :func:`lstm_classifier` builds it."""

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        num_classes: int,
        num_layers: int,
        num_embeddings: int | None,
        dtype: Any,
        *,
        rngs: nnx.Rngs | Generator,
    ):
        self.embedding: Embedding | None = nnx.data(None)
        if num_embeddings is not None:
            self.embedding = Embedding(num_embeddings, input_size, dtype=dtype, rngs=rngs)
        self.lstm = LSTM(
            input_size, hidden_size, num_layers, batch_first=True, dtype=dtype, rngs=rngs
        )
        self.fc = Linear(hidden_size, num_classes, dtype=dtype, rngs=rngs)

    def __call__(self, input: jax.Array) -> jax.Array:
        """Return (N, num_classes) for (N, L, input_size), or integers (N, L)."""
        x = input if self.embedding is None else self.embedding(input)
        _, (hidden, _) = self.lstm(x)
        return self.fc(hidden[-1])


@checked
def lstm_classifier(
    input_size: int,
    hidden_size: int = 128,
    num_classes: int = 10,
    num_layers: int = 1,
    num_embeddings: int | None = None,
    dtype: DType | None = None,
    *,
    rngs: nnx.Rngs | Generator,
) -> LSTMClassifier:
    """Build a classifier of sequences: an LSTM, and a linear layer on its last state.

    Args:
        input_size: The length of a step's vector: of the features, or of an embedding.
        hidden_size: The length of a state.
        num_classes: The length of an output.
        num_layers: How many layers the LSTM has; the last one's state is read.
        num_embeddings: How many integers there are, for sequences of integers, which are looked up
            in a table; None for sequences of vectors.
        dtype: Of the parameters and so of vectors in the input; None for float32.
        rngs: Draws the weights from PyTorch's default distributions: the ``params`` stream of an
            ``nnx.Rngs``, or a :class:`jaxaccel.random.Generator` for PyTorch's own numbers.

    Returns:
        An nnx module: (N, L, input_size), or integers (N, L), to (N, num_classes).

    PyTorch:
        ``embedding`` (``nn.Embedding``, if any), ``lstm`` (``nn.LSTM`` with ``batch_first``) and
        ``fc`` (``nn.Linear``), called on ``h_n[-1]``.

    Example:
        >>> import jax.numpy as jnp
        >>> from flax import nnx
        >>> import jaxaccel as ja
        >>> model = ja.models.lstm_classifier(28, 16, rngs=nnx.Rngs(0))
        >>> model(jnp.ones((2, 28, 28), jnp.float32)).shape  # the rows of an image
        (2, 10)

    References:
        Hochreiter, Schmidhuber. Long Short-Term Memory. Neural Computation 9, 1997.
    """
    return LSTMClassifier(
        input_size, hidden_size, num_classes, num_layers, num_embeddings, dtype, rngs=rngs
    )
