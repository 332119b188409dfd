"""Compiled programs on disk: found by the next process, whatever was compiled before."""

import json
import os
import subprocess
import sys
from pathlib import Path

import jax
import pytest

import jaxaccel as ja

ROOT = Path(__file__).parents[2]

IN_A_PROCESS = """
import json, sys
import jax, jax.numpy as jnp
import jaxaccel as ja
jax.jit(lambda x: x - 1)(jnp.ones(2)).block_until_ready()  # before there was a cache
found = []
jax.monitoring.register_event_listener(lambda event, **_: found.append(event.rpartition("/")[2]))
place = ja.aot.compilation_cache(sys.argv[1])
jax.jit(lambda x: x + 1)(jnp.ones(3)).block_until_ready()
print(json.dumps([str(place), "cache_hits" in found, "cache_misses" in found]))
"""


def in_a_process(folder):
    environment = os.environ | {"JAX_PLATFORMS": "cpu", "JAX_COMPILATION_CACHE_DIR": ""}
    done = subprocess.run(
        [sys.executable, "-c", IN_A_PROCESS, str(folder)],
        cwd=ROOT,
        env=environment,
        capture_output=True,
        text=True,
        check=True,
    )
    return json.loads(done.stdout)


def test_the_next_process_compiles_nothing(tmp_path):
    folder = tmp_path / "new" / "folder"
    assert in_a_process(folder) == [str(folder), False, True]
    assert in_a_process(folder) == [str(folder), True, False]


@pytest.mark.quick
def test_what_is_not_a_folder_is_refused(tmp_path):
    before = jax.config.jax_compilation_cache_dir
    (tmp_path / "file").write_text("")
    for folder in (tmp_path / "file", tmp_path / "file" / "inside"):
        with pytest.raises(OSError, match="pass a folder that this user can write to") as raised:
            ja.aot.compilation_cache(folder)
        assert str(folder) in str(raised.value)
    for folder in (3, b"folder"):
        with pytest.raises(TypeError, match="folder must be a path"):
            ja.aot.compilation_cache(folder)
    with pytest.raises(ValueError, match=r"folder must be a path, got ''; '\.' is the current"):
        ja.aot.compilation_cache("")
    assert jax.config.jax_compilation_cache_dir == before


@pytest.mark.quick
def test_the_users_own_folder(tmp_path, monkeypatch):
    switched = {}
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setattr(jax.config, "update", switched.__setitem__)
    assert ja.aot.compilation_cache() == tmp_path / "jaxaccel"
    assert switched["jax_compilation_cache_dir"] == str(tmp_path / "jaxaccel")
