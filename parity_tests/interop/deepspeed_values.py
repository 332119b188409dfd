"""DeepSpeed's own numbers, written once into ``deepspeed_values.json`` beside this file.

``python parity_tests/interop/deepspeed_values.py`` needs DeepSpeed, a C++ compiler and two free
processes, and nothing of jaxaccel. The tests read what it has written.
"""

import json
import multiprocessing
import os
import sys
from pathlib import Path

VALUES = Path(__file__).with_suffix(".json")
LR = 0.01

WARMUP = {"warmup_min_lr": 0.001, "warmup_max_lr": 0.1, "warmup_num_steps": 5}
CYCLE = {"cycle_min_lr": 0.01, "cycle_max_lr": 0.1, "cycle_first_step_size": 6}
SCHEDULERS = [
    ["WarmupLR", {"warmup_num_steps": 5}],
    ["WarmupLR", {"warmup_num_steps": 1, "warmup_max_lr": 0.1}],
    ["WarmupLR", {**WARMUP, "warmup_type": "linear"}],
    ["WarmupLR", {**WARMUP, "warmup_type": "log"}],
    ["WarmupDecayLR", {**WARMUP, "total_num_steps": 15}],
    ["WarmupDecayLR", {**WARMUP, "total_num_steps": 15, "warmup_type": "linear"}],
    ["WarmupDecayLR", {"total_num_steps": 3, "warmup_num_steps": 5}],
    ["WarmupCosineLR", {"total_num_steps": 15, "warmup_num_steps": 5}],
    [
        "WarmupCosineLR",
        {
            "total_num_steps": 20,
            "warmup_num_steps": 4,
            "warmup_min_ratio": 0.25,
            "cos_min_ratio": 0.1,
            "warmup_type": "linear",
        },
    ],
    ["OneCycle", CYCLE],
    ["OneCycle", {**CYCLE, "cycle_second_step_size": 9, "cycle_momentum": False}],
    [
        "OneCycle",
        {
            **CYCLE,
            "cycle_second_step_size": 4,
            "cycle_first_stair_count": 3,
            "cycle_second_stair_count": 2,
            "decay_step_size": 2,
            "decay_lr_rate": 0.5,
            "decay_mom_rate": 0.01,
            "cycle_min_mom": 0.7,
            "cycle_max_mom": 0.95,
        },
    ],
    ["LRRangeTest", {"lr_range_test_min_lr": 0.001, "lr_range_test_step_size": 4}],
    [
        "LRRangeTest",
        {
            "lr_range_test_min_lr": 0.001,
            "lr_range_test_step_size": 4,
            "lr_range_test_step_rate": 2.0,
            "lr_range_test_staircase": True,
        },
    ],
]
STEPS = 30

SCALERS = [
    [hysteresis, consecutive, window, every]
    for hysteresis in (1, 2, 3)
    for consecutive in (False, True)
    for window in (1, 3, 5)
    for every in (4, 7, 17)
]
"""A hysteresis, whether in a row, a window, and how often gradients overflow."""
FLOOR, FIRST_POWER, UPDATES = 4.0, 8, 60

BATCHES = [
    [train, micro, parts, devices]
    for train in (None, 32, 33)
    for micro in (None, 4)
    for parts in (None, 1, 2)
    for devices in (1, 4, 8)
]

TRAINING = {
    "train_micro_batch_size_per_gpu": 2,
    "gradient_accumulation_steps": 2,
    "optimizer": {"type": "Adam", "params": {"lr": 0.01, "weight_decay": 0.1}},
    "scheduler": {
        "type": "WarmupDecayLR",
        "params": {"warmup_max_lr": 0.02, "warmup_num_steps": 4, "total_num_steps": 20},
    },
    "gradient_clipping": 0.01,
}
WORLD = 2
TRAINED_STEPS = 20


def first_weights():
    """Return the weights of two layers, and the rows of a step, without any library's draws."""
    numbers = [((37 * i * i + 11 * i) % 101 - 50) / 100 for i in range(5 * 3 + 3 * 2 + 8 * 7)]
    w1, w2, rows = numbers[:15], numbers[15:21], numbers[21:]
    cut = lambda flat, n: [flat[i : i + n] for i in range(0, len(flat), n)]  # noqa: E731
    return cut(w1, 5), cut(w2, 3), cut(rows, 7)


