"""Strict JAX for every test: x64, 8 devices, no silent promotion of types or ranks.

Markers: ``parity`` is a test of every row against PyTorch in float64; ``quick`` is what runs
between edits (``pytest -m quick``). Of a parity test the quick rows of each function are quick.
``long`` is a test of over ten seconds: it runs first, so that no worker waits for it at the end.
"""

import os

# On the CPU unless the environment asks for another device (JAX_PLATFORMS=cuda,cpu).
ON_CPU = os.environ.get("JAX_PLATFORMS", "cpu") == "cpu"
if ON_CPU:
    # Compiling is what takes the time, and the formulas do not change. Where the last bit counts,
    # a test asks for harness.compiled.QUICK_COMPILE.
    os.environ.setdefault(
        "XLA_FLAGS",
        "--xla_backend_optimization_level=0 --xla_cpu_use_fusion_emitters=false"
        " --xla_cpu_parallel_codegen_split_count=1",
    )

import jax  # noqa: E402

if ON_CPU:
    jax.config.update("jax_platforms", "cpu")
jax.config.update("jax_num_cpu_devices", 8)
jax.config.update("jax_enable_x64", True)
jax.config.update("jax_numpy_dtype_promotion", "strict")
jax.config.update("jax_numpy_rank_promotion", "raise")

import torch  # noqa: E402  (after the flags, which must be set before the first array)

torch.set_num_threads(1)
for device in (torch.cuda, torch.xpu):
    # Of a GPU that is not there: a seed for it is kept with a traceback, which takes milliseconds.
    device.manual_seed_all = lambda seed: None

import ctypes  # noqa: E402
import gc  # noqa: E402
import pathlib  # noqa: E402
import resource  # noqa: E402
import sys  # noqa: E402

import pytest  # noqa: E402

from parity_tests.harness.compiled import forget_programs  # noqa: E402
from parity_tests.harness.kept import keep_programs  # noqa: E402
from parity_tests.harness.lowering import lower_sooner  # noqa: E402
from parity_tests.harness.quick import PLANTED_BUG  # noqa: E402
from parity_tests.registry import Case  # noqa: E402


def pytest_configure(config):
    lower_sooner()
    if ON_CPU:
        keep_programs(config)


# --- the quick tier -----------------------------------------------------------------------------


def pytest_ignore_collect(collection_path, config):
    """Do not even import, for the quick tier, a file that has nothing of it."""
    if config.option.markexpr != "quick" or not collection_path.name.startswith("test_"):
        return None
    text = collection_path.read_text(encoding="utf-8")
    return None if "mark.quick" in text or "mark.parity" in text else True


def pytest_collection_modifyitems(items):
    """Mark a parity test as quick on quick rows, with the first of what else it is asked for.

    Then put the long ones first.
    """
    for item in items:
        if item.get_closest_marker("parity") is None or not hasattr(item, "callspec"):
            continue
        params, indices = item.callspec.params, item.callspec.indices
        cases = [name for name, value in params.items() if isinstance(value, Case)]
        rest = [index for name, index in indices.items() if name not in cases]
        if all(params[name].is_quick for name in cases) and not any(rest):
            item.add_marker("quick")
    items.sort(key=lambda item: item.get_closest_marker("long") is None)  # the others as they were


# --- memory -------------------------------------------------------------------------------------


LITTLE, MUCH, MORE = 1.1, 1.2, 0.4
"""GB up to which a worker forgets nothing, and from which on it forgets within a module too,
whenever this much has come on top."""

_after_forgetting = 0.0


def pytest_collection_finish():
    """Look for garbage less often, and not among a million objects of torch, JAX and pytest."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(100_000, 20, 50)


@pytest.hookimpl(trylast=True)
def pytest_runtest_teardown(item, nextitem):
    """Keep a worker small: programs are shared within a module, few between modules."""
    global _after_forgetting
    at_the_end = nextitem is None or nextitem.path != item.path
    if (at_the_end and _resident() > LITTLE) or _resident() > max(MUCH, _after_forgetting + MORE):
        forget_programs()
        jax.clear_caches()
        gc.collect()
        if sys.platform == "linux" and hasattr(libc := ctypes.CDLL(None), "malloc_trim"):
            libc.malloc_trim(0)  # what is free goes back to the system
        _after_forgetting = _resident()


def _resident():
    """Return the resident size of this process in GB; 0 where the system does not say."""
    statm = pathlib.Path("/proc/self/statm")
    pages = int(statm.read_text().split()[1]) if statm.exists() else 0
    return pages * resource.getpagesize() / 2**30


WORKERS = {"main": None}


def _peak():
    """Return the largest resident size of this process so far, in GB."""
    unit = 2**30 if sys.platform == "darwin" else 2**20
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / unit


def pytest_sessionfinish(session):
    if hasattr(session.config, "workeroutput"):
        session.config.workeroutput["peak"] = _peak()


@pytest.hookimpl(optionalhook=True)
def pytest_testnodedown(node, error):
    WORKERS[node.gateway.id] = getattr(node, "workeroutput", {}).get("peak")


def pytest_terminal_summary(terminalreporter):
    if terminalreporter.config.option.capture == "no":
        _write_who_catches_what(terminalreporter)
    peaks = {name: peak for name, peak in (WORKERS | {"main": _peak()}).items() if peak}
    sizes = ", ".join(f"{name} {peak:.1f} GB" for name, peak in peaks.items())
    terminalreporter.write_line(f"largest resident size: {sizes}")


def _write_who_catches_what(terminalreporter):
    """Write a table of the planted bugs, if any were: each with the first test that fails."""
    found = [
        value
        for report in terminalreporter.getreports("passed")
        for name, value in report.user_properties
        if name == PLANTED_BUG
    ]
    width = max((len(bug) for bug, _ in found), default=0)
    for bug, test in found:
        terminalreporter.write_line(f"{bug:{width}}  {test}")


# --- fixtures -----------------------------------------------------------------------------------


@pytest.fixture
def no_draws(monkeypatch):
    """Compile no random generator for every shape of weights that are loaded anyway."""
    from jaxaccel.init import _draw

    for name in ("uniform", "normal", "trunc_normal"):
        monkeypatch.setattr(
            _draw, name, lambda key, shape, dtype, *_: jax.numpy.zeros(shape, dtype)
        )


@pytest.fixture
def compiled_anew(monkeypatch):
    """Take no program from the disk.

    JAX 0.10.2 loads some of a CPU's programs over two of a mesh's three axes so that they crash.
    """
    from jax._src import compilation_cache

    monkeypatch.setattr(compilation_cache, "get_executable_and_time", lambda *_, **__: (None, None))
