"""Every optimizer in every sharding strategy and notation on 8 devices, against one device.

    python examples/benchmarks/sharded_optimizers.py
    python examples/benchmarks/sharded_optimizers.py --optimizers adamw lbfgs --json found.json

Devices are simulated on the CPU, numbers are float64. A network with synchronized BatchNorm,
dropout (each row brings its key, so that a mask does not ask where its row lives), a tied, a frozen
and a complex weight, checkpointed layers and shapes that eight devices do not divide takes three
steps: accumulated in two parts, clipped to a norm, with a gradient scaler that skips the second
step, and an average of the weights behind it. A cell is the largest error of anything that a run
leaves behind, metrics too, as a share of its array's largest number; above 1e-12 the script fails.
All of it takes ten minutes of a CPU core, which are compiling.
"""

from __future__ import annotations

import dataclasses
import os
import time
from collections.abc import Callable, Sequence
from typing import Any

import _timing as timing
import jax
import jax.numpy as jnp
import numpy as np
import tyro

import jaxaccel as ja
from jaxaccel import _math

ALLOWED = 1e-12
STEPS, ROWS, INPUTS, WIDTH = 3, 32, 6, 16
FLAGS = (
    "--xla_backend_optimization_level=0 --xla_cpu_use_fusion_emitters=false"
    " --xla_cpu_parallel_codegen_split_count=1"
)
"""It is mostly compiling."""

OPTIMIZERS: dict[str, Callable[[], Any]] = {
    "sgd": lambda: ja.optimizers.sgd(0.05, momentum=0.9, nesterov=True, weight_decay=0.1),
    "asgd": lambda: ja.optimizers.asgd(0.05, t0=1.0, weight_decay=0.1),
    "adam": lambda: ja.optimizers.adam(0.01, amsgrad=True, weight_decay=0.1),
    "adamw": lambda: ja.optimizers.adamw(0.01),
    "adamax": lambda: ja.optimizers.adamax(0.01),
    "nadam": lambda: ja.optimizers.nadam(0.01),
    "radam": lambda: ja.optimizers.radam(0.01, betas=(0.3, 0.5)),
    "adagrad": lambda: ja.optimizers.adagrad(0.01, lr_decay=0.1),
    "adadelta": lambda: ja.optimizers.adadelta(0.5),
    "rmsprop": lambda: ja.optimizers.rmsprop(0.01, momentum=0.9, centered=True),
    "rprop": lambda: ja.optimizers.rprop(0.01),
    "adafactor": lambda: ja.optimizers.adafactor(0.01),
    "muon": lambda: ja.optimizers.muon(0.01),
    "lbfgs": lambda: ja.optimizers.lbfgs(0.1, max_iter=2, history_size=3),
    "diagonal_newton": lambda: ja.optimizers.diagonal_newton(0.1, damping=1.0, beta=0.5),
    "sparse_adam": lambda: ja.optimizers.sparse_adam(0.01),
    "lookahead": lambda: ja.optimizers.lookahead(ja.optimizers.adamw(0.01), k=2),
    "param_groups": lambda: ja.optimizers.param_groups(
        ja.optimizers.adamw, [{"params": "tied", "lr": 0.003}], lr=0.01
    ),
    "count_per_parameter": lambda: ja.optimizers.count_per_parameter(ja.optimizers.adam(0.01)),
    "master_weights": lambda: ja.precision.master_weights(ja.optimizers.adamw(0.01)),
}
REAL_ONLY = {"adafactor", "muon", "diagonal_newton"}
"""They refuse complex parameters, as PyTorch's do."""
MATRICES_ONLY = {"muon"}

MODES = {
    "NO_SHARD": ("shard_map", "jit", "pmap"),
    "SHARD_GRAD_OP": ("shard_map", "jit"),
    "FULL_SHARD": ("shard_map", "jit"),
    "HYBRID_SHARD": ("shard_map", "jit"),
}
"""The notations of each strategy; pmap's is ``data_parallel``."""
OUTSIDE = {("SHARD_GRAD_OP", "jit"), ("FULL_SHARD", "shard_map"), ("HYBRID_SHARD", "jit")}
"""Where parts are accumulated around the wrapper, and not inside of it."""


@dataclasses.dataclass
class Args(timing.Output):
    """What to compare."""

    optimizers: tuple[str, ...] = tuple(OPTIMIZERS)
    """Their names."""


