"""Residuals that wait for the backward pass in the host's memory."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import jax

DEVICE, HOST = "device", "pinned_host"
"""JAX's words for the memories of a device and of its host."""


def on_host(policy: Callable[..., Any]) -> Callable[..., Any]:
    """Return a policy that keeps in pinned memory of the host what another one keeps at all."""
    # JAX has no public name for this answer of a policy, but its own policies give it.
    of_products = jax.checkpoint_policies.offload_dot_with_no_batch_dims(DEVICE, HOST)
    no_batch = {"dimension_numbers": (((), ()), ((), ()))}
    there = of_products(jax.lax.dot_general_p, **no_batch)

    def offloads(primitive: Any, *operands: Any, **parameters: Any) -> Any:
        kept = policy(primitive, *operands, **parameters)
        return there if kept is True else kept

    return offloads
