"""Steps compiled for machines that are not here: the figures that their compilers have given."""

import importlib.util
import json

import jax
import jax.numpy as jnp
import pytest
from jax.sharding import PartitionSpec

import jaxaccel as ja
from jaxaccel.aot import _placed
from parity_tests.harness.figures import benchmarks

needs_libtpu = pytest.mark.skipif(
    importlib.util.find_spec("libtpu") is None, reason="libtpu is for Linux alone"
)
needs_plugin = pytest.mark.skipif(
    importlib.util.find_spec("jax_plugins") is None
    or importlib.util.find_spec("jax_plugins.xla_cuda12") is None,
    reason="JAX's CUDA plugin is in an environment of its own (.ci/run gpu)",
)

SPLIT = PartitionSpec("data")
PARAMETERS = 12 * 2 * 1024 * 4096
BATCH = 2 * 8 * 1024 * 4
"""Bytes of a device's eight rows and targets."""
COUNTS = 2 * 4
"""Bytes of the step's number and the optimizer's."""


def residual(topology, name="residual"):
    """Return the report of a step of the network that the benchmark compiles everywhere."""
    mesh = ja.parallel.make_mesh(devices=ja.aot.topology_devices(topology))
    step, *shapes = benchmarks("compile_for").STEPS[name](mesh)
    with jax.numpy_dtype_promotion("standard"), jax.enable_x64(False):
        return ja.aot.compile_for(step, *shapes, topology=topology, mesh=mesh)


def mlp(scale, weights, x):
    """Return a loss of which all gradients take a product each: 6 operations a weight and row."""
    inner, outer = weights
    return jnp.sum((jax.nn.relu((x * scale) @ inner) @ outer) ** 2)


def gradients_of_mlp(topology, rows=16):
    count = len(ja.aot.topology_devices(topology))
    shapes = [
        jax.ShapeDtypeStruct((1024,), jnp.bfloat16),
        [jax.ShapeDtypeStruct(shape, jnp.bfloat16) for shape in ((1024, 4096), (4096, 1024))],
        jax.ShapeDtypeStruct((rows * count, 1024), jnp.bfloat16, sharding=SPLIT),
    ]
    with jax.numpy_dtype_promotion("standard"), jax.numpy_rank_promotion("allow"):
        return ja.aot.compile_for(jax.grad(mlp, (0, 1)), *shapes, topology=topology)


PRODUCTS = (7 - 1 / 12) * PARAMETERS * 8
"""Of eight rows: forward, half of it again, and both gradients but one of the first layer."""
OPERATIONS = 6 * 2 * 1024 * 4096 * 16
GIVEN = 805.8e6
"""What a TPU's compiler was found to count for such a step, off the same theory."""
EXTRA = 0.01
"""What sums and nonlinear functions add to the products, at most."""

TPUS = {"tpu:v5e:2x2": 4, "tpu:v5p:8x8x16": 1024, "tpu:v5e:16x16:4": 1024}


@needs_libtpu
@pytest.mark.parametrize("topology", TPUS)
def test_a_tpu_that_is_not_here_computes_what_theory_says(topology):
    found = gradients_of_mlp(topology)
    summed = sum(each.bytes for each in found.collectives) / 2  # numbers, an addition each
    assert found.flops - summed == pytest.approx(OPERATIONS, rel=EXTRA)
    assert found.flops - summed == pytest.approx(GIVEN, rel=EXTRA)
    assert (found.devices, found.fits, found.open_loops) == (TPUS[topology], True, 0)
    kinds = {(each.kind, each.axes, each.devices) for each in found.collectives}
    if topology.endswith(":4"):  # within a slice and between the four, each a part of the axis
        assert {("all-reduce", None, 4), ("all-reduce", None, 256)} <= kinds
    else:
        assert kinds == {("all-reduce", ("data",), found.devices)}
    assert summed >= 2 * 1024 * 4096
    assert found.estimated_cycles > 0


@needs_libtpu
def test_a_tpu_holds_what_the_formulas_say():
    whole, shared = (residual("tpu:v5e:4x4", name) for name in ("residual", "residual_fsdp"))
    counts = 2 * 512  # each in a tile of its own
    assert whole.argument_bytes == 12 * PARAMETERS + BATCH + counts
    assert shared.argument_bytes == 12 * PARAMETERS // 16 + BATCH + counts
    assert round(shared.peak_bytes / 2**20) == 181
    for report in (whole, shared):
        assert report.alias_bytes >= report.argument_bytes - BATCH - 2**20
        assert report.peak_bytes < report.capacity_bytes == 15.75 * 2**30
        assert report.flops > PRODUCTS, "loops count in full"
    (sent,) = (each for each in whole.collectives if each.bytes > 2**20)
    assert (sent.kind, sent.times, sent.axes) == ("all-reduce", 12, ("data",))
    whole.assert_fits()
    with pytest.raises(AssertionError, match=r"which is more than 1\.00 GiB"):
        whole.assert_fits(2**30)
    found = json.loads(shared.to_json())
    assert found["argument_bytes"] == shared.argument_bytes
    assert found["fits"] is True
    assert found["collectives"][0]["axes"] == ["data"]
    assert "16 x TPU v5 lite" in str(shared)
    assert "all-gather" in str(shared)


