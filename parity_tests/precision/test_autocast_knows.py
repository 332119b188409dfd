"""What autocast knows by name: primitives, and the composites of JAX, flax and optax."""

import functools
import inspect

import flax.linen
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from flax import nnx
from jax.extend.core import Primitive, jaxprs_in_params
from jax.interpreters import mlir

import jaxaccel as ja
from jaxaccel import _operations
from jaxaccel.precision import _autocast_control
from jaxaccel.precision import _autocast_foreign as foreign
from jaxaccel.precision._autocast_plan import plan_of
from jaxaccel.precision._autocast_primitives import PRIMITIVES, STRUCTURE
from parity_tests.harness import losses
from parity_tests.harness.errors import assert_no_faults
from parity_tests.harness.function import arrays_of, constants_of, ours_of
from parity_tests.harness.layer import channels_last, own_layer
from parity_tests.harness.optimizer import lookup
from parity_tests.registry import rows

autocast = ja.precision.autocast
X = np.linspace(-1, 1, 32, dtype=np.float32).reshape(4, 8)
LABELS = np.arange(4)
IMAGE = np.ones((2, 4, 4, 8), np.float32)


@pytest.fixture(autouse=True)
def promotion_as_users_have_it():
    with jax.numpy_dtype_promotion("standard"), jax.numpy_rank_promotion("allow"):
        yield


def programs(jaxpr):
    """Yield a program and all that it holds."""
    yield jaxpr
    for eqn in jaxpr.eqns:
        for inner in jaxprs_in_params(eqn.params):
            yield from programs(inner)


# --- primitives ---------------------------------------------------------------------------------


def functions():
    """Yield what to trace of every function and layer: the quick rows, forward and backward."""
    for case in rows():
        room = case.function.split(".")[0]
        if case.is_quick and room == "functional" and "arrays" in case.options:
            yield case.function, functools.partial(_call_of_function, case)
        elif case.is_quick and room == "functional" and "differentiated" in case.options:
            yield case.function, functools.partial(_call_of_loss, case)
        elif case.is_quick and room == "nn" and "shape" in case.options and _is_layer(case):
            yield case.function, functools.partial(_call_of_layer, case)


def _is_layer(case):
    """Return whether a row is of a layer of one input."""
    return inspect.isclass(lookup("jaxaccel", case.function)) and case.function != "nn.Bilinear"


def _call_of_function(case):
    function, kwargs = lookup("jaxaccel", case.function), dict(case.kwargs)
    kwargs |= case.options.get("own", {})
    kwargs |= {n: jnp.asarray(ours_of(case, n, v)) for n, v in constants_of(case).items()}
    arrays = {
        name: jnp.asarray(ours_of(case, name, array), jnp.float32)
        for name, array in arrays_of(case).items()
    }
    if not arrays:
        return lambda _: function(**kwargs), jnp.float32(1)
    return lambda arrays: function(**arrays, **kwargs), arrays


def _call_of_loss(case):
    function = functools.partial(lookup("jaxaccel", case.function), **case.kwargs)
    arrays, constants = losses.arguments_of(case)
    constants = {name: jnp.asarray(each) for name, each in constants.items()}
    arrays = {name: jnp.asarray(each, jnp.float32) for name, each in arrays.items()}
    return lambda arrays: function(**arrays, **constants), arrays


def _call_of_layer(case):
    layer, shape = own_layer(case, "float32"), case.options["shape"]
    x = jnp.asarray(channels_last(np.ones(shape), case), jnp.float32)
    if "integers" in case.options:
        return lambda _: _called(layer, jnp.zeros(x.shape, int)), jnp.float32(1)
    return functools.partial(_called, layer), x


def _called(layer, x):
    return nnx.clone(layer)(x)


def flax_layers():
    """Yield what to trace of flax's layers."""
    for name, (layer, x) in [*((name, each) for (_, name), each in LAYERS.items()), *OTHERS]:
        yield name, lambda layer=layer, x=x: (functools.partial(_called_fresh, layer), x)


def _called_fresh(layer, x):
    return layer()(x)


def test_every_primitive_is_known():
    """Forward and backward; one that is not in the table would run as it was traced."""
    unknown, seen = {}, set()
    for name, make in [*functions(), *flax_layers()]:
        call, arrays = make()

        def both(arrays, call=call):
            result, pullback = jax.vjp(call, arrays)
            return pullback(result)

        traced = jax.make_jaxpr(both)(arrays)
        for program in programs(traced.jaxpr):
            for eqn in program.eqns:
                seen.add(eqn.primitive.name)
                if eqn.primitive.name not in PRIMITIVES:
                    unknown.setdefault(eqn.primitive.name, name)
    assert_no_faults(unknown.items())
    assert len(seen) > 60


