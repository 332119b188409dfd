"""XLA's flags for reproducible GPU programs: what is written, and when it is too late."""

import os
import subprocess
import sys
from pathlib import Path

import jax
import pytest

import jaxaccel as ja

ROOT = Path(__file__).parents[2]

SCRIPT = """
import os
import jax
import jaxaccel as ja
ja.training.set_deterministic()
ja.training.set_deterministic()
print(os.environ["XLA_FLAGS"])
ja.training.set_deterministic(False)
print(os.environ["XLA_FLAGS"])
ja.training.set_deterministic(True)
jax.numpy.ones(1).block_until_ready()  # XLA ends the process at a flag that it does not know
try:
    ja.training.set_deterministic(False)
except RuntimeError as error:
    print(error)
"""


def test_flags_are_written_once_and_taken_back_before_the_first_array():
    environment = {**os.environ, "JAX_PLATFORMS": "cpu"}
    environment["XLA_FLAGS"] = "--xla_cpu_use_fusion_emitters=true --xla_gpu_autotune_level=4"
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT],
        cwd=ROOT,
        env=environment,
        capture_output=True,
        text=True,
        check=True,
    )
    on, off, error = done.stdout.splitlines()
    kept = "--xla_cpu_use_fusion_emitters=true"
    assert on == f"{kept} --xla_gpu_deterministic_ops=true --xla_gpu_autotune_level=0"
    assert off == kept
    assert "at the start of the script" in error


def test_arrays_that_are_there_are_an_error_and_leave_the_flags(monkeypatch):
    jax.devices()
    monkeypatch.setenv("XLA_FLAGS", "--xla_gpu_autotune_level=4")
    with pytest.raises(RuntimeError, match="before the first array"):
        ja.training.set_deterministic()
    assert os.environ["XLA_FLAGS"] == "--xla_gpu_autotune_level=4"
