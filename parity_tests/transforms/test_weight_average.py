"""Averages of weights against ``torch.optim.swa_utils.AveragedModel``, update by update."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import torch
from flax import nnx
from jax.sharding import NamedSharding
from jax.sharding import PartitionSpec as P
from torch.optim import swa_utils

import jaxaccel as ja
from jaxaccel._math import Complement
from parity_tests import tolerances as tol
from parity_tests.harness.compare import assert_close, assert_same_weights
from parity_tests.harness.mirror import torch_ref_inside
from parity_tests.harness.network import (
    images_and_labels,
    torch_batch,
)
from parity_tests.harness.optimizer import lookup, oracle_of, to_jax, to_numpy, to_torch, values_at
from parity_tests.transforms.rows_transforms import AVERAGES

UPDATES = 40
INTEGER = "num_batches_tracked"

rows = pytest.mark.parametrize(
    "case", AVERAGES, ids=lambda case: f"{case.id}-{case.oracle.split('.')[-1]}"
)


def weights(dtype):
    """Return {name: array} by update, a walk, as ``dtype`` rounds it; one leaf counts."""
    rng = np.random.default_rng(0)
    shapes = {"matrix": (40, 30), "scalar": ()}
    walks = {name: rng.normal(size=(UPDATES, *shape)) for name, shape in shapes.items()}
    walks["pairs"] = walks["matrix"] + 1j * rng.normal(size=(UPDATES, 40, 30))
    walks = {name: rng.normal() + 0.1 * np.cumsum(walk, axis=0) for name, walk in walks.items()}
    counts = np.cumsum(rng.integers(0, 4, size=(UPDATES, 50)), axis=0)
    return [
        {name: to_numpy(to_torch(walk[t], dtype)) for name, walk in walks.items()}
        | {INTEGER: counts[t]}
        for t in range(UPDATES)
    ]


class Holder(torch.nn.Module):
    """Weights as parameters, the counter as a buffer."""

    def __init__(self, leaves, dtype):
        super().__init__()
        for name, leaf in leaves.items():
            if name == INTEGER:
                self.register_buffer(name, torch.tensor(leaf))
            else:
                setattr(self, name, torch.nn.Parameter(to_torch(leaf, dtype)))


def averaged_model(case, leaves, dtype):
    """Return PyTorch's average with the row's function, which reads a schedule for itself."""
    model = Holder(leaves, dtype)
    how = "multi_avg_fn" if "multi" in case.oracle else "avg_fn"

    def average(averaged, current, n_averaged):
        # As an integer: from a tensor PyTorch rounds 1 / (n + 1) to float32.
        n = int(n_averaged)
        return oracle_of(case)(**values_at(case.kwargs, n))(averaged, current, n)

    # Equal averages of lists of integers are an error in PyTorch.
    use_buffers = "swa_multi" not in case.oracle
    return swa_utils.AveragedModel(model, **{how: average}, use_buffers=use_buffers)


def run_pytorch(case, walk, dtype="float64", start=None):
    """Return the average's leaves after every update; the first forgets what it starts from."""
    averaged, results = averaged_model(case, walk[-1], dtype), []
    if start is not None:
        averaged.module = Holder(
            {n: start[1][n].astype(x.dtype) for n, x in walk[0].items()}, dtype
        )
        averaged.n_averaged += start[0]
    for leaves in walk:
        averaged.update_parameters(Holder(leaves, dtype))
        results.append({n: to_numpy(leaf) for n, leaf in averaged.module.state_dict().items()})
    return results


def as_jax(leaves, dtype):
    return {n: jnp.asarray(x) if n == INTEGER else to_jax(x, dtype) for n, x in leaves.items()}


def run(case, walk, dtype):
    """Return the average's leaves after every update, in double precision."""
    average, traces = lookup("jaxaccel", case.function)(**case.kwargs), []

    def traced(state, params):
        traces.append(1)
        return average.update(state, params)

    update = jax.jit(traced, donate_argnums=0)
    state, results = average.init(as_jax(walk[-1], dtype)), []
    for t, leaves in enumerate(walk):
        state = update(state, as_jax(leaves, dtype))
        assert int(state.n_averaged) == t + 1
        assert {n: x.dtype for n, x in state.module.items()} == {
            n: x.dtype for n, x in as_jax(leaves, dtype).items()
        }
        results.append({n: wide(leaf) for n, leaf in state.module.items()})
    assert len(traces) == 1 or jax.config.jax_disable_jit
    return results


