"""A run's state on the disk and back: every kind of leaf, every placement, bit for bit."""

import json
import sys
import time
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import torch
from jax.sharding import NamedSharding, PartitionSpec

import jaxaccel as ja
from jaxaccel.training import _saved_files as files

P = PartitionSpec
restore, save, saved_steps = ja.training.restore, ja.training.save, ja.training.saved_steps

DTYPES = (
    *("bool", "int2", "int4", "int8", "int16", "int32", "int64"),
    *("uint2", "uint4", "uint8", "uint16", "uint32", "uint64"),
    *("float8_e3m4", "float8_e4m3", "float8_e4m3b11fnuz", "float8_e4m3fn", "float8_e4m3fnuz"),
    *("float8_e5m2", "float8_e5m2fnuz", "float8_e8m0fnu", "float4_e2m1fn"),
    *("bfloat16", "float16", "float32", "float64", "complex64", "complex128"),
)


def bits(leaf):
    """Return what makes a leaf this one: its kind, dtype, shape and bytes."""
    if isinstance(leaf, jax.Array) and jnp.issubdtype(leaf.dtype, jax.dtypes.prng_key):
        return str(leaf.dtype), bits(jax.random.key_data(leaf))
    if isinstance(leaf, (jax.Array, np.ndarray, np.generic)):
        array = np.asarray(leaf)
        kind = jax.Array if isinstance(leaf, jax.Array) else type(leaf)
        return kind, array.dtype.name, array.shape, array.tobytes()
    return type(leaf), repr(leaf)


def assert_same(new, old):
    assert jax.tree.structure(new) == jax.tree.structure(old)
    for (path, one), other in zip(
        jax.tree.leaves_with_path(new), jax.tree.leaves(old), strict=True
    ):
        assert bits(one) == bits(other), jax.tree_util.keystr(path)


def whole_run():
    """Return everything that a run may have, with awkward values."""
    tx = ja.optimizers.adamw(1e-2)
    scaler = ja.precision.grad_scaler()
    params = {"layer.1": {"w": jnp.ones((3, 2)), "b": None}, "7": [jnp.float32(-0.0), ()]}
    state = ja.training.train_state(params, tx, key=jax.random.key(3), scaler=scaler)
    packed = ja.training.packed({"w": jnp.ones((3, 2)), "b": jnp.zeros(2)})
    return {
        "state": state,
        "packed": ja.training.train_state(packed, tx),
        "keys": [
            jax.random.split(jax.random.key(1, impl=impl), 3) for impl in ("rbg", "unsafe_rbg")
        ],
        "no keys": jax.random.split(jax.random.key(0), 0),
        "numbers": (3, -(2**70), 0.1, float("inf"), True, 1 - 2j, None),
        "empty": (jnp.zeros((0, 3)), np.zeros((2, 0), np.int8)),
        "nan": np.array([np.nan, -np.inf, -0.0, 5e-324]),
        "numpy": (np.float32(2), np.bool_(True), np.arange(6).reshape(2, 3).T[::-1]),
        "dtypes": {d: np.arange(6).astype(jnp.dtype(d)).reshape(2, 3) for d in DTYPES},
        "on devices": {d: jnp.arange(4).astype(d) for d in DTYPES},
        "weak": jnp.asarray(2.0),
        "host": jax.device_put(
            jnp.arange(4.0),
            jax.sharding.SingleDeviceSharding(jax.devices()[1], memory_kind="pinned_host"),
        ),
    }


def test_every_kind_of_leaf_comes_back_bit_for_bit(tmp_path):
    tree = whole_run()
    save(tmp_path, tree, step=1)
    found = restore(tmp_path, tree).tree
    assert_same(found, tree)
    assert found["weak"].weak_type
    assert found["host"].sharding == tree["host"].sharding
    for new, old in zip(jax.tree.leaves(found), jax.tree.leaves(tree), strict=True):
        if isinstance(old, jax.Array):
            assert new.committed == old.committed
            assert new.sharding == old.sharding
    big_endian = {"a": np.arange(3, dtype=">f4")}  # the same numbers, in this machine's order
    save(tmp_path / "other", big_endian, step=1)
    np.testing.assert_array_equal(restore(tmp_path / "other", big_endian).tree["a"], [0, 1, 2])


def test_a_tree_without_arrays_is_saved_too(tmp_path):
    save(tmp_path, {"epoch": 3, "none": None}, step=0)
    assert restore(tmp_path, {"epoch": 0, "none": None}).tree == {"epoch": 3, "none": None}


