"""Whole training steps of one model, as a user of each library writes them: AdamW, clipping at 1.

A ``Task`` is a model in three spellings and the shape of its batch. ``jax_step`` makes a pure step
of ours or of flax and optax, ``torch_step`` one of PyTorch's; ``abstract`` gives shapes instead of
arrays, for compilers of machines that are not here.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Literal, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
from _peers import GPT, MLP, LSTMClassifier, ResNet, ViT
from flax import nnx

import jaxaccel as ja
from jaxaccel._hlo import Computation, read

LR, WEIGHT_DECAY, MAX_NORM = 1e-3, 1e-2, 1.0
Side = Literal["jaxaccel", "flax + optax"]
OURS, PEER = "jaxaccel", "flax + optax"


class Task(NamedTuple):
    """A model in three spellings, and what it learns from."""

    ours: Callable[[], nnx.Module]
    flax: Callable[[Any], nnx.Module]
    """For a dtype to compute in."""
    torch: Callable[[], Any]
    inputs: tuple[int, ...]
    """Shape, of images (N, H, W, C), tokens (N, L) or vectors."""
    classes: int
    """Of the targets: one a row, or one a token."""
    of_tokens: bool = False


class Step(NamedTuple):
    """``run(state, batch) -> (state, metrics)``."""

    run: Callable[[Any, Any], Any]
    state: Any
    is_compiled: bool
    """Whether ``run`` compiles itself; else it is to be jitted with the state donated."""


def resnet10(width: int, batch: int) -> Task:
    """Return a ResNet-10 on images of 32x32."""

    def torch_model() -> Any:
        import torch_ref

        return torch_ref.models.resnet10(width=width)

    return Task(
        lambda: ja.models.resnet10(width=width, rngs=nnx.Rngs(0)),
        lambda dtype: ResNet((1, 1, 1, 1), width, 10, dtype, nnx.Rngs(0)),
        torch_model,
        (batch, 32, 32, 3),
        10,
    )


def resnet50(batch: int, image: int = 224) -> Task:
    """Return ResNet-50."""

    def torch_model() -> Any:
        import torch_ref

        return torch_ref.models.resnet50()

    options = {"bottleneck": True, "small_images": False}
    return Task(
        lambda: ja.models.resnet50(rngs=nnx.Rngs(0)),
        lambda dtype: ResNet((3, 4, 6, 3), 64, 1000, dtype, nnx.Rngs(0), **options),
        torch_model,
        (batch, image, image, 3),
        1000,
    )


def gpt(width: int, depth: int, batch: int, length: int, vocabulary: int, heads: int) -> Task:
    """Return a GPT."""
    config = ja.models.GPTConfig(length, vocabulary, depth, heads, width)

    def torch_model() -> Any:
        import torch_ref

        return torch_ref.models.gpt(config)

    return Task(
        lambda: ja.models.gpt(config, rngs=nnx.Rngs(0)),
        lambda dtype: GPT(config, dtype, nnx.Rngs(0)),
        torch_model,
        (batch, length),
        vocabulary,
        of_tokens=True,
    )


def vit(width: int, depth: int, heads: int, image: int, patch: int, batch: int) -> Task:
    """Return a vision transformer."""
    sizes = (image, patch, width, depth, heads)

    def torch_model() -> Any:
        import torch_ref

        return torch_ref.models.vit_tiny(10, 3, *sizes)

    return Task(
        lambda: ja.models.vit_tiny(10, 3, *sizes, rngs=nnx.Rngs(0)),
        lambda dtype: ViT(*sizes, 10, dtype, nnx.Rngs(0)),
        torch_model,
        (batch, image, image, 3),
        10,
    )


def lstm(inputs: int, hidden: int, batch: int, length: int) -> Task:
    """Return an LSTM that classifies sequences."""

    def torch_model() -> Any:
        import torch_ref

        return torch_ref.models.lstm_classifier(inputs, hidden)

    return Task(
        lambda: ja.models.lstm_classifier(inputs, hidden, rngs=nnx.Rngs(0)),
        lambda dtype: LSTMClassifier(inputs, hidden, 10, dtype, nnx.Rngs(0)),
        torch_model,
        (batch, length, inputs),
        10,
    )


def mlp(features: tuple[int, ...], batch: int) -> Task:
    """Return a multilayer perceptron."""
    inputs, *hidden, outputs = features

    def torch_model() -> Any:
        import torch_ref

        return torch_ref.models.mlp(inputs, hidden, outputs)

    return Task(
        lambda: ja.models.mlp(inputs, hidden, outputs, rngs=nnx.Rngs(0)),
        lambda dtype: MLP(features, dtype, nnx.Rngs(0)),
        torch_model,
        (batch, inputs),
        outputs,
    )


# ------------------------------------------------------------------------------------ the steps


def batch_of(task: Task) -> tuple[np.ndarray, np.ndarray]:
    """Return inputs and targets."""
    rng = np.random.default_rng(0)
    if task.of_tokens:
        inputs, targets = rng.integers(0, task.classes, (2, *task.inputs), np.int32)
        return inputs, targets
    inputs = rng.standard_normal(task.inputs, np.float32)
    return inputs, rng.integers(0, task.classes, task.inputs[:1], np.int32)


def jax_step(
    side: Side,
    task: Task,
    dtype: Any = jnp.float32,
    is_abstract: bool = False,
) -> Step:
    """Return a step and the state that it starts from, or the shapes of that."""
    make = {OURS: our_step, PEER: flax_step}[side]

    def build() -> nnx.Module:
        return task.ours() if side == OURS else task.flax(dtype)

    model = nnx.eval_shape(build) if is_abstract else build()
    run, start, parts = make(model, dtype)
    state = jax.eval_shape(start, *parts) if is_abstract else start(*parts)
    return Step(run, state, is_compiled=side == OURS)


def our_step(model: nnx.Module, dtype: Any) -> tuple[Any, Any, Any]:
    """Return a step, the function that makes its state, and that function's arguments."""
    apply, params, model_state = ja.training.split_model(model)
    if dtype != jnp.float32:
        apply = ja.precision.cast(apply, ja.precision.Policy(compute_dtype=dtype))

    def loss_fn(params: Any, model_state: Any, batch: Any) -> Any:
        inputs, targets = batch
        logits, model_state = apply(params, model_state, inputs, training=True)
        return ja.functional.cross_entropy(logits, targets), (model_state, {})

    tx = ja.optimizers.adamw(LR, weight_decay=WEIGHT_DECAY)
    step = ja.training.train_step(ja.training.gradients(loss_fn), tx, max_grad_norm=MAX_NORM)

    def start(params: Any, model_state: Any) -> Any:
        return ja.training.train_state(params, tx, model_state)

    return step, start, (params, model_state)


