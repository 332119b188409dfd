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
import torch_ref.functional as ref
from parity_tests import tolerances as tol
from parity_tests.functional.rows_normalization import CASES, STATISTICS, TYPICAL, WITH_CHANNELS
from parity_tests.harness.compare import assert_close, largest
from parity_tests.harness.compiled import FAST_COMPILE
from parity_tests.harness.optimizer import lookup, oracle_of

OF_MAX = {"float64": tol.LAYER_FLOAT64_OF_MAX, "float32": tol.LAYER_FLOAT32_OF_MAX}
TYPICAL_BATCH_NORM = next(c for c in TYPICAL if "training" in c.kwargs)

typical_rows = pytest.mark.parametrize("case", TYPICAL, ids=lambda case: case.id)


def arrays_of(case, seed=0, dtype="float64", parameters=None, mean=1.0, std=2.0):
    """Return the tensors of a row and the gradient of its output, in PyTorch's layout."""
    rng = np.random.default_rng(seed)
    shape = case.options["shape"]
    of_parameter = case.kwargs.get("normalized_shape", shape[1:2])
    arrays = {
        "input": rng.normal(mean, std, shape),
        "cotangent": rng.normal(size=shape),
        "weight": rng.normal(size=of_parameter),
        "bias": rng.normal(size=of_parameter),
        "running_mean": rng.normal(mean, std, of_parameter),
        "running_var": rng.uniform(0.5, 2.0, of_parameter),
    }
    given = {"input": dtype, "cotangent": dtype}
    given |= dict.fromkeys(case.options["tensors"], parameters or dtype)
    arrays = {name: arrays[name].astype(jnp.dtype(d)) for name, d in given.items()}
    # Two arguments of batch_norm have no default.
    missing = STATISTICS if case.function.endswith("batch_norm") else ()
    return dict.fromkeys(missing) | arrays


def in_float64(arrays):
    """Return the same numbers in double precision, in which the judge runs."""
    return {n: None if a is None else a.astype(np.float64) for n, a in arrays.items()}


def as_tensor(array):
    """Return an array, or None, as a tensor; NumPy and PyTorch share no bfloat16."""
    if array is None:
        return None
    return torch.tensor(array.astype(np.float64)).to(getattr(torch, str(array.dtype)))


def run_torch(case, arrays, function=None, **extra):
    """Return PyTorch's output, gradients and running statistics, in float64 arrays."""
    tensors = {n: as_tensor(a) for n, a in arrays.items()}
    cotangent = tensors.pop("cotangent")
    constant = (*STATISTICS, *case.options.get("constant", ()))
    differentiated = {n: t for n, t in tensors.items() if n not in constant}
    for tensor in differentiated.values():
        tensor.requires_grad_()
    result = (function or oracle_of(case))(**tensors, **case.kwargs, **extra)
    output, *moved = result if isinstance(result, tuple) else (result,)
    output.backward(cotangent)
    statistics = {n: tensors[n] for n in STATISTICS if tensors.get(n) is not None}
    if moved:
        assert not any(t.requires_grad for t in moved if t is not None)
        statistics = dict(zip(statistics, moved, strict=False))
    found = {"output": output, **{n: t.grad for n, t in differentiated.items()}, **statistics}
    return {n: t.detach().double().numpy() for n, t in found.items()}


def run_jax(case, arrays, channel_axis=None, options=FAST_COMPILE, place=jnp.asarray):
    """Return jaxaccel's, with the input's channels moved where asked."""
    arrays = {n: None if a is None else jnp.asarray(a) for n, a in arrays.items()}
    extra = {}
    if channel_axis is not None:
        extra["channel_axis"] = channel_axis
        for name in ("input", "cotangent"):
            arrays[name] = jnp.moveaxis(arrays[name], 1, channel_axis)
    arrays["input"], cotangent = place(arrays["input"]), place(arrays.pop("cotangent"))
    statistics = {n: arrays.pop(n) for n in STATISTICS if n in arrays}

    @functools.partial(jax.jit, compiler_options=options)
    def run(differentiated, statistics, cotangent):
        def call(differentiated):
            result = lookup("jaxaccel", case.function)(
                **differentiated, **statistics, **case.kwargs, **extra
            )
            return (result[0], result[1:]) if isinstance(result, tuple) else (result, ())

        output, pullback, moved = jax.vjp(call, differentiated, has_aux=True)
        return output, pullback(cotangent)[0], dict(zip(STATISTICS, moved, strict=False))

    output, gradients, statistics = run(arrays, statistics, cotangent)
    result = {"output": output, **gradients, **statistics}
    if channel_axis is not None:
        for name in ("output", "input"):
            result[name] = jnp.moveaxis(result[name], channel_axis, 1)
    constant = case.options.get("constant", ())
    return {n: np.asarray(a) for n, a in result.items() if a is not None and n not in constant}


