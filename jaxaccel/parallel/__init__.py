"""Many devices and processes: meshes, data parallelism in three notations, ZeRO and FSDP."""

from jaxaccel._names import teach
from jaxaccel.parallel._cluster import Cluster
from jaxaccel.parallel._data_parallel import data_parallel
from jaxaccel.parallel._distribute_state import distribute_state
from jaxaccel.parallel._fully_shard import fully_shard
from jaxaccel.parallel._initialize import initialize
from jaxaccel.parallel._launch import launch
from jaxaccel.parallel._mesh import make_mesh
from jaxaccel.parallel._placement import replicate, shard_batch
from jaxaccel.parallel._spawn import spawn
from jaxaccel.parallel._watchdog import watchdog
from jaxaccel.parallel._zero import zero

__all__ = [
    "make_mesh",
    "replicate",
    "shard_batch",
    "distribute_state",
    "data_parallel",
    "fully_shard",
    "zero",
    "initialize",
    "Cluster",
    "launch",
    "spawn",
    "watchdog",
]

teach(__name__)
