"""Functions that users bring: what they take is asked before tracing, what they return then."""

import traceback
from pathlib import Path

import jax.numpy as jnp
import numpy as np
import optax
import pytest
import torch

import jaxaccel as ja
from parity_tests.house.valid_calls import linear, loss_function

LIBRARY = str(Path(ja.__file__).parent)
OPT, S, T = ja.optimizers, ja.schedules, ja.training
X = np.ones((2, 3), np.float32)
GRADIENT_FN = T.gradients(loss_function)
STEP = T.train_step(GRADIENT_FN, OPT.sgd(0.1))


def updated(lr, optimizer=OPT.sgd):
    """Take a step with a learning rate."""
    tx = optimizer(lr)
    tx.update(X, tx.init(X), X)


def updated_group(lr):
    tx = OPT.param_groups(OPT.sgd, [], lr=lr)
    tx.update(X, tx.init(X), X)


def evaluated(metric_fn, weight=None):
    T.evaluate(metric_fn, 1.0, (), [X], weight=weight)


def of_rows(params, model_state, batch):
    return {"a": batch}


def minimized(value_fn):
    tx = OPT.lbfgs()
    tx.update(X, tx.init(X), X, value=1.0, value_fn=value_fn)


def own_factory(lr: OPT.Hyperparameter = 0.1):
    return OPT.sgd(lr)


OTHER_ARGUMENTS = {
    "a schedule of two": (lambda: OPT.sgd(lambda k, lr: 0.1), "(step) -> number, got <lambda>"),
    "a schedule of none": (
        lambda: OPT.adamw(lambda: 0.1),
        "lr must be a function (step) -> number",
    ),
    "a factory of schedules": (lambda: OPT.adamw(S.step_lr), "call it first: step_lr(...)"),
    "a beta of two": (
        lambda: OPT.adamw(betas=(lambda k, b: 0.1, 0.9)),
        "betas[0] must be a function",
    ),
    "a factor of two": (
        lambda: S.lambda_lr(0.1, lambda k, lr: 1.0),
        "lr_lambda must be a function",
    ),
    "a scale of two": (
        lambda: S.cyclic_lr(0.1, 0.5, scale_fn=lambda a, b: 1.0),
        "scale_fn must be a function",
    ),
    "one of several of two": (
        lambda: S.chained_scheduler([lambda a, b: 1.0]),
        "the function at index 0 of",
    ),
    "a predicate of one": (
        lambda: OPT.param_groups(OPT.sgd, [{"params": lambda path: True}]),
        '"params" of group 0 must be a function (path, leaf) -> bool, got <lambda>, which takes',
    ),
    "a predicate of gradients": (
        lambda: T.gradients(loss_function, trainable=lambda path: True),
        "trainable must be a function (path, leaf) -> bool",
    ),
    "a predicate of a model": (
        lambda: T.split_model(linear(), trainable=lambda path: True),
        "trainable must be a function (path, leaf) -> bool",
    ),
    "a layout of two": (lambda: OPT.muon(layout=lambda a, b: "flax"), "layout must be a function"),
    "a loss of one": (lambda: T.gradients(lambda params: 0.0), "which takes (params)"),
    "a step as a loss": (
        lambda: T.gradients(STEP),
        "got step, which takes (state, batch",
    ),
    "a step as gradients": (
        lambda: T.train_step(STEP, OPT.sgd(0.1)),
        "a step is made last, of a gradient function in all its wrappers",
    ),
    "a step in parallel": (
        lambda: ja.parallel.data_parallel(STEP, ja.parallel.make_mesh()),
        "data_parallel takes a gradient function",
    ),
    "a step in parts": (lambda: T.accumulate(STEP, 2), "accumulate takes a gradient function"),
    "a weight of two": (
        lambda: T.accumulate(GRADIENT_FN, 2, weight=lambda a, b: 1.0),
        "accumulate's weight must be a function (part) -> number",
    ),
    "metrics of one": (lambda: evaluated(lambda batch: {}), "metric_fn must be a function"),
    "a weight of metrics": (
        lambda: evaluated(of_rows, lambda: X),
        "weight must be a function (batch) -> array",
    ),
    "batches of none": (
        lambda: T.fit(STEP, T.train_state(1.0, OPT.sgd()), lambda: [X], progress=False),
        "batches must be a function (epoch) -> batches",
    ),
    "a function of a Hessian": (lambda: OPT.hessian_diagonal(lambda: 0.0, X), "loss_fn must be a"),
    "a closure of two": (lambda: minimized(lambda a, b: 0.0), "value_fn must be a function"),
    "an optimizer of one's own": (
        lambda: OPT.param_groups(own_factory, [], lr=0.1, momentum=0.9),
        "optimizer must be a function of lr, momentum, got own_factory, which takes (lr=0.1)",
    ),
    "an optimizer of optax": (
        lambda: OPT.param_groups(optax.adam, [], lr=0.1),
        "annotate them",
    ),
}
"""What is called with other arguments than it takes -> a part of the text."""

