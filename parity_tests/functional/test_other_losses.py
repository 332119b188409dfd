"""Losses of margins, likelihoods and sequences, and distances, against ``torch.nn.functional``.

The rows of a function are one program: outputs and gradients of all of them.
"""

import functools
import inspect
import re

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import torch
import torch.nn.functional as F

import jaxaccel as ja
from parity_tests import tolerances as tol
from parity_tests.functional.rows_other_losses import BAD, BUILTINS, LINEAR_CROSS_ENTROPY, LOSSES
from parity_tests.harness.compare import assert_close
from parity_tests.harness.compiled import FAST_COMPILE, QUICK_COMPILE
from parity_tests.harness.losses import DRAWN, arguments_of
from parity_tests.registry import lookup, oracle_of

FIRST = [case for case in LOSSES if case.why == "defaults"]


def rounded(array, dtype):
    return np.asarray(array).astype(dtype) if np.asarray(array).dtype.kind == "f" else array


def run_torch(case, arrays, constants, function=None):
    """Return PyTorch's output, its gradients and the cotangent, in float64."""
    function = oracle_of(case) if function is None else function
    tensors = {n: torch.tensor(np.asarray(a, float)).requires_grad_() for n, a in arrays.items()}
    others = {n: torch.tensor(c) for n, c in constants.items()}
    if case.function == "functional.ctc_loss":
        others["targets"] = others["targets"].long()
    output = function(**tensors, **others, **case.kwargs)
    cotangent = np.asarray(np.random.default_rng(1).normal(size=tuple(output.shape)))
    if output.requires_grad:
        output.backward(torch.tensor(cotangent))
    gradients = {n: torch.zeros_like(t) if t.grad is None else t.grad for n, t in tensors.items()}
    return {"output": output.detach(), **gradients}, cotangent


def run_rows(cases, given, cotangents, dtype, options):
    """Return jaxaccel's outputs and gradients of several rows, which are one program."""
    arrays = [{n: jnp.asarray(a, dtype) for n, a in own.items()} for own, _ in given]
    constants = [{n: jnp.asarray(rounded(c, dtype)) for n, c in own.items()} for _, own in given]

    @functools.partial(jax.jit, compiler_options=options)
    def run(arrays, cotangents):
        found = []
        for case, own, others, cotangent in zip(cases, arrays, constants, cotangents, strict=True):
            function = functools.partial(lookup("jaxaccel", case.function), **case.kwargs)
            output, pullback = jax.vjp(lambda a, f=function, o=others: f(**a, **o), own)
            found.append({"output": output, **pullback(cotangent)[0]})
        return found

    return run(arrays, [jnp.asarray(c, dtype) for c in cotangents])


def assert_same_rows(cases, dtype, of_max, options):
    """Assert that outputs and gradients of rows are PyTorch's."""
    given = [arguments_of(case) for case in cases]
    given = [
        (
            {n: rounded(a, dtype) for n, a in own.items()},
            {n: rounded(c, dtype) for n, c in o.items()},
        )
        for own, o in given
    ]
    as_double = [
        (own, {n: rounded(c, np.float64) for n, c in others.items()}) for own, others in given
    ]
    expected = [run_torch(case, *own) for case, own in zip(cases, as_double, strict=True)]
    found = run_rows(cases, given, [cotangent for _, cotangent in expected], dtype, options)
    for case, ours, (theirs, _) in zip(cases, found, expected, strict=True):
        assert ours.keys() == theirs.keys()
        for name, tensor in theirs.items():
            assert ours[name].dtype == dtype
            assert_close(ours[name], tensor, of_max, 1.0, f"{case.id}: {name}", special=True)


@pytest.mark.parity
@pytest.mark.parametrize("case", FIRST, ids=lambda case: case.function.split(".")[1])
def test_float64_equals_pytorch(case):
    rows = [each for each in LOSSES if each.function == case.function]
    assert_same_rows(rows, "float64", tol.LAYER_FLOAT64_OF_MAX, FAST_COMPILE)


