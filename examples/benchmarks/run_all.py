"""Run the benchmarks one after the other and keep what they find, for docs/performance.md.

    python examples/benchmarks/run_all.py
    python examples/benchmarks/run_all.py --compilers --only train_step_v5e
    python examples/benchmarks/run_all.py --smoke
    python docs/_ext/performance_tables.py

The last line puts the tables into the page. Take times on a quiet machine. ``--compilers`` reads
what the programs move off the vendors' compilers instead (the extra ``aot``; for the H100 the extra
``aot-gpu``): no times, so the machine may be busy.
"""

from __future__ import annotations

import dataclasses
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import tyro

HERE = Path(__file__).resolve().parent

TIMES = {
    "train_step": "train_step.py --rounds 9",
    "train_step_one_core": "train_step.py --rounds 5 --cores 1",
    "convolution": "convolution.py",
    "optimizer_step": "optimizer_step.py --rounds 11 --compile-rounds 1 --optimizers adamw sgd",
    "cross_entropy": "cross_entropy.py",
    "time_to_first_step": "time_to_first_step.py",
    "random_numbers": "random_numbers.py",
    "schedules": "schedules.py",
    "tracing": "tracing.py",
}
"""What the page needs, each in a process of its own."""

FIGURES = {
    **{f"train_step_{chip}": f"train_step.py --compiler {chip}" for chip in ("v5e", "v6e", "h100")},
    "optimizer_step_v5e": "optimizer_step.py --compiler v5e --shapes gpt2 resnet50",
    "normalization": "normalization.py",
    "attention_memory": "attention_memory.py",
    "largest_batch_v5e": "largest_batch.py",
    "largest_batch_h100": "largest_batch.py --topology gpu:h100:1 --multiple-of 1",
}
"""What compilers say."""

OTHERS = {
    "autocast": "autocast.py",
    "checkpointing": "checkpointing.py",
    "compile_for": "compile_for.py",
    "process_failures": "process_failures.py",
    "run_failures": "run_failures.py",
    "saving": "saving.py",
    "step_time": "step_time.py",
    "fit_overhead": "fit_overhead.py",
    "sparse_adam": "sparse_adam.py",
    "schedule_drift": "schedule_drift.py",
    "low_precision_state": "low_precision_state.py",
    "sharded_optimizers": "sharded_optimizers.py",
}
"""What is not on the page, for a smoke test."""

NOT_IN_SMOKE = {"train_step_one_core", *FIGURES} - {"normalization"}
"""The same scripts again, and what only a vendor's compiler can do, which takes long."""


@dataclasses.dataclass
class Args:
    """What to run."""

    only: tuple[str, ...] = ()
    """Names of runs; default: all."""
    compilers: bool = False
    """Ask the compilers instead of taking times."""
    output: Path | None = None
    """The folder for a JSON file a run; default: docs/benchmarks, from which the page's tables are
    made, or one that is deleted for a smoke test."""
    smoke: bool = False
    """Only show that all of them run, smallest shapes."""


def main(args: Args) -> None:
    """Run, and say how long each took; fail at the end if any failed."""
    if args.output is None and args.smoke:
        with tempfile.TemporaryDirectory() as folder:
            main(dataclasses.replace(args, output=Path(folder)))
        return
    runs = {**TIMES, **FIGURES, **OTHERS} if args.smoke else FIGURES if args.compilers else TIMES
    chosen = [name for name in runs if not args.only or name in args.only]
    if args.smoke:
        chosen = [name for name in chosen if name not in NOT_IN_SMOKE]
    output = args.output or HERE.parents[1] / "docs" / "benchmarks"
    failed = [name for name in chosen if not run(name, runs[name], output, args.smoke)]
    if failed or not chosen:
        raise SystemExit(f"failed: {', '.join(failed)}" if failed else f"runs: {', '.join(runs)}")


def run(name: str, command: str, output: Path, smoke: bool) -> bool:
    """Run a script; return whether it went well."""
    script, *options = command.split()
    options += ["--json", str(output / f"{name}.json"), *(["--smoke"] if smoke else [])]
    # On the CPU unless the environment says otherwise: PyTorch's side is there.
    environment = {"JAX_PLATFORMS": "cpu", **os.environ}
    begin = time.perf_counter()
    done = subprocess.run([sys.executable, HERE / script, *options], env=environment, check=False)
    print(f"{name}: {time.perf_counter() - begin:.0f} s", flush=True)
    return done.returncode == 0


if __name__ == "__main__":
    main(tyro.cli(Args))