@needs_libtpu
def test_what_does_not_fit_is_reported_with_the_compilers_words():
    x = jax.ShapeDtypeStruct((2**16, 2**18), jnp.float32)
    report = ja.aot.compile_for(lambda x: 2 * x, x, topology="tpu:v5e:1x1")
    assert report.fits is False
    assert report.argument_bytes == 2**36
    assert report.peak_bytes > report.capacity_bytes
    assert "Ran out of memory" in report.refusal
    assert "does not fit" in str(report)
    with pytest.raises(AssertionError, match=r"which is more than 15\.75 GiB"):
        report.assert_fits()


WRONG = {
    "does not divide among the 4 devices of mesh axis 'data'": {"shapes": [(6, 3)]},
    "lies along axes that the mesh does not have": {"axes": ("model",)},
    "must multiply to their number": {"mesh": {"data": 3}},
    "must be of the 4 devices of 'tpu:v5e:2x2', got one of 8": {"mesh": "here"},
    "the compiler does not take options": {"options": {"xla_no_such_option": True}},
}


@needs_libtpu
def test_what_does_not_fit_together_is_said():
    for text, given in WRONG.items():
        spec, (shape,) = PartitionSpec(*given.pop("axes", ("data",))), given.pop("shapes", [(8,)])
        x = jax.ShapeDtypeStruct(shape, jnp.float32, sharding=spec)
        if given.get("mesh") == "here":
            given["mesh"] = ja.parallel.make_mesh(devices=jax.devices()[:8])
        with pytest.raises(ValueError, match=text):
            ja.aot.compile_for(jnp.sin, x, topology="tpu:v5e:2x2", **given)
    for sizes in ({"data": -1, "model": 3}, {"data": -1, "model": -1}, {"data": -2, "model": -2}):
        with pytest.raises(ValueError, match="must multiply to their number; one of them may be"):
            ja.aot.compile_for(jnp.sin, topology="tpu:v5e:2x2", mesh=sizes)
    here = ja.aot.topology_devices("tpu:v5e:2x2")
    mesh = _placed.mesh_for(here, {"data": -1, "model": 2}, "tpu:v5e:2x2")
    assert dict(mesh.shape) == {"data": 2, "model": 2}
    with pytest.raises(TypeError, match=r"shapes\[0\]\['x'\] must be an array or a"):
        ja.aot.compile_for(jnp.sin, {"x": "text"}, topology="tpu:v5e:2x2")


@needs_libtpu
def test_options_reach_the_compiler_and_the_text_is_kept():
    x = jax.ShapeDtypeStruct((4096, 4096), jnp.bfloat16)
    given = {"topology": "tpu:v5e:1x1", "keep_hlo": True}
    report = ja.aot.compile_for(lambda x: x @ x, x, **given)
    assert report.flops == 2 * 4096**3
    assert report.estimated_cycles == pytest.approx(1_083_068, rel=2 * EXTRA), "190 TFLOP/s"
    assert report.hlo.startswith("HloModule")
    assert "hlo" not in json.loads(report.to_json())
    before = jax.config.jax_compilation_cache_dir
    small = jax.ShapeDtypeStruct((256, 256), jnp.bfloat16)
    given["options"] = {"xla_tpu_enable_latency_hiding_scheduler": False}
    assert ja.aot.compile_for(lambda x: x @ x, small, **given).flops == 2 * 256**3
    assert jax.config.jax_compilation_cache_dir == before
    assert jax.config.jax_enable_compilation_cache


# ------------------------------------------------------------------------------------------- GPUs


@needs_plugin
def test_gpus_that_are_not_here():
    found = gradients_of_mlp("gpu:h100:8")
    summed = sum(each.bytes for each in found.collectives) / 2
    assert found.flops - summed == pytest.approx(OPERATIONS, rel=EXTRA)
    assert found.device == "NVIDIA H100 80GB HBM3"
    assert found.estimated_cycles is None
    for topology, count in (("gpu:h100:8", 8), ("gpu:h100:1024", 1024), ("gpu:a100:1x2x4", 8)):
        whole = residual(topology)
        assert whole.devices == count
        assert whole.argument_bytes == 12 * PARAMETERS + BATCH + COUNTS
        assert whole.peak_bytes < whole.capacity_bytes
        is_overlapped = any(each.overlapped for each in whole.collectives)
        assert is_overlapped or "a100" in topology, "asynchronous by default"
        assert whole.flops > PRODUCTS
    shared = residual("gpu:h100:8", "residual_fsdp")
    assert shared.argument_bytes == 12 * PARAMETERS // 8 + BATCH + COUNTS


@needs_plugin
def test_a_gpus_peak_is_compared_with_its_memory():
    x = jax.ShapeDtypeStruct((2**16, 2**18), jnp.float32)
    report = ja.aot.compile_for(lambda x: 2 * x, x, topology="gpu:h100:1")
    assert (report.fits, report.refusal) == (False, None)
    assert report.peak_bytes == 2 * 2**36
    with pytest.raises(AssertionError, match="which is more than"):
        report.assert_fits()
