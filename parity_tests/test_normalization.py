"""Normalization against ``torch.nn.functional``: values, gradients, running statistics."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import torch
import torch.nn.functional as F
from jax.sharding import PartitionSpec as P

import jaxaccel as ja
import torch_ref.normalization as ref
from parity_tests import tolerances as tol
from parity_tests.cases.normalization import BATCH_NORM, CASES, LAYER_NORM
from parity_tests.harness import lookup, oracle_of

FAST_COMPILE = {"xla_backend_optimization_level": 0}
"""Compiling is what takes the time here, and the formulas do not change."""

STATISTICS = ("running_mean", "running_var")
GRADIENTS = ("input", "weight", "bias")
OF_MAX = {"float64": tol.LAYER_FLOAT64_OF_MAX, "float32": tol.LAYER_FLOAT32_OF_MAX}

batch_rows = pytest.mark.parametrize("case", BATCH_NORM, ids=lambda case: case.id)
layer_rows = pytest.mark.parametrize("case", LAYER_NORM, ids=lambda case: case.id)


def arrays_of(case, seed=0, dtype="float64"):
    """Return the tensors of a row and the gradient of its output, in PyTorch's layout."""
    rng = np.random.default_rng(seed)
    shape = case.options["shape"]
    of_parameter = case.kwargs.get("normalized_shape", shape[1:2])
    arrays = {
        "input": rng.normal(1.0, 2.0, shape),
        "weight": rng.normal(size=of_parameter),
        "bias": rng.normal(size=of_parameter),
        "running_mean": rng.normal(size=of_parameter),
        "running_var": rng.uniform(0.5, 2.0, of_parameter),
        "cotangent": rng.normal(size=shape),
    }
    if case.function.endswith("layer_norm"):
        del arrays["running_mean"], arrays["running_var"]
    arrays = {name: array.astype(dtype) for name, array in arrays.items()}
    return arrays | dict.fromkeys(case.options["without"])


def in_float64(arrays):
    """Return the same numbers in double precision, in which the judge runs."""
    return {n: None if a is None else a.astype(np.float64) for n, a in arrays.items()}


def largest(array):
    return np.max(np.abs(array), initial=0.0)


def assert_close(found, expected, of_max, scale=None):
    """Assert that the error is at most a share of the largest magnitude."""
    found, expected = np.asarray(found, np.float64), np.asarray(expected, np.float64)
    assert found.shape == expected.shape
    error, allowed = largest(found - expected), of_max * (scale or largest(expected))
    assert error <= allowed, f"{error:.2e} > {allowed:.2e}"


def run_torch(case, arrays):
    """Return PyTorch's output, gradients and running statistics."""
    tensors = {n: None if a is None else torch.tensor(a) for n, a in arrays.items()}
    cotangent = tensors.pop("cotangent")
    for name in GRADIENTS:
        if tensors[name] is not None:
            tensors[name].requires_grad_()
    output = oracle_of(case)(**tensors, **case.kwargs)
    output.backward(cotangent)
    result = {"output": output.detach().numpy()}
    for name, tensor in tensors.items():
        if tensor is not None:
            result[name] = (tensor if name in STATISTICS else tensor.grad).numpy()
    return result


def run_jax(case, arrays, channel_axis=None):
    """Return jaxaccel's, with the input's channels moved where asked."""
    arrays = {n: None if a is None else jnp.asarray(a) for n, a in arrays.items()}
    cotangent = arrays.pop("cotangent")
    extra = {}
    if channel_axis is not None:
        extra["channel_axis"] = channel_axis
        cotangent = jnp.moveaxis(cotangent, 1, channel_axis)
        arrays["input"] = jnp.moveaxis(arrays["input"], 1, channel_axis)
    statistics = {n: arrays.pop(n) for n in STATISTICS if n in arrays}

    @functools.partial(jax.jit, compiler_options=FAST_COMPILE)
    def run(differentiated, statistics, cotangent):
        def call(differentiated):
            result = lookup("jaxaccel", case.function)(
                **differentiated, **statistics, **case.kwargs, **extra
            )
            return (result[0], result[1:]) if statistics else (result, ())

        output, pullback, moved = jax.vjp(call, differentiated, has_aux=True)
        return output, pullback(cotangent)[0], dict(zip(statistics, moved, strict=True))

    output, gradients, statistics = run(arrays, statistics, cotangent)
    result = {"output": output, **gradients, **statistics}
    if channel_axis is not None:
        for name in ("output", "input"):
            result[name] = jnp.moveaxis(result[name], channel_axis, 1)
    return {n: np.asarray(a) for n, a in result.items() if a is not None}


