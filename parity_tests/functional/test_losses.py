"""Losses against ``torch.nn.functional``: values, gradients, kinks, infinities, dtypes, errors."""

import functools
import inspect
import warnings

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
import torch
import torch.nn.functional as F

import jaxaccel as ja
from parity_tests import tolerances as tol
from parity_tests.functional.rows_losses import CASES, CLASSES
from parity_tests.harness.compare import assert_close
from parity_tests.harness.compiled import FAST_COMPILE
from parity_tests.harness.optimizer import lookup, oracle_of

pytestmark = [
    pytest.mark.filterwarnings("ignore:reduction. 'mean' divides the total loss:UserWarning"),
    pytest.mark.filterwarnings("ignore:Using a target size:UserWarning"),
]
"""PyTorch's warnings; what ours say has a test of its own."""

OF_MAX = {"float64": tol.LAYER_FLOAT64_OF_MAX, "float32": tol.LAYER_FLOAT32_OF_MAX}


def indices(rng, case):
    """Return indices of classes, some of them ignored."""
    n, *rest = case.options["shape"]
    classes, shape = (rest[0], (n, *rest[1:])) if rest else (n, ())
    found = np.asarray(rng.integers(0, classes, shape))
    found.reshape(-1)[list(case.options["ignored"])] = case.kwargs.get("ignore_index", -100)
    return found


def probabilities(rng, case):
    """Return numbers in (0, 1)."""
    return rng.uniform(0.05, 0.95, case.options.get("target_shape", case.options["shape"]))


TARGETS = {
    "indices": indices,
    "probabilities": probabilities,
    "log-probabilities": lambda rng, case: np.log(probabilities(rng, case)),
    "like": lambda rng, case: rng.normal(
        size=case.options.get("target_shape", case.options["shape"])
    ),
}


def arrays_of(case, seed=0):
    """Return the arrays of a row by name, in PyTorch's layout."""
    rng = np.random.default_rng(seed)
    options = case.options
    if "values" in options:
        return {name: np.array(value) for name, value in options["values"].items()}
    arrays = {"input": 2 * rng.normal(size=options["shape"])}
    arrays["target"] = TARGETS[options["target"]](rng, case)
    for name in ("weight", "pos_weight"):
        if name in options:
            arrays[name] = rng.uniform(0.5, 2.0, options[name])
    return {name: np.asarray(array) for name, array in arrays.items()}


def is_floating(array):
    return np.issubdtype(array.dtype, np.floating)


def as_dtype(arrays, dtype):
    """Return PyTorch's tensors with their numbers, but not their indices, rounded to a dtype."""
    return {
        name: torch.tensor(array).to(dtype) if is_floating(array) else torch.tensor(array)
        for name, array in arrays.items()
    }


def run_torch(function, case, tensors, cotangent=None, **kwargs):
    """Return a function's output and gradients, and the cotangent, which is drawn if not given."""
    tensors = {name: tensor.clone() for name, tensor in tensors.items()}
    for name in case.options["differentiable"]:
        tensors[name].requires_grad_()
    output = function(**tensors, **case.kwargs, **kwargs)
    if cotangent is None:
        drawn = np.asarray(np.random.default_rng(1).normal(size=tuple(output.shape)))
        cotangent = torch.tensor(drawn).to(output.dtype)
    output.backward(cotangent.to(output.dtype))
    found = {"output": output.detach()}
    found |= {name: tensors[name].grad for name in case.options["differentiable"]}
    return found, cotangent


def run_jax(case, tensors, cotangent, **kwargs):
    """Return jaxaccel's output and gradients, for the same numbers in the same dtypes."""
    arrays = {
        name: jnp.asarray(tensor.double().numpy(), str(tensor.dtype).removeprefix("torch."))
        for name, tensor in tensors.items()
    }
    differentiated = {name: arrays.pop(name) for name in case.options["differentiable"]}
    function = functools.partial(lookup("jaxaccel", case.function), **case.kwargs, **kwargs)

    @functools.partial(jax.jit, compiler_options=FAST_COMPILE)
    def run(differentiated, arrays, cotangent):
        output, pullback = jax.vjp(lambda d: function(**d, **arrays), differentiated)
        return {"output": output, **pullback(cotangent.astype(output.dtype))[0]}

    return run(differentiated, arrays, jnp.asarray(cotangent.double().numpy()))


