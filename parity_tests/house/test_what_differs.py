"""What differs from PyTorch on purpose: both sides are run, and part just where the docs say.

The docs' section "What differs on purpose" names a test for each of its rows, here or beside the
subject's other tests.
"""

import importlib
import inspect
import re

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import torch
from torch.nn import functional as F

import jaxaccel as ja
from parity_tests.harness.documents import ROOT

SECTION = "## What differs on purpose"


def both(values):
    """Return numbers as a JAX array and as a PyTorch tensor."""
    return jnp.asarray(values), torch.tensor(values)


# --- optimizers, transforms, schedules ------------------------------------------------------------


def test_each_adagrad_group_starts_where_it_says():
    """PyTorch's Adagrad reads the default ``initial_accumulator_value`` for every group."""
    param, grad = torch.nn.Parameter(torch.ones(1)), torch.ones(1)
    group = {"params": [param], "initial_accumulator_value": 3.0}
    theirs = torch.optim.Adagrad([group], lr=0.1)
    param.grad = grad
    theirs.step()
    group = {"params": "", "initial_accumulator_value": 3.0}
    tx = ja.optimizers.param_groups(ja.optimizers.adagrad, [group], lr=0.1)
    params = {"w": jnp.ones(1)}
    updates, _ = tx.update(params, tx.init(params), params)
    assert float(theirs.state[param]["sum"]) == 1.0
    assert float(updates["w"][0]) == pytest.approx(-0.1 / 2)
    assert param.item() - 1 == pytest.approx(-0.1)


def test_a_momentum_that_was_the_number_0_stays_0():
    """PyTorch starts a buffer when the group's momentum is raised later."""
    param = torch.nn.Parameter(torch.ones(1))
    theirs = torch.optim.SGD([param], momentum=0.0)
    theirs.param_groups[0]["momentum"] = 0.9
    param.grad = torch.ones(1)
    theirs.step()
    assert "momentum_buffer" in theirs.state[param]
    tx = ja.optimizers.param_groups(ja.optimizers.sgd, [], momentum=0.0)
    with pytest.raises(ValueError, match="no hyperparameter 'momentum'"):
        ja.optimizers.set_hyperparams(tx.init(jnp.ones(1)), momentum=0.9)


def test_adafactors_epsilon_is_that_of_each_leafs_dtype():
    """PyTorch takes that of the first parameter that it meets for all."""
    params = {"a": jnp.ones(2, jnp.bfloat16), "b": jnp.ones(2, jnp.float32)}
    grads = {"a": jnp.full(2, 1e-3, jnp.bfloat16), "b": jnp.full(2, 1e-3, jnp.float32)}
    tx = ja.optimizers.adafactor()
    updates, _ = tx.update(grads, tx.init(params), params)
    alone, _ = tx.update(grads["b"], tx.init(params["b"]), params["b"])
    assert np.array_equal(updates["b"], alone)
    steps = {}
    for others in ((), (torch.nn.Parameter(torch.ones(2, dtype=torch.bfloat16)),)):
        last = torch.nn.Parameter(torch.ones(2))
        for param in (*others, last):
            param.grad = torch.full((2,), 1e-3, dtype=param.dtype)
        torch.optim.Adafactor([*others, last]).step()
        steps[len(others)] = last.detach().numpy() - 1
    assert np.allclose(steps[0], alone, rtol=1e-5, atol=0)
    assert not np.allclose(steps[0], steps[1], rtol=1e-2, atol=0)


def test_bounds_below_zero_do_not_turn_gradients():
    """PyTorch flips every sign, or makes every gradient the same number."""
    for theirs, ours, bound in (
        (torch.nn.utils.clip_grad_norm_, ja.transforms.clip_grad_norm, "max_norm"),
        (torch.nn.utils.clip_grad_value_, ja.transforms.clip_grad_value, "clip_value"),
    ):
        param = torch.nn.Parameter(torch.ones(2))
        param.grad = torch.tensor([3.0, 4.0])
        theirs([param], **{bound: -1.0})
        assert (param.grad < 0).all()
        with pytest.raises(ValueError, match="-1"):
            ours(**{bound: -1.0})


def test_lengths_are_whole_and_not_negative():
    """PyTorch takes any number for most of them."""
    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.ones(1))], lr=0.1)
    for theirs, ours, kwargs in (
        (torch.optim.lr_scheduler.StepLR, ja.schedules.step_lr, {"step_size": 2.5}),
        (torch.optim.lr_scheduler.LinearLR, ja.schedules.linear_lr, {"total_iters": -1}),
        (torch.optim.lr_scheduler.ConstantLR, ja.schedules.constant_lr, {"total_iters": 2.5}),
        (torch.optim.lr_scheduler.PolynomialLR, ja.schedules.polynomial_lr, {"total_iters": 2.5}),
        (torch.optim.lr_scheduler.CosineAnnealingLR, ja.schedules.cosine_annealing_lr,
         {"T_max": 2.5}),
        (torch.optim.lr_scheduler.MultiStepLR, ja.schedules.multi_step_lr, {"milestones": [2.5]}),
    ):  # fmt: skip
        theirs(optimizer, **kwargs)
        with pytest.raises((ValueError, TypeError), match=r"whole|int"):
            ours(0.1, **kwargs)