@pytest.mark.parametrize(
    ("channel_axis", "dtype"), [(-1, "float64"), (1, "float64"), (-1, "float32")]
)
@batch_rows
def test_batch_norm_equals_pytorch(case, channel_axis, dtype):
    arrays = arrays_of(case, dtype=dtype)
    expected = run_torch(case, in_float64(arrays))
    found = run_jax(case, arrays, channel_axis)
    assert found.keys() == expected.keys()
    for name, array in expected.items():
        assert found[name].dtype == dtype
        # The gradient of two values per channel is a difference that nearly cancels.
        scale = max(largest(array), largest(arrays["cotangent"]))
        assert_close(found[name], array, OF_MAX[dtype], scale)


@pytest.mark.parametrize("dtype", ["float64", "float32"])
@layer_rows
def test_layer_norm_equals_pytorch(case, dtype):
    arrays = arrays_of(case, dtype=dtype)
    expected, found = run_torch(case, in_float64(arrays)), run_jax(case, arrays)
    assert found.keys() == expected.keys()
    for name, array in expected.items():
        assert found[name].dtype == dtype
        scale = max(largest(array), largest(arrays["cotangent"]))
        assert_close(found[name], array, OF_MAX[dtype], scale)


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.id)
def test_torch_ref_equals_pytorch(case):
    arrays = arrays_of(case)
    expected = run_torch(case, arrays)
    tensors = {n: None if a is None else torch.tensor(a) for n, a in arrays.items()}
    cotangent = tensors.pop("cotangent")
    for name in GRADIENTS:
        if tensors[name] is not None:
            tensors[name].requires_grad_()
    extra = {"channel_axis": 1} if case.function.endswith("batch_norm") else {}
    result = lookup("torch_ref", case.function)(**tensors, **case.kwargs, **extra)
    output = result.output if extra else result
    output.backward(cotangent)
    found = {"output": output.detach()}
    for name in GRADIENTS:
        if tensors[name] is not None:
            found[name] = tensors[name].grad
    for name in STATISTICS:
        if tensors.get(name) is not None:
            found[name] = getattr(result, name)
            assert not found[name].requires_grad
    for name, array in expected.items():
        scale = max(largest(array), largest(arrays["cotangent"]))
        assert_close(found[name], array, tol.LAYER_FLOAT64_OF_MAX, scale)


@pytest.mark.parametrize("momentum", [0.1, None])
@pytest.mark.parametrize("dtype", ["float64", "float32", "bfloat16"])
def test_twenty_steps_of_running_statistics(momentum, dtype):
    """Each step from its own statistics; None is the layer's cumulative average, 1 / n."""
    rng = np.random.default_rng(3)
    torch_dtype = getattr(torch, dtype)
    theirs = {"running_mean": torch.zeros(5), "running_var": torch.ones(5)}
    if dtype == "float64":
        theirs = {n: t.double() for n, t in theirs.items()}
    ours = {n: jnp.asarray(t.numpy()) for n, t in theirs.items()}
    of_max = OF_MAX.get(dtype, tol.LAYER_FLOAT32_OF_MAX)
    step = jax.jit(functools.partial(ja.normalization.batch_norm, training=True))
    for t in range(20):
        m = 1 / (t + 1) if momentum is None else momentum
        x = torch.tensor(rng.normal(t, 1 + t, (8, 5, 3, 3))).to(torch_dtype)
        output = F.batch_norm(x, *theirs.values(), training=True, momentum=m)
        channels_last = jnp.asarray(x.double().permute(0, 2, 3, 1).numpy(), dtype)
        traced = jnp.asarray(m, ours["running_mean"].dtype)
        result = step(channels_last, *ours.values(), momentum=traced)
        ours = {n: getattr(result, n) for n in STATISTICS}
        for name in STATISTICS:
            assert ours[name].dtype == theirs[name].numpy().dtype
            assert_close(ours[name], theirs[name], of_max)
        found = np.moveaxis(np.asarray(result.output, np.float64), -1, 1)
        of_output = tol.LAYER_BFLOAT16_OF_MAX if dtype == "bfloat16" else of_max
        assert_close(found, output.double(), of_output)


