"""Every argument of every public function refuses what is wrong, in words that name it.

The values are chosen by the annotation, and an annotation that says nothing must be explained. Only
what raises runs: nothing is compiled.
"""

import collections.abc as abc
import inspect
import os
import traceback
import types
import typing
from pathlib import Path

import jax
import numpy as np
import optax
import pytest
import torch
from flax import nnx

import jaxaccel as ja
from jaxaccel import _checked
from jaxaccel._call_repr import in_brief
from jaxaccel._types import Meant, Number
from parity_tests.harness.errors import assert_no_faults
from parity_tests.house.valid_calls import GENERATOR, parameters, public, valid_arguments

LIBRARY = str(Path(ja.__file__).parent)
ROOMS = (
    "optimizers",
    "schedules",
    "transforms",
    "init",
    "random",
    "functional",
    "nn",
    "models",
    "precision",
    "data",
    "training",
    "parallel",
)


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
    abc.Iterable: {"objects", "array of texts", "torch tensor"},
    abc.Sized: {"mapping", "texts", "objects", "array of texts", "torch tensor"},
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
    "path": "any path is a path",
    "axis": "names a mapped axis, as axis_name",
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
        )
    },
    "training.fit.state": OF_THE_USER,
    "parallel.replicate.tree": OF_THE_USER,
    "parallel.shard_batch.tree": OF_THE_USER,
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

PYTORCHS = (
    "float() argument must be a string or a real number",
    "could not convert string to float",
    "only 0-dimensional arrays can be converted to Python scalars",
    "only one element tensors can be converted to Python scalars",
    "Sequential Schedulers expects number of schedulers provided to be one more than",
    "SequentialLR at index 0 should be a schedule",
    "ChainedScheduler at index 0 should be a schedule",
    "dropout should be a number in range",
    "batch is a builtins.str",
    "a batch to evaluate must have rows",
    "mesh axis 'a' must be a whole number",
    "Error(s) in loading state_dict for Linear",
    "num_samples should be",
    "replacement should be",
    "batch_size should be",
    "drop_last should be",
    "weights should be",
    "only 'strong_wolfe' is supported",
    "Adjust learning rate function no such word is not supported",
    "Mode no such word not supported",
    "mode is invalid and scale_fn is None",
    "threshold mode no such word is unknown!",
    "Unknown warmup type: no such word",
    "Unknown decay type: no such word",
    "mode has to be one of sum, mean or max",
    "approximate argument must be either none or tanh",
    'Only "zeros" padding mode is supported for ConvTranspose',
    "Module Linear does not have a parametrization on no such word",
    "negative_slope",
    "Expected state_dict to be dict-like",
    "Unknown image set 'no such word'",
)
"""Texts of PyTorch's, and of what is inside a value: they need not name argument and value."""


def wrong_values(name, argument, annotation):
    """Return {word: value} of the values that an argument must refuse."""
    fits = set().union(*map(fitting, parts(annotation)))
    if argument in TREES:
        fits |= {"integer", "float", "whole float", "complex"}
    if argument in TEXTS:
        fits.add("text")
    return {word: value for word, value in VALUES.items() if word not in fits}


def refusal_of(call, argument, value):
    """Return what is wrong with how a call refuses a value; None where it is as it should be."""
    try:
        call()
    except Exception as error:
        *_, last = traceback.walk_tb(error.__traceback__)
        where = f"{Path(last[0].f_code.co_filename).name}:{last[1]}"
        line = traceback.extract_tb(error.__traceback__)[-1].line
        if not last[0].f_code.co_filename.startswith(LIBRARY) or not line.startswith("raise"):
            return f"is refused by {where} and not by us: {type(error).__name__}: {error}"
        if str(error).startswith(PYTORCHS):
            return None
        if not isinstance(error, (TypeError, ValueError)):
            return f"is refused with {type(error).__name__}: {error}"
        if argument not in str(error) and ROLES.get(argument, argument) not in str(error):
            return f"is refused without the argument's name ({where}): {error}"
        if not any(word in str(error) for word in words_of(value)):
            return f"is refused without the value ({where}): {error}"
        return None
    return "is accepted"


