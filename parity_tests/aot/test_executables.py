"""Finished programs in files: what runs is what was saved, and what cannot run is refused."""

import json
import os
import subprocess
import sys
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import jaxaccel as ja
from jaxaccel.aot import _executables as executables

ROOT = Path(__file__).parents[2]

IN_A_PROCESS = """
import json, sys
import jax, jax.numpy as jnp, numpy as np
import jaxaccel as ja

def loss_fn(params, model_state, batch):
    return jnp.mean((jnp.sin(batch @ params["w"]) - 1.0) ** 2), (model_state, {})

way, folder = sys.argv[1:]
tx = ja.optimizers.adam(lr=0.1)
state, batch = ja.training.train_state({"w": jnp.ones(4)}, tx), jnp.ones((8, 4))
if way == "save":
    step = ja.training.train_step(ja.training.gradients(loss_fn), tx)
    compiled = jax.jit(step, donate_argnums=0)
    ja.aot.save_executable(compiled.lower(state, batch), f"{folder}/from lowered")
    ja.aot.compilation_cache(f"{folder}/cache")
    refusals = []
    for path in ("compiled", "from the cache"):
        jax.clear_caches()
        try:
            ja.aot.save_executable(compiled.lower(state, batch).compile(), f"{folder}/{path}")
        except ValueError as error:
            refusals.append(str(error))
    print(json.dumps(refusals))
    state, metrics = step(state, batch)
else:
    seen = []

    def listen(event, *_, **facts):
        seen.append(event)

    jax.monitoring.register_event_duration_secs_listener(listen)
    step = ja.aot.load_executable(f"{folder}/{way}")
    state, metrics = step(state, batch)
    print(json.dumps([each for each in seen if "compile" in each]))
state, metrics = step(state, batch)
print(json.dumps([float(metrics["loss"]), np.asarray(state.params["w"]).tolist()]))
"""


def in_a_process(way, folder):
    environment = os.environ | {"JAX_PLATFORMS": "cpu", "JAX_COMPILATION_CACHE_DIR": ""}
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", IN_A_PROCESS, way, str(folder)],
        cwd=ROOT,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return [json.loads(line) for line in done.stdout.splitlines()]


def test_another_process_runs_what_was_saved_without_compiling(tmp_path):
    """And what came from the cache of compiled programs, which could not run there, is refused."""
    (refusal,), expected = in_a_process("save", tmp_path)
    assert "came from the cache of compiled programs" in refusal
    assert {each.name for each in tmp_path.iterdir()} == {"from lowered", "compiled", "cache"}
    assert in_a_process("from lowered", tmp_path) == [[], expected]


@pytest.fixture
def path(tmp_path):
    """Return the file of a program that doubles three numbers, on the second device."""
    x = jax.device_put(jnp.ones(3), jax.devices()[1])
    ja.aot.save_executable(jax.jit(lambda x: 2 * x).lower(x), tmp_path / "double")
    assert [each.name for each in tmp_path.iterdir()] == ["double"]
    return tmp_path / "double"


@pytest.mark.quick
def test_it_runs_where_it_was_to_run(path):
    double = ja.aot.load_executable(path)
    found = double(jax.device_put(jnp.arange(3.0), jax.devices()[1]))
    assert found.devices() == {jax.devices()[1]}
    assert np.array_equal(found, [0.0, 2.0, 4.0])


@pytest.mark.quick
def test_a_loaded_program_says_which_argument_is_wrong(tmp_path):
    def add(state, batch):
        return {"w": state["w"] + batch["x"].sum()}, batch["x"].mean()

    state, batch = {"w": jnp.ones(3)}, {"x": jnp.ones((4, 2))}
    lowered = jax.jit(add, donate_argnums=0).lower(state, batch)
    ja.aot.save_executable(lowered, tmp_path / "add")
    program = ja.aot.load_executable(tmp_path / "add")
    new, mean = program(state, batch)
    assert (new["w"].tolist(), float(mean)) == ([9.0] * 3, 1.0)
    elsewhere = jax.device_put(jnp.ones((4, 2)), jax.devices()[1])
    for args, kwargs, error, text in (
        ((state, batch), {}, ValueError, "argument 0 at 'w', .* was donated to an earlier step"),
        ((new, {"x": np.ones((5, 2))}), {}, TypeError, r"argument 1 at 'x' is \S+ of shape \(5, 2"),
        ((new, {"x": np.ones((4, 2), int)}), {}, TypeError, "'x' is int64 of .* save a program fo"),
        ((new, {"x": "rows"}), {}, TypeError, "argument 1 at 'x' is 'rows', and the program of"),
        ((new, {"x": elsewhere}), {}, ValueError, "'x' lies on .* put it there: jax.device_put"),
        ((new,), {}, TypeError, "is for 2 arguments with 2 arrays, and was given 1 argument with"),
        ((new,), {"batch": batch}, TypeError, "given 1 argument, batch by name with 2 arrays"),
    ):
        with pytest.raises(error, match=text) as caught:
            program(*args, **kwargs)
        assert str(tmp_path) in str(caught.value) or "donated" in text
    with pytest.raises(TypeError, match="is finished, and was called under jit"):
        jax.jit(lambda x: program({"w": x}, batch))(jnp.ones(3))
    assert program(new, {"x": np.ones((4, 2))})[0]["w"].tolist() == [17.0] * 3
    assert ja.aot.report(program).argument_bytes > 0


