"""PyTorch's own test database of layers: what of it is ours, and what cannot be asked."""

import inspect
import re

import jax
import jax.numpy as jnp
import numpy as np
import torch
from flax import nnx

import jaxaccel as ja
from parity_tests.harness.database import (
    Limit,
    Sample,
    arrays_of,
    classes_last,
    own_value,
    seeded,
    text_of,
    with_new_pairs,
)
from parity_tests.registry import Case

NOT_HERE = {
    **dict.fromkeys(
        ("FractionalMaxPool2d", "FractionalMaxPool3d"),
        "windows that are drawn for each channel; From PyTorch names the adaptive pools",
    ),
    **{
        f"LazyConv{kind}{n}d": "sizes are arguments: From PyTorch says how to find them"
        for kind in ("", "Transpose")
        for n in (1, 2, 3)
    },
}
"""Layers of ``torch.nn`` that the database has, and why they are not here."""

LIMITS = ()
"""Samples that are not as PyTorch's."""

ERROR_LIMITS = (
    Limit("NLLLoss", r"weight=float16", "which dtype is the weight's is said too"),
    Limit("CrossEntropyLoss", r"1=float64\[2\]", "integers of every length are taken"),
    Limit("LinearCrossEntropyLoss", r"1=float64\[5, 2\]", "other rows are no probabilities"),
    Limit("RNNCell|GRUCell", r"bias='", "a word in the place of a switch is refused first"),
    Limit("RNN|GRU|LSTM", r"0=float32", "what to do about the dtype is said in JAX's words"),
)
"""Errors with another text."""

# --- their axes ---------------------------------------------------------------------------------

OF_ANY_RANK = (
    *("GroupNorm", "LocalResponseNorm", "PReLU", "CrossEntropyLoss", "NLLLoss"),
    *("BatchNorm1d", "BatchNorm2d", "BatchNorm3d"),
)
"""Channels (or classes) second in PyTorch, however many axes follow."""

OF_SPATIAL = re.compile(
    r"\w*(?:Pool|Unpool|Conv|Transpose|InstanceNorm|Pad|Dropout|Softmax|Nearest|Bilinear)(\d)d"
)
AFTER = {"CrossEntropyLoss": 0, "NLLLoss": 0}
"""How many axes follow the output's channels, where not as many as the input's: it has none."""


def _axes(name, tensors):
    """Return a row that says which arrays have channels, and how many axes follow them."""
    (place, first), *others = tensors.items()
    of_name = OF_SPATIAL.fullmatch(name)
    options = {"spatial": int(of_name[1]) if of_name else 0}
    if name in OF_ANY_RANK:
        options = {"spatial": max(first.ndim - 2, 0)}
    if name in AFTER:
        options["after"] = AFTER[name]
    alike = [n for n, t in others if t.is_floating_point() and t.ndim == first.ndim]
    options["moved"] = (place, *alike)
    if name == "LinearCrossEntropyLoss" and tensors["1"].is_floating_point():
        options["axes"] = {"1": classes_last(tensors["1"].ndim, first.ndim - 1)}
    return Case(f"nn.{name}", {}, f"torch.nn.{name}", "", options)


# --- the calls ----------------------------------------------------------------------------------


def entries():
    """Return {our layer: its entry in PyTorch's database}, whose import takes seconds."""
    from torch.testing._internal.common_modules import module_db

    return {info.name.removeprefix("nn."): info for info in module_db}


def samples(name):
    """Return the samples of a layer, in training and evaluation where they differ."""
    info, found = entries()[name], []
    for training in (True, False) if info.train_and_eval_differ else (True,):
        seeded()
        given = info.module_inputs_func(info, "cpu", torch.float64, True, training)
        found += [_sample(name, info, each, training) for each in given]
    return with_new_pairs(found)


def errors(name):
    """Yield (text, call of ours, pattern of PyTorch's text) for a layer's error inputs."""
    info = entries()[name]
    if info.module_error_inputs_func is None:
        return
    seeded()
    for each in info.module_error_inputs_func(info, "cpu", torch.float64, True, True):
        given = each.module_error_input
        text, call = _erroneous(name, given)
        yield text, call, each.error_regex