@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize("dtype", ["bfloat16", "float16"])
def test_half_precision_is_rounded_once(dtype, training):
    """Half inputs beside float32 parameters: as near to the truth as PyTorch's, in its dtypes."""
    case = next(c for c in BATCH_NORM if c.kwargs == {"training": True})
    arrays = arrays_of(case, seed=4, dtype="float32")
    half = torch.tensor(arrays["input"]).to(getattr(torch, dtype))
    names = ("running_mean", "running_var", "weight", "bias")
    others = [torch.tensor(arrays[n]) for n in names]
    exact = F.batch_norm(half.double(), *(t.double() for t in others), training)
    theirs = F.batch_norm(half, *(t.clone() for t in others), training)
    x = jnp.asarray(half.double().numpy(), dtype)
    result = ja.normalization.batch_norm(
        x, *(jnp.asarray(arrays[n]) for n in names), training, channel_axis=1
    )
    assert result.output.dtype == dtype
    assert result.running_mean.dtype == result.running_var.dtype == jnp.float32
    assert_error_like_pytorchs(result.output, theirs, exact)

    theirs = F.layer_norm(half, half.shape[1:])
    exact = F.layer_norm(half.double(), half.shape[1:])
    found = ja.normalization.layer_norm(x, x.shape[1:])
    assert found.dtype == dtype
    assert_error_like_pytorchs(found, theirs, exact)


def assert_error_like_pytorchs(found, theirs, exact):
    """Assert a root mean square error of at most PyTorch's own times the design's ratio."""
    exact = exact.numpy()
    ours = np.sqrt(np.mean((np.asarray(found, np.float64) - exact) ** 2))
    own = np.sqrt(np.mean((theirs.double().numpy() - exact) ** 2))
    assert ours <= tol.OWN_ERROR_RATIO * own, f"{ours:.2e} > 1.5 * {own:.2e}"


@pytest.mark.parametrize("mean", [1e2, 1e4, 1e6])
@pytest.mark.parametrize("training", [True, False])
def test_large_mean_in_float32(mean, training):
    """A one-pass variance would be all noise here; the mean of 1e6 leaves 4 bits of the signal."""
    rng = np.random.default_rng(5)
    x = torch.tensor(rng.normal(mean, 1.0, (64, 3, 16, 16)).astype(np.float32))
    statistics = torch.tensor([mean] * 3), torch.ones(3)
    exact_statistics = [s.double() for s in statistics]
    exact = F.batch_norm(x.double(), *exact_statistics, training=training)
    found = ja.normalization.batch_norm(
        jnp.asarray(x.permute(0, 2, 3, 1).numpy()),
        *(jnp.asarray(s.numpy()) for s in statistics),
        training=training,
    )
    theirs = F.batch_norm(x, *statistics, training=training)
    assert_error_like_pytorchs(jnp.moveaxis(found.output, -1, 1), theirs, exact)
    for ours, own, truth in zip(found[1:], statistics, exact_statistics, strict=True):
        own_error = largest((own - truth).numpy()) + largest(truth.numpy()) * 2.0**-24
        assert largest(np.asarray(ours) - truth.numpy()) <= tol.OWN_ERROR_RATIO * own_error
    if training:
        rows = x.permute(0, 2, 3, 1).reshape(64, -1)
        found = ja.normalization.layer_norm(jnp.asarray(rows.numpy()), rows.shape[1:])
        exact = F.layer_norm(rows.double(), rows.shape[1:])
        assert_error_like_pytorchs(found, F.layer_norm(rows, rows.shape[1:]), exact)


