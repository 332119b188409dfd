"""What a step's program and the places of its arrays say of a setup."""

from __future__ import annotations

import re
from collections import Counter
from typing import Any

import jax

from jaxaccel._lowering import lower_of
from jaxaccel.training._points_of_rate import Said
from jaxaccel.training._step_call import facts_of

PRODUCT = re.compile(
    r"stablehlo\.(?:dot_general|convolution)\b.*: \(tensor<(?:[\dx?]*x)?(\w+)>, "
    r"tensor<(?:[\dx?]*x)?(\w+)>\)"
)
"""A product's line, with the dtypes of its operands."""


def half_precision(step: Any, state: Any, batch: Any) -> Said:
    """Say in which dtypes the program multiplies, and whether float16 has its scaler."""
    remedy = 'precision.autocast(loss_fn, "cuda", or "tpu") before training.gradients'
    if batch is None:
        return "without a batch the program cannot be traced", None, f"give one; else {remedy}"
    text = lower_of(step)(state, batch).as_text()
    widths = Counter(min(pair, key=_bits) for pair in PRODUCT.findall(text))
    if not widths:
        return "the program has no products", False, remedy
    found = ", ".join(f"{count} products of {dtype}" for dtype, count in widths.most_common())
    half = sum(count for dtype, count in widths.items() if _bits(dtype) <= 16)
    if 2 * half < sum(widths.values()):
        return found, False, remedy
    has_scaler = getattr(state, "scaler", None) is not None
    if "f16" in widths and not has_scaler:
        scaler = "scaler=precision.grad_scaler() for train_step and train_state, or bfloat16"
        return f"{found}, without a scaler", False, scaler
    return found + (", with a scaler" if has_scaler else ""), True, ""


def _bits(dtype: str) -> int:
    """Return the width of a dtype by its name in a program (bf16, f32, f8E4M3FN)."""
    found = re.search(r"\d+", dtype)
    return int(found[0]) if found else 64


def clipped(step: Any) -> Said:
    """Say whether the step clips, where it says so."""
    facts = facts_of(step)
    if "max_grad_norm" not in facts:
        return "a step that is not train_step's does not say", None, "train_step(max_grad_norm=1.0)"
    norm = facts["max_grad_norm"]
    if norm is None:
        return (
            "train_step does not; a clip inside the optimizer cannot be seen",
            False,
            "train_step(max_grad_norm=1.0), or transforms.clip_grad_norm before the optimizer",
        )
    return f"to norm {norm}", True, ""


def spread(state: Any) -> Said:
    """Say over how many of the devices the state is, and how."""
    arrays = [leaf for leaf in jax.tree.leaves(state) if isinstance(leaf, jax.Array)]
    every, used = (
        jax.device_count(),
        max((len(each.sharding.device_set) for each in arrays), default=1),
    )
    if every == 1:
        return "there is one", True, ""
    if used == every:
        is_split = any(not each.sharding.is_fully_replicated for each in arrays)
        return f"{used}, the state {'split' if is_split else 'whole on each'}", True, ""
    return (
        f"{used} of {every}",
        False,
        "parallel.make_mesh() with parallel.data_parallel, or fully_shard where the state is too "
        "large for one",
    )
