"""Time a training script from the start of its process to the end of its first step.

    python examples/benchmarks/time_to_first_step.py
    python examples/benchmarks/time_to_first_step.py --model resnet50 --batch 4 --rounds 1

Each contender is a process of its own: it imports its libraries, builds a model, makes the state
and takes one step, which JAX compiles first. Stages are seconds by the clock; ``CPU s`` are those
of all threads. Cold is with nothing kept; warm takes compiled programs from a folder, which one
uncounted run has filled (``jaxaccel.aot.compilation_cache``). Contenders take turns; in the first
round libraries may still come from the disk, so take the medians of several.
"""

from __future__ import annotations

import dataclasses
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any, Literal

STAGES = ("import", "model", "state", "step")
PYTORCH, OURS, FLAX = "PyTorch eager", "jaxaccel", "flax + optax"
CONTENDERS = {
    PYTORCH: ("torch", False),
    FLAX: ("flax", False),
    OURS: ("ours", False),
    f"{OURS}, PyTorch's numbers": ("seeded", False),
    f"{FLAX}, warm": ("flax", True),
    f"{OURS}, warm": ("ours", True),
}
"""Contender -> what its process does, and whether it finds its programs."""


def main() -> None:
    """Print the table."""
    import _timing as timing
    import tyro

    @dataclasses.dataclass
    class Args(timing.Options):
        """What to start."""

        rounds: int = 3
        """Processes of each contender."""
        model: Literal["resnet10", "resnet50"] = "resnet10"
        """The model: on images of 32x32 or of 224x224."""
        width: int = 64
        """Channels of the first stage of a ResNet-10."""
        batch: int = 32
        """Images."""

    args = tyro.cli(Args)
    timing.start(args)
    if args.smoke:
        args.width, args.batch = 4, 2
    title = f"{args.model}, batch {args.batch}: seconds to the end of the first step"
    rows = table(args)
    timing.report(args, [timing.Table(title, rows)], width=args.width)


def table(args: Any) -> list[dict[str, Any]]:
    """Return a row per contender, of medians."""
    found: dict[str, list[dict[str, float]]] = {name: [] for name in CONTENDERS}
    with tempfile.TemporaryDirectory() as folder:
        for side, is_warm in CONTENDERS.values():
            if is_warm:
                run(args, side, Path(folder) / side)
        for _ in range(args.rounds):
            for name, (side, is_warm) in CONTENDERS.items():
                found[name].append(run(args, side, Path(folder) / side if is_warm else None))
    medians = {
        name: {key: statistics.median(each[key] for each in runs) for key in runs[0]}
        for name, runs in found.items()
    }
    return [
        {"contender": name}
        | seconds
        | {f"/ {peer}": seconds["all"] / medians[peer]["all"] for peer in (PYTORCH, FLAX)}
        | {f"CPU / {PYTORCH}": seconds["CPU s"] / medians[PYTORCH]["CPU s"]}
        for name, seconds in medians.items()
    ]


def run(args: Any, side: str, folder: Path | None) -> dict[str, float]:
    """Return the seconds of a new process, by stage, together and of all threads."""
    given = {"side": side, "model": args.model, "width": args.width, "batch": args.batch}
    given |= {"folder": folder and str(folder), "cores": len(os.sched_getaffinity(0))}
    command = [sys.executable, "-W", "ignore", __file__, "--process", json.dumps(given)]
    start = time.time()
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise SystemExit(done.stderr)
    *ends, cpu = json.loads(done.stdout.splitlines()[-1])
    stages = {
        stage: end - before
        for stage, before, end in zip(STAGES, [start, *ends], ends, strict=False)
    }
    return {"all": ends[-1] - start, "CPU s": cpu, **stages}


# ------------------------------------------------------------------------- the process of one


def process(side: str, model: str, width: int, batch: int, folder: str | None, cores: int) -> None:
    """Take one step, and print when each stage ended and the CPU seconds of all."""
    sizes = {"batch": batch} if model == "resnet50" else {"batch": batch, "width": width}
    if side == "torch":
        stages = torch_stages(model, sizes, cores)
    else:
        stages = jax_stages(side, model, sizes, folder)
    ends = [time.time() for _ in stages]
    print(json.dumps([*ends, time.process_time()]))


def jax_stages(side: str, model: str, sizes: dict[str, int], folder: str | None) -> Any:
    """Take a step of JAX's; yield after each stage."""
    import _steps as steps
    import jax
    import jax.numpy as jnp

    import jaxaccel as ja

    if folder:
        ja.aot.compilation_cache(folder)
    yield
    task = getattr(steps, model)(**sizes)
    if side == "seeded":
        options = {"width": sizes["width"]} if "width" in sizes else {}
        built = getattr(ja.models, model)(rngs=ja.random.manual_seed(0), **options)
    else:
        built = task.flax(jnp.float32) if side == "flax" else task.ours()
    jax.block_until_ready(steps.nnx.state(built))
    yield
    make = steps.flax_step if side == "flax" else steps.our_step
    step, start, parts = make(built, jnp.float32)
    state = jax.block_until_ready(start(*parts))
    yield
    step = jax.jit(step, donate_argnums=0) if side == "flax" else step
    jax.block_until_ready(step(state, steps.batch_of(task)))
    yield


def torch_stages(model: str, sizes: dict[str, int], cores: int) -> Any:
    """Take a step of PyTorch's; yield after each stage."""
    import torch

    import torch_ref

    torch.set_num_threads(cores)
    yield
    torch.manual_seed(0)
    options = {"width": sizes["width"]} if "width" in sizes else {}
    built = getattr(torch_ref.models, model)(**options)
    yield
    optimizer = torch.optim.AdamW(built.parameters(), lr=1e-3, weight_decay=1e-2, fused=True)
    size, classes = (224, 1000) if model == "resnet50" else (32, 10)
    inputs = torch.randn(sizes["batch"], 3, size, size)
    targets = torch.randint(classes, (sizes["batch"],))
    yield
    loss = torch.nn.functional.cross_entropy(built(inputs), targets)
    loss.backward()
    torch.nn.utils.clip_grad_norm_(built.parameters(), 1.0)
    optimizer.step()
    yield


if __name__ == "__main__":
    if sys.argv[1:2] == ["--process"]:
        process(**json.loads(sys.argv[2]))
    else:
        main()