def test_what_holds_functions_is_transformed():
    """A name that stood in one table alone would be taken for known, and run as it was traced."""
    said = {name for name, meaning in PRIMITIVES.items() if meaning.otherwise == STRUCTURE}
    assert said == _autocast_control._STRUCTURES.keys()


def test_an_unknown_primitive_runs_as_it_was_traced_and_is_named():
    double = Primitive("double_of_mine")
    double.def_impl(lambda x: 2 * x)
    double.def_abstract_eval(lambda x: x)
    mlir.register_lowering(double, mlir.lower_fun(lambda x: 2 * x, multiple_results=False))
    f = autocast(lambda x: double.bind(x @ x.T), "tpu")
    assert jax.eval_shape(f, X).dtype == jnp.float32
    (row,) = (r for r in ja.precision.dtype_report(f, X).rows if r.operation == "double_of_mine")
    assert row.rule == "unknown primitive: as traced"
    assert row.found == "bfloat16 -> float32"


# --- composites of others -----------------------------------------------------------------------

LINEAR, NORM = "flax/nnx/nn/linear.py", "flax/nnx/nn/normalization.py"
OLD_LINEAR, OLD_NORM = "flax/linen/linear.py", "flax/linen/normalization.py"


def rngs():
    return nnx.Rngs(0)


def old(layer, x, *more):
    """Return a linen layer as a function of nothing that makes a function, and its arrays first."""

    def make():
        variables = layer.init(jax.random.key(0), x, *more)
        return lambda x: layer.apply(variables, x, *more, mutable=["batch_stats"])[0]

    return make


LAYERS = {
    (LINEAR, "LinearGeneral.__call__"): (lambda: nnx.LinearGeneral(8, (2, 3), rngs=rngs()), X),
    (LINEAR, "Linear.__call__"): (lambda: nnx.Linear(8, 3, rngs=rngs()), X),
    (LINEAR, "Einsum.__call__"): (
        lambda: nnx.Einsum("ni,ij->nj", (8, 3), (3,), rngs=rngs()),
        X,
    ),
    (LINEAR, "Conv.__call__"): (lambda: nnx.Conv(8, 3, (3, 3), rngs=rngs()), IMAGE),
    (LINEAR, "ConvTranspose.__call__"): (
        lambda: nnx.ConvTranspose(8, 3, (2, 2), rngs=rngs()),
        IMAGE,
    ),
    (NORM, "BatchNorm.__call__"): (lambda: nnx.BatchNorm(8, rngs=rngs()), X),
    (NORM, "LayerNorm.__call__"): (lambda: nnx.LayerNorm(8, rngs=rngs()), X),
    (NORM, "RMSNorm.__call__"): (lambda: nnx.RMSNorm(8, rngs=rngs()), X),
    (NORM, "GroupNorm.__call__"): (lambda: nnx.GroupNorm(8, 2, rngs=rngs()), X),
    (NORM, "InstanceNorm.__call__"): (lambda: nnx.InstanceNorm(8, rngs=rngs()), IMAGE),
    ("flax/nnx/nn/activations.py", "PReLU.__call__"): (lambda: nnx.PReLU(), X),
    (OLD_LINEAR, "DenseGeneral.__call__"): (old(flax.linen.DenseGeneral((2, 3)), X), X),
    (OLD_LINEAR, "Dense.__call__"): (old(flax.linen.Dense(3), X), X),
    (OLD_LINEAR, "Einsum.__call__"): (old(flax.linen.Einsum((8, 3), "ni,ij->nj"), X), X),
    (OLD_LINEAR, "_Conv.__call__"): (old(flax.linen.Conv(3, (3, 3)), IMAGE), IMAGE),
    (OLD_LINEAR, "ConvTranspose.__call__"): (
        old(flax.linen.ConvTranspose(3, (2, 2)), IMAGE),
        IMAGE,
    ),
    (OLD_NORM, "BatchNorm.__call__"): (old(flax.linen.BatchNorm(False), X), X),
    (OLD_NORM, "LayerNorm.__call__"): (old(flax.linen.LayerNorm(), X), X),
    (OLD_NORM, "RMSNorm.__call__"): (old(flax.linen.RMSNorm(), X), X),
    (OLD_NORM, "GroupNorm.__call__"): (old(flax.linen.GroupNorm(2), X), X),
    (OLD_NORM, "InstanceNorm.__call__"): (old(flax.linen.InstanceNorm(), IMAGE), IMAGE),
}
"""(file, function) -> what makes a layer, and its input."""

