"""The order of the rows: beside torch.utils.data itself, with the generators' states."""

import functools
import inspect
import json
import subprocess
import sys
from itertools import islice, product

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.utils.data import (
    BatchSampler,
    DataLoader,
    DistributedSampler,
    RandomSampler,
    WeightedRandomSampler,
)
from torch.utils.data._utils.worker import _generate_state

import jaxaccel as ja
from jaxaccel.random import Generator, manual_seed

SEEDS = (0, 1, -1, 2**32 + 5, 2**63)
LENGTHS = (1, 2, 7, 100, 1000)
WEIGHTS = np.random.default_rng(0).random(50) * (np.arange(50) % 7 > 0)

seeds = pytest.mark.parametrize("seed", SEEDS)
lengths = pytest.mark.parametrize("length", LENGTHS)


@pytest.fixture(autouse=True)
def _keep_pytorchs_generator():
    with torch.random.fork_rng():
        yield


def same_state(ours, theirs=None):
    """Return whether a generator is where PyTorch's (the default one: None) is."""
    state = torch.get_rng_state() if theirs is None else theirs.get_state()
    return np.array_equal(ours.get_state(), state.numpy())


def assert_rows(ours, theirs):
    """The same row numbers, as int64."""
    assert ours.dtype == np.int64
    assert ours.tolist() == theirs


def draw_from_both(ours):
    """Draw something else from a generator and from PyTorch's default one."""
    assert ours.random((), np.int64) == torch.empty((), dtype=torch.int64).random_()


# --- samplers -----------------------------------------------------------------------------------


@seeds
@lengths
@pytest.mark.parametrize(
    "options",
    [
        {},
        {"replacement": True},
        {"num_samples": 1},
        {"num_samples": 33},
        {"num_samples": 250},
        {"num_samples": 33, "replacement": True},
        {"num_samples": 2000, "replacement": True},
    ],
    ids=str,
)
def test_random_sampler(seed, length, options):
    rows = range(length)
    torch.manual_seed(seed)
    default, explicit = manual_seed(seed), manual_seed(seed)
    judge = torch.Generator().manual_seed(seed)
    by_default, by_generator = (
        RandomSampler(rows, **options),
        RandomSampler(rows, **options, generator=judge),
    )
    for _ in range(3):
        order = ja.data.random_sampler(rows, **options, default_generator=default)
        assert_rows(order, list(by_default))
        assert same_state(default)
        order = ja.data.random_sampler(rows, **options, generator=explicit)
        assert_rows(order, list(by_generator))
        assert same_state(explicit, judge)


def test_the_explicit_generator_comes_first():
    default, explicit = manual_seed(0), manual_seed(1)
    order = ja.data.random_sampler(range(9), generator=explicit, default_generator=default)
    assert order.tolist() == ja.data.random_sampler(range(9), generator=manual_seed(1)).tolist()
    assert np.array_equal(default.get_state(), manual_seed(0).get_state())


@seeds
@pytest.mark.parametrize(
    ("num_samples", "replacement"), [(1, True), (1, False), (30, True), (30, False), (200, True)]
)
def test_weighted_random_sampler(seed, num_samples, replacement):
    torch.manual_seed(seed)
    generator = manual_seed(seed)
    judge = WeightedRandomSampler(WEIGHTS.tolist(), num_samples, replacement)
    for _ in range(3):
        order = ja.data.weighted_random_sampler(WEIGHTS, num_samples, replacement, generator)
        assert_rows(order, list(judge))
        assert same_state(generator)


@pytest.mark.parametrize("num_replicas", [1, 2, 3, 8])
@pytest.mark.parametrize("drop_last", [False, True])
@pytest.mark.parametrize("shuffle", [False, True])
def test_distributed_sampler(num_replicas, drop_last, shuffle):
    for seed, length, rank in product(SEEDS, LENGTHS, range(num_replicas)):
        rows = range(length)
        judge = DistributedSampler(rows, num_replicas, rank, shuffle, seed, drop_last)
        for epoch in (0, 1, 5):
            judge.set_epoch(epoch)
            order = ja.data.distributed_sampler(
                rows, num_replicas, rank, shuffle, seed, drop_last,
                epoch=epoch,
            )  # fmt: skip
            assert_rows(order, list(judge))


