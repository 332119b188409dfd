"""What a step needs in memory: the parts add up, and agree with the compiler."""

import functools
import importlib.util
import json
from pathlib import Path

import jax
import jax.numpy as jnp
import pytest
import torch
from flax import nnx
from jax.experimental.compilation_cache.compilation_cache import reset_cache

import jaxaccel as ja
from jaxaccel._hlo import read
from jaxaccel.memory._live_buffers import live_buffers

HAS_LIBTPU = importlib.util.find_spec("libtpu") is not None
ROWS, WIDTH, DEPTH = 64, 32, 4
BYTES = 4
X = jax.ShapeDtypeStruct((64, 64), jnp.float32)


def training(checkpoint=None, rows=ROWS, width=WIDTH, depth=DEPTH, donate=True):
    """Return a step, shapes of its state, and shapes of a batch."""

    def block(layer, x):
        return jnp.tanh(layer(x))

    if checkpoint is not None:
        block = checkpoint(block)

    class Net(nnx.Module):
        def __init__(self):
            rngs = nnx.Rngs(0)
            self.layers = nnx.List([ja.nn.Linear(width, width, rngs=rngs) for _ in range(depth)])

        def __call__(self, x):
            for layer in self.layers:
                x = block(layer, x)
            return x

    with jax.enable_x64(False):
        apply, params, model_state = ja.training.split_model(nnx.eval_shape(Net))

        def loss_fn(params, model_state, batch, key):
            outputs, model_state = apply(params, model_state, batch, training=True)
            return ja.functional.mse_loss(outputs, batch), (model_state, {})

        tx = ja.optimizers.adamw()
        start = functools.partial(ja.training.train_state, tx=tx)
        start = functools.partial(start, key=jax.random.key(0))
        state = jax.eval_shape(lambda p, m: start(p, model_state=m), params, model_state)
    step = ja.training.train_step(ja.training.gradients(loss_fn), tx, donate=donate)
    batch = jax.ShapeDtypeStruct((rows, width), jnp.float32)
    return step, state, batch


@functools.cache
def report():
    """Return a report with source lines, which the suite leaves out of its programs elsewhere."""
    before = jax.config.jax_traceback_in_locations_limit
    jax.config.update("jax_traceback_in_locations_limit", 10)
    try:
        return ja.memory.report(*training())
    finally:
        jax.config.update("jax_traceback_in_locations_limit", before)


@functools.cache
def compiler():
    step, *arguments = training()
    return ja.aot.report(step.lowered(*arguments).compile())


@pytest.mark.quick
def test_arguments_are_what_they_are():
    found = report()
    weights = DEPTH * (WIDTH * WIDTH + WIDTH)
    assert found.parameters == BYTES * weights
    assert found.optimizer_state == 2 * BYTES * weights + BYTES, "two moments and a counter"
    assert found.batch == BYTES * ROWS * WIDTH
    key, counter = 8, BYTES  # of the step
    assert found.other_state == key + counter
    assert found.arguments == compiler().argument_bytes
    assert abs(found.padding) <= key


@pytest.mark.quick
def test_parts_add_up_to_the_compilers_totals():
    found, said = report(), compiler()
    parts = found._asdict()
    names = [*parts][: [*parts].index("peak")]
    assert found.total == sum(parts[name] for name in names)
    inside = found.gradients + found.activations + found.temporaries
    assert inside + found.gaps == said.temporary_bytes
    step, state, batch = training()
    results = len(jax.tree.leaves(jax.eval_shape(step, state, batch)))
    assert found.outputs <= 8 * (results + 1), "metrics, and where each result is: the state stays"
    assert found.total == said.argument_bytes + found.outputs + said.temporary_bytes


@pytest.mark.quick
def test_activations_are_those_of_the_forward_pass():
    """Each layer keeps its output for the backward pass."""
    found = report()
    one = BYTES * ROWS * WIDTH
    assert (DEPTH - 1) * one <= found.activations <= (DEPTH + 1) * one
    deep = ja.memory.report(*training(depth=2 * DEPTH))
    assert deep.activations >= found.activations + DEPTH * one


