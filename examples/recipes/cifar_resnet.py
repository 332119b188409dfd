"""A ResNet-18 for small images: SGD, cosine by epochs, random crops and flips, the best save.

    python examples/recipes/cifar_resnet.py
    python examples/recipes/cifar_resnet.py --output outputs/cifar --resume

Ported from github.com/kuangliu/pytorch-cifar, main.py at 49b7aa9, on digits and narrower; the same
in PyTorch is beside it in cifar_resnet_torch.py.
"""

from __future__ import annotations

import dataclasses
from functools import partial
from pathlib import Path
from typing import Any

import jax.numpy as jnp
import tyro
from _watch import Watch, watching

import jaxaccel as ja
from jaxaccel import training


@dataclasses.dataclass
class Args:
    """What to train; the original has 50,000 images in colour, width 64 and 200 epochs."""

    images: int = 2000
    width: int = 8
    batch_size: int = 128
    lr: float = 0.1
    epochs: int = 6
    seed: int = 0
    dtype: str = "float32"
    output: Path = Path("outputs/recipes/cifar_resnet")
    resume: bool = False


def main(args: Args, watch: Watch | None = None) -> training.TrainState:
    """Train, and return the last state; the best is among the saves."""
    digits, generator = ja.data.load("mnist5k"), ja.random.manual_seed(args.seed)
    dtype, labels = jnp.dtype(args.dtype), digits.train_labels[: args.images]
    model = ja.models.resnet18(in_channels=1, width=args.width, dtype=dtype, rngs=generator)
    apply, params, model_state = training.split_model(model)
    transform = [partial(ja.data.random_crop, padding=4), ja.data.random_horizontal_flip]

    def batches(epoch: int) -> Any:
        order = ja.data.data_loader_order(
            labels, args.batch_size, shuffle=True, default_generator=generator
        )
        for rows, _ in order:
            images = digits.train_images[rows]
            yield ja.data.augment(generator, images, transform), labels[rows]

    def forward(params: Any, model_state: Any, images: Any, training: bool) -> Any:
        images = ja.data.normalize(images, digits.mean, digits.std, dtype)
        return apply(params, model_state, images, training=training)

    def loss_fn(params: Any, model_state: Any, batch: Any) -> Any:
        logits, model_state = forward(params, model_state, batch[0], training=True)
        return ja.functional.cross_entropy(logits, batch[1]), (model_state, {})

    def correct(params: Any, model_state: Any, batch: Any) -> Any:
        logits, _ = forward(params, model_state, batch[0], training=False)
        return {"accuracy": jnp.argmax(logits, -1) == batch[1]}

    def evaluate(state: training.TrainState) -> dict[str, float]:
        test = ja.data.batches(digits.test_images, digits.test_labels, 250)
        return training.evaluate(correct, state.params, state.model_state, test)

    steps = -(-args.images // args.batch_size)
    cosine = ja.schedules.cosine_annealing_lr(args.lr, T_max=args.epochs)
    lr = ja.schedules.per_epoch(cosine, steps)
    tx = ja.optimizers.sgd(lr, momentum=0.9, weight_decay=5e-4)
    state, history = training.fit(
        training.train_step(training.gradients(loss_fn), tx),
        training.train_state(params, tx, model_state),
        batches,
        epochs=args.epochs,
        evaluate=evaluate,
        callbacks=[
            training.save_every(args.output, keep_best=1, metric="accuracy", mode="max"),
            *watching(watch, model),
        ],
        generator=generator,
        resume=args.output if args.resume else None,
    )
    for number, epoch in enumerate(history.epochs):
        print(f"epoch {number}: loss {epoch['loss']:.3f}, accuracy {epoch['accuracy']:.3f}")
    return state


if __name__ == "__main__":
    main(tyro.cli(Args, description=__doc__))