class Model(NamedTuple):
    w: Any
    b: Any
    key: Any


def test_restored_onto_other_devices_and_another_mesh(tmp_path):
    """By the shardings of ``like``: arrays, or shapes that say where they are to be."""
    devices = np.array(jax.devices())
    mesh = jax.sharding.Mesh(devices.reshape(4, 2), ("x", "y"))
    w, b = np.arange(64.0).reshape(8, 8), np.arange(8, dtype=np.float32)
    key = jax.random.key(5)
    keys = jax.random.split(key, 8)
    saved = Model(
        jax.device_put(w, NamedSharding(mesh, P("x", "y"))),
        jax.device_put(b, NamedSharding(mesh, P())),
        jax.device_put(keys, NamedSharding(mesh, P("x"))),
    )
    save(tmp_path, saved, step=1)
    other = jax.sharding.Mesh(devices[:4].reshape(2, 2), ("y", "x"))
    for places in (
        [NamedSharding(other, each) for each in (P("x", "y"), P("y"), P())],
        [
            NamedSharding(mesh, P(None, ("x", "y")), memory_kind="pinned_host"),
            NamedSharding(mesh, P("y")),
            NamedSharding(mesh, P(("x", "y"))),
        ],
        [jax.sharding.SingleDeviceSharding(devices[3])] * 3,
        [None] * 3,
    ):
        like = Model(
            *(
                jax.ShapeDtypeStruct(x.shape, x.dtype, sharding=place)
                for x, place in zip(saved, places, strict=True)
            )
        )
        found = restore(tmp_path, like).tree
        assert_same(found, Model(jnp.asarray(w), jnp.asarray(b), keys))
        for new, place in zip(found, places, strict=True):
            assert new.committed == (place is not None)
            assert place is None or new.sharding.is_equivalent_to(place, new.ndim)


def test_a_donated_state_does_not_change_what_is_being_saved(tmp_path):
    """The step overwrites its arrays while the save is under way; so does the user a NumPy one."""
    step = jax.jit(lambda x: jax.tree.map(lambda a: a * 0 - 1, x), donate_argnums=0)
    state = {"w": jax.random.normal(jax.random.key(0), (512, 512)), "n": jnp.arange(3)}
    mine = np.arange(4.0)
    expected = jax.tree.map(np.array, (state, mine))
    like = jax.tree.map(jnp.zeros_like, state)
    saving = save(tmp_path, (state, mine), step=1, wait=False)
    for _ in range(3):
        state = step(state)
    mine[:] = 7
    saving.wait()
    found, _ = restore(tmp_path, (like, mine)).tree
    jax.tree.map(np.testing.assert_array_equal, found, expected[0])
    # what was restored can be donated, and goes on as what was saved
    jax.tree.map(np.testing.assert_array_equal, step(found), state)
    np.testing.assert_array_equal(restore(tmp_path, (like, mine)).tree[1], expected[1])


def test_the_next_save_waits_for_the_one_before(tmp_path):
    tree = {"w": jnp.arange(1000.0)}
    savings = [save(tmp_path, tree, step=step, wait=False) for step in range(3)]
    assert [saving.done.done() for saving in savings[:2]] == [True, True]
    assert restore(tmp_path, tree).step == 2  # which waits, too
    last = save(tmp_path, tree, step=3, wait=False)
    assert saved_steps(tmp_path) == (0, 1, 2, 3)  # and so does this
    assert last.done.done()
    assert savings[1].path == tmp_path / "step_00000001"


def test_the_next_save_waits_also_where_an_older_one_was_waited_for(tmp_path, monkeypatch):
    commit = files.commit

    def late(path):
        time.sleep(0.2)
        commit(path)

    first = save(tmp_path, {"w": 1}, step=1, wait=False)
    monkeypatch.setattr(files, "commit", late)
    save(tmp_path, {"w": 2}, step=2, wait=False)
    first.wait()
    save(tmp_path, {"w": 3}, step=3)
    assert saved_steps(tmp_path) == (1, 2, 3)