def programs():
    """Return functions and arguments whose temporaries are known to a compiler."""
    x = jax.ShapeDtypeStruct((128, 128), jnp.float32)

    def chain(x):
        return jnp.sum(jnp.tanh(jnp.sin(x @ x) @ x) @ jnp.cos(x))

    def scanned(x):
        def turn(carry, row):
            carry = jnp.tanh(carry @ x) + row
            return carry, jnp.sum(carry @ x, axis=0)

        return jax.lax.scan(turn, x, jnp.ones((8, 1, 128), x.dtype))[1]

    def backward(x):
        def turn(carry, _):
            return jnp.tanh(carry @ x), None

        return jax.grad(lambda x: jnp.sum(jax.lax.scan(turn, x, None, length=16)[0]))(x)

    def branches(x):
        large = lambda x: (x @ x) @ (x @ jnp.sin(x))  # noqa: E731
        return jnp.sum(jax.lax.cond(x[0, 0] > 0, large, jnp.cos, x) @ x)

    def writes(x):
        made = jax.lax.cond(x[0, 0] > 0, lambda x: jnp.sin(x) @ jnp.cos(x), lambda x: x @ x, x)
        return jnp.sum(made @ x)

    def loop(x):
        return jax.lax.while_loop(lambda x: jnp.sum(x) < 100, lambda x: jnp.sin(x @ x) @ x, x @ x)

    def sort(x):
        return jnp.sort(x @ x, axis=0)[0]

    return {f.__name__: (f, x) for f in (chain, scanned, backward, branches, writes, loop, sort)}


def test_what_a_step_holds_is_what_the_compiler_makes_room_for():
    """Without donation: a donated argument's memory may serve others until its result is there."""
    found = ja.memory.report(*training(donate=False))
    room = found.gradients + found.activations + found.temporaries + found.gaps
    assert abs(found.gaps) <= 0.02 * room, (found.gaps, room)


def test_what_is_alive_is_what_the_compiler_makes_room_for():
    """The walk over a program's text against the compiler's own figure: loops, branches, calls."""
    for name, (function, x) in programs().items():
        found = ja.memory.report(
            lambda state, batch, f=function: (state, f(batch)), {"params": ()}, x
        )
        room = found.total - found.arguments - found.outputs
        assert room > 0, name
        assert abs(found.gaps) <= 0.02 * room, (name, found.gaps, room)


ASYNCHRONOUS = """HloModule started, is_scheduled=true

%add (a: f32[], b: f32[]) -> f32[] {
  %a = f32[] parameter(0)
  %b = f32[] parameter(1)
  ROOT %c = f32[] add(%a, %b)
}

ENTRY %main (x: f32[256]) -> f32[] {
  %x = f32[256]{0} parameter(0)
  %y = f32[256]{0} sine(%x)
  %z = f32[256]{0} cosine(%x)
  %s = (f32[256]{0}, f32[256]{0}) all-reduce-start(%y, %z), replica_groups={{0,1}}, to_apply=%add
  %d = (f32[256]{0}, f32[256]{0}) all-reduce-done(%s)
  %p = f32[256]{0} get-tuple-element(%d), index=0
  %q = f32[256]{0} get-tuple-element(%d), index=1
  %g = (f32[256]{0}, f32[512]{0}) all-gather-start(%p), replica_groups={{0,1}}, dimensions={0}
  %h = f32[512]{0} all-gather-done(%g)
  %i = (f32[512]{0}, f32[512]{0}, u32[]) copy-start(%h)
  %j = f32[512]{0} copy-done(%i)
  ROOT %r = f32[] custom-call(%h, %j, %p, %q, %y), custom_call_target="end"
}
"""


@pytest.mark.quick
def test_what_is_under_way_is_held():
    """Started operations name their operands again, but for a sum; slices send to each other."""
    between = (Path(__file__).parents[1] / "aot" / "between.hlo").read_text()
    for text, numbers in {
        ASYNCHRONOUS: [1, 256, 256, 256, 512, 512],  # a context, p, q, y, h and its copy
        between: [1, 1, 8 * 8, 8 * 128, 8 * 128],  # contexts, work, what is sent and received
    }.items():
        sizes = sorted(each.array.bytes for each in live_buffers(read(text)))
        assert sizes == [BYTES * number for number in numbers]


@pytest.mark.skipif(not HAS_LIBTPU, reason="libtpu is for Linux alone")
def test_a_tpus_compiler_agrees():
    """Its peak counts arguments, results and what is alive then, as the report does."""
    step, state, batch = training(rows=2**18, width=256)
    found = ja.memory.report(step, state, batch, topology="tpu:v5e:1x1")
    assert found.device == "TPU v5 lite"
    assert found.activations > 2 * BYTES * 2**18 * 256
    assert abs(found.total - found.gaps - found.peak) <= 0.02 * found.peak
    assert abs(found.padding) <= 0.02 * found.arguments
    assert found.idle == 0
    small = training(rows=2, width=2, depth=1)
    assert "other 3 devices have no part" in str(ja.memory.report(*small, topology="tpu:v5e:2x2"))


