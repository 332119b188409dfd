"""Every public name has rows, and PyTorch's own signature."""

import importlib
import inspect
import typing

import pytest
import torch

from parity_tests.functional import (
    rows_activations,
    rows_conv,
    rows_dropout,
    rows_embedding,
    rows_linear,
    rows_losses,
    rows_other_losses,
    rows_pools,
    rows_reshaping,
    rows_vectors,
    rows_windows,
)
from parity_tests.harness.errors import assert_no_faults
from parity_tests.harness.quick import quick_tests
from parity_tests.nn import rows_losses as loss_layers
from parity_tests.nn import rows_windows as layers_of_windows
from parity_tests.registry import HOW_NOT_WHAT, lookup, oracle_of, rows

CASES = rows()
ROWS_OF = {name: [c for c in CASES if c.function == name] for name in {c.function for c in CASES}}
WITH_ROWS = ("optimizers", "schedules", "transforms", "init", "functional", "nn", "models")

WITHOUT_ROWS = {
    "optimizers.param_groups": "test_param_groups runs rows of every optimizer in groups",
    "optimizers.count_per_parameter": "test_count_per_parameter thaws every optimizer's parameters",
    "optimizers.has_hyperparams": "test_hyperparams asks every kind of state",
    "optimizers.get_hyperparams": "test_param_groups reads every value at every step",
    "optimizers.set_hyperparams": "test_param_groups changes values beside PyTorch's groups",
    "optimizers.set_weight_decay": "test_set_weight_decay compares its groups with torchvision's",
    "optimizers.muon_with_adamw": "test_muon_with_adamw runs it beside two optimizers of PyTorch",
    "optimizers.no_decay": "test_param_groups chooses parameters with it",
    "optimizers.state_dict": "test_state_dict takes every optimizer's state to PyTorch",
    "optimizers.load_state_dict": "test_state_dict brings every optimizer's state back",
    "nn.convert_sync_batchnorm": "test_norm_layers compares what it converts with the whole batch",
    "nn.fuse_conv_bn": "test_norm_layers fuses every convolution as PyTorch does",
    "nn.fuse_linear_bn": "test_norm_layers fuses linear layers as PyTorch does",
    "nn.params_key": "test_seeded_models draws every layer and model through it",
    "nn.state_dict": "test_layers and test_models compare it with PyTorch's own, key by key",
    "nn.StackedLayers": "test_stacked_layers compares it with its layers, called one by one",
    "nn.Sequential": "test_reshaping builds it beside PyTorch's, in every way it can be built",
    "nn.remove_parametrizations": "test_parametrizations removes each kind as PyTorch does",
    "functional.gumbel_softmax": "test_draws counts its choices",
    **dict.fromkeys(
        ("nn.MaxUnpool1d", "nn.MaxUnpool2d", "nn.MaxUnpool3d"),
        "test_pools undoes every pool with them",
    ),
    "nn.load_state_dict": "test_layers and test_models load PyTorch's own state into every model",
    "optimizers.apply_sparse_updates": "test_sparse_adam applies every update with it",
    "schedules.per_epoch": "test_schedules steps rows of every schedule once an epoch",
    "schedules.preview": "test_preview compares every value with PyTorch's groups in training",
    "optimizers.hessian_diagonal": "test_diagonal_newton compares it with PyTorch's whole Hessian",
}

MUTATED = {"params", "optimizer", "tensor", "parameters", "generator"}
"""What PyTorch changes in place or draws from; here it is an argument of the returned function."""

TAKES_LR = [
    "step_lr",
    "multi_step_lr",
    "constant_lr",
    "linear_lr",
    "exponential_lr",
    "polynomial_lr",
    "cosine_annealing_lr",
    "cosine_annealing_warm_restarts",
    "swa_lr",
    "reduce_lr_on_plateau",
]
"""Schedules for which PyTorch takes the learning rate from the optimizer."""