def test_distributed_sampler_knows_this_process():
    rows = range(10)
    alone = ja.data.distributed_sampler(rows)
    assert_rows(alone, list(DistributedSampler(rows, num_replicas=1, rank=0)))


@seeds
@pytest.mark.parametrize(
    ("length", "parts"),
    [
        (10, [3, 7]),
        (7, [7]),
        (7, [0, 2, 0, 5]),
        (1000, [800, 150, 50]),
        (30, [0.3, 0.3, 0.4]),
        (101, [0.5, 0.25, 0.25]),
        (7, [1 / 3, 1 / 3, 1 / 3]),
        (1, [1]),
    ],
)
def test_random_split(seed, length, parts):
    torch.manual_seed(seed)
    generator = manual_seed(seed)
    for _ in range(2):
        judge = torch.utils.data.random_split(range(length), parts)
        split = ja.data.random_split(range(length), parts, generator)
        for rows, subset in zip(split, judge, strict=True):
            assert_rows(rows, subset.indices)
        assert same_state(generator)


def test_random_split_warns_of_a_part_without_rows():
    with pytest.warns(UserWarning, match="Length of split at index 1 is 0") as theirs:
        torch.utils.data.random_split(range(2), [0.9, 0.1])
    with pytest.warns(UserWarning, match="Length of split at index 1 is 0") as ours:
        ja.data.random_split(range(2), [0.9, 0.1], manual_seed(0))
    assert [str(warning.message) for warning in ours] == [str(w.message) for w in theirs]
    assert {warning.filename for warning in ours} == {__file__}


@lengths
@pytest.mark.parametrize("batch_size", [1, 3, 7, 64])
@pytest.mark.parametrize("drop_last", [False, True])
def test_batch_sampler(length, batch_size, drop_last):
    order = np.random.default_rng(0).permutation(length)
    found = [*ja.data.batch_sampler(order, batch_size, drop_last)]
    assert all(rows.dtype == np.int64 for rows in found)
    judge = BatchSampler(order.tolist(), batch_size, drop_last)
    assert [rows.tolist() for rows in found] == list(judge)


@pytest.mark.parametrize("drop_last", [False, True])
def test_batch_sampler_reads_no_further_than_pytorchs(drop_last):
    ours, theirs = iter(range(20)), iter(range(20))
    mine = ja.data.batch_sampler(ours, 4, drop_last)
    judge = iter(BatchSampler(theirs, 4, drop_last))
    assert next(ours) == next(theirs) == 0
    while (expected := next(judge, None)) is not None:
        assert next(mine).tolist() == expected
        assert next(ours, None) == next(theirs, None)
    assert next(mine, None) is None


# --- the loader ---------------------------------------------------------------------------------

LOADERS = [
    {},
    {"shuffle": True},
    {"shuffle": True, "batch_size": 3},
    {"shuffle": True, "batch_size": 7, "drop_last": True},
    {"shuffle": True, "batch_size": 20},
    {"batch_size": 9, "drop_last": True},
]
loaders = pytest.mark.parametrize("options", LOADERS, ids=str)


def both_loaders(length, seed, options, explicit):
    """Return our epoch as a function, PyTorch's loader, and the states' comparison."""
    generator = manual_seed(seed)
    judge = torch.manual_seed(seed) and None
    if explicit:
        judge = torch.Generator().manual_seed(seed)
    loader = DataLoader(range(length), generator=judge, **options)
    name = "generator" if explicit else "default_generator"
    start = functools.partial(
        ja.data.data_loader_order, range(length), **options, **{name: generator}
    )
    return start, loader, functools.partial(same_state, generator, judge), generator


@seeds
@loaders
@pytest.mark.parametrize("length", [1, 7, 100])
@pytest.mark.parametrize("explicit", [False, True], ids=["default", "explicit"])
def test_loader(seed, length, options, explicit):
    """Three epochs; the generator is compared when an epoch starts and after every batch."""
    start, loader, in_step, _ = both_loaders(length, seed, options, explicit)
    for _ in range(3):
        ours, theirs = start(), iter(loader)
        assert in_step()
        for position, expected in enumerate(theirs, 1):
            rows, state = next(ours)
            assert_rows(rows, expected.tolist())
            assert (state.position, state.base_seed) == (position, theirs._base_seed)
            assert in_step()
        assert next(ours, None) is None
        assert in_step()


