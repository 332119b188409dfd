"""What every argument must refuse, by its annotation; one that says nothing must be explained."""

import collections.abc as abc
import os
import types
import typing

import jax
import numpy as np
import optax
import torch
from flax import nnx

from jaxaccel._types import Meant, Number


class Stranger:
    """An object that nothing is expected of."""

    def __repr__(self):
        return "Stranger()"


VALUES = {
    "none": None,
    "bool": True,
    "integer": 3,
    "whole float": 2.0,
    "float": 0.1,
    "complex": 1j,
    "text": "no such word",
    "bytes": b"x",
    "object": Stranger(),
    "texts": ["a", "b"],
    "mapping": {"a": Stranger()},
    "objects": np.array([None, 1]),
    "array of texts": np.array(["a"]),
    "torch tensor": torch.ones(2),
    "torch dtype": torch.float32,
    "function": abs,
    "module": torch.nn.ReLU(),
    "class": Stranger,
    "package": np,
    "iterator": iter(()),
    "masked array": np.ma.masked_array([1.0, 2.0], [True, False]),
    "keys": jax.random.split(jax.random.key(0)),
}
"""What is handed to every argument that its annotation does not say it may be."""

FITS = {
    bool: {"bool"},
    int: {"integer"},
    np.integer: {"integer", "whole float"},
    float: {"integer", "float", "whole float"},
    np.number: {"integer", "float", "whole float"},
    str: set(),
    type(None): {"none"},
    jax.Array: set(),
    np.ndarray: set(),
    abc.Callable: {"function", "module"},
    abc.Sequence: set(),
    abc.Iterable: {"objects", "array of texts", "torch tensor", "iterator"},
    abc.Sized: {
        *("mapping", "texts", "objects", "array of texts", "torch tensor"),
        *("masked array", "keys"),
    },
    abc.Mapping: set(),
    tuple: set(),
    nnx.Rngs: set(),
    nnx.Module: set(),
    optax.GradientTransformation: set(),
    os.PathLike: set(),
}
"""What a part of an annotation may be. A word that is none of the function's is refused too."""


def parts(annotation):
    """Yield the parts of an annotation, a union's members one by one."""
    if typing.get_origin(annotation) in (typing.Union, types.UnionType):
        for member in typing.get_args(annotation):
            yield from parts(member)
    elif typing.get_origin(annotation) is typing.Annotated:
        is_number = any(isinstance(mark, Number) for mark in annotation.__metadata__)
        yield from parts(annotation.__origin__) if is_number else [annotation]
    else:
        yield annotation


def fitting(part):
    """Return the names of the values that a part of an annotation may be."""
    if isinstance(part, typing.TypeVar):
        return fitting(part.__bound__ or typing.Any)
    if typing.get_origin(part) is typing.Annotated:
        assert isinstance(part.__metadata__[0], Meant)
        return set()
    if part in (typing.Any, object):
        return set(VALUES)
    origin = typing.get_origin(part) or part
    if origin is typing.Literal:
        return set()
    if getattr(origin, "_is_protocol", False) and hasattr(origin, "__call__"):  # noqa: B004
        return FITS[abc.Callable]
    if origin in (abc.Sequence, abc.Iterable) and {str, typing.Any} & {
        *(item for each in typing.get_args(part) for item in parts(each))
    }:
        return FITS[origin] | {"texts"}
    if origin is abc.Mapping and typing.get_args(part)[1] is typing.Any:
        return {"mapping"}
    return FITS.get(origin, set())


TREES = {"params", "updates", "tensors", "grads"}
"""Arguments that are pytrees of arrays, or one number."""

TEXTS = {
    "scale_mode": "PyTorch reads it only beside a scale_fn",
    **dict.fromkeys(("path", "config", "record"), "any path is a path"),
    **dict.fromkeys(("monitor", "metric"), "any text may name a number"),
    "group": "any text may name a group, which the state knows",
    "resume": "any text is a folder, as folder",
    "axis": "names a mapped axis, as axis_name",
    "folder": "any text is a folder that can be made, or one where nothing is",
    "prefix": "any text may come before the names",
    "ignore": "any text is a pattern of names",
    "axis_name": "any text names a mapped axis; that there is none JAX says where it is read",
}
"""Arguments that any text fits -> why."""

