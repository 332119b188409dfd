"""Gradients reduced in fewer bytes: PyTorch's own hooks, and what feedback makes up for."""

import concurrent.futures
import functools
import importlib.util
import threading
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import torch
from torch.distributed.algorithms.ddp_comm_hooks import default_hooks, powerSGD_hook

import jaxaccel as ja
from parity_tests import tolerances as tol

HAS_LIBTPU = importlib.util.find_spec("libtpu") is not None
SHAPES = {"bias": (7,), "conv": (3, 2, 5, 8), "kernel": (12, 20)}
STEPS = 5


def loss_fn(params, model_state, batch):
    """A loss whose gradient is the batch: each device's is its row."""
    moving = {name: leaf for name, leaf in params.items() if name in batch}
    products = jax.tree.map(lambda p, b: jnp.sum(p * jnp.mean(b, axis=0)).real, moving, batch)
    return sum(jax.tree.leaves(products)), (model_state, {})


class Run(NamedTuple):
    """A hook on some devices."""

    hook: ja.parallel.CommHook
    gradient_fn: object
    params: dict
    state: ja.parallel.CommState
    placement: object
    mesh: jax.sharding.Mesh


def zeros(shapes, dtype=float):
    return {name: jnp.zeros(shape, dtype) for name, shape in shapes.items()}


def run_of(hook, devices, params):
    mesh = ja.parallel.make_mesh(devices=jax.devices()[:devices])
    gradient_fn = ja.parallel.data_parallel(
        ja.training.gradients(loss_fn, trainable="^(?!frozen)"),
        mesh,
        mode="shard_map",
        comm_hook=hook,
    )
    state, placement = ja.parallel.comm_state(hook, params, mesh=mesh)
    return Run(hook, jax.jit(gradient_fn), params, state, placement, mesh)


def drawn(devices, steps=STEPS, shapes=SHAPES, dtype=np.float64):
    """Return a batch for each step: gradients that have much in common, in a few directions."""
    rng = np.random.default_rng(0)
    common = {name: rng.normal(size=shape) for name, shape in shapes.items()}
    return [
        {
            name: (common[name] + rng.normal(size=(devices, *shape))).astype(dtype)
            for name, shape in shapes.items()
        }
        for _ in range(steps)
    ]


# --- PyTorch's hooks, with a sum between threads --------------------------------------------------


class Bucket:
    """What DDP hands to a hook: all gradients of a rank, flat."""

    def __init__(self, tensors):
        self.shapes = [tensor.shape for tensor in tensors]
        self.flat = torch.cat([tensor.reshape(-1) for tensor in tensors])

    def buffer(self):
        return self.flat

    def gradients(self):
        parts = self.flat.split([shape.numel() for shape in self.shapes])
        return [part.view(shape) for part, shape in zip(parts, self.shapes, strict=True)]

    def index(self):
        return 0

    def is_last(self):
        return True


class Group(NamedTuple):
    """A rank, and where it meets the others."""

    rank: int
    tensors: list
    meeting: threading.Barrier

    def size(self):
        return len(self.tensors)


class Work(NamedTuple):
    """What an all-reduce returns: done already."""

    future: torch.futures.Future

    def get_future(self):
        return self.future


def all_reduce(tensor, group, async_op):
    """Sum over threads, in place and in the tensors' dtype."""
    group.tensors[group.rank] = tensor.clone()
    group.meeting.wait()
    tensor.copy_(functools.reduce(torch.add, group.tensors))
    group.meeting.wait()
    future = torch.futures.Future()
    future.set_result([tensor])
    return Work(future)


def by_ranks(of_rank, ranks, monkeypatch):
    """Return what each rank finds, in threads of their own."""
    monkeypatch.setattr(torch.distributed, "all_reduce", all_reduce)
    tensors, meeting = [None] * ranks, threading.Barrier(ranks, timeout=60)
    with concurrent.futures.ThreadPoolExecutor(ranks) as threads:
        groups = [Group(rank, tensors, meeting) for rank in range(ranks)]
        return list(threads.map(of_rank, range(ranks), groups))


