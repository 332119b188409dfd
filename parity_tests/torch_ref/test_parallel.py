"""torch_ref's collectives beside PyTorch's DDP and FSDP2, in two real processes."""

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from parity_tests import tolerances as tol
from parity_tests.harness.documents import ROOT

SCRIPT = Path(__file__).with_name("parallel_process.py")
SECONDS = 120


def found_in(folder, processes):
    """Run the processes, and return what each found."""
    path, running = str(folder / "found"), []
    for rank in range(processes):
        command = [sys.executable, "-W", "error", str(SCRIPT)]
        with (folder / f"log.{rank}").open("w") as log:
            running.append(
                subprocess.Popen(
                    [*command, str(rank), str(processes), path],
                    stdout=log,
                    stderr=subprocess.STDOUT,
                    env=os.environ | {"PYTHONPATH": str(ROOT)},
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


@pytest.mark.parity
def test_every_kind_ends_where_ddp_ends(tmp_path):
    """After 20 steps of AdamW, sizes that the processes do not divide among them."""
    first, second = found_in(tmp_path, 2)
    assert first == second
    ddp = first["float64"]["DDP"]
    kinds = {"DDP", "FSDP", "HSDP", "ZeRO 0", "ZeRO 1", "ZeRO 2", "ZeRO 3"}
    assert set(first["torch_ref"]) == kinds
    for name, found in (first["float64"] | first["torch_ref"]).items():
        assert distance(found, ddp) <= tol.FLOAT64_OF_PATH, name
    assert distance(first["start"], ddp) > 0.1
