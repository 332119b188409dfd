"""What to do about a wrong argument: PyTorch's words that are left out, values of another make."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import numpy as np
from jax.core import Tracer

from jaxaccel._arrays import has_numbers
from jaxaccel._uncalled import is_plateau, is_transformation

_NOT_HERE = "it says how PyTorch computes, and not what: leave it out, XLA decides"
_STATE = "give parameters to the transformation: tx = {0}(...), state = tx.init(params)"
_OF_LR = "give the learning rate as lr, and what this returns to the optimizer as its lr"
_OF_SCHEDULE = "leave it out: what this returns is given to an optimizer as its lr"
_READ_AT = "leave it out: a schedule is a function of the step, and goes on from the state's own"

LEFT_OUT = {
    "inplace": "leave it out: arrays are never changed in place",
    "device": "leave it out: jax.device_put or jax.default_device places arrays",
    "foreach": _NOT_HERE,
    "fused": _NOT_HERE,
    "capturable": _NOT_HERE,
    "differentiable": _NOT_HERE,
    "out": "leave it out: the result is returned",
    "requires_grad": "leave it out: jax.grad says what is differentiated",
    "memory_format": "leave it out: channels are last, and XLA chooses the layout",
    "enable_nested_tensor": "leave it out: arrays have one length; mask the padding",
    "pin_memory": "leave it out: ja.data.prefetch_to_device moves batches ahead of time",
    "use_reentrant": "leave it out: there is one way, and it does what use_reentrant=False does",
    "context_fn": "say names=, policy= or offload=",
    "determinism_check": "leave it out: the function is traced once, and not run again",
    "early_stop": "leave it out: only what the gradient needs is computed again",
    "num_workers": "leave it out, or use ja.data.data_loader_order's",
}
"""PyTorch's words that are no argument of anything here -> what to do instead."""

_DTYPES = "say param_dtype= and reduce_dtype=, or wrap the model: precision.cast(apply, policy)"
_UNWRAPPED = "leave it out: each array is gathered where it is used"

WHERE = {
    "params": {"-> Transformation": _STATE},
    "parameters": {"-> Transformation": _STATE},
    "optimizer": {
        "tx": "say tx=",
        "lr -> Schedule": _OF_LR,
        "lr -> Plateau": _OF_LR,
        "-> Schedule": _OF_SCHEDULE,
    },
    "last_epoch": {"-> Schedule": _READ_AT},
    "verbose": {"-> Schedule": "leave it out: print what the schedule returns"},
    "generator": {
        "rngs": "give it as rngs=",
        "key": "give random numbers as key=",
        "-> Initializer": "give it to what this returns, init(generator, shape)",
    },
    "tensor": {
        "-> Initializer": "leave it out: what this returns makes an array, init(key, shape, dtype)"
    },
    "size_average": {"reduction": 'say reduction="mean" or reduction="sum"'},
    "reduce": {"reduction": 'say reduction="none", "mean" or "sum"'},
    "sparse": {"padding_idx": "leave it out; for sparse gradients see ja.optimizers.sparse_adam"},
    "process_group": {"axis_name": "say axis_name=, the mapped axis of the mesh"},
    "seed": {
        "rngs": "say rngs=nnx.Rngs(seed), or rngs=ja.random.manual_seed(seed)",
        "key": "say key=jax.random.key(seed)",
        "generator": "say generator=ja.random.manual_seed(seed)",
    },
    "key": {"rngs": "say rngs=nnx.Rngs(key)"},
    "learning_rate": {"lr": "say lr="},
    "sharding_strategy": {"strategy": "say strategy='FULL_SHARD'"},
    "mixed_precision": {"param_dtype": _DTYPES},
    "mp_policy": {"param_dtype": _DTYPES},
    "auto_wrap_policy": {"param_persistence_threshold": _UNWRAPPED},
    "ignored_modules": {"param_persistence_threshold": _UNWRAPPED},
    "use_orig_params": {"param_persistence_threshold": _UNWRAPPED},
    "device_mesh": {"mesh": "say mesh="},
}
"""Words -> what of a function they are left out beside -> what to do instead; {0} is the function.

That is an argument of its own, what it returns, or both.
"""

OF_ARGUMENT = {
    "rngs": (
        "For a seed: nnx.Rngs(seed), or jaxaccel.random.manual_seed(seed) for PyTorch's own "
        "numbers; for a key: nnx.Rngs(key)"
    ),
    "mesh": "jaxaccel.parallel.make_mesh() makes one of all devices",
    "dtype": "PyTorch's torch.float32 is jnp.float32",
}
"""Arguments -> how they are made."""


