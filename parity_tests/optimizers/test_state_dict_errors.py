"""What does not cross between an optimizer here and one of PyTorch is refused by name."""

import functools

import jax.numpy as jnp
import numpy as np
import optax
import pytest
import torch
from flax import nnx

import jaxaccel as ja
from parity_tests.optimizers.rows_hyperparameters import decaying


class Model(nnx.Module):
    """Two matrices without biases; PyTorch has the second first."""

    def __init__(self):
        self.z = ja.nn.Linear(2, 3, bias=False, rngs=nnx.Rngs(0))
        self.a = ja.nn.Linear(3, 2, bias=False, rngs=nnx.Rngs(1))


def twin():
    theirs = torch.nn.Module()
    theirs.z = torch.nn.Linear(2, 3, bias=False)
    theirs.a = torch.nn.Linear(3, 2, bias=False)
    return theirs


def saved(make=torch.optim.Adam, steps=1, **kwargs):
    """Return the state dict of PyTorch's optimizer after some steps."""
    optimizer = make(twin().parameters(), **kwargs)
    for _ in range(steps):
        for p in optimizer.param_groups[0]["params"]:
            p.grad = torch.ones_like(p)
        optimizer.step()
    return optimizer.state_dict()


def load(state_dict, tx=None, trainable=None, given=True, **options):
    model, tx = Model(), ja.optimizers.adam() if tx is None else tx
    _, params, _ = ja.training.split_model(model, trainable=trainable)
    return ja.optimizers.load_state_dict(
        tx.init(params), params, state_dict, model=model, tx=tx if given else None, **options
    )


def with_entry(**changes):
    found = saved()
    found["state"][1].update(changes)
    return found


def with_group(**changes):
    found = saved()
    found["param_groups"][0].update(changes)
    return found


def without(key):
    found = saved()
    del found["param_groups"][0][key]
    return found


GROUPS = functools.partial(ja.optimizers.param_groups, ja.optimizers.adam, [{"params": "z"}])

WRONG = {
    "another optimizer's keys": (lambda: load(saved(torch.optim.Adamax)), ["exp_inf", "arguments"]),
    "Adam for RAdam, which keeps the same": (
        lambda: load(saved(), ja.optimizers.radam(), given=False),
        ["group 0", "has 'amsgrad'", "another optimizer's"],
    ),
    "RAdam for Adam": (
        lambda: load(saved(torch.optim.RAdam), given=False),
        ["has no 'amsgrad'", "another optimizer's"],
    ),
    "Adam for SparseAdam": (
        lambda: load(saved(), ja.optimizers.sparse_adam(), given=False),
        ["has 'weight_decay'"],
    ),
    "AdamW for Adam": (
        lambda: load(saved(torch.optim.AdamW)),
        ["weight_decay of group 0 is 0.01", "and 0 here", "make the optimizer with"],
    ),
    "no step, with another optimizer's groups": (
        lambda: load(saved(torch.optim.SGD, 0)),
        ["group 0", "has no 'amsgrad'"],
    ),
    "a switch": (lambda: load(with_group(maximize=True)), ["maximize of group 0 is True", "False"]),
    "a tuple": (lambda: load(with_group(betas=(0.9, 0.99))), ["betas", "(0.9, 0.99)", "0.999"]),
    "a learning rate that the schedule does not give": (
        lambda: load(saved(lr=0.05), ja.optimizers.adam(lr=decaying)),
        ["lr of group 0 is 0.05", "the schedule gives", "at step 1"],
    ),
    "NaN among the numbers": (lambda: load(with_group(lr=float("nan"))), ["lr of group 0 is NaN"]),
    "text among the numbers": (
        lambda: load(with_group(lr="fast"), ja.optimizers.param_groups(ja.optimizers.adam, [])),
        ["lr of group 0 must be a number", "'fast'"],
    ),
    "a missing number": (lambda: load(without("eps")), ["has no 'eps'"]),
    "string keys": (
        lambda: load({"state": {"0": {}}, "param_groups": saved()["param_groups"]}),
        ["the key '0'", "{int(key)"],
    ),
    "a bool as a key": (lambda: load({True: {}}), ["the key True"]),
    "text in the place of an entry": (lambda: load({0: "Adam"}), ["state_dict[0]", "str"]),
    "a list": (lambda: load([1]), ["state_dict", "a mapping", "not list"]),
    "a checkpoint with more in it": (
        lambda: load({"state": {}, "param_groups": [], "epoch": 3}),
        ["epoch", "nothing but"],
    ),
    "groups that are none": (
        lambda: load({"state": {}, "param_groups": [3]}),
        ['"param_groups" must be a list of dictionaries'],
    ),
    "an index that no group has": (
        lambda: load({**saved(), "state": {5: {"step": 1.0}}}),
        ["the index 5", "2 parameters"],
    ),
    "too few parameters": (
        lambda: load(with_group(params=[0])),
        ["groups have 1 parameters, params has 2"],
    ),
    "an index twice": (lambda: load(with_group(params=[0, 0])), ["an index twice"]),
    "members that are no indices": (lambda: load(with_group(params=["z", "a"])), ["'z'"]),
    "unknown names": (
        lambda: load(with_group(param_names=["module.z.weight", "a.weight"])),
        ["'module.z.weight'", "not a parameter", 'drop "param_names"'],
    ),
    "names of some": (
        lambda: load(with_group(param_names=["a.weight"], params=[0])),
        ["lacks z.weight"],
    ),
    "a group less": (lambda: load(saved(), GROUPS()), ["have 2 parameters, params has 1 + 1"]),
    "groups, and nobody knows whose": (
        lambda: load(saved(), GROUPS(), given=False),
        ["several groups", "pass tx="],
    ),
    "frozen ones, and indices alone": (
        lambda: load(saved()["state"], trainable="a"),
        ["1 of the model's 2 parameters", '"param_groups"'],
    ),
    "an entry of a frozen one": (
        lambda: load(saved(), trainable="a"),
        ["state_dict[0] is of z.weight", "not trained"],
    ),
    "negative": (lambda: load(with_entry(step=torch.tensor(-1.0))), ["step of parameter 1", "-1"]),
    "fractional": (lambda: load(with_entry(step=1.5)), ["step of parameter 1", "1.5"]),
    "text": (lambda: load(with_entry(step="1")), ["step of parameter 1", "numbers"]),
    "NaN": (lambda: load(with_entry(step=torch.tensor(torch.nan))), ["step of parameter 1", "nan"]),
    "too many": (lambda: load(with_entry(step=2.0**40)), ["step of parameter 1", "range of int32"]),
    "steps that differ": (
        lambda: load(with_entry(step=2.0)),
        ["different step ([1.0, 2.0])", "count_per_parameter"],
    ),
    "a step that the state has otherwise": (lambda: load(saved(), step=3), ["step is 3", "step 1"]),
    "no finished update, but a momentum": (
        lambda: load(saved(torch.optim.SGD, momentum=0.9), ja.optimizers.sgd(momentum=0.9), step=0),
        ["step is 0"],
    ),
    "objects": (
        lambda: load(with_entry(exp_avg=np.array([[None] * 3] * 2))),
        ["exp_avg of parameter 1 (a.weight)", "object"],
    ),
    "out of range": (
        lambda: load(with_entry(exp_avg=np.full((2, 3), 1e300))),
        ["exp_avg of parameter 1", "1e+300", "range of float32"],
    ),
    "complex": (
        lambda: load(with_entry(exp_avg=np.ones((2, 3), complex))),
        ["exp_avg of parameter 1", "complex"],
    ),
    "transposed": (
        lambda: load(with_entry(exp_avg=torch.ones(3, 2))),
        ["exp_avg of parameter 1 (a.weight)", "(3, 2)", "(2, 3)"],
    ),
    "a scalar for an array": (lambda: load(with_entry(exp_avg=1.0)), ["exp_avg", "()", "(2, 3)"]),
}


