"""The largest batch that fits: that one compiles and fits, the next does not."""

import importlib.util
import json

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.experimental.compilation_cache.compilation_cache import reset_cache

import jaxaccel as ja
from jaxaccel.memory._batch_search import search
from jaxaccel.memory._batch_trials import Candidate

WIDTH = 32
HAS_LIBTPU = importlib.util.find_spec("libtpu") is not None


def step(w, batch):
    return w, jnp.tanh(batch @ w) @ w.T


def rows(count, width=WIDTH):
    return jax.ShapeDtypeStruct((count, width), jnp.float32)


def needed(count):
    """Return what the compiled step needs, by the compiler."""
    found = ja.aot.report(jax.jit(step).lower(rows(WIDTH), rows(count)).compile())
    return found.argument_bytes + found.output_bytes + found.temporary_bytes


@pytest.mark.quick
def test_the_batch_fits_and_the_next_does_not():
    for budget, options in (
        (100_000, {}),
        (100_000, {"start": 1}),
        (100_000, {"start": 4096}),
        (100_000, {"multiple_of": 8}),
        (100_003, {"multiple_of": 8, "start": 3}),
    ):
        found = ja.memory.max_batch_size(step, rows, rows(WIDTH), budget=budget, **options)
        unit = options.get("multiple_of", 1)
        assert found.batch_size % unit == 0
        assert needed(found.batch_size) <= budget < needed(found.batch_size + unit)
        assert len(found.candidates) <= 8, found
        assert found.stopped.startswith(f"a batch of {found.batch_size + unit} needs ")
        last = {each.batch_size: each for each in found.candidates}[found.batch_size]
        assert last.fits
        assert last.nbytes == needed(found.batch_size)
        assert last.flops > 0
        json.loads(found.to_json())
        assert f"{found.batch_size} on a {found.device}" in str(found)


@pytest.mark.quick
def test_where_nothing_fits_it_says_so():
    found = ja.memory.max_batch_size(step, rows, rows(WIDTH), budget=100, start=2)
    assert found.batch_size == 0
    assert found.stopped.startswith("a batch of 1 needs ")


@pytest.mark.quick
def test_the_limit_stops_it():
    found = ja.memory.max_batch_size(step, rows, rows(WIDTH), budget=10**9, limit=40)
    assert found.batch_size == 40
    assert found.stopped == "the limit of 40 is reached"


