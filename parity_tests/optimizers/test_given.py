"""What an optimizer is given: shapes, numbers of other kinds, and what does not belong to it."""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
import torch
from flax import nnx

import jaxaccel as ja
from parity_tests import tolerances as tol
from parity_tests.harness.compare import assert_close
from parity_tests.optimizers.rows_hyperparameters import decaying

optimizers, transforms = ja.optimizers, ja.transforms

OPTIMIZERS = {
    "sgd": optimizers.sgd(momentum=0.9),
    "adam": optimizers.adam(amsgrad=True),
    "adamw": optimizers.adamw(),
    "adamax": optimizers.adamax(),
    "nadam": optimizers.nadam(),
    "radam": optimizers.radam(),
    "adagrad": optimizers.adagrad(initial_accumulator_value=0.1),
    "adadelta": optimizers.adadelta(),
    "rmsprop": optimizers.rmsprop(momentum=0.9, centered=True),
    "rprop": optimizers.rprop(),
    "asgd": optimizers.asgd(),
    "adafactor": optimizers.adafactor(),
    "muon": optimizers.muon(),
    "lbfgs": optimizers.lbfgs(max_iter=1),
    "diagonal_newton": optimizers.diagonal_newton(beta=0.9),
}
WRAPPERS = {
    "lookahead": optimizers.lookahead(optimizers.adam()),
    "param_groups": optimizers.param_groups(optimizers.adamw, [{"params": "b"}], lr=0.1),
    "count_per_parameter": optimizers.count_per_parameter(optimizers.nadam()),
    "accumulate_gradients": transforms.accumulate_gradients(optimizers.adam(), 2),
}
TRANSFORMS = {
    "clip_grad_norm": transforms.clip_grad_norm(1.0),
    "clip_grad_value": transforms.clip_grad_value(1.0),
    "centralize_gradients": transforms.centralize_gradients(),
}
SPARSE = {"sparse_adam": optimizers.sparse_adam()}
DENSE = OPTIMIZERS | WRAPPERS
ALL = DENSE | TRANSFORMS | SPARSE
PARAMS = {"a": jnp.ones((2, 3)), "b": jnp.full((3, 2), 2.0)}

each = pytest.mark.parametrize("name", DENSE)


def extras(name, params):
    return {"hessian_diagonal": params} if name == "diagonal_newton" else {}


def described(tree):
    return jax.tree.map(lambda leaf: (leaf.shape, leaf.dtype, leaf.weak_type), tree)


@pytest.mark.parametrize("name", ALL)
def test_init_of_shapes_has_the_shapes_of_the_state(name):
    params = {"a": jnp.ones((2, 3), jnp.bfloat16), "b": jnp.ones((3, 2))}
    found = ALL[name].init(jax.eval_shape(lambda: params))
    assert described(found) == described(ALL[name].init(params))
    leaves = jax.tree.leaves(found)
    assert name == "centralize_gradients" or leaves
    assert all(isinstance(leaf, jax.ShapeDtypeStruct) for leaf in leaves)


@pytest.mark.parametrize("name", ALL)
def test_optax_maps_what_is_like_the_parameters(name):
    """Each leaf of a slot is mapped once, no count and no hyperparameter."""
    state = ALL[name].init(PARAMS)
    mapped = optax.tree.map_params(ALL[name], lambda leaf: jnp.full_like(leaf, 7), state)
    assert jax.tree.structure(mapped) == jax.tree.structure(state)
    shapes = {leaf.shape for leaf in PARAMS.values()} | {(2, 1), (1, 3), (3, 1), (1, 2)}
    for old, new in zip(jax.tree.leaves(state), jax.tree.leaves(mapped), strict=True):
        is_slot = old.shape in shapes and name != "lbfgs"
        assert np.array_equal(new, np.full_like(old, 7) if is_slot else old)


NUMBERS = {
    "python": {"a": 1.0, "b": -2.0},
    "numpy scalars": {"a": np.float64(1.0), "b": np.float32(-2.0)},
    "numpy arrays": {"a": np.ones((2, 3)), "b": np.full((3, 2), 2.0, np.float32)},
}


@pytest.mark.parametrize("kind", NUMBERS)
def test_numbers_and_numpy_arrays_are_as_jax_arrays(kind):
    given = NUMBERS[kind]
    params = {name: jnp.array(x, jnp.result_type(x)) for name, x in given.items()}
    grads = jax.tree.map(lambda leaf: leaf / 2, params)
    for name, tx in DENSE.items():
        if name == "muon" and kind != "numpy arrays":
            continue
        found, expected = (
            tx.update(grads, tx.init(p), p, **extras(name, params)) for p in (given, params)
        )
        assert described(found) == described(expected), name
        assert described(tx.init(given)) == described(tx.init(params)), name
        jax.tree.map(np.testing.assert_array_equal, found, expected)