def run_torch_ref(case, walk, dtype):
    """Run the row with torch_ref's algorithm on each tensor."""
    with torch_ref_inside("transforms") as ran:
        results = run(case, walk, dtype)
    assert len(ran) == 2
    return results


def wide(leaf):
    return np.asarray(leaf.astype(complex if jnp.iscomplexobj(leaf) else float))


def names_of(case):
    """Return the leaves that are averaged in PyTorch too."""
    return [n for n in weights("float64")[0] if n != INTEGER or "swa_multi" not in case.oracle]


@pytest.mark.parity
@pytest.mark.parametrize("run_row", [run, run_torch_ref])
@rows
def test_equals_averaged_model_at_every_update(case, run_row):
    """Integers, which PyTorch truncates, to the last bit."""
    walk = weights("float64")
    expected = run_pytorch(case, walk)
    for t, found in enumerate(run_row(case, walk, "float64")):
        for name in names_of(case):
            error = np.max(np.abs(found[name] - expected[t][name]))
            share = 0 if name == INTEGER else tol.FLOAT64_OF_FIELD
            allowed = share * np.max(np.abs(expected[t][name]))
            assert error <= allowed, f"{name} at {t}: {error:.1e}"


@pytest.mark.parametrize("dtype", ["float32", "bfloat16", "float16"])
@rows
def test_low_precision_is_no_worse_than_pytorch(case, dtype):
    """RMS of 1200 independent walks; in float32 also one update from an equal state."""
    walk = weights(dtype)
    truth, found, own = (
        run_pytorch(case, walk),
        run(case, walk, dtype),
        run_pytorch(case, walk, dtype),
    )
    for t in (1, 10, UPDATES - 1):
        ours, theirs = (
            np.sqrt(np.mean((each[t]["matrix"] - truth[t]["matrix"]) ** 2)) for each in (found, own)
        )
        assert ours <= tol.OWN_ERROR_RATIO * theirs
    if dtype == "float32":
        for t in range(1, UPDATES):
            (expected,) = run_pytorch(case, walk[t : t + 1], start=(t, found[t - 1]))
            for name in ("matrix", "pairs", "scalar"):
                error = np.max(np.abs(found[t][name] - expected[name]))
                assert error <= tol.FLOAT32_ONE_STEP * np.max(np.abs(expected[name]))


def test_counts_are_truncated_as_pytorch_truncates_them():
    """0.9 n + 0.1 n is not always n in float32, and PyTorch shows it."""
    old = np.repeat(np.arange(3000), 3)
    new = old + np.tile(np.arange(3), 3000)
    for decay in (0.9, 0.999, 0.9999):
        expected = torch.tensor(old)
        expected.copy_(swa_utils.get_ema_avg_fn(decay)(expected, torch.tensor(new), 1))
        average = ja.transforms.exponential_moving_average(decay)
        state = average.init(jnp.asarray(old))._replace(n_averaged=jnp.ones((), jnp.int32))
        for update in (average.update, jax.jit(average.update)):
            assert np.array_equal(update(state, jnp.asarray(new)).module, expected)


def test_bfloat16_weights_can_have_a_float32_average():
    average = ja.transforms.exponential_moving_average(decay=0.999)
    params = {"w": jnp.ones(3, jnp.bfloat16)}
    state = average.init({"w": params["w"].astype(jnp.float32)})
    state = average.update(average.update(state, params), {"w": 2 * params["w"]})
    np.testing.assert_allclose(state.module["w"], 1.001, rtol=tol.FLOAT32_ONE_STEP)


def test_missing_leaves_stay_and_random_keys_follow_the_model():
    average = ja.transforms.stochastic_weight_average()
    state = average.init({"w": None, "key": jax.random.key(0), "on": jnp.asarray(True)})
    state = average.update(state, {"w": None, "key": jax.random.key(1), "on": jnp.asarray(True)})
    assert state.module["w"] is None
    assert jnp.array_equal(
        jax.random.key_data(state.module["key"]), jax.random.key_data(jax.random.key(1))
    )
    assert state.module["on"]


