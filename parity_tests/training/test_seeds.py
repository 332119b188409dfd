"""One seed for everything, and the streams saved and set: Python, NumPy and PyTorch judge."""

# ruff: noqa: NPY002  (NumPy's global stream is meant)

import io
import os
import random
import subprocess
import sys
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import torch

import jaxaccel as ja

T = ja.training
ROOT = Path(__file__).parents[2]
ROWS, FEATURES, STEPS = 24, 5, 6


@pytest.fixture(autouse=True)
def keep_streams():
    """Leave the global streams as other tests expect them."""
    before = random.getstate(), np.random.get_state()
    yield
    random.setstate(before[0])
    np.random.set_state(before[1])


def drawn(generator):
    """Return numbers of the three streams, an odd count of normal ones among them."""
    return (
        [random.random(), random.gauss(0, 1), random.randrange(1000)],
        [*np.random.rand(2), *np.random.randn(3), np.random.randint(1000)],
        [*generator.rand((2,)), *generator.randn((3,)), *generator.randperm(5)],
    )


@pytest.mark.quick
def test_a_seed_gives_what_everyone_gives_for_it():
    for seed in (0, 42, 2**32 - 1):
        seeds = T.set_seed(seed)
        found = drawn(seeds.generator)
        random.seed(seed)
        np.random.seed(seed)
        torch.manual_seed(seed)
        ours = [random.random(), random.gauss(0, 1), random.randrange(1000)]
        numpys = [*np.random.rand(2), *np.random.randn(3), np.random.randint(1000)]
        torchs = [*torch.rand(2).numpy(), *torch.randn(3).numpy(), *torch.randperm(5).numpy()]
        assert found == (ours, numpys, torchs)
        assert seeds.seed == seed
        assert seeds.key.dtype == jax.random.key(0).dtype
        assert np.array_equal(*map(jax.random.key_data, (seeds.key, jax.random.key(seed))))
    assert T.set_seed().seed == 42


@pytest.mark.quick
def test_streams_go_on_from_a_saved_state():
    """With a normal number in hand (``gauss`` makes two at a time) and without, through a file."""
    for draws in (0, 1, 2, 700):
        generator = T.set_seed(7).generator
        for _ in range(draws):
            random.gauss(0, 1)
            np.random.randn()
            generator.randn(())
        theirs = random.getstate(), np.random.get_state(legacy=False), generator.get_state()
        file = io.BytesIO()
        np.savez(file, **T.get_rng_state(generator))
        first = drawn(generator)
        file.seek(0)
        on_device = {name: jnp.asarray(each) for name, each in np.load(file).items()}
        other = ja.random.manual_seed(1)
        T.set_rng_state(on_device, other)
        assert random.getstate() == theirs[0]
        now = np.random.get_state(legacy=False)
        assert now.keys() == theirs[1].keys()
        assert np.array_equal(now["state"].pop("key"), theirs[1]["state"].pop("key"))
        assert now == theirs[1]
        assert np.array_equal(other.get_state(), theirs[2])
        assert drawn(other) == first
    assert {k: (v.dtype, v.shape) for k, v in T.get_rng_state(other).items()} == {
        "python": (np.uint32, (628,)),
        "numpy": (np.uint32, (628,)),
        "generator": (np.uint8, (5056,)),
    }


def training():
    """Return a seed's streams, its state, and what takes a step: all that a script draws."""
    seeds = T.set_seed(3)
    params = ja.random.Generator.randn(seeds.generator, (FEATURES,)).astype(np.float64)
    data = np.random.randn(ROWS, FEATURES)
    tx = ja.optimizers.sgd(lr=0.1, momentum=0.9)
    return seeds.generator, T.train_state(params, tx, key=seeds.key), data


def loss_fn(params, model_state, batch, key):
    kept = ja.functional.dropout(batch, 0.5, key=key)
    return jnp.mean((kept @ params - 1.0) ** 2), (model_state, {})


STEP = T.train_step(T.gradients(loss_fn), ja.optimizers.sgd(lr=0.1, momentum=0.9), donate=False)