def test_no_decay_of_a_tree_with_none():
    assert optimizers.no_decay("a", None)
    assert optimizers.no_decay("layer.bias", jnp.ones((2, 2)))
    tx = optimizers.param_groups(
        optimizers.sgd, [{"params": optimizers.no_decay, "weight_decay": 0.0}]
    )
    tx.init({"a": jnp.ones(2), "b": None})


# --- what is refused ----------------------------------------------------------------------------

WRONG_GRADIENTS = {
    "scalar": (lambda g: jnp.ones(()), ValueError, ["'a'", "()"]),
    "transposed": (lambda g: g.T, ValueError, ["'a'", "(3, 2)", "(2, 3)", "size '[2, 3]'"]),
    "row": (lambda g: g[:1], ValueError, ["'a'", "(1, 3)"]),
    "complex": (lambda g: g.astype(complex), TypeError, ["'a'", "complex128", "float64"]),
    "integers": (lambda g: g.astype(int), TypeError, ["'a'", "int64", "float64"]),
    "text": (lambda g: "g", (TypeError, ValueError), ["'a'"]),
    "tree": (lambda g: {"inside": g}, TypeError, ["'a'", "dict"]),
}


@each
def test_gradients_that_do_not_fit(name):
    tx = DENSE[name]
    state = tx.init(PARAMS)
    for what, (change, error, fragments) in WRONG_GRADIENTS.items():
        grads = PARAMS | {"a": change(PARAMS["a"])}
        with pytest.raises(error) as raised:
            tx.update(grads, state, PARAMS, **extras(name, PARAMS))
        for fragment in [*fragments, "'a'"]:
            assert fragment in str(raised.value), what
    for grads, fragment in (
        ({"a": PARAMS["a"]}, "lack 'b'"),
        (PARAMS | {"c": PARAMS["a"]}, "named 'c'"),
    ):
        with pytest.raises(ValueError, match=fragment):
            tx.update(grads, state, PARAMS, **extras(name, PARAMS))


ONES = jnp.ones(2)
UNLIKE = {
    "metadata": (
        {"a": nnx.Param(ONES), "b": {"c": nnx.Param(ONES, layout="flax")}},
        {"a": nnx.Param(ONES), "b": {"c": nnx.Param(ONES)}},
        "the metadata of 'b.c' differ: layout='flax', for the parameters no layout",
    ),
    "kind of variable": (
        {"b": nnx.BatchStat(ONES)},
        {"b": nnx.Param(ONES)},
        "'b' is BatchStat, for the parameters Param",
    ),
    "no variable": ({"b": ONES}, {"b": nnx.Param(ONES)}, "'b' is an array, for the parameters"),
    "list": ({"a": ONES, "b": [ONES]}, {"a": ONES, "b": (ONES,)}, "'b' is list, for the"),
    "the whole": ([ONES], (ONES,), "the whole is list, for the parameters tuple"),
}
"""Gradients and parameters whose paths are the same -> what is said of them."""


@pytest.mark.parametrize("what", UNLIKE)
def test_trees_of_the_same_paths_that_differ_say_where(what):
    grads, params, text = UNLIKE[what]
    tx = optimizers.sgd()
    with pytest.raises(ValueError, match="different trees") as raised:
        tx.update(grads, tx.init(params), params)
    assert text in str(raised.value)
    assert "custom node" not in str(raised.value)


def test_real_gradients_of_complex_parameters():
    params = {"a": jnp.ones(2, complex)}
    for name in ("sgd", "adam", "asgd", "lbfgs", "lookahead"):
        with pytest.raises(TypeError, match=r"'a' is float64, the parameter complex128"):
            DENSE[name].update({"a": jnp.ones(2)}, DENSE[name].init(params), params)


@pytest.mark.parametrize("name", ALL)
def test_a_state_of_another_kind(name):
    other = optimizers.adadelta() if name != "adadelta" else optimizers.sgd()
    for state in (other.init(PARAMS), (other.init(PARAMS),), {}):
        with pytest.raises(TypeError) as raised:
            ALL[name].update(PARAMS, state, PARAMS, **extras(name, PARAMS))
        assert type(state).__name__ in str(raised.value)
        assert type(ALL[name].init(PARAMS)).__name__ in str(raised.value)