@pytest.mark.parametrize("wrong", WRONG)
def test_error_names_the_value_and_the_remedy(wrong):
    call, fragments = WRONG[wrong]
    with pytest.raises((ValueError, TypeError)) as raised:
        call()
    for fragment in fragments:
        assert fragment in str(raised.value), str(raised.value)


def parts(trainable=None):
    model = Model()
    _, params, _ = ja.training.split_model(model, trainable=trainable)
    return model, params


def test_out_and_in_refuse_the_same_arguments():
    model, params = parts()
    adam, sgd = ja.optimizers.adam(), ja.optimizers.sgd()
    state = adam.init(params)
    two = optax.chain(adam, sgd).init(params)
    injected = optax.inject_hyperparams(ja.optimizers.adam)(lr=0.1).init(params)
    other = {"b": jnp.ones((2, 3)), "a": {"weight": jnp.ones((2, 3))}}
    for wrong, arguments, text in [
        ("no model", (state, params, {}), "pass the model: model="),
        ("no module", (state, params, {"model": 3}), "model must be a flax.nnx module, got int"),
        ("another tree", (adam.init(other), other, {"model": model}), "params has 'b'"),
        ("two optimizers", (two, params, {"model": model}), "(AdamState, SGDState)"),
        ("numbers of optax", (injected, params, {"model": model}), "instead of inject_hyper"),
        ("another tx", (state, params, {"model": model, "tx": sgd}), "AdamState, got sgd()"),
        ("optax's tx", (state, params, {"model": model, "tx": optax.sgd(1.0)}), "function of jax"),
        (
            "another layout",
            (
                ja.optimizers.muon().init(params), params,
                {"model": model, "tx": ja.optimizers.muon(layout="torch")},
            ),
            "z.weight is kept in the layout 'flax'",
        ),
    ]:  # fmt: skip
        *given, options = arguments
        for function, more in (
            (ja.optimizers.state_dict, ()),
            (ja.optimizers.load_state_dict, ({}, 1)),
        ):
            with pytest.raises((ValueError, TypeError)) as raised:
                function(*given, *more, **options)
            assert text in str(raised.value), (wrong, str(raised.value))


def test_what_pytorch_accepts_is_accepted():
    found = saved()
    group = found["param_groups"][0]
    for key in ("foreach", "capturable", "differentiable", "fused", "decoupled_weight_decay"):
        del group[key]  # as older versions
    group["initial_lr"], group["name"] = 0.1, "all"  # a scheduler's, and a user's
    group["lr"] = torch.tensor(1e-3)
    found["param_groups"].append({**group, "params": []})
    for entry in found["state"].values():
        entry["step"] = int(entry["step"])
        entry["exp_avg"] = entry["exp_avg"].bfloat16().requires_grad_()
    state = load(found)
    assert state.step == 1
    assert state.exp_avg["z"]["weight"][...].dtype == jnp.float32
