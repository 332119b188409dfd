"""Muon for the matrices and AdamW for the rest, beside two optimizers of PyTorch."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import torch
from flax import nnx

import jaxaccel as ja
from parity_tests import tolerances as tol
from parity_tests.harness.compare import assert_close

STEPS = 8
MUON = {"lr": 0.02, "weight_decay": 0.05, "momentum": 0.9}
ADAMW = {"lr": 3e-3, "betas": (0.9, 0.95), "weight_decay": 0.1}
RNG = np.random.default_rng(0)
X, Y = RNG.normal(size=(STEPS, 6, 3)), RNG.normal(size=(STEPS, 6, 2))


def is_muons(path, leaf):
    return leaf.ndim == 2 and "head" not in path


class Net(nnx.Module):
    def __init__(self, *, rngs):
        self.first = ja.nn.Linear(3, 5, rngs=rngs)
        self.norm = ja.nn.LayerNorm(5)
        self.second = ja.nn.Linear(5, 4, rngs=rngs)
        self.head = ja.nn.Linear(4, 2, rngs=rngs)

    def __call__(self, x):
        x = self.second(ja.functional.tanh(self.norm(self.first(x))))
        return self.head(ja.functional.tanh(x))


class TorchNet(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.first, self.norm = torch.nn.Linear(3, 5), torch.nn.LayerNorm(5)
        self.second, self.head = torch.nn.Linear(5, 4), torch.nn.Linear(4, 2)

    def forward(self, x):
        x = self.second(torch.tanh(self.norm(self.first(x))))
        return self.head(torch.tanh(x))


def torch_run():
    """Return PyTorch's losses, weights and two optimizers after a run with two schedulers."""
    torch.manual_seed(0)
    model = TorchNet().double()
    start = {name: t.numpy().copy() for name, t in model.state_dict().items()}
    named = dict(model.named_parameters())
    matrices = [p for name, p in named.items() if is_muons(name, p)]
    rest = [p for name, p in named.items() if not is_muons(name, p)]
    # The iteration is bfloat16 on both sides, and its sums are of few numbers here.
    optimizers = torch.optim.Muon(matrices, **MUON), torch.optim.AdamW(rest, **ADAMW)
    scheduler = torch.optim.lr_scheduler.CosineAnnealingLR(optimizers[0], T_max=STEPS)
    losses = []
    for x, y in zip(X, Y, strict=True):
        loss = ((model(torch.from_numpy(x)) - torch.from_numpy(y)) ** 2).mean()
        for optimizer in optimizers:
            optimizer.zero_grad()
        loss.backward()
        for optimizer in optimizers:
            optimizer.step()
        scheduler.step()
        losses.append(loss.item())
    return start, losses, model, optimizers


def made(start):
    """Return the model with PyTorch's weights, the step and its state."""
    model = Net(rngs=ja.random.manual_seed(0))
    model = jax.tree.map(lambda x: x.astype(float), model)
    ja.nn.load_state_dict(model, start)
    apply, params, model_state = ja.training.split_model(model)

    def loss_fn(params, model_state, batch):
        out, model_state = apply(params, model_state, batch[0], training=True)
        return ja.functional.mse_loss(out, batch[1]), (model_state, {})

    lr = ja.schedules.cosine_annealing_lr(MUON["lr"], T_max=STEPS)
    tx = ja.optimizers.muon_with_adamw(is_muons, muon={**MUON, "lr": lr}, adamw=ADAMW)
    step = ja.training.train_step(ja.training.gradients(loss_fn), tx)
    return model, step, ja.training.train_state(params, tx, model_state), tx, params


@pytest.mark.quick
def test_a_run_equals_two_optimizers_of_pytorch():
    start, losses, torch_model, optimizers = torch_run()
    model, step, state, tx, params = made(start)
    rates = []
    for k, batch in enumerate(zip(X, Y, strict=True)):
        state, metrics = step(state, batch)
        assert_close(metrics["loss"], losses[k], tol.FLOAT64_OF_FIELD, what=f"loss {k}")
        rates.append((float(metrics["lr/muon.default"]), float(metrics["lr/adamw.default"])))
    cosine = ja.schedules.cosine_annealing_lr(MUON["lr"], T_max=STEPS)
    assert_close(rates, [(cosine(k), ADAMW["lr"]) for k in range(STEPS)], tol.FLOAT64_OF_FIELD)
    ja.training.merge(model, state.params, state.model_state)
    for name, array in ja.nn.state_dict(model).items():
        own = torch_model.state_dict()[name].numpy()
        assert_close(array, own, tol.FLOAT64_OF_FIELD, what=name)
    # Each part has the state dict of its optimizer, both ways.
    for part, optimizer in zip(state.opt_state, optimizers, strict=True):
        theirs = optimizer.state_dict()
        options = {"model": model}
        found = ja.optimizers.state_dict(part, params, **options, trainable_only=True)["state"]
        assert found.keys() == theirs["state"].keys()
        for index, entry in theirs["state"].items():
            assert found[index].keys() == entry.keys()
            for key, value in entry.items():
                assert_close(found[index][key], value.numpy(), tol.FLOAT64_OF_FIELD, what=key)
        fresh = getattr(tx.init(params), "muon" if "momentum_buffer" in found[0] else "adamw")
        given = None if "step" in found[0] else STEPS
        loaded = ja.optimizers.load_state_dict(fresh, params, theirs, given, **options)
        for own, expected in zip(jax.tree.leaves(loaded), jax.tree.leaves(part), strict=True):
            assert_close(own, expected, tol.FLOAT64_OF_FIELD)
    with pytest.raises(ValueError, match="pass each by itself"):
        ja.optimizers.state_dict(state.opt_state, params, model=model)


def test_its_numbers_are_read_and_set_by_name():
    tx = ja.optimizers.muon_with_adamw(
        "kernel$",
        muon={"lr": 0.5},
        adamw={"lr": 0.25},
        adamw_groups=[{"params": "bias$", "weight_decay": 0.0}],
    )
    params = {"kernel": jnp.eye(2), "bias": jnp.ones(2), "scale": jnp.ones(2)}
    state = tx.init(params)
    groups = {each["name"]: each for each in ja.optimizers.get_hyperparams(state)}
    assert list(groups) == ["muon.default", "adamw.0", "adamw.default"]
    assert [groups[name]["lr"] for name in groups] == [0.5, 0.25, 0.25]
    assert groups["adamw.0"]["weight_decay"] == 0.0
    state = ja.optimizers.set_hyperparams(state, "muon.default", lr=0.0)
    updates, _ = tx.update(params, state, params)
    assert not updates["kernel"].any()
    assert updates["bias"].all()


def test_what_does_not_fit_is_refused():
    make = ja.optimizers.muon_with_adamw
    params = {"kernel": jnp.eye(2), "bias": jnp.ones(2)}
    with pytest.raises(ValueError, match="Muon only supports 2D parameters"):
        make("").init(params)
    with pytest.raises(ValueError, match="Learning rate should be >= 0 but is"):
        make("kernel", muon={"lr": -1.0})
    with pytest.raises(ValueError, match="Invalid beta parameter at index 0"):
        make("kernel", adamw={"betas": (1.0, 0.9)})
    with pytest.raises(TypeError, match="betas"):
        make("kernel", muon={"betas": (0.9, 0.9)})
    with pytest.raises(TypeError, match="must be a regular expression, a predicate"):
        make(3)
    with pytest.raises(ValueError, match="matrices='weights' matches no parameter; the paths are"):
        make("weights").init(params)
    assert make(lambda path, leaf: False).init(params).adamw.inner_states