def words_of(value):
    """Return how a value, or the first thing in it, may be named in a text."""
    kind = type(value).__name__
    if kind == "str":
        return [value, " str", "'str'"]
    whole = [str(int(value))] if kind == "float" and value == int(value) else []
    items = [*value] if isinstance(value, (list, np.ndarray)) else []
    named = [
        word
        for item in items
        for word in (repr(item), f"'{item}'", f"got {item}", f"of type {type(item).__name__}")
    ]
    shape = [f"got shape {value.shape}"] if isinstance(value, np.ndarray) else []
    return [repr(value), str(value), in_brief(value), kind, *whole, *named, *shape]


def function_faults(name, function):
    """Yield what is wrong with how a function refuses what is wrong."""
    given, missing = valid_arguments(name, function)
    if missing:
        yield name, f"has no valid call: say {', '.join(missing)} in valid_calls.py"
        return
    own = function.__init__ if inspect.isclass(function) else function
    hints = typing.get_type_hints(own, include_extras=True)
    for argument in parameters(function):
        wrong = wrong_values(name, argument, hints.get(argument, typing.Any))
        if bool(wrong) == (f"{name}.{argument}" in ANYTHING):
            yield f"{name}.{argument}", "its annotation says nothing, or ANYTHING explains too much"
        for word, value in wrong.items():
            fault = refusal_of(
                lambda v=value, a=argument: function(**{**given, a: v}), argument, value
            )
            if fault:
                yield f"{name}({argument}={word})", fault
    for words, fault in binding_faults(function, given):
        yield f"{name}({words})", fault


def binding_faults(function, given):
    """Yield what is wrong with how a call that does not fit the signature is refused."""
    if not takes_any(function, inspect.Parameter.VAR_KEYWORD):
        for word in ("no_such_argument", "device"):
            fault = refusal_of(lambda w=word: function(**given, **{w: "cpu"}), word, "cpu")
            if fault:
                yield f"{word}=", fault
    positional = [p for p in parameters(function).values() if p.kind is not p.KEYWORD_ONLY]
    if not takes_any(function, inspect.Parameter.VAR_POSITIONAL):
        values = [given.get(p.name, p.default) for p in positional]
        others = {n: v for n, v in given.items() if n not in {p.name for p in positional}}
        extra = Stranger()
        fault = refusal_of(lambda: function(*values, extra, **others), "by position", extra)
        if fault:
            yield "one more", fault
    for name, parameter in parameters(function).items():
        if parameter.default is parameter.empty:
            others = {n: v for n, v in given.items() if n != name}
            fault = refusal_of(lambda others=others: function(**others), name, name)
            if fault:
                yield f"without {name}", fault


def takes_any(function, kind):
    own = function.__init__ if inspect.isclass(function) else function
    return any(each.kind is kind for each in inspect.signature(own).parameters.values())


def test_every_argument_refuses_what_is_wrong():
    assert_no_faults(
        fault
        for name, function in public(ROOMS).items()
        for fault in function_faults(name, function)
    )


def call_faults(name, layer):
    """Yield what is wrong with how a layer refuses what is not an array, when it is called."""
    given, _ = valid_arguments(name, layer)
    made = layer(**given)
    hints = typing.get_type_hints(layer.__call__, include_extras=True)
    arrays = [n for n in inspect.signature(made).parameters if hints.get(n) is jax.Array]
    for argument in arrays:
        others = {each: np.ones((2, 3), np.float32) for each in arrays if each != argument}
        for word in ("none", "float", "text", "texts", "objects", "torch tensor", "object"):
            value = VALUES[word]
            fault = refusal_of(lambda: made(**others, **{argument: value}), argument, value)  # noqa: B023
            if fault:
                yield f"{name}(...)({argument}={word})", fault