def _erroneous(name, given):
    """Return the text of a call, and the call: the layer is made, and called where it can be."""
    arguments = _constructor(name, given.constructor_input)
    inputs = {} if given.forward_input is None else _tensors(given.forward_input)

    def call():
        layer = _own_layer(name, arguments)
        if inputs:
            axes = _axes(name, inputs)
            sample = Sample("", axes, inputs, None, None)
            arrays = {n: jnp.asarray(a) for n, a in arrays_of(sample).items()}
            args, kwargs = _call_of(given.forward_input, arrays)
            layer(*args, **kwargs)

    return text_of(arguments | inputs), call


def _constructor(name, given):
    """Return a layer's arguments by PyTorch's names."""
    names = [*inspect.signature(getattr(torch.nn, name).__init__).parameters][1:]
    if names[:1] == ["args"]:
        names = [*inspect.signature(getattr(ja.nn, name).__init__).parameters][1:]
    return dict(zip(names, given.args, strict=False)) | given.kwargs


def _own_layer(name, arguments):
    """Return our layer in float64."""
    takes = inspect.signature(getattr(ja.nn, name).__init__).parameters
    left_out = {"inplace", "device", "dtype", "options"}
    values = {n: _own_value(v) for n, v in arguments.items() if n not in left_out}
    if "dtype" in takes:
        values["dtype"] = jnp.float64
    if "rngs" in takes:
        values["rngs"] = nnx.Rngs(0)
    return getattr(ja.nn, name)(**values)


def _own_value(value):
    """Return a layer's argument as ours takes it: the layer in an encoder, a function, a number."""
    if isinstance(value, torch.nn.TransformerEncoderLayer):
        return ja.nn.TransformerEncoderLayer(
            value.self_attn.embed_dim,
            value.self_attn.num_heads,
            value.linear1.out_features,
            value.dropout.p,
            value.activation.__name__,
            batch_first=value.self_attn.batch_first,
            norm_first=value.norm_first,
            bias=value.linear1.bias is not None,
            dtype=jnp.float64,
            rngs=nnx.Rngs(0),
        )
    is_function = inspect.isroutine(value)
    return getattr(ja.functional, value.__name__) if is_function else own_value(value)


def _tensors(given):
    """Return the tensors of a call of a layer, by their place in it: 0, 1.0, attn_mask."""
    leaves = jax.tree_util.tree_leaves_with_path((given.args, given.kwargs))
    return {_place(path): t for path, t in leaves if isinstance(t, torch.Tensor)}


def _place(path):
    return ".".join(str(getattr(key, "idx", getattr(key, "key", key))) for key in path[1:])


def _call_of(given, arrays):
    """Return a call's arguments with other arrays in the place of its tensors."""
    return jax.tree_util.tree_map_with_path(
        lambda path, leaf: arrays.get(_place(path), leaf), (given.args, given.kwargs)
    )


def _sample(name, info, given, training):
    """Return a sample of the database."""
    arguments = _constructor(name, given.constructor_input)
    tensors = _tensors(given.forward_input)
    theirs = info.module_cls(*given.constructor_input.args, **given.constructor_input.kwargs)
    theirs = theirs.double().train(training)
    text = text_of(arguments | tensors | {"training": training})

    def judge(tensors):
        args, kwargs = _call_of(given.forward_input, tensors)
        return theirs(*args, **kwargs), dict(theirs.named_buffers())

    state = {key: t.detach().clone().numpy() for key, t in theirs.state_dict().items()}
    try:
        ours = _own_layer(name, arguments)
        ja.nn.load_state_dict(ours, state)
    except (ValueError, TypeError) as error:
        return Sample(text, _axes(name, tensors), tensors, judge, _raises(error))
    ours.train() if training else ours.eval()
    graph, params, rest = nnx.split(ours, nnx.Param, ...)

    def own(arrays, params):
        layer = nnx.merge(graph, params, rest, copy=True)
        args, kwargs = _call_of(given.forward_input, arrays)
        output = layer(*args, **kwargs)
        buffers = [n for n, _ in theirs.named_buffers()]
        return output, {n: getattr(layer, n)[...] for n in buffers}

    def by_name(gradients):
        carrier = nnx.clone(ours)
        nnx.update(carrier, gradients)
        return {n: np.asarray(a) for n, a in ja.nn.state_dict(carrier).items()}

    parameters = dict(theirs.named_parameters())
    return Sample(text, _axes(name, tensors), tensors, judge, own, parameters, params, by_name)


def _raises(error):
    def own(arrays, _):
        raise error

    return own
