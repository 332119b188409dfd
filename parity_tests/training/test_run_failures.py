"""A training run is killed ten times at random moments, and ends as if it had not been."""

import json
import os
import subprocess
import sys

import pytest

from parity_tests.harness.documents import ROOT

SMALL = ("--kills", "10", "--rows", "1000", "--epochs", "2", "--hidden", "8", "--every", "3")


@pytest.mark.long
def test_ten_kills_lose_nothing(tmp_path):
    """The example's own checks decide, and its exit status; two hundred are in the docs."""
    script, found = ROOT / "examples" / "benchmarks" / "run_failures.py", tmp_path / "kills.json"
    done = subprocess.run(
        [sys.executable, str(script), *SMALL, "--json", str(found)],
        env=os.environ | {"PYTHONPATH": str(ROOT), "JAX_PLATFORMS": "cpu"},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    kills, ends = json.loads(found.read_text())["tables"]
    assert kills["rows"][-1]["kills"] == 10
    assert kills["rows"][-1]["went on from the newest complete save"] == 10
    assert kills["rows"][-1]["left a save in part"] > 0
    (end,) = ends["rows"]
    assert end["runs that ended"] == end["as the uninterrupted run, bit for bit"] >= 1
