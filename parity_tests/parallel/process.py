"""What one of several processes does in ``test_processes``: run as ``python process.py``.

It trains, evaluates and hands in what is refused, and writes what came of it as JSON.
"""

import json
import sys

PROCESSES, DEVICES = 2, 2
ROWS, FEATURES, STEPS = 16, 5, 3
LR, WEIGHT_DECAY = 1e-2, 0.1
RUNS = {
    "jit": ("jit", ("dp", "acc"), False),
    "shard_map": ("shard_map", ("acc", "dp"), False),
    "explicit axes": ("shard_map", ("dp", "acc"), True),
}


def problem():
    """Return parameters, and a batch for each step."""
    import numpy as np

    rng = np.random.default_rng(0)
    batches = [
        {"x": rng.normal(size=(ROWS, FEATURES)), "y": rng.normal(size=ROWS), "scale": 1.25}
        for _ in range(STEPS)
    ]
    return {"w": rng.normal(size=FEATURES)}, batches


def loss_fn(params, model_state, batch, key=None):
    import jax.numpy as jnp

    errors = jnp.tanh(batch["x"] @ params["w"]) * batch["scale"] - batch["y"]
    return jnp.mean(errors**2), (model_state, {"largest": jnp.mean(jnp.abs(errors))})


def metric_fn(params, model_state, batch):
    return {"prediction": batch["x"] @ params["w"]}


