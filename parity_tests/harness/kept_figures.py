"""What a compiler said of a program, kept while the program and the compiler stay the same.

Compiling for a TPU takes seconds, and an edit changes few programs. ``kept_figures.json`` holds the
figures of each by a digest of its text, the options, the versions and all code that reads the
figures off; of any other program they are read off anew. After a change write the file again:

    python -m parity_tests.harness.figures --keep
"""

import functools
import hashlib
import json
from importlib import metadata
from pathlib import Path

from parity_tests.harness.kept import machine

ROOT = Path(__file__).resolve().parents[2]
FILE = Path(__file__).with_suffix(".json")
READERS = (
    *(f"jaxaccel/aot/_{name}.py" for name in ("report", "count", "flops", "loops", "traffic")),
    "jaxaccel/_hlo.py",
    "examples/benchmarks/_steps.py",
    "parity_tests/harness/figures.py",
)

met = {}
"""Digest -> figures of all programs that this process has asked about."""


def kept_or_measured(lowered, device, measure, options=None):
    """Return ``measure(compiled)``, a dict of JSON's values, of a program that is not compiled."""
    of_cpu = machine() if device.platform == "cpu" else ""  # its code is for this processor
    asked = (lowered.as_text(), str(options), device.device_kind, of_cpu, measure.__qualname__)
    digest = hashlib.sha256("\n".join([*asked, *_versions(), _readers()]).encode()).hexdigest()
    if digest not in met:
        kept = _kept().get(digest)
        met[digest] = measure(lowered.compile(options)) if kept is None else kept
    return met[digest]


def keep():
    """Write down what this process has met, and nothing else."""
    FILE.write_text(json.dumps(met, indent=0, sort_keys=True) + "\n", encoding="utf-8")


@functools.cache
def _kept():
    return json.loads(FILE.read_text(encoding="utf-8")) if FILE.exists() else {}


@functools.cache
def _versions():
    """Return those of the compilers."""
    installed = {each.name: each.version for each in metadata.distributions()}
    return [f"{name} {installed.get(name)}" for name in ("jax", "jaxlib", "libtpu")]


@functools.cache
def _readers():
    """Return the code that reads the figures off a compiled program."""
    files = [path for pattern in READERS for path in sorted(ROOT.glob(pattern))]
    return "".join(
        path.read_text(encoding="utf-8") for path in [*files, FILE.with_name("figures.py")]
    )