@pytest.mark.quick
def test_what_is_for_something_else_is_named(path, monkeypatch):
    facts = executables._facts
    for name, value, text in (
        ("jax", "0.9.0", r"another jax, 0\.10.*, and here is 0\.9\.0; save it here"),
        ("device", "TPU v5 lite", "another device, cpu, and here is TPU v5 lite"),
        ("runtime", "1", "another compiler, cpu, and here is 1"),
        ("processes", 2, "another number of processes, 1, and here is 2"),
        (
            "instructions",
            [],
            "another instructions, .*(avx|neon|asimd).*, and here is a CPU without",
        ),
    ):
        changed = lambda device, name=name, value=value: facts(device) | {name: value}  # noqa: E731
        monkeypatch.setattr(executables, "_facts", changed)
        with pytest.raises(ValueError, match=text) as caught:
            ja.aot.load_executable(path)
        assert str(path) in str(caught.value)
        monkeypatch.undo()
    title, head, rest = path.read_bytes().split(b"\n", 2)
    for changes, text in (
        ({"devices": [0, 8]}, "is for 2 devices .cpu, cpu., and 8 of that platform are here"),
        ({"platform": "tpu"}, "is for 1 devices .tpu, cpu., and 0 of that platform are here"),
    ):
        other = json.dumps(json.loads(head) | changes).encode()
        path.write_bytes(b"\n".join([title, other, rest]))
        with pytest.raises(ValueError, match=text):
            ja.aot.load_executable(path)
    middle = len(rest) // 2
    flipped = rest[:middle] + bytes([rest[middle] ^ 1]) + rest[middle + 1 :]
    for parts in ([head, rest[:100]], [head, flipped], [head[:-9], rest], [b"{}", rest], [head]):
        path.write_bytes(b"\n".join([title, *parts]))
        with pytest.raises(ValueError, match=r"is damaged \(its checksum is another\); save"):
            ja.aot.load_executable(path)
    path.write_bytes(b"something else")
    with pytest.raises(ValueError, match="is not a program that save_executable has written"):
        ja.aot.load_executable(path)


@pytest.mark.quick
def test_what_cannot_be_saved_is_refused(tmp_path):
    def calls_python(x):
        return jax.pure_callback(np.sin, x, x)

    with pytest.raises(ValueError, match="call no Python inside of it"):
        ja.aot.save_executable(jax.jit(calls_python).lower(jnp.ones(3)), tmp_path / "a")
    with pytest.raises(TypeError, match="compiled must be a program that is lowered or compiled"):
        ja.aot.save_executable(jax.jit(abs), tmp_path / "a")
    tx = ja.optimizers.sgd(lr=0.1)
    state = ja.training.train_state(jnp.ones(3), tx)
    step = ja.training.train_step(
        ja.training.gradients(lambda p, m, batch: (jnp.sum(p * batch), (m, {}))), tx
    )
    with pytest.raises(ValueError, match=r"lower a function of the state itself: jax\.jit\(step"):
        ja.aot.save_executable(step.lowered(state, jnp.ones(3)), tmp_path / "a")
    lowered = jax.jit(jnp.sin).lower(1.0)
    with pytest.raises(TypeError, match="path must be a path, got 3"):
        ja.aot.save_executable(lowered, 3)
    with pytest.raises(FileNotFoundError):
        ja.aot.save_executable(lowered, tmp_path / "folder" / "a")
    assert not [*tmp_path.iterdir()]