@pytest.mark.parametrize("training", [True, False])
def test_mapped_axis_equals_the_global_batch(training):
    """Eight devices, an eighth of the batch each: values, gradients and statistics."""
    mesh = jax.make_mesh((8,), ("data",), axis_types=(jax.sharding.AxisType.Auto,))
    case = next(c for c in BATCH_NORM if c.kwargs == {"training": True})
    arrays = {n: jnp.asarray(a) for n, a in arrays_of(case, seed=6).items()}
    rng = np.random.default_rng(6)
    x, cotangent = (jnp.asarray(rng.normal(3.0, 2.0, (16, 2, 2, 5))) for _ in range(2))
    others = [arrays[n] for n in ("running_mean", "running_var", "weight", "bias")]

    def loss(axis_name, x, cotangent, mean, var, weight, bias):
        result = ja.normalization.batch_norm(
            x, mean, var, weight, bias, training, axis_name=axis_name
        )
        total = jnp.sum(result.output * cotangent)
        if axis_name is not None:
            total = jax.lax.psum(total, axis_name)
        return total, result

    def spread(x, cotangent, *others):
        result_specs = ja.normalization.BatchNormResult(P("data"), P(), P())
        return jax.shard_map(
            functools.partial(loss, "data"),
            mesh=mesh,
            in_specs=(P("data"), P("data"), *(P(),) * 4),
            out_specs=(P(), result_specs),
        )(x, cotangent, *others)

    arguments = (x, cotangent, *others)
    differentiate = functools.partial(jax.value_and_grad, argnums=(0, 4, 5), has_aux=True)
    expected = jax.jit(differentiate(functools.partial(loss, None)))(*arguments)
    found = jax.jit(differentiate(spread))(*arguments)
    for ours, theirs in zip(jax.tree.leaves(found), jax.tree.leaves(expected), strict=True):
        assert_close(ours, theirs, tol.LAYER_FLOAT64_OF_MAX)
    judge = F.batch_norm(
        torch.tensor(np.asarray(x)).permute(0, 3, 1, 2),
        *(torch.tensor(np.asarray(a)) for a in others),
        training=training,
    )
    assert_close(jnp.moveaxis(found[0][1].output, -1, 1), judge, tol.LAYER_FLOAT64_OF_MAX)


def test_mapped_axis_allows_one_value_per_device():
    x = jnp.arange(16.0).reshape(8, 1, 2)
    result = jax.pmap(
        lambda x: (
            ja.normalization.batch_norm(x, None, None, training=True, axis_name="data").output
        ),
        axis_name="data",
    )(x)
    expected = ja.normalization.batch_norm(x[:, 0], None, None, training=True).output
    assert_close(result[:, 0], expected, tol.LAYER_FLOAT64_OF_MAX)


@pytest.mark.parametrize("shape", [(0, 3), (0, 4, 4, 3), (2, 0, 4, 3)])
def test_an_empty_batch_leaves_running_statistics_alone(shape):
    torch_shape = (shape[0], shape[-1], *shape[1:-1])
    mean, var = torch.full((3,), 2.0), torch.full((3,), 5.0)
    F.batch_norm(torch.zeros(torch_shape), mean, var, training=True)
    for package, asarray in (("jaxaccel", jnp.asarray), ("torch_ref", torch.tensor)):
        batch_norm = lookup(package, "normalization.batch_norm")
        result = batch_norm(
            asarray(np.zeros(shape, np.float32)),
            asarray(np.full(3, 2.0, np.float32)),
            asarray(np.full(3, 5.0, np.float32)),
            training=True,
        )
        assert tuple(result.output.shape) == shape
        assert result.running_mean.tolist() == mean.tolist()
        assert result.running_var.tolist() == var.tolist()


def test_no_gradient_flows_into_running_statistics():
    x = jnp.asarray(np.random.default_rng(7).normal(size=(4, 3)))

    def total(x):
        result = ja.normalization.batch_norm(x, jnp.zeros(3), jnp.ones(3), training=True)
        return jnp.sum(result.running_mean + result.running_var)

    assert not jax.grad(total)(x).any()


def raised(function, *args, **kwargs):
    """Return the type and text of the exception that a call raises."""
    with pytest.raises((ValueError, TypeError, RuntimeError)) as info:
        function(*args, **kwargs)
    return type(info.value), str(info.value).splitlines()[0]


def ones(*shapes):
    """Return arrays and tensors of ones."""
    tensors = [None if s is None else torch.ones(s) for s in shapes]
    return [None if t is None else jnp.asarray(t.numpy()) for t in tensors], tensors