def flax_step(model: nnx.Module, dtype: Any) -> tuple[Any, Any, Any]:
    """Return the same for flax and optax: a pure function, which is flax's fastest form."""
    del dtype  # the layers know it
    graph, params, model_state = nnx.split(model, nnx.Param, ...)
    tx = optax.chain(
        optax.clip_by_global_norm(MAX_NORM), optax.adamw(LR, weight_decay=WEIGHT_DECAY)
    )

    def loss_fn(params: Any, model_state: Any, batch: Any) -> Any:
        inputs, targets = batch
        called = nnx.merge(graph, params, model_state, copy=True)
        logits = called(inputs).astype(jnp.float32)
        losses = optax.softmax_cross_entropy_with_integer_labels(logits, targets)
        return losses.mean(), nnx.split(called, nnx.Param, ...)[2]

    def step(state: Any, batch: Any) -> Any:
        params, model_state, opt_state = state
        value_and_grad = jax.value_and_grad(loss_fn, has_aux=True)
        (loss, model_state), grads = value_and_grad(params, model_state, batch)
        updates, opt_state = tx.update(grads, opt_state, params)
        metrics = {"loss": loss, "grad_norm": optax.global_norm(grads)}
        return (optax.apply_updates(params, updates), model_state, opt_state), metrics

    def start(params: Any, model_state: Any) -> Any:
        return params, model_state, tx.init(params)

    return step, start, (params, model_state)