def last_axis(case):
    """Return the channel axis as an argument, channels last, where the function has one."""
    return -1 if case.function in {c.function for c in WITH_CHANNELS} else None


def assert_all_close(found, expected, cotangent, of_max):
    """Assert that everything returned is close to the judge's."""
    assert found.keys() == expected.keys()
    for name, array in expected.items():
        # The gradient of two values per channel is a difference that nearly cancels.
        assert_close(found[name], array, of_max, largest(cotangent), name)


@pytest.mark.parity
@pytest.mark.parametrize("case", CASES, ids=lambda case: case.id)
def test_equals_pytorch(case):
    arrays = arrays_of(case)
    found = run_jax(case, arrays, last_axis(case))
    assert {a.dtype for a in found.values()} == {np.dtype("float64")}
    assert_all_close(found, run_torch(case, arrays), arrays["cotangent"], tol.LAYER_FLOAT64_OF_MAX)


@pytest.mark.parametrize("case", WITH_CHANNELS, ids=lambda case: case.id)
def test_channels_first_equals_pytorch(case):
    arrays = arrays_of(case, seed=1)
    found, expected = run_jax(case, arrays, 1), run_torch(case, arrays)
    assert_all_close(found, expected, arrays["cotangent"], tol.LAYER_FLOAT64_OF_MAX)


@pytest.mark.parametrize("case", CASES[::2], ids=lambda case: case.id)
def test_float32_equals_pytorch(case):
    arrays = arrays_of(case, seed=2, dtype="float32")
    found = run_jax(case, arrays, last_axis(case))
    assert {a.dtype for a in found.values()} == {np.dtype("float32")}
    expected = run_torch(with_float32_eps(case), in_float64(arrays))
    assert_all_close(found, expected, arrays["cotangent"], tol.LAYER_FLOAT32_OF_MAX)


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.id)
def test_torch_ref_equals_pytorch(case):
    arrays = arrays_of(case, seed=3)
    extra = {"channel_axis": 1} if case in WITH_CHANNELS else {}
    found = run_torch(case, arrays, lookup("torch_ref", case.function), **extra)
    expected = run_torch(case, arrays)
    assert_all_close(found, expected, arrays["cotangent"], tol.LAYER_FLOAT64_OF_MAX)


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
    step = jax.jit(functools.partial(ja.functional.batch_norm, training=True))
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


@pytest.mark.parametrize(
    ("dtype", "parameters"),
    [("bfloat16", "bfloat16"), ("bfloat16", "float32"), ("float16", "float32")],
)
@typical_rows
def test_half_precision_is_rounded_once(case, dtype, parameters):
    """The output errs as the rounded truth does; each gradient has the dtype of its own."""
    arrays = arrays_of(case, 4, dtype, parameters)
    exact = run_torch(with_float32_eps(case), in_float64(arrays))
    rounded = exact["output"].astype(jnp.dtype(dtype)).astype(np.float64)
    found = run_jax(case, arrays, last_axis(case))
    assert found.keys() == exact.keys()
    assert_error_like(found["output"], rounded, exact["output"])
    for name, array in exact.items():
        assert found[name].dtype == (dtype if name in ("output", "input") else parameters)
        assert_close(found[name], array, tol.LAYER_BFLOAT16_OF_MAX)


