"""A GPT on characters, as nanoGPT trains it: accumulation, a cosine down to a tenth, the best save.

    python examples/recipes/nanogpt.py
    python examples/recipes/nanogpt.py --output outputs/gpt --resume

Ported from github.com/karpathy/nanoGPT, train.py and configure_optimizers in model.py, at 93a43d9;
the same in PyTorch is beside it in nanogpt_torch.py.
"""

from __future__ import annotations

import dataclasses
import math
from pathlib import Path
from typing import Any

import jax.numpy as jnp
import tyro
from _text import characters
from _watch import Watch, watching
from flax import nnx

import jaxaccel as ja
from jaxaccel import training


@dataclasses.dataclass
class Args:
    """What to train; the names are the original's."""

    batch_size: int = 8
    block_size: int = 32
    n_layer: int = 2
    n_head: int = 2
    n_embd: int = 32
    dropout: float = 0.0
    bias: bool = False
    gradient_accumulation_steps: int = 2
    learning_rate: float = 1e-2
    min_lr: float = 1e-3
    max_iters: int = 100
    warmup_iters: int = 10
    lr_decay_iters: int = 80
    weight_decay: float = 1e-1
    beta1: float = 0.9
    beta2: float = 0.95
    grad_clip: float = 1.0
    eval_interval: int = 20
    eval_iters: int = 4
    seed: int = 1337
    dtype: str = "float32"
    output: Path = Path("outputs/recipes/nanogpt")
    resume: bool = False


def main(args: Args, watch: Watch | None = None) -> training.TrainState:
    """Train, and return the last state; the best is among the saves."""
    text, generator = characters(), ja.random.manual_seed(args.seed)
    sizes = (args.n_layer, args.n_head, args.n_embd, args.dropout, args.bias)
    config = ja.models.GPTConfig(args.block_size, text.vocabulary, *sizes)
    model = ja.models.gpt(config, jnp.dtype(args.dtype), rngs=generator)
    model = nnx.view(model, rngs=nnx.Rngs(args.seed))  # draws the masks of dropout
    apply, params, model_state = training.split_model(model)

    def get_lr(it: int) -> float:
        if it < args.warmup_iters:
            return args.learning_rate * (it + 1) / (args.warmup_iters + 1)
        if it > args.lr_decay_iters:
            return args.min_lr
        decay_ratio = (it - args.warmup_iters) / (args.lr_decay_iters - args.warmup_iters)
        coeff = 0.5 * (1.0 + math.cos(math.pi * decay_ratio))
        return args.min_lr + coeff * (args.learning_rate - args.min_lr)

    def get_batch(tokens: Any, rows: int, generator: ja.random.Generator) -> Any:
        starts = generator.randint(0, len(tokens) - args.block_size, (rows,))
        window = tokens[starts[:, None] + range(args.block_size + 1)]
        return window[:, :-1], window[:, 1:]

    def batches(epoch: int) -> Any:
        for _ in range(args.max_iters):
            rows = args.gradient_accumulation_steps * args.batch_size
            yield get_batch(text.train, rows, generator)

    def loss_fn(params: Any, model_state: Any, batch: Any) -> Any:
        logits, model_state = apply(params, model_state, batch[0], training=True)
        return ja.functional.cross_entropy(logits, batch[1]), (model_state, {})

    def losses(params: Any, model_state: Any, batch: Any) -> Any:
        logits, _ = apply(params, model_state, batch[0], training=False)
        return {"val_loss": ja.functional.cross_entropy(logits, batch[1], reduction="none")}

    def evaluate(state: training.TrainState) -> dict[str, float]:
        generator = ja.random.manual_seed(args.seed)
        sets = (get_batch(text.valid, args.batch_size, generator) for _ in range(args.eval_iters))
        return training.evaluate(losses, state.params, state.model_state, sets)

    tx = ja.optimizers.param_groups(
        ja.optimizers.adamw,
        [{"params": lambda path, leaf: leaf.ndim < 2, "weight_decay": 0.0}],
        lr=ja.schedules.lambda_lr(1.0, get_lr, total_steps=args.max_iters),
        betas=(args.beta1, args.beta2),
        weight_decay=args.weight_decay,
    )
    gradient_fn = training.accumulate(training.gradients(loss_fn), args.gradient_accumulation_steps)
    state, history = training.fit(
        training.train_step(gradient_fn, tx, max_grad_norm=args.grad_clip),
        training.train_state(params, tx, model_state),
        batches,
        callbacks=[
            training.evaluate_every(evaluate, steps=args.eval_interval),
            training.save_every(
                args.output, steps=args.eval_interval, keep_best=1, metric="val_loss"
            ),
            *watching(watch, model),
        ],
        generator=generator,
        resume=args.output if args.resume else None,
    )
    for found in history.measured:
        print(f"step {found['total_steps']}: val loss {found['val_loss']:.4f}")
    return state


if __name__ == "__main__":
    main(tyro.cli(Args, description=__doc__))