DIFFERENT = {
    **{f"schedules.{name}": {"adds": ["lr"]} for name in TAKES_LR},
    "schedules.lambda_lr": {"adds": ["lr", "total_steps"]},
    "schedules.multiplicative_lr": {"adds": ["lr", "total_steps"]},
    "schedules.sequential_lr": {"adds": ["total_steps"]},
    "schedules.chained_scheduler": {"adds": ["total_steps"]},
    "schedules.one_cycle_momentum": {
        "omits": ["max_lr", "cycle_momentum", "div_factor", "final_div_factor"]
    },
    "schedules.cyclic_momentum": {"omits": ["base_lr", "max_lr", "cycle_momentum"]},
    "optimizers.adafactor": {"adds": ["layout"]},
    "transforms.get_total_norm": {"adds": ["axis_name"]},
    "transforms.clip_grad_norm": {"adds": ["axis_name"]},
    "transforms.clip_grads_with_norm": {"adds": ["grads"]},
    "optimizers.muon": {"adds": ["layout"]},
    "init.uniform": {"adds": ["layout"]},
    "init.normal": {"adds": ["layout"]},
    "init.trunc_normal": {"adds": ["layout"]},
    "init.dirac": {"adds": ["layout"]},
    "init.orthogonal": {"adds": ["layout"]},
    "init.sparse": {"adds": ["layout"]},
    "init.kaiming_uniform": {"adds": ["layout"]},
    "init.kaiming_normal": {"adds": ["layout"]},
    "init.xavier_uniform": {"adds": ["layout"]},
    "init.xavier_normal": {"adds": ["layout"]},
    "functional.batch_norm": {"adds": ["channel_axis", "axis_name"]},
    "functional.group_norm": {"adds": ["channel_axis"]},
    "functional.instance_norm": {"adds": ["channel_axis"]},
    "functional.local_response_norm": {"adds": ["channel_axis"]},
    "functional.multi_head_attention_forward": {
        "adds": ["batch_first", "dropout_key"],
        "omits": ["static_k", "static_v"],
    },
    "nn.Linear": {"adds": ["rngs"]},
    "nn.Bilinear": {"adds": ["rngs"]},
    **{
        f"nn.Conv{kind}{axes}d": {"adds": ["rngs"]}
        for kind in ("", "Transpose")
        for axes in (1, 2, 3)
    },
    "nn.BatchNorm1d": {"adds": ["axis_name", "channel_axis"]},
    "nn.BatchNorm2d": {"adds": ["axis_name", "channel_axis"]},
    "nn.BatchNorm3d": {"adds": ["axis_name", "channel_axis"]},
    "nn.SyncBatchNorm": {"adds": ["axis_name", "channel_axis"], "omits": ["process_group"]},
    "nn.InstanceNorm1d": {"adds": ["channel_axis"]},
    "nn.InstanceNorm2d": {"adds": ["channel_axis"]},
    "nn.InstanceNorm3d": {"adds": ["channel_axis"]},
    "nn.GroupNorm": {"adds": ["channel_axis"]},
    "nn.LocalResponseNorm": {"adds": ["channel_axis"]},
    "nn.spectral_norm": {"adds": ["rngs"]},
    "nn.orthogonal": {"adds": ["rngs"]},
    "nn.Dropout": {"adds": ["rngs"], "omits": ["inplace"]},
    "nn.MultiheadAttention": {"adds": ["rngs"]},
    "nn.TransformerEncoderLayer": {
        "adds": ["rngs", "activation"],
        "omits": ["activation"],  # PyTorch's default is its function, ours the name "relu"
    },
    "nn.TransformerEncoder": {"omits": ["enable_nested_tensor", "mask_check"]},
    "nn.Embedding": {"adds": ["rngs"], "omits": ["sparse", "_weight", "_freeze"]},
    "nn.EmbeddingBag": {"adds": ["rngs"], "omits": ["sparse", "_weight"]},
    "nn.TransformerDecoderLayer": {"adds": ["rngs", "activation"], "omits": ["activation"]},
    "nn.Transformer": {"adds": ["rngs", "activation"], "omits": ["activation"]},
    **{f"nn.{name}Cell": {"adds": ["rngs"]} for name in ("RNN", "LSTM", "GRU")},
    "nn.RNN": {"adds": ["rngs"]},
    "nn.LSTM": {"adds": ["rngs"]},
    "nn.GRU": {"adds": ["rngs"]},
    **{f"nn.Dropout{axes}d": {"adds": ["rngs"], "omits": ["inplace"]} for axes in (1, 2, 3)},
    **rows_activations.DIFFERENT,
    **rows_dropout.DIFFERENT,
    **rows_embedding.DIFFERENT,
    **rows_losses.DIFFERENT,
    **loss_layers.DIFFERENT,
    **rows_other_losses.DIFFERENT,
    **rows_reshaping.DIFFERENT,
    **rows_vectors.DIFFERENT,
    **layers_of_windows.DIFFERENT,
    "nn.Flatten": {"adds": ["channel_axis"]},
    "nn.Unflatten": {"adds": ["channel_axis"]},
}
"""Arguments that only jaxaccel has, or only PyTorch; the docstrings say why."""

