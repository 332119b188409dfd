"""Devices that are not here, and what is said where there are none."""

import importlib.util
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

import jaxaccel as ja
from jaxaccel.aot import _topology

ROOT = Path(__file__).parents[2]

DEVICES = {
    "tpu:v5e:1x1": (1, "TPU v5 lite"),
    "tpu:v5e:2x4": (8, "TPU v5 lite"),
    "tpu:v6e:1x1": (1, "TPU v6 lite"),
    "tpu:v5p:2x2x4": (16, "TPU v5"),
    "tpu:v4:1x1x1": (2, "TPU v4"),  # whose two cores are two devices
    "tpu:v7x:2x2x1": (8, "TPU7x"),
    "tpu:v5e:16x16:4": (1024, "TPU v5 lite"),
}

IN_A_PROCESS = """
import json, os, sys
before = dict(os.environ)
import jax, jax.numpy as jnp
import jaxaccel as ja
found = {}
for topology in json.loads(sys.argv[1]):
    devices = ja.aot.topology_devices(topology)
    assert devices == ja.aot.topology_devices(topology)
    found[topology] = len(devices), devices[0].device_kind
place = jax.sharding.SingleDeviceSharding(ja.aot.topology_devices("tpu:v5e:1x1")[0])
x = jax.ShapeDtypeStruct((256, 128), jnp.float32, sharding=place)
report = ja.aot.report(jax.jit(lambda x: x @ x.T).lower(x).compile())
mesh = ja.parallel.make_mesh(devices=ja.aot.topology_devices("tpu:v5e:2x4"))
tx, refusals = ja.optimizers.sgd(), []
for place in (
    lambda: ja.training.train_state({"w": jnp.ones(2)}, tx, mesh=mesh),
    lambda: ja.parallel.replicate(jnp.ones(2), mesh),
    lambda: ja.parallel.shard_batch(jnp.ones(8), mesh),
):
    try:
        place()
    except ValueError as error:
        refusals.append(str(error))
changed = {name for name in before.keys() | os.environ if before.get(name) != os.environ.get(name)}
print(json.dumps([found, report._asdict(), sorted(changed), refusals]))
"""


@pytest.mark.skipif(importlib.util.find_spec("libtpu") is None, reason="libtpu is for Linux alone")
def test_tpus_are_there_without_a_word_and_a_program_is_compiled():
    """In a process of its own: libtpu reads the environment when it is loaded, and stays."""
    environment = {k: v for k, v in os.environ.items() if not k.startswith("TPU_")}
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", IN_A_PROCESS, json.dumps([*DEVICES])],
        cwd=ROOT,
        env=environment | {"JAX_PLATFORMS": "cpu", "JAX_COMPILATION_CACHE_DIR": ""},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    found, report, changed, refusals = json.loads(done.stdout)
    assert {name: tuple(devices) for name, devices in found.items()} == DEVICES
    assert set(changed) <= {"TPU_LIBRARY_PATH", "TPU_SKIP_MDS_QUERY"}, "what jax itself sets"
    assert report["argument_bytes"] == 4 * 256 * 128
    assert len(refusals) == 3
    assert all("mesh must be of devices that are here, got 8 of" in text for text in refusals)
    assert all("for a state parallel.distribute_state(shapes, mesh" in text for text in refusals)
    assert report["output_bytes"] == 4 * 256 * 256
    assert report["flops"] == 2 * 256 * 256 * 128
    assert report["bytes_accessed"] >= 4 * (256 * 128 + 256 * 256)


WRONG = {
    "v5e:2x2": "must be like 'tpu:v5e:2x2'",
    "tpu": "must be like",
    "tpu:v5e": "must be like",
    "cpu:x86:2": "must be like",
    "tpu:v9:2x2": "unknown TPU, 'v9'; use one of v2, v3, v4, v5e, v5p, v6e, v7x; its compiler: no",
    "gpu:b200:8": "unknown GPU, 'b200'; use one of a100, h100",
    "tpu:v5e:3x3": "even numbers of chips",
    "tpu:v5e:2x1": "1x1 or even numbers of chips",
    "tpu:v5e:16x32": "at most 16x16",
    "tpu:v5e:2x2x2": "it has 2 axes",
    "tpu:v4:4x4": "it has 3 axes",
    "tpu:v5e:0x2": "must end with the chips along each axis",
    "tpu:v5e:2x": "must end with the chips along each axis",
    "tpu:v5e:2x2:2x2": "maybe the number of slices",
    "tpu:v5e:2x2:0": "maybe the number of slices",
    "gpu:h100:12": "at most 8, which is one host, or a multiple of it",
    "gpu:h100:0": "must end with a number of GPUs",
    "gpu:h100:1x8": "must end with a number of GPUs",
    "gpu:h100:2x1x8": "or with 1x<hosts>x<GPUs of a host>",
}


@pytest.mark.quick
def test_an_unknown_topology_is_answered_with_the_known_ones(monkeypatch):
    monkeypatch.setattr(_topology, "refusal_of", lambda *asked: "no")
    for topology, text in WRONG.items():
        with pytest.raises(ValueError, match=text) as caught:
            ja.aot.topology_devices(topology)
        assert repr(topology) in str(caught.value)


@pytest.mark.skipif(importlib.util.find_spec("libtpu") is None, reason="libtpu is for Linux alone")
def test_a_compiler_that_ends_the_process_is_asked_in_one_of_its_own(capfd):
    with pytest.raises(
        ValueError, match=r"at most 16x16; its compiler: ends the process \(SIGABRT"
    ):
        ja.aot.topology_devices("tpu:v5e:32x32")
    assert capfd.readouterr() == ("", "")


@pytest.mark.quick
def test_a_missing_compiler_is_named_with_its_extra(monkeypatch):
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(ModuleNotFoundError, match=r'libtpu: pip install "jaxaccel\[aot\]"'):
        ja.aot.topology_devices("tpu:v3:4x4")  # which no other test asks for
    with pytest.raises(ModuleNotFoundError, match=r'pip install "jaxaccel\[aot-gpu\]"'):
        ja.aot.topology_devices("gpu:h100:8")