@loaders
def test_other_draws_fall_between_the_same_ones(options):
    """Dropout, or a second loader, draws from the default generator in the middle of it all."""
    start, loader, in_step, generator = both_loaders(21, 3, options, explicit=False)
    draw = functools.partial(draw_from_both, generator)
    for _ in range(2):
        draw()
        ours, theirs = start(), iter(loader)
        draw()
        for expected in theirs:
            assert_rows(next(ours)[0], expected.tolist())
            draw()
        assert next(ours, None) is None
        assert in_step()


@pytest.mark.parametrize("batches", [1, 2, 5])
def test_an_epoch_may_be_broken_off(batches):
    """An explicit generator is drawn from once more at the end of an epoch, if that comes."""
    options = {"shuffle": True, "batch_size": 4}
    start, loader, in_step, _ = both_loaders(20, 3, options, explicit=True)
    for _ in range(3):
        found = [rows.tolist() for rows, _ in islice(start(), batches)]
        assert found == [rows.tolist() for rows in islice(loader, batches)]
        assert in_step()


def test_a_sampler_is_drawn_when_pytorch_draws_it():
    torch.manual_seed(5)
    generator = manual_seed(5)
    loader = DataLoader(range(50), 8, sampler=WeightedRandomSampler(WEIGHTS, 30))
    for _ in range(2):
        order = ja.data.data_loader_order(
            range(50), 8, default_generator=generator,
            sampler=lambda g: ja.data.weighted_random_sampler(WEIGHTS, 30, generator=g),
        )  # fmt: skip
        found, expected = [], []
        for (rows, _), batch in zip(order, loader, strict=True):
            found.append(rows.tolist())
            expected.append(batch.tolist())
        assert found == expected
        assert same_state(generator)


def test_a_sampler_may_be_an_array():
    torch.manual_seed(5)
    generator = manual_seed(5)
    judge = DistributedSampler(range(50), 3, 1)
    order = ja.data.distributed_sampler(range(50), 3, 1)
    found = ja.data.data_loader_order(range(50), 8, sampler=order, default_generator=generator)
    expected = DataLoader(range(50), 8, sampler=judge)
    assert [rows.tolist() for rows, _ in found] == [rows.tolist() for rows in expected]
    assert same_state(generator)


# --- worker processes ---------------------------------------------------------------------------

WITH_WORKERS = [
    {"options": {"num_workers": 2, **options}, "seed": seed, "explicit": explicit}
    for options, seed, explicit in [
        ({"shuffle": True, "batch_size": 8}, 0, False),
        ({"shuffle": True, "batch_size": 8, "persistent_workers": True}, 1, False),
        ({"shuffle": True, "batch_size": 5, "drop_last": True}, -1, True),
        ({"shuffle": True, "batch_size": 5, "persistent_workers": True}, 2**32 + 5, True),
        ({"shuffle": True, "batch_size": 5, "prefetch_factor": 3}, 2**63, True),
        ({"batch_size": 20}, 2**63, False),
    ]
]

JUDGE = """
import json, random, sys
import numpy as np, torch
from torch.utils.data import DataLoader

class Rows:
    def __len__(self):
        return 40

    def __getitem__(self, row):
        words = [random.getstate()[1][0], *np.random.get_state()[1][:4].tolist()]
        return row, str(torch.initial_seed()), str(words)

runs = []
for case in json.loads(sys.argv[1]):
    generator = torch.random.default_generator
    torch.manual_seed(case["seed"])
    if case["explicit"]:
        generator = torch.Generator().manual_seed(case["seed"])
    given = generator if case["explicit"] else None
    loader = DataLoader(Rows(), generator=given, **case["options"])
    epochs = []
    for _ in range(3):
        batches = iter(loader)
        started = generator.get_state().numpy().tobytes().hex()
        torch.randint(9, (1,), generator=generator)
        epochs.append([started, batches._base_seed, []])
        for rows, seeds, words in batches:
            state = generator.get_state().numpy().tobytes().hex()
            epochs[-1][2].append([rows.tolist(), seeds[0], words[0], state])
            if len(epochs) == 2 and len(epochs[-1][2]) == 3:
                break
        torch.randint(9, (1,), generator=generator)
    runs.append(epochs)
print(json.dumps(runs))
"""
"""Runs apart, so that no process is forked that has JAX's threads."""


