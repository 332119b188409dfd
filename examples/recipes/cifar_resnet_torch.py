"""The recipe of cifar_resnet.py in PyTorch."""

from __future__ import annotations

import copy
import dataclasses
import sys
from pathlib import Path
from typing import Any

import torch
import tyro
from _watch import Watch
from torch.nn import functional as F
from torch.utils.data import DataLoader

import jaxaccel as ja  # for the digits alone

sys.path.insert(0, str(Path(__file__).parents[2]))  # torch_ref is in the checkout, beside examples
from torch_ref import models


@dataclasses.dataclass
class Args:
    """What to train."""

    images: int = 2000
    width: int = 8
    batch_size: int = 128
    lr: float = 0.1
    epochs: int = 6
    seed: int = 0
    dtype: str = "float32"


def augmented(image: torch.Tensor, padding: int = 4) -> torch.Tensor:
    """Return an image after torchvision's RandomCrop and RandomHorizontalFlip."""
    size = image.shape[-1]
    top, left = (int(torch.randint(0, 2 * padding + 1, (1,))) for _ in range(2))
    image = F.pad(image, [padding] * 4)[:, top : top + size, left : left + size]
    return image.flip(-1) if torch.rand(1) < 0.5 else image


class Images(torch.utils.data.Dataset):
    """Images that are changed when they are asked for."""

    def __init__(self, images: Any, labels: Any, transform: Any):
        self.images, self.transform = torch.from_numpy(images).permute(0, 3, 1, 2), transform
        self.labels = torch.from_numpy(labels).long()

    def __len__(self) -> int:
        return len(self.labels)

    def __getitem__(self, row: int) -> Any:
        return self.transform(self.images[row]), self.labels[row]


def main(args: Args, watch: Watch | None = None) -> dict[str, Any]:
    """Train, and return the best weights."""
    dtype = getattr(torch, args.dtype)
    torch.manual_seed(args.seed)
    digits = ja.data.load("mnist5k")
    mean, std = digits.mean[0], digits.std[0]

    def normal(images: torch.Tensor) -> torch.Tensor:
        return (images.to(dtype) / 255 - mean) / std

    trainset = Images(
        digits.train_images[: args.images],
        digits.train_labels[: args.images],
        lambda image: normal(augmented(image)),
    )
    testset = Images(digits.test_images, digits.test_labels, normal)
    model = models.resnet18(in_channels=1, width=args.width, dtype=dtype)
    criterion = torch.nn.CrossEntropyLoss()
    optimizer = torch.optim.SGD(model.parameters(), lr=args.lr, momentum=0.9, weight_decay=5e-4)
    scheduler = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, T_max=args.epochs)
    trainloader = DataLoader(trainset, args.batch_size, shuffle=True)
    testloader = [testset[row : row + 250] for row in range(0, len(testset), 250)]

    @torch.no_grad()
    def evaluate() -> float:
        model.eval()
        correct = sum((model(images).argmax(1) == labels).sum() for images, labels in testloader)
        return float(correct) / len(testset)

    best_accuracy, best = 0.0, {}
    for epoch in range(args.epochs):
        model.train()
        for images, labels in trainloader:
            optimizer.zero_grad()
            criterion(model(images), labels).backward()
            optimizer.step()
            if watch is not None:
                watch(model.state_dict())
        scheduler.step()
        accuracy = evaluate()
        print(f"epoch {epoch}: accuracy {accuracy:.3f}")
        if accuracy > best_accuracy:
            best_accuracy, best = accuracy, copy.deepcopy(model.state_dict())
    return best


if __name__ == "__main__":
    main(tyro.cli(Args, description=__doc__))