OTHER_VALUES = {
    "a vector": (lambda: updated(lambda k: jnp.ones(2)), "lr=<lambda> must return one real number"),
    "a text": (lambda: updated(lambda k: "x"), "must return one real number, got 'x'"),
    "nothing": (lambda: updated(lambda k: None), "must return one real number, got None"),
    "a schedule": (lambda: updated(S.constant_lr, OPT.adamw), "constant_lr(lr=0); what makes a"),
    "a vector in a group": (lambda: updated_group(lambda k: np.ones(2)), "lr=<lambda> must return"),
    "factors": (lambda: S.lambda_lr(0.1, lambda k: np.ones(2))(3), "lr_lambda must return one"),
    "factors of a traced step": (
        lambda: S.lambda_lr(0.1, lambda k: jnp.ones(2))(jnp.int32(3)),
        "lr_lambda must return one real number",
    ),
    "no factor": (lambda: S.lambda_lr(0.1, lambda k: None)(jnp.int32(3)), "got None"),
    "nothing to look at": (lambda: S.preview(lambda k: None, 3), "must return one real number"),
    "an array for a bool": (
        lambda: OPT.param_groups(OPT.sgd, [{"params": lambda path, leaf: X > 0}]).init(X),
        "must return a bool that is known now",
    ),
    "an array of metrics": (lambda: evaluated(lambda p, s, b: b), "metric_fn must return {name:"),
    "no metrics": (lambda: evaluated(lambda p, s, b: None), "metric_fn must return {name: array}"),
    "a metric of a text": (lambda: evaluated(lambda p, s, b: {"a": "x"}), "metric 'a' is a"),
    "a weight of a text": (lambda: evaluated(of_rows, lambda b: "x"), "weight(batch) is a builtin"),
    "weights of other rows": (
        lambda: evaluated(of_rows, lambda b: jnp.ones(7)),
        "weight must return an array of the metric's shape (2, 3) or of its first axes",
    ),
    "no loss": (lambda: OPT.hessian_diagonal(lambda p: None, X), "loss_fn must return one real"),
    "a loss of rows": (lambda: minimized(lambda p: X), "value_fn must return one real number"),
    "a layer of PyTorch": (
        lambda: ja.nn.Sequential(torch.nn.ReLU()),
        "ReLU is a layer of PyTorch, got ReLU() as '0'",
    ),
}
"""What returns something else -> a part of the text."""

APPLY, PARAMS, MODEL_STATE = T.split_model(linear())
CALLS = {
    "no mode": (lambda: APPLY(PARAMS, MODEL_STATE, X), "apply() needs training, which is missing"),
    "no state": (lambda: APPLY(PARAMS, X, training=True), "model_state must be what split_model"),
    "an empty state": (
        lambda: T.split_model(ja.nn.BatchNorm1d(3))[0](
            T.split_model(ja.nn.BatchNorm1d(3))[1], (), X, training=True
        ),
        "running_mean is missing",
    ),
    "a number": (lambda: APPLY(1.0, MODEL_STATE, X, training=True), "weight is missing"),
    "only inputs": (lambda: APPLY(X), "apply() needs model_state, which is missing"),
}
"""How the function of a model is called -> a part of the text."""


ROWS = {**OTHER_ARGUMENTS, **OTHER_VALUES, **CALLS}


def test_the_text_names_the_function():
    for why, (call, text) in ROWS.items():
        with pytest.raises((TypeError, ValueError)) as raised:
            call()
        *_, last = traceback.walk_tb(raised.value.__traceback__)
        assert last[0].f_code.co_filename.startswith(LIBRARY), (why, str(raised.value))
        assert text in str(raised.value), (why, str(raised.value))


def test_what_a_function_raises_itself_is_its_own():
    def schedule(step):
        raise TypeError("mine")

    with pytest.raises(TypeError, match="mine"):
        updated(schedule)