def assert_all_close(found, expected, of_max):
    """Assert equal infinities and nans, and an error of a share of the largest number, or of 1."""
    assert found.keys() == expected.keys()
    for name, tensor in expected.items():
        assert_close(found[name], tensor, of_max, 1.0, name, special=True)


def with_classes_last(case, arrays):
    """Return the arrays of a row with the axis of classes at the end."""
    shape = arrays["input"].shape
    return {
        name: array.movedim(1, -1) if array.shape == shape and len(shape) > 1 else array
        for name, array in arrays.items()
    }


def with_classes_first(found, shape):
    """Undo :func:`with_classes_last` for the gradients."""
    return {
        name: np.moveaxis(array, -1, 1) if name in ("input", "target") and len(shape) > 1 else array
        for name, array in found.items()
    }


@pytest.mark.parity
@pytest.mark.parametrize("case", CASES, ids=lambda case: case.id)
def test_float64_equals_pytorch(case):
    tensors = as_dtype(arrays_of(case), torch.float64)
    expected, cotangent = run_torch(oracle_of(case), case, tensors)
    extra = {"class_axis": 1} if "classes" in case.options else {}
    found = run_jax(case, tensors, cotangent, **extra)
    assert all(array.dtype == jnp.float64 for array in found.values())
    assert_all_close(found, expected, OF_MAX["float64"])


def test_numpy_arrays_are_taken():
    """Arrays that are not traced, as in an eager call or closed over: traced only, not compiled."""
    for case in CASES:
        arrays = {name: np.asarray(array) for name, array in arrays_of(case).items()}
        extra = {"class_axis": 1} if "classes" in case.options else {}
        call = functools.partial(lookup("jaxaccel", case.function), **arrays, **case.kwargs)
        assert jax.eval_shape(functools.partial(call, **extra)).dtype == jnp.float64, case.id


@pytest.mark.parametrize(
    "case", [c for c in CLASSES if len(c.options["shape"]) > 2], ids=lambda case: case.id
)
def test_classes_are_last_by_default(case):
    tensors = as_dtype(arrays_of(case), torch.float64)
    expected, cotangent = run_torch(oracle_of(case), case, tensors)
    found = run_jax(case, with_classes_last(case, tensors), cotangent)
    assert_all_close(with_classes_first(found, tensors["input"].shape), expected, OF_MAX["float64"])


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.id)
def test_torch_ref_equals_pytorch(case):
    tensors = as_dtype(arrays_of(case), torch.float64)
    expected, cotangent = run_torch(oracle_of(case), case, tensors)
    extra = {"class_axis": 1} if "classes" in case.options else {}
    found, _ = run_torch(lookup("torch_ref", case.function), case, tensors, cotangent, **extra)
    assert_all_close(found, expected, OF_MAX["float64"])


LOW_ROWS = [
    case
    for case in CASES
    if case.why in ("defaults", "none", "smooth weight ignored", "probabilities smooth weight")
    or case.why in ("both weights", "log target", "weight")
]


@pytest.mark.parametrize("case", LOW_ROWS, ids=lambda case: case.id)
def test_float32_equals_pytorch(case):
    tensors = as_dtype(arrays_of(case), torch.float32)
    exact = {n: t.double() if t.is_floating_point() else t for n, t in tensors.items()}
    expected, cotangent = run_torch(oracle_of(case), case, exact)
    extra = {"class_axis": 1} if "classes" in case.options else {}
    found = run_jax(case, tensors, cotangent, **extra)
    assert all(array.dtype == jnp.float32 for array in found.values())
    assert_all_close(found, expected, OF_MAX["float32"])


