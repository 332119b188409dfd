"""A recurrent language model of words, whose learning rate falls where validation is no better.

    python examples/recipes/word_language_model.py
    python examples/recipes/word_language_model.py --output outputs/words --resume

Ported from github.com/pytorch/examples, word_language_model/main.py and model.py at cd01f93; the
same in PyTorch is beside it in word_language_model_torch.py.
"""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import tyro
from _text import words
from _watch import Watch, watching
from flax import nnx

import jaxaccel as ja
from jaxaccel import training

F = ja.functional


@dataclasses.dataclass
class Args:
    """What to train; the original's sizes are 200, 200, 2, 20, 35."""

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
    output: Path = Path("outputs/recipes/word_language_model")
    resume: bool = False


class RNNModel(nnx.Module):
    """An embedding, an LSTM and a linear layer."""

    def __init__(self, tokens: int, args: Args, *, rngs: Any):
        dtype = jnp.dtype(args.dtype)
        self.drop = ja.nn.Dropout(args.dropout, rngs=rngs)
        self.encoder = ja.nn.Embedding(tokens, args.emsize, dtype=dtype, rngs=rngs)
        sizes = (args.emsize, args.nhid, args.nlayers)
        self.rnn = ja.nn.LSTM(*sizes, dropout=args.dropout, dtype=dtype, rngs=rngs)
        self.decoder = ja.nn.Linear(args.nhid, tokens, dtype=dtype, rngs=rngs)
        for weight, layout in ((self.encoder.weight, "torch"), (self.decoder.weight, "flax")):
            uniform = ja.init.uniform(-0.1, 0.1, layout=layout)
            weight[...] = uniform(rngs, weight.shape, weight.dtype)
        self.decoder.bias[...] = jnp.zeros_like(self.decoder.bias[...])

    def __call__(self, input: jax.Array, hidden: Any) -> tuple[jax.Array, Any]:
        """Return the logits of each next word, (L, N, words), and the hidden state."""
        output, hidden = self.rnn(self.drop(self.encoder(input)), hidden)
        return self.decoder(self.drop(output)), hidden


def batchify(tokens: Any, batch_size: int) -> jax.Array:
    """Return the text in so many columns."""
    rows = len(tokens) // batch_size
    return jnp.asarray(tokens[: rows * batch_size].reshape(batch_size, rows).T)


def main(args: Args, watch: Watch | None = None) -> training.TrainState:
    """Train, and return the best state."""
    text, generator = words(), ja.random.manual_seed(args.seed)
    train = batchify(text.train, args.batch_size)
    valid, test = batchify(text.valid, 10), batchify(text.test, 10)
    model = nnx.view(RNNModel(text.vocabulary, args, rngs=generator), rngs=nnx.Rngs(args.seed))
    apply, params, model_state = training.split_model(model)

    def chunks(text: jax.Array, start: int = 0) -> Any:
        for i in range(start * args.bptt, len(text) - 1, args.bptt):
            length = min(args.bptt, len(text) - 1 - i)
            yield text[i : i + length], text[i + 1 : i + 1 + length], jnp.asarray(i == 0)

    def no_hidden(batch_size: int) -> Any:
        return (jnp.zeros((args.nlayers, batch_size, args.nhid), args.dtype),) * 2

    def loss_fn(params: Any, model_state: Any, batch: Any, training: bool = True) -> Any:
        (state, hidden), (input, target, is_first) = model_state, batch
        hidden = jax.tree.map(lambda h: jnp.where(is_first, 0, h), hidden)
        (logits, hidden), state = apply(params, state, input, hidden, training=training)
        return F.cross_entropy(logits, target), ((state, hidden), {})

    @jax.jit
    def loss_of(params: Any, model_state: Any, chunk: Any) -> Any:
        loss, (model_state, _) = loss_fn(params, model_state, chunk, training=False)
        return len(chunk[0]) * loss, model_state

    def evaluate(state: training.TrainState, text: jax.Array = valid) -> dict[str, float]:
        model_state, total = (state.model_state[0], no_hidden(10)), 0.0
        for chunk in chunks(text):
            loss, model_state = loss_of(state.params, model_state, chunk)
            total += float(loss)
        return {"val_loss": total / (len(text) - 1)}

    tx = ja.optimizers.param_groups(ja.optimizers.sgd, [], lr=args.lr)
    annealing = ja.schedules.reduce_lr_on_plateau(args.lr, factor=0.25, patience=0, threshold=0.0)
    state, history = training.fit(
        training.train_step(training.gradients(loss_fn), tx, max_grad_norm=args.clip),
        training.train_state(params, tx, (model_state, no_hidden(args.batch_size))),
        lambda epoch, start: chunks(train, start),
        epochs=args.epochs,
        evaluate=evaluate,
        callbacks=[
            training.follow_plateau(annealing),
            training.early_stopping(patience=args.epochs, restore_best="always"),
            training.save_every(args.output),
            *watching(watch, model, lambda state: (state.params, state.model_state[0])),
        ],
        batch_axes=(1, 1, None),
        resume=args.output if args.resume else None,
    )
    for number, epoch in enumerate(history.epochs):
        print(f"epoch {number}: loss {epoch['loss']:.3f}, valid {epoch['val_loss']:.3f}")
    print(f"test loss {evaluate(state, test)['val_loss']:.3f}")
    return state


if __name__ == "__main__":
    main(tyro.cli(Args, description=__doc__))