@pytest.mark.quick
def test_the_search_finds_the_last_that_fits_whatever_bytes_do():
    """Steps, a plateau, bytes that are not said: always neighbours, in few trials."""
    forms = {
        "line": lambda n: 1000 + 7 * n,
        "steps": lambda n: 512 * (1 + n // 128),
        "square": lambda n: n * n,
        "plateau": lambda n: min(40 * n, 19_990) + 4 * max(0, n - 900),
        "unsaid": lambda n: None,
    }
    for name, form in forms.items():
        for start in (1, 16, 5000):
            asked = []

            def trial(n, form=form, asked=asked):
                asked.append(n)
                nbytes = form(n)
                fits = n <= 777 if nbytes is None else nbytes <= 20_000
                return Candidate(n, fits, nbytes, None, 0.0, "", 20_000, "")

            size, tried = search(trial, start, 1 << 20, 1)
            assert trial(size).fits, name
            assert not trial(size + 1).fits, name
            assert len({each.batch_size for each in tried}) == len(tried) <= 27, (name, start)


@pytest.mark.quick
def test_running_survives_out_of_memory():
    """A real one: the runtime cannot have 2**50 bytes."""
    runs = []

    @jax.jit
    def fill(state, batch):
        large = len(batch) > 11
        return state + 1.0, jnp.zeros((2**48,) if large else (8,), jnp.float32)

    def step(state, batch):
        runs.append(len(batch))
        return fill(state, batch)

    state = jnp.zeros(())
    found = ja.memory.max_batch_size(step, jnp.ones, state, start=2, run=True)
    assert found.batch_size == 11
    assert found.budget is None
    assert found.stopped.startswith("a batch of 12 ran out of memory: ")
    assert runs.count(8) == 3, "three steps for each candidate that fits"
    assert [each.batch_size for each in found.candidates][:4] == [2, 4, 8, 16]
    assert float(state) == 0.0, "the state that was given is as it was"


@pytest.mark.quick
def test_a_donated_state_is_copied_for_each_trial():
    tx = ja.optimizers.sgd(lr=0.1)

    def loss_fn(params, model_state, batch):
        return jnp.mean((batch @ params["w"]) ** 2), (model_state, {})

    training = ja.training.train_step(ja.training.gradients(loss_fn), tx)
    state = ja.training.train_state({"w": jnp.ones(4)}, tx)
    make_batch = lambda n: jnp.ones((n, 4))  # noqa: E731
    for given in (state, jax.device_get(state)):
        found = ja.memory.max_batch_size(training, make_batch, given, limit=4, start=4, run=True)
        assert found.batch_size == 4
    assert float(state.params["w"][0]) == 1.0


@pytest.mark.quick
def test_another_error_is_not_taken_for_memory():
    def step(state, batch):
        raise RuntimeError("INTERNAL: something else")

    for options in ({"run": True}, {"budget": 1}):
        with pytest.raises(RuntimeError, match="something else"):
            ja.memory.max_batch_size(step, jnp.ones, jnp.ones(()), **options)


@pytest.fixture
def cache(tmp_path):
    """Keep compiled programs in a folder meanwhile."""
    names = "compilation_cache_dir persistent_cache_min_compile_time_secs"
    names = [f"jax_{name}" for name in f"{names} persistent_cache_min_entry_size_bytes".split()]
    before = {name: getattr(jax.config, name) for name in names}
    yield ja.aot.compilation_cache(tmp_path)
    for name, value in before.items():
        jax.config.update(name, value)
    reset_cache()


@pytest.mark.skipif(not HAS_LIBTPU, reason="libtpu is for Linux alone")
def test_for_a_chip_that_is_not_here_its_compiler_decides(cache):
    """Of 16 GB a v5e leaves 15.75 GiB: the next batch is refused by the compiler itself.

    Nothing is put into the cache of compiled programs, which nobody could read.
    """

    def step(w, batch):
        return w, batch @ w

    def make_batch(count):
        return rows(count * 2**20, 128)

    found = ja.memory.max_batch_size(
        step, make_batch, rows(128, 128), topology="tpu:v5e:1x1", start=8
    )
    assert found.device == "TPU v5 lite"
    assert not [*cache.iterdir()]
    assert found.batch_size == 15
    refused = next(e for e in found.candidates if e.batch_size == found.batch_size + 1)
    assert not refused.fits
    assert "RESOURCE_EXHAUSTED" in refused.reason or "which is more" in refused.reason


X = np.ones((WIDTH, WIDTH), np.float32)


@pytest.mark.quick
def test_wrong_arguments_are_named():
    for options, text in (
        ({"start": 0}, "start must be at least 1, got 0"),
        ({"limit": 0}, "limit must be at least 1, got 0"),
        ({"multiple_of": 8, "limit": 4}, "limit must be at least multiple_of=8, got 4"),
        ({"run": True, "budget": 1}, "the device decides, got budget=1"),
        ({"run": True, "topology": "tpu:v5e:1x1"}, "topology='tpu:v5e:1x1'; leave both out"),
        ({"budget": 1.5}, "budget must be whole bytes, got 1.5"),
        ({}, "how much memory a cpu has is not known; pass budget=bytes, or run=True"),
    ):
        with pytest.raises(ValueError, match=text):
            ja.memory.max_batch_size(step, rows, rows(WIDTH), **options)
    for options in ({"budget": 1e6}, {"run": True, "steps": 1}):
        with pytest.raises(ValueError, match="make_batch must return as many rows as it is asked"):
            ja.memory.max_batch_size(step, lambda n: X, X, start=1, **options)
    with pytest.raises(TypeError, match=r"step must be a .*, got <lambda>, which takes \(w\)"):
        ja.memory.max_batch_size(lambda w: w, rows, rows(WIDTH), budget=1e6)
