"""DDP, ZeRO and FSDP in real processes: PyTorch's, torch_ref's and jaxaccel's on the same rows."""

import json
import os
import socket
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
import pytest

from parity_tests import tolerances as tol
from parity_tests.harness.documents import ROOT

SCRIPT = Path(__file__).with_name("sharded_process.py")
SECONDS = 150


def found_in(folder, processes):
    """Run the processes, and return what each found."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = str(free.getsockname()[1])
    environment = os.environ | {"PYTHONPATH": str(ROOT), "JAX_PLATFORMS": "cpu"}
    path, running = str(folder / "found"), []
    for rank in range(processes):
        with (folder / f"log.{rank}").open("w") as log:
            running.append(
                subprocess.Popen(
                    [sys.executable, str(SCRIPT), str(rank), str(processes), port, path],
                    stdout=log,
                    stderr=subprocess.STDOUT,
                    env=environment,
                )
            )
    try:
        codes = [each.wait(SECONDS) for each in running]
    finally:
        for each in running:
            each.kill()
            each.wait()
    said = "\n".join((folder / f"log.{rank}").read_text()[-4000:] for rank in range(processes))
    assert codes == [0] * processes, said
    return [json.loads((folder / f"found.{rank}.json").read_text()) for rank in range(processes)]


def distance(found, expected):
    """Return the 2-norm of the difference, as a share of that of what is expected."""
    found, expected = (np.concatenate([np.ravel(p) for p in each]) for each in (found, expected))
    return np.linalg.norm(found - expected) / np.linalg.norm(expected)


SPLIT = {
    "DDP": [],
    "FULL_SHARD": ["params", "opt_state"],
    "SHARD_GRAD_OP": ["params", "opt_state"],
    "HYBRID_SHARD": ["params", "opt_state"],
    "ZeRO 1": ["opt_state"],
    "ZeRO 2": ["opt_state"],
}


def check(folder, processes):
    """Hold every run of every process against PyTorch's DDP; return the distances."""
    found, *others = found_in(folder, processes)
    for other in others:
        assert other == found
    ddp = found["PyTorch"]["DDP"]
    assert distance(found["start"], ddp) > 0.1
    kinds = {"DDP", "FSDP", "HSDP", "ZeRO 0", "ZeRO 1", "ZeRO 2", "ZeRO 3"}
    assert set(found["torch_ref"]) == kinds
    ours = {name: run["params"] for name, run in found["float64"].items()}
    distances = {}
    sides = {"PyTorch": found["PyTorch"], "torch_ref": found["torch_ref"], "jaxaccel": ours}
    for side, runs in sides.items():
        for name, params in runs.items():
            distances[side, name] = distance(params, ddp)
            assert distances[side, name] <= tol.FLOAT64_OF_PATH, (side, name)
    theirs = max(distance(run, ddp) for run in found["one ulp away"])
    band = tol.NETWORK_FLOAT32_OF_PYTORCHS_OWN * theirs
    for name, run in found["float32"].items():
        distances["float32", name] = distance(run["params"], ddp)
        assert distances["float32", name] <= band, name
        assert run["in shares"] == found["float64"][name]["in shares"] == SPLIT[name]
    return distances | {("float32", "allowed"): band}


@pytest.mark.parity
@pytest.mark.long
def test_every_kind_ends_where_pytorchs_ends(tmp_path):
    """After 20 steps of AdamW in two processes, of two devices each where they are jaxaccel's."""
    check(tmp_path, 2)


def main(processes):
    with tempfile.TemporaryDirectory() as folder:
        for (side, name), far in check(Path(folder), processes).items():
            sys.stdout.write(f"{side:10} {name:14} {far:.2e}\n")


if __name__ == "__main__":
    main(int(sys.argv[1]))