BUILTINS = {
    *rows_activations.BUILTINS,
    *rows_conv.BUILTINS,
    *rows_embedding.BUILTINS,
    *rows_linear.BUILTINS,
    *rows_other_losses.BUILTINS,
    *rows_pools.BUILTINS,
    *rows_reshaping.BUILTINS,
    *rows_vectors.BUILTINS,
    *rows_windows.BUILTINS,
}
"""Functions of PyTorch without a signature to read."""


def is_function_or_layer(value):
    """Return whether a public name is called by users: no state, result or word of annotations."""
    is_tuple = inspect.isclass(value) and issubclass(value, tuple)
    return callable(value) and not is_tuple and typing.get_origin(value) is None


PUBLIC = [
    f"{room}.{name}"
    for room in WITH_ROWS
    for name in importlib.import_module(f"jaxaccel.{room}").__all__
    if is_function_or_layer(lookup("jaxaccel", f"{room}.{name}"))
]


def signature(function):
    """Return the parameters of a function, or of a class' constructor, in order."""
    own = function.__init__ if inspect.isclass(function) else function
    if own in (object.__init__, torch.nn.Module.__init__):
        return {}  # a layer without arguments has no constructor of its own
    # torch.nn.LSTM takes *args and declares what they may be.
    own = (typing.get_overloads(own) or [own])[0]
    found = dict(inspect.signature(own).parameters)
    found.pop("self", None)
    return found


def parameters(function):
    """Return {name: default} in order."""
    return {name: p.default for name, p in signature(function).items()}


@pytest.mark.quick
def test_every_public_name_has_rows():
    assert_no_faults(
        (name, f"has {len(ROWS_OF.get(name, ()))} rows")
        for name in PUBLIC
        if (name in ROWS_OF) == (name in WITHOUT_ROWS)
    )


OPTIONS_ELSEWHERE = {
    "layout": "test_init runs every row in both layouts; of an optimizer's rows it is an option",
    "tx": "an option of the row names the transform inside",
    "dtype": "test_layers and test_models have a test of dtypes",
    "rngs": "test_layers and test_models construct every layer and model with it",
    "batch_first": "the rows of nn.MultiheadAttention have it",
    "custom_encoder": "test_decoder has a test of both",
    "custom_decoder": "test_decoder has a test of both",
    "dropout_key": "test_attention has tests of dropout",
    "implementation": "test_attention_implementations runs the rows of attention through it",
    "channel_axis": "test_normalization runs every row in both layouts",
    "class_axis": "test_losses runs its rows in both layouts",
    "axis_name": "test_normalization, test_parallel and test_sharded_norms, over eight devices",
    "return_indices": "PyTorch's databases ask for it: test_op_db, test_module_db",
    "key": "test_dropout draws every mask with one",
    "checkpoint": "test_checkpointed_models trains every model that takes it",
    "scan_layers": "test_checkpointed_models trains every model that takes it",
}
"""Options that multiply all rows instead of having one."""