@functools.cache
def judged():
    """Return what PyTorch's loaders did, one list of epochs for each case."""
    command = [sys.executable, "-c", JUDGE, json.dumps(WITH_WORKERS)]
    done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=120)
    return json.loads(done.stdout)


def hexadecimal(generator):
    """Return the state of a generator as the judge prints it."""
    return generator.get_state().tobytes().hex()


@pytest.mark.parametrize("number", range(len(WITH_WORKERS)))
def test_loader_with_workers(number):
    """Order, prefetching and seeds, with draws in between; the second epoch is broken off."""
    case = WITH_WORKERS[number]
    options = dict(case["options"])
    persistent = options.pop("persistent_workers", False)
    generator = manual_seed(case["seed"])
    name = "generator" if case["explicit"] else "default_generator"
    base_seed = None
    for started, expected_seed, batches in judged()[number]:
        ours = ja.data.data_loader_order(
            range(40), **options, **{name: generator}, base_seed=base_seed
        )
        assert hexadecimal(generator) == started
        generator.randint(0, 9, (1,))
        for position, (expected, seed, words, state_after) in enumerate(batches):
            rows, state = next(ours)
            assert_rows(rows, expected)
            assert hexadecimal(generator) == state_after
            assert state.base_seed == expected_seed
            check_worker(ja.data.worker_seeds(state.base_seed, position % 2), seed, words)
        base_seed = state.base_seed if persistent else None
        generator.randint(0, 9, (1,))


def check_worker(found, seed, words):
    """Compare seeds with what a worker's generators were seeded with."""
    import random

    assert str(found.seed) == seed
    python = random.Random(found.seed).getstate()[1][0]
    numpy = np.random.RandomState(found.numpy).get_state()[1][:4].tolist()
    assert str([python, *numpy]) == words


@given(base_seed=st.integers(0, 2**63 - 1), worker_id=st.integers(0, 2**16))
@settings(max_examples=100, deadline=None)
def test_worker_seeds(base_seed, worker_id):
    found = ja.data.worker_seeds(base_seed, worker_id)
    assert found.seed == base_seed + worker_id
    assert found.numpy.dtype == np.uint32
    assert found.numpy.tolist() == _generate_state(base_seed, worker_id)


# --- saved and restored -------------------------------------------------------------------------


@given(
    seed=st.integers(-(2**63), 2**64 - 1),
    length=st.integers(1, 60),
    batch_size=st.integers(1, 20),
    drop_last=st.booleans(),
    shuffle=st.booleans(),
    num_workers=st.integers(0, 3),
    explicit=st.booleans(),
    data=st.data(),
)
@settings(max_examples=60, deadline=None)
def test_a_run_goes_on_where_it_was_saved(
    seed, length, batch_size, drop_last, shuffle, num_workers, explicit, data
):
    """Through JSON into a new generator: the rest of the epoch, and the epochs after it."""
    options = {"shuffle": shuffle, "num_workers": num_workers, "drop_last": drop_last}
    name = "generator" if explicit else "default_generator"
    generator = manual_seed(seed)

    def epoch(generator, state=None):
        return ja.data.data_loader_order(
            range(length), batch_size, **options, **{name: generator}, state=state
        )

    def play(batches, generator):
        """Finish an epoch and play another, with other draws in between."""
        found = []
        for rows, state in [*batches, *epoch(generator)]:
            found.append((rows.tolist(), *state[:2], state.generator_state.tobytes()))
            found.append(int(generator.random((), np.int64)))
        return found, hexadecimal(generator)

    count = len([*epoch(generator)])
    position = data.draw(st.integers(min(count, 1), count), label="position")
    batches = epoch(generator)
    state = None
    for _ in range(position):
        _, state = next(batches)
        generator.random((), np.int64)
    if state is None:
        return  # an epoch without a batch
    saved = json.dumps([[state[0], state[1], state[2].tolist()], generator.get_state().tolist()])
    expected = play(batches, generator)

    fields, generator_state = json.loads(saved)
    restored = Generator()
    restored.set_state(np.array(generator_state, np.uint8))
    state = ja.data.DataLoaderState(*fields[:2], np.array(fields[2], np.uint8))
    batches = epoch(restored, state)
    assert restored.get_state().tolist() == generator_state
    assert play(batches, restored) == expected


