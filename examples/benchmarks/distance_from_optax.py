"""How far optax and flax are from PyTorch, and how far jaxaccel is, in one table.

Every row gives the same gradients, steps or images to PyTorch, to the usual JAX way and to
jaxaccel, all in float64 but where the row says float32, and prints both distances from PyTorch:

- optimizers: the largest difference of a parameter after 50 steps, relative to the largest
  distance that a parameter of its array has travelled; the worst array counts;
- schedules: the largest difference over 200 steps, relative to the highest learning rate;
- everything else: the largest difference, relative to the largest value.

Run it with ``python examples/benchmarks/distance_from_optax.py`` (needs the extra ``torch``).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
import torch
from flax import nnx

import jaxaccel as ja

STEPS = 50
SHAPES = ((6, 4), (5,), ())
SCHEDULE_STEPS = 200
LR = 0.01


class Row(NamedTuple):
    """One line of the table."""

    config: str
    route: str
    theirs: float
    ours: float


def relative(value: Any, reference: Any) -> float:
    """Return the largest difference over the largest value of the reference."""
    value, reference = np.asarray(value, np.float64), np.asarray(reference, np.float64)
    return float(np.max(np.abs(value - reference)) / np.max(np.abs(reference)))


def trajectory_inputs(seed: int = 0) -> tuple[list[np.ndarray], list[list[np.ndarray]]]:
    """Return initial parameters, and the gradients of every step."""
    rng = np.random.default_rng(seed)
    params = [rng.normal(size=shape) for shape in SHAPES]
    return params, [[0.5 * rng.normal(size=s) for s in SHAPES] for _ in range(STEPS)]


def torch_run(
    make: Callable[[Any], Any], params: Any, grads: Any, decay: float = 1.0
) -> list[np.ndarray]:
    """Return the parameters after PyTorch's steps, in float64; ``decay`` is of the lr."""
    leaves = [torch.tensor(p, requires_grad=True) for p in params]
    optimizer = make(leaves)
    scheduler = torch.optim.lr_scheduler.ExponentialLR(optimizer, decay)
    for step in grads:
        for leaf, grad in zip(leaves, step, strict=True):
            leaf.grad = torch.tensor(grad)
        optimizer.step()
        scheduler.step()
    return [leaf.detach().numpy() for leaf in leaves]


def jax_run(tx: optax.GradientTransformation, params: Any, grads: Any, dtype: str) -> list:
    """Return the parameters after an optax transformation's steps, in ``dtype``."""
    leaves = [jnp.asarray(p, dtype) for p in params]
    stacked = [jnp.asarray(np.stack(g), dtype) for g in zip(*grads, strict=True)]

    def step(carry: Any, grad: Any) -> tuple[Any, None]:
        updates, state = tx.update(grad, carry[1], carry[0])
        return (optax.apply_updates(carry[0], updates), state), None

    (leaves, _), _ = jax.jit(lambda *args: jax.lax.scan(step, *args))(
        (leaves, tx.init(leaves)), stacked
    )
    return [np.asarray(leaf, np.float64) for leaf in leaves]


def travelled_distance(run: Any, reference: Any, params: Any) -> float:
    """Return the worst array's largest difference over its largest way."""
    return max(
        float(np.max(np.abs(a - b)) / np.max(np.abs(b - p)))
        for a, b, p in zip(run, reference, params, strict=True)
    )


