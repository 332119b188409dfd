"""The right name in the error for a wrong one: PyTorch's words, another room's, a misspelling."""

from __future__ import annotations

import re
import sys
from collections.abc import Mapping
from importlib import import_module
from typing import Any

PACKAGE = __name__.partition(".")[0]

WORDS = {
    # torch's modules
    "optim": "ja.optimizers (its lr_scheduler is ja.schedules)",
    "lr_scheduler": "ja.schedules",
    "swa_utils": (
        "ja.transforms.exponential_moving_average, ja.transforms.stochastic_weight_average, "
        "ja.training.average_weights, ja.schedules.swa_lr or ja.training.update_bn"
    ),
    "F": "ja.functional",
    "utils": (
        "ja.transforms (clip_grad_norm), ja.nn (weight_norm), ja.data (pad_sequence), or lengths= "
        "of a recurrent layer for pack_padded_sequence"
    ),
    "pack_padded_sequence": "lengths= of a recurrent layer: layer(x, lengths=lengths)",
    "upsample": "ja.functional.interpolate",
    "parametrize": "ja.nn (weight_norm, spectral_norm, orthogonal)",
    "parametrizations": "ja.nn (weight_norm, spectral_norm, orthogonal)",
    "amp": "ja.precision",
    "distributed": "ja.parallel",
    "cuda": "jax.devices()",
    "autograd": "jax.grad",
    "linalg": "jax.numpy.linalg",
    "distributions": "jax.random, or ja.random for PyTorch's bits",
    # rooms that are in functional now
    "normalization": "ja.functional",
    "activations": "ja.functional",
    "losses": "ja.functional",
    # nn
    "Module": "flax.nnx.Module",
    "Parameter": "flax.nnx.Param",
    "Buffer": "flax.nnx.Variable",
    "ModuleList": "flax.nnx.List",
    "ModuleDict": "flax.nnx.Dict",
    "DistributedDataParallel": "ja.parallel.data_parallel",
    # optim
    "Optimizer": "optax.GradientTransformation",
    "LRScheduler": "any function of the step",
    "AveragedModel": (
        "ja.training.average_weights with ja.transforms.exponential_moving_average or "
        "ja.transforms.stochastic_weight_average"
    ),
    "add_param_group": "ja.optimizers.param_groups",
    # schedules as transformers and others name them
    "get_scheduler": "ja.schedules.linear_schedule_with_warmup, or the schedule of that name",
    "get_cosine_with_min_lr_schedule_with_warmup_lr_rate": "ja.schedules.lambda_lr",
    "get_reduce_on_plateau_schedule": "ja.schedules.reduce_lr_on_plateau",
    # data
    "Dataset": "any pytree of arrays, or ja.data.ImageSet",
    "DataLoader": "ja.data.batches with ja.data.data_loader_order",
    "SubsetRandomSampler": "ja.data.random_sampler and an index",
    # torch itself
    "Tensor": "jax.Array",
    "tensor": "jax.numpy.asarray",
    "no_grad": "jax.lax.stop_gradient where jax.grad would follow",
    "compile": "jax.jit",
    "vmap": "jax.vmap",
    "func": "jax.grad, jax.vmap, jax.jvp",
    "backward": "jax.grad, or ja.training",
    "seed": "ja.random.manual_seed",
    "rand": "ja.random.Generator(seed).rand",
    "randn": "ja.random.Generator(seed).randn",
    "randint": "ja.random.Generator(seed).randint",
    "randperm": "ja.random.Generator(seed).randperm",
}
"""PyTorch's words that no rule finds -> what to use instead."""


def teach(module_name: str) -> None:
    """Let a room answer a wrong name with the right one, and list its public names only."""
    module: Any = sys.modules[module_name]

    def unknown(name: str) -> Any:
        raise unknown_name(module_name, name)

    module.__getattr__ = unknown
    module.__dir__ = lambda: public(vars(module))


def public(namespace: Mapping[str, Any]) -> list[str]:
    """Return what ``dir`` of a module shows: what is public, and what Python itself puts there."""
    special = (name for name in namespace if name.startswith("__"))
    return sorted({*namespace["__all__"], *special})


def unknown_name(module_name: str, name: str) -> AttributeError:
    """Return the error for a name that a module lacks; its text says which one to use."""
    text = f"module {module_name!r} has no attribute {name!r}"
    if name.startswith("_"):
        return AttributeError(text, name=name)
    where = module_name.replace(PACKAGE, "ja", 1)
    found = _found(where, name)
    if found:
        text += f"; use {' or '.join(found)}"
    elif name in WORDS:
        text += f"; use {WORDS[name]}"
    elif near := _near(where, name):
        text += f"; did you mean {' or '.join(near)}?"
    else:
        text += f"; dir({where}) lists what it has"
    return AttributeError(text, name=name)


def _rooms() -> dict[str, list[str]]:
    """Return the public names of every room."""
    rooms = import_module(PACKAGE).__all__
    return {f"ja.{room}": list(import_module(f"{PACKAGE}.{room}").__all__) for room in rooms}


def _found(where: str, name: str) -> list[str]:
    """Return the public names that PyTorch's name becomes, those of the room itself first."""
    rooms = _rooms()
    if f"ja.{name}" in rooms:
        return [f"ja.{name}"]
    own = {where: rooms[where]} if where in rooms else {}
    in_other_case = [each for each in own.get(where, ()) if each.lower() == name.lower()]
    for spelling in (name, *in_other_case, *_spellings(name)):
        if found := [f"{r}.{spelling}" for r, names in (own | rooms).items() if spelling in names]:
            return found
    return []


def _spellings(name: str) -> list[str]:
    """Return how a name of PyTorch's may be spelt here, the likeliest first."""
    plain = name.rstrip("_")
    words = re.sub(r"([A-Z]+)([A-Z][a-z])|([a-z0-9])([A-Z])", _split, plain).lower()
    short = re.sub(r"^get_|_loss$|_2d$", "", words)
    return [plain, plain.lower(), words, short, words.replace("_", "")]


def _split(match: re.Match[str]) -> str:
    """Put an underscore between the two halves of what was matched."""
    return "_".join(filter(None, match.groups()))


def _near(where: str, name: str) -> list[str]:
    """Return public names that are spelt nearly so, by their full names."""
    from difflib import get_close_matches

    rooms = _rooms()
    own = {where: rooms[where]} if where in rooms else rooms
    for choice in (own, rooms):
        spelt = {each.lower(): f"{room}.{each}" for room, names in choice.items() for each in names}
        spelt |= {room.removeprefix("ja."): room for room in choice} if where == "ja" else {}
        if near := get_close_matches(name.lower().rstrip("_"), spelt, n=2, cutoff=0.75):
            return [spelt[each] for each in near]
    return []
