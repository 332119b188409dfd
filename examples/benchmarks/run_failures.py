"""Kill a training run again and again at random moments, and see that nothing is lost.

    python examples/benchmarks/run_failures.py
    python examples/benchmarks/run_failures.py --kills 200 --json kills.json

A small network learns real digits, with shuffled batches, noise on the pixels, a gradient scaler
and a save every few steps. Each process of it is killed (``kill -9``) at a random moment: while it
starts, while it restores, between two steps, in the midst of a save. Then another goes on from the
newest complete save, until a run ends by itself; then a new run begins, until there are enough
kills. It is a fault, and the script's exit status is 1, if a process does not go on from the newest
complete save, if that is not to be restored, or if a run's end differs in any bit of its state from
that of a run that nobody killed. Processes are forks of one that has imported everything, and the
programs are compiled once, so that 200 kills take some 10 minutes of one core.
"""

from __future__ import annotations

import dataclasses
import functools
import hashlib
import multiprocessing
import os
import random
import re
import signal
import sys
import tempfile
import time
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import _timing as timing
import tyro

BATCH = 100


@dataclasses.dataclass
class Options(timing.Output):
    """How often to kill, and what."""

    kills: int = 200
    """How many processes to kill."""
    epochs: int = 4
    """Epochs of a run."""
    rows: int = 4000
    """Digits that it learns from."""
    hidden: int = 64
    """Units of the network's hidden layer."""
    every: int = 5
    """Steps from one save to the next."""
    seed: int = 0
    """Of the moments."""


# ------------------------------------------------------------------------------------- what runs


def work(options: Options, folder: Path, say: Connection) -> None:
    """Be a process of the run: go on from its newest save, and say what came of it."""
    import jax
    import jax.numpy as jnp
    import numpy as np

    import jaxaccel as ja

    ja.aot.compilation_cache(folder.parent / "programs")
    images = ja.data.load("mnist5k")
    model = ja.models.mlp(28 * 28, (options.hidden,), 10, rngs=ja.random.manual_seed(0))
    apply, params, model_state = ja.training.split_model(model)

    def loss_fn(params: Any, model_state: Any, batch: Any, key: Any) -> Any:
        pixels, labels = batch
        inputs = ja.data.normalize(pixels, images.mean, images.std).reshape(len(labels), -1)
        inputs = inputs + 0.1 * jax.random.normal(key, inputs.shape)
        logits, model_state = apply(params, model_state, inputs, training=True)
        return jnp.mean(ja.functional.cross_entropy(logits, labels)), (model_state, {})

    tx, scaler = ja.optimizers.adamw(1e-3), ja.precision.grad_scaler(growth_interval=20)
    generator = ja.random.manual_seed(1)

    def batches(epoch: int) -> Any:
        order = generator.randperm(options.rows)
        for begin in range(0, options.rows, BATCH):
            rows = order[begin : begin + BATCH]
            yield images.train_images[rows], images.train_labels[rows]

    found = ja.training.saved_steps(folder)
    say.send({"from": max(found, default=0)})
    state, _ = ja.training.fit(
        ja.training.train_step(ja.training.gradients(loss_fn), tx, scaler=scaler),
        ja.training.train_state(params, tx, model_state, key=jax.random.key(2), scaler=scaler),
        batches,
        epochs=options.epochs,
        callbacks=[ja.training.save_every(folder, steps=options.every)],
        progress=False,
        generator=generator,
        resume=folder,
    )
    digest = hashlib.sha256()
    for path, leaf in jax.tree_util.tree_leaves_with_path(state._replace(key=None)):
        digest.update(jax.tree_util.keystr(path).encode() + np.asarray(leaf).tobytes())
    digest.update(np.asarray(jax.random.key_data(state.key)).tobytes())
    say.send({"end": digest.hexdigest()})


@functools.cache
def forks() -> Any:
    """Return what forks this process, which has imported everything and computed nothing."""
    import orbax.checkpoint  # noqa: F401

    import jaxaccel as ja

    for room in ja.__all__:
        getattr(ja, room)
    return multiprocessing.get_context("fork")


class Started:
    """A process of the run, and what it says."""

    def __init__(self, options: Options, folder: Path) -> None:
        self.heard, say = forks().Pipe(duplex=False)
        self.process = forks().Process(target=work, args=(options, folder, say))
        self.process.start()
        say.close()

    def says(self) -> dict[str, Any]:
        """Return the next thing that it says; nothing where it has ended."""
        try:
            return self.heard.recv()
        except EOFError:
            return {}

    def end(self) -> dict[str, Any]:
        """Return all that it still says, and its exit status, when it has ended."""
        found: dict[str, Any] = {}
        while more := self.says():
            found |= more
        self.process.join()
        return found | {"status": self.process.exitcode}


# ------------------------------------------------------------------------------------- what kills