OF_THE_USER = "a tree of the user's, which the body holds against the other trees"
ANYTHING = {
    "optimizers.no_decay.leaf": "whatever has a number of axes",
    "optimizers.load_state_dict.step": "a number for some optimizers, which the body asks for",
    "data.prefetch_to_device.sharding": "what jax.device_put takes",
    "training.split_model.trainable": "a filter of nnx",
    "training.gradients.trainable": "as of split_model",
    **{f"optimizers.{kind}_hyperparams.state": OF_THE_USER for kind in ("has", "get", "set")},
    **{
        f"optimizers.{kind}state_dict.{argument}": OF_THE_USER
        for kind in ("", "load_")
        for argument in ("state", "model", "tx")
    },
    **{f"transforms.{f}.axis_name": OF_THE_USER for f in ("clip_grad_norm", "get_total_norm")},
    **{f"training.{f}.model_state": OF_THE_USER for f in ("merge", "train_state", "evaluate")},
    **{
        f"{function}.batch_axes": OF_THE_USER
        for function in (
            *("training.accumulate", "training.join_micro_batches", "training.fit"),
            *("training.evaluate", "parallel.shard_batch", "parallel.data_parallel"),
            *("parallel.fully_shard", "parallel.zero"),
        )
    },
    "optimizers.muon_with_adamw.matrices": "a pattern, a predicate or a mask, told apart inside",
    "training.fit.state": OF_THE_USER,
    "tuning.lr_find.state": OF_THE_USER,
    "training.checklist.state": OF_THE_USER,
    "training.checklist.batch": OF_THE_USER,
    "data.random_choice.inputs": "whatever the functions take",
    "data.pad_to_bucket.batch": "a tree of the user's, of which the body asks one size",
    "memory.checkpoint_sequential.input": "whatever the first function takes",
    "memory.report.state": OF_THE_USER,
    "memory.report.batch": OF_THE_USER,
    "memory.max_batch_size.state": OF_THE_USER,
    "training.unpacked.tree": OF_THE_USER,
    "training.packed_as.tree": OF_THE_USER,
    "training.packed_as.like": OF_THE_USER,
    "training.save.tree": OF_THE_USER,
    "training.restore.like": OF_THE_USER,
    "parallel.replicate.tree": OF_THE_USER,
    "parallel.shard_batch.tree": OF_THE_USER,
    "parallel.distribute_state.state": OF_THE_USER,
    "parallel.comm_state.model_state": OF_THE_USER,
}
"""Arguments whose annotation lets everything pass -> why."""

ROLES = {
    "gradient_fn": "takes a gradient function",
    "loss_fn": "takes a loss function",
    "tx": "takes a transformation",
    "batches": "batch",
    "shape": "mesh axis",
    "param": "negative_slope",
}
"""Arguments -> how the function calls what it takes there."""

MODES = ("mode is invalid and scale_fn is None",)
TYPES = ("Unknown warmup type: no such word", "Unknown decay type: no such word")
SLOPES = ("negative_slope", "Mode no such word not supported")
GELU = ("approximate argument must be either none or tanh",)
BAG = ("mode has to be one of sum, mean or max",)
ZEROS = ('Only "zeros" padding mode is supported for ConvTranspose',)
OWN_TEXTS = {
    "optimizers.lbfgs": ("only 'strong_wolfe' is supported",),
    "optimizers.muon": ("Adjust learning rate function no such word is not supported",),
    "schedules.cyclic_lr": MODES,
    "schedules.cyclic_momentum": MODES,
    "schedules.reduce_lr_on_plateau": ("threshold mode no such word is unknown!",),
    "schedules.wsd_schedule": TYPES,
    "init.calculate_gain": SLOPES,
    "init.kaiming_uniform": SLOPES,
    "init.kaiming_normal": SLOPES,
    "functional.embedding_bag": BAG,
    "functional.gelu": GELU,
    **{f"nn.ConvTranspose{axes}d": ZEROS for axes in (1, 2, 3)},
    "nn.GELU": GELU,
    **{f"nn.{layer}": ("dropout should be a number in range",) for layer in ("RNN", "LSTM", "GRU")},
    "nn.EmbeddingBag": BAG,
    "nn.remove_parametrizations": (
        "Module Linear does not have a parametrization on no such word",
    ),
    "data.load": ("Unknown image set 'no such word'",),
    "data.random_crop": ("Padding mode should be either constant, edge",),
    "data.random_erasing": ("If value is str, it should be 'random'",),
    "training.evaluate": ("batch is a builtins.str", "a batch to evaluate must have rows"),
    "parallel.make_mesh": ("mesh axis 'a' must be a whole number",),
}
"""Function -> PyTorch's texts, and those of what is inside a value: they need not name both."""


def wrong_values(name, argument, annotation):
    """Return {word: value} of the values that an argument must refuse."""
    fits = set().union(*map(fitting, parts(annotation)))
    if argument in TREES:
        fits |= {"integer", "float", "whole float", "complex", "keys"}
    if argument in TEXTS:
        fits.add("text")
    return {word: value for word, value in VALUES.items() if word not in fits}
