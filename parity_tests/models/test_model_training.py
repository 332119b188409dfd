"""Models that are loaded from PyTorch, trained beside it for 20 steps, and given back."""

import copy
import functools
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
import torch
from flax import nnx

import jaxaccel as ja
from parity_tests import tolerances as tol
from parity_tests.harness.compare import assert_same_weights
from parity_tests.harness.compiled import FAST_COMPILE
from parity_tests.harness.layer import assert_close
from parity_tests.harness.optimizer import TORCH, lookup, oracle_of
from parity_tests.models.rows_models import CASES as MODELS
from parity_tests.registry import Case

STEPS = 20
BATCH = 8
TRAINED = [case for case in MODELS if "optimizer" in case.options]


class Run(NamedTuple):
    """A trained model, and of every step the logits and the loss, in double precision."""

    model: Any
    logits: np.ndarray
    losses: np.ndarray


class Problem(NamedTuple):
    """A row, what both sides start from, and the judge's run."""

    case: Case
    twin: torch.nn.Module
    """In float32, as the seed makes it."""
    batches: list[np.ndarray]
    """Inputs, which float32 can hold, and labels, for every step."""
    judge: Run


@pytest.fixture(scope="module", params=TRAINED, ids=lambda case: case.id)
def problem(request):
    """Train the judge."""
    case = request.param
    twin, *batches = start(case)
    return Problem(case, twin, batches, train_torch(case, twin, batches, "float64"))


def start(case):
    """Return the twin, in float32, and batches that float32 can hold, as PyTorch has them."""
    torch.manual_seed(0)
    twin = oracle_of(case)(**case.kwargs)
    for ending, value in case.options.get("start", {}).items():
        for name, parameter in twin.named_parameters():
            if name.endswith(ending):
                torch.nn.init.constant_(parameter, value)
    rng = np.random.default_rng(0)
    shape = (STEPS, BATCH, *case.options["shape"][1:])
    if "integers" in case.options:
        inputs = rng.integers(0, case.options["integers"], shape)
    else:
        inputs = rng.normal(size=shape).astype(np.float32)
    with torch.no_grad():
        outputs = copy.deepcopy(twin)(torch.tensor(inputs[0]))
    labels = rng.integers(0, outputs.shape[-1], (STEPS, *outputs.shape[:-1]))
    return twin, inputs, labels


def train_torch(case, twin, batches, dtype):
    """Train a copy."""
    model = copy.deepcopy(twin).to(TORCH[dtype])
    _, oracle, options = case.options["optimizer"]
    optimizer = lookup("torch", oracle.removeprefix("torch."))(model.parameters(), **options)
    all_logits, losses = [], []
    for x, y in zip(*map(torch.tensor, batches), strict=True):
        logits = model(x.to(TORCH[dtype]) if x.is_floating_point() else x)
        loss = torch.nn.functional.cross_entropy(logits.flatten(0, -2), y.flatten())
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        all_logits.append(logits.detach().double().numpy())
        losses.append(loss.item())
    return Run(model, np.stack(all_logits), np.array(losses))


def train_jax(case, twin, batches, dtype):
    """Train jaxaccel's model, from the twin's state_dict."""
    model = lookup("jaxaccel", case.function)(**case.kwargs, dtype=dtype, rngs=nnx.Rngs(0))
    ja.nn.load_state_dict(model, twin.state_dict())
    name, _, options = case.options["optimizer"]
    tx = lookup("jaxaccel", name)(**options)
    graph, params, rest = nnx.split(model, nnx.Param, ...)
    inputs, labels = batches
    if inputs.ndim == 5:
        inputs = np.moveaxis(inputs, 2, -1)
    inputs = jnp.asarray(inputs, None if "integers" in case.options else dtype)

    def loss_of(params, rest, x, y):
        called = nnx.merge(graph, params, rest, copy=True)
        logits = called(x)
        losses = optax.softmax_cross_entropy_with_integer_labels(logits, y)
        return losses.mean(), (logits, nnx.split(called, nnx.Param, ...)[2])

    def step(carry, batch):
        params, rest, opt_state = carry
        objective = jax.value_and_grad(loss_of, has_aux=True)
        (loss, (logits, rest)), gradients = objective(params, rest, *batch)
        updates, opt_state = tx.update(gradients, opt_state, params)
        return (optax.apply_updates(params, updates), rest, opt_state), (logits, loss)

    @functools.partial(jax.jit, compiler_options=FAST_COMPILE)
    def run(params, rest, batches):
        return jax.lax.scan(step, (params, rest, tx.init(params)), batches)

    carry, (logits, losses) = run(params, rest, (inputs, jnp.asarray(labels)))
    nnx.update(model, *carry[:2])
    return Run(model, np.asarray(logits, np.float64), np.asarray(losses, np.float64))


