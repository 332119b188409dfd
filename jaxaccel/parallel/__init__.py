"""Many devices and processes: meshes, data parallelism in three notations, ZeRO and FSDP."""

from jaxaccel._names import teach
from jaxaccel.parallel._cluster import Cluster
from jaxaccel.parallel._comm_hook import CommHook, CommState, comm_state
from jaxaccel.parallel._compress_hooks import (
    bf16_compress_hook,
    fp16_compress_hook,
    int8_compress_hook,
)
from jaxaccel.parallel._data_parallel import data_parallel
from jaxaccel.parallel._distribute_state import distribute_state
from jaxaccel.parallel._fully_shard import fully_shard
from jaxaccel.parallel._initialize import initialize
from jaxaccel.parallel._launch import launch
from jaxaccel.parallel._mesh import make_mesh
from jaxaccel.parallel._placement import replicate, shard_batch
from jaxaccel.parallel._power_sgd_hook import power_sgd_hook
from jaxaccel.parallel._spawn import spawn
from jaxaccel.parallel._watchdog import watchdog
from jaxaccel.parallel._zero import zero

__all__ = [
    "make_mesh",
    "replicate",
    "shard_batch",
    "distribute_state",
    "data_parallel",
    "bf16_compress_hook",
    "fp16_compress_hook",
    "int8_compress_hook",
    "power_sgd_hook",
    "comm_state",
    "CommHook",
    "CommState",
    "fully_shard",
    "zero",
    "initialize",
    "Cluster",
    "launch",
    "spawn",
    "watchdog",
]

teach(__name__)
