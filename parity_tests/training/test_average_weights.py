"""Averages in the compiled step beside PyTorch's ``AveragedModel`` in PyTorch's loops."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import torch
from torch.optim import swa_utils

import jaxaccel as ja
from parity_tests import tolerances as tol
from parity_tests.harness.compare import assert_close

STEPS, EPOCHS, EVERY, WARMUP_EPOCHS = 5, 3, 2, 1
RNG = np.random.default_rng(0)
X = RNG.normal(size=(EPOCHS * STEPS, 8, 3))
Y = RNG.normal(size=(EPOCHS * STEPS, 8, 2))


def torch_model():
    torch.manual_seed(0)
    layers = [torch.nn.Linear(3, 4), torch.nn.BatchNorm1d(4), torch.nn.Tanh()]
    return torch.nn.Sequential(*layers, torch.nn.Linear(4, 2)).double()


def ema_of_timm(decay, step):
    """Return the decay of timm's ``ModelEmaV3`` with ``use_warmup``, by its published formula."""
    step = max(0, step - 1)
    return 0.0 if step == 0 else min(1 - (1 + step) ** (-2 / 3), decay)


def run_torch():
    """Return every averaged model's state after each step, as three recipes keep them."""
    model = torch_model()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.3, momentum=0.9)
    of_torchvision = swa_utils.AveragedModel(
        model, avg_fn=swa_utils.get_ema_avg_fn(0.8), use_buffers=True
    )
    swa = swa_utils.AveragedModel(model)
    of_timm, updates, found = torch_model(), 0, []
    for epoch in range(EPOCHS):
        for i in range(STEPS):
            k = epoch * STEPS + i
            optimizer.zero_grad()
            loss = ((model(torch.from_numpy(X[k])) - torch.from_numpy(Y[k])) ** 2).mean()
            loss.backward()
            optimizer.step()
            if i % EVERY == 0:
                of_torchvision.update_parameters(model)
                if epoch < WARMUP_EPOCHS:
                    of_torchvision.n_averaged.fill_(0)
            updates += 1
            decay = ema_of_timm(0.7, updates)
            with torch.no_grad():
                pairs = zip(of_timm.state_dict().values(), model.state_dict().values(), strict=True)
                for averaged, value in pairs:
                    if value.is_floating_point():
                        averaged.copy_(averaged * decay + value * (1 - decay))
            if i == STEPS - 1 and epoch >= 1:
                swa.update_parameters(model)
            found.append(
                [
                    {name: t.numpy().copy() for name, t in each.state_dict().items()}
                    for each in (of_torchvision.module, swa.module, of_timm)
                ]
            )
    loader = [(torch.from_numpy(x), None) for x in X]
    swa_utils.update_bn(loader, swa)
    return found, {name: t.numpy().copy() for name, t in swa.module.state_dict().items()}


AVERAGES = (
    (
        ja.transforms.exponential_moving_average(0.8),
        {
            "use_buffers": True,
            "when": lambda k: k % STEPS % EVERY == 0,
            "restart": lambda k: k < WARMUP_EPOCHS * STEPS,
        },
    ),
    (
        ja.transforms.stochastic_weight_average(),
        {"when": lambda k: (k >= STEPS) & (k % STEPS == STEPS - 1)},
    ),
    (
        ja.transforms.exponential_moving_average(
            lambda n: jnp.minimum(0.7, 1 - (1 + n.astype(float)) ** (-2 / 3))
        ),
        {"use_buffers": True},
    ),
)


def made():
    """Return the model, the step in all averages at once, and its state."""
    twin, nn = torch_model(), ja.nn
    generator = ja.random.manual_seed(0)
    model = nn.Sequential(
        nn.Linear(3, 4, rngs=generator),
        nn.BatchNorm1d(4),
        nn.Tanh(),
        nn.Linear(4, 2, rngs=generator),
    )
    model = jax.tree.map(lambda x: x.astype(float) if x.dtype == jnp.float32 else x, model)
    ja.nn.load_state_dict(model, {n: t.numpy() for n, t in twin.state_dict().items()})
    apply, params, model_state = ja.training.split_model(model)

    def loss_fn(params, model_state, batch):
        out, model_state = apply(params, model_state, batch[0], training=True)
        return ja.functional.mse_loss(out, batch[1]), (model_state, {})

    tx = ja.optimizers.param_groups(ja.optimizers.sgd, [], lr=0.3, momentum=0.9)
    step = ja.training.train_step(ja.training.gradients(loss_fn), tx)
    state = ja.training.train_state(params, tx, model_state)
    for average, options in AVERAGES:
        step = ja.training.average_weights(step, average, **options)
        state = ja.training.averaged_state(state, average)
    return model, step, state


def modules(state):
    """Return the averaged weights, in the order of the wrappers."""
    found = []
    while isinstance(state, ja.training.AveragedState):
        found.insert(0, state.average.module)
        state = state.train_state
    return found


def states_of(model, state):
    """Return every averaged model's state dict."""
    found = []
    for module in modules(state):
        ja.training.merge(model, *module)
        found.append({n: np.array(x) for n, x in ja.nn.state_dict(model).items()})
    return found


def batches(epoch):
    return [(X[k], Y[k]) for k in range(epoch * STEPS, (epoch + 1) * STEPS)]


def assert_same(found, expected, what):
    assert found.keys() == expected.keys()
    for name, array in expected.items():
        if name.endswith("num_batches_tracked"):
            if what != "timm":  # which copies integers: PyTorch averages and truncates them
                assert int(found[name]) == int(array), (what, name)
        else:
            assert_close(found[name], array, tol.FLOAT64_OF_FIELD, what=f"{what} {name}")


@pytest.mark.quick
def test_three_recipes_averages_at_every_step_through_fit_saved_and_resumed(tmp_path):
    expected, renewed = run_torch()
    model, step, state = made()
    seen = []

    def watch(run, memory):
        seen.append(states_of(model, run.state))
        return ja.training.Reply(memory)

    callbacks = (
        ja.training.Callback("watch", on_step=watch),
        ja.training.save_every(tmp_path, epochs=1),
    )
    fit = {"callbacks": callbacks, "progress": False}
    ja.training.fit(step, state, batches, epochs=2, **fit)
    _, _, new = made()
    state, history = ja.training.fit(step, new, batches, epochs=EPOCHS, resume=tmp_path, **fit)
    assert len(seen) == len(expected) == EPOCHS * STEPS
    for found, of_torch in zip(seen, expected, strict=True):
        for name, own, theirs in zip(("torchvision", "swa", "timm"), found, of_torch, strict=True):
            assert_same(own, theirs, name)
    assert history.steps["lr"][-1] == 0.3
    ja.training.merge(model, *modules(state)[1])
    ja.training.update_bn(list(X), model)
    assert_same({n: np.array(x) for n, x in ja.nn.state_dict(model).items()}, renewed, "swa")


def test_what_does_not_fit_is_refused():
    average = ja.transforms.stochastic_weight_average()
    tx = ja.optimizers.sgd(0.1)
    loss_fn = lambda params, model_state, batch: (params * batch, (model_state, {}))  # noqa: E731
    step = ja.training.train_step(ja.training.gradients(loss_fn), tx)
    state = ja.training.train_state(jnp.ones(()), tx)
    with pytest.raises(TypeError, match=r"make one with training\.averaged_state"):
        ja.training.average_weights(step, average)(state, 1.0)
    with pytest.raises(TypeError, match="takes when as a function"):
        ja.training.average_weights(step, average, when=5)
    with pytest.raises(TypeError, match="restart"):
        ja.training.average_weights(step, average, restart=lambda: True)