@pytest.mark.parametrize(
    ("name", "kwargs", "field"),
    [
        ("sgd", {"momentum": 0.9}, "momentum_buffer"),
        ("rmsprop", {"momentum": 0.9}, "momentum_buffer"),
        ("rmsprop", {"centered": True}, "grad_avg"),
        ("adam", {"amsgrad": True}, "max_exp_avg_sq"),
        ("adamw", {"amsgrad": True}, "max_exp_avg_sq"),
        ("diagonal_newton", {"beta": 0.9}, "hessian_diagonal"),
    ],
)
def test_a_state_of_other_arguments(name, kwargs, field):
    """A run that goes on with a momentum that its state has no buffer for would have none."""
    params, factory = {"w": jnp.ones(2)}, getattr(ja.optimizers, name)
    plain, other = factory(0.1), factory(0.1, **kwargs)
    if name == "diagonal_newton":
        plain, other = factory(0.1, beta=0), other
    for tx, state, has in (
        (other, plain.init(params), f"lacks {field}"),
        (plain, other.init(params), f"has {field}"),
    ):
        with pytest.raises(ValueError, match=f"which {has}"):
            tx.update(params, state, params)


def test_a_state_of_other_parameters():
    """One that would broadcast."""
    for name, tx in OPTIMIZERS.items():
        if name not in ("lbfgs", "adafactor"):
            state = tx.init({"a": jnp.ones((1, 3)), "b": PARAMS["b"]})
            with pytest.raises(ValueError, match=r"state of 'a' has shape \(1, 3\)"):
                tx.update(PARAMS, state, PARAMS, **extras(name, PARAMS))


@pytest.mark.parametrize("name", DENSE | SPARSE)
def test_parameters_that_have_no_gradient(name):
    for leaf, dtype in ((jnp.ones((2, 2), int), "int64"), (jnp.ones((2, 2), bool), "bool")):
        with pytest.raises(TypeError) as raised:
            ALL[name].init({"b": jnp.ones((2, 2)), "n": leaf})
        with pytest.raises(RuntimeError) as theirs:
            torch.nn.Parameter(torch.ones(2, dtype=torch.int32))
        assert str(theirs.value).rstrip(".") in str(raised.value)
        assert "'n'" in str(raised.value)
        assert dtype in str(raised.value)


def step_fn(params, model_state, batch, *, loss_scale=None, key=None):
    raise AssertionError("computed")


CALLS = {
    "step": lambda f: ja.training.train_step(step_fn, f),
    "state": lambda f: ja.training.train_state(PARAMS, f),
    "lookahead": lambda f: optimizers.lookahead(f),
    "count": lambda f: optimizers.count_per_parameter(f),
    "accumulate": lambda f: transforms.accumulate_gradients(f, 2),
}


@pytest.mark.parametrize("call", CALLS)
def test_a_factory_that_was_not_called(call):
    with pytest.raises(TypeError, match=r"sgd.*call it.*: sgd\(\.\.\.\)"):
        CALLS[call](optimizers.sgd)
    with pytest.raises(TypeError, match=r"a transformation|GradientTransformation"):
        CALLS[call](0.1)


class Doubled:
    """A transformation of somebody's own."""

    def init(self, params):
        return ()

    def update(self, updates, state, params=None):
        return jax.tree.map(lambda leaf: 2 * leaf, updates), state


TAKERS = {
    "lookahead": lambda tx: optimizers.lookahead(tx, 2),
    "count": optimizers.count_per_parameter,
    "accumulate": lambda tx: transforms.accumulate_gradients(tx, 1),
    "count of accumulate": lambda tx: optimizers.count_per_parameter(
        transforms.accumulate_gradients(tx, 1)
    ),
}


@pytest.mark.parametrize("taker", TAKERS)
def test_whatever_has_init_and_update_is_a_transformation(taker):
    with jax.numpy_dtype_promotion("standard"):
        for tx, factor in (
            (Doubled(), 2.0),
            (optax.MultiSteps(optimizers.sgd(1.0), 1), -1.0),
            (optax.GradientTransformation(Doubled().init, Doubled().update), 2.0),
        ):
            own = TAKERS[taker](tx)
            updates, _ = own.update(PARAMS, own.init(PARAMS), PARAMS)
            np.testing.assert_allclose(updates["b"], factor * PARAMS["b"])


@pytest.mark.parametrize("true", [True, np.True_, np.array(True), jnp.array(True)])
def test_masks_of_every_kind_of_bool(true):
    mask = {"a": true, "b": ~np.array(true)}
    tx = optimizers.param_groups(optimizers.sgd, [{"params": mask, "lr": 0.5}], lr=0.1)
    updates, _ = tx.update(PARAMS, tx.init(PARAMS), PARAMS)
    assert float(updates["a"][0, 0]) == pytest.approx(-0.5)
    assert float(updates["b"][0, 0]) == pytest.approx(-0.2)


