"""Two processes save together, restore onto another mesh, and are refused together."""

import json
import os
import socket
import subprocess
import sys
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np

import jaxaccel as ja
from parity_tests.harness.documents import ROOT

SCRIPT = Path(__file__).with_name("save_process.py")


def found_by_two(folder):
    """Run two processes, and return what each found."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = str(free.getsockname()[1])
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    running = [
        subprocess.Popen(
            [sys.executable, str(SCRIPT), str(rank), port, str(folder)],
            env=environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        for rank in range(2)
    ]
    try:
        said = [each.communicate(timeout=120)[0] for each in running]
    finally:
        for each in running:
            each.kill()
    assert [each.returncode for each in running] == [0, 0], "\n".join(said)[-4000:]
    return [json.loads(Path(f"{folder}.{rank}.json").read_text()) for rank in range(2)]


def test_two_processes_save_what_lies_over_both(tmp_path):
    folder = tmp_path / "run"
    first, second = found_by_two(folder)
    for found in (first, second):
        assert found["steps"] == [2]
        assert found["whole"] == [True] * 3
        assert found["places"] == [True] * 2
        assert found["key"] == [0, 1]
        assert found["alone"] == [[0, 1, 2], [0, 1, 2]]
        assert found["none"] == [[0, 4], True]
        assert found["epoch"] == 3
        assert "tree['numpy'] is another one on each process" in found["not alike"]
        assert "does not fit like" in found["another"]
        assert found["run"] == [2, [3.0, 3.0]]  # of five steps one is NaN, and one is taken back
    assert "FileExistsError: step 2 is saved already" in first["again"]
    assert "process 0 cannot save" in second["again"]
    assert ja.training.saved_steps(f"{folder}.run") == (4, 5)
    whole = np.arange(32.0, dtype=np.float32).reshape(8, 4)  # and one process reads it all
    like = {
        **dict.fromkeys(("split", "same", "halves"), jnp.zeros((8, 4), jnp.float32)),
        "key": jax.random.key(0),
        "alone": np.zeros(3, np.int32),
        "numpy": np.zeros(3, int),
        "none": np.zeros((0, 4), np.float32),
        "epoch": 0,
    }
    tree = ja.training.restore(folder, like).tree
    for name in ("split", "same", "halves"):
        np.testing.assert_array_equal(tree[name], whole)