def step(generator, state, data):
    """Take a step whose batch, noise and flip come from the three streams."""
    rows = generator.randperm(ROWS)[:8]
    batch = data[rows] + 0.1 * np.random.randn(8, FEATURES)
    return STEP(state, batch if random.random() < 0.5 else -batch)


def test_a_seed_gives_the_same_run_twice_and_from_the_middle():
    runs = []
    for _ in range(2):
        generator, state, data = training()
        losses = []
        for number in range(STEPS):
            if number == STEPS // 2:
                saved = state, T.get_rng_state(generator)
            state, metrics = step(generator, state, data)
            losses.append(float(metrics["loss"]))
        runs.append((losses, np.asarray(state.params)))
    assert len({*runs[0][0]}) == STEPS
    assert runs[0][0] == runs[1][0]
    assert np.array_equal(runs[0][1], runs[1][1])
    for resumed in (True, False):
        state, streams = saved
        generator = T.set_seed(99).generator
        if resumed:
            T.set_rng_state(streams, generator)
        for _ in range(STEPS - STEPS // 2):
            state, _ = step(generator, state, data)
        assert np.array_equal(state.params, runs[0][1]) == resumed


SCRIPT = """
import os, random
import jaxaccel as ja
print(ja.training.set_seed(42, deterministic=True).seed)
print("--xla_gpu_deterministic_ops=true" in os.environ["XLA_FLAGS"])
before = random.getstate()
try:
    ja.training.set_seed(7, deterministic=True)
except RuntimeError as error:
    print(error, random.getstate() == before)
"""


def test_a_seed_sets_the_flags_before_it_makes_its_key():
    environment = {**os.environ, "JAX_PLATFORMS": "cpu", "XLA_FLAGS": ""}
    command = [sys.executable, "-c", SCRIPT]
    done = subprocess.run(
        command, cwd=ROOT, env=environment, capture_output=True, text=True, check=True
    )
    seed, is_set, error = done.stdout.splitlines()
    assert (seed, is_set) == ("42", "True")
    assert "before the first array" in error
    assert error.endswith("True")


@pytest.mark.quick
def test_what_is_no_state_is_refused_before_anything_is_set():
    generator = T.set_seed(7).generator
    found = T.get_rng_state(generator)
    whole = {name: each for name, each in found.items() if name != "generator"}
    random.random()
    np.random.rand()
    before = T.get_rng_state(generator)
    short = found["python"][:-1]
    far = found["numpy"].copy()
    far[624] = 625
    for wrong, given, text in [
        (whole, generator, r"parts generator, numpy, python, got 'python', 'numpy'; .*generator="),
        (found, None, r"parts numpy, python, got 'python', 'numpy', 'generator'"),
        ({}, None, "got none"),
        (found | {"python": short}, generator, r"new_state\['python'\] must be .*\(627,\)"),
        (found | {"python": found["python"].astype(np.int32)}, generator, "got int32"),
        (found | {"numpy": far}, generator, r"new_state\['numpy'\] is not .* position 625 of 624"),
        (found | {"numpy": 0 * far}, generator, r"new_state\['numpy'\] is not"),
        (found | {"generator": short}, generator, r"new_state\['generator'\] is not .*uint8"),
        (found | {"generator": found["generator"][1:]}, generator, "5055"),
    ]:
        with pytest.raises(ValueError, match=text):
            T.set_rng_state(wrong, given)
        after = T.get_rng_state(generator)
        assert all(np.array_equal(before[name], after[name]) for name in before)
    for wrong in (-1, 2**32):
        with pytest.raises(ValueError, match=f"seed must be between 0 .*got {wrong}"):
            T.set_seed(wrong)


def test_another_stream_in_the_place_of_numpys_is_named():
    before = np.random.get_bit_generator()
    np.random.set_bit_generator(np.random.PCG64(0))
    try:
        with pytest.raises(ValueError, match=r"MT19937.*got PCG64"):
            T.get_rng_state()
    finally:
        np.random.set_bit_generator(before)
