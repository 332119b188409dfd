"""What one of several processes does in ``test_processes``: run as ``python process.py``.

It trains, evaluates, runs out of rows before the others and hands in what is refused, and writes
what came of it as JSON. SLURM's variables say who it is.
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
            on_mesh = (ja.parallel.shard_batch(own(batch, rank), mesh) for batch in batches)
            return ja.data.prefetch_to_device(on_mesh)

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


def compressed(ja, mesh, rows):
    """Return parameters after steps whose gradients travel as int8; ``rows`` are a process's."""
    params, batches = problem()
    hook, tx = ja.parallel.int8_compress_hook(min_num_params=1), ja.optimizers.sgd(lr=LR)
    gradient_fn = ja.parallel.data_parallel(
        ja.training.gradients(loss_fn), mesh, mode="shard_map", comm_hook=hook
    )
    model_state, placement = ja.parallel.comm_state(hook, params, mesh=mesh)
    state = ja.training.train_state(params, tx, model_state, mesh=mesh, placement=placement)
    step = ja.training.train_step(gradient_fn, tx)
    for batch in batches:
        state, _ = step(state, ja.parallel.shard_batch(rows(batch), mesh))
    return state.params["w"].tolist()


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
        "a state of other parameters": lambda: ja.training.train_state(
            {"w": params["w"] + rank}, tx, mesh=mesh
        ),
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


UNEVEN = ((8, 8, 3), (8, 5))
"""Rows of each batch of each process: one runs out of them before the other."""


def uneven(rank):
    """Return the batches of a process that has other numbers of rows than the other."""
    for batch, rows in zip(problem()[1], UNEVEN[rank], strict=False):
        mine = own(batch, rank)
        yield {"x": mine["x"][:rows], "y": mine["y"][:rows]}


def masked_loss(params, model_state, batch):
    """Return the mean over the rows that are there, 0 where none is."""
    import jax.numpy as jnp

    batch, mask = batch
    errors = (jnp.tanh(batch["x"] @ params["w"]) - batch["y"]) ** 2
    return jnp.sum(errors * mask) / jnp.maximum(jnp.sum(mask), 1), (model_state, {})


WEIGHTS = {
    "all rows": lambda batch: batch[1].sum(),
    "processes that have rows": lambda batch: batch[1].any(),
    "all processes": None,
}
"""Who counts how much in the mean over rows that fill up a batch of process."""