# --- functions and layers -------------------------------------------------------------------------


def test_frequencies_are_those_of_the_row():
    """Whether a frequency is its own row's depends on the order of the integers in PyTorch 2.13."""
    ids, table = [1, 0, 1, 1, 2], np.ones((3, 1))
    weight = torch.tensor(table, requires_grad=True)
    F.embedding_bag(
        torch.tensor(ids), weight, torch.tensor([0]), scale_grad_by_freq=True, mode="sum"
    ).sum().backward()
    gradient = jax.grad(
        lambda w: ja.functional.embedding_bag(
            jnp.asarray(ids), w, jnp.array([0]), scale_grad_by_freq=True, mode="sum"
        ).sum()
    )(jnp.asarray(table))
    assert np.array_equal(gradient, np.ones((3, 1)))
    assert not np.array_equal(weight.grad, np.ones((3, 1)))


def test_a_nan_is_the_largest_of_its_bag_wherever_it_stands():
    """In PyTorch only the first of a bag is."""
    weight, tensor = both(np.array([[1.0], [np.nan]]))
    ids, offsets = jnp.array([0, 1]), jnp.array([0])
    found = ja.functional.embedding_bag(ids, weight, offsets, mode="max")
    theirs = F.embedding_bag(torch.tensor([0, 1]), tensor, torch.tensor([0]), mode="max")
    assert np.isnan(found).all()
    assert float(theirs) == 1.0


def test_the_mean_of_a_divergence_comes_without_a_warning():
    input, tensor = both(np.log(np.full((2, 2), 0.5)))
    found = ja.functional.kl_div(input, jnp.exp(input))
    with pytest.warns(UserWarning, match="batchmean"):
        theirs = F.kl_div(tensor, tensor.exp())
    assert float(found) == float(theirs)


def test_smoothing_below_zero_is_refused():
    input, tensor = both(np.array([[1.0, 2.0]]))
    theirs = F.cross_entropy(tensor, torch.tensor([0]), label_smoothing=-0.1)
    assert theirs == F.cross_entropy(tensor, torch.tensor([0]))
    with pytest.raises(ValueError, match="label_smoothing"):
        ja.functional.cross_entropy(input, jnp.array([0]), label_smoothing=-0.1)


@pytest.mark.filterwarnings("ignore:The PyTorch API of nested tensors:UserWarning")
def test_padded_positions_of_an_encoder_are_computed():
    """PyTorch's fast path, in evaluation without gradients, makes them zero."""
    theirs = torch.nn.TransformerEncoder(
        torch.nn.TransformerEncoderLayer(4, 2, 8, batch_first=True, dtype=torch.float64), 1
    ).eval()
    generator = ja.random.manual_seed(0)
    layer = ja.nn.TransformerEncoderLayer(
        4, 2, 8, batch_first=True, dtype=jnp.float64, rngs=generator
    )
    ours = ja.nn.TransformerEncoder(layer, 1)
    ja.nn.load_state_dict(ours, theirs.state_dict())
    ours.eval()
    x, tensor = both(np.linspace(-1, 1, 24).reshape(2, 3, 4))
    padding = np.array([[False, False, True], [False, False, False]])
    with torch.no_grad():
        fast = theirs(tensor, src_key_padding_mask=torch.tensor(padding)).numpy()
    slow = theirs(tensor, src_key_padding_mask=torch.tensor(padding)).detach().numpy()
    found = np.asarray(ours(x, src_key_padding_mask=jnp.asarray(padding)))
    assert np.allclose(found, slow, rtol=0, atol=1e-12)
    assert not fast[padding].any()
    assert found[padding].all()
    assert np.allclose(found[~padding], fast[~padding], rtol=0, atol=1e-12)


def test_update_bn_leaves_every_layer_its_mode():
    """PyTorch gives all layers the mode of the model itself."""
    ours = ja.nn.Sequential(ja.nn.BatchNorm1d(2))
    theirs = torch.nn.Sequential(torch.nn.BatchNorm1d(2))
    ours[0].eval()
    theirs[0].eval()
    x, tensor = both(np.arange(8, dtype=np.float32).reshape(4, 2))
    ja.training.update_bn([x], ours)
    torch.optim.swa_utils.update_bn([tensor], theirs)
    assert np.allclose(ours[0].running_mean[...], theirs[0].running_mean, rtol=1e-6)
    assert ours[0].use_running_average
    assert theirs[0].training