@pytest.mark.parametrize(
    ("why", "shapes", "kwargs"),
    [
        ("eps zero", [(3, 3), (3,), (3,)], {"training": True, "eps": 0.0}),
        ("eps negative", [(3, 3), (3,), (3,)], {"training": True, "eps": -1e-5}),
        ("eps negative in evaluation", [(3, 3), (3,), (3,)], {"eps": -1e-5}),
        ("no statistics", [(3, 3), None, None], {}),
        ("no variance", [(3, 3), (3,), None], {}),
        ("no variance in training", [(3, 3), (3,), None], {"training": True}),
        ("no mean in training", [(3, 3), None, (3,)], {"training": True}),
        ("mean of 4", [(3, 3), (4,), (3,)], {"training": True}),
        ("variance of 4", [(3, 3), (3,), (4,)], {"training": True}),
        ("weight of 4", [(3, 3), (3,), (3,), (4,)], {"training": True}),
        ("bias of 4", [(3, 3), (3,), (3,), None, (4,)], {"training": True}),
    ],
)
def test_batch_norm_errors_have_pytorchs_text(why, shapes, kwargs):
    arrays, tensors = ones(*shapes)
    _, text = raised(F.batch_norm, *tensors, **kwargs)
    assert raised(ja.normalization.batch_norm, *arrays, **kwargs) == (ValueError, text)
    assert raised(ref.batch_norm, *tensors, **kwargs) == (ValueError, text)


def test_one_value_per_channel_raises_pytorchs_text():
    for shape in ((1, 3), (1, 1, 1, 3)):
        (array,), (tensor,) = ones(shape)
        error, text = raised(F.batch_norm, tensor.movedim(-1, 1), None, None, training=True)
        text = text.split("torch.Size")[0]
        for function, x in (
            (ja.normalization.batch_norm, array),
            (ref.batch_norm, tensor),
            (jax.jit(functools.partial(ja.normalization.batch_norm, training=True)), array),
        ):
            keyword = {} if function.__class__.__name__ == "PjitFunction" else {"training": True}
            found = raised(function, x, None, None, **keyword)
            assert found == (error, f"{text}{shape}")


@pytest.mark.parametrize(
    ("why", "shapes", "normalized_shape"),
    [
        ("another length", [(3, 3)], (4,)),
        ("too many axes", [(3,)], (3, 3)),
        ("empty", [(3, 3)], ()),
        ("weight", [(3, 3), (4,)], (3,)),
        ("bias", [(3, 3), None, (4,)], (3,)),
        ("an int", [(3, 3)], 3),
    ],
)
def test_layer_norm_errors_have_pytorchs_text(why, shapes, normalized_shape):
    (array, *arrays), (tensor, *tensors) = ones(*shapes)
    error, text = raised(F.layer_norm, tensor, normalized_shape, *tensors)
    error = TypeError if error is TypeError else ValueError
    assert raised(ja.normalization.layer_norm, array, normalized_shape, *arrays) == (error, text)
    assert raised(ref.layer_norm, tensor, normalized_shape, *tensors) == (error, text)


@pytest.mark.parametrize(
    ("input_dtype", "parameter_dtype", "works"),
    [
        ("float32", "float32", True),
        ("float64", "float64", True),
        ("bfloat16", "float32", True),
        ("bfloat16", "bfloat16", True),
        ("float16", "float32", True),
        ("float32", "float64", False),
        ("float64", "float32", False),
        ("float32", "bfloat16", False),
        ("bfloat16", "float16", False),
        ("bfloat16", "float64", False),
    ],
)
def test_dtypes_that_go_together_are_pytorchs(input_dtype, parameter_dtype, works):
    def both(shape, dtype):
        return jnp.ones(shape, dtype), torch.ones(shape, dtype=getattr(torch, dtype))

    x, tx = both((4, 3), input_dtype)
    p, tp = both((3,), parameter_dtype)
    calls = [
        lambda: ja.normalization.batch_norm(x, p, p, p, p, training=True).output,
        lambda: ja.normalization.layer_norm(x, (3,), p, p),
        lambda: F.batch_norm(tx, tp.clone(), tp.clone(), tp, tp, training=True),
        lambda: F.layer_norm(tx, (3,), tp, tp),
    ]
    for call in calls:
        if works:
            assert str(call().dtype).removeprefix("torch.") == input_dtype
        else:
            raised(call)


def test_integers_and_vectors_raise():
    x = jnp.ones((4, 3), int)
    for call in (
        lambda: ja.normalization.batch_norm(x, None, None, training=True),
        lambda: ja.normalization.layer_norm(x, (3,)),
    ):
        with pytest.raises(TypeError, match="expected a floating point input"):
            call()
    with pytest.raises(ValueError, match="expected at least 2D input"):
        ja.normalization.batch_norm(jnp.ones(3), None, None, training=True)