def test_torch_ref_equals_pytorch():
    for case in LOSSES:
        if case.function == "functional.pdist":
            continue
        expected, found = (
            run_torch(case, *arguments_of(case), function)[0]
            for function in (None, lookup("torch_ref", case.function))
        )
        for name, tensor in expected.items():
            what = f"{case.id}: {name}"
            assert_close(found[name], tensor, tol.LAYER_FLOAT64_OF_MAX, 1.0, what, special=True)


def test_float32_equals_pytorch():
    assert_same_rows(FIRST, "float32", tol.LAYER_FLOAT32_OF_MAX, QUICK_COMPILE)


def test_half_precision_is_computed_wider_and_rounded_once():
    for case in FIRST:
        arrays, constants = arguments_of(case)
        low = {n: jnp.asarray(a, jnp.bfloat16) for n, a in arrays.items()}
        others = {n: jnp.asarray(c) for n, c in constants.items()}
        # A distance function of one's own rounds as it likes.
        if "distance" not in case.id and all(c.dtype.kind != "f" for c in others.values()):
            function = functools.partial(lookup("jaxaccel", case.function), **case.kwargs)
            found = function(**low, **others)
            exact = function(**{n: a.astype(jnp.float32) for n, a in low.items()}, **others)
            assert found.dtype == jnp.bfloat16, case.id
            assert np.array_equal(found, exact.astype(jnp.bfloat16)), case.id


@pytest.mark.parametrize("case", BAD, ids=lambda case: case.id)
def test_errors_have_pytorchs_text(case):
    _, constants = arguments_of(case)
    given = {n: c for n, c in constants.items() if n not in case.kwargs}
    with pytest.raises((ValueError, RuntimeError, IndexError, TypeError)) as expected:
        oracle_of(case)(**{n: torch.tensor(c) for n, c in given.items()}, **case.kwargs)
    with pytest.raises((ValueError, TypeError, IndexError)) as found:
        lookup("jaxaccel", case.function)(
            **{n: jnp.asarray(c) for n, c in given.items()}, **case.kwargs
        )
    theirs = re.sub(r"torch\.Size\(\[(.*?)\]\)", r"(\1)", str(expected.value).splitlines()[0])
    theirs = theirs.partition(" (while checking arguments")[0]
    ours = str(found.value).splitlines()[0]
    assert ours.startswith(theirs) or theirs.startswith(ours), (ours, theirs)


def test_other_errors_are_clear():
    ones, loss = jnp.ones((2, 3)), ja.functional
    for text, call in {
        "Please ensure they have the same size": lambda: loss.binary_cross_entropy(ones, ones[0]),
        "size of tensor a (3) must match": lambda: loss.binary_cross_entropy(
            ones, ones, jnp.ones(4)
        ),
        "does not broadcast to the input": lambda: loss.multilabel_soft_margin_loss(ones[0], ones),
        "input1: (2, 3), input2": lambda: loss.margin_ranking_loss(ones, ones, ones[0]),
        "no dimensions": lambda: loss.multilabel_soft_margin_loss(ones[0, 0], ones[0, 0]),
    }.items():
        with pytest.raises((ValueError, IndexError), match=re.escape(text)):
            call()
    log_probs, targets = jnp.zeros((4, 1, 3)), jnp.array([[1]])
    for lengths in (jnp.array([4.0]), np.array([4.0])):
        with pytest.raises(TypeError, match="input_lengths must be integral"):
            loss.ctc_loss(log_probs, targets, lengths, (1,))
    with pytest.raises(IndexError, match="Target 3 is out of bounds"):
        loss.ctc_loss(log_probs, targets + 2, (4,), (1,))
    with pytest.raises(ValueError, match="3-dimensional tensor"):
        loss.ctc_loss(log_probs[0, 0], targets, (4,), (1,))


