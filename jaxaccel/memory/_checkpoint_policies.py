"""What a checkpoint keeps: by a word, by a function of one's own, by names, and in which memory."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Literal, TypeAlias

import jax

from jaxaccel.memory._offload import on_host

Policy: TypeAlias = (
    Literal["nothing", "dots", "dots_with_no_batch_dims", "everything"] | Callable[..., Any]
)
"""What is kept: a word, or JAX's form ``(primitive, *operands, **parameters) -> bool``."""

_OF_WORD: dict[str, Callable[..., Any]] = {
    "nothing": jax.checkpoint_policies.nothing_saveable,
    "dots": jax.checkpoint_policies.dots_saveable,
    "dots_with_no_batch_dims": jax.checkpoint_policies.dots_with_no_batch_dims_saveable,
    "everything": jax.checkpoint_policies.everything_saveable,
}


def kept_by(
    policy: Policy | None, names: Sequence[str] | None, offload: bool
) -> Callable[..., Any] | None:
    """Return JAX's policy for what is asked for; None where nothing is kept."""
    word = "nothing" if policy is None else policy
    if not callable(word) and word not in _OF_WORD:
        raise ValueError(
            f"policy must be one of {', '.join(map(repr, _OF_WORD))} or a function of "
            f"jax.checkpoint_policies, got {policy!r}"
        )
    keeps = word if callable(word) else _OF_WORD[word]
    if names is not None:
        keeps = _either(jax.checkpoint_policies.save_only_these_names(*names), keeps)
    if offload:
        keeps = on_host(keeps)
    return None if keeps is _OF_WORD["nothing"] else keeps


def _either(first: Callable[..., bool], second: Callable[..., Any]) -> Callable[..., Any]:
    """Return the policy that keeps what one of two keeps; the second may answer as JAX does."""

    def policy(primitive: Any, *operands: Any, **parameters: Any) -> Any:
        named = first(primitive, *operands, **parameters)
        return named or second(primitive, *operands, **parameters)

    return policy