def own(batch, rank, processes=PROCESSES):
    """Return a process's rows of a batch, or of an array."""
    rows = slice(rank * ROWS // processes, (rank + 1) * ROWS // processes)
    if isinstance(batch, dict):
        return {name: leaf if name == "scale" else leaf[rows] for name, leaf in batch.items()}
    return batch[rows]


def composed(ja, mode, order, mesh):
    gradient_fn = ja.training.gradients(loss_fn)
    for wrapper in order:
        if wrapper == "dp":
            gradient_fn = ja.parallel.data_parallel(gradient_fn, mesh, mode=mode)
        else:
            gradient_fn = ja.training.accumulate(gradient_fn, 2, unroll=True)
    return gradient_fn


def trained(ja, rank, meshes):
    """Return the parameters of each run, and what ``fit`` and ``evaluate`` say of the first."""
    import jax

    params, batches = problem()
    tx, found = ja.optimizers.adamw(lr=LR, weight_decay=WEIGHT_DECAY), {}
    for name, (mode, order, is_explicit) in RUNS.items():
        mesh = meshes["explicit" if is_explicit else "data"]
        step = ja.training.train_step(composed(ja, mode, order, mesh), tx, max_grad_norm=0.3)
        state = ja.training.train_state(params, tx, key=jax.random.key(0), mesh=mesh)

        def sharded(epoch, mesh=mesh):
            return (ja.parallel.shard_batch(own(batch, rank), mesh) for batch in batches)

        # The last batch is a short one, and the last process has no row of it.
        rest = {"x": batches[1]["x"][: 3 if rank == 0 else 0]}
        tests = [{"x": own(batches[0]["x"], rank)}, rest]

        def evaluate(state, mesh=mesh, tests=tests):
            return ja.training.evaluate(metric_fn, state.params, (), tests, mesh=mesh)

        state, history = ja.training.fit(step, state, sharded, evaluate=evaluate, progress=False)
        found[name] = {
            "params": state.params["w"].tolist(),
            "loss": history.steps["loss"].tolist(),
            "prediction": history.epochs[0]["prediction"],
        }
    return found


def refused(ja, rank, meshes):
    """Return what is said to each that is handed in wrongly; all processes say the same."""
    import jax
    import numpy as np

    mesh, (params, (batch, *_)) = meshes["data"], problem()
    x, tx = batch["x"], ja.optimizers.sgd()
    gradient_fn = ja.training.gradients(loss_fn)
    parallel = ja.parallel.data_parallel(gradient_fn, mesh)
    state = ja.training.train_state(params, tx, mesh=mesh)
    step = ja.training.train_step(parallel, tx)
    shard = ja.parallel.shard_batch
    theirs = [device for device in jax.devices() if device.process_index != rank]
    calls = {
        "the whole batch": lambda: shard(batch, mesh),
        "different rows as the whole": lambda: shard(own(batch, rank), mesh, whole=True),
        "different numbers of rows": lambda: shard(x[: 8 - 2 * rank] + rank, mesh),
        "a process without rows": lambda: shard(x[: 8 - 8 * rank], mesh),
        "rows that do not divide": lambda: shard(x[:7] + rank, mesh),
        "other leaves without rows": lambda: shard({**own(batch, rank), "scale": rank}, mesh),
        "other dtypes": lambda: shard(x.astype(["f4", "f8"][rank]), mesh),
        "rows of two that hold the same": lambda: shard(own(x, rank), meshes["model"]),
        "a mesh of others": lambda: shard(x, ja.parallel.make_mesh(devices=theirs)),
        "other parameters": lambda: ja.parallel.replicate({"w": params["w"] + rank}, mesh),
        "other trees": lambda: ja.parallel.replicate({f"w{rank}": params["w"]}, mesh),
        "local rows to a step": lambda: step(state, own(batch, rank)),
        "a local state to a step": lambda: step(ja.training.train_state(params, tx), batch),
        "local rows to gradients": lambda: parallel(state.params, (), own(batch, rank)),
        "local rows to evaluate": lambda: ja.training.evaluate(
            metric_fn, state.params, (), [{"x": own(x, rank)}]
        ),
        "rows sent ahead": lambda: next(
            ja.data.prefetch_to_device(
                [own(x, rank)],
                sharding=jax.sharding.NamedSharding(mesh, jax.sharding.PartitionSpec("data")),
            )
        ),
        "pmap": lambda: ja.parallel.data_parallel(gradient_fn, mesh, mode="pmap"),
    }
    texts = {}
    for name, call in calls.items():
        try:
            call()
            texts[name] = "nothing was raised"
        except ValueError as error:
            texts[name] = str(error)
    same = np.ones((4, 2))
    shapes = {
        "own": shard(own(x, rank), mesh).shape,
        "whole": shard(x, mesh, whole=True).shape,
        "the same own rows": shard(same, mesh, whole=False).shape,
        "data inside a process": shard(x, meshes["model"]).shape,
    }
    keys = shard({"x": own(x, rank), "key": jax.random.key(3)}, mesh)["key"]
    return {"texts": texts, "shapes": shapes, "key": jax.random.key_data(keys).tolist()}


def by_ddp(rank, store):
    """Return the same of PyTorch's DistributedDataParallel, with the losses of whole batches."""
    import torch

    torch.distributed.init_process_group(
        "gloo", init_method=f"file://{store}", rank=rank, world_size=PROCESSES
    )
    params, batches = problem()
    model = torch.nn.Linear(FEATURES, 1, bias=False, dtype=torch.float64)
    with torch.no_grad():
        model.weight.copy_(torch.tensor(params["w"][None]))
    model = torch.nn.parallel.DistributedDataParallel(model)
    optimizer = torch.optim.AdamW(model.parameters(), lr=LR, weight_decay=WEIGHT_DECAY)
    losses = []
    for batch in batches:
        mine = own(batch, rank)
        outputs = torch.tanh(model(torch.tensor(mine["x"]))[:, 0]) * mine["scale"]
        optimizer.zero_grad()
        loss = ((outputs - torch.tensor(mine["y"])) ** 2).mean()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 0.3)
        optimizer.step()
        torch.distributed.all_reduce(loss := loss.detach())
        losses.append(loss.item() / PROCESSES)
    rows = torch.cat([torch.tensor(batches[0]["x"]), torch.tensor(batches[1]["x"][:3])])
    prediction = model.module(rows).mean().item()
    torch.distributed.destroy_process_group()
    return {
        "params": model.module.weight[0].tolist(),
        "loss": losses,
        "prediction": prediction,
    }


def main(rank, port, path):
    import jax

    jax.config.update("jax_platforms", "cpu")
    jax.config.update("jax_num_cpu_devices", DEVICES)
    jax.config.update("jax_enable_x64", True)
    import jaxaccel as ja

    ja.parallel.initialize(f"127.0.0.1:{port}", PROCESSES, rank, timeout=60)
    meshes = {
        "data": ja.parallel.make_mesh(),
        "explicit": jax.make_mesh((PROCESSES * DEVICES,), ("data",)),
        "model": ja.parallel.make_mesh({"model": PROCESSES, "data": DEVICES}),
    }
    found = {
        "trained": trained(ja, rank, meshes),
        "refused": refused(ja, rank, meshes),
        "ddp": by_ddp(rank, f"{path}.store"),
    }
    with open(f"{path}.{rank}.json", "w", encoding="utf-8") as file:
        json.dump(found, file)
    jax.distributed.shutdown()


if __name__ == "__main__":
    main(int(sys.argv[1]), sys.argv[2], sys.argv[3])