@pytest.mark.usefixtures("no_draws")
def test_twenty_float64_steps_equal_pytorchs_and_go_back(problem):
    case, twin, batches, judge = problem
    found = train_jax(case, twin, batches, jnp.float64)
    assert_close(found.logits[0], judge.logits[0], tol.MODEL_FLOAT64_OF_MAX, what="logits")
    for step in range(STEPS):
        for own, theirs in ((found.losses, judge.losses), (found.logits, judge.logits)):
            of_max = tol.NETWORK_FLOAT64_OF_NORM
            assert_close(own[step], theirs[step], of_max, what=f"step {step}")
    arrays = ja.nn.state_dict(found.model)
    assert_same_weights(arrays, judge.model, tol.NETWORK_FLOAT64_OF_NORM)
    assert all(arrays[name] == STEPS for name in arrays if "num_batches" in name)
    assert_goes_back(found.model, copy.deepcopy(twin).double())


def assert_goes_back(model, fresh):
    """Assert that PyTorch takes a model's state, and then holds the same bits."""
    found = ja.nn.state_dict(model)
    fresh.load_state_dict({name: torch.from_numpy(array) for name, array in found.items()})
    state = fresh.state_dict()
    assert list(state) == list(found)
    for name, tensor in state.items():
        assert tensor.numpy().tobytes() == found[name].tobytes(), name


def one_ulp_away(twin, seed):
    """Return a copy with every weight moved by one unit in the last place."""
    moved = copy.deepcopy(twin)
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for parameter in moved.parameters():
            up = torch.rand(parameter.shape, generator=generator) < 0.5
            towards = torch.where(up, torch.inf, -torch.inf)
            parameter.copy_(torch.nextafter(parameter, towards))
    return moved


def distance(arrays, losses, judge):
    """Return the RMS over losses and tensors of the relative error, as 2-norms."""
    pairs = [(losses, judge.losses)]
    for name, tensor in judge.model.state_dict().items():
        if tensor.is_floating_point():
            pairs.append((np.asarray(arrays[name], np.float64), tensor.numpy()))
    errors = [np.linalg.norm(a - b) / np.linalg.norm(b) for a, b in pairs]
    return np.sqrt(np.mean(np.square(errors)))


@pytest.mark.usefixtures("no_draws")
def test_twenty_float32_steps_are_as_far_from_float64_as_pytorchs(problem):
    case, twin, batches, judge = problem
    found = train_jax(case, twin, batches, jnp.float32)
    assert_close(found.logits[0], judge.logits[0], tol.MODEL_FLOAT32_OF_MAX, what="logits")
    theirs = []
    for seed in range(3):
        moved = train_torch(case, one_ulp_away(twin, seed), batches, "float32")
        theirs.append(distance(moved.model.state_dict(), moved.losses, judge))
    own = distance(ja.nn.state_dict(found.model), found.losses, judge)
    assert own <= tol.NETWORK_FLOAT32_OF_PYTORCHS_OWN * max(theirs), f"{own:.1e} {theirs}"
    assert_goes_back(found.model, copy.deepcopy(twin))
