"""What one of several processes does in ``test_sharded_processes``: ``python sharded_process.py``.

It trains two layers by PyTorch's DDP and FSDP2 and by torch_ref's collectives, and then by
jaxaccel's, all of them over gloo on the same rows, and writes the parameters as JSON.
``python parity_tests/parallel/test_sharded_processes.py 4`` does it with four processes.
"""

import json
import os
import sys

import torch
import torch.distributed as dist
from torch.distributed.device_mesh import init_device_mesh
from torch.distributed.fsdp import fully_shard
from torch.func import functional_call
from torch.nn.parallel import DistributedDataParallel

import torch_ref
from torch_ref.parallel._collectives import gathered, shard_of

ROWS, FEATURES, HIDDEN, OUT, STEPS = 16, 5, 8, 3, 20
LR, WEIGHT_DECAY = 1e-2, 0.1


def network(dtype, moved=None):
    """Return two layers, whose sizes the processes divide in part."""
    torch.manual_seed(0)
    layers = torch.nn.Linear(FEATURES, HIDDEN), torch.nn.Tanh(), torch.nn.Linear(HIDDEN, OUT)
    model = torch.nn.Sequential(*layers).to(dtype)
    if moved is not None:  # every number one ulp away, up or down
        torch.manual_seed(moved)
        with torch.no_grad():
            for p in model.parameters():
                there = torch.where(torch.rand(p.shape) < 0.5, -torch.inf, torch.inf)
                p.copy_(torch.nextafter(p, there.to(dtype)))
    return model


def batches(dtype):
    """Return the rows of every step, of all processes."""
    torch.manual_seed(1)
    return torch.randn(STEPS, ROWS, FEATURES + OUT, dtype=torch.float64).to(dtype)


def loss_of(outputs, rows):
    return ((outputs - rows[:, FEATURES:]) ** 2).mean()


def own(rows):
    """Return the process's rows of a batch."""
    return rows.chunk(dist.get_world_size())[dist.get_rank()]


def by_pytorch(model, dtype):
    """Return the parameters after training as PyTorch's users do it."""
    optimizer = torch.optim.AdamW(model.parameters(), lr=LR, weight_decay=WEIGHT_DECAY)
    for rows in batches(dtype):
        optimizer.zero_grad()
        loss_of(model(own(rows)[:, :FEATURES]), own(rows)).backward()
        optimizer.step()
    whole = lambda p: p.full_tensor() if hasattr(p, "full_tensor") else p  # noqa: E731
    return [whole(p).detach().tolist() for p in model.parameters()]


def sharded(mesh, reshard, dtype):
    """Return the network, each layer and the whole of it a unit of FSDP2."""
    model = network(dtype)
    for layer in (model[0], model[2], model):
        fully_shard(layer, mesh=mesh, reshard_after_forward=reshard)
    return model


def gradient_fn(params, rows):
    """Return the gradients of a process's rows."""
    params = {name: p.detach().requires_grad_() for name, p in params.items()}
    outputs = functional_call(network(rows.dtype), params, rows[:, :FEATURES])
    grads = torch.autograd.grad(loss_of(outputs, rows), list(params.values()))
    return dict(zip(params, grads, strict=True))


def update(params, grads, optimizer):
    """Step on tensors of any shape, whole or shares, with the state that belongs to them."""
    if optimizer is None:
        copies = [p.clone().requires_grad_() for p in params.values()]
        optimizer = torch.optim.AdamW(copies, lr=LR, weight_decay=WEIGHT_DECAY)
    held = optimizer.param_groups[0]["params"]
    for p, grad in zip(held, grads.values(), strict=True):
        p.grad = grad
    optimizer.step()
    return {name: p.detach() for name, p in zip(params, held, strict=True)}, optimizer


def by_collectives(dtype):
    """Return the parameters of every kind of torch_ref."""
    params = {name: p.detach() for name, p in network(dtype).named_parameters()}
    shapes = {name: p.shape for name, p in params.items()}
    shards = {name: shard_of(p) for name, p in params.items()}

    def stepping(gradient_fn):
        return lambda params, state, rows: update(params, gradient_fn(params, rows), state)

    ref = torch_ref.parallel
    steps = {
        "DDP": stepping(ref.data_parallel(gradient_fn)),
        "FSDP": stepping(ref.fully_shard(gradient_fn, shapes)),
        **{f"ZeRO {n}": ref.zero(gradient_fn, update, shapes, n) for n in range(4)},
    }
    found = {}
    for name, step in steps.items():
        is_sharded = name in ("FSDP", "ZeRO 3")
        now = trained(shards if is_sharded else params, step, dtype)
        whole = {n: gathered(p, shapes[n]) for n, p in now.items()} if is_sharded else now
        found[name] = [p.tolist() for p in whole.values()]
    # Each process is a group of its own, and all of them are replicas.
    alone = init_device_mesh("cpu", (dist.get_world_size(), 1)).get_group(1)
    step = stepping(ref.fully_shard(gradient_fn, shapes, alone, dist.group.WORLD))
    now = trained({name: shard_of(p, alone) for name, p in params.items()}, step, dtype)
    found["HSDP"] = [gathered(p, shapes[name], alone).tolist() for name, p in now.items()]
    return found


