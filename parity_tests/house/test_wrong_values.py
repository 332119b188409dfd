"""Every argument of every public function refuses what is wrong, in words that name it.

The values are chosen by the annotation, and an annotation that says nothing must be explained. Only
what raises runs: nothing is compiled.
"""

import collections.abc as abc
import inspect
import os
import re
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
ROOMS = tuple(ja.__all__)


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

EVERYWHERE = (
    "float() argument must be a string or a real number",
    "could not convert string to float",
    "only 0-dimensional arrays can be converted to Python scalars",
    "only one element tensors can be converted to Python scalars",
    "Sequential Schedulers expects number of schedulers provided to be one more than",
    "SequentialLR at index 0 should be a schedule",
    "ChainedScheduler at index 0 should be a schedule",
    "dropout should be a number in range",
)
"""Texts of PyTorch's and Python's own, of several functions."""
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
    "schedules.warmup_stable_decay": TYPES,
    "init.calculate_gain": SLOPES,
    "init.kaiming_uniform": SLOPES,
    "init.kaiming_normal": SLOPES,
    "functional.embedding_bag": BAG,
    "functional.gelu": GELU,
    **{f"nn.ConvTranspose{axes}d": ZEROS for axes in (1, 2, 3)},
    "nn.GELU": GELU,
    "nn.EmbeddingBag": BAG,
    "nn.remove_parametrizations": (
        "Module Linear does not have a parametrization on no such word",
    ),
    "data.load": ("Unknown image set 'no such word'",),
    "training.evaluate": ("batch is a builtins.str", "a batch to evaluate must have rows"),
    "parallel.make_mesh": ("mesh axis 'a' must be a whole number",),
}
"""Function -> PyTorch's texts, and those of what is inside a value: they need not name both."""


def wrong_values(name, argument, annotation):
    """Return {word: value} of the values that an argument must refuse."""
    fits = set().union(*map(fitting, parts(annotation)))
    if argument in TREES:
        fits |= {"integer", "float", "whole float", "complex"}
    if argument in TEXTS:
        fits.add("text")
    return {word: value for word, value in VALUES.items() if word not in fits}


def names(text, argument):
    """Return whether a text names an argument; a letter must not be taken for a word."""
    forms = (
        f"'{argument}'",
        f"{argument}=",
        f"needs {argument},",
        f"got {argument} twice",
        f"{argument} must",
        f"{argument} as",
    )
    is_word = len(argument) > 2 and re.search(rf"\b{re.escape(argument)}\b", text)
    return bool(is_word) or any(form in text for form in (*forms, ROLES.get(argument, forms[0])))


def refusal_of(call, argument, value, function=""):
    """Return what is wrong with how a call refuses a value; None where it is as it should be."""
    try:
        call()
    except Exception as error:
        *_, last = traceback.walk_tb(error.__traceback__)
        where = f"{Path(last[0].f_code.co_filename).name}:{last[1]}"
        line = traceback.extract_tb(error.__traceback__)[-1].line
        if not last[0].f_code.co_filename.startswith(LIBRARY) or not line.startswith("raise"):
            return f"is refused by {where} and not by us: {type(error).__name__}: {error}"
        if str(error).startswith((*EVERYWHERE, *OWN_TEXTS.get(function, ()))):
            return None
        if not isinstance(error, (TypeError, ValueError)):
            return f"is refused with {type(error).__name__}: {error}"
        if not names(str(error), argument):
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
    # "must be int or None" says None of an argument, and not of a value.
    said = ["=None"] if value is None else [repr(value), str(value), in_brief(value)]
    places = (
        "got",
        "got:",
        "Got",
        "mode",
        "not",
        "found",
        "type",
        "is a",
        "model",
        "function",
        "not a",
    )
    placed = [f"{place} {word}" for place in places for word in {kind, repr(value)}]
    return [*said, str(type(value)), *placed, *whole, *named, *shape]


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
                lambda v=value, a=argument: function(**{**given, a: v}), argument, value, name
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


def arrays_in(annotation):
    """Yield the parts of an annotation, and of what its tuples hold."""
    for part in parts(annotation):
        if typing.get_origin(part) is tuple:
            for item in typing.get_args(part):
                yield from arrays_in(item)
        yield part


def call_faults(name, layer):
    """Yield what is wrong with how a layer refuses what is not an array, when it is called."""
    given, _ = valid_arguments(name, layer)
    made = layer(**given)
    hints = typing.get_type_hints(layer.__call__, include_extras=True)
    taken = inspect.signature(made).parameters
    needed = [n for n in taken if hints.get(n) is jax.Array]
    # Masks and states may be None, or several arrays.
    optional = [
        n
        for n in taken
        if n not in (*needed, "hx", "lengths") and jax.Array in arrays_in(hints.get(n))
    ]
    words = ("none", "float", "text", "objects", "torch tensor", "object", "mapping")
    for argument in (*needed, *optional):
        others = {each: np.ones((2, 3), np.float32) for each in needed if each != argument}
        for word in words if argument in needed else words[1:]:
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
    "an optimizer of a step": (
        lambda x: ja.training.train_step(abs, optimizer=x),
        ja.optimizers.sgd(0.1),
        "say tx=",
    ),
    "parameters of a layer": (lambda x: ja.nn.Linear(params=x), 3, "it is Linear(in_features"),
    "a key of a gradient function": (
        lambda x: ja.training.accumulate(abs, 2, key=x),
        3,
        "it is accumulate(gradient_fn",
    ),
    "a key of a layer": (lambda x: ja.nn.Linear(2, 3, key=x), 3, "say rngs=nnx.Rngs(key)"),
    "a list as a mapping": (
        lambda x: ja.optimizers.param_groups(ja.optimizers.sgd, x),
        {"params": "."},
        "must be a list or tuple of mappings",
    ),
    "a misspelt word": (lambda x: ja.optimizers.adam(weight_decays=x), 0.1, "did you mean weight_"),
}


