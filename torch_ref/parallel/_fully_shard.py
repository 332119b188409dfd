"""FullyShardedDataParallel."""

from torch_ref.parallel._collectives import gathered, mean, scattered_mean


def fully_shard(gradient_fn, shapes, group=None, replica_group=None):
    """Return a gradient function from shares of parameters to shares of gradients.

    Parameters are gathered for forward and backward, and gradients are scattered; an optimizer that
    treats every number by itself steps on the shares. FULL_SHARD frees what was gathered after each
    layer's forward and gathers it again for its backward, SHARD_GRAD_OP keeps it: the numbers are
    the same. With ``replica_group``, HYBRID_SHARD: the ranks that have the same share in other
    groups take the mean of what theirs have.
    """

    def sharded(shards, batch):
        params = {name: gathered(own, shapes[name], group) for name, own in shards.items()}
        grads = gradient_fn(params, batch)
        own = {name: scattered_mean(grad, group) for name, grad in grads.items()}
        if replica_group is None:
            return own
        return {name: mean(grad, replica_group) for name, grad in own.items()}

    return sharded