def test_the_average_lives_with_the_parameters_and_shares_no_buffer():
    mesh = ja.parallel.make_mesh()
    w = jax.device_put(jnp.arange(16.0), NamedSharding(mesh, P("data")))
    average = ja.transforms.exponential_moving_average()
    update = jax.jit(average.update, donate_argnums=0)
    state = average.init(w)
    for _ in range(3):
        state = update(state, w)
        assert state.module.sharding.is_equivalent_to(w.sharding, 1)
    assert not w.is_deleted()
    assert update._cache_size() == 1


def test_average_beside_a_training_step():
    """``fit`` carries both."""
    tx, average = ja.optimizers.sgd(lr=0.25), ja.transforms.stochastic_weight_average()
    gradient_fn = ja.training.gradients(
        lambda params, model_state, batch: (jnp.mean((params - batch) ** 2), (model_state, {}))
    )
    step = ja.training.train_step(gradient_fn, tx)

    def averaged_step(carry, batch):
        state, metrics = step(carry[0], batch)
        return (state, average.update(carry[1], state.params)), metrics

    start = ja.training.train_state(jnp.zeros(()), tx)
    (state, averaged), _ = ja.training.fit(
        averaged_step,
        (start, average.init(start.params)),
        lambda epoch: [jnp.full(2, 4.0)] * 2,
        progress=False,
    )
    assert float(state.params) == 3.0
    assert float(averaged.module) == 2.5


@pytest.mark.parametrize("decay", [-0.1, 1.5, 2, np.nan])
def test_decay_errors_are_pytorchs(decay):
    with pytest.raises(ValueError) as raised:
        ja.transforms.exponential_moving_average(decay)
    if not np.isnan(decay):  # which PyTorch lets pass
        with pytest.raises(ValueError) as expected:
            swa_utils.get_ema_avg_fn(decay)
        assert str(raised.value) == str(expected.value)
    assert f"Invalid decay value {decay} provided." in str(raised.value)
    with pytest.raises(TypeError, match=r"decay must be a number.*'0\.9'"):
        ja.transforms.exponential_moving_average("0.9")


@pytest.mark.parametrize(
    "decay",
    [
        np.float64(0.375),
        jnp.asarray(0.375, jnp.float32),
        jnp.array([0.375]),
        lambda n: 0.375,
        lambda n: jnp.asarray(0.375),
        Complement(jnp.asarray(0.625, jnp.float32)),
    ],
    ids=["numpy", "jax", "array of one", "schedule", "schedule of jax", "complement"],
)
def test_decay_in_other_clothes_gives_the_same(decay):
    params = {"w": jnp.asarray([1.0, 2.0]), "n": jnp.asarray([7, 9])}
    found, expected = (
        average.update(average.update(average.init(params), params), jax.tree.map(jnp.cos, params))
        for average in map(ja.transforms.exponential_moving_average, (decay, 0.375))
    )
    for a, b in zip(jax.tree.leaves(found), jax.tree.leaves(expected), strict=True):
        np.testing.assert_allclose(a, b, rtol=tol.CONTRACT_FLOAT64_OF_MAX)


# --- running statistics -------------------------------------------------------------------------


class Network(nnx.Module):
    """Two normalizations, the second of what the first lets through."""

    def __init__(self):
        self.bn1 = ja.nn.BatchNorm2d(2, dtype=jnp.float64)
        self.conv = ja.nn.Conv2d(2, 3, 3, dtype=jnp.float64, rngs=nnx.Rngs(0))
        self.bn2 = ja.nn.BatchNorm2d(3, momentum=0.3, dtype=jnp.float64)

    def __call__(self, input):
        return self.bn2(jax.nn.relu(self.conv(self.bn1(input))))


class Twin(torch.nn.Module):
    """The same in PyTorch."""

    def __init__(self):
        super().__init__()
        self.bn1 = torch.nn.BatchNorm2d(2)
        self.conv = torch.nn.Conv2d(2, 3, 3)
        self.bn2 = torch.nn.BatchNorm2d(3, momentum=0.3)

    def forward(self, input):
        return self.bn2(torch.relu(self.conv(self.bn1(input))))