def test_what_a_compiled_program_cannot_refuse_is_nan():
    """One number is bad in each; the others' losses are as ever."""
    loss = ja.functional
    row, labels = jnp.array([[0.3, 0.6], [0.2, 0.4]]), jnp.array([[1, -1], [0, -1]])

    @functools.partial(jax.jit, compiler_options=FAST_COMPILE)
    def run(bad, length, index):
        log_probs = jnp.log(jnp.full((4, 2, 3), 1 / 3))
        at = jnp.array([[True], [False]])
        wide = jnp.where(at, bad, row)
        return {
            "input": loss.binary_cross_entropy(wide, row, reduction="none")[:, 0],
            "target": loss.binary_cross_entropy(row, wide, reduction="none")[:, 0],
            "var": loss.gaussian_nll_loss(row, row, wide, reduction="none")[:, 0],
            "class": loss.multi_margin_loss(row, jnp.stack([index, 0]), reduction="none"),
            "classes": loss.multilabel_margin_loss(
                row, jnp.where(at, index, labels), reduction="none"
            ),
            "length": loss.ctc_loss(
                log_probs, labels + 1, jnp.stack([length, 4]), (1, 1), reduction="none"
            ),
            "label": loss.ctc_loss(
                log_probs, jnp.where(at, index, labels), (4, 4), jnp.array([1, 1]), reduction="none"
            ),
        }

    for name, found in run(-0.5, 5, 7).items():
        assert np.isnan(found).tolist() == [True, False], name


def test_ctc_loss_of_lengths_and_targets_that_are_traced():
    """Both forms of targets; a log-probability of minus infinity has a gradient of 0."""
    rng = np.random.default_rng(0)
    log_probs = jnp.asarray(DRAWN["log probs"](rng, (6, 2, 4))).at[0, 0, 2].set(-jnp.inf)
    targets, lengths = jnp.array([[1, 3, 0], [3, 3, 2]]), jnp.array([2, 3])

    @functools.partial(jax.jit, compiler_options=FAST_COMPILE)
    def run(log_probs, targets, in_a_row, lengths):
        def loss(log_probs, targets):
            return ja.functional.ctc_loss(log_probs, targets, jnp.array([6, 5]), lengths)

        grad = jax.value_and_grad(loss)
        return grad(log_probs, targets), grad(log_probs, in_a_row)

    in_a_row = jnp.array([1, 3, 3, 3, 2])
    found = run(log_probs, targets, in_a_row, lengths)
    tensor = torch.tensor(np.asarray(log_probs)).requires_grad_()
    theirs = F.ctc_loss(tensor, torch.tensor(np.asarray(targets)), (6, 5), (2, 3))
    theirs.backward()
    assert tensor.grad[0, 0, 2].isnan()
    for value, gradient in found:
        assert_close(value, theirs.detach(), tol.LAYER_FLOAT64_OF_MAX)
        assert gradient[0, 0, 2] == 0
        assert_close(gradient, tensor.grad.nan_to_num(), tol.LAYER_FLOAT64_OF_MAX)


def test_ctc_loss_of_a_traced_target_longer_than_its_steps():
    """Of labels in a row one more is looked at than there are steps; the loss is infinite."""
    log_probs = jnp.asarray(DRAWN["log probs"](np.random.default_rng(0), (3, 4, 4)))
    targets, lengths = jnp.array([1, 3, 1, 2, 3, 1, 2, 2, 1, 2, 3, 1, 2]), jnp.array([2, 6, 4, 1])

    @functools.partial(jax.jit, compiler_options=FAST_COMPILE)
    def run(log_probs, targets, lengths):
        found = []
        for zero in (False, True):
            loss = functools.partial(
                ja.functional.ctc_loss, reduction="none", zero_infinity=zero, targets=targets
            )
            value, pullback = jax.vjp(
                lambda x, f=loss: f(x, input_lengths=jnp.full(4, 3), target_lengths=lengths),
                log_probs,
            )
            found.append((value, *pullback(jnp.ones_like(value))))
        return found

    tensor = torch.tensor(np.asarray(log_probs)).requires_grad_()
    for zero, (value, gradient) in enumerate(run(log_probs, targets, lengths)):
        theirs = F.ctc_loss(
            *(tensor, torch.tensor(np.asarray(targets)), (3,) * 4, (2, 6, 4, 1)),
            reduction="none",
            zero_infinity=bool(zero),
        )
        assert torch.isinf(theirs).tolist() == [False, not zero, not zero, False]
        (expected,) = torch.autograd.grad(theirs.sum(), tensor)
        for own, other in ((value, theirs.detach()), (gradient, expected)):
            assert_close(own, other, tol.LAYER_FLOAT64_OF_MAX, 1.0, special=True)
    longer = run(log_probs, targets, jnp.array([2, 14, 4, 1]))
    assert [np.isnan(value).tolist() for value, _ in longer] == [[False, True, False, False]] * 2