def test_the_rest_of_an_order_needs_the_generators_state_and_a_number():
    generator = manual_seed(0)
    before = generator.get_state()
    order = ja.data.random_sampler(range(20), default_generator=generator)
    restored = Generator()
    restored.set_state(before)
    again = ja.data.random_sampler(range(20), default_generator=restored)
    assert again[7:].tolist() == order[7:].tolist()
    assert hexadecimal(restored) == hexadecimal(generator)


def test_a_state_beyond_the_end_is_refused():
    generator = manual_seed(0)
    *_, (_, state) = ja.data.data_loader_order(range(20), 4, True, default_generator=generator)
    before = generator.get_state()
    with pytest.raises(ValueError, match=r"state\.position is 5, but the epoch has 3 batches"):
        ja.data.data_loader_order(range(12), 4, True, default_generator=generator, state=state)
    assert np.array_equal(generator.get_state(), before)


# --- arguments ----------------------------------------------------------------------------------

BAD = [
    ("random_sampler", RandomSampler, ([1], 1), {}),
    ("random_sampler", RandomSampler, ([],), {}),
    ("random_sampler", RandomSampler, ([1], False, 0), {}),
    ("random_sampler", RandomSampler, ([1], False, -3), {}),
    ("random_sampler", RandomSampler, ([1], True, 2.0), {}),
    ("weighted_random_sampler", WeightedRandomSampler, ([1.0], 0), {}),
    ("weighted_random_sampler", WeightedRandomSampler, ([1.0], True), {}),
    ("weighted_random_sampler", WeightedRandomSampler, ([1.0], 1.5), {}),
    ("weighted_random_sampler", WeightedRandomSampler, ([1.0], 1, 1), {}),
    ("weighted_random_sampler", WeightedRandomSampler, ([[1.0]], 1), {}),
    ("distributed_sampler", DistributedSampler, ([1], 2, 2), {}),
    ("distributed_sampler", DistributedSampler, ([1], 2, -1), {}),
    ("batch_sampler", BatchSampler, ([1], 0, False), {}),
    ("batch_sampler", BatchSampler, ([1], True, False), {}),
    ("batch_sampler", BatchSampler, ([1], 2.0, False), {}),
    ("batch_sampler", BatchSampler, ([1], 2, 0), {}),
    ("random_split", torch.utils.data.random_split, ([1, 2], [1, 2]), {}),
    ("random_split", torch.utils.data.random_split, ([1, 2], [0.5, 0.6]), {}),
    ("random_split", torch.utils.data.random_split, ([1, 2], [1.5, -0.5]), {}),
    ("data_loader_order", DataLoader, ([],), {"shuffle": True}),
    ("data_loader_order", DataLoader, ([1],), {"batch_size": 0}),
    ("data_loader_order", DataLoader, ([1],), {"drop_last": 1}),
    ("data_loader_order", DataLoader, ([1],), {"num_workers": -1}),
    ("data_loader_order", DataLoader, ([1],), {"prefetch_factor": 2}),
    ("data_loader_order", DataLoader, ([1],), {"num_workers": 1, "prefetch_factor": -1}),
    ("data_loader_order", DataLoader, ([1],), {"shuffle": True, "sampler": [0]}),
]
GENERATORS = {
    "random_sampler": "default_generator",
    "data_loader_order": "default_generator",
    "weighted_random_sampler": "generator",
    "random_split": "generator",
}
"""Under which name a function takes what PyTorch has as a global generator."""