def optimizer_rows() -> Iterator[Row]:
    """Compare optimizers: the namesake with the same arguments, or what a user would write."""
    decayed, o, t, j = optax.add_decayed_weights, optax, torch.optim, ja.optimizers
    configs = [
        ("SGD(momentum=.9)", "sgd", o.sgd(LR, 0.9), t.SGD, j.sgd, {"momentum": 0.9}),
        (
            "SGD(momentum=.9, nesterov=True)",
            "sgd",
            o.sgd(LR, 0.9, nesterov=True),
            t.SGD,
            j.sgd,
            {"momentum": 0.9, "nesterov": True},
        ),
        (
            "SGD(momentum=.9, weight_decay=.1)",
            "chain(add_decayed_weights, sgd)",
            o.chain(decayed(0.1), o.sgd(LR, 0.9)),
            t.SGD,
            j.sgd,
            {"momentum": 0.9, "weight_decay": 0.1},
        ),
        (
            "SGD(momentum=.9, dampening=.5)",
            "chain(scale(1 - .5), sgd)",
            o.chain(o.scale(0.5), o.sgd(LR, 0.9)),
            t.SGD,
            j.sgd,
            {"momentum": 0.9, "dampening": 0.5},
        ),
        ("Adam()", "adam", o.adam(LR), t.Adam, j.adam, {}),
        (
            "Adam(weight_decay=.1)",
            "adamw",
            o.adamw(LR, weight_decay=0.1),
            t.Adam,
            j.adam,
            {"weight_decay": 0.1},
        ),
        (
            "Adam(weight_decay=.1)",
            "chain(add_decayed_weights, adam)",
            o.chain(decayed(0.1), o.adam(LR)),
            t.Adam,
            j.adam,
            {"weight_decay": 0.1},
        ),
        ("Adam(amsgrad=True)", "amsgrad", o.amsgrad(LR), t.Adam, j.adam, {"amsgrad": True}),
        ("AdamW()", "adamw", o.adamw(LR), t.AdamW, j.adamw, {}),
        (
            "AdamW(weight_decay=.01)",
            "adamw",
            o.adamw(LR, weight_decay=0.01),
            t.AdamW,
            j.adamw,
            {"weight_decay": 0.01},
        ),
    ]
    params, grads = trajectory_inputs()
    for config, route, theirs, judge, ours, kwargs in configs:
        reference = torch_run(lambda p, c=judge, k=kwargs: c(p, lr=LR, **k), params, grads)
        runs = [jax_run(tx, params, grads, "float64") for tx in (theirs, ours(lr=LR, **kwargs))]
        yield Row(
            config, f"optax {route}", *(travelled_distance(r, reference, params) for r in runs)
        )


def namesake_rows() -> Iterator[Row]:
    """Compare the rest of torch.optim, at PyTorch's defaults and lr .01, with optax's namesakes."""
    o, t, j = optax, torch.optim, ja.optimizers
    configs = [
        ("Adamax()", "adamax", o.adamax(LR), t.Adamax, j.adamax),
        ("NAdam()", "nadam", o.nadam(LR), t.NAdam, j.nadam),
        ("RAdam()", "radam", o.radam(LR), t.RAdam, j.radam),
        ("Adagrad()", "adagrad", o.adagrad(LR), t.Adagrad, j.adagrad),
        ("Adadelta()", "adadelta", o.adadelta(LR), t.Adadelta, j.adadelta),
        ("RMSprop()", "rmsprop", o.rmsprop(LR), t.RMSprop, j.rmsprop),
        ("Rprop()", "rprop", o.rprop(LR), t.Rprop, j.rprop),
        ("ASGD()", "sgd (no namesake)", o.sgd(LR), t.ASGD, j.asgd),
    ]
    params, grads = trajectory_inputs()
    for config, route, theirs, judge, ours in configs:
        reference = torch_run(lambda p, c=judge: c(p, lr=LR), params, grads)
        runs = [jax_run(tx, params, grads, "float64") for tx in (theirs, ours(lr=LR))]
        distances = (travelled_distance(run, reference, params) for run in runs)
        yield Row(config, f"optax {route}", *distances)

    matrices = params[:1], [step[:1] for step in grads]
    for config, route, theirs, judge, ours in [
        ("Adafactor()", "adafactor", o.adafactor(LR), t.Adafactor, j.adafactor),
        ("Muon()", "contrib.muon", o.contrib.muon(LR, weight_decay=0.1), t.Muon, j.muon),
    ]:
        reference = torch_run(lambda p, c=judge: c(p, lr=LR), *matrices)
        runs = [jax_run(tx, *matrices, "float64") for tx in (theirs, ours(lr=LR, layout="torch"))]
        distances = (travelled_distance(run, reference, matrices[0]) for run in runs)
        yield Row(config, f"optax {route}", *distances)

    def decaying(step: Any) -> Any:
        return LR * 0.95 ** jnp.asarray(step, float)

    momentum = {"momentum": 0.9}
    usual = o.rmsprop(decaying, decay=0.99, eps_in_sqrt=False, **momentum)
    reference = torch_run(lambda p: t.RMSprop(p, lr=LR, **momentum), params, grads, decay=0.95)
    contenders = (usual, j.rmsprop(decaying, **momentum))
    runs = [jax_run(tx, params, grads, "float64") for tx in contenders]
    distances = (travelled_distance(run, reference, params) for run in runs)
    yield Row("RMSprop(momentum=.9) under ExponentialLR(.95)", "optax rmsprop, matched", *distances)


