"""DeepSpeed's ZeRO, stages 0 to 3."""

from torch_ref.parallel._collectives import gathered, mean, scattered_mean, shard_of


def zero(gradient_fn, update, shapes, stage=2, group=None):
    """Return ``step(params, opt_state, batch) -> (params, opt_state)``.

    ``update(params, grads, opt_state) -> (params, opt_state)`` treats every number by itself, so
    that from stage 1 on a rank updates only its share, with its share of the state. Stage 2 gives
    it no more of the gradients than that, and at stage 3 it keeps no more of the parameters:
    ``params`` are the shares (``shard_of``).
    """

    def step(params, opt_state, batch):
        whole = _gathered(params) if stage == 3 else params
        grads = gradient_fn(whole, batch)
        if stage == 0:
            return update(params, _each(mean, grads), opt_state)
        grads = _each(shard_of, _each(mean, grads)) if stage == 1 else _each(scattered_mean, grads)
        own = params if stage == 3 else _each(shard_of, params)
        own, opt_state = update(own, grads, opt_state)
        return own if stage == 3 else _gathered(own), opt_state

    def _each(collective, tensors):
        return {name: collective(tensor, group) for name, tensor in tensors.items()}

    def _gathered(shards):
        return {name: gathered(own, shapes[name], group) for name, own in shards.items()}

    return step
