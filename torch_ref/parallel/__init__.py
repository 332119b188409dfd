"""DDP, ZeRO and FSDP as plain ``torch.distributed`` collectives over dictionaries of tensors."""

from torch_ref.parallel._data_parallel import data_parallel
from torch_ref.parallel._fully_shard import fully_shard
from torch_ref.parallel._zero import zero

__all__ = ["data_parallel", "fully_shard", "zero"]