@pytest.mark.quick
def test_the_formula_is_the_papers():
    """7.5 billion parameters in mixed precision on 64 devices: figure 1 of the paper, in GB."""
    formula = ja.memory.ZeroFormula(7_500_000_000, 64, 2, 2, 12)
    stages = [round(formula.stage(i) / 1e9, 1) for i in range(4)]
    assert stages == [120.0, 31.4, 16.6, 1.9]
    assert str(report().formula).startswith("(4 + 4 + 8.0")
    with pytest.raises(ValueError, match="the stages 0, 1, 2 and 3, got 4"):
        formula.stage(4)


@pytest.mark.quick
def test_a_state_over_a_mesh_counts_its_part():
    mesh = ja.parallel.make_mesh()
    spread = jax.sharding.NamedSharding(mesh, jax.sharding.PartitionSpec("data"))
    w = jax.ShapeDtypeStruct((64, 16), jnp.float32, sharding=spread)
    found = ja.memory.report(
        lambda state, batch: ({"params": state["params"] - jnp.sum(batch)}, ()),
        {"params": w},
        jax.ShapeDtypeStruct((8,), jnp.float32, sharding=spread),
    )
    assert found.parameters == BYTES * 64 * 16 // mesh.size
    assert found.batch == BYTES
    assert found.formula.devices == mesh.size
    assert found.formula.parameter_count == 64 * 16
    assert "at stage 3 on 8 devices" in str(found)


@pytest.mark.quick
def test_the_largest_are_named_by_their_line():
    largest = report().largest
    assert sum(each.nbytes for each in largest) == sum(
        getattr(report(), part) for part in ("gradients", "activations", "temporaries")
    )
    assert [each.nbytes for each in largest] == sorted((e.nbytes for e in largest), reverse=True)
    lines = {each.source.rpartition("/")[2] for each in largest if each.part == "activations"}
    here = Path(__file__).read_text(encoding="utf-8").splitlines()
    line = 1 + next(i for i, text in enumerate(here) if "return jnp.tanh(layer(x))" in text)
    assert f"test_report.py:{line}" in lines


def test_lines_are_those_of_this_source_with_programs_on_disk(tmp_path):
    """A program from the disk, where lines do not count, has those of the source it was made of."""
    settings = {
        "jax_compilation_cache_dir": str(tmp_path),
        "jax_persistent_cache_min_compile_time_secs": 0,
        "jax_persistent_cache_min_entry_size_bytes": -1,
        "jax_traceback_in_locations_limit": 10,
    }
    before = {name: getattr(jax.config, name) for name in settings}
    try:
        for name, value in settings.items():
            jax.config.update(name, value)
        reset_cache()
        for line in (1, 5):
            source = "\n" * (line - 1) + "def step(state, x): return jnp.sin(x @ x) @ x"
            names = {"jnp": jnp}
            exec(compile(source, "/folder/mine.py", "exec"), names)
            found = ja.memory.report(names["step"], {"params": X}, X)
            assert {each.source for each in found.largest} == {f"/folder/mine.py:{line}"}
        assert [*tmp_path.iterdir()]
    finally:
        for name, value in before.items():
            jax.config.update(name, value)
        reset_cache()


@pytest.mark.quick
def test_it_prints_and_is_json_and_can_be_asserted():
    found = report()
    text = str(found)
    for part in ("parameters", "optimizer state", "gradients", "activations", "total", "formula"):
        assert part in text
    values = json.loads(found.to_json())
    assert values["total"] == found.total
    assert values["formula"]["parameter_count"] == found.formula.parameter_count
    assert values["largest"][0]["part"] == found.largest[0].part
    found.assert_fits(found.total)
    with pytest.raises(AssertionError, match=r"the step needs .* on each device, which is more"):
        found.assert_fits(found.total - 1)
    with pytest.raises(ValueError, match=r"how much memory a cpu has is not known"):
        found.assert_fits()


@pytest.mark.quick
def test_a_state_without_parameters_is_refused():
    with pytest.raises(TypeError, match="under the name params, got dict"):
        ja.memory.report(lambda state, batch: state, {"weights": jnp.ones(2)}, jnp.ones(2))


@pytest.mark.quick
def test_what_cannot_be_compiled_is_refused():
    step, state, batch = training()
    spread = jax.ShapeDtypeStruct(batch.shape, batch.dtype, sharding=jax.P("data"))
    gradient_fn = ja.training.gradients(lambda params, model_state, batch: params)
    for given, error, text in (
        ((gradient_fn, state, batch), TypeError, r"got gradient_fn, which takes \(params, model_s"),
        ((lambda p, m, b: p, state, batch), TypeError, r"make a step .* training\.train_step\("),
        ((step, state, {"x": torch.ones(2)}), TypeError, r"batch\['x'\] must be .*x\.numpy\(\)"),
        ((step, state, spread), ValueError, "batch has a PartitionSpec alone, of no mesh; give it"),
    ):
        with pytest.raises(error, match=text):
            ja.memory.report(*given)
