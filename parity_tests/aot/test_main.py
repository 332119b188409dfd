"""The commands, each in a process of its own."""

import importlib.util
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from jaxaccel import __main__ as main
from jaxaccel import parallel
from jaxaccel.__main__ import offered

ROOT = Path(__file__).parents[2]

SCRIPT = """
import jax, jax.numpy as jnp
from jax.sharding import PartitionSpec as P

def step_and_shapes(mesh):
    return jnp.cumsum, jax.ShapeDtypeStruct((8,), jnp.float32)

def product(mesh):
    x = jax.ShapeDtypeStruct((8 * mesh.shape["data"], 128), jnp.float32, sharding=P("data"))
    w = jax.ShapeDtypeStruct((128, 256), jnp.float32, sharding=P(None, "model"))
    return lambda x, w: jnp.sum(x @ w), x, w

def one(mesh):
    return 1

def nothing():
    return None

def refuses(mesh):
    import jaxaccel as ja
    return ja.aot.compile_for(abs, topology="nowhere"), mesh

def fails(mesh):
    raise ValueError("mine")

def too_large(mesh):
    return lambda x: 2 * x, jax.ShapeDtypeStruct((2**16, 2**18), jnp.float32)
"""


def run(*arguments, folder=ROOT):
    environment = os.environ | {"JAX_PLATFORMS": "cpu", "PYTHONPATH": str(ROOT)}
    command = [sys.executable, "-W", "error", "-m", "jaxaccel", *arguments]
    return subprocess.run(
        command, cwd=folder, env=environment, capture_output=True, text=True, check=False
    )


@pytest.mark.skipif(importlib.util.find_spec("libtpu") is None, reason="libtpu is for Linux alone")
def test_a_script_or_a_module_is_compiled(tmp_path):
    (tmp_path / "mine.py").write_text(SCRIPT)
    place = ("--topology", "tpu:v5e:2x2", "--mesh", "data", "2", "model", "2")
    done = run("aot", "mine:product", *place, "--json", "--hlo", "out.txt", folder=tmp_path)
    assert (done.returncode, done.stderr) == (0, "")
    found = json.loads(done.stdout)
    assert found["argument_bytes"] == 4 * (8 * 128 + 128 * 128)
    assert found["flops"] >= 2 * 8 * 128 * 128
    assert {tuple(each["axes"]) for each in found["collectives"]} <= {
        ("data",),
        ("model",),
        ("data", "model"),
    }
    assert (tmp_path / "out.txt").read_text().startswith("HloModule")
    done = run("aot", "mine.py:too_large", "--topology", "tpu:v5e:1x1", folder=tmp_path)
    assert (done.returncode, done.stderr) == (1, "")
    assert "does not fit" in done.stdout


@pytest.mark.quick
def test_what_is_not_there_is_said(tmp_path, monkeypatch):
    (tmp_path / "mine.py").write_text(SCRIPT)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [*sys.path])
    for target, text in {
        "mine.py:other": "mine.py has no function 'other'",
        "yours.py": "there is no file yours.py",
        "yours:step": "there is no module 'yours'",
    }.items():
        with pytest.raises(SystemExit, match=text):
            offered(target)
    mesh = parallel.make_mesh()
    for name, text in {
        "one": r"one must return \(step, \*shapes\), such as .*, and returned 1",
        "nothing": r"nothing must take a mesh, such as .*, and takes \(\)",
        "refuses": r"refuses, given a mesh of \{'data': \d\}: .*'nowhere'",
    }.items():
        with pytest.raises(SystemExit, match=text):
            main._made(offered(f"mine.py:{name}"), mesh)
    with pytest.raises(ValueError, match="mine"):
        main._made(offered("mine.py:fails"), mesh)
    assert len(main._made(offered("mine.py"), mesh)) == 2
    for given in (["--mesh", "data=2,model=2"], ["--mesh", "data", "2", "model", "2"]):
        assert main._mesh_in_pairs(["aot", *given])[1:] == ["--mesh", "data", "2", "model", "2"]
    assert offered("mine.py").__name__ == "step_and_shapes"
    assert offered("mine:product").__name__ == "product"
    del sys.modules["mine"]


def test_info_is_json_on_request():
    done = run("info", "--json")
    assert (done.returncode, done.stderr) == (0, "")
    found = json.loads(done.stdout)
    assert found["devices"][0]["platform"] == "cpu"
    assert found["versions"]["jax"]
    assert {"aot", "aot-gpu", "examples", "ray", "twins"} == set(found["extras"])