def test_masks_that_are_not_known_or_several():
    for leaf in (jnp.array([True, False, True]), jnp.array(1)):
        with pytest.raises(TypeError, match="tree of bools"):
            optimizers.param_groups(optimizers.sgd, [{"params": {"a": leaf, "b": False}}])
    with pytest.raises(TypeError, match="tree of bools"):
        jax.jit(lambda leaf: optimizers.param_groups(optimizers.sgd, [{"params": leaf}]))(True)


def test_groups_that_can_be_read_once():
    """They are part of the call that is printed, pickled and given to PyTorch."""
    groups = [{"params": "a", "lr": 0.5}]
    with pytest.raises(TypeError, match=r"'groups'.*not generator(?s:.*)give list\(groups\)"):
        optimizers.param_groups(optimizers.sgd, (group for group in groups))
    optimizers.param_groups(optimizers.sgd, tuple(groups))


def test_a_factory_that_was_called():
    with pytest.raises(TypeError, match=r"(?s)optimizer.*function.*adamw\(lr=0.001\)"):
        optimizers.param_groups(optimizers.adamw(1e-3), [])


@pytest.mark.parametrize(
    ("selector", "error", "fragment"),
    [
        (3, TypeError, "regular expression, a predicate"),
        ("(", ValueError, "not a regular expression"),
        ({"a": 1}, TypeError, "tree of bools"),
        (None, TypeError, "None"),
        (nnx.PathContains("head"), TypeError, "PathContains"),  # it would see a text, not a path
        (nnx.Param, TypeError, "nnx"),
        (..., TypeError, "nnx"),
    ],
)
def test_a_selector_of_another_kind(selector, error, fragment):
    calls = [lambda: optimizers.param_groups(optimizers.sgd, [{"params": selector}])]
    if selector is not None:
        calls.append(lambda: ja.training.gradients(lambda *_: None, trainable=selector))
    for call in calls:
        with pytest.raises(error, match=fragment):
            call()


def test_states_that_do_not_say_what_they_count():
    for tx in (optax.adam(1e-3), optax.chain(optimizers.sgd(), optax.scale_by_adam())):
        with pytest.raises(TypeError, match="ScaleByAdamState does not say"):
            optimizers.count_per_parameter(tx).init(PARAMS)


class OwnState(NamedTuple):
    step: jax.Array
    average: object


@pytest.mark.parametrize("own_counts", [("step",), (), None])
def test_a_state_that_says_what_it_counts(own_counts):
    """One that says nothing stays as it is, unless it is known to count for averages."""
    saying = type("Saying", (OwnState,), {"own_counts": own_counts})
    tx = optax.GradientTransformation(
        lambda params: saying(jnp.zeros((), jnp.int32), params),
        lambda updates, state, params=None: (updates, state),
    )
    state = optimizers.count_per_parameter(optax.chain(tx, optimizers.sgd())).init(PARAMS)
    found = state.inner_state[0]
    assert type(found) is saying
    assert isinstance(found.step, optimizers.Counts) == bool(own_counts)
    if own_counts:
        assert set(found.step.of_leaves) == set(PARAMS)
    assert found.average is not None


# --- where schedules are read -------------------------------------------------------------------

SCHEDULED = {
    "sgd": optimizers.sgd,
    "adam": optimizers.adam,
    "adamw": optimizers.adamw,
    "adamax": optimizers.adamax,
    "nadam": optimizers.nadam,
    "radam": optimizers.radam,
    "adagrad": optimizers.adagrad,
    "adadelta": optimizers.adadelta,
    "rmsprop": optimizers.rmsprop,
    "rprop": optimizers.rprop,
    "asgd": optimizers.asgd,
    "adafactor": optimizers.adafactor,
    "muon": optimizers.muon,
    "lbfgs": lambda lr: optimizers.lbfgs(lr, max_iter=1),
    "diagonal_newton": optimizers.diagonal_newton,
    "param_groups": lambda lr: optimizers.param_groups(optimizers.sgd, [{"params": "a"}], lr=lr),
    "lookahead": lambda lr: optimizers.lookahead(optimizers.sgd(lr), k=1, alpha=0.5),
    "alpha of lookahead": lambda lr: optimizers.lookahead(optimizers.sgd(0.1), k=1, alpha=lr),
    "accumulate_gradients": lambda lr: transforms.accumulate_gradients(optimizers.sgd(lr), 1),
    "count_per_parameter": lambda lr: optimizers.count_per_parameter(optimizers.adam(lr)),
    "clip_grad_norm": transforms.clip_grad_norm,
    "clip_grad_value": transforms.clip_grad_value,
    "plateau in a chain": lambda lr: optax.chain(
        optimizers.sgd(lr), ja.schedules.reduce_lr_on_plateau(0.1).transformation
    ),
}