KEY = jax.random.key(0)
NORMAL = ja.init.normal()
STEP_LR = ja.schedules.step_lr(0.1, 3)
SGD = ja.optimizers.sgd(0.1)
GRADIENT_FN = ja.training.gradients(lambda p, state, batch: (np.float32(1) * p, (state, {})))


def losing(metrics, loss=None):
    """Return a loss function with other metrics, or another loss."""
    return ja.training.gradients(
        lambda p, state, batch: (p if loss is None else loss, (state, metrics))
    )


def fit(step, batches):
    ja.training.fit(step, ja.training.train_state(1.0, SGD), batches, progress=False)


MADE = {
    "a shape that is a text": (
        lambda: NORMAL(KEY, "ab"),
        "shape must be a tuple of ints, got 'ab'",
    ),
    "a shape of texts": (lambda: NORMAL(KEY, ("a",)), "shape must be a tuple of ints"),
    "a negative size": (lambda: NORMAL(KEY, (-2,)), "negative dimension -2: [-2]"),
    "no dtype": (lambda: NORMAL(KEY, (2,), "nope"), "dtype must be a dtype such as jnp.float32"),
    "a constant of objects": (
        lambda: ja.init.constant(1.0)(None, (2,), object),
        "dtype must be a dtype",
    ),
    "negative features": (lambda: ja.nn.Linear(-4, 2, rngs=GENERATOR), "dimension -4: [-4, 2]"),
    "a negative norm": (lambda: ja.nn.LayerNorm(-4), "negative dimension -4: [-4]"),
    "negative statistics": (lambda: ja.nn.BatchNorm1d(-4), "negative dimension -4: [-4]"),
    "a list as a dtype": (lambda: ja.nn.Linear(2, 2, dtype=list, rngs=GENERATOR), "'dtype'"),
    "objects as a dtype": (lambda: ja.functional.softmax(IMAGES, -1, dtype=object), "'dtype'"),
    "a step that is a text": (lambda: STEP_LR("x"), "step must be an integer"),
    "a step that is a fraction": (lambda: STEP_LR(0.5), "step must be an integer"),
    "a state of texts": (lambda: SGD.update(1.0, "x", 1.0), "needs a SGDState"),
    "parameters of texts": (lambda: SGD.init({"a": "x"}), "'a' must be an array or a number"),
    "a clip of integers": (
        lambda: ja.transforms.clip_grad_norm(1.0).init(np.ones(2, int)),
        "Only Tensors of floating point and complex dtype",
    ),
    "the norm of shapes": (
        lambda: ja.transforms.get_total_norm(jax.ShapeDtypeStruct((2,), np.float32)),
        "tensors is a jax",
    ),
    "the norm of keys": (lambda: ja.transforms.get_total_norm(KEY), "floating point or complex"),
    "a scale of a text": (lambda: GRADIENT_FN(1.0, (), 1.0, loss_scale="x"), "loss_scale must be"),
    "a batch of a text": (
        lambda: ja.training.accumulate(GRADIENT_FN, 2)(1.0, (), "x"),
        "batch is a builtins.str, 'x'",
    ),
    "a key of a text": (
        lambda: ja.training.accumulate(GRADIENT_FN, 2)(1.0, (), IMAGES, key="x"),
        "key must be a typed key, got 'x'",
    ),
    "a metric of a number": (lambda: losing({1: 1.0})(1.0, (), 1.0), "names of metrics must be"),
    "a metric of a text": (lambda: losing({"a": "x"})(1.0, (), 1.0), "metric 'a' is a"),
    "a loss of a text": (lambda: losing({}, "x")(1.0, (), 1.0), "loss is a builtins.str"),
    "no batches": (lambda: fit(lambda s, b: (s, {}), lambda epoch: None), "got None"),
    "no metrics": (lambda: fit(lambda s, b: None, lambda epoch: [IMAGES]), "(state, metrics), got"),
    "words of a text": (lambda: GENERATOR.words32("x"), "Generator.words32(): argument 'n'"),
    "a state with an argument": (lambda: GENERATOR.get_state("x"), "Generator.get_state() takes 0"),
    "a factor of infinity": (
        lambda: ja.functional.interpolate(IMAGES, scale_factor=float("inf")),
        "scale_factor must be made of finite numbers",
    ),
    "no axis of classes": (
        lambda: ja.functional.cross_entropy(IMAGES, np.zeros((2, 8, 8), int), class_axis=9),
        "class_axis=9 is not an axis",
    ),
    "targets that do not fit": (
        lambda: ja.functional.kl_div(IMAGES[0, 0], np.ones(3, np.float32), "sum"),
        "The size of tensor a (8) must match the size of tensor b (3)",
    ),
    "no heads": (
        lambda: ja.nn.MultiheadAttention(4, 0, rngs=GENERATOR),
        "num_heads",
    ),
}
"""What was raw inside of what a function makes, or of a value -> a part of our text."""


def test_what_a_function_makes_refuses_in_our_words():
    for why, (call, text) in MADE.items():
        with pytest.raises((TypeError, ValueError)) as raised:
            call()
        *_, last = traceback.walk_tb(raised.value.__traceback__)
        assert last[0].f_code.co_filename.startswith(LIBRARY), why
        assert text in str(raised.value), (why, str(raised.value))


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