def as_torch(array):
    """Return an array as PyTorch lays it out: outputs first, then inputs."""
    axes = range(array.ndim)
    return torch.tensor(np.transpose(array, [*axes[-1:], *axes[-2:-1], *axes[:-2]]))


def as_ours(tensor):
    axes = range(tensor.ndim)
    return np.transpose(tensor.numpy(), [*axes[2:], *axes[1:2], 0])


@pytest.mark.quick
@pytest.mark.parametrize(
    ("ours", "theirs"),
    [
        (ja.parallel.bf16_compress_hook, default_hooks.bf16_compress_hook),
        (ja.parallel.fp16_compress_hook, default_hooks.fp16_compress_hook),
    ],
    ids=["bfloat16", "float16"],
)
def test_halves_are_pytorchs_bit_for_bit(ours, theirs, monkeypatch):
    """Of two devices, whose sum has one order; infinities of float16 and its smallest too."""
    (batch,) = drawn(2, 1, dtype=np.float32)
    batch["kernel"] *= np.float32(10) ** np.arange(-8, 12, dtype=np.float32)
    run = run_of(ours(), 2, zeros(SHAPES, jnp.float32))
    found = run.gradient_fn(run.params, (), batch).grads

    def of_rank(rank, group):
        bucket = Bucket([torch.tensor(leaf[rank]) for leaf in batch.values()])
        theirs(group, bucket).wait()
        return bucket.gradients()

    for name, wanted in zip(batch, by_ranks(of_rank, 2, monkeypatch)[0], strict=True):
        np.testing.assert_array_equal(found[name], wanted.numpy(), err_msg=name)


POWER_SGD = {
    "two columns": ({"matrix_approximation_rank": 2}, np.float64),
    "by QR": ({"matrix_approximation_rank": 3, "min_compression_rate": 1}, np.float64),
    "epsilon, no feedback": (
        {"use_error_feedback": False, "orthogonalization_epsilon": 1e-3},
        np.float64,
    ),
    "float32": ({"matrix_approximation_rank": 2}, np.float32),
}


@pytest.mark.parametrize(("options", "dtype"), POWER_SGD.values(), ids=POWER_SGD)
def test_power_sgd_is_pytorchs(options, dtype, monkeypatch):
    """Means, errors and Q of every step, before and after it begins, from the same first Q."""
    ranks = 4
    options = {"start_powerSGD_iter": 2, **options}
    run = run_of(ja.parallel.power_sgd_hook(**options), ranks, zeros(SHAPES, dtype))
    batches, state, ours = drawn(ranks, dtype=dtype), run.state, []
    first = {name: np.asarray(q) for name, q in state.shared["q_memory_dict"].items()}
    assert set(first) == {"conv", "kernel"}
    for batch in batches:
        means, state, _ = run.gradient_fn(run.params, state, batch)
        ours.append(jax.tree.map(np.asarray, (means, state.own, state.shared)))

    def of_rank(rank, group):
        held = powerSGD_hook.PowerSGDState(group, **options)
        qs = [
            as_torch(q.reshape(*SHAPES[name][:-1], -1)).movedim(0, -1).flatten()
            for name, q in first.items()
        ]
        held.q_memory_dict[0] = torch.cat(qs)
        count = sum(SHAPES[name][-1] * q.shape[1] for name, q in first.items())
        held.p_memory_dict[0] = torch.empty(count, dtype=qs[0].dtype)
        found = []
        for batch in batches:
            bucket = Bucket([as_torch(leaf[rank]) for leaf in batch.values()])
            powerSGD_hook.powerSGD_hook(held, bucket).wait()
            errors = held.error_dict.get(0, torch.zeros_like(bucket.flat))
            kept = Bucket([*bucket.gradients()])
            kept.flat = errors.clone()
            found.append([bucket.gradients(), kept.gradients(), held.iter])
        return found

    bound = tol.DEVICES_FLOAT64_OF_MAX if dtype == np.float64 else tol.POWER_SGD_FLOAT32_OF_MAX
    for rank, steps in enumerate(by_ranks(of_rank, ranks, monkeypatch)):
        for (means, own, shared), (grads, errors, count) in zip(ours, steps, strict=True):
            assert shared["iter"] == count
            for name, grad, error in zip(SHAPES, grads, errors, strict=True):
                size = bound * np.abs(grad.numpy()).max()
                np.testing.assert_allclose(means[name], as_ours(grad), rtol=0, atol=size)
                if own and name in first:
                    mine = own["error_dict"][name][rank]
                    np.testing.assert_allclose(mine, as_ours(error), rtol=0, atol=size)