def joined(ja, rank):
    """Return the parameters after an epoch with uneven inputs, for each way to count them."""
    import jax

    by_process = {device.process_index: device for device in jax.devices()}
    mesh = ja.parallel.make_mesh(devices=[by_process[each] for each in range(PROCESSES)])
    params, _ = problem()
    tx, found = ja.optimizers.adamw(lr=LR, weight_decay=WEIGHT_DECAY), {}
    for name, weight in WEIGHTS.items():
        gradient_fn = ja.parallel.data_parallel(
            ja.training.gradients(masked_loss), mesh, mode="shard_map", weight=weight
        )
        step = ja.training.train_step(gradient_fn, tx)
        state = ja.training.train_state(params, tx, mesh=mesh)
        mine = [*uneven(rank)]
        for number in range(max(map(len, UNEVEN))):
            batch = mine[number] if number < len(mine) else {k: v[:0] for k, v in mine[0].items()}
            filled = ja.data.pad_to_bucket(batch, [ROWS // PROCESSES])
            state, _ = step(state, ja.parallel.shard_batch(filled, mesh, whole=False))
        found[name] = state.params["w"].tolist()
    return found


def ddp_model():
    """Return PyTorch's model, on its own and in DistributedDataParallel, with its optimizer."""
    import torch

    model = torch.nn.Linear(FEATURES, 1, bias=False, dtype=torch.float64)
    with torch.no_grad():
        model.weight.copy_(torch.tensor(problem()[0]["w"][None]))
    model = torch.nn.parallel.DistributedDataParallel(model)
    return model, torch.optim.AdamW(model.parameters(), lr=LR, weight_decay=WEIGHT_DECAY)


def joined_by_ddp(rank, by_initial):
    """Return what PyTorch's ``join`` makes of the uneven inputs."""
    import torch

    model, optimizer = ddp_model()
    with model.join(divide_by_initial_world_size=by_initial):
        for batch in uneven(rank):
            optimizer.zero_grad()
            errors = torch.tanh(model(torch.tensor(batch["x"]))[:, 0]) - torch.tensor(batch["y"])
            (errors**2).mean().backward()
            optimizer.step()
    return model.module.weight[0].tolist()


def rows_by_ddp(steps):
    """Return the parameters after steps on the whole of what there is, in one process."""
    import torch

    weight = torch.tensor(problem()[0]["w"], requires_grad=True)
    optimizer = torch.optim.AdamW([weight], lr=LR, weight_decay=WEIGHT_DECAY)
    for number in range(steps):
        parts = [[*uneven(rank)][number : number + 1] for rank in range(PROCESSES)]
        x, y = (torch.cat([torch.tensor(part[0][name]) for part in parts if part]) for name in "xy")
        optimizer.zero_grad()
        ((torch.tanh(x @ weight) - y) ** 2).mean().backward()
        optimizer.step()
    return weight.tolist()


def by_ddp(rank, store):
    """Return the same of PyTorch's DistributedDataParallel, with the losses of whole batches."""
    import torch

    torch.distributed.init_process_group(
        "gloo", init_method=f"file://{store}", rank=rank, world_size=PROCESSES
    )
    _, batches = problem()
    model, optimizer = ddp_model()
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
    sampler = torch.utils.data.DistributedSampler(range(11), seed=3)
    sampler.set_epoch(2)
    uneven = {
        "all rows": rows_by_ddp(max(map(len, UNEVEN))),
        "processes that have rows": joined_by_ddp(rank, by_initial=False),
        "all processes": joined_by_ddp(rank, by_initial=True),
    }
    torch.distributed.destroy_process_group()
    return {
        "params": model.module.weight[0].tolist(),
        "loss": losses,
        "prediction": prediction,
        "joined": uneven,
        "order": [*sampler],
    }


def paused(ja, rank, mesh):
    """Return where a run pauses when one process is told to end, and what both draw again then."""
    import os
    import signal
    import time

    import numpy as np

    np.random.seed(rank)  # noqa: NPY002 the global stream, another one in each process
    params, (batch, *_) = problem()
    whole = ja.parallel.shard_batch(own(batch, rank), mesh)
    draws, snapshots = [], []

    def batches(epoch):
        draws.append(np.random.rand())  # noqa: NPY002
        for number in range(400):
            if rank == 1 and number == 2 and not snapshots:
                os.kill(os.getpid(), signal.SIGTERM)
            time.sleep(0 if snapshots else 0.02)
            yield whole

    tx = ja.optimizers.sgd(lr=LR)
    step = ja.training.train_step(composed(ja, "jit", ("dp",), mesh), tx)
    keep = ja.training.Callback("keep", on_end=lambda run, _: snapshots.append(run.snapshot()))
    guests = [keep, ja.training.preemption(exit_status=None), ja.training.heartbeat()]
    for resume in (None, 0):
        _, history = ja.training.fit(
            step,
            ja.training.train_state(params, tx, mesh=mesh),
            batches,
            callbacks=guests,
            progress=False,
            resume=None if resume is None else snapshots[resume],
        )
        if resume is None:
            found = {"reason": history.paused, "step": snapshots[0].extra["step"]}
    return found | {"draws": draws, "steps": len(history.steps["loss"])}


def main(path):
    import jax

    jax.config.update("jax_platforms", "cpu")
    jax.config.update("jax_num_cpu_devices", DEVICES)
    jax.config.update("jax_enable_x64", True)
    import jaxaccel as ja

    rank = ja.parallel.initialize(timeout=60).process_id
    meshes = {
        "data": ja.parallel.make_mesh(),
        "explicit": jax.make_mesh((PROCESSES * DEVICES,), ("data",)),
        "model": ja.parallel.make_mesh({"model": PROCESSES, "data": DEVICES}),
    }
    found = {
        "trained": trained(ja, rank, meshes),
        "compressed": compressed(ja, meshes["data"], lambda batch: own(batch, rank)),
        "refused": refused(ja, rank, meshes),
        "joined": joined(ja, rank),
        "order": ja.data.distributed_sampler(range(11), seed=3, epoch=2).tolist(),
        "ddp": by_ddp(rank, f"{path}.store"),
        "paused": paused(ja, rank, meshes["data"]),
    }
    with open(f"{path}.{rank}.json", "w", encoding="utf-8") as file:
        json.dump(found, file)
    jax.distributed.shutdown()


if __name__ == "__main__":
    main(sys.argv[1])