def assert_error_like(found, theirs, exact):
    """Assert a root mean square error of at most another's times the design's ratio."""
    ours = np.sqrt(np.mean((np.asarray(found, np.float64) - exact) ** 2))
    own = np.sqrt(np.mean((theirs - exact) ** 2))
    assert ours <= tol.OWN_ERROR_RATIO * own, f"{ours:.2e} > 1.5 * {own:.2e}"


def of_shape(case, shape, **kwargs):
    """Return the row with another shape of its input, in PyTorch's layout."""
    if "normalized_shape" in case.kwargs:
        kwargs["normalized_shape"] = shape[1:]
    options = {**case.options, "shape": shape}
    return case._replace(kwargs={**case.kwargs, **kwargs}, options=options)


def with_float32_eps(case):
    """Return the row with the epsilon that ``None`` stands for in single precision."""
    if not case.function.endswith("rms_norm"):
        return case
    return case._replace(kwargs={"eps": float(np.finfo(np.float32).eps), **case.kwargs})


@pytest.mark.parametrize(
    ("mean", "std"), [(1e2, 1.0), (1e3, 1.0), (1e4, 1.0), (1e6, 1.0), (0.0, 1e-4), (1.0, 1e-3)]
)
@typical_rows
def test_large_mean_and_tiny_variance_in_float32(case, mean, std):
    """A one-pass variance would be all noise here; the mean of 1e6 leaves 4 bits of the signal."""
    case = of_shape(case, (9, 6, 13, 11))
    arrays = arrays_of(case, 5, "float32", mean=mean, std=std)
    exact = run_torch(with_float32_eps(case), in_float64(arrays))
    theirs, found = run_torch(case, arrays), run_jax(case, arrays, last_axis(case), None)
    for name in ("output", "input"):
        assert_error_like(found[name], theirs[name], exact[name])
    for name in exact.keys() - {"output", "input"}:
        own = largest(theirs[name] - exact[name]) + tol.FLOAT32_ULP_OF_MAX * largest(exact[name])
        assert largest(found[name] - exact[name]) <= tol.OWN_ERROR_RATIO * own, name


@typical_rows
def test_a_sharded_batch_gives_the_whole_ones_numbers(case):
    """Plain jit of an input spread over eight devices; the statistics are global by themselves."""
    mesh = jax.make_mesh((8,), ("data",), axis_types=(jax.sharding.AxisType.Auto,))
    case = of_shape(case, (16, 6, 3, 2))
    arrays = arrays_of(case, 6)
    sharding = jax.sharding.NamedSharding(mesh, P("data"))
    found = run_jax(case, arrays, last_axis(case), place=lambda a: jax.device_put(a, sharding))
    assert_all_close(found, run_torch(case, arrays), arrays["cotangent"], tol.LAYER_FLOAT64_OF_MAX)


def in_shard_map(function):
    """Spread the first two arguments over eight devices."""
    return jax.shard_map(
        function,
        mesh=jax.make_mesh((8,), ("data",), axis_types=(jax.sharding.AxisType.Auto,)),
        in_specs=(P("data"), P("data"), *(P(),) * 4),
        out_specs=ja.functional.BatchNormResult(P("data"), P(), P()),
    )


def in_pmap(function):
    """Spread the first two arguments over eight devices."""
    out_axes = ja.functional.BatchNormResult(0, None, None)
    mapped = jax.pmap(function, "data", in_axes=(0, 0, *(None,) * 4), out_axes=out_axes)

    def spread(x, cotangent, *others):
        x, cotangent = (a.reshape(8, -1, *a.shape[1:]) for a in (x, cotangent))
        result = mapped(x, cotangent, *others)
        return result._replace(output=result.output.reshape(-1, *result.output.shape[2:]))

    return spread


