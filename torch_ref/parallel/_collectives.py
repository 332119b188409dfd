"""A tensor and the rank's share of it: flat, and padded to a multiple of the ranks."""

import torch
import torch.distributed as dist
from torch.nn import functional as F


def shard_of(tensor, group=None):
    """Return the rank's share of a tensor that every rank has."""
    return _padded(tensor, group).chunk(dist.get_world_size(group))[dist.get_rank(group)].clone()


def gathered(shard, shape, group=None):
    """Return the tensor of whose shares every rank has one: an all-gather."""
    whole = shard.new_empty(shard.numel() * dist.get_world_size(group))
    dist.all_gather_single(whole, shard, group=group)
    return whole[: torch.Size(shape).numel()].reshape(shape)


def scattered_mean(tensor, group=None):
    """Return the rank's share of the mean over ranks: a reduce-scatter."""
    padded, size = _padded(tensor, group), dist.get_world_size(group)
    own = padded.new_empty(padded.numel() // size)
    dist.reduce_scatter_single(own, padded, group=group)
    return own / size


def mean(tensor, group=None):
    """Return the mean over ranks, on every rank: an all-reduce."""
    summed = tensor.clone()
    dist.all_reduce(summed, group=group)
    return summed / dist.get_world_size(group)


def _padded(tensor, group):
    flat = tensor.reshape(-1)
    return F.pad(flat, (0, -flat.numel() % dist.get_world_size(group)))