OTHERS = [
    ("Dropout", (lambda: nnx.Dropout(0.5, rngs=rngs()), X)),
    ("Embed", (lambda: lambda x: nnx.Embed(4, 8, rngs=rngs())(LABELS) * x, X)),
    ("GRUCell", (lambda: nnx.RNN(nnx.GRUCell(8, 4, rngs=rngs())), X[None])),
    ("LoRA", (lambda: nnx.LoRA(8, 2, 3, rngs=rngs()), X)),
    ("LSTMCell", (lambda: nnx.RNN(nnx.OptimizedLSTMCell(8, 4, rngs=rngs())), X[None])),
    ("MultiHeadAttention", (lambda: nnx.MultiHeadAttention(2, 8, decode=False, rngs=rngs()), X)),
    ("WeightNorm", (lambda: nnx.WeightNorm(nnx.Linear(8, 3, rngs=rngs()), rngs=rngs()), X)),
    ("avg_pool", (lambda: lambda x: nnx.avg_pool(x, (2, 2), (2, 2)), IMAGE)),
    ("max_pool", (lambda: lambda x: nnx.max_pool(x, (2, 2), (2, 2)), IMAGE)),
]
"""Layers that are not one operation of PyTorch's, or that no table names."""

SELF_ATTENTION = np.ones((2, 4, 2, 8), np.float32)
FUNCTIONS = {
    "logsumexp": (jax.nn.logsumexp, X),
    "logmeanexp": (jax.nn.logmeanexp, X),
    "norm": (jnp.linalg.norm, X),
    "matrix_norm": (jnp.linalg.matrix_norm, X),
    "vector_norm": (jnp.linalg.vector_norm, X),
    "standardize": (jax.nn.standardize, X),
    **{name: (getattr(jnp, name), X) for name in ("mean", "var", "std", "nanmean", "trace")},
    "pinv": (jnp.linalg.pinv, X),
    "lstsq": (lambda x: jnp.linalg.lstsq(x, x[:, 0])[0], X),
    "average": (lambda x: jnp.average(x, weights=x), X),
    "jax.dot_product_attention": (
        lambda x: jax.nn.dot_product_attention(x, x, x),
        SELF_ATTENTION,
    ),
    "nnx.dot_product_attention": (
        lambda x: nnx.dot_product_attention(x, x, x),
        SELF_ATTENTION,
    ),
    "linen.dot_product_attention": (
        lambda x: flax.linen.dot_product_attention(x, x, x),
        SELF_ATTENTION,
    ),
    "softmax_cross_entropy_with_integer_labels": (
        lambda x: optax.softmax_cross_entropy_with_integer_labels(x, LABELS),
        X,
    ),
    "poly_loss_cross_entropy": (lambda x: optax.losses.poly_loss_cross_entropy(x, x), X),
    "kl_divergence_with_log_targets": (
        lambda x: optax.losses.kl_divergence_with_log_targets(x, x),
        X,
    ),
    "ctc_loss": (lambda x: optax.ctc_loss(x[None], X[None, :, 0], LABELS[None], 0 * X[:1, :4]), X),
    "ctc_loss_with_forward_probs": (
        lambda x: optax.losses.ctc_loss_with_forward_probs(
            x[None], X[None, :, 0], LABELS[None], 0 * X[:1, :4]
        )[0],
        X,
    ),
    "ntxent": (lambda x: optax.losses.ntxent(x, LABELS), X),
    "triplet_margin_loss": (lambda x: optax.losses.triplet_margin_loss(x, x, x), X),
    "log_cosh": (lambda x: optax.losses.log_cosh(x), X),
    "squared_error": (lambda x: optax.losses.squared_error(x), X),
    "l2_loss": (lambda x: optax.losses.l2_loss(x), X),
    "huber_loss": (lambda x: optax.losses.huber_loss(x), X),
}
"""Function -> a call, and its input; others are found by name, and take one array or two."""


