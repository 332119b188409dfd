"""DistributedDataParallel."""

from torch_ref.parallel._collectives import mean


def data_parallel(gradient_fn, group=None):
    """Return a gradient function whose gradients are the mean over ranks, each with its own rows.

    ``gradient_fn(params, batch) -> grads``, both dictionaries of tensors. Every rank has all
    parameters, all gradients and the whole optimizer state.
    """

    def parallel(params, batch):
        grads = gradient_fn(params, batch)
        return {name: mean(grad, group) for name, grad in grads.items()}

    return parallel