@pytest.mark.parametrize("spread", [in_shard_map, in_pmap])
@pytest.mark.parametrize("training", [True, False])
def test_mapped_axis_equals_the_global_batch(training, spread):
    """Eight devices, an eighth of the batch each: values, gradients and statistics."""
    case = of_shape(TYPICAL_BATCH_NORM, (16, 5, 2, 2), training=training)
    arrays = arrays_of(case, seed=6, mean=3.0)
    names = ("input", "cotangent", *STATISTICS, "weight", "bias")
    arguments = [jnp.moveaxis(jnp.asarray(arrays[n]), 1, -1) for n in names[:2]]
    arguments += [jnp.asarray(arrays[n]) for n in names[2:]]

    def share(x, cotangent, mean, var, weight, bias):
        result = ja.functional.batch_norm(x, mean, var, weight, bias, training, axis_name="data")
        return result._replace(output=result.output * cotangent), result

    def share_of_loss(*arguments):
        return share(*arguments)[0]

    def loss(*arguments):
        return jnp.sum(spread(share_of_loss)(*arguments).output)

    result = spread(lambda *arguments: share(*arguments)[1])(*arguments)
    gradients = jax.jit(jax.grad(loss, argnums=(0, 4, 5)))(*arguments)
    found = dict(zip(("input", "weight", "bias"), gradients, strict=True))
    found |= dict(zip(("output", *STATISTICS), result, strict=True))
    for name in ("input", "output"):
        found[name] = jnp.moveaxis(found[name], -1, 1)
    assert_all_close(found, run_torch(case, arrays), arrays["cotangent"], tol.LAYER_FLOAT64_OF_MAX)


def test_mapped_axis_allows_one_value_per_device():
    x = jnp.arange(16.0).reshape(8, 1, 2)
    result = jax.pmap(
        lambda x: ja.functional.batch_norm(x, None, None, training=True, axis_name="data").output,
        axis_name="data",
    )(x)
    expected = ja.functional.batch_norm(x[:, 0], None, None, training=True).output
    assert_close(result[:, 0], expected, tol.LAYER_FLOAT64_OF_MAX)


@pytest.mark.parametrize("shape", [(0, 3), (0, 4, 4, 3), (2, 0, 4, 3)])
def test_an_empty_batch_leaves_running_statistics_alone(shape):
    torch_shape = (shape[0], shape[-1], *shape[1:-1])
    mean, var = torch.full((3,), 2.0), torch.full((3,), 5.0)
    F.batch_norm(torch.zeros(torch_shape), mean, var, training=True)
    for package, asarray in (("jaxaccel", jnp.asarray), ("torch_ref", torch.tensor)):
        batch_norm = lookup(package, "functional.batch_norm")
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
        result = ja.functional.batch_norm(x, jnp.zeros(3), jnp.ones(3), training=True)
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
    assert raised(ja.functional.batch_norm, *arrays, **kwargs) == (ValueError, text)