def float32_rows() -> Iterator[Row]:
    """Compare float32 runs (x64 off, parameters that start at 0) with PyTorch in float64."""
    _, grads = trajectory_inputs()
    params = [np.zeros(shape) for shape in SHAPES]
    for beta2 in (0.999, 0.9999):
        betas = (0.9, beta2)
        reference = torch_run(lambda p, b=betas: torch.optim.Adam(p, LR, b), params, grads)
        with jax.enable_x64(False):
            runs = [
                jax_run(tx, params, grads, "float32")
                for tx in (optax.adam(LR, *betas), ja.optimizers.adam(LR, betas))
            ]
        distances = (travelled_distance(run, reference, params) for run in runs)
        yield Row(f"Adam(betas=(0.9, {beta2:g})) in float32", "optax adam", *distances)


def torch_lrs(make: Callable[[Any], Any], lr: float = 0.1) -> np.ndarray:
    """Return the learning rates that a PyTorch scheduler sets."""
    optimizer = torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr=lr)
    scheduler, lrs = make(optimizer), []
    for _ in range(SCHEDULE_STEPS):
        lrs.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        scheduler.step()
    return np.array(lrs)


def schedule_rows() -> Iterator[Row]:
    """Compare schedules at 200 steps."""
    s, j, n = torch.optim.lr_scheduler, ja.schedules, SCHEDULE_STEPS
    configs = [
        (
            "OneCycleLR(.1, 200)",
            "cosine_onecycle_schedule(200)",
            lambda o: s.OneCycleLR(o, 0.1, n),
            optax.cosine_onecycle_schedule(n, 0.1),
            j.one_cycle_lr(0.1, n),
        ),
        (
            "OneCycleLR(.1, 200, anneal_strategy='linear')",
            "linear_onecycle_schedule(200)",
            lambda o: s.OneCycleLR(o, 0.1, n, anneal_strategy="linear"),
            optax.linear_onecycle_schedule(n, 0.1),
            j.one_cycle_lr(0.1, n, anneal_strategy="linear"),
        ),
        (
            "CosineAnnealingLR(T_max=200)",
            "cosine_decay_schedule(200)",
            lambda o: s.CosineAnnealingLR(o, n),
            optax.cosine_decay_schedule(0.1, n),
            j.cosine_annealing_lr(0.1, n),
        ),
        (
            "CosineAnnealingLR(T_max=50), past its end",
            "cosine_decay_schedule(50)",
            lambda o: s.CosineAnnealingLR(o, 50),
            optax.cosine_decay_schedule(0.1, 50),
            j.cosine_annealing_lr(0.1, 50),
        ),
        (
            "MultiStepLR([30, 30, 80])",
            "piecewise_constant_schedule({30: .1, 80: .1})",
            lambda o: s.MultiStepLR(o, [30, 30, 80]),
            optax.piecewise_constant_schedule(0.1, {30: 0.1, 80: 0.1}),
            j.multi_step_lr(0.1, [30, 30, 80]),
        ),
        (
            "CosineAnnealingWarmRestarts(20, T_mult=2)",
            "sgdr_schedule, cycles listed by hand",
            lambda o: s.CosineAnnealingWarmRestarts(o, 20, 2),
            optax.sgdr_schedule(
                [
                    {
                        "init_value": 0.1,
                        "peak_value": 0.1,
                        "warmup_steps": 0,
                        "decay_steps": 20 * 2**cycle,
                    }
                    for cycle in range(5)
                ]
            ),
            j.cosine_annealing_warm_restarts(0.1, 20, 2),
        ),
        (
            "SequentialLR([LinearLR, CosineAnnealingLR(180)], [20])",
            "warmup_cosine_decay_schedule(decay_steps=180)",
            lambda o: s.SequentialLR(
                o, [s.LinearLR(o, 0.1, 1.0, 20), s.CosineAnnealingLR(o, 180)], [20]
            ),
            optax.warmup_cosine_decay_schedule(0.01, 0.1, 20, 180),
            j.sequential_lr(
                [j.linear_lr(0.1, 0.1, 1.0, 20), j.cosine_annealing_lr(0.1, 180)], [20]
            ),
        ),
        (
            "SequentialLR([LinearLR, OneCycleLR], [20])",
            "join_schedules",
            lambda o: s.SequentialLR(o, [s.LinearLR(o), s.OneCycleLR(o, 0.1, 181)], [20]),
            optax.join_schedules(
                [
                    optax.linear_schedule(0.1 / 3, 0.1, 5),
                    optax.cosine_onecycle_schedule(180, 0.1),
                ],
                [20],
            ),
            j.sequential_lr([j.linear_lr(0.1), j.one_cycle_lr(0.1, 181)], [20]),
        ),
        (
            "ChainedScheduler([LinearLR, CosineAnnealingLR(eta_min=.01)])",
            "product of both",
            lambda o: s.ChainedScheduler(
                [s.LinearLR(o, total_iters=20), s.CosineAnnealingLR(o, n, 0.01)]
            ),
            lambda k: (
                optax.linear_schedule(1 / 3, 1.0, 20)(k)
                * optax.cosine_decay_schedule(0.1, n, alpha=0.1)(k)
            ),
            j.chained_scheduler(
                [j.linear_lr(0.1, total_iters=20), j.cosine_annealing_lr(0.1, n, 0.01)],
                total_steps=n,
            ),
        ),
    ]
    for config, route, judge, theirs, ours in configs:
        reference = torch_lrs(judge)
        curves = (jax.vmap(theirs)(jnp.arange(n)), ours(np.arange(n)))
        yield Row(config, f"optax {route}", *(relative(curve, reference) for curve in curves))


