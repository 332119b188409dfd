"""PyTorch's own test database of operations: what of it is ours, and what cannot be asked."""

import inspect
import re

import jax.numpy as jnp
import torch

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

NOT_HERE = dict.fromkeys(
    ("upsample_bilinear", "upsample_nearest"), "deprecated, and interpolate's"
) | dict.fromkeys(
    ("fractional_max_pool2d", "fractional_max_pool3d"),
    "windows that are drawn for each channel; From PyTorch names the adaptive pools",
)
"""Functions of ``torch.nn.functional`` that the database has, and why they are not here."""

_DRAWS = "a mask is drawn, here from a key: test_dropout and test_attention ask for it"

LIMITS = (
    Limit(
        "dropout|dropout2d|dropout3d|alpha_dropout",
        r"p=0.5, training=True|^input=\S*(, \d)*\]$",
        _DRAWS,
    ),
    Limit("feature_alpha_dropout", r"p=0.5, training=True", _DRAWS),
    Limit("rrelu", r"training=True", _DRAWS),
    Limit("scaled_dot_product_attention", r"dropout_p=0.5", _DRAWS),
    Limit("multi_head_attention_forward", r"dropout_p=0.5.*training=True", _DRAWS),
    Limit("dropout2d", r"^input=float64\[5, 5, 5\]", "PyTorch warns that it will mean an image"),
    Limit("batch_norm", r"^input=float64\[0\]", "an input without channels, which PyTorch returns"),
    Limit(
        "hardsigmoid",
        r"float64\[20\]",
        "PyTorch's gradient is 1/6 in single precision: test_activations allows for that",
    ),
)
"""Samples that are not as PyTorch's."""

_TRIPS = "PyTorch trips over its own tensor; ours is the average pool's text"

ERROR_LIMITS = (
    Limit("multi_margin_loss", r"weight=float32\[5\]", "the target's dtype is refused first"),
    Limit("linear_cross_entropy", r"input=float32\[3\]", "a weight's shape is said as it is here"),
    Limit(r"adaptive_max_pool[23]d", r"output_size=\(\)", _TRIPS),
    Limit(r"adaptive_max_pool\dd", r"output_size=\(-1", _TRIPS),
)
"""Errors with another text."""

# --- their axes ---------------------------------------------------------------------------------

OF_ANY_RANK = (
    *("batch_norm", "instance_norm", "group_norm", "local_response_norm", "prelu"),
    *(
        "interpolate",
        "cross_entropy",
        "nll_loss",
        "channel_shuffle",
        "grid_sample",
        "feature_alpha_dropout",
    ),
)
"""Channels (or classes) second in PyTorch, however many axes follow."""

OF_IMAGES = ("pixel_shuffle", "pixel_unshuffle", "unfold")

OF_SPATIAL = re.compile(r"(?:\w+_)?(?:pool|unpool|conv|transpose|dropout)(\d)d")

UNPOOLS = ("max_unpool1d", "max_unpool2d", "max_unpool3d")
KERNELS = {
    **{f"conv{kind}{n}d": ("weight",) for kind in ("", "_transpose") for n in (1, 2, 3)},
    "linear": ("weight",),
    "multi_head_attention_forward": ("in_proj_weight", "out_proj_weight"),
}
AFTER = {"cross_entropy": 0, "nll_loss": 0, "unfold": 1}
"""How many axes follow the output's channels, where not as many as the input's: it has none."""

HOW = ("inplace", "options")
"""Arguments of PyTorch's that say how, and not what."""

OF_TORCH = ("softmax", "log_softmax", "sigmoid", "tanh")
"""Functions that the database has as ``torch``'s."""

NAMES = {
    "embedding": ("weight", "input"),
    "embedding_bag": ("weight", "input"),
    "scaled_dot_product_attention": ("query", "key", "value"),
}
"""Arguments of the database's own functions, where their order is another."""