def test_power_sgd_recovers_what_has_its_rank_from_any_q():
    """Without a warm start Q is another one in each step."""
    rng = np.random.default_rng(0)
    columns, rows = rng.normal(size=(30, 2)), rng.normal(size=(2, 20))
    batch = {"kernel": np.stack([columns @ (d * rows) for d in (1.0, 2.0)])}
    hook = ja.parallel.power_sgd_hook(
        2, 0, use_error_feedback=False, warm_start=False, random_seed=3
    )
    run = run_of(hook, 2, zeros({"kernel": (30, 20)}))
    state = run.state
    assert set(state.shared) == {"iter"}
    first, state, _ = run.gradient_fn(run.params, state, batch)
    second, state, _ = run.gradient_fn(run.params, state, batch)
    np.testing.assert_allclose(first["kernel"], batch["kernel"].mean(0), rtol=1e-10)
    np.testing.assert_allclose(second["kernel"], batch["kernel"].mean(0), rtol=1e-10)
    assert np.any(first["kernel"] != second["kernel"])


# --- feedback -------------------------------------------------------------------------------------

FEEDBACK = {
    "bfloat16": functools.partial(ja.parallel.bf16_compress_hook, min_num_params=64),
    "int8": functools.partial(ja.parallel.int8_compress_hook, 16, min_num_params=64),
}
MIXED = {"complex": (9, 9), "few": (3,), "frozen": (70,), "kernel": (12, 20), "odd": (67,)}


def uneven(steps):
    """Return batches in which most numbers are far smaller than a step of what is sent."""
    batches = drawn(8, steps, {n: s for n, s in MIXED.items() if n != "frozen"})
    for batch in batches:
        batch["kernel"] *= 10.0 ** -np.arange(20)[None, None]
        batch["odd"][:, ::8] += 300
        batch["complex"] = batch["complex"] * (1 + 0.01j)
    return batches


@pytest.mark.parametrize("make", FEEDBACK.values(), ids=FEEDBACK)
def test_with_feedback_nothing_is_lost(make):
    """What was applied, with what is held back, is what there was; without it a bias remains."""
    steps = 30
    hook, batches = make(use_error_feedback=True), uneven(steps)
    params = zeros(MIXED) | {"complex": jnp.zeros(MIXED["complex"], complex)}
    run, plain = run_of(hook, 8, params), run_of(make(use_error_feedback=False), 8, params)
    assert plain.hook.init is None
    state = run.state
    add = functools.partial(jax.tree.map, lambda total, g: total + np.asarray(g))
    applied = biased = true = jax.tree.map(lambda leaf: 0 * leaf[0], batches[0])
    for batch in batches:
        means, state, _ = run.gradient_fn(run.params, state, batch)
        lost, _, _ = plain.gradient_fn(run.params, (), batch)
        applied, biased = add(applied, _moving(means)), add(biased, _moving(lost))
        true = add(true, jax.tree.map(lambda leaf: np.conj(leaf.mean(0)), batch))
    for name, total in true.items():
        difference = np.ravel(total - applied[name]).view(np.float64)
        size = np.abs(total).max()
        if name == "few":
            assert np.abs(difference).max() <= 1e-12 * size
            continue
        worker, server = (np.asarray(state.own[n][name]) for n in ("worker_error", "server_error"))
        held = worker.mean(0).ravel() + server.ravel()
        np.testing.assert_allclose(held[: difference.size], difference, atol=1e-12 * size)
        bias = np.ravel(total - biased[name]).view(np.float64)
        assert np.linalg.norm(difference) < 0.3 * np.linalg.norm(bias)


