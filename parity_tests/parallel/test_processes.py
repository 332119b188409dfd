"""Two real processes of two devices each: the numbers of PyTorch's DistributedDataParallel."""

import json
import os
import socket
import subprocess
import sys
from pathlib import Path

import jax
import numpy as np
import pytest

import jaxaccel as ja
from parity_tests import tolerances as tol
from parity_tests.parallel import process

SECONDS = 120
"""After which processes that wait for each other are ended, and what they wrote is shown."""


def found_in(folder):
    """Run the processes, and return what each found."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = str(free.getsockname()[1])
    root = str(Path(ja.__file__).parents[1])
    environment = os.environ | {"PYTHONPATH": root, "JAX_PLATFORMS": "cpu"}
    slurm = {
        "SLURM_JOB_ID": "17",
        "SLURM_STEP_NODELIST": "localhost",
        "SLURM_NTASKS": str(process.PROCESSES),
        "JAX_COORDINATOR_PORT": port,
    }
    logs = [folder / f"log.{rank}" for rank in range(process.PROCESSES)]
    running = []
    for rank, log in enumerate(logs):
        command = [sys.executable, process.__file__, str(folder / "found")]
        own = environment | slurm | {"SLURM_PROCID": str(rank), "SLURM_LOCALID": str(rank)}
        with log.open("w") as out:
            running.append(subprocess.Popen(command, stdout=out, stderr=subprocess.STDOUT, env=own))
    try:
        codes = [each.wait(SECONDS) for each in running]
    except subprocess.TimeoutExpired:
        codes = "too slow"
    finally:
        for each in running:
            each.kill()
            each.wait()
    if codes != [0] * process.PROCESSES:
        said = "\n".join(f"--- {log.name}\n{log.read_text()[-4000:]}" for log in logs)
        pytest.fail(f"the processes ended with {codes}\n{said}")
    return [json.loads((folder / f"found.{rank}.json").read_text()) for rank in range(len(logs))]


REFUSED = {
    "the whole batch": ["all 2 processes hand in the same 16 rows", "whole=True", "whole=False"],
    "different rows as the whole": ["whole=True", "rows differ", "leave it out"],
    "different numbers of rows": ["process 0 8, process 1 6", "distributed_sampler"],
    "a process without rows": ["process 0 8, process 1 0", "distributed_sampler"],
    "rows that do not divide": ["7 rows", "2 devices", "multiple of 2"],
    "other leaves without rows": ["leaves that have no rows", "batch_axes"],
    "other dtypes": ["batches of different structures, shapes or dtypes"],
    "rows of two that hold the same": ["processes 0 and 1", "give both the same"],
    "a mesh of others": ["has no device in the mesh", "make the mesh of the devices of all"],
    "other parameters": ["['w']", "same seed in every process"],
    "a state of other parameters": ["['w']", "same seed in every process"],
    "other trees": ["trees of different structures"],
    "local rows to a step": ["batch['x'] ", "shard_batch(batch, mesh)"],
    "a local state to a step": ["state.", "train_state(..., mesh=mesh)"],
    "local rows to gradients": ["batch['x'] ", "shard_batch(batch, mesh)"],
    "local rows to evaluate": ["batch['x'] ", "mesh=mesh"],
    "rows sent ahead": ["several processes", "parallel.shard_batch"],
    "pmap": ["one process, got 2", "'shard_map'"],
}


@pytest.mark.long
def test_own_rows_of_each_process_are_one_batch(tmp_path):
    """One test, and so one pair of processes: what they train, what they refuse, what comes out."""
    found = found_in(tmp_path)
    devices = jax.devices()[: process.PROCESSES * process.DEVICES]
    mesh = ja.parallel.make_mesh(devices=devices)
    compressed = process.compressed(ja, mesh, lambda batch: batch)
    for rank, of_process in enumerate(found):
        for run, ours in of_process["trained"].items():
            assert ours == found[0]["trained"][run]
            _check_run(run, ours, of_process["ddp"])
        for way, ours in of_process["joined"].items():
            np.testing.assert_allclose(
                ours,
                of_process["ddp"]["joined"][way],
                rtol=tol.DEVICES_FLOAT64_OF_MAX,
                err_msg=way,
            )
        ways = of_process["joined"]
        assert len({tuple(ways[way]) for way in process.WEIGHTS}) == 3  # they do differ
        assert of_process["order"] == of_process["ddp"]["order"]
        assert set(of_process["trained"]) == set(process.RUNS)
        assert of_process["compressed"] == compressed
        _check_texts(rank, of_process["refused"]["texts"])
        _check_batches(of_process["refused"])
    _check_paused(*(of_process["paused"] for of_process in found))


def _check_run(run, ours, ddp):
    """A step, ``fit`` and ``evaluate``; accumulated, in two modes, both orders and axis types."""
    for name, value in ours.items():
        np.testing.assert_allclose(
            value, ddp[name], rtol=tol.DEVICES_FLOAT64_OF_MAX, err_msg=f"{run} {name}"
        )


def _check_paused(first, second):
    """Both end with the same step, and draw again what each had drawn from its own stream."""
    assert first["reason"] == second["reason"] == "SIGTERM"
    assert 2 < first["step"] == second["step"] < 400
    assert first["steps"] == second["steps"] == 400
    assert first["draws"][0] == first["draws"][1] != second["draws"][0] == second["draws"][1]


def _check_texts(rank, texts):
    """What would be taken for something else is refused."""
    assert set(texts) == set(REFUSED)
    for name, fragments in REFUSED.items():
        for fragment in fragments:
            assert fragment in texts[name], (rank, name, texts[name])


def _check_batches(refused):
    """Own rows add up, whole ones and those of processes that hold the same do not; keys too."""
    assert refused["shapes"] == {
        "own": [16, 5],
        "whole": [16, 5],
        "the same own rows": [8, 2],
        "data inside a process": [16, 5],
    }
    assert refused["key"] == jax.random.key_data(jax.random.key(3)).tolist()
