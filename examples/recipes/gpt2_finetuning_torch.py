"""The recipe of gpt2_finetuning.py in PyTorch."""

from __future__ import annotations

import copy
import dataclasses
import sys
from pathlib import Path
from typing import Any

import torch
import tyro
from _text import characters
from _watch import Watch
from torch.nn import functional as F
from torch.optim.lr_scheduler import LambdaLR
from torch.utils.data import DataLoader

sys.path.insert(0, str(Path(__file__).parents[2]))  # torch_ref is in the checkout, beside examples
from torch_ref import models


@dataclasses.dataclass
class Args:
    """What to train."""

    block_size: int = 32
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


def main(args: Args, watch: Watch | None = None) -> dict[str, Any]:
    """Train, and return the best weights."""
    torch.manual_seed(args.seed)
    text = characters()
    sizes = (args.n_layer, args.n_head, args.n_embd, args.dropout)
    config = models.GPTConfig(args.block_size, text.vocabulary, *sizes)
    model = models.gpt(config, getattr(torch, args.dtype))

    def blocks_of(tokens: Any) -> torch.Tensor:
        whole = len(tokens) // args.block_size * args.block_size
        return torch.tensor(tokens[:whole], dtype=torch.int64).view(-1, args.block_size)

    def loss_of(ids: torch.Tensor) -> torch.Tensor:
        return F.cross_entropy(model(ids)[:, :-1].flatten(0, 1), ids[:, 1:].flatten())

    @torch.no_grad()
    def evaluate() -> float:
        model.eval()
        return loss_of(blocks_of(text.valid)).item()

    loader = DataLoader(blocks_of(text.train), args.per_device_train_batch_size, shuffle=True)
    decayed = [p for p in model.parameters() if p.ndim > 1]
    spared = [p for p in model.parameters() if p.ndim <= 1]
    optimizer = torch.optim.AdamW(
        [
            {"params": decayed, "weight_decay": args.weight_decay},
            {"params": spared, "weight_decay": 0.0},
        ],
        lr=args.learning_rate,
    )
    warmup, steps = args.warmup_steps, args.num_train_epochs * len(loader)

    def factor(step: int) -> float:
        return step / warmup if step < warmup else max(0.0, (steps - step) / (steps - warmup))

    scheduler, scaler = LambdaLR(optimizer, factor), torch.amp.GradScaler("cpu")
    best_loss, best, bad_epochs = float("inf"), {}, 0
    for epoch in range(args.num_train_epochs):
        model.train()
        for ids in loader:
            optimizer.zero_grad()
            with torch.autocast("cpu", torch.float16, enabled=args.fp16):
                loss = loss_of(ids)
            scaler.scale(loss).backward()
            scaler.unscale_(optimizer)
            torch.nn.utils.clip_grad_norm_(model.parameters(), args.max_grad_norm)
            scale = scaler.get_scale()
            scaler.step(optimizer)
            scaler.update()
            if scaler.get_scale() >= scale:  # Trainer's schedule waits where a step is skipped
                scheduler.step()
            if watch is not None:
                watch(model.state_dict())
        eval_loss = evaluate()
        print(f"epoch {epoch}: eval loss {eval_loss:.3f}")
        if eval_loss < best_loss:
            best_loss, best, bad_epochs = eval_loss, copy.deepcopy(model.state_dict()), 0
        else:
            bad_epochs += 1
        if bad_epochs == args.early_stopping_patience:
            break
    model.load_state_dict(best)
    return best


if __name__ == "__main__":
    main(tyro.cli(Args, description=__doc__))