def clipping_rows() -> Iterator[Row]:
    """Compare clipped gradients of three norms."""
    for norm, max_norm in ((10.0, 1.0), (1e-1, 1e-2), (1e-3, 1e-4)):
        grad = np.array([0.6, 0.8]) * norm
        leaf = torch.zeros(2, dtype=torch.float64, requires_grad=True)
        leaf.grad = torch.tensor(grad)
        torch.nn.utils.clip_grad_norm_([leaf], max_norm)
        distances = []
        for tx in (optax.clip_by_global_norm(max_norm), ja.transforms.clip_grad_norm(max_norm)):
            clipped, _ = tx.update(jnp.asarray(grad), tx.init(jnp.asarray(grad)))
            distances.append(relative(clipped, leaf.grad))
        yield Row(
            f"clip_grad_norm_({max_norm:g}) of a norm of {norm:g}",
            "optax clip_by_global_norm",
            *distances,
        )


def half_precision_clipping_rows() -> Iterator[Row]:
    """Compare float16 gradients, clipped, whose squares do not fit into float16."""
    grad = np.array([300.0, 300.0], np.float16)
    leaf = torch.zeros(2, dtype=torch.float16, requires_grad=True)
    leaf.grad = torch.tensor(grad)
    torch.nn.utils.clip_grad_norm_([leaf], 1.0)
    distances = []
    for tx in (optax.clip_by_global_norm(1.0), ja.transforms.clip_grad_norm(1.0)):
        clipped, _ = tx.update(jnp.asarray(grad), tx.init(jnp.asarray(grad)))
        distances.append(relative(clipped, leaf.grad))
    yield Row(
        "clip_grad_norm_(1) of [300, 300] in float16", "optax clip_by_global_norm", *distances
    )