@pytest.mark.parametrize("dtype", ["bfloat16", "float16"])
@pytest.mark.parametrize("case", LOW_ROWS, ids=lambda case: case.id)
def test_half_precision_is_rounded_once(case, dtype):
    """In PyTorch's dtypes, and the numbers of that dtype that are nearest to the truth."""
    tensors = as_dtype(arrays_of(case), getattr(torch, dtype))
    exact = {n: t.double() if t.is_floating_point() else t for n, t in tensors.items()}
    theirs, _ = run_torch(oracle_of(case), case, tensors)
    expected, cotangent = run_torch(oracle_of(case), case, exact)
    cotangent = cotangent.to(getattr(torch, dtype)).double()
    expected, _ = run_torch(oracle_of(case), case, exact, cotangent)
    extra = {"class_axis": 1} if "classes" in case.options else {}
    found = run_jax(case, tensors, cotangent, **extra)
    for name, array in found.items():
        assert str(theirs[name].dtype) == f"torch.{array.dtype}"
        truth = expected[name].numpy()
        rounding = float(jnp.finfo(dtype).eps) / 2 * np.abs(truth)
        inside = tol.LAYER_FLOAT32_OF_MAX * np.max(np.abs(truth))
        assert (np.abs(np.asarray(array, np.float64) - truth) <= rounding + inside).all(), name


@pytest.mark.parametrize(
    ("name", "input", "target"),
    [
        (name, *dtypes)
        for name in ("mse_loss", "l1_loss", "huber_loss", "smooth_l1_loss")
        for dtypes in [
            ("float32", "float64"),
            ("bfloat16", "float32"),
            ("float16", "bfloat16"),
            ("float32", "int64"),
            ("float64", "float32"),
        ]
    ]
    + [("kl_div", "float32", "float64"), ("kl_div", "float16", "bfloat16")],
)
def test_dtype_of_mixed_arguments_is_pytorchs(name, input, target):
    x, y = (torch.ones(3).to(getattr(torch, dtype)) for dtype in (input, target))
    theirs = getattr(F, name)(x, y, reduction="sum")
    for package, ours in (
        ("torch_ref", (x, y)),
        ("jaxaccel", (jnp.ones(3, input), jnp.ones(3, target))),
    ):
        found = lookup(package, f"functional.{name}")(*ours, reduction="sum")
        assert str(found.dtype).removeprefix("torch.") == str(theirs.dtype).removeprefix("torch.")
        assert float(found) == float(theirs)


@pytest.mark.parametrize("target", ["uint8", "int8", "int32", "int64", "uint32"])
@pytest.mark.parametrize("ignore_index", [-100, 3])
def test_indices_of_any_integer_type(target, ignore_index):
    x = np.random.default_rng(0).normal(size=(4, 5))
    y = np.array([0, 4, 3, 2])
    theirs = F.cross_entropy(torch.tensor(x), torch.tensor(y), ignore_index=ignore_index)
    found = ja.functional.cross_entropy(
        jnp.asarray(x), jnp.asarray(y, target), ignore_index=ignore_index
    )
    assert_all_close({"output": found}, {"output": theirs}, OF_MAX["float64"])


def test_float32_weights_serve_half_precision():
    x, y, w = np.arange(6.0).reshape(2, 3), np.array([0, 2]), np.array([1.0, 2.0, 3.0])
    theirs = F.cross_entropy(torch.tensor(x), torch.tensor(y), torch.tensor(w))
    found = ja.functional.cross_entropy(
        jnp.asarray(x, jnp.bfloat16), jnp.asarray(y), jnp.asarray(w, jnp.float32)
    )
    assert found.dtype == jnp.bfloat16
    assert_all_close({"output": found}, {"output": theirs}, tol.LAYER_BFLOAT16_OF_MAX)