ARRAYS = {
    *rows_losses.ARRAYS,
    *rows_other_losses.ARRAYS,
    *rows_windows.ARRAYS,
    *("tensors", "grads", "input", "running_mean", "running_var", "weight"),
    *("query", "key", "value", "attn_mask", "key_padding_mask", "bias_k", "bias_v"),
    *("in_proj_weight", "in_proj_bias", "out_proj_weight", "out_proj_bias"),
    *("q_proj_weight", "k_proj_weight", "v_proj_weight"),
    "module",
    *("input1", "input2", "x1", "x2", "indices", "offsets", "per_sample_weights"),
}
"""What a function works on; the harness of its room makes it."""


def untried(name):
    """Return the options of a function that are in none of its rows."""
    tried = {option for case in ROWS_OF.get(name, ()) for option in case.kwargs}
    # The bias of a layer is an option, of a function an array.
    arrays = ARRAYS | ({"bias"} if name.startswith("functional.") else set())
    return set(parameters(lookup("jaxaccel", name))) - tried - arrays - set(OPTIONS_ELSEWHERE)


@pytest.mark.quick
def test_every_option_is_in_a_row():
    names = [name for name in PUBLIC if name not in WITHOUT_ROWS]
    assert_no_faults((name, missing) for name in names if (missing := untried(name)))


@pytest.mark.quick
def test_row_ids_are_unique():
    ids = [(case.function, case.oracle, case.why) for case in CASES]
    assert len(set(ids)) == len(ids), sorted({i for i in ids if ids.count(i) > 1})


@pytest.mark.quick
def test_signatures_are_pytorchs():
    """Same arguments, order and defaults, so that a call is ported by copying it."""
    pairs = {(c.function, c.oracle): c for c in CASES if c.oracle.startswith("torch.")}
    assert_no_faults((name, "; ".join(d)) for (name, _), c in pairs.items() if (d := differs(c)))


def differs(case):
    """Return how a row's function and its oracle differ in signature, against what is known."""
    name = case.function
    if name in ("init.default_weight", "init.default_bias"):
        return []  # what a layer does when it is constructed, not a function of PyTorch
    if name in BUILTINS:
        return []  # they have none; a test of theirs reads those in their documentation
    if name == "functional.embedding_renorm":
        return []  # a builtin without documentation
    if name == "functional.scaled_dot_product_attention":
        return []  # a builtin has no signature; test_attention reads the one in its documentation
    different = DIFFERENT.get(name, {})
    left_out = HOW_NOT_WHAT | MUTATED | set(different.get("omits", ()))
    theirs = {k: v for k, v in parameters(oracle_of(case)).items() if k not in left_out}
    ours = {
        k: v
        for k, v in parameters(lookup("jaxaccel", name)).items()
        if k not in different.get("adds", ())
    }
    keywords = {k for k, p in signature(oracle_of(case)).items() if p.kind is p.KEYWORD_ONLY}
    positional = [[k for k in side if k not in keywords] for side in (ours, theirs)]
    found = [] if ours == theirs else [f"{ours} is not {theirs}"]
    if positional[0] != positional[1]:
        found.append(f"the order {positional[0]} is not {positional[1]}")
    return found


def test_every_function_is_in_the_quick_tier():
    """Whole models apart, which take too long."""
    named = {case.function for case in CASES if not case.function.startswith("models.")}
    assert_no_faults((name, "has no quick test") for name in named - quick_tests().keys())
