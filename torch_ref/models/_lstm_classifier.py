"""A recurrent classifier of sequences."""

from __future__ import annotations

import torch
from torch import Tensor, nn


class LSTMClassifier(nn.Module):
    """An LSTM and a linear layer; :func:`lstm_classifier` builds it."""

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        num_classes: int,
        num_layers: int,
        num_embeddings: int | None,
        dtype: torch.dtype | None,
    ):
        super().__init__()
        self.embedding: nn.Embedding | None = None
        if num_embeddings is not None:
            self.embedding = nn.Embedding(num_embeddings, input_size, dtype=dtype)
        self.lstm = nn.LSTM(input_size, hidden_size, num_layers, batch_first=True, dtype=dtype)
        self.fc = nn.Linear(hidden_size, num_classes, dtype=dtype)

    def forward(self, input: Tensor) -> Tensor:
        """Return (N, num_classes) for (N, L, input_size), or integers (N, L)."""
        x = input if self.embedding is None else self.embedding(input)
        _, (hidden, _) = self.lstm(x)
        return self.fc(hidden[-1])


def lstm_classifier(
    input_size: int,
    hidden_size: int = 128,
    num_classes: int = 10,
    num_layers: int = 1,
    num_embeddings: int | None = None,
    dtype: torch.dtype | None = None,
) -> LSTMClassifier:
    """Build a classifier of sequences: an LSTM, and a linear layer on its last state."""
    return LSTMClassifier(input_size, hidden_size, num_classes, num_layers, num_embeddings, dtype)