def _moving(grads):
    return {name: grad for name, grad in grads.items() if name != "frozen"}


def test_a_skipped_step_leaves_errors_as_they_are_and_scales_do_not_count():
    hook = ja.parallel.int8_compress_hook(min_num_params=1)
    run, (batch, *_) = run_of(hook, 2, zeros({"kernel": (12, 20)})), drawn(2)
    batch = {"kernel": batch["kernel"]}
    _, once, _ = run.gradient_fn(run.params, run.state, batch)
    twice, after, _ = run.gradient_fn(run.params, once, batch)
    scaled, held, _ = run.gradient_fn(run.params, once, batch, loss_scale=1024.0)
    np.testing.assert_array_equal(scaled["kernel"], 1024 * twice["kernel"])
    assert np.any(once.own["worker_error"]["kernel"] != 0)
    jax.tree.map(np.testing.assert_array_equal, held, after)
    batch["kernel"][1, 3, 4] = np.inf
    lost, held, _ = run.gradient_fn(run.params, once, batch)
    assert not np.all(np.isfinite(lost["kernel"]))
    jax.tree.map(np.testing.assert_array_equal, held, once)


# --- in a training step ---------------------------------------------------------------------------


def errors_of(params, model_state, batch):
    errors = jnp.tanh(batch["x"] @ params["w"]) - batch["y"]
    return jnp.mean(errors**2), (model_state + 1, {})


def test_steps_in_every_order_move_by_what_was_not_held_back():
    """Two parts, reduced in each or once; the memory is split, donated, skipped with the scaler."""
    rng, mesh = np.random.default_rng(0), ja.parallel.make_mesh()
    batch = {"x": rng.normal(size=(32, 6)), "y": rng.normal(size=(32, 8))}
    batch = ja.parallel.shard_batch(batch, mesh)
    params, hook = {"w": jnp.ones((6, 8))}, ja.parallel.int8_compress_hook(min_num_params=1)
    alone, tx = ja.training.gradients(errors_of), ja.optimizers.sgd(lr=1.0)
    scaler = ja.precision.grad_scaler(init_scale=4.0)

    def parallel(gradient_fn):
        return ja.parallel.data_parallel(gradient_fn, mesh, mode="shard_map", comm_hook=hook)

    orders = {
        "once": parallel(ja.training.accumulate(alone, 2, unroll=False)),
        "in each part": ja.training.accumulate(parallel(alone), 2, unroll=False),
    }
    for name, gradient_fn in orders.items():
        model_state, placement = ja.parallel.comm_state(hook, params, jnp.zeros(()), mesh=mesh)
        state = ja.training.train_state(
            params, tx, model_state, mesh=mesh, placement=placement, scaler=scaler
        )
        step, total = ja.training.train_step(gradient_fn, tx, scaler=scaler), 0.0
        for _ in range(3):
            total += np.asarray(alone(state.params, jnp.zeros(()), batch).grads["w"])
            state, metrics = step(state, batch)
            assert metrics["skipped"] == 0
        assert state.model_state.model_state == 6
        own = state.model_state.own
        assert {leaf.sharding.spec for leaf in jax.tree.leaves(own)} == {
            jax.sharding.PartitionSpec("data")
        }
        worker, server = (np.asarray(own[n]["w"]) for n in ("worker_error", "server_error"))
        held = (worker.mean(0).ravel() + server.ravel()).reshape(6, 8)
        share = 1 if name == "once" else 1 / 2  # what parts hold back is in the mean of parts
        assert np.abs(held).max() > 1e-4
        np.testing.assert_allclose(1.0 - state.params["w"], total - share * held, atol=1e-12)