def test_one_value_per_channel_raises_pytorchs_text():
    for shape in ((1, 3), (1, 1, 1, 3)):
        (array,), (tensor,) = ones(shape)
        error, text = raised(F.batch_norm, tensor.movedim(-1, 1), None, None, training=True)
        text = text.split("torch.Size")[0]
        for function, x in (
            (ja.functional.batch_norm, array),
            (jax.jit(functools.partial(ja.functional.batch_norm, training=True)), array),
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
    assert raised(ja.functional.layer_norm, array, normalized_shape, *arrays) == (error, text)


@pytest.mark.parametrize(
    ("name", "shapes", "kwargs"),
    [
        ("group_norm", [(4,)], {"num_groups": 2}),
        ("group_norm", [(2, 4)], {"num_groups": 3}),
        ("group_norm", [(2, 4)], {"num_groups": -2}),
        ("group_norm", [(2, 4)], {"num_groups": 2.0}),
        ("group_norm", [(2, 4)], {"num_groups": True}),
        ("group_norm", [(1, 4)], {"num_groups": 4}),
        ("group_norm", [(1, 4)], {"num_groups": 3}),
        ("group_norm", [(1, 1, 4)], {"num_groups": 4}),
        ("group_norm", [(2, 4), None, (3,)], {"num_groups": 2}),
        ("group_norm", [(2, 4), None, (4, 1)], {"num_groups": 2}),
        ("group_norm", [(2, 3, 4), None, None, (3,)], {"num_groups": 2}),
        ("instance_norm", [(2, 3, 3), None, None], {"use_input_stats": False}),
        ("instance_norm", [(2, 3, 3), (3,), None], {"use_input_stats": False}),
        ("instance_norm", [(2, 3, 3), (3,), None], {}),
        ("instance_norm", [(2, 3, 3), None, (3,)], {}),
        ("instance_norm", [(1, 3, 3), (4,), (3,)], {}),
        ("instance_norm", [(1, 3, 3), (3,), (4,)], {}),
        ("instance_norm", [(1, 3, 3), None, None, (4,)], {}),
        ("instance_norm", [(1, 3, 3), None, None, None, (4,)], {}),
        ("instance_norm", [(1, 3, 3)], {"momentum": None}),
        ("batch_norm", [(3, 3), None, None], {"momentum": None, "training": True}),
        ("rms_norm", [(3, 3)], {"normalized_shape": ()}),
        ("rms_norm", [(3, 3)], {"normalized_shape": 3}),
        ("rms_norm", [(3, 3), None, (4,)], {"normalized_shape": (3,)}),
        ("local_response_norm", [(3, 3)], {"size": 2}),
        ("local_response_norm", [(3, 3, 3)], {"size": 0}),
        ("local_response_norm", [(3, 3, 3, 3)], {"size": -1}),
    ],
)
def test_errors_have_pytorchs_text(name, shapes, kwargs):
    (array, *arrays), (tensor, *tensors) = ones(*shapes)
    if name in ("group_norm", "rms_norm"):  # after their one argument of another kind
        arrays, tensors = arrays[1:], tensors[1:]
        (kwarg,) = kwargs.values()
        arrays, tensors, kwargs = [kwarg, *arrays], [kwarg, *tensors], {}
    error, text = raised(getattr(F, name), tensor, *tensors, **kwargs)
    expected = TypeError if error is TypeError else ValueError, " ".join(text.split())
    if array.ndim > 2:  # channels last
        array = jnp.moveaxis(array, 1, -1)
    assert raised(getattr(ja.functional, name), array, *arrays, **kwargs) == expected


def test_one_spatial_value_raises_pytorchs_text():
    for shape in ((4,), (2, 4), (2, 1, 4), (0, 1, 4)):
        (array,), (tensor,) = ones(shape)
        text = raised(F.instance_norm, tensor.movedim(-1, min(1, tensor.ndim - 1)))[1]
        expected = ValueError, f"{text.split('torch.Size')[0]}{shape}"
        assert raised(ja.functional.instance_norm, array) == expected
        assert raised(jax.jit(ja.functional.instance_norm), array) == expected


def test_errors_of_our_own():
    """Where PyTorch divides by zero, fails inside ``pad``, misprints or has no such argument."""
    x = jnp.ones((2, 4, 4))
    for call, text in (
        (lambda p, x: p.group_norm(x, 0), "num groups to be greater than 0, got 0"),
        (lambda p, x: p.rms_norm(x, (5,)), r"expected input with shape \[\*, 5\], but got"),
        (
            lambda p, x: p.rms_norm(x[0, 0], (4, 4)),
            r"shape \[\*, 4, 4\], but got input",
        ),
        (
            lambda p, x: p.local_response_norm(x, 2.5),
            r"'size' \(position 2\) must be int, not float",
        ),
        (lambda p, x: p.group_norm(x, 2, channel_axis=0), "channel_axis should be .* got 0"),
        (lambda p, x: p.instance_norm(x, channel_axis=3), "channel_axis should be -1 .* got 3"),
        (lambda p, x: p.local_response_norm(x, 2, channel_axis=-3), "channel_axis .* got -3"),
    ):
        with pytest.raises((ValueError, TypeError), match=text):
            call(ja.functional, x)


@pytest.mark.parametrize("shape", [(0, 2, 4), (2, 0, 4)])
def test_empty_inputs_come_back(shape):
    x, statistics = jnp.zeros(shape), (jnp.full(4, 2.0), jnp.full(4, 5.0))
    n = ja.functional
    result = n.instance_norm(x, *statistics)
    assert all(new is old for new, old in zip(result[1:], statistics, strict=True))
    for y in (
        result.output,
        n.group_norm(x, 2),
        n.layer_norm(x, (4,)),
        n.rms_norm(x, (4,)),
        n.local_response_norm(x, 2),
    ):
        assert y.shape == shape


@pytest.mark.parametrize("dtype", ["float64", "float32", "bfloat16", "float16"])
def test_rms_norms_epsilon_is_pytorchs(dtype):
    """Numbers as small as the epsilon's root show which one it is."""
    x = np.full((2, 4), 1e-3 if dtype != "float64" else 1e-8).astype(jnp.dtype(dtype))
    expected = F.rms_norm(as_tensor(x), (4,)).double()
    found = ja.functional.rms_norm(jnp.asarray(x), (4,))
    of_max = OF_MAX.get(dtype, tol.LAYER_BFLOAT16_OF_MAX)
    assert found.dtype == dtype
    assert_close(found, expected, of_max)
    assert_close(ref.rms_norm(as_tensor(x), (4,)).double(), expected, of_max)


@pytest.mark.filterwarnings("ignore:Mismatch dtype")  # of PyTorch: it takes its slower path
@pytest.mark.parametrize("weight", ["float64", "float32", "bfloat16"])
@pytest.mark.parametrize("dtype", ["float64", "float32", "bfloat16"])
def test_rms_norm_takes_a_weight_of_any_dtype(dtype, weight):
    rng = np.random.default_rng(8)
    x, w = (rng.normal(size=s).astype(jnp.dtype(d)) for s, d in (((3, 4), dtype), ((4,), weight)))
    expected = F.rms_norm(as_tensor(x), (4,), as_tensor(w))
    found = ja.functional.rms_norm(jnp.asarray(x), (4,), jnp.asarray(w))
    assert found.dtype == dtype == str(expected.dtype).removeprefix("torch.")
    assert_close(found, expected.double(), OF_MAX.get(dtype, tol.LAYER_BFLOAT16_OF_MAX))


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
        lambda: ja.functional.batch_norm(x, p, p, p, p, training=True).output,
        lambda: ja.functional.layer_norm(x, (3,), p, p),
        lambda: ja.functional.group_norm(x, 3, p, p),
        lambda: ja.functional.instance_norm(x[None], p, p, p, p).output,
        lambda: F.batch_norm(tx, tp.clone(), tp.clone(), tp, tp, training=True),
        lambda: F.layer_norm(tx, (3,), tp, tp),
        lambda: F.group_norm(tx, 3, tp, tp),
    ]
    for call in calls:
        if works:
            found = call if call in calls[4:] else functools.partial(jax.eval_shape, call)
            assert str(found().dtype).removeprefix("torch.") == input_dtype
        else:
            raised(call)


