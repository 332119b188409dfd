"""The recipe of torchvision_reference.py in PyTorch."""

from __future__ import annotations

import dataclasses
import sys
from pathlib import Path
from typing import Any

import torch
import tyro
from _watch import Watch
from torch.nn import functional as F
from torch.optim.lr_scheduler import CosineAnnealingLR, LinearLR, SequentialLR
from torch.optim.swa_utils import AveragedModel
from torch.utils.data import DataLoader, default_collate

import jaxaccel as ja  # for the digits alone

sys.path.insert(0, str(Path(__file__).parents[2]))  # torch_ref is in the checkout, beside examples
from torch_ref import models


@dataclasses.dataclass
class Args:
    """What to train."""

    images: int = 2000
    width: int = 8
    batch_size: int = 64
    epochs: int = 6
    lr: float = 0.1
    momentum: float = 0.9
    weight_decay: float = 2e-5
    norm_weight_decay: float = 0.0
    label_smoothing: float = 0.1
    mixup_alpha: float = 0.2
    lr_warmup_epochs: int = 1
    lr_warmup_decay: float = 0.01
    model_ema_steps: int = 2
    model_ema_decay: float = 0.99
    seed: int = 0
    dtype: str = "float32"


def main(args: Args, watch: Watch | None = None) -> torch.nn.Module:
    """Train, and return the averaged model."""
    dtype = getattr(torch, args.dtype)
    torch.manual_seed(args.seed)
    digits = ja.data.load("mnist5k")

    def normal(images: Any) -> torch.Tensor:
        images = torch.from_numpy(images).movedim(-1, -3).to(dtype) / 255
        return (images - digits.mean[0]) / digits.std[0]

    class Train(torch.utils.data.Dataset):
        def __len__(self) -> int:
            return args.images

        def __getitem__(self, row: int) -> Any:
            image = normal(digits.train_images[row])
            return image.flip(-1) if torch.rand(1) < 0.5 else image, int(digits.train_labels[row])

    def mixup(batch: Any) -> tuple[torch.Tensor, torch.Tensor]:
        images, labels = default_collate(batch)
        targets = F.one_hot(labels, 10).to(torch.float32)
        share = float(torch.distributions.Beta(args.mixup_alpha, args.mixup_alpha).sample())
        images = images.roll(1, 0).mul(1.0 - share).add(images.mul(share))
        return images, targets.roll(1, 0).mul(1.0 - share).add(targets.mul(share)).to(dtype)

    model = models.resnet18(in_channels=1, width=args.width, dtype=dtype)
    norms = [m for m in model.modules() if isinstance(m, torch.nn.BatchNorm2d)]
    in_norms = {id(p) for norm in norms for p in norm.parameters()}
    groups = [
        {
            "params": [p for p in model.parameters() if (id(p) in in_norms) == is_norm],
            "weight_decay": decay,
        }
        for is_norm, decay in ((False, args.weight_decay), (True, args.norm_weight_decay))
    ]
    optimizer = torch.optim.SGD(groups, lr=args.lr, momentum=args.momentum)
    criterion = torch.nn.CrossEntropyLoss(label_smoothing=args.label_smoothing)
    warmup = LinearLR(optimizer, args.lr_warmup_decay, total_iters=args.lr_warmup_epochs)
    cosine = CosineAnnealingLR(optimizer, args.epochs - args.lr_warmup_epochs)
    scheduler = SequentialLR(optimizer, [warmup, cosine], [args.lr_warmup_epochs])
    adjust = args.batch_size * args.model_ema_steps / args.epochs
    alpha = min(1.0, (1.0 - args.model_ema_decay) * adjust)
    model_ema = AveragedModel(
        model, avg_fn=lambda ema, new, _: (1.0 - alpha) * ema + alpha * new, use_buffers=True
    )
    loader = DataLoader(Train(), args.batch_size, shuffle=True, collate_fn=mixup)
    for epoch in range(args.epochs):
        model.train()
        for i, (images, targets) in enumerate(loader):
            optimizer.zero_grad()
            criterion(model(images), targets).backward()
            optimizer.step()
            if i % args.model_ema_steps == 0:
                model_ema.update_parameters(model)
                if epoch < args.lr_warmup_epochs:
                    model_ema.n_averaged.fill_(0)
            if watch is not None:
                watch(model.state_dict())
                watch(model_ema.module.state_dict())
        scheduler.step()
        model_ema.eval()
        with torch.no_grad():
            found = model_ema(normal(digits.test_images)).argmax(1).numpy() == digits.test_labels
        print(f"epoch {epoch}: acc1 of the average {found.mean():.3f}")
    return model_ema.module


if __name__ == "__main__":
    main(tyro.cli(Args, description=__doc__))
