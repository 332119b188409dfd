"""Train each recipe in PyTorch and in jaxaccel from one seed, in float64, and compare every step.

    python examples/recipes/compare.py
    python examples/recipes/compare.py --only word_language_model

Both sides draw their own weights and batches. After every step all parameters and buffers are
compared under PyTorch's names; the exit status is 1 where one is further from PyTorch's than
rounding explains. Dropout is off: its masks are drawn by other generators.
"""

from __future__ import annotations

import dataclasses
import importlib
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import jax
import numpy as np
import torch
import tyro

LIMIT = 1e-10
"""Largest difference over largest number of an array. Float64 rounds to 1e-16, and a network that
learns amplifies it from step to step."""

RECIPES: dict[str, dict[str, Any]] = {
    "word_language_model": {"dropout": 0.0, "epochs": 2},
    "gpt2_finetuning": {"dropout": 0.0, "num_train_epochs": 3, "fp16": False},
    "torchvision_reference": {"images": 256, "width": 4, "epochs": 3},
    "cifar_resnet": {"images": 256, "batch_size": 64, "width": 4, "epochs": 2},
    "nanogpt": {"max_iters": 40},
}
"""Recipe -> what is other than in its own defaults."""


@dataclasses.dataclass
class Args:
    """What to compare."""

    only: tuple[str, ...] = tuple(RECIPES)
    """Recipes."""


def steps_of(module: str, options: Mapping[str, Any]) -> list[dict[str, np.ndarray]]:
    """Return one side's parameters and buffers after every step."""
    found: list[dict[str, np.ndarray]] = []

    def watch(state_dict: Mapping[str, Any]) -> None:
        found.append({name: np.asarray(value).copy() for name, value in state_dict.items()})

    side = importlib.import_module(module)
    known = {field.name for field in dataclasses.fields(side.Args)}
    own = {name: value for name, value in options.items() if name in known}
    side.main(side.Args(**own, dtype="float64"), watch)
    return found


def distance(ours: Mapping[str, np.ndarray], theirs: Mapping[str, np.ndarray]) -> float:
    """Return the largest difference of one step, over the largest number of the array."""
    if ours.keys() != theirs.keys():
        raise SystemExit(f"other names: {sorted(ours.keys() ^ theirs.keys())}")
    largest = 0.0
    for name in ours:
        scale = max(np.max(np.abs(ours[name])), np.max(np.abs(theirs[name])))
        largest = max(largest, float(np.max(np.abs(ours[name] - theirs[name])) / (scale or 1.0)))
    return largest


def main(args: Args) -> None:
    """Compare, print a line for each recipe, and leave with 1 where one differs."""
    jax.config.update("jax_enable_x64", True)
    torch.set_num_threads(1)
    lines = []
    for name in args.only:
        with tempfile.TemporaryDirectory() as folder:
            options = RECIPES[name] | {"output": Path(folder)}
            ours, theirs = steps_of(name, options), steps_of(f"{name}_torch", options)
        if len(ours) != len(theirs):
            raise SystemExit(f"{name}: {len(ours)} steps, and {len(theirs)} in PyTorch")
        distances = [distance(*pair) for pair in zip(ours, theirs, strict=True)]
        moved = distance(theirs[-1], theirs[0])
        lines.append((name, len(ours), max(distances), moved))
    for name, steps, largest, moved in lines:
        print(f"{name:28} {steps:4} steps, at most {largest:.1e} apart, having moved {moved:.1e}")
    if any(not largest < LIMIT < moved for _, _, largest, moved in lines):
        sys.exit(f"a recipe is further from PyTorch's than {LIMIT}, or has not moved")


if __name__ == "__main__":
    main(tyro.cli(Args, description=__doc__))