def test_integers_and_vectors_raise():
    x = jnp.ones((4, 3), int)
    for call in (
        lambda: ja.functional.batch_norm(x, None, None, training=True),
        lambda: ja.functional.layer_norm(x, (3,)),
        lambda: ja.functional.group_norm(x, 3),
        lambda: ja.functional.instance_norm(x[None]),
        lambda: ja.functional.rms_norm(x, (3,)),
        lambda: ja.functional.rms_norm(jnp.ones(3), (3,), jnp.ones(3, int)),
        lambda: ja.functional.local_response_norm(x[None], 2),
    ):
        with pytest.raises(TypeError, match="expected a floating point input"):
            call()
    with pytest.raises(ValueError, match="expected at least 2D input"):
        ja.functional.batch_norm(jnp.ones(3), None, None, training=True)


def test_norms_of_one_shape_share_a_trace():
    """Inside of a program; what a model's layers of one shape cost is traced once."""
    F = ja.functional
    norms = {
        "layer": lambda x: F.layer_norm(x, (4,)),
        "batch": lambda x: F.batch_norm(x, jnp.zeros(4), jnp.ones(4), training=True).output,
    }
    for name, norm in norms.items():
        traced = jax.make_jaxpr(lambda x, norm=norm: norm(norm(x)))(jnp.ones((3, 4)))
        calls = [e for e in traced.eqns if e.params.get("name") == "_normalized"]
        assert len(calls) == 2, name
        assert calls[0].params["jaxpr"] is calls[1].params["jaxpr"], name