def images_of(count, seed=0):
    return images_and_labels(count, channels=2, seed=seed)


def networks():
    """Return both, with the same weights and the statistics of some batches."""
    model, twin = Network(), Twin().double()
    torch.manual_seed(0)
    for p in twin.parameters():
        torch.nn.init.normal_(p)
    for seed in (7, 8):
        inputs, _ = torch_batch(*images_of(6, seed=seed))
        twin(inputs)
    ja.nn.load_state_dict(model, twin.state_dict())
    return model, twin


@pytest.mark.parametrize("form", ["arrays", "tuples", "lists of numpy arrays"])
def test_update_bn_equals_pytorch(form):
    """Batches of different sizes, weights untouched, momenta and modes restored."""
    model, twin = networks()
    batches = [images_of(size, seed=size) for size in (6, 6, 3)]
    torch_batches = [torch_batch(*batch) for batch in batches]
    loader = {
        "arrays": [jnp.asarray(images) for images, _ in batches],
        "tuples": [(jnp.asarray(images), labels) for images, labels in batches],
        "lists of numpy arrays": [list(batch) for batch in batches],
    }[form]
    if form == "arrays":
        torch_batches = [images for images, _ in torch_batches]
    twin.eval()
    model.eval()
    swa_utils.update_bn(torch_batches, twin)
    ja.training.update_bn(iter(loader), model)
    assert_same_weights(ja.nn.state_dict(model), twin, tol.NETWORK_FLOAT64_OF_NORM)
    assert int(model.bn1.num_batches_tracked[...]) == int(twin.bn1.num_batches_tracked) == 3
    assert (model.bn1.momentum, model.bn2.momentum) == (0.1, 0.3)
    assert model.bn1.use_running_average is True


@pytest.mark.parametrize(
    # PyTorch's SyncBatchNorm needs several processes; in one it is a BatchNorm.
    ("name", "judge"),
    [
        ("BatchNorm1d", "BatchNorm1d"),
        ("BatchNorm3d", "BatchNorm3d"),
        ("SyncBatchNorm", "BatchNorm1d"),
    ],
)
def test_update_bn_renews_every_kind_of_batch_norm(name, judge):
    shape = (4, 2, 3, 2, 2) if name == "BatchNorm3d" else (4, 2)
    batches = [np.random.default_rng(seed).normal(seed, 2, shape) for seed in range(3)]
    layer = getattr(ja.nn, name)(2, dtype=jnp.float64)
    judge = getattr(torch.nn, judge)(2).double()
    swa_utils.update_bn([torch.tensor(batch) for batch in batches], judge)
    ja.training.update_bn([jnp.asarray(np.moveaxis(batch, 1, -1)) for batch in batches], layer)
    assert_same_weights(ja.nn.state_dict(layer), judge, tol.NETWORK_FLOAT64_OF_NORM)


def test_update_bn_renews_what_says_so():
    """A layer of the user's own; instance normalization goes on as in PyTorch."""

    class MeanOnly(nnx.Module):
        renewed_by_update_bn = True

        def __init__(self):
            self.momentum, self.mean = 0.5, nnx.BatchStat(jnp.ones(()))

        def reset_running_stats(self):
            self.mean[...] = jnp.zeros(())

        def __call__(self, input):
            assert self.momentum is None
            self.mean[...] += jnp.mean(input)
            return input

    own = MeanOnly()
    batch = ja.nn.BatchNorm2d(2, dtype=jnp.float64)
    instance = ja.nn.InstanceNorm2d(2, track_running_stats=True, dtype=jnp.float64)
    twin = torch.nn.Sequential(
        torch.nn.InstanceNorm2d(2, track_running_stats=True), torch.nn.BatchNorm2d(2)
    ).double()
    images, labels = images_of(3)
    for _ in range(2):
        swa_utils.update_bn([torch_batch(images, labels)], twin)
        ja.training.update_bn([images], ja.nn.Sequential(own, instance, batch))
    assert_same_weights(ja.nn.state_dict(instance), twin[0], tol.NETWORK_FLOAT64_OF_NORM)
    assert own.momentum == 0.5
    assert_close(own.mean[...], np.mean(images), tol.TRANSFORM_FLOAT64_OF_MAX)


