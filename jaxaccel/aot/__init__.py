"""Programs for machines that are not here: the vendors' compilers, and what they say of a step."""

from jaxaccel._names import teach
from jaxaccel.aot._cache import compilation_cache
from jaxaccel.aot._collectives import Collective
from jaxaccel.aot._compile import compile_for
from jaxaccel.aot._executables import load_executable, save_executable
from jaxaccel.aot._info import Info, info
from jaxaccel.aot._recompiles import Recompile, count_recompiles
from jaxaccel.aot._report import Report, report
from jaxaccel.aot._topology import topology_devices

__all__ = [
    "compilation_cache",
    "topology_devices",
    "compile_for",
    "report",
    "Report",
    "Collective",
    "save_executable",
    "load_executable",
    "count_recompiles",
    "Recompile",
    "info",
    "Info",
]

teach(__name__)
