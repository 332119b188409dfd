"""What one of several processes does in ``test_parallel``: run as ``python parallel_process.py``.

It trains two layers by PyTorch's DDP and FSDP2 and by torch_ref's collectives, over gloo, and
writes the parameters as JSON.
"""

import json
import sys

import torch
import torch.distributed as dist
from torch.distributed.device_mesh import init_device_mesh
from torch.distributed.fsdp import fully_shard
from torch.func import functional_call
from torch.nn.parallel import DistributedDataParallel

import torch_ref
from torch_ref.parallel._collectives import gathered, shard_of

ROWS, FEATURES, HIDDEN, OUT, STEPS = 8, 5, 7, 3, 20
LR, WEIGHT_DECAY = 1e-2, 0.1


def network(dtype):
    """Return two layers, none of whose sizes two or four processes divide."""
    torch.manual_seed(0)
    layers = torch.nn.Linear(FEATURES, HIDDEN), torch.nn.Tanh(), torch.nn.Linear(HIDDEN, OUT)
    return torch.nn.Sequential(*layers).to(dtype)


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


def main(rank, processes, path):
    torch.set_num_threads(1)
    dist.init_process_group(
        "gloo", init_method=f"file://{path}.store", rank=rank, world_size=processes
    )
    flat = init_device_mesh("cpu", (processes,))
    grid = init_device_mesh("cpu", (2, processes // 2), mesh_dim_names=("replica", "data"))
    found = {"start": [p.tolist() for p in network(torch.float64).parameters()]}
    for dtype in (torch.float64, torch.float32):
        found[str(dtype).removeprefix("torch.")] = {
            "DDP": by_pytorch(DistributedDataParallel(network(dtype)), dtype),
            "FULL_SHARD": by_pytorch(sharded(flat, True, dtype), dtype),
            "SHARD_GRAD_OP": by_pytorch(sharded(flat, False, dtype), dtype),
            "HYBRID_SHARD": by_pytorch(sharded(grid, True, dtype), dtype),
        }
    found["torch_ref"] = by_collectives(torch.float64)
    with open(f"{path}.{rank}.json", "w", encoding="utf-8") as file:
        json.dump(found, file)
    dist.destroy_process_group()


if __name__ == "__main__":
    main(int(sys.argv[1]), int(sys.argv[2]), sys.argv[3])