def trained(params, step, dtype):
    """Return the parameters, whole or shares, after every step."""
    state = None
    for rows in batches(dtype):
        params, state = step(params, state, own(rows))
    return params


RUNS = {
    "DDP": {},
    "FULL_SHARD": {"strategy": "FULL_SHARD"},
    "SHARD_GRAD_OP": {"strategy": "SHARD_GRAD_OP"},
    "HYBRID_SHARD": {"strategy": "HYBRID_SHARD", "replica_axis": "replica"},
    "ZeRO 1": {"stage": 1},
    "ZeRO 2": {"stage": 2},
}


def by_jaxaccel(rank, processes, dtype, names):
    """Return the parameters of some runs, and which of the larger arrays were in shares."""
    import jax
    import jax.numpy as jnp
    import numpy as np

    import jaxaccel as ja

    def loss_fn(params, model_state, rows):
        hidden = jnp.tanh(rows[:, :FEATURES] @ params["w1"].T + params["b1"])
        outputs = hidden @ params["w2"].T + params["b2"]
        return jnp.mean((outputs - rows[:, FEATURES:]) ** 2), (model_state, {})

    def trained(options):
        is_hybrid = "replica_axis" in options
        mesh = ja.parallel.make_mesh({"replica": 2, "data": -1} if is_hybrid else None)
        gradients, placement = ja.training.gradients(loss_fn), None
        if options:
            wrap = ja.parallel.zero if "stage" in options else ja.parallel.fully_shard
            options = {"param_persistence_threshold": 0, **options}
            gradients, placement = wrap(gradients, mesh, **options)
        else:
            gradients = ja.parallel.data_parallel(gradients, mesh, mode="shard_map")
        numbers = (p.detach().numpy() for p in network(dtype).parameters())
        params = dict(zip(("w1", "b1", "w2", "b2"), numbers, strict=True))
        tx = ja.optimizers.adamw(lr=LR, weight_decay=WEIGHT_DECAY)
        state = ja.training.train_state(params, tx, mesh=mesh, placement=placement)
        step = ja.training.train_step(gradients, tx)
        for rows in batches(dtype):
            mine = np.asarray(rows.chunk(processes)[rank])
            axis = ("replica", "data") if is_hybrid else "data"
            state, _ = step(state, ja.parallel.shard_batch(mine, mesh, axis=axis))
        held = {"params": state.params["w1"], "opt_state": state.opt_state.exp_avg["w1"]}
        whole = jax.jit(lambda x: x, out_shardings=jax.NamedSharding(mesh, jax.P()))(state.params)
        return {
            "params": [np.asarray(whole[name]).tolist() for name in ("w1", "b1", "w2", "b2")],
            "in shares": [name for name, x in held.items() if not x.sharding.is_fully_replicated],
        }

    return {name: trained(RUNS[name]) for name in names}


def main(rank, processes, port, path):
    torch.set_num_threads(1)
    dist.init_process_group(
        "gloo", init_method=f"file://{path}.store", rank=rank, world_size=processes
    )
    flat = init_device_mesh("cpu", (processes,))
    grid = init_device_mesh("cpu", (2, processes // 2), mesh_dim_names=("replica", "data"))
    found = {"start": [p.tolist() for p in network(torch.float64).parameters()]}
    wide, narrow = torch.float64, torch.float32
    found["PyTorch"] = {
        "DDP": by_pytorch(DistributedDataParallel(network(wide)), wide),
        "FULL_SHARD": by_pytorch(sharded(flat, True, wide), wide),
        "SHARD_GRAD_OP": by_pytorch(sharded(flat, False, wide), wide),
        "HYBRID_SHARD": by_pytorch(sharded(grid, True, wide), wide),
    }
    found["torch_ref"] = by_collectives(wide)
    found["one ulp away"] = [
        by_pytorch(DistributedDataParallel(network(narrow, seed)), narrow) for seed in range(3)
    ]
    dist.destroy_process_group()
    import jax

    jax.config.update("jax_platforms", "cpu")
    jax.config.update("jax_num_cpu_devices", 4 // processes if processes < 4 else 1)
    jax.config.update("jax_enable_x64", True)
    # As parallel.initialize does: with few threads collectives of the CPU can wait for each other.
    os.environ.setdefault("NPROC", "32")
    jax.config.update("jax_cpu_enable_async_dispatch", False)
    jax.distributed.initialize(f"127.0.0.1:{port}", processes, rank)
    names = list(RUNS) if processes > 2 else list(RUNS)[:4]  # two are a test, and more a script
    found["float64"] = by_jaxaccel(rank, processes, wide, names)
    found["float32"] = by_jaxaccel(rank, processes, narrow, names if processes > 2 else names[1:2])
    with open(f"{path}.{rank}.json", "w", encoding="utf-8") as file:
        json.dump(found, file)
    jax.distributed.shutdown()


if __name__ == "__main__":
    main(int(sys.argv[1]), int(sys.argv[2]), sys.argv[3], sys.argv[4])
