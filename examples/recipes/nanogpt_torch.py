"""The recipe of nanogpt.py in PyTorch."""

from __future__ import annotations

import copy
import dataclasses
import math
import sys
from pathlib import Path
from typing import Any

import torch
import tyro
from _text import characters
from _watch import Watch
from torch.nn import functional as F

sys.path.insert(0, str(Path(__file__).parents[2]))  # torch_ref is in the checkout, beside examples
from torch_ref import models


@dataclasses.dataclass
class Args:
    """What to train."""

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


def main(args: Args, watch: Watch | None = None) -> dict[str, Any]:
    """Train, and return the best weights."""
    torch.manual_seed(args.seed)
    text = characters()
    sizes = (args.n_layer, args.n_head, args.n_embd, args.dropout, args.bias)
    config = models.GPTConfig(args.block_size, text.vocabulary, *sizes)
    model = models.gpt(config, getattr(torch, args.dtype))

    def get_lr(it: int) -> float:
        if it < args.warmup_iters:
            return args.learning_rate * (it + 1) / (args.warmup_iters + 1)
        if it > args.lr_decay_iters:
            return args.min_lr
        decay_ratio = (it - args.warmup_iters) / (args.lr_decay_iters - args.warmup_iters)
        coeff = 0.5 * (1.0 + math.cos(math.pi * decay_ratio))
        return args.min_lr + coeff * (args.learning_rate - args.min_lr)

    def get_batch(tokens: Any, generator: torch.Generator | None = None) -> Any:
        rows = (args.batch_size,)
        starts = torch.randint(len(tokens) - args.block_size, rows, generator=generator)
        window = torch.stack([torch.tensor(tokens[i : i + args.block_size + 1]) for i in starts])
        return window[:, :-1], window[:, 1:].long()

    def loss_of(batch: Any) -> torch.Tensor:
        return F.cross_entropy(model(batch[0]).flatten(0, 1), batch[1].flatten())

    @torch.no_grad()
    def evaluate() -> float:
        model.eval()
        generator = torch.Generator().manual_seed(args.seed)
        losses = [loss_of(get_batch(text.valid, generator)).item() for _ in range(args.eval_iters)]
        model.train()
        return sum(losses) / args.eval_iters

    parameters = list(model.parameters())
    optimizer = torch.optim.AdamW(
        [
            {"params": [p for p in parameters if p.ndim >= 2], "weight_decay": args.weight_decay},
            {"params": [p for p in parameters if p.ndim < 2], "weight_decay": 0.0},
        ],
        betas=(args.beta1, args.beta2),
    )
    best_loss, best = float("inf"), {}
    for it in range(args.max_iters):
        for group in optimizer.param_groups:
            group["lr"] = get_lr(it)
        optimizer.zero_grad()
        for _ in range(args.gradient_accumulation_steps):
            (loss_of(get_batch(text.train)) / args.gradient_accumulation_steps).backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), args.grad_clip)
        optimizer.step()
        if watch is not None:
            watch(model.state_dict())
        if (it + 1) % args.eval_interval == 0:
            val_loss = evaluate()
            print(f"step {it + 1}: val loss {val_loss:.4f}")
            if val_loss < best_loss:
                best_loss, best = val_loss, copy.deepcopy(model.state_dict())
    return best


if __name__ == "__main__":
    main(tyro.cli(Args, description=__doc__))
