"""Many devices: meshes, and data parallelism in three notations with one result."""

from jaxaccel._names import teach
from jaxaccel.parallel._data_parallel import data_parallel
from jaxaccel.parallel._mesh import make_mesh
from jaxaccel.parallel._placement import replicate, shard_batch

__all__ = ["make_mesh", "replicate", "shard_batch", "data_parallel"]

teach(__name__)
