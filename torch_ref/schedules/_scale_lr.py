"""The learning rate for another batch size."""

import math

import torch


def scale_lr(optimizer, base_batch_size, batch_size, rule="linear"):
    """Scale an optimizer's learning rates, tuned for one batch size, to another.

    It goes before schedulers: they remember the rates that they find.
    """
    for name, size in (("base_batch_size", base_batch_size), ("batch_size", batch_size)):
        if size < 1:
            raise ValueError(f"{name} must be at least 1, got {size}")
    if rule not in ("linear", "sqrt"):
        raise ValueError(f"rule must be 'linear' or 'sqrt', got {rule!r}")
    if any("initial_lr" in group for group in optimizer.param_groups):
        raise RuntimeError(
            "a scheduler has noted these learning rates already; call scale_lr before making it"
        )
    ratio = batch_size / base_batch_size
    for group in optimizer.param_groups:
        scaled = group["lr"] * (ratio if rule == "linear" else math.sqrt(ratio))
        if isinstance(group["lr"], torch.Tensor):
            group["lr"].copy_(scaled)
        else:
            group["lr"] = scaled
