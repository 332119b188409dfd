"""torchvision's reference for classification: warm-up, mixup, smooth labels, averaged weights.

    python examples/recipes/torchvision_reference.py
    python examples/recipes/torchvision_reference.py --output outputs/reference --resume

Ported from github.com/pytorch/vision, references/classification/train.py at 017e9b9, on digits and
narrower; the same in PyTorch is beside it in torchvision_reference_torch.py.
"""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import jax.numpy as jnp
import tyro
from _watch import Watch, watching

import jaxaccel as ja
from jaxaccel import training


@dataclasses.dataclass
class Args:
    """What to train; the names are the original's."""

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
    output: Path = Path("outputs/recipes/torchvision_reference")
    resume: bool = False


def main(args: Args, watch: Watch | None = None) -> training.AveragedState:
    """Train, and return the last state with the averaged weights."""
    digits, generator = ja.data.load("mnist5k"), ja.random.manual_seed(args.seed)
    dtype, labels = jnp.dtype(args.dtype), digits.train_labels[: args.images]
    model = ja.models.resnet18(in_channels=1, width=args.width, dtype=dtype, rngs=generator)
    apply, params, model_state = training.split_model(model)
    steps = -(-args.images // args.batch_size)

    def batches(epoch: int) -> Any:
        order = ja.data.data_loader_order(
            labels, args.batch_size, shuffle=True, default_generator=generator
        )
        for rows, _ in order:
            flip = [ja.data.random_horizontal_flip]
            images = ja.data.augment(generator, digits.train_images[rows], flip)
            images = ja.data.normalize(images, digits.mean, digits.std, dtype)
            alpha, targets = args.mixup_alpha, labels[rows]
            yield ja.data.mixup(generator, images, targets, alpha=alpha, num_classes=10)

    def loss_fn(params: Any, model_state: Any, batch: Any) -> Any:
        logits, model_state = apply(params, model_state, batch[0], training=True)
        smoothing = args.label_smoothing
        loss = ja.functional.cross_entropy(logits, batch[1], label_smoothing=smoothing)
        return loss, (model_state, {})

    def accuracy(params: Any, model_state: Any, batch: Any) -> Any:
        images = ja.data.normalize(batch[0], digits.mean, digits.std, dtype)
        logits, _ = apply(params, model_state, images, training=False)
        return {"acc1": jnp.argmax(logits, -1) == batch[1]}

    def evaluate(state: training.AveragedState) -> dict[str, float]:
        test = ja.data.batches(digits.test_images, digits.test_labels, 250)
        return training.evaluate(accuracy, *state.average.module, test)

    warmup = ja.schedules.linear_lr(args.lr, args.lr_warmup_decay, 1.0, args.lr_warmup_epochs)
    cosine = ja.schedules.cosine_annealing_lr(args.lr, args.epochs - args.lr_warmup_epochs)
    lr = ja.schedules.sequential_lr([warmup, cosine], [args.lr_warmup_epochs])
    groups = ja.optimizers.set_weight_decay(model, args.weight_decay, args.norm_weight_decay)
    tx = ja.optimizers.param_groups(
        ja.optimizers.sgd,
        groups,
        lr=ja.schedules.per_epoch(lr, steps),
        momentum=args.momentum,
    )
    adjust = args.batch_size * args.model_ema_steps / args.epochs
    alpha = min(1.0, (1.0 - args.model_ema_decay) * adjust)
    average = ja.transforms.exponential_moving_average(1.0 - alpha)
    step = training.average_weights(
        training.train_step(training.gradients(loss_fn), tx),
        average,
        use_buffers=True,
        when=lambda k: k % steps % args.model_ema_steps == 0,
        restart=lambda k: k < args.lr_warmup_epochs * steps,
    )
    state, history = training.fit(
        step,
        training.averaged_state(training.train_state(params, tx, model_state), average),
        batches,
        epochs=args.epochs,
        evaluate=evaluate,
        callbacks=[
            training.save_every(args.output),
            *watching(watch, model, lambda state: state.train_state[1:3]),
            *watching(watch, model, lambda state: state.average.module),
        ],
        generator=generator,
        resume=args.output if args.resume else None,
    )
    for number, epoch in enumerate(history.epochs):
        print(f"epoch {number}: loss {epoch['loss']:.3f}, acc1 of the average {epoch['acc1']:.3f}")
    return state


if __name__ == "__main__":
    main(tyro.cli(Args, description=__doc__))
