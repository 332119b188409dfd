"""torchvision's groups by layer type, beside a walk over PyTorch's own modules; empty groups."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import torch
from flax import nnx

import jaxaccel as ja
from parity_tests import tolerances as tol
from parity_tests.harness.compare import assert_close

NORMS = (
    torch.nn.modules.batchnorm._BatchNorm,
    torch.nn.LayerNorm,
    torch.nn.GroupNorm,
    torch.nn.modules.instancenorm._InstanceNorm,
    torch.nn.LocalResponseNorm,
)


class Net(nnx.Module):
    def __init__(self, *, rngs):
        self.conv = ja.nn.Conv2d(1, 4, 3, rngs=rngs)
        self.bn = ja.nn.BatchNorm2d(4)
        self.blocks = nnx.List(
            [
                ja.nn.LayerNorm(4),
                ja.nn.GroupNorm(2, 4),
                ja.nn.RMSNorm(4),
                ja.nn.InstanceNorm2d(4, affine=True),
            ]
        )
        self.embedding = ja.nn.Embedding(6, 4, rngs=rngs)
        self.head = ja.nn.Linear(4, 6, rngs=rngs)
        self.position = nnx.Param(jnp.ones((3, 4)))

    torch_transposed = ()


class TorchNet(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.conv, self.bn = torch.nn.Conv2d(1, 4, 3), torch.nn.BatchNorm2d(4)
        norms = torch.nn.LayerNorm(4), torch.nn.GroupNorm(2, 4), torch.nn.RMSNorm(4)
        self.blocks = torch.nn.ModuleList([*norms, torch.nn.InstanceNorm2d(4, affine=True)])
        self.embedding, self.head = torch.nn.Embedding(6, 4), torch.nn.Linear(4, 6)
        self.position = torch.nn.Parameter(torch.ones(3, 4))


def by_the_reference(model, weight_decay, norm_weight_decay=None, norm_classes=None, keys=()):
    """Return [(weight decay, names)] by the rule of torchvision's reference scripts."""
    found = {"other": [], "norm": [], **{key: [] for key, _ in keys}}
    norm_classes = tuple(norm_classes or NORMS)
    for prefix, module in model.named_modules():
        for name, _ in module.named_parameters(recurse=False):
            whole = f"{prefix}.{name}" if prefix else name
            key = next((k for k, _ in keys if k == (whole if "." in k else name)), None)
            is_norm = norm_weight_decay is not None and isinstance(module, norm_classes)
            found[key or ("norm" if is_norm else "other")].append(whole)
    decays = {"other": weight_decay, "norm": norm_weight_decay, **dict(keys)}
    return [(decays[name], sorted(names)) for name, names in found.items() if names]


KEYS = [("bias", 0.0), ("position", 0.5), ("embedding.weight", 0.25), ("head.nothing", 0.75)]


@pytest.mark.quick
@pytest.mark.parametrize(
    ("norm", "keys"),
    [(None, ()), (0.0, ()), (0.0, KEYS), (None, KEYS)],
    ids=["one group", "norms", "norms and names", "names"],
)
def test_groups_are_torchvisions(norm, keys):
    model = Net(rngs=nnx.Rngs(0))
    expected = by_the_reference(TorchNet(), 1e-4, norm, keys=keys)
    groups = ja.optimizers.set_weight_decay(
        model, 1e-4, norm_weight_decay=norm, custom_keys_for_weight_decay=list(keys) or None
    )
    names = [name for name, _ in TorchNet().named_parameters()]
    found = [
        (group["weight_decay"], sorted(name for name in names if group["params"](name, None)))
        for group in groups
    ]
    assert found == expected


def test_norm_classes_are_those_that_one_names():
    model = Net(rngs=nnx.Rngs(0))
    groups = ja.optimizers.set_weight_decay(
        model, 1e-4, norm_weight_decay=0.0, norm_classes=[ja.nn.RMSNorm]
    )
    expected = by_the_reference(TorchNet(), 1e-4, 0.0, [torch.nn.RMSNorm])[1][1]
    names = [name for name, _ in TorchNet().named_parameters()]
    assert [name for name in names if groups[1]["params"](name, None)] == expected


def test_a_group_without_parameters_is_pytorchs():
    """Judge: an optimizer that was given an empty group, its steps and its state dict."""
    w, g = np.array([1.0, -2.0]), np.array([0.5, 3.0])
    weight = torch.nn.Parameter(torch.from_numpy(w.copy()))
    theirs = torch.optim.AdamW(
        [{"params": [], "weight_decay": 0.5}, {"params": [weight], "weight_decay": 0.1}], lr=0.1
    )
    groups = [
        {"params": lambda path, leaf: False, "weight_decay": 0.5},
        {"params": "w", "weight_decay": 0.1},
    ]
    tx = ja.optimizers.param_groups(ja.optimizers.adamw, groups, lr=0.1)
    params = {"w": jnp.asarray(w)}
    state = tx.init(params)
    for _ in range(3):
        weight.grad = torch.from_numpy(g)
        theirs.step()
        updates, state = tx.update({"w": jnp.asarray(g)}, state, params)
        params = {"w": params["w"] + updates["w"]}
    assert_close(params["w"], weight.detach().numpy(), tol.FLOAT64_OF_FIELD)
    found = ja.optimizers.state_dict(state, params, tx=tx)
    judge = theirs.state_dict()
    assert [group["params"] for group in found["param_groups"]] == [[], [0]]
    assert [group["weight_decay"] for group in found["param_groups"]] == [0.5, 0.1]
    as_tensors = jax.tree.map(
        lambda x: torch.from_numpy(x) if isinstance(x, np.ndarray) else x, found
    )
    theirs.load_state_dict(as_tensors)
    loaded = ja.optimizers.load_state_dict(tx.init(params), params, judge, tx=tx)
    assert loaded.step == state.step == 3
    judge["param_groups"][1]["lr"] = 0.3
    other = ja.optimizers.load_state_dict(tx.init(params), params, judge, tx=tx)
    rates = [group["lr"] for group in ja.optimizers.get_hyperparams(other)]
    assert rates == [0.1, 0.3, 0.1]
    pair = loaded.inner_states[1], state.inner_states[1]  # of the other there is nothing to load
    for own, expected in zip(*map(jax.tree.leaves, pair), strict=True):
        assert_close(own, expected, tol.FLOAT64_OF_FIELD)


def test_a_pattern_that_matches_nothing_is_still_an_error():
    tx = ja.optimizers.param_groups(ja.optimizers.sgd, [{"params": "bais$"}], lr=0.1)
    with pytest.raises(ValueError, match=r"matches no parameter.*given by a predicate or a mask"):
        tx.init({"bias": jnp.ones(2)})
    mask = {"bias": False}
    ja.optimizers.param_groups(ja.optimizers.sgd, [{"params": mask}], lr=0.1).init({"bias": 1.0})