def _axes(name, arguments):
    """Return a row that says which arrays have channels, and how many axes follow them."""
    ndim = getattr(arguments.get("input"), "ndim", 0)
    of_name = OF_SPATIAL.fullmatch(name)
    spatial = int(of_name[1]) if of_name else 2 if name in OF_IMAGES else 0
    options = {"spatial": max(ndim - 2, 0) if name in OF_ANY_RANK else spatial}
    if name in AFTER:
        options["after"] = AFTER[name]
    target = arguments.get("target")
    moved = ("target",) if target is not None and target.is_floating_point() else ()
    if name == "linear_cross_entropy":
        options["axes"] = _axes_of_linear_cross_entropy(arguments)
    options |= {"kernels": KERNELS.get(name, ()), "moved": (*moved, "indices")}
    return Case(f"functional.{name}", {}, f"torch.nn.functional.{name}", "", options)


def _axes_of_linear_cross_entropy(arguments):
    """Return the orders of axes: PyTorch has the classes first, before the positions."""
    ndim = arguments["linear_weight"].ndim
    found = {"linear_weight": (ndim - 1, *range(1, ndim - 1), 0)} if ndim > 1 else {}
    if (bias := arguments.get("linear_bias")) is not None and bias.ndim:
        found["linear_bias"] = classes_last(bias.ndim, 0)
    target = arguments["target"]
    if target.is_floating_point() and target.ndim:
        found["target"] = classes_last(target.ndim, arguments["input"].ndim - 1)
    return found


# --- the calls ----------------------------------------------------------------------------------


def entries():
    """Return {our function: its entries in PyTorch's database}, whose import takes seconds."""
    from torch.testing._internal.common_methods_invocations import op_db

    found = {}
    for info in op_db:
        name = info.name.removeprefix("nn.functional.")
        if name != info.name or name in OF_TORCH:
            found.setdefault(name, []).append(info)
    return found


def samples(name):
    """Return the samples of a function: all, or of many those that show something new."""
    found = []
    for info in entries()[name]:
        for dtype in (torch.float64, torch.int64):
            if dtype in info.dtypes:
                seeded()
                has_gradient = dtype.is_floating_point and info.supports_autograd
                given = info.sample_inputs("cpu", dtype, requires_grad=has_gradient)
                found += [_sample(name, info, each) for each in given]
                break
    return with_new_pairs(found)


def errors(name):
    """Yield (text, call of ours, pattern of PyTorch's text) for a function's error inputs."""
    for info in entries()[name]:
        if info.error_inputs_func is not None:
            seeded()
            for each in info.error_inputs("cpu"):
                sample = _sample(name, info, each.sample_input)
                yield sample.text, _call(sample), each.error_regex


def _call(sample):
    return lambda: sample.own({n: jnp.asarray(a) for n, a in arrays_of(sample).items()}, None)


def _sample(name, info, given):
    """Return a sample of the database."""
    names = NAMES.get(name) or _names_of_arguments(name)
    by_position = dict(zip(names, [given.input, *given.args], strict=False))
    arguments = by_position | given.kwargs
    tensors = {n: value for n, value in arguments.items() if isinstance(value, torch.Tensor)}

    def judge(tensors):
        all_of_it = arguments | tensors
        by_name = {n: all_of_it[n] for n in given.kwargs}
        result = info.op(*(all_of_it[n] for n in by_position), **by_name)
        if name in ("batch_norm", "instance_norm"):  # in place there, results here
            return result, [tensors.get(n) for n in ("running_mean", "running_var")]
        return result

    values = {n: own_value(v) for n, v in arguments.items() if n not in {*tensors, *HOW}}
    if name in UNPOOLS and len(values.get("output_size") or ()) == given.input.ndim:
        rows, channels, *spatial = values["output_size"]
        values["output_size"] = (rows, *spatial, channels)
    if name == "pad":
        values["channel_axis"] = 1  # PyTorch's layout: the pads are of any axes there

    def own(arrays, _):
        return getattr(ja.functional, name)(**arrays, **values)

    return Sample(text_of(arguments), _axes(name, arguments), tensors, judge, own)


def _names_of_arguments(name):
    """Return PyTorch's names of a function's arguments, or ours where it does not say them."""
    try:
        parameters = [*inspect.signature(getattr(torch.nn.functional, name)).parameters.values()]
    except (AttributeError, ValueError):
        parameters = []
    if not parameters or any(p.kind is p.VAR_POSITIONAL for p in parameters):
        parameters = inspect.signature(getattr(ja.functional, name)).parameters.values()
    return [p.name for p in parameters]