@pytest.mark.parametrize("target", [5, -1, -99, 1000])
@pytest.mark.parametrize("label_smoothing", [0.0, 0.1])
def test_targets_out_of_bounds(target, label_smoothing):
    """An error where they are known, as in PyTorch; nan in a compiled program."""
    x, y = np.zeros((3, 5)), np.array([0, target, -100])
    kwargs = {"label_smoothing": label_smoothing}
    with pytest.raises(IndexError) as expected:
        F.cross_entropy(torch.tensor(x), torch.tensor(y), **kwargs)
    arrays = jnp.asarray(x), jnp.asarray(y)
    for call in (
        lambda: ja.functional.cross_entropy(*arrays, **kwargs),
        lambda: jax.grad(lambda x: ja.functional.cross_entropy(x, arrays[1], **kwargs))(arrays[0]),
    ):
        with pytest.raises(IndexError) as found:
            call()
        assert str(found.value) == str(expected.value)
    for reduction, expected in (("none", [False, True, False]), ("mean", True), ("sum", True)):
        compiled = jax.jit(
            functools.partial(ja.functional.cross_entropy, reduction=reduction, **kwargs)
        )
        assert np.array_equal(np.isnan(compiled(*arrays)), expected)


def test_no_gradient_where_all_targets_are_ignored():
    """The mean is nan, 0 / 0; the gradient is 0, and so the step does no harm."""
    x, y = jnp.ones((2, 3)), jnp.full(2, -100)
    value, gradient = jax.value_and_grad(ja.functional.cross_entropy)(x, y)
    assert np.isnan(value)
    assert not gradient.any()


def test_cross_entropy_passes_over_the_logits_less_often_than_optaxs():
    """Value and gradient; and nothing of the logits' size is held beside them."""

    def by_optax(logits, labels):
        losses = optax.softmax_cross_entropy_with_integer_labels(logits, labels)
        return jnp.mean(losses)

    logits, labels = jnp.zeros((64, 1000), jnp.float32), jnp.zeros(64, jnp.int32)
    moved, held = [], []
    with jax.numpy_dtype_promotion("standard"):
        for function in (ja.functional.cross_entropy, by_optax):
            program = jax.jit(jax.value_and_grad(function)).lower(logits, labels).compile()
            moved.append(program.cost_analysis()["bytes accessed"] / logits.nbytes)
            held.append(program.memory_analysis().temp_size_in_bytes / logits.nbytes)
    assert moved[0] < min(moved[1], 7.5)
    assert held[0] < 0.05


def test_losses_under_vmap_and_with_sharded_batches():
    rng = np.random.default_rng(0)
    x, y = jnp.asarray(rng.normal(size=(8, 6, 5))), jnp.asarray(rng.integers(0, 5, (8, 6)))
    expected = F.cross_entropy(
        torch.tensor(np.asarray(x)).movedim(-1, 1), torch.tensor(np.asarray(y)), reduction="none"
    )
    loss = functools.partial(ja.functional.cross_entropy, reduction="none")
    mesh = jax.make_mesh((8,), ("data",), axis_types=(jax.sharding.AxisType.Auto,))
    sharding = jax.sharding.NamedSharding(mesh, jax.sharding.PartitionSpec("data"))
    for found in (
        jax.vmap(loss)(x, y),
        jax.jit(loss)(*jax.device_put((x, y), sharding)),
        loss(*jax.device_put((x, y), sharding)),
    ):
        assert_all_close({"output": found}, {"output": expected}, OF_MAX["float64"])