def test_every_layer_refuses_what_is_not_an_array():
    layers = {n: v for n, v in public(("nn",)).items() if inspect.isclass(v)}
    without = {"nn.Sequential", "nn.Identity"}  # take whatever their first layer takes
    faults = {n: [*call_faults(n, v)] for n, v in layers.items() if n not in without}
    assert_no_faults(fault for found in faults.values() for fault in found)


IMAGES = np.ones((2, 3, 8, 8), np.float32)
PACKED = torch.nn.utils.rnn.pack_sequence([torch.ones(2, 3)])
REMEDIES = {
    **{
        f"{layer.__name__} of NCHW": (layer(3, *more), IMAGES, "pass x.transpose(0, 2, 3, 1)")
        for layer, *more in (
            (lambda n: ja.nn.Conv2d(n, 4, 3, rngs=GENERATOR),),
            (lambda n: ja.nn.ConvTranspose2d(n, 4, 3, rngs=GENERATOR),),
            (ja.nn.BatchNorm2d,),
            (ja.nn.GroupNorm, 3),
            (lambda n: ja.nn.InstanceNorm2d(n, affine=True),),
        )
    },
    "PyTorch's weight": (
        lambda x: ja.functional.linear(x, np.ones((4, 3), np.float32)),
        np.ones((2, 3), np.float32),
        "pass weight.T",
    ),
    "classes on axis 1": (
        lambda x: ja.functional.cross_entropy(x, np.zeros((2, 8, 8), np.int32)),
        IMAGES,
        "pass input.transpose(0, 2, 3, 1), or say class_axis=1",
    ),
    **{
        f"{layer.__name__} of a packed sequence": (
            layer(3, 4, rngs=GENERATOR),
            PACKED,
            "pad_packed_sequence",
        )
        for layer in (ja.nn.RNN, ja.nn.LSTM, ja.nn.GRU)
    },
    "inplace": (lambda x: ja.nn.ReLU(inplace=x), True, "never changed in place"),
    "inplace by position": (lambda x: ja.nn.Dropout(0.5, x), True, "inplace is left out"),
    "parameters": (lambda x: ja.optimizers.adamw(x, 0.1), {"w": IMAGES}, "state = tx.init(params)"),
    "an optimizer": (lambda x: ja.schedules.step_lr(x, 3), ja.optimizers.sgd(0.1), "as its lr"),
    "fused": (lambda x: ja.optimizers.adamw(fused=x), True, "XLA decides"),
    "a text for a switch": (lambda x: ja.optimizers.sgd(maximize=x), "False", "true in Python"),
    "a factory": (lambda x: ja.optimizers.lookahead(x), ja.optimizers.sgd, "first: sgd(...)"),
    "size_average": (
        lambda x: ja.functional.mse_loss(IMAGES, IMAGES, size_average=x),
        True,
        'reduction="mean"',
    ),
    "a misspelt word": (lambda x: ja.optimizers.adam(weight_decays=x), 0.1, "did you mean weight_"),
}


def test_the_remedy_is_in_the_text():
    for why, (call, value, remedy) in REMEDIES.items():
        with pytest.raises((TypeError, ValueError)) as raised:
            call(value)
        assert remedy in str(raised.value), (why, str(raised.value))


def test_a_traced_switch_is_refused():
    x = np.ones(2, np.float32)
    with pytest.raises(TypeError, match="static_argnames"):
        jax.jit(lambda training: ja.functional.dropout(x, 0.5, training))(True)


def is_checked(function):
    """Return whether the decorator is among those of a function."""
    while function is not None:
        if function.__code__.co_filename == _checked.__file__:
            return True
        function = getattr(function, "__wrapped__", None)
    return False


@pytest.mark.quick
def test_every_public_function_is_checked():
    functions = {n: f.__init__ if inspect.isclass(f) else f for n, f in public(ROOMS).items()}
    assert_no_faults(
        (name, "is not @checked")
        for name, function in functions.items()
        if not is_checked(function)
    )
