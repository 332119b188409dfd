"""GPT-2 fine-tuned on a text as Transformers' Trainer does it: fp16, linear decay, early stopping.

    python examples/recipes/gpt2_finetuning.py
    python examples/recipes/gpt2_finetuning.py --checkpoint gpt2/model.safetensors

Ported from github.com/huggingface/transformers, examples/pytorch/language-modeling/run_clm.py at
0851a87, with EarlyStoppingCallback; the same in PyTorch is beside it in gpt2_finetuning_torch.py.
Without a checkpoint of GPT-2 a tiny one starts from its initial weights, on characters.
"""

from __future__ import annotations

import dataclasses
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
    """What to train; the names are those of TrainingArguments."""

    checkpoint: Path | None = None
    block_size: int = 32
    vocab_size: int = 0
    n_layer: int = 2
    n_head: int = 2
    n_embd: int = 32
    dropout: float = 0.1
    per_device_train_batch_size: int = 16
    learning_rate: float = 2e-2
    weight_decay: float = 0.01
    warmup_steps: int = 10
    max_grad_norm: float = 1.0
    num_train_epochs: int = 12
    early_stopping_patience: int = 2
    fp16: bool = True
    seed: int = 42
    dtype: str = "float32"
    output: Path = Path("outputs/recipes/gpt2_finetuning")
    resume: bool = False


def main(args: Args, watch: Watch | None = None) -> training.TrainState:
    """Train, and return the best state."""
    text, generator = characters(), ja.random.manual_seed(args.seed)
    sizes = (args.n_layer, args.n_head, args.n_embd, args.dropout)
    config = ja.models.GPTConfig(args.block_size, args.vocab_size or text.vocabulary, *sizes)
    model = ja.models.gpt(config, jnp.dtype(args.dtype), rngs=generator)
    if args.checkpoint is not None:
        from safetensors.numpy import load_file

        weights = ja.interop.from_transformers_gpt2(load_file(args.checkpoint))
        ja.nn.load_state_dict(model, weights)
    model = nnx.view(model, rngs=nnx.Rngs(args.seed))  # draws the masks of dropout
    apply, params, model_state = training.split_model(model)
    count = len(text.train) // args.block_size
    blocks = text.train[: count * args.block_size].reshape(count, args.block_size)
    held_out = text.valid[: len(text.valid) // args.block_size * args.block_size]

    def batches(epoch: int) -> Any:
        order = ja.data.data_loader_order(
            blocks, args.per_device_train_batch_size, shuffle=True, default_generator=generator
        )
        return (blocks[rows] for rows, _ in order)

    def losses(params: Any, model_state: Any, ids: Any, training: bool) -> Any:
        logits, model_state = apply(params, model_state, ids, training=training)
        loss = ja.functional.cross_entropy(logits[:, :-1], ids[:, 1:], reduction="none")
        return loss, model_state

    def loss_fn(params: Any, model_state: Any, ids: Any) -> Any:
        loss, model_state = losses(params, model_state, ids, training=True)
        return jnp.mean(loss), (model_state, {})

    def eval_loss(params: Any, model_state: Any, ids: Any) -> Any:
        return {"eval_loss": losses(params, model_state, ids, training=False)[0]}

    def evaluate(state: training.TrainState) -> dict[str, float]:
        rows = [held_out.reshape(-1, args.block_size)]
        return training.evaluate(eval_loss, state.params, state.model_state, rows)

    steps = args.num_train_epochs * -(-count // args.per_device_train_batch_size)
    tx = ja.optimizers.param_groups(
        ja.optimizers.adamw,
        [{"params": ja.optimizers.no_decay, "weight_decay": 0.0}],
        lr=ja.schedules.linear_schedule_with_warmup(args.learning_rate, args.warmup_steps, steps),
        weight_decay=args.weight_decay,
    )
    scaler = ja.precision.grad_scaler()
    half = ja.precision.autocast(loss_fn, "cuda", jnp.float16, enabled=args.fp16)
    step = training.train_step(
        training.gradients(half), tx, max_grad_norm=args.max_grad_norm, scaler=scaler
    )
    state, history = training.fit(
        step,
        training.train_state(params, tx, model_state, scaler=scaler),
        batches,
        epochs=args.num_train_epochs,
        evaluate=evaluate,
        callbacks=[
            training.early_stopping(
                "eval_loss", args.early_stopping_patience, restore_best="always"
            ),
            training.save_every(args.output, keep_last=1, keep_best=1, metric="eval_loss"),
            *watching(watch, model),
        ],
        generator=generator,
        resume=args.output if args.resume else None,
    )
    for number, epoch in enumerate(history.epochs):
        print(f"epoch {number}: loss {epoch['loss']:.3f}, eval loss {epoch['eval_loss']:.3f}")
    print(history.stopped or "all epochs are over")
    return state


if __name__ == "__main__":
    main(tyro.cli(Args, description=__doc__))