def remedy_for_word(function: Any, word: str, known: Iterable[str]) -> str | None:
    """Return what to do instead of naming an argument that a function lacks."""
    from difflib import get_close_matches

    if found := get_close_matches(word, list(known), n=1, cutoff=0.75):
        return f"did you mean {found[0]}?"
    return LEFT_OUT.get(word) or _beside(function, word, known)


def _beside(function: Any, word: str, known: Iterable[str]) -> str | None:
    """Return what a word means to a function that has or returns something, if anything."""
    returned = str(function.__annotations__.get("return", ""))
    for what, remedy in WHERE.get(word, {}).items():
        argument, _, kind = what.partition("-> ")
        if kind in returned and (not argument or argument.strip() in known):
            return remedy.format(function.__name__)
    return None


def remedy_for_value(
    function: Any, name: str, what: str, value: Any, is_first: bool, made_by: type | None = None
) -> str | None:
    """Return how a value of the wrong kind is made into the right one."""
    if isinstance(value, type) and made_by is not None and issubclass(value, made_by):
        return f"that is the class; make one: {value.__name__}(...)"
    if is_plateau(value):
        return (
            "a plateau follows a metric and not the step; chain it: optax.chain(optimizer, "
            "plateau.transformation)"
        )
    word = left_out_first(function, value) if is_first else None
    if word and (remedy := _beside(function, word, [name])):
        return remedy
    if name in OF_ARGUMENT:
        return OF_ARGUMENT[name]
    if isinstance(value, Tracer):
        return "a traced value is not known yet: name the argument in jax.jit's static_argnames"
    if type(value).__module__.partition(".")[0] == "torch":
        return _of_torch(value, what)
    if isinstance(value, Iterator) and ("tuple" in what or "iterable" in what):
        return f"an iterator is used up when it is read: give list({name})"
    if "array" in what:
        return _of_array(value)
    if what == "bool" and isinstance(value, str):
        return "a text is true in Python, whatever it says"
    return None


def left_out_first(function: Any, value: Any) -> str | None:
    """Return PyTorch's name of a first argument that it changes in place, if that is given."""
    room = function.__module__.partition(".")[2].partition(".")[0]
    words = {"optimizers": "params", "schedules": "optimizer"}
    if room == "schedules":
        is_held = hasattr(value, "update") or hasattr(value, "param_groups")
    else:
        is_tree = isinstance(value, (Mapping, Iterable)) and _dimensions(value) != 0
        is_held = is_tree and not is_transformation(value) and not is_plateau(value)
    return words.get(room) if is_held and not isinstance(value, str) else None


def _dimensions(value: Any) -> int | None:
    """Return the number of axes of an array, NumPy's, JAX's or PyTorch's."""
    return getattr(value, "ndim", None)


def is_too_large(value: Any) -> bool:
    """Return whether an integer, or one of several, has more than 64 bits."""
    if isinstance(value, (list, tuple)):
        return any(map(is_too_large, value))
    return isinstance(value, int) and value.bit_length() > 64


def _of_torch(value: Any, what: str) -> str | None:
    """Return how what PyTorch made becomes ours."""
    name = type(value).__name__
    if name == "PackedSequence":
        return (
            "sequences are padded here: torch.nn.utils.rnn.pad_packed_sequence, and read the "
            "outputs of each sequence up to its length"
        )
    if name == "Generator":
        return "jaxaccel.random.manual_seed(seed) draws the same numbers"
    if name == "dtype":
        return OF_ARGUMENT["dtype"]
    if not hasattr(value, "detach"):
        return None
    if "array" in what or "JAX scalar" in what:
        return "jnp.asarray(tensor.detach().numpy()) makes an array of a tensor"
    if "tuple" in what:
        return "tensor.tolist() makes a list of a tensor"
    return "tensor.item() is its number" if what in ("int", "float", "bool") else None


def _of_array(value: Any) -> str | None:
    """Return how numbers become an array."""
    if isinstance(value, (int, float, complex, list, tuple)):
        return "jnp.asarray(value) makes one"
    if isinstance(value, np.ma.MaskedArray):
        return "a masked array is not one to JAX: array.filled(value) is"
    if isinstance(value, np.ndarray) and not has_numbers(value.dtype):
        return f"an array of {value.dtype} has no numbers; np.asarray(value, dtype) converts them"
    return None