@pytest.mark.parametrize("name", ["cross_entropy", "nll_loss"])
def test_classes_on_several_devices(name):
    """On a mesh whose axes are part of the types, values and gradients are those of one device."""
    rng = np.random.default_rng(0)
    x = jnp.asarray(rng.normal(size=(4, 6, 8)))
    y = jnp.asarray(rng.integers(0, 8, (4, 6))).at[0, 0].set(-100)
    weight = jnp.asarray(rng.uniform(0.5, 2, 8))
    loss = functools.partial(getattr(ja.functional, name))

    def mean(x, y, weight):
        return loss(x, y, weight)

    expected = jax.value_and_grad(mean)(x, y, weight)
    mesh = jax.make_mesh(
        (2, 4), ("data", "model"), axis_types=(jax.sharding.AxisType.Explicit,) * 2
    )
    spec = jax.sharding.PartitionSpec
    with jax.set_mesh(mesh):
        given = jax.device_put((x, y, weight), (spec("data", None, "model"), spec("data"), spec()))
        found = jax.jit(jax.value_and_grad(mean))(*given)
        assert jax.typeof(found[1]).sharding.spec == spec("data", None, "model")
    assert_all_close(
        dict(zip(("loss", "grad"), found, strict=True)),
        dict(zip(("loss", "grad"), expected, strict=True)),
        OF_MAX["float64"],
    )


# --- warnings and errors ------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["mse_loss", "l1_loss", "huber_loss", "smooth_l1_loss"])
def test_broadcasting_warns_as_in_pytorch(name):
    with warnings.catch_warnings(record=True) as expected:
        warnings.simplefilter("always")
        getattr(F, name)(torch.ones(3, 1), torch.ones(3))
    column, row, function = jnp.ones((3, 1)), jnp.ones(3), lookup("jaxaccel", f"functional.{name}")
    with warnings.catch_warnings(record=True) as found:
        warnings.simplefilter("always")
        function(column, row)
        function(row, row)
    assert [w.category for w in found] == [UserWarning]
    text = str(expected[0].message).replace("torch.Size([3])", "(3,)")
    assert str(found[0].message) == text.replace("torch.Size([3, 1])", "(3, 1)")
    assert found[0].filename == __file__


def ones(*shape):
    return np.ones(shape)


@pytest.mark.parametrize(
    ("why", "name", "arrays", "kwargs"),
    [
        ("reduction", "cross_entropy", (ones(2, 3), np.array([0, 1])), {"reduction": "avg"}),
        ("batch", "cross_entropy", (ones(2, 3), np.array([0])), {}),
        ("a number", "cross_entropy", (ones(2, 3), np.array(0)), {}),
        ("target size", "cross_entropy", (ones(2, 3, 4), np.zeros((2, 3), int)), {}),
        ("no axis for positions", "cross_entropy", (ones(2, 3, 4), np.zeros(2, int)), {}),
        ("more axes", "cross_entropy", (ones(2, 3, 4), np.zeros((2, 2, 2, 2), int)), {}),
        ("volumes", "nll_loss", (ones(2, 3, 4, 2, 2), np.zeros((2, 3, 2, 2), int)), {}),
        ("one vector", "cross_entropy", (ones(3), np.array([0, 1])), {}),
        ("no axes", "nll_loss", (ones(), np.array(0)), {}),
        ("weight", "cross_entropy", (ones(2, 3), np.array([0, 1]), ones(4)), {}),
        ("weight of rows", "nll_loss", (ones(2, 3), np.array([0, 1]), ones(2, 3)), {}),
        ("whole probabilities", "cross_entropy", (ones(2, 3), np.ones((2, 3), int)), {}),
        ("ignored", "cross_entropy", (ones(2, 3), ones(2, 3)), {"ignore_index": 0}),
        ("smooth", "cross_entropy", (ones(2, 3), ones(2, 3)), {"label_smoothing": 1.5}),
        ("smooth", "cross_entropy", (ones(2, 3), np.array([0, 1])), {"label_smoothing": 1.5}),
        ("reduction", "mse_loss", (ones(2), ones(2)), {"reduction": "batchmean"}),
        ("weight", "mse_loss", (ones(2, 3), ones(2, 3)), {"weight": ones(3)}),
        ("weight", "l1_loss", (ones(2, 3), ones(2, 3)), {"weight": ones(3)}),
        ("weight", "huber_loss", (ones(2, 3), ones(2, 3)), {"weight": ones(3)}),
        ("reduction", "l1_loss", (ones(2), ones(2)), {"reduction": "x"}),
        ("reduction", "smooth_l1_loss", (ones(2), ones(2)), {"reduction": "x"}),
        ("reduction", "huber_loss", (ones(2), ones(2)), {"reduction": "x"}),
        ("reduction", "kl_div", (ones(2), ones(2)), {"reduction": "x"}),
        ("reduction", "binary_cross_entropy_with_logits", (ones(2), ones(2)), {"reduction": "x"}),
        ("beta", "smooth_l1_loss", (ones(2), ones(2)), {"beta": -1.0}),
        ("delta zero", "huber_loss", (ones(2), ones(2)), {"delta": 0.0}),
        ("delta negative", "huber_loss", (ones(2), ones(2)), {"delta": -1.0}),
        ("target", "binary_cross_entropy_with_logits", (ones(2, 3), ones(3)), {}),
    ],
)  # fmt: skip
def test_errors_have_pytorchs_text(why, name, arrays, kwargs):
    def call(function, convert):
        given = {k: convert(v) if isinstance(v, np.ndarray) else v for k, v in kwargs.items()}
        if "class_axis" in inspect.signature(function).parameters:
            given["class_axis"] = 1
        return function(*map(convert, arrays), **given)

    with pytest.raises((ValueError, RuntimeError)) as expected:
        call(getattr(F, name), torch.tensor)
    text = str(expected.value).splitlines()[0]
    for size in ("[2, 3]", "[3]"):
        text = text.replace(f"torch.Size({size})", str(tuple(eval(size))))
    text = text.replace(", got Long", ", got ")
    with pytest.raises((ValueError, TypeError)) as found:
        call(lookup("jaxaccel", f"functional.{name}"), jnp.asarray)
    assert str(found.value).startswith(text)