@pytest.mark.parametrize("name", SCHEDULED)
def test_schedules_are_read_at_the_step_that_is_given(name):
    """A step with a schedule and ``schedule_step=`` is that with the number it has there."""
    kwargs = extras(name, PARAMS) | {"value": None}

    def second(lr, **extra):
        tx, state = SCHEDULED[name](lr), None
        state = tx.init(PARAMS)
        _, state = tx.update(PARAMS, state, PARAMS, **kwargs, **extra)
        return tx.update(PARAMS, state, PARAMS, **kwargs, **extra)[0]

    found = second(decaying, schedule_step=30)
    jax.tree.map(
        lambda a, b: assert_close(a, b, tol.FLOAT32_ONE_STEP, what=name),
        found,
        second(float(decaying(30))),
    )
    other = second(decaying)
    assert not np.allclose(found["a"], other["a"], rtol=1e-4)


WRONG_STEPS = {
    "fraction": (-2.5, TypeError),
    "float": (2.0, TypeError),
    "text": ("x", TypeError),
    "bool": (True, TypeError),
    "several": (jnp.ones(3, int), TypeError),
    "list": ([1], TypeError),
    "negative": (-1, ValueError),
    "negative array": (jnp.asarray(-3), ValueError),
}


@pytest.mark.parametrize("wrong", WRONG_STEPS)
def test_a_step_of_schedules_is_one_number_of_updates(wrong):
    given, error = WRONG_STEPS[wrong]
    for name in ("sgd", "param_groups", "count_per_parameter", "clip_grad_norm"):
        tx = SCHEDULED[name](0.1)
        with pytest.raises(error, match=r"schedule_step must be .* scheduler\.step\(\) calls"):
            tx.update(PARAMS, tx.init(PARAMS), PARAMS, schedule_step=given)
    gradient_fn = ja.training.gradients(lambda p, s, b: (jnp.sum(p * b), (s, {})))
    step = ja.training.train_step(gradient_fn, optimizers.sgd())
    state = ja.training.train_state(jnp.ones(()), optimizers.sgd())
    with pytest.raises(error, match="schedule_step must be"):
        step(state, jnp.ones(()), schedule_step=given)


def test_the_metric_of_the_learning_rate_follows_the_given_step():
    tx = optimizers.param_groups(optimizers.sgd, [], lr=decaying)
    gradient_fn = ja.training.gradients(lambda p, s, b: (jnp.sum(p * b), (s, {})))
    step = ja.training.train_step(gradient_fn, tx, donate=False)
    state = ja.training.train_state(jnp.ones(()), tx)
    for at in (3, 3, 7):
        old = state.params
        state, metrics = step(state, jnp.ones(()), schedule_step=at)
        assert np.isclose(metrics["lr"], decaying(at), rtol=1e-6)
        assert np.isclose(old - state.params, decaying(at), rtol=1e-5)


# --- PyTorch's other default dtype --------------------------------------------------------------


@pytest.mark.parametrize(("name", "oracle"), [("nadam", "NAdam"), ("asgd", "ASGD")])
def test_inner_numbers_are_those_of_the_usual_default_dtype(name, oracle):
    """``torch.set_default_dtype(float64)`` changes PyTorch's run in the eighth digit, not ours."""
    start = np.linspace(1.0, 2.0, 5)
    found = {}
    for dtype in (torch.float32, torch.float64):
        torch.set_default_dtype(dtype)
        try:
            p = torch.nn.Parameter(torch.tensor(start, dtype=torch.float64))
            optimizer = getattr(torch.optim, oracle)([p], lr=0.1)
            for _ in range(10):
                p.grad = p.detach().clone()
                optimizer.step()
        finally:
            torch.set_default_dtype(torch.float32)
        found[dtype] = p.detach().numpy()
    tx = getattr(optimizers, name)(lr=0.1)
    params = jnp.asarray(start)
    state = tx.init(params)
    for _ in range(10):
        updates, state = tx.update(params, state, params)
        params = params + updates
    assert_close(params, found[torch.float32], tol.TRANSFORM_FLOAT64_OF_MAX * 10)
    assert 1e-10 < np.max(np.abs(params - found[torch.float64])) < 1e-6