def test_nothing_larger_than_arguments_and_results_is_held():
    """Value and gradient; classes times classes, all differences, all labels would be."""
    loss, float32, int32 = ja.functional, jnp.float32, jnp.int32
    scores, classes = jnp.zeros((8, 200), float32), jnp.zeros((8, 200), int32)
    rows, log_probs = jnp.zeros((128, 64), float32), jnp.zeros((4, 64, 5), float32)
    labels, lengths = jnp.zeros(256, int32), jnp.full(64, 4, int32)

    def of_labels(log_probs, labels, lengths):
        return loss.ctc_loss(log_probs, labels, lengths, lengths)

    for function, arrays, most in (
        (loss.multilabel_margin_loss, (scores, classes), 12 * scores.nbytes),
        (lambda x: jnp.sum(loss.pdist(x)), (rows,), 5 * (rows.nbytes + 128 * 128 * 4)),
        (of_labels, (log_probs, labels, lengths), 40 * log_probs.nbytes),
    ):
        program = jax.jit(jax.value_and_grad(function)).lower(*arrays).compile()
        assert program.memory_analysis().temp_size_in_bytes < most


def test_losses_in_loops_inside_shard_map():
    """Scores, targets or both are each device's own."""
    rng = np.random.default_rng(0)
    scores, rows = jnp.asarray(rng.normal(size=(2, 4))), jnp.asarray(rng.normal(size=(8, 3)))
    targets = jnp.array([[1, 2, -1, 0], [0, 0, 3, -1]])
    mesh = jax.make_mesh((2,), ("data",), axis_types=(jax.sharding.AxisType.Auto,))
    own, same = jax.sharding.PartitionSpec("data"), jax.sharding.PartitionSpec()

    def summed(scores, targets):
        return ja.functional.multilabel_margin_loss(scores, targets, "sum")

    def distances(rows):
        return jnp.sum(ja.functional.pdist(rows))

    def spread(function, arrays, *specs):
        return jax.shard_map(function, mesh=mesh, in_specs=specs, out_specs=own)(*arrays)

    @functools.partial(jax.jit, compiler_options=FAST_COMPILE)
    def run():
        grad = jax.grad(summed)
        alone = [grad(scores[i : i + 1], targets[j : j + 1]) for i, j in np.ndindex(2, 2)]
        return {
            "scores and targets": (
                spread(grad, (scores, targets), own, own),
                jnp.concatenate([alone[0], alone[3]]),
            ),
            "scores": (
                spread(grad, (scores, targets[:1]), own, same),
                jnp.concatenate([alone[0], alone[2]]),
            ),
            "targets": (
                spread(lambda x, y: summed(x, y)[None], (scores[:1], targets), same, own),
                jnp.stack([summed(scores[:1], targets[i : i + 1]) for i in range(2)]),
            ),
            "rows": (
                spread(jax.grad(distances), (rows,), own),
                jnp.concatenate([jax.grad(distances)(half) for half in jnp.split(rows, 2)]),
            ),
        }

    for name, (found, expected) in run().items():
        assert_close(found, expected, tol.LAYER_FLOAT64_OF_MAX, 1.0, name)