def test_the_record_can_be_read_by_people(tmp_path):
    extra = {"config": {"lr": 0.1, "names": ["a", None, True]}, "epoch": 3, "nan": float("nan")}
    save(tmp_path, {"w": jnp.ones(2)}, step=12, extra=extra, metrics={"loss": np.float32(0.5)})
    found = restore(tmp_path, {"w": jnp.zeros(2)})
    assert repr(found.extra) == repr(extra)
    assert (found.step, found.metrics) == (12, {"loss": 0.5})
    record = json.loads((tmp_path / "step_00000012" / "run.json").read_text())
    assert record["versions"]["jax"] == jax.__version__
    assert {"jaxaccel", "python", "numpy", "flax", "optax"} <= set(record["versions"])
    assert record["environment"]["devices"] == 8
    assert json.loads((tmp_path / "step_00000012" / "manifest.json").read_text())["format"] == 1
    for wrong, where in (
        ({"a": (1, 2)}, r"extra\['a'\] is \(1, 2\), of tuple.*use a list"),
        ({"a": [np.float32(1)]}, r"extra\['a'\]\[0\] is"),
        ({"a": {1: 2}}, r"extra\['a'\] has the key 1"),
    ):
        with pytest.raises(TypeError, match=where):
            save(tmp_path, {"w": jnp.ones(2)}, step=13, extra=wrong)
    assert saved_steps(tmp_path) == (12,)


# --- what does not fit ---------------------------------------------------------------------------


def test_another_model_is_refused_by_path_shape_and_dtype(tmp_path):
    """Everything that differs is listed, and nothing is cast."""
    saved = {"a": jnp.ones((3, 2)), "b": jnp.ones(2), "c": 1, "d": jax.random.key(0), "e": None}
    save(tmp_path, saved, step=1)
    like = {
        "a": jnp.ones((2, 3)),
        "b": jnp.ones(2, jnp.float32),
        "c": 1.0,
        "d": jax.random.key(0, impl="rbg"),
        "e": jnp.ones(1),
        **{f"f{i}": jnp.ones(1) for i in range(3)},
    }
    with pytest.raises(ValueError, match="does not fit like") as caught:
        restore(tmp_path, like)
    assert caught.value.differences == (
        "['a']: saved float64[3, 2], here float64[2, 3]",
        "['b']: saved float64[2], here float32[2]",
        "['c']: saved Python's int, here Python's float",
        "['d']: saved key<fry>[], here key<rbg>[]",
        *(f"['{name}']: not saved, here float64[1]" for name in ("e", "f0", "f1", "f2")),
    )
    text = str(caught.value)
    assert "in 8 place(s):" in text
    assert "... and 3 more" in text
    assert "['e']" in text
    assert "['f0']" not in text
    with pytest.raises(ValueError, match=r"\['d'\]: saved key<fry>\[\], not here"):
        restore(tmp_path, {name: saved[name] for name in "abc"})
    other = ja.training.train_state(jnp.ones(2), ja.optimizers.sgd(0.1, momentum=0.9))
    save(tmp_path / "run", ja.training.train_state(jnp.ones(2), ja.optimizers.adamw()), step=1)
    with pytest.raises(ValueError, match=r"\.opt_state\.exp_avg: saved float64\[2\], not here"):
        restore(tmp_path / "run", other)


def test_what_is_not_an_array_is_refused_by_its_path(tmp_path):
    w = jnp.ones(2)
    gone = jax.jit(lambda x: x + 1, donate_argnums=0)
    donated = jnp.ones(3)
    gone(donated)
    for tree, error, text in (
        ({"a": [w, "text"]}, TypeError, r"tree\['a'\]\[1\] is 'text', of str.*extra="),
        ({"a": np.array(["x"])}, TypeError, r"tree\['a'\] is"),
        ({"a": np.longdouble(1)}, TypeError, r"tree\['a'\] is"),
        ({"a": lambda: 1}, TypeError, r"tree\['a'\] is"),
        ({"a": torch.ones(2)}, TypeError, r"tree\['a'\] is tensor\(.*, of Tensor"),
        ({"a": donated}, ValueError, "donated"),
    ):
        with pytest.raises(error, match=text):
            save(tmp_path, tree, step=1)
    with pytest.raises(TypeError, match="is traced"):
        jax.jit(lambda x: save(tmp_path, x, step=1) and x)(w)
    assert list(tmp_path.iterdir()) == []


def test_orbax_is_named_where_it_is_missing(monkeypatch, tmp_path):
    monkeypatch.setitem(sys.modules, "orbax.checkpoint", None)
    for call in (
        lambda: save(tmp_path, {"w": 1}, step=1),
        lambda: restore(tmp_path, {"w": 1}),
    ):
        with pytest.raises(ModuleNotFoundError, match=r'pip install "jaxaccel\[save\]"'):
            call()