def main(args: Args) -> None:
    """Print a table; fail if a number of it is above what is allowed."""
    os.environ.setdefault("XLA_FLAGS", FLAGS)
    jax.config.update("jax_num_cpu_devices", 8)
    jax.config.update("jax_enable_x64", True)
    # Muon rounds to bfloat16 inside, where the order of a sum shows in the third digit.
    assert _math.newton_schulz.__kwdefaults__ is not None
    _math.newton_schulz.__kwdefaults__["dtype"] = float
    names, strategies = args.optimizers, tuple(MODES)
    if args.smoke:
        names, strategies = ("adamw",), ("FULL_SHARD",)
    rows, wrong = [], []
    for name in names:
        start = time.perf_counter()
        for strategy, errors in errors_of(name, strategies).items():
            rows.append({"optimizer": name, "strategy": strategy, **errors})
            wrong += [f"{rows[-1]}" for error in errors.values() if not error <= ALLOWED]
        print(f"{name}: {time.perf_counter() - start:.0f} s", flush=True)
    timing.report(args, [timing.Table("largest error of 8 devices against one", rows)])
    if wrong:
        raise SystemExit(f"above {ALLOWED}:\n" + "\n".join(wrong))


def errors_of(name: str, strategies: Sequence[str]) -> dict[str, dict[str, float]]:
    """Return the errors of an optimizer, by strategy and notation."""
    is_sparse = name == "sparse_adam"
    run = table_run if is_sparse else network_run
    expected = run(name, None, None)
    # Rows of a table are moved where they live: there is no gradient function to be written twice.
    return {
        strategy: {
            mode: error_of(run(name, strategy, mode), expected)
            for mode in MODES[strategy]
            if mode == "jit" or not is_sparse
        }
        for strategy in strategies
    }


def error_of(found: Any, expected: Any) -> float:
    """Return the largest error, as a share of its array's largest number."""
    pairs = zip(jax.tree.leaves(found), jax.tree.leaves(expected), strict=True)
    errors = [0.0]
    for a, b in pairs:
        a, b = np.asarray(a), np.asarray(b)
        assert a.shape == b.shape, f"{a.shape} is not {b.shape}"
        if a.size:
            error = np.max(np.abs(a - b))
            errors.append(float(error / np.max(np.abs(b))) if error else 0.0)
    return float(np.max(errors))  # NaN, if there is one


# ------------------------------------------------------------------------------------ the network


def parameters(name: str) -> Any:
    """Return initial parameters."""
    rng = np.random.default_rng(0)

    def draw(*shape: int) -> jax.Array:
        return jnp.asarray(rng.normal(size=shape) * 0.3)

    params: dict[str, Any] = {
        "first": draw(INPUTS, WIDTH),
        "layers": [draw(WIDTH, WIDTH) for _ in range(2)],
        "tied": draw(WIDTH, WIDTH),
        "frozen": draw(WIDTH, WIDTH),
        "head": draw(WIDTH, 3),
    }
    if name not in REAL_ONLY:
        params["head"] = jax.lax.complex(params["head"], draw(WIDTH, 3))
    if name not in MATRICES_ONLY:
        params |= {"weight": 1 + draw(WIDTH), "bias": draw(WIDTH), "odd": draw(7), "scale": draw()}
    return params


def batches() -> list[Any]:
    """Return batches; the second has a target that is not finite."""
    rng, found = np.random.default_rng(1), []
    for step in range(STEPS):
        target = rng.normal(size=(ROWS, 3))
        target[0, 0] = np.inf if step == 1 else target[0, 0]
        found.append(
            {
                "x": jnp.asarray(rng.normal(size=(ROWS, INPUTS))),
                "target": jnp.asarray(target),
                "key": jax.random.split(jax.random.key(step), ROWS),
            }
        )
    return found


def loss_of(axis_name: Any) -> Callable[..., Any]:
    """Return the loss function, whose statistics are those of all devices."""

    @jax.checkpoint
    def layer(x: jax.Array, weight: jax.Array) -> jax.Array:
        return x + jnp.tanh(x @ weight)

    def loss_fn(params: Any, model_state: Any, batch: Any) -> Any:
        normalized = ja.functional.batch_norm(
            batch["x"] @ params["first"],
            model_state["mean"],
            model_state["var"],
            params.get("weight"),
            params.get("bias"),
            training=True,
            axis_name=axis_name,
        )
        x = normalized.output
        for weight in params["layers"]:
            x = layer(x, weight)
        kept = jax.vmap(lambda key: jax.random.bernoulli(key, 0.8, (WIDTH,)))(batch["key"])
        x = jnp.tanh((x * kept) @ params["tied"]) @ params["frozen"]
        x = jnp.tanh(x @ params["tied"].T).astype(params["head"].dtype) @ params["head"]
        loss = jnp.mean((x.real - batch["target"]) ** 2 + x.imag**2)
        if "odd" in params:
            loss += jnp.sum(params["odd"] ** 2) * params["scale"]
        state = {"mean": normalized.running_mean, "var": normalized.running_var}
        return loss, (state, {"size": jnp.mean(jnp.abs(x))})

    return loss_fn