def test_a_point_that_is_nan_is_outside_of_an_image():
    """PyTorch's kernels do not agree with each other."""
    for axes, mode, is_nan in (
        *((2, "bilinear", True), (2, "bicubic", True), (2, "nearest", False)),
        *((3, "bilinear", False), (3, "nearest", False)),
    ):
        image, point = np.ones((1, *(2,) * axes, 1)), np.zeros((1, *(1,) * axes, axes))
        point[..., 0] = np.nan
        channels_first = torch.tensor(np.moveaxis(image, -1, 1))
        theirs = F.grid_sample(channels_first, torch.tensor(point), mode, align_corners=False)
        assert theirs.isnan().item() == is_nan, (axes, mode)
        assert ja.functional.grid_sample(jnp.asarray(image), jnp.asarray(point), mode).item() == 0


# --- the section itself ---------------------------------------------------------------------------


def section():
    """Return the docs' section, from its heading to the next."""
    page = (ROOT / "docs" / "from_pytorch.md").read_text(encoding="utf-8")
    return page.partition(SECTION + "\n")[2].partition("\n## ")[0]


def table_rows():
    """Return the cells of every row of the section's tables."""
    lines = [line for line in section().splitlines() if line.startswith("| ")]
    cells = [[cell.strip() for cell in line.strip("|").split(" | ")] for line in lines]
    return [row for row in cells if row[-1] != "test" and not row[-1].startswith("-")]


def test_every_difference_has_its_test():
    faults = []
    for row in table_rows():
        path, _, name = row[-1].strip("`").partition("::")
        file = ROOT / "parity_tests" / path
        if not (file.is_file() and f"\ndef {name}(" in file.read_text(encoding="utf-8")):
            faults.append(f"{row[0]}: there is no {row[-1]}")
    assert table_rows()
    assert not faults, "\n".join(faults)


ALIKE = re.compile(
    r"as :.*"
    r"|PyTorch (raises|refuses|warns)\b.*"
    r"|``?torch[\w. ]*``.*: (the )?same(?!.*(rounds|half precision)).*"
    r"|Left out\b.*|PyTorch has no\b.*|.*\boptax\b.*|.*, as there\b.*|.*, both as in PyTorch.*"
    r"|The counterpart of .*|The layer draws nothing.*|Channels are last here\."
)
"""Sentences that name no other result: the same, an error of another type, an argument less."""

TOLD_APART = re.compile(
    r"\bhere\b|\bwhere PyTorch\b|\bPyTorch (takes|reads|keeps|gives|makes|casts)\b"
)


def tells_a_difference(doc):
    """Return the sentences of a docstring that say where the two part."""
    found = re.search(r"\n\s*PyTorch:\n(.*?)(?=\n\s*(?:Example|References):|\Z)", doc or "", re.S)
    text = re.sub(r"\([^()]*\)", "", " ".join(found[1].split())) if found else ""
    sentences = re.split(r"(?<=[.;])\s+(?=[A-Z`])", text)
    return [s for s in sentences if TOLD_APART.search(s) and not ALIKE.match(s)]


def test_products_of_vectors_are_cast_like_those_of_matrices():
    """PyTorch's list for CPUs has ``matmul`` and not ``dot`` and ``mv``; JAX has one product."""
    vector, matrix = np.ones(3, np.float32), np.ones((3, 3), np.float32)
    with torch.autocast("cpu"):
        assert torch.mv(*map(torch.tensor, (matrix, vector))).dtype == torch.float32
        assert torch.dot(*map(torch.tensor, (vector, vector))).dtype == torch.float32
        assert torch.matmul(*map(torch.tensor, (matrix, matrix))).dtype == torch.bfloat16
    product = ja.precision.autocast(jnp.dot, "cpu")
    for operands in ((matrix, vector), (vector, vector), (matrix, matrix)):
        assert product(*map(jnp.asarray, operands)).dtype == jnp.bfloat16


def test_every_function_that_differs_is_in_the_section():
    """Where a docstring says that the results part, the section has the name."""
    known, faults = section(), []
    for room in ja.__all__:
        module = importlib.import_module(f"jaxaccel.{room}")
        for name in module.__all__:
            value = getattr(module, name)
            told = tells_a_difference(value.__doc__) if inspect.getdoc(value) else []
            if told and not re.search(rf"\b{name}\b", known):
                faults.append(f"{room}.{name}: {' '.join(told)}")
    assert not faults, "\n".join(faults)