def test_what_does_not_belong_together_is_refused():
    gradient_fn, mesh = ja.training.gradients(loss_fn), ja.parallel.make_mesh()
    hook, params = ja.parallel.int8_compress_hook(min_num_params=1), {"w": jnp.ones((4, 4))}
    batch = {"w": jnp.ones((8, 4, 4))}
    with pytest.raises(ValueError, match=r"comm_hook is for mode='shard_map', .* got mode='jit'"):
        ja.parallel.data_parallel(gradient_fn, mesh, comm_hook=hook)
    explicit = jax.make_mesh((8,), ("data",))
    with pytest.raises(ValueError, match=r"automatic axes.*make_mesh"):
        ja.parallel.data_parallel(gradient_fn, explicit, mode="shard_map", comm_hook=hook)
    parallel = ja.parallel.data_parallel(gradient_fn, mesh, mode="shard_map", comm_hook=hook)
    with pytest.raises(TypeError, match=r"needs a CommState.*got tuple; .*comm_state\(comm_hook"):
        parallel(params, (), batch)
    fewer = ja.parallel.make_mesh(devices=jax.devices()[:4])
    for other in (
        ja.parallel.comm_state(hook, params, mesh=fewer),
        ja.parallel.comm_state(hook, {"v": params["w"]}, mesh=mesh),
        ja.parallel.comm_state(ja.parallel.power_sgd_hook(), params, mesh=mesh),
    ):
        with pytest.raises(ValueError, match=r"not that of this hook on 8 devices; .*comm_state"):
            parallel(params, jax.tree.map(np.asarray, other[0]), batch)
    with pytest.raises(ValueError, match=r"start_powerSGD_iter must be a number of calls.*got -1"):
        ja.parallel.power_sgd_hook(start_powerSGD_iter=-1)


WIDTH = 1024
BYTES = {
    "bfloat16": (ja.parallel.bf16_compress_hook(), {"all-reduce": 2 * WIDTH**2}),
    "int8": (
        ja.parallel.int8_compress_hook(),
        {"all-to-all": WIDTH**2 * (1 + 4 / 512), "all-gather": WIDTH**2 * (1 + 4 / 512)},
    ),
}


@pytest.mark.skipif(not HAS_LIBTPU, reason="needs libtpu")
@pytest.mark.parametrize(("hook", "wanted"), BYTES.values(), ids=BYTES)
def test_a_tpus_collectives_have_the_bytes_of_the_narrow_dtype(hook, wanted):
    devices = ja.aot.topology_devices("tpu:v5e:2x4")
    mesh = ja.parallel.make_mesh(devices=devices)
    params = {"w": jax.ShapeDtypeStruct((WIDTH, WIDTH), jnp.float32)}
    batch = {"w": jax.ShapeDtypeStruct((8, WIDTH, WIDTH), jnp.float32)}
    gradient_fn = ja.parallel.data_parallel(
        ja.training.gradients(loss_fn), mesh, mode="shard_map", comm_hook=hook
    )
    state = ()
    if hook.init is not None:
        state, placement = ja.parallel.comm_state(hook, params, mesh=mesh)
        held = ja.parallel.distribute_state({"model_state": state}, mesh, placement)
        state = held["model_state"]
        # One float32 a number and an eighth of it; the rest of the row is another device's.
        assert {leaf.sharding.shard_shape(leaf.shape)[0] for leaf in jax.tree.leaves(held)} == {1}
    compiled = jax.jit(gradient_fn).lower(params, state, batch).compile()
    found = dict.fromkeys(wanted, 0)
    for collective in ja.aot.report(compiled).collectives:
        found[collective.kind] = found.get(collective.kind, 0) + collective.bytes
    found = {kind: count for kind, count in found.items() if count > 64}  # the loss' mean is less
    assert found == pytest.approx(wanted, abs=64)