def network_run(name: str, strategy: str | None, mode: str | None) -> Any:
    """Return what steps leave behind, on one device or in a strategy and notation."""
    params, model_state = parameters(name), {"mean": jnp.zeros(WIDTH), "var": jnp.ones(WIDTH)}
    mesh, axes = mesh_of(strategy)
    synchronized = axes if mode in ("shard_map", "pmap") else None
    gradient_fn = ja.training.gradients(
        loss_of(synchronized), trainable=lambda path, _: path != "frozen"
    )
    is_outside = (strategy, mode) in OUTSIDE
    gradient_fn = gradient_fn if is_outside else ja.training.accumulate(gradient_fn, 2)
    placement = None
    if mode == "pmap":
        gradient_fn = ja.parallel.data_parallel(gradient_fn, mesh, mode="pmap")
    elif mode is not None:
        gradient_fn, placement = wrapped(gradient_fn, mesh, strategy, mode)
    gradient_fn = ja.training.accumulate(gradient_fn, 2) if is_outside else gradient_fn
    tx = OPTIMIZERS[name]()
    scaler = ja.precision.grad_scaler(init_scale=8.0, growth_interval=1)
    state = ja.training.train_state(
        params, tx, model_state, mesh=mesh, placement=placement, scaler=scaler
    )
    average = ja.transforms.exponential_moving_average(0.9)
    averaged, metrics = average.init(state.params), []
    step = ja.training.train_step(gradient_fn, tx, max_grad_norm=0.5, scaler=scaler)
    extra = {}
    if name == "diagonal_newton":
        extra["hessian_diagonal"] = jax.tree.map(lambda p: jnp.abs(p) + 0.5, state.params)
        extra["hessian_diagonal"]["frozen"] = None
    for batch in batches():
        batch = batch if mesh is None else ja.parallel.shard_batch(batch, mesh, axis=axes)
        state, measured = step(state, batch, **extra)
        averaged = average.update(averaged, state.params)
        metrics.append(jax.tree.map(jnp.nan_to_num, measured))  # of a step that is skipped
    return state, averaged, metrics


def mesh_of(strategy: str | None) -> tuple[Any, Any]:
    """Return a strategy's mesh, and the axes that rows are split over."""
    if strategy is None:
        return None, None
    if strategy == "HYBRID_SHARD":
        return ja.parallel.make_mesh({"replica": 2, "data": 4}), ("replica", "data")
    return ja.parallel.make_mesh(), "data"


def wrapped(gradient_fn: Any, mesh: Any, strategy: Any, mode: Any) -> Any:
    """Return the gradient function in shares and the placement, of small arrays too."""
    replica_axis = "replica" if strategy == "HYBRID_SHARD" else None
    return ja.parallel.fully_shard(
        gradient_fn,
        mesh,
        strategy=strategy,
        mode=mode,
        replica_axis=replica_axis,
        param_persistence_threshold=0,
    )


# -------------------------------------------------------------------------------------- the table


def table_run(name: str, strategy: str | None, mode: str | None) -> Any:
    """Return a table of vectors and its moments, a few rows of which move in each step."""
    tx, params = OPTIMIZERS[name](), {"table": parameters("")["first"].reshape(-1, 2)}
    mesh, placement = mesh_of(strategy)[0], None
    if strategy is not None:
        plain = ja.training.gradients(loss_of(None))
        _, placement = wrapped(plain, mesh, strategy, mode)
    state = ja.training.train_state(params, tx, mesh=mesh, placement=placement)

    @jax.jit
    def step(state: Any, ids: jax.Array) -> Any:
        rows = jax.grad(lambda rows: jnp.sum(jnp.sin(rows)))(state.params["table"][ids])
        grads = {"table": ja.optimizers.SparseRows(ids, rows)}
        updates, opt_state = tx.update(grads, state.opt_state, state.params)
        moved = ja.optimizers.apply_sparse_updates(state.params, updates)
        return state._replace(params=moved, opt_state=opt_state)

    for seed in range(STEPS):
        ids = np.random.default_rng(seed).integers(0, len(params["table"]), 12)
        ids = jnp.asarray(ids, jnp.int32)
        state = step(state, ids if mesh is None else ja.parallel.replicate(ids, mesh))
    return state


if __name__ == "__main__":
    main(tyro.cli(Args))
