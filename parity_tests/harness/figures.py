"""What compilers say of our programs beside optax's and flax's, from a process of its own.

``python -m parity_tests.harness.figures steps`` prints ``{compiler: {program: {side: figures}}}``,
of programs that have not changed without compiling them (``kept_figures.py``).
Default flags, as a user has them: neither x64 nor the tests' quick compilation, both of which
change the programs.
"""

import collections
import importlib.util
import json
import math
import os
import re
import subprocess
import sys
from pathlib import Path

import jax
import jax.numpy as jnp
import optax
from flax import nnx

import jaxaccel as ja
from parity_tests.harness.kept_figures import keep, kept_or_measured

ROOT = Path(__file__).resolve().parents[2]
HAS_LIBTPU = importlib.util.find_spec("libtpu") is not None
SIDES = ("jaxaccel", "flax + optax")
SOONER = {"exec_time_optimization_effort": -1.0}
"""A TPU's compiler needs a third of the time or less, and makes other programs of both sides."""


def read(what):
    """Return what a fresh process prints about ``steps`` or another kind of program, see below."""
    left_out = ("XLA_FLAGS", "JAX_ENABLE_X64", "JAX_NUMPY_DTYPE_PROMOTION", "JAX_COMPILATION_CACHE")
    environment = {k: v for k, v in os.environ.items() if not k.startswith(left_out)}
    done = subprocess.run(
        [sys.executable, "-m", "parity_tests.harness.figures", what],
        cwd=ROOT,
        env=environment | {"JAX_PLATFORMS": "cpu"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def above(found, bounds):
    """Yield (program, what is wrong) where a ratio to the peer is above its bound.

    ``bounds`` are {compiler: {program: {figure: at most so many times the peer's}}}.
    """
    for compiler, programs in bounds.items():
        if compiler != "cpu" and not HAS_LIBTPU:
            continue  # libtpu is for Linux alone
        for program, figures in programs.items():
            ours, theirs = (found[compiler][program][side] for side in SIDES)
            for figure, bound in figures.items():
                if ours[figure] > bound * theirs[figure]:
                    ratio = ours[figure] / max(1, theirs[figure])
                    what = f"{figure} {ours[figure]:,} is {ratio:.3f} of {theirs[figure]:,}"
                    yield f"{compiler} {program}", f"{what}, more than {bound}"


# -------------------------------------------------------------------------- in the other process


class OurConvNet(nnx.Module):
    """A convolution with batch normalization, maybe another beside a residual, a linear layer."""

    def __init__(self, width, depth):
        options = {"padding": 1, "bias": False, "rngs": nnx.Rngs(0)}
        pairs = [(3, width), (width, width)][:depth]
        self.convs = nnx.List([ja.nn.Conv2d(*pair, 3, **options) for pair in pairs])
        self.norms = nnx.List([ja.nn.BatchNorm2d(width) for _ in pairs])
        self.head = ja.nn.Linear(width, 10, rngs=nnx.Rngs(0))

    def __call__(self, x):
        for index, (conv, norm) in enumerate(zip(self.convs, self.norms, strict=True)):
            moved = norm(conv(x))
            x = jax.nn.relu(x + moved if index else moved)
        return self.head(jnp.mean(x, (1, 2)))


def flax_conv_net(peers, width, depth, dtype):
    """Return the same in flax's layers."""

    class ConvNet(nnx.Module):
        def __init__(self):
            pairs = [(3, width), (width, width)][:depth]
            self.layers = nnx.List(
                [peers.ConvNorm(*pair, 3, 1, dtype, nnx.Rngs(0)) for pair in pairs]
            )
            self.head = nnx.Linear(width, 10, dtype=dtype, rngs=nnx.Rngs(0))

        def __call__(self, x):
            for index, layer in enumerate(self.layers):
                x = nnx.relu(x + layer(x) if index else layer(x))
            return self.head(jnp.mean(x, (1, 2)))

    return ConvNet()


def conv_net(peers, steps, rows, depth):
    return steps.Task(
        lambda: OurConvNet(64, depth),
        lambda dtype: flax_conv_net(peers, 64, depth, dtype),
        lambda: None,
        (rows, 32, 32, 3),
        10,
    )


def steps_by_compiler(devices):
    """Return {compiler: {program: {side: figures}}} of whole training steps."""
    peers, steps = (benchmarks(name) for name in ("_peers", "_steps"))

    def found(side, name, compiler):
        # Of a GPT the compiler's usual program is compared: the other blurs 2%.
        options = SOONER if compiler == "tpu" and name != "gpt" else None
        task, device = tasks[compiler][name], devices[compiler]
        lowered = steps.lowered_step(side, task, jnp.float32, device)
        return kept_or_measured(lowered, device, figures, options)

    # Small, as compiling for a TPU takes seconds; the images are more than a chip keeps on it.
    tasks = {
        "cpu": {
            "gpt": steps.gpt(128, 2, 8, 128, 512, 4),
            "conv net": conv_net(peers, steps, rows=32, depth=2),
            "lstm": steps.lstm(64, 128, 64, 64),
            "mlp": steps.mlp((784, 1024, 10), 512),
        },
        "tpu": {
            "gpt": steps.gpt(128, 1, 4, 64, 256, 2),
            "conv net": conv_net(peers, steps, rows=512, depth=1),
            "lstm": steps.lstm(256, 512, 256, 64),
            "mlp": steps.mlp((784, 1024, 10), 512),
        },
    }
    return {
        compiler: {
            name: {side: found(side, name, compiler) for side in SIDES} for name in tasks[compiler]
        }
        for compiler in devices
    }


def autocast_by_compiler(devices):
    """Return {compiler: {program: {way: figures}}}: float32, cast by hand, autocast."""
    ways, steps, peers = (benchmarks(name) for name in ("autocast", "_steps", "_peers"))
    place = jax.sharding.SingleDeviceSharding(devices["tpu"])
    task = conv_net(peers, steps, rows=512, depth=1)
    lowered = {
        "conv net": {
            way: ways.lowered_step(task, way, place)
            for way in (ways.FLOAT32, ways.CAST, ways.AUTOCAST)
        },
        "block": {
            ways.CAST: block_gradient(lambda x: x.astype(jnp.bfloat16), lambda f: f, place),
            ways.AUTOCAST: block_gradient(
                lambda x: x, lambda f: ja.precision.autocast(f, "tpu"), place
            ),
        },
    }
    return {
        "tpu": {
            name: {
                way: kept_or_measured(program, devices["tpu"], figures_by_dtype, SOONER)
                for way, program in programs.items()
            }
            for name, programs in lowered.items()
        }
    }


def block_gradient(low, transform, place):
    """Return the gradient of a feed-forward block; ``low`` casts as autocast would."""
    width, shape = 128, (64, 64, 128)
    sizes = {"up": (width, 4 * width), "down": (4 * width, width)}

    def linear(params, name, x):
        return ja.functional.linear(low(x), low(params[name]), low(params[f"{name}_bias"]))

    def loss(params, x):
        normed = ja.functional.layer_norm(x, (width,), params["norm"], params["norm_bias"])
        hidden = ja.functional.gelu(linear(params, "up", normed))
        return jnp.mean((x + linear(params, "down", hidden).astype(jnp.float32)) ** 2)

    shapes = sizes | {f"{name}_bias": size[1:] for name, size in sizes.items()}
    shapes |= dict.fromkeys(("norm", "norm_bias"), (width,))
    params, x = jax.tree.map(
        lambda size: jax.ShapeDtypeStruct(size, jnp.float32, sharding=place),
        (shapes, shape),
        is_leaf=lambda node: isinstance(node, tuple) and isinstance(node[0], int),
    )
    return jax.jit(jax.grad(transform(loss))).lower(params, x)


def figures_by_dtype(compiled):
    """Return a program's figures, its operations by dtype."""
    return figures(compiled) | {"flops": flops_by_dtype(compiled.as_text())}


def flops_by_dtype(text):
    """Return the operations in products and convolutions of a compiled program, by dtype."""
    arrays = {
        name: (dtype, [int(size) for size in sizes.split(",") if size])
        for name, dtype, sizes in re.findall(r"%([\w.-]+) = (\w+)\[([\d,]*)\]", text)
    }
    found = collections.Counter()
    line = re.compile(r"%([\w.-]+) = .*? (dot|convolution)\((.*?)\)(.*)")
    for name, kind, operands, rest in line.findall(text):
        left, right = re.findall(r"%([\w.-]+)", operands)
        (dtype, sizes), (_, kernel) = arrays[left], arrays[right]
        if kind == "dot":
            axes = re.search(r"lhs_contracting_dims=\{([\d,]*)\}", rest).group(1).split(",")
            summed = math.prod(sizes[int(axis)] for axis in axes)
        else:
            labels = re.search(r"dim_labels=\w+_(\w+)->", rest).group(1)
            summed = math.prod(kernel) // kernel[labels.index("o")]
        found[dtype] += 2 * math.prod(arrays[name][1]) * summed
    return dict(found)


MICRO_BATCHES = 4
SHAPES = [(1024, 512), (512,), (3, 3, 64, 128), (128,), (256, 256), (64,)]


def optimizers_by_compiler(devices):
    """Return {compiler: {program: {side: figures}}} of optimizers' steps."""
    pairs = {
        "sgd": (ja.optimizers.sgd(1e-3, momentum=0.9), optax.sgd(1e-3, 0.9)),
        "adamw": (ja.optimizers.adamw(1e-3), optax.adamw(1e-3)),
        "adafactor": (
            ja.optimizers.adafactor(1e-3),
            optax.adafactor(1e-3, min_dim_size_to_factor=1, weight_decay_rate=None),
        ),
        "accumulate": (
            ja.transforms.accumulate_gradients(ja.optimizers.adamw(1e-3), MICRO_BATCHES),
            optax.MultiSteps(optax.adamw(1e-3), MICRO_BATCHES).gradient_transformation(),
        ),
    }
    return {
        compiler: {
            name: {
                side: kept_or_measured(optimizer_step(tx, device), device, figures_of_updates)
                for side, tx in zip(SIDES, pair, strict=True)
            }
            for name, pair in pairs.items()
        }
        for compiler, device in devices.items()
    }


def optimizer_step(tx, device):
    """Return a donated step of an optimizer alone."""
    place = jax.sharding.SingleDeviceSharding(device)

    def here(leaf):
        return jax.ShapeDtypeStruct(leaf.shape, leaf.dtype, sharding=place)

    def step(params, state, grads):
        updates, state = tx.update(grads, state, params)
        return optax.apply_updates(params, updates), state

    params = [here(jax.ShapeDtypeStruct(shape, jnp.float32)) for shape in SHAPES]
    state = jax.tree.map(here, jax.eval_shape(tx.init, params))
    return jax.jit(step, donate_argnums=(0, 1)).lower(params, state, params)


def figures_of_updates(compiled):
    """Return an update's figures; its costliest branch runs once in a real step."""
    return figures(compiled, every=MICRO_BATCHES)


def checkpoints_by_compiler(devices):
    """Return {compiler: {way: figures}} of loss and gradients of a GPT of twelve blocks."""
    benchmark = benchmarks("checkpointing")
    task = benchmark.gpt(layers=12, width=256, heads=4, length=256, batch=16, vocabulary=128)

    def found(way, compiler, device):
        lowered = benchmark.lowered(task, way, device, scan_layers=True)
        return kept_or_measured(lowered, device, figures, SOONER if compiler == "tpu" else None)

    return {
        compiler: {
            name: found(way, compiler, device)
            for name, way in {"plain": None, "checkpoint": ja.memory.checkpoint}.items()
        }
        | {"offloaded": kept_or_measured(offloaded(device), device, bytes_on_host)}
        for compiler, device in devices.items()
    }


def offloaded(device):
    """Return a gradient that keeps four products of 1 MiB in the host's memory."""
    place = jax.sharding.SingleDeviceSharding(device)
    layer = ja.memory.checkpoint(
        lambda x, w: jnp.tanh(ja.functional.linear(jnp.sin(x), w)), names=["linear"], offload=True
    )

    def loss(x, weights):
        return jnp.sum(jax.lax.scan(lambda x, w: (layer(x, w), None), x, weights)[0])

    shapes = (1024, 256), (4, 256, 256)
    given = (jax.ShapeDtypeStruct(shape, jnp.float32, sharding=place) for shape in shapes)
    return jax.jit(jax.grad(loss, (0, 1))).lower(*given)


def bytes_on_host(compiled):
    """Return what a program holds in the host's memory."""
    return {"host_bytes": compiled.memory_analysis().host_temp_size_in_bytes}


def figures(compiled, every=math.inf):
    """Return a program's figures; the costliest branch counts in one run of so many."""
    found = ja.aot.report(compiled)._asdict()
    kept = {name: found[name] for name in ("temporary_bytes", "flops", "fusions")}
    return {"bytes_accessed": round(mean_bytes(compiled, every))} | kept


def mean_bytes(compiled, every):
    """Return the mean bytes of a run, of which one in ``every`` takes the costliest branch."""
    steps = benchmarks("_steps")
    usual = steps.bytes_moved(compiled)
    return usual + (steps.bytes_accessed(compiled) - usual) / every


def benchmarks(name):
    """Return a module of the benchmarks."""
    folder = str(ROOT / "examples" / "benchmarks")
    if folder not in sys.path:
        sys.path.insert(0, folder)
    return importlib.import_module(name)


MADE = {
    "steps": steps_by_compiler,
    "optimizers": optimizers_by_compiler,
    "autocast": autocast_by_compiler,
    "checkpoints": checkpoints_by_compiler,
}

if __name__ == "__main__":
    found = {"cpu": jax.devices()[0]}
    if HAS_LIBTPU:
        (found["tpu"],) = ja.aot.topology_devices("tpu:v5e:1x1")
    if sys.argv[1] == "--keep":
        for make in MADE.values():
            make(found)
        keep()
    else:
        print(json.dumps(MADE[sys.argv[1]](found)))