@pytest.mark.parametrize(("name", "judge", "args", "kwargs"), BAD)
def test_a_bad_argument_raises_what_pytorch_raises(name, judge, args, kwargs):
    with pytest.raises((TypeError, ValueError)) as theirs:
        judge(*args, **kwargs)
    generator = manual_seed(0)
    given = {GENERATORS[name]: generator} if name in GENERATORS else {}
    with pytest.raises(theirs.type) as ours:
        getattr(ja.data, name)(*args, **kwargs, **given)
    assert str(ours.value) == str(theirs.value)
    assert np.array_equal(generator.get_state(), manual_seed(0).get_state())


@pytest.mark.parametrize(
    ("name", "args", "kwargs", "error", "text"),
    [
        ("random_sampler", (range(3),), {}, ValueError, "random_sampler: nothing to draw from"),
        ("random_sampler", ([], False, 3), {}, ValueError, "data_source is empty"),
        ("weighted_random_sampler", ([1.0], 1), {}, ValueError, "nothing to draw from"),
        ("random_split", ([1], [1]), {}, ValueError, "random_split: nothing to draw from"),
        ("random_split", ([1, 2], [2.0]), {"generator": manual_seed(0)}, TypeError, "integers"),
        ("data_loader_order", ([1],), {}, ValueError, "data_loader_order: nothing to draw from"),
        ("worker_seeds", (-1, 0), {}, ValueError, "base_seed must be from 0"),
        ("worker_seeds", (2**63, 0), {}, ValueError, "base_seed must be from 0"),
        ("worker_seeds", (0, -1), {}, ValueError, "worker_id must be from 0"),
    ],
)
def test_what_only_exists_here_is_checked(name, args, kwargs, error, text):
    with pytest.raises(error, match=text):
        getattr(ja.data, name)(*args, **kwargs)


@pytest.mark.parametrize(
    ("name", "judge", "added", "omitted"),
    [
        ("random_sampler", RandomSampler, {"default_generator"}, set()),
        ("weighted_random_sampler", WeightedRandomSampler, set(), set()),
        ("distributed_sampler", DistributedSampler, {"epoch"}, set()),
        ("batch_sampler", BatchSampler, set(), set()),
        (
            "data_loader_order",
            DataLoader,
            {"default_generator", "base_seed", "state"},
            {"batch_sampler", "collate_fn", "pin_memory", "timeout", "worker_init_fn", "in_order",
             "multiprocessing_context", "persistent_workers", "pin_memory_device"},
        ),
    ],
)  # fmt: skip
def test_signatures_are_pytorchs(name, judge, added, omitted):
    """Same arguments, order and defaults; what is added is given by name."""
    ours = dict(inspect.signature(getattr(ja.data, name)).parameters)
    assert {k for k in added if ours.pop(k).kind is inspect.Parameter.KEYWORD_ONLY} == added
    theirs = {k: p for k, p in inspect.signature(judge).parameters.items() if k not in omitted}
    assert [(p.name, p.default) for p in ours.values()] == [
        (p.name, p.default) for p in theirs.values()
    ]


def test_grain_reads_an_order():
    """The two ways that the docstring of ``random_sampler`` names, and grain's own position."""
    grain = pytest.importorskip("grain")
    images = np.arange(0, 1000, 10)
    order = ja.data.random_sampler(images, default_generator=manual_seed(0))
    expected = np.split(images[order], range(8, 100, 8))
    source = grain.MapDataset.source(order).map(lambda row: images[row]).batch(8)
    sampler = [grain.RecordMetadata(i, record_key=row) for i, row in enumerate(order)]
    loader = grain.DataLoader(
        data_source=images,
        sampler=sampler,
        operations=[grain.transforms.Batch(8)],
        shard_options=grain.sharding.NoSharding(),
    )
    for batches in (source.to_iter_dataset(), loader):
        iterator = iter(batches)
        for want in expected[:5]:
            np.testing.assert_array_equal(next(iterator), want)
        saved = iterator.get_state()
        restored = iter(batches)
        restored.set_state(saved)
        for want, found in zip(expected[5:], restored, strict=True):
            np.testing.assert_array_equal(found, want)
