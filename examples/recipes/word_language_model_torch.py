"""The recipe of word_language_model.py in PyTorch."""

from __future__ import annotations

import copy
import dataclasses
from typing import Any

import torch
import tyro
from _text import words
from _watch import Watch
from torch import Tensor, nn


@dataclasses.dataclass
class Args:
    """What to train."""

    emsize: int = 32
    nhid: int = 32
    nlayers: int = 2
    batch_size: int = 4
    bptt: int = 10
    lr: float = 20.0
    clip: float = 0.25
    dropout: float = 0.2
    epochs: int = 6
    seed: int = 1111
    dtype: str = "float32"


class RNNModel(nn.Module):
    """An embedding, an LSTM and a linear layer."""

    def __init__(self, tokens: int, args: Args):
        super().__init__()
        dtype = getattr(torch, args.dtype)
        self.drop = nn.Dropout(args.dropout)
        self.encoder = nn.Embedding(tokens, args.emsize, dtype=dtype)
        sizes = (args.emsize, args.nhid, args.nlayers)
        self.rnn = nn.LSTM(*sizes, dropout=args.dropout, dtype=dtype)
        self.decoder = nn.Linear(args.nhid, tokens, dtype=dtype)
        nn.init.uniform_(self.encoder.weight, -0.1, 0.1)
        nn.init.uniform_(self.decoder.weight, -0.1, 0.1)
        nn.init.zeros_(self.decoder.bias)

    def forward(self, input: Tensor, hidden: Any) -> tuple[Tensor, Any]:
        """Return the logits of each next word, (L, N, words), and the hidden state."""
        output, hidden = self.rnn(self.drop(self.encoder(input)), hidden)
        return self.decoder(self.drop(output)), hidden


def batchify(tokens: Any, batch_size: int) -> Tensor:
    """Return the text in so many columns."""
    rows = len(tokens) // batch_size
    return torch.tensor(tokens[: rows * batch_size], dtype=torch.int64).view(batch_size, rows).t()


def main(args: Args, watch: Watch | None = None) -> nn.Module:
    """Train, and return the best model."""
    torch.manual_seed(args.seed)
    text = words()
    train = batchify(text.train, args.batch_size)
    valid, test = batchify(text.valid, 10), batchify(text.test, 10)
    model, criterion = RNNModel(text.vocabulary, args), nn.CrossEntropyLoss()
    optimizer, lr = torch.optim.SGD(model.parameters(), lr=args.lr), args.lr

    def chunks(text: Tensor) -> Any:
        for i in range(0, len(text) - 1, args.bptt):
            length = min(args.bptt, len(text) - 1 - i)
            yield text[i : i + length], text[i + 1 : i + 1 + length]

    @torch.no_grad()
    def evaluate(text: Tensor) -> float:
        model.eval()
        hidden, total = None, 0.0
        for input, target in chunks(text):
            logits, hidden = model(input, hidden)
            total += len(input) * criterion(logits.flatten(0, 1), target.flatten()).item()
        return total / (len(text) - 1)

    best_loss, best = float("inf"), {}
    for epoch in range(args.epochs):
        model.train()
        hidden = None
        for input, target in chunks(train):
            hidden = None if hidden is None else tuple(h.detach() for h in hidden)
            optimizer.zero_grad()
            logits, hidden = model(input, hidden)
            criterion(logits.flatten(0, 1), target.flatten()).backward()
            torch.nn.utils.clip_grad_norm_(model.parameters(), args.clip)
            optimizer.step()
            if watch is not None:
                watch(model.state_dict())
        val_loss = evaluate(valid)
        print(f"epoch {epoch}: valid {val_loss:.3f}")
        if val_loss < best_loss:
            best_loss, best = val_loss, copy.deepcopy(model.state_dict())
        else:
            lr /= 4
            optimizer.param_groups[0]["lr"] = lr
    model.load_state_dict(best)
    print(f"test loss {evaluate(test):.3f}")
    return model


if __name__ == "__main__":
    main(tyro.cli(Args, description=__doc__))