def abstract(tree: Any, sharding: Any = None) -> Any:
    """Return the shapes of a tree of arrays or shapes, on a device."""
    return jax.tree.map(
        lambda leaf: jax.ShapeDtypeStruct(leaf.shape, leaf.dtype, sharding=sharding), tree
    )


def lowered_step(side: Side, task: Task, dtype: Any, device: Any) -> jax.stages.Lowered:
    """Return the step, to be compiled for a device that need not be there."""
    run, state, _ = jax_step(side, task, dtype, is_abstract=True)
    place = jax.sharding.SingleDeviceSharding(device)
    arguments = abstract((state, batch_of(task)), place)
    return jax.jit(run, donate_argnums=0).lower(*arguments)


def torch_step(task: Task, *, is_compiled: bool = False, channels_last: bool = False) -> Any:
    """Return one step of PyTorch's as a call: fused AdamW, gradients clipped."""
    import torch

    inputs, targets = batch_of(task)
    if len(task.inputs) == 4:
        inputs = np.ascontiguousarray(np.transpose(inputs, (0, 3, 1, 2)))
    inputs, targets = torch.from_numpy(inputs), torch.from_numpy(targets).long()
    torch.manual_seed(0)
    torch.set_flush_denormal(True)  # as XLA does: an LSTM's squared gradients are subnormal numbers
    model = task.torch()
    if channels_last:
        model, inputs = (x.to(memory_format=torch.channels_last) for x in (model, inputs))
    optimizer = torch.optim.AdamW(model.parameters(), lr=LR, weight_decay=WEIGHT_DECAY, fused=True)
    called = torch.compile(model) if is_compiled else model

    def once() -> Any:
        logits = called(inputs.long() if task.of_tokens else inputs)
        loss = torch.nn.functional.cross_entropy(logits.flatten(0, -2), targets.flatten())
        optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), MAX_NORM)
        optimizer.step()
        return loss.detach()

    return once


# ------------------------------------------------------------------------- the compilers' figures


def bytes_moved(compiled: Any) -> float:
    """Return the bytes that a program accesses when it runs as it usually does.

    The compilers count the costliest branch of a choice. Here the choice is batch normalization's
    between one pass and two, and the two are for a mean that is far off: they do not count.
    """
    program = read(compiled.as_text())
    rest = 0
    for computation in program.computations.values():
        for choice in computation.operations.values():
            if choice.kind == "conditional":
                costs = [_bytes_in(branch) for branch in program.at(choice.calls(*BRANCHES))]
                rest += max(costs) - min(costs)
    return bytes_accessed(compiled) - rest


def bytes_accessed(compiled: Any) -> float:
    """Return the bytes that XLA counts in a compiled program, its choices at their costliest.

    By one count for all machines: a GPU's compiler has none of its own, and a TPU's adds what its
    tiles are padded with, for which the branches of a choice could not be told apart.
    """
    from jaxlib import _jax

    (module,) = compiled.runtime_executable().hlo_modules()
    client = jax.devices("cpu")[0].client
    return _jax.hlo_module_cost_analysis(client, module)["bytes accessed"]


BRANCHES = ("branch_computations", "true_computation", "false_computation")
FREE = ("parameter", "tuple", "get-tuple-element", "bitcast", "constant", "iota")


def _bytes_in(computation: Computation) -> int:
    """Return the bytes that the operations of a computation read and write, without padding."""
    return sum(
        operation.bytes + sum(each.bytes for each in computation.operands(operation))
        for operation in computation.operations.values()
        if operation.kind not in FREE
    )