@pytest.mark.parametrize(
    ("why", "call", "text"),
    [
        (
            "two axes of indices",
            lambda L, array: L.cross_entropy(array(ones(3, 5)), array(np.zeros((3, 3), int))),
            r"Expected target size \[3\], got \[3, 3\]",
        ),
        (
            "numbers for indices",
            lambda L, array: L.cross_entropy(array(ones(3, 5)), array(ones(3))),
            "expected target dtype to be an integer, but got .*float64",
        ),
        (
            "smoothing below 0",
            lambda L, array: L.cross_entropy(
                array(ones(1, 5)), array(np.array([0])), label_smoothing=-0.1
            ),
            r"between 0.0 and 1.0. Got: -0.1",
        ),
        (
            "weight in another dtype",
            lambda L, array: L.nll_loss(
                array(ones(1, 2)), array(np.array([0])), array(np.ones(2, np.float32))
            ),
            "expected weight of dtype .*float64 but found .*float32",
        ),
        (
            "integers",
            lambda L, array: L.mse_loss(array(np.ones(2, int)), array(ones(2))),
            "expected a floating point input",
        ),
        (
            "integer logits",
            lambda L, array: L.cross_entropy(array(np.ones((2, 2), int)), array(np.array([0, 1]))),
            "expected a floating point input",
        ),
    ],
)
def test_other_errors(why, call, text):
    with pytest.raises((ValueError, TypeError), match=text):
        call(ja.functional, jnp.asarray)


@pytest.mark.parametrize("weights", [{"weight": (4,)}, {"pos_weight": (4,)}, {"weight": (2, 3, 5)}])
def test_weights_that_do_not_broadcast_raise(weights):
    x = ones(3, 5)
    for losses, convert in ((F, torch.tensor), (ja.functional, jnp.asarray)):
        given = {name: convert(ones(*shape)) for name, shape in weights.items()}
        with pytest.raises((ValueError, RuntimeError)):
            losses.binary_cross_entropy_with_logits(convert(x), convert(x), **given)