def newest(folder: Path) -> int:
    """Return the step of the newest complete save, read off the names; 0 of none."""
    names = os.listdir(folder) if folder.is_dir() else []
    return max((int(n[5:]) for n in names if re.fullmatch(r"step_\d+", n)), default=0)


def is_saving(folder: Path) -> bool:
    """Return whether there is a part of a save."""
    return folder.is_dir() and any(name.endswith(".unfinished") for name in os.listdir(folder))


def kill_once(
    options: Options, folder: Path, draw: random.Random, seconds: float
) -> dict[str, Any]:
    """Start a process and kill it at a random moment; return what was found."""
    expected, started = newest(folder), Started(options, folder)
    kind = draw.choices(("at any time", "in training", "in a save"), (1, 4, 4))[0]
    found: dict[str, Any] = {"kind": kind}
    if kind == "at any time":
        time.sleep(draw.uniform(0, 1.2 * seconds))
    else:
        found |= started.says()
        time.sleep(draw.uniform(0, 0.5 * seconds))
    while kind == "in a save" and started.process.is_alive() and not is_saving(folder):
        time.sleep(0.0005)
    if kind == "in a save":
        time.sleep(draw.uniform(0, 0.03))
    started.process.kill()  # SIGKILL
    found |= started.end()
    killed, cut_short = found["status"] == -signal.SIGKILL, is_saving(folder)
    return found | {"killed": killed, "cut short": cut_short, "expected": expected}


def let_end(options: Options, folder: Path) -> dict[str, Any]:
    """Start a process and let it come to its end."""
    expected, found = newest(folder), Started(options, folder).end()
    return found | {"kind": "none", "killed": False, "cut short": False, "expected": expected}


def faults_of(found: dict[str, Any], folder: Path, whole: str) -> list[str]:
    """Return what was lost, of what a process found."""
    wrong = []
    if found.get("from", found["expected"]) != found["expected"]:
        wrong.append(f"went on from step {found['from']}, not {found['expected']}")
    if newest(folder) < found["expected"]:
        wrong.append(f"step {found['expected']} is gone")
    if found["status"] not in (0, -signal.SIGKILL):
        wrong.append(f"ended with status {found['status']}")
    if found.get("end", whole) != whole:
        wrong.append("the state at the end is not the uninterrupted run's")
    return wrong


def main(options: Options) -> None:
    """Kill as often as wanted, and report."""
    os.environ.setdefault("JAX_PLATFORMS", "cpu")
    if options.smoke:
        options.kills, options.rows, options.hidden = min(options.kills, 2), 500, 8
    draw, begin, found, run = random.Random(options.seed), time.perf_counter(), [], 0
    with tempfile.TemporaryDirectory() as place:
        let_end(options, Path(place) / "first")  # which compiles
        middle = time.perf_counter()
        whole = let_end(options, Path(place) / "whole")["end"]
        seconds = time.perf_counter() - middle
        while sum(each["killed"] for each in found) < options.kills or "end" not in found[-1]:
            folder = Path(place) / f"run {run}"
            if sum(each["killed"] for each in found) < options.kills:
                one = kill_once(options, folder, draw, seconds)
            else:
                one = let_end(options, folder)
            found.append(one | {"wrong": faults_of(one, folder, whole)})
            run += "end" in one
            if len(found) % 10 == 0:
                print(f"{len(found)} processes, {run} runs ended", file=sys.stderr, flush=True)
    report(options, found, whole, time.perf_counter() - begin)


def report(options: Options, found: list[dict[str, Any]], whole: str, seconds: float) -> None:
    """Print the table, and end with status 1 where something was lost."""
    rows = []
    for kind in ("at any time", "in training", "in a save"):
        those = [each for each in found if each["kind"] == kind and each["killed"]]
        rows.append(
            {
                "killed": kind,
                "kills": len(those),
                "left a save in part": sum(each["cut short"] for each in those),
                "went on from the newest complete save": sum(not each["wrong"] for each in those),
            }
        )
    total: dict[str, Any] = {"killed": "together"}
    for name in list(rows[0])[1:]:
        total[name] = sum(row[name] for row in rows)
    ends = [each["end"] for each in found if "end" in each]
    ended = {
        "runs that ended": len(ends),
        "as the uninterrupted run, bit for bit": sum(end == whole for end in ends),
        "processes": len(found),
        "minutes": seconds / 60,
    }
    title = f"kill -9 of a run of {options.epochs} epochs with a save every {options.every} steps"
    timing.report(options, [timing.Table(title, [*rows, total]), timing.Table("ends", [ended])])
    wrong = [text for each in found for text in each["wrong"]]
    if options.kills >= 10 and not total["left a save in part"]:
        wrong.append("no save was cut short, so that nothing is said of those")
    if wrong:
        raise SystemExit("\n".join(wrong))


if __name__ == "__main__":
    main(tyro.cli(Options))