@pytest.mark.parity
def test_a_comparison_with_nan_counts_nothing():
    """PyTorch skips a margin that is NaN; an absolute error stays NaN, without gradient."""
    nan, inf = np.nan, np.inf
    scores = np.array(
        [[1, nan, inf, -inf], [1, nan, 2, 0], [nan, 1, 2, 3], [inf, 1, inf, 3], [-inf, 1, -inf, 3]]
    )
    indices, sets = (
        np.array([0, 3, 1, 2, 2]),
        np.array([[0, 1, -1, -1], [3, 3, 0, -1]] * 2 + [[-1] * 4]),
    )
    calls = [
        *(("multi_margin_loss", indices, {"p": p}) for p in (1, 2)),
        ("multi_margin_loss", np.zeros(5, int), {"p": 2}),
        ("multilabel_margin_loss", sets, {}),
        ("multilabel_margin_loss", sets[[1, 0, 3, 2, 4]], {}),
        ("l1_loss", np.zeros((5, 4)), {}),
        ("smooth_l1_loss", np.zeros((5, 4)), {"beta": 0.0}),
    ]

    @functools.partial(jax.jit, compiler_options=FAST_COMPILE)
    def run(scores):
        found = []
        for name, target, options in calls:
            loss = functools.partial(getattr(ja.functional, name), reduction="none", **options)
            value, pullback = jax.vjp(lambda x, f=loss, y=target: f(x, jnp.asarray(y)), scores)
            found.append((value, *pullback(jnp.ones_like(value))))
        return found

    tensor = torch.tensor(scores).requires_grad_()
    for (name, target, options), found in zip(calls, run(jnp.asarray(scores)), strict=True):
        theirs = getattr(F, name)(tensor, torch.tensor(target), reduction="none", **options)
        expected = (theirs.detach(), *torch.autograd.grad(theirs.sum(), tensor))
        for own, other in zip(found, expected, strict=True):
            assert_close(own, other, tol.LAYER_FLOAT64_OF_MAX, 1.0, name, special=True)


@pytest.mark.parametrize("name", sorted(BUILTINS))
def test_signature_is_the_one_that_pytorch_documents(name):
    first, *rest = F.__dict__[name.split(".")[1]].__doc__.strip().splitlines()[0].split(", ")
    own = inspect.signature(lookup("jaxaccel", name)).parameters
    documented = [first.partition("(")[2], *(text.split(")")[0] for text in rest)]
    found = [f"{n}={p.default}" if p.default is not p.empty else n for n, p in own.items()]
    assert [text.replace("1e-6", "1e-06") for text in documented] == found


def test_soft_margin_loss_does_not_overflow():
    x, y = np.array([-1e3, -800.0]), np.ones(2)
    assert F.soft_margin_loss(torch.tensor(x), torch.tensor(y)).isinf()
    value, gradient = jax.value_and_grad(ja.functional.soft_margin_loss)(jnp.asarray(x), y)
    assert (float(value), gradient.tolist()) == (900.0, [-0.5, -0.5])


@pytest.mark.parity
def test_a_margin_hides_no_nan():
    scores, others = np.array([[np.nan, 1.0], [0.5, 0.25]]), np.array([[0.5, -1.0], [2.0, 0.0]])
    signs = -np.ones(2)
    calls = (
        ("margin_ranking_loss", (scores, others, np.broadcast_to(signs, (2, 2)))),
        ("hinge_embedding_loss", (scores, np.broadcast_to(signs, (2, 2)))),
        ("cosine_embedding_loss", (scores, others, signs)),
        ("triplet_margin_loss", (scores, others, others[::-1].copy())),
    )
    for name, arrays in calls:
        first, *rest = (torch.tensor(array) for array in arrays)
        first.requires_grad_()
        expected = getattr(F, name)(first, *rest, reduction="none")
        expected.sum().backward()
        loss_of = functools.partial(getattr(ja.functional, name), reduction="none")
        found, pullback = jax.vjp(lambda x, f=loss_of, r=arrays[1:]: f(x, *r), jnp.asarray(scores))
        (gradient,) = pullback(jnp.ones_like(found))
        assert np.isnan(expected.detach().numpy()).sum() == 1
        np.testing.assert_array_equal(np.isnan(found), torch.isnan(expected), err_msg=name)
        np.testing.assert_array_equal(np.isnan(gradient), torch.isnan(first.grad), err_msg=name)


