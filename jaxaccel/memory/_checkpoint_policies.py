"""What a checkpoint keeps: by a word, by a function of one's own, by names, and in which memory."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence
from difflib import get_close_matches
from typing import Any, Literal, TypeAlias

import jax

from jaxaccel._operations import functions_without_names, names_of_results
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
        _check_names(names)
        keeps = _either(jax.checkpoint_policies.save_only_these_names(*names), keeps)
    if offload and keeps is _OF_WORD["nothing"]:
        raise ValueError(
            "offload=True is for what is kept, and nothing is; say what with policy='dots' or "
            "names=['linear'], or policy='everything' for PyTorch's save_on_cpu"
        )
    if offload:
        keeps = on_host(keeps)
    return None if keeps is _OF_WORD["nothing"] else keeps


def _either(first: Callable[..., bool], second: Callable[..., Any]) -> Callable[..., Any]:
    """Return the policy that keeps what one of two keeps; the second may answer as JAX does."""

    def policy(primitive: Any, *operands: Any, **parameters: Any) -> Any:
        named = first(primitive, *operands, **parameters)
        return named or second(primitive, *operands, **parameters)

    return policy


_OF_ATEN = {
    **dict.fromkeys(("addmm", "mm", "bmm", "matmul", "baddbmm"), "linear"),
    **dict.fromkeys(("convolution", "cudnn_convolution"), "conv2d"),
    **dict.fromkeys(("native_layer_norm",), "layer_norm"),
    **dict.fromkeys(("native_group_norm",), "group_norm"),
    **dict.fromkeys(("native_batch_norm", "cudnn_batch_norm"), "batch_norm"),
}
"""PyTorch's operator -> the function whose result it is."""


def _check_names(names: Sequence[str]) -> None:
    """Raise for names that only a misspelling of an operation explains; warn for what may be one.

    Any other word may be a user's own, of ``jax.ad_checkpoint.checkpoint_name``.
    """
    known = names_of_results()
    spelt = {_letters(each): each for each in known}
    nameless = {_letters(each): each for each in functions_without_names()}
    for name in names:
        if name in known:
            continue
        of_aten = name.replace("::", ".").removeprefix("torch.ops.")
        if of_aten.startswith("aten."):
            word = of_aten.split(".")[1].lstrip("_")
            near = _OF_ATEN.get(word) or spelt.get(_letters(word))
            if near is None and word.startswith("scaled_dot_product"):
                near = "scaled_dot_product_attention"
            remedy = f"{near!r}" if near else "'linear', 'conv2d', 'gelu'"
            raise ValueError(
                f"names must be names of torch.nn.functional's functions, got {name!r}, an "
                f"operator's; pass {remedy}"
            )
        if near := spelt.get(_letters(name)):
            raise ValueError(f"names has {name!r}, which no operation is called; pass {near!r}")
        if function := nameless.get(_letters(name)):
            warnings.warn(_nameless(name, function, known), stacklevel=4)
        elif close := get_close_matches(name, known, n=1, cutoff=0.8):
            warnings.warn(
                f"names has {name!r}, which no operation is called; did you mean {close[0]!r}? "
                "What checkpoint_name has named so is kept",
                stacklevel=4,
            )


def _nameless(name: str, function: str, known: frozenset[str]) -> str:
    """Return what is wrong with the name of a function whose results have another one, or none."""
    longer = [f"{each!r}" for each in sorted(known) if each.startswith(function)]
    of_others = f"pass {' or '.join(longer)}, or " if longer else ""
    return (
        f"names has {name!r}, and what functional.{function} returns has "
        f"{'another' if longer else 'no'} name: nothing is kept but what checkpoint_name has named "
        f"so. To keep it, {of_others}name it yourself, "
        f"checkpoint_name(x, 'my_{function}'); those that have names: {', '.join(sorted(known))}"
    )


def _letters(name: str) -> str:
    """Return a name without what PyTorch's classes and functions spell differently."""
    return name.lower().replace("_", "")