def sample(file, name):
    """Return a call of a composite, and its input."""
    if (file, name) in LAYERS:
        layer, x = LAYERS[file, name]
        return functools.partial(_called_fresh, layer), x
    package = {"jax": "jax", "nnx": "nnx", "linen": "linen"}
    where = next((p for p in package if f"/{p}/" in f"/{file}"), "")
    where = "nnx" if "/nnx/" in file else where
    if (found := FUNCTIONS.get(name) or FUNCTIONS.get(f"{where}.{name}")) is not None:
        return found
    function = getattr(jax.nn, name, None) or getattr(optax.losses, name)
    needed = [p for p in inspect.signature(function).parameters.values() if p.default is p.empty]
    return lambda x: function(*[x] * len(needed)), X


ENTRIES = {
    entry: composite
    for versions in foreign.FOREIGN.values()
    for table in versions.values()
    for entry, composite in table.items()
}


def composites(call, x):
    """Return the composites that are recognised in a call, and what is left outside of them."""
    traced = jax.make_jaxpr(call)(x)
    steps = [step for each in programs(traced.jaxpr) for step in plan_of(each, True)]
    return {step.composite for step in steps if step.composite is not None}


def test_every_composite_of_others_is_still_recognised():
    """Private files move: a table that nothing hits would say nothing."""
    faults = []
    for (file, name), composite in ENTRIES.items():
        call, x = sample(file, name)
        if composite not in composites(call, x):
            faults.append((file, name))
    assert_no_faults(faults)


@pytest.mark.parametrize("device", ["cpu", "cuda"])
def test_composites_have_the_dtype_of_pytorchs_operation(device):
    """On bfloat16: in float32 where the lists have it, in its own where they do not."""
    faults = []
    for (file, name), composite in ENTRIES.items():
        call, x = sample(file, name)
        half = autocast(
            lambda x, call=call: call(ja.precision.to(x, jnp.bfloat16)), device, jnp.bfloat16
        )
        found = jax.tree.leaves(jax.eval_shape(half, x))[0].dtype
        named = foreign_class(device, composite.operation)
        expected = jnp.float32 if named.startswith("float32") else jnp.bfloat16
        if found != expected and not name.startswith("ctc"):  # in x64 optax's own is in float64
            faults.append((name, f"{found} for {composite.operation}, which is {named}"))
    assert_no_faults(faults)


def foreign_class(device, operation):
    from jaxaccel.precision._autocast_ops import cast_class

    return cast_class(device, operation) or "keep"


def test_a_function_of_the_users_that_is_called_log_softmax_is_not_jaxs():
    @jax.jit
    def log_softmax(x):
        return x * 2

    assert not composites(log_softmax, X)
    f = autocast(lambda x: log_softmax(x @ x.T), "cuda")
    assert jax.eval_shape(f, X).dtype == jnp.float16
    assert composites(jax.nn.log_softmax, X)


def test_frames_of_whoever_traced_first_say_nothing():
    """What flax's layer norm traced first is compiled once, and belongs to every later caller."""
    helper = jax.jit(lambda x: x * 2)

    norm = nnx.LayerNorm(8, rngs=rngs(), promote_dtype=lambda x, **_: (helper(x[0]), *x[1:]))
    jax.make_jaxpr(lambda x: norm(x))(X)
    assert not composites(helper, X)
    assert not composites(lambda x: helper(x) + 1, X)


def test_marks_are_seen_in_every_form():
    """By what its pieces would not do: on the CPU a loss is in float32, and of half precision."""

    def loss(row):
        half = row @ np.eye(8, dtype=np.float32)
        return ja.functional.mse_loss(half, -half)

    def norm(row):
        return ja.functional.layer_norm(100 + row @ np.eye(8, dtype=np.float32), (8,))

    forms = {
        "plain": lambda f, x: jnp.stack([f(row) for row in x]),
        "vmap": lambda f, x: jax.vmap(f)(x),
        "vmap of vmap": lambda f, x: jax.vmap(jax.vmap(f))(x[None])[0],
        "scan": lambda f, x: jax.lax.scan(lambda c, row: (c, f(row)), 0, x)[1],
        "remat of vmap": lambda f, x: jax.checkpoint(jax.vmap(f))(x),
        "jit of vmap": lambda f, x: jax.jit(jax.vmap(f))(x),
    }
    for name, form in forms.items():
        of_loss, of_norm = (autocast(functools.partial(form, f), "cpu") for f in (loss, norm))
        assert jax.eval_shape(of_loss, X).dtype == jnp.float32, name
        assert jax.eval_shape(of_norm, X).dtype == jnp.bfloat16, name
    assert not _operations.in_region()