def test_a_count_of_zero_has_a_gradient():
    x, y = torch.ones(1).double(), torch.zeros(1).double().requires_grad_()
    F.poisson_nll_loss(x, y, full=True).backward()
    assert y.grad.isnan()
    loss = functools.partial(ja.functional.poisson_nll_loss, full=True)
    assert jax.grad(loss, 1)(jnp.ones(1), jnp.zeros(1)).tolist() == [-1.0]


@pytest.mark.parity
@pytest.mark.parametrize("case", LINEAR_CROSS_ENTROPY[:1], ids=lambda case: case.id)
def test_linear_cross_entropy(case):
    """Every row with indices and probabilities, of one position a row and of several."""
    del case
    rng = np.random.default_rng(0)
    runs = []
    for row in LINEAR_CROSS_ENTROPY:
        for positions in ((), (2, 3)):
            x, w, b = (rng.normal(size=s) for s in ((4, 3), (5, *positions, 3), (5, *positions)))
            classes = rng.integers(0, 5, (4, *positions))
            shares = rng.uniform(size=(4, 5, *positions))
            options = dict(row.kwargs)
            if options.pop("ignore_index", None) is None:
                runs.append((x, w, b, shares, options))
            runs.append((x, w, b, classes, row.kwargs))
    found = _own_linear_cross_entropy([run[:4] for run in runs], [run[4] for run in runs])
    for (x, w, b, target, options), (value, gradients) in zip(runs, found, strict=True):
        tensors = [torch.tensor(each).requires_grad_() for each in (x, w, b)]
        theirs = F.linear_cross_entropy(
            *tensors[:2], torch.tensor(target), linear_bias=tensors[2], **options
        )
        theirs.sum().backward()
        assert_close(value, theirs.detach(), tol.LAYER_FLOAT64_OF_MAX)
        back = (gradients[0], _classes_first(gradients[1]), np.moveaxis(gradients[2], -1, 0))
        for gradient, tensor in zip(back, tensors, strict=True):
            assert_close(gradient, tensor.grad, tol.LAYER_FLOAT64_OF_MAX, 1.0)


def _classes_first(weight):
    """Return a weight (in, *positions, classes) as (classes, *positions, in)."""
    return np.swapaxes(np.asarray(weight), 0, -1)


def _own_linear_cross_entropy(arrays, options):
    """Return the values and gradients of all runs, which are one program."""

    @functools.partial(jax.jit, compiler_options=FAST_COMPILE)
    def run(arrays):
        found = []
        for (x, w, b, target), kwargs in zip(arrays, options, strict=True):

            def loss(x, w, b, target=target, kwargs=kwargs):
                return ja.functional.linear_cross_entropy(x, w, target, linear_bias=b, **kwargs)

            value, pullback = jax.vjp(loss, x, w, b)
            found.append((value, pullback(jnp.ones_like(value))))
        return found

    own = [(x, np.swapaxes(w, 0, -1), np.moveaxis(b, 0, -1), _last(t, x)) for x, w, b, t in arrays]
    return run(jax.tree.map(jnp.asarray, own))


def _last(target, x):
    """Return probabilities with their classes last; indices as they are."""
    return np.moveaxis(target, 1, -1) if target.dtype.kind == "f" and x.ndim > 1 else target


def test_errors_of_linear_cross_entropy():
    x, w, y = jnp.ones((2, 3)), jnp.ones((3, 2)), jnp.ones((2, 2))
    loss = ja.functional.linear_cross_entropy
    for text, call in {
        "expected input with dimensionality 1 or 2, got 3": lambda: loss(x[None], w, y),
        "expected linear_weight with dimensionality at least 2": lambda: loss(x, w[:, 0], y),
        "got 3 and 2, respectively\nlinear_weight is (in_features, C)": lambda: loss(x, w.T, y),
        "ignore_index cannot be specified": lambda: loss(x, w, y, ignore_index=0),
        "requires batched input, (N, 3)": lambda: loss(x[0], jnp.ones((3, 4, 2)), y),
        "expected linear_bias shape (2,), got (3,)": lambda: loss(x, w, y, linear_bias=x[0]),
    }.items():
        with pytest.raises(ValueError, match=re.escape(text)):
            call()