def batch_norm_output_rows() -> Iterator[Row]:
    """Compare outputs in float32, for images whose mean is far from 0, with float64."""
    x = (1000 + np.random.default_rng(0).normal(size=(512, 4, 1, 1))).astype(np.float32)
    judge = torch.nn.BatchNorm2d(4, dtype=torch.float64)(torch.tensor(x).double())
    images = jnp.asarray(x.transpose(0, 2, 3, 1))
    layers = (nnx.BatchNorm(4, use_running_average=False, rngs=nnx.Rngs(0)), ja.nn.BatchNorm2d(4))
    outputs = (np.asarray(layer(images)).transpose(0, 3, 1, 2) for layer in layers)
    yield Row(
        "BatchNorm2d of N(1000, 1) in float32",
        "nnx.BatchNorm()",
        *(relative(output, judge.detach()) for output in outputs),
    )


def batch_norm_rows() -> Iterator[Row]:
    """Compare running variances after 20 batches."""
    channels = 4
    for size, momentum in ((8, 0.9), (32, 0.9), (32, None)):
        data = np.random.default_rng(0).normal(size=(20, size, channels, 1, 1)) * 3
        judge = torch.nn.BatchNorm2d(channels, dtype=torch.float64)
        options = {} if momentum is None else {"momentum": momentum}
        theirs = nnx.BatchNorm(
            channels,
            use_running_average=False,
            rngs=nnx.Rngs(0),
            **options,
        )
        ours = ja.nn.BatchNorm2d(channels, dtype=jnp.float64)
        for batch in data:
            judge(torch.tensor(batch))
            # flax keeps running statistics in float32, whatever comes in.
            theirs(jnp.asarray(batch.transpose(0, 2, 3, 1), jnp.float32))
            ours(jnp.asarray(batch.transpose(0, 2, 3, 1)))
        reference = judge.running_var.numpy()
        yield Row(
            f"BatchNorm2d running_var, 20 batches of {size}",
            f"nnx.BatchNorm({'' if momentum is None else 'momentum=.9'})",
            relative(theirs.var[...], reference),
            relative(ours.running_var[...], reference),
        )


def layer_norm_rows() -> Iterator[Row]:
    """Compare LayerNorm at its default eps, on activations of size 0.01."""
    x = np.random.default_rng(0).normal(size=(64, 32)) * 0.01
    reference = torch.nn.LayerNorm(32, dtype=torch.float64)(torch.tensor(x)).detach().numpy()
    theirs = nnx.LayerNorm(32, param_dtype=jnp.float64, rngs=nnx.Rngs(0))(jnp.asarray(x))
    ours = ja.nn.LayerNorm(32, dtype=jnp.float64)(jnp.asarray(x))
    yield Row(
        "LayerNorm of values near .01",
        "nnx.LayerNorm()",
        relative(theirs, reference),
        relative(ours, reference),
    )


def table() -> str:
    """Return all rows as a Markdown table."""
    sections = (
        optimizer_rows,
        namesake_rows,
        float32_rows,
        schedule_rows,
        clipping_rows,
        half_precision_clipping_rows,
        batch_norm_rows,
        batch_norm_output_rows,
        layer_norm_rows,
    )
    lines = [
        "| PyTorch | usual JAX way | its distance | jaxaccel's distance |",
        "|---|---|--:|--:|",
    ]
    with jax.enable_x64(True):
        for section in sections:
            lines += [
                f"| `{row.config}` | {row.route} | {row.theirs:.1e} | {row.ours:.1e} |"
                for row in section()
            ]
    return "\n".join(lines)


if __name__ == "__main__":
    print(table())
