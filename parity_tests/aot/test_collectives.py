"""Collectives: kind, bytes, axes, how often, and whether anything computes meanwhile."""

from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import lax
from jax.sharding import AxisType, Mesh, NamedSharding
from jax.sharding import PartitionSpec as P

import jaxaccel as ja
from jaxaccel._hlo import Operation, read
from jaxaccel.aot._collectives import collectives_of
from jaxaccel.aot._groups import groups_of

FOLDER, PLACES = Path(__file__).parent, np.arange(8).reshape(2, 4)


def mesh_of(*names):
    return jax.make_mesh((2, 4), names, (AxisType.Auto,) * 2, devices=jax.devices()[:8])


def report_of(function, mesh, spec, shape=(16, 128)):
    mapped = jax.shard_map(function, mesh=mesh, in_specs=spec, out_specs=spec, check_vma=False)
    x = jax.ShapeDtypeStruct(shape, jnp.float32, sharding=NamedSharding(mesh, spec))
    return ja.aot.report(jax.jit(mapped).lower(x).compile())


def ring(axis, size):
    return [(place, (place + 1) % size) for place in range(size)]


def in_a_loop(x):
    return lax.fori_loop(0, 5, lambda _, x: lax.psum(x, "b") * 0.5, x)


WHAT = {
    "all-reduce over a": (lambda x: lax.psum(x, "a"), "all-reduce", 1, ("a",), 2),
    "all-reduce over b": (lambda x: lax.psum(x, "b"), "all-reduce", 1, ("b",), 4),
    "all-reduce over both": (lambda x: lax.psum(x, ("a", "b")), "all-reduce", 1, ("a", "b"), 8),
    "all-gather": (
        lambda x: lax.all_gather(x, "b", tiled=True).sum(axis=0, keepdims=True) + x,
        *("all-gather", 4, ("b",), 4),
    ),
    "reduce-scatter": (
        lambda x: jnp.tile(lax.psum_scatter(x, "a", scatter_dimension=1, tiled=True), (1, 2)),
        *("reduce-scatter", 1, ("a",), 2),
    ),
    "all-to-all": (
        lambda x: lax.all_to_all(x, "a", split_axis=1, concat_axis=1, tiled=True),
        *("all-to-all", 1, ("a",), 2),
    ),
    "collective-permute": (
        lambda x: lax.ppermute(x, "b", ring("b", 4)),
        "collective-permute",
        1,
        ("b",),
        2,
    ),
    "in a loop": (in_a_loop, "all-reduce", 1, ("b",), 4),
}
"""Name -> function of a (2, 128) array, kind, bytes in arrays of its size, axes, devices."""


def test_every_kind_is_found_with_its_bytes_and_axes():
    mesh, spec = mesh_of("a", "b"), P(("a", "b"))
    for name, (function, kind, parts, axes, devices) in WHAT.items():
        (found,) = report_of(function, mesh, spec).collectives
        assert (found.kind, found.axes, found.devices) == (kind, axes, devices), name
        assert found.bytes == parts * 4 * 2 * 128, name
        assert found.times == (5 if name == "in a loop" else 1), name
        assert found.overlapped == 0, name


def test_what_is_wanted_is_asserted():
    report = report_of(in_a_loop, mesh_of("a", "b"), P(("a", "b")))
    report.assert_collectives({"all-reduce": 5})
    report.assert_collectives({("all-reduce", "b"): range(1, 6)})
    report.assert_collectives({"all-reduce": None, "all-gather": 0})
    for wrong, text in {
        ("all-reduce", 4): "all-reduce: 5, not 4",
        (("all-reduce", "a"), 5): "all-reduce over a: 0, not 5",
        ("all-gather", None): "all-reduce over b: 5, not 0",
    }.items():
        with pytest.raises(AssertionError, match=text):
            report.assert_collectives(dict([wrong]))
    with pytest.raises(AssertionError, match="all-gather: 0, not any"):
        report.assert_collectives({"all-reduce": 5, "all-gather": None})
    for wrong, error, text in (
        (["all-reduce"], TypeError, r"wanted must map kinds to numbers, got \['all-reduce'\]"),
        ({"all-reduce": (1, 6)}, TypeError, r"wanted\['all-reduce'\] must be a number, a range"),
        ({"all-gahter": 0}, ValueError, "'all-gahter', .* did you mean 'all-gather'"),
        ({("all_reduce", "b"): 5}, ValueError, "'all_reduce', .* did you mean 'all-reduce'"),
        ({"sum": 1}, ValueError, "'sum', .* pass one of all-reduce, all-gather"),
    ):
        with pytest.raises(error, match=text):
            report.assert_collectives(wrong)
    over_both = report._replace(
        collectives=tuple(each._replace(axes=("b", "a")) for each in report.collectives)
    )
    with pytest.raises(AssertionError, match="all-reduce over b: 0, not 5"):
        over_both.assert_collectives({("all-reduce", "b"): 5})
    alone = ja.aot.report(jax.jit(jnp.sin).lower(jnp.ones(3)).compile())
    alone.assert_collectives({})