def scheduled(name, params):
    """Return DeepSpeed's learning rates and momenta after each number of steps."""
    import torch
    from deepspeed.runtime import lr_schedules

    optimizer = torch.optim.Adam([torch.zeros(1)], lr=LR)
    scheduler = getattr(lr_schedules, name)(optimizer, **params)
    found = []
    for _ in range(STEPS):
        group = optimizer.param_groups[0]
        found.append([float(group["lr"]), *group["betas"]])
        scheduler.step()
    return found


def overflows(every):
    """Return which updates overflow: some alone, some in a row."""
    return [(i * i) % every < 2 and i % 3 > 0 for i in range(UPDATES)]


def scaled(hysteresis, consecutive, window, every):
    """Return DeepSpeed's scale after each update."""
    from deepspeed.runtime.fp16 import loss_scaler

    loss_scaler.dist.get_rank = lambda: 0
    scaler = loss_scaler.DynamicLossScaler(
        2.0**FIRST_POWER, window, FLOOR, hysteresis, consecutive, raise_error_at_min_scale=False
    )
    found = []
    for overflow in overflows(every):
        scaler.update_scale(overflow)
        found.append(scaler.cur_scale)
    return found


def batch_of(train, micro, parts, devices):
    """Return DeepSpeed's batch sizes, or its refusal."""
    from deepspeed.runtime import config

    given = {
        "train_batch_size": train,
        "train_micro_batch_size_per_gpu": micro,
        "gradient_accumulation_steps": parts,
    }
    config.dist.get_rank, config.dist.get_world_size = lambda: 0, lambda: devices
    try:
        found = config.DeepSpeedConfig({k: v for k, v in given.items() if v is not None})
    except AssertionError as error:
        return str(error)
    return [
        found.train_batch_size,
        found.train_micro_batch_size_per_gpu,
        found.gradient_accumulation_steps,
    ]


def train(rank, stage, queue):
    """Train two layers for some steps with DeepSpeed's engine, one of two processes."""
    os.environ |= {"RANK": str(rank), "LOCAL_RANK": str(rank), "WORLD_SIZE": str(WORLD)}
    os.environ |= {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(29610 + stage)}
    import deepspeed
    import torch

    deepspeed.init_distributed("gloo", auto_mpi_discovery=False)
    w1, w2, rows = first_weights()
    model = torch.nn.Sequential(
        torch.nn.Linear(5, 3, bias=False), torch.nn.Tanh(), torch.nn.Linear(3, 2, bias=False)
    )
    model[0].weight.data = torch.tensor(w1)
    model[2].weight.data = torch.tensor(w2)
    # At stage 3 parameters as small as these are not sharded unless they are told to.
    zero = {"stage": stage, "stage3_param_persistence_threshold": 0}
    engine, *_ = deepspeed.initialize(
        model=model, config={**TRAINING, "zero_optimization": zero if stage else {"stage": 0}}
    )
    rows = torch.tensor(rows)
    for _ in range(TRAINED_STEPS):
        for part in range(2):  # rows part, part + 2, ...; of these, the rank's own half
            own = rows[part::2].chunk(WORLD)[rank]
            engine.backward(((engine(own[:, :5]) - own[:, 5:]) ** 2).mean())
            engine.step()
    if stage == 3:
        with deepspeed.zero.GatheredParameters(list(engine.module.parameters())):
            found = [p.detach().tolist() for p in engine.module.parameters()]
    else:
        found = [p.detach().tolist() for p in engine.module.parameters()]
    if rank == 0:
        queue.put(found)


def trained(stage):
    """Return the weights after training in two processes."""
    context = multiprocessing.get_context("spawn")
    queue = context.Queue()
    processes = [context.Process(target=train, args=(r, stage, queue)) for r in range(WORLD)]
    for process in processes:
        process.start()
    found = queue.get(timeout=150)
    for process in processes:
        process.join()
    return found


def main():
    import deepspeed

    values = {
        "deepspeed": deepspeed.__version__.strip(),
        "schedulers": [[name, params, scheduled(name, params)] for name, params in SCHEDULERS],
        "scalers": [[case, scaled(*case)] for case in SCALERS],
        "batches": [[case, batch_of(*case)] for case in BATCHES],
        "trained": {str(stage): trained(stage) for stage in range(4)},
    }
    VALUES.write_text(json.dumps(values) + "\n", encoding="utf-8")
    sys.stdout.write(f"{VALUES}\n")


if __name__ == "__main__":
    main()