def test_running_statistics_can_be_reset():
    for name, shape in (("BatchNorm2d", (2, 3, 3, 2)), ("InstanceNorm2d", (2, 3, 3, 2))):
        layer = getattr(ja.nn, name)(2, track_running_stats=True, dtype=jnp.float64)
        twin = getattr(torch.nn, name)(2, track_running_stats=True).double()
        layer(jnp.arange(36.0).reshape(shape))
        layer.reset_running_stats()
        assert_same_weights(ja.nn.state_dict(layer), twin, 0.0)
        assert int(layer.num_batches_tracked[...]) == 0
        getattr(ja.nn, name)(2, track_running_stats=False).reset_running_stats()


def test_update_bn_of_averaged_weights():
    """The whole recipe: average the weights of three models, then renew the statistics."""
    model, twin = networks()
    averaged = swa_utils.AveragedModel(twin)
    average = ja.transforms.stochastic_weight_average()
    graph, params, rest = nnx.split(model, nnx.Param, ...)
    state, rng = average.init(params), np.random.default_rng(0)
    for _ in range(3):
        with torch.no_grad():
            for p in twin.parameters():
                p += 0.1 * torch.tensor(rng.normal(size=p.shape))
        averaged.update_parameters(twin)
        ja.nn.load_state_dict(model, twin.state_dict())
        state = average.update(state, nnx.state(model, nnx.Param))
    images, labels = images_of(6, seed=3)
    swa_utils.update_bn([torch_batch(images, labels)], averaged)
    merged = nnx.merge(graph, state.module, rest)
    ja.training.update_bn([images], merged)
    assert_same_weights(ja.nn.state_dict(merged), averaged.module, tol.NETWORK_FLOAT64_OF_NORM)


def test_update_bn_compiles_once_for_all_calls():
    from jaxaccel.training import _update_bn

    model, _ = networks()
    images, _ = images_of(3)
    ja.training.update_bn([images], model)
    compiled = _update_bn._forward._cache_size()
    for _ in range(2):
        ja.training.update_bn([images, images], model)
    assert _update_bn._forward._cache_size() == compiled


def test_update_bn_of_an_empty_loader_resets():
    model, twin = networks()
    swa_utils.update_bn([], twin)
    ja.training.update_bn([], model)
    assert_same_weights(ja.nn.state_dict(model), twin, 0.0)
    assert int(model.bn1.num_batches_tracked[...]) == 0


def test_update_bn_that_fails_leaves_the_model_as_it_was():
    model, _ = networks()
    before = ja.nn.state_dict(model)
    images, _ = images_of(3)
    with pytest.raises(ValueError, match="4D input"):
        ja.training.update_bn([images, images[0]], model)
    for name, array in ja.nn.state_dict(model).items():
        assert np.array_equal(array, before[name])
    assert model.bn1.momentum == 0.1


def test_update_bn_without_batch_normalization_reads_nothing():
    model = ja.models.mlp(4, [3], 2, rngs=nnx.Rngs(0))

    def loader():
        raise AssertionError("read")
        yield

    ja.training.update_bn(loader(), model)


def test_update_bn_with_layers_that_keep_nothing_or_average_already():
    """Beside dropout, which draws on: its key moves, as the generator does in PyTorch."""

    class Net(nnx.Module):
        def __init__(self):
            self.first = ja.nn.BatchNorm2d(2, track_running_stats=False, dtype=jnp.float64)
            self.second = ja.nn.BatchNorm2d(2, momentum=None, dtype=jnp.float64)
            self.dropout = ja.nn.Dropout(0.5, rngs=nnx.Rngs(0))

        def __call__(self, input):
            return self.dropout(self.second(self.first(input)))

    model = Net()
    twin = torch.nn.Sequential(
        torch.nn.BatchNorm2d(2, track_running_stats=False), torch.nn.BatchNorm2d(2, momentum=None)
    ).double()
    images, _ = images_of(5)
    for _ in range(2):
        swa_utils.update_bn([torch_batch(images, images)[0]], twin)
        ja.training.update_bn([images], model)
    np.testing.assert_allclose(
        model.second.running_var[...], twin[1].running_var, rtol=tol.NETWORK_FLOAT64_OF_NORM
    )
    assert model.second.momentum is None