GROUPS = {
    "{{0,1,2,3},{4,5,6,7}}": "b",
    "{{0,4},{1,5},{2,6},{3,7}}": "a",
    "{}": "ab",
    "[2,4]<=[8]": "b",
    "[4,2]<=[2,4]T(1,0)": "a",
    "[1,8]<=[8]": "ab",
    "mesh['x'=2,'y'=4] {'y'}": "b",
    "mesh['x'=2,'y'=4] {'x'}": "a",
    "mesh['x'=8] {'x'}": "ab",
    "mesh['x'=2,'y'=4] {'x','y'}": "ab",
    "mesh['x'=8] {'x':(1)2}": "a",
    "mesh['x'=8] {'x':(2)4}": "b",
    "mesh['x'=2,'y'=4], device_ids=([8]<=[2,4]) {'x'}": "a",
    "mesh['x'=4,'y'=2], device_ids=([8]<=[2,4]T(1,0)) {'x'}": "b",
    "mesh['x'=4,'y'=2], device_ids=([2,4]T(1,0)) {'x'}": "b",
}
"""Every spelling that XLA has for the groups of eight devices -> the axes that they run along."""


@pytest.mark.quick
def test_groups_are_read_in_every_spelling():
    wanted = {"a": PLACES.T, "b": PLACES, "ab": PLACES.reshape(1, 8)}
    for text, axes in GROUPS.items():
        operation = Operation(
            "x",
            "all-reduce",
            (),
            (),
            f", channel_id=1, replica_groups={text}, use_global_device_ids=true",
            "",
        )
        found = {frozenset(group) for group in groups_of(operation, 8)}
        assert found == {frozenset(map(int, group)) for group in wanted[axes]}, text


PROGRAM = (FOLDER / "scatters.hlo").read_text()
"""A TPU's reduce-scatter that hides in a fusion, and a GPU's that is under way meanwhile."""


@pytest.mark.quick
def test_hidden_and_asynchronous_collectives_are_found():
    mesh = Mesh(np.array(jax.devices()[:8]), ("data",))
    found = collectives_of(read(PROGRAM), 8, mesh)
    assert [(each.kind, each.bytes, each.overlapped) for each in found] == [
        ("reduce-scatter", 4 * 64 * 8, 0),
        ("reduce-scatter", 4 * 64 * 8, 1),
        ("all-gather", 4 * 64 * 8, 0),
    ]
    assert {each.axes for each in found} == {("data",)}


@pytest.mark.quick
def test_what_a_tpu_does_in_parts_is_one_collective():
    program = read((FOLDER / "chain.hlo").read_text())
    (found,) = collectives_of(program, 8, None)
    assert (found.kind, found.bytes, found.overlapped) == ("all-gather", 2 * 64 * 64, 2)
    assert (found.axes, found.name) == (None, "fusion.1")


@pytest.mark.quick
def test_what_goes_on_during_a_loop_is_not_done_in_every_turn():
    """A gather begins in front of eight turns, which hold a part of it each, and ends behind."""
    program = read((FOLDER / "chain_around_a_loop.hlo").read_text())
    (found,) = collectives_of(program, 8, None)
    assert (found.kind, found.times, found.name) == ("all-gather", 1, "fusion.1")
    assert found.overlapped == 1


@pytest.mark.quick
def test_slices_send_each_other_by_way_of_their_hosts():
    """The program is that of one slice of four chips; there are two slices."""
    mesh = Mesh(np.array(jax.devices()[:8]).reshape(2, 4), ("slice", "data"))
    found = collectives_of(read((FOLDER / "between.hlo").read_text()), 8, mesh)
    assert [(each.kind, each.axes, each.devices, each.overlapped) for each in found] == [
        ("all-reduce", ("data",), 4, 0),
        ("all-reduce", ("slice",), 2, 1),
    ]
    assert {each.bytes for each in found} == {4 * 8 * 128}
