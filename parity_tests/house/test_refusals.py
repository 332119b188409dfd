"""What no annotation says: what a function makes, what users' functions return, remedies."""

import traceback
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
import torch

import jaxaccel as ja
from parity_tests.house.valid_calls import GENERATOR

LIBRARY = str(Path(ja.__file__).parent)

IMAGES = np.ones((2, 3, 8, 8), np.float32)
PACKED = torch.nn.utils.rnn.pack_sequence([torch.ones(2, 3)])
REMEDIES = {
    **{
        f"{layer.__name__} of NCHW": (layer(3, *more), IMAGES, "pass x.transpose(0, 2, 3, 1)")
        for layer, *more in (
            (lambda n: ja.nn.Conv2d(n, 4, 3, rngs=GENERATOR),),
            (lambda n: ja.nn.ConvTranspose2d(n, 4, 3, rngs=GENERATOR),),
            (ja.nn.BatchNorm2d,),
            (ja.nn.GroupNorm, 3),
            (lambda n: ja.nn.InstanceNorm2d(n, affine=True),),
        )
    },
    "PyTorch's weight": (
        lambda x: ja.functional.linear(x, np.ones((4, 3), np.float32)),
        np.ones((2, 3), np.float32),
        "pass weight.T",
    ),
    "classes on axis 1": (
        lambda x: ja.functional.cross_entropy(x, np.zeros((2, 8, 8), np.int32)),
        IMAGES,
        "pass input.transpose(0, 2, 3, 1), or say class_axis=1",
    ),
    **{
        f"{layer.__name__} of a packed sequence": (
            layer(3, 4, rngs=GENERATOR),
            PACKED,
            "pad_packed_sequence",
        )
        for layer in (ja.nn.RNN, ja.nn.LSTM, ja.nn.GRU)
    },
    "inplace": (lambda x: ja.nn.ReLU(inplace=x), True, "never changed in place"),
    "inplace by position": (lambda x: ja.nn.Dropout(0.5, x), True, "inplace is left out"),
    "parameters": (lambda x: ja.optimizers.adamw(x, 0.1), {"w": IMAGES}, "state = tx.init(params)"),
    "an optimizer": (lambda x: ja.schedules.step_lr(x, 3), ja.optimizers.sgd(0.1), "as its lr"),
    "fused": (lambda x: ja.optimizers.adamw(fused=x), True, "XLA decides"),
    "a text for a switch": (lambda x: ja.optimizers.sgd(maximize=x), "False", "true in Python"),
    "a factory": (lambda x: ja.optimizers.lookahead(x), ja.optimizers.sgd, "first: sgd(...)"),
    "an option of an optimizer that is another": (
        lambda x: ja.optimizers.adamw(amsgrad=x),
        "yes",
        "adamw(): argument 'amsgrad'",
    ),
    "a rate behind the betas": (
        lambda x: ja.optimizers.adamw((0.9, 0.99), x),
        0.1,
        "in each other's place: adamw(lr, betas)",
    ),
    "a tensor for a number": (
        ja.nn.Dropout,
        torch.tensor(0.5),
        "tensor.item() is its number",
    ),
    "size_average": (
        lambda x: ja.functional.mse_loss(IMAGES, IMAGES, size_average=x),
        True,
        'reduction="mean"',
    ),
    "an optimizer of a step": (
        lambda x: ja.training.train_step(abs, optimizer=x),
        ja.optimizers.sgd(0.1),
        "say tx=",
    ),
    "parameters of a layer": (lambda x: ja.nn.Linear(params=x), 3, "it is Linear(in_features"),
    "a key of a gradient function": (
        lambda x: ja.training.accumulate(abs, 2, key=x),
        3,
        "it is accumulate(gradient_fn",
    ),
    "a key of a layer": (lambda x: ja.nn.Linear(2, 3, key=x), 3, "say rngs=nnx.Rngs(key)"),
    "a list as a mapping": (
        lambda x: ja.optimizers.param_groups(ja.optimizers.sgd, x),
        {"params": "."},
        "must be a list or tuple of mappings",
    ),
    "a factory in optax's chain": (
        lambda x: optax.chain(x, optax.scale(1.0)).init(1.0),
        ja.optimizers.adamw,
        "call it first: adamw(...)",
    ),
    "a factory that updates": (
        lambda x: optax.chain(x).update(1.0, ((),), 1.0),
        ja.transforms.clip_grad_norm,
        "call it first: clip_grad_norm(...)",
    ),
    "a factory of a state": (
        lambda x: ja.training.train_state(1.0, x),
        ja.optimizers.muon,
        "call it first: muon(...)",
    ),
    "a plateau as a rate": (
        ja.optimizers.adamw,
        ja.schedules.reduce_lr_on_plateau(0.1),
        "optax.chain(optimizer, plateau.transformation)",
    ),
    "a plateau as an optimizer": (
        lambda x: ja.optimizers.lookahead(x),
        ja.schedules.reduce_lr_on_plateau(0.1),
        "optax.chain(optimizer, plateau.transformation)",
    ),
    "an optimizer that was called": (
        lambda x: ja.optimizers.param_groups(x, []),
        ja.optimizers.adamw(1e-3),
        "pass the function and its arguments: param_groups(adamw",
    ),
    "groups before the optimizer": (
        lambda x: ja.optimizers.param_groups([{"params": "."}], x),
        ja.optimizers.adamw,
        "in each other's place: param_groups(optimizer, groups)",
    ),
    "a policy before the model": (
        lambda x: ja.precision.cast(ja.precision.Policy(), x),
        abs,
        "in each other's place: cast(apply, policy)",
    ),
    "a model's class": (ja.training.split_model, ja.nn.ReLU, "make one: ReLU(...)"),
    "a model's class to load": (
        lambda x: ja.nn.load_state_dict(x, {}),
        ja.nn.ReLU,
        "make one: ReLU(...)",
    ),
    "a layer's class": (ja.nn.Sequential, ja.nn.ReLU, "call it: ReLU(...)"),
    "a policy's class": (
        lambda x: ja.precision.cast(lambda p, s, x: (x, s), x),
        ja.precision.Policy,
        "make one: Policy(...)",
    ),
    "a model to cast": (
        lambda x: ja.precision.cast(x, ja.precision.Policy()),
        ja.nn.ReLU(),
        "training.split_model(model)",
    ),
    "a gradient function to cast": (
        lambda x: ja.precision.cast(x, ja.precision.Policy()),
        ja.training.gradients(lambda p, s, b: (p, (s, {}))),
        "the model function that its loss function calls",
    ),
    "a misspelt word": (lambda x: ja.optimizers.adam(weight_decays=x), 0.1, "did you mean weight_"),
}


KEY = jax.random.key(0)
NORMAL = ja.init.normal()
STEP_LR = ja.schedules.step_lr(0.1, 3)
SGD = ja.optimizers.sgd(0.1)
GRADIENT_FN = ja.training.gradients(lambda p, state, batch: (np.float32(1) * p, (state, {})))


GRADIENTS_IN_PARTS = ja.training.accumulate(GRADIENT_FN, 2)


def losing(metrics, loss=None):
    """Return a loss function with other metrics, or another loss."""
    return ja.training.gradients(
        lambda p, state, batch: (p if loss is None else loss, (state, metrics))
    )


def fit(step, batches):
    ja.training.fit(step, ja.training.train_state(1.0, SGD), batches, progress=False)


def evaluated(params=1.0, batches=(IMAGES,), weight=None):
    return ja.training.evaluate(
        lambda p, state, batch: {"a": batch[:, 0, 0, 0] * p}, params, (), batches, weight=weight
    )


INTEGERS = np.array([0, 1])
MASKED = np.ma.masked_array([1.0, 2.0], [True, False])


def gone(*shape):
    """Return an array that was deleted, as a donated one is."""
    array = jnp.ones(shape)
    array.delete()
    return array


MADE = {
    "a loss function that is cast": (
        lambda: ja.training.gradients(
            ja.precision.cast(lambda p, s, batch: (p.sum(), (s, {})), ja.precision.Policy())
        )(IMAGES, (), IMAGES),
        "it would round the targets and the loss too; cast the model function",
    ),
    "a number that is cast": (
        lambda: ja.precision.cast(lambda p, s, x: x, ja.precision.Policy())(IMAGES, (), IMAGES),
        "which returned",
    ),
    "an array that is gone": (
        lambda: ja.functional.conv1d(gone(2, 3), np.ones((1, 3, 3), np.float32)),
        "input, float64 of shape (2, 3), was donated to an earlier step",
    ),
    "a state that is gone": (
        lambda: ja.optimizers.state_dict(SGD.init(1.0)._replace(step=gone()), 1.0),
        "state at 'step', float64 of shape (), was donated",
    ),
    "a masked array in a batch": (
        lambda: GRADIENTS_IN_PARTS(1.0, (), {"x": MASKED}),
        "batch['x'] is an array of float64",
    ),
    "an array of a mask": (lambda: ja.functional.softmax(MASKED, -1), "array.filled(value) is"),
    "bools as gradients": (
        lambda: ja.transforms.clip_grads_with_norm({"a": IMAGES > 0}, 1.0, np.float32(2)),
        "floating point and complex dtype can require gradients",
    ),
    "a class as a schedule": (
        lambda: ja.optimizers.sgd(ja.nn.ReLU),
        "argument 'lr' (position 1) must be a number, a JAX scalar or a schedule",
    ),
    "a model's class as a loss": (
        lambda: ja.training.gradients(ja.nn.ReLU),
        "gradients takes a loss function",
    ),
    "a variable as a predicate": (
        lambda: ja.training.split_model(
            ja.nn.Linear(2, 2, rngs=GENERATOR), trainable=ja.nn.PReLU().weight
        ),
        "trainable must be a regular expression, a function (path, leaf) -> bool or a filter",
    ),
    "groups of numbers": (
        lambda: ja.optimizers.param_groups(ja.optimizers.sgd, range(2)),
        "group 0 of groups must be a mapping, got 0",
    ),
    "a count that is a bool": (
        lambda: ja.optimizers.load_state_dict(SGD.init(1.0), 1.0, {}, step=True),
        "step must be a number, got True",
    ),
    "a text to pack": (
        lambda: ja.training.packed_as("a", np.ones(2, np.float32)),
        "pass arrays or numbers",
    ),
    "a folder with a zero in it": (
        lambda: ja.aot.compilation_cache("a\0b"),
        "folder must be a path, which has no character 0 in it",
    ),
    "a shape that is a text": (
        lambda: NORMAL(KEY, "ab"),
        "shape must be a tuple of ints, got 'ab'",
    ),
    "a shape of texts": (lambda: NORMAL(KEY, ("a",)), "shape must be a tuple of ints"),
    "a negative size": (lambda: NORMAL(KEY, (-2,)), "negative dimension -2: [-2]"),
    "no dtype": (lambda: NORMAL(KEY, (2,), "nope"), "dtype must be a dtype such as jnp.float32"),
    "a constant of objects": (
        lambda: ja.init.constant(1.0)(None, (2,), object),
        "dtype must be a dtype",
    ),
    "negative features": (lambda: ja.nn.Linear(-4, 2, rngs=GENERATOR), "dimension -4: [-4, 2]"),
    "a negative norm": (lambda: ja.nn.LayerNorm(-4), "negative dimension -4: [-4]"),
    "negative statistics": (lambda: ja.nn.BatchNorm1d(-4), "negative dimension -4: [-4]"),
    "a list as a dtype": (lambda: ja.nn.Linear(2, 2, dtype=list, rngs=GENERATOR), "'dtype'"),
    "objects as a dtype": (lambda: ja.functional.softmax(IMAGES, -1, dtype=object), "'dtype'"),
    "a step that is a text": (lambda: STEP_LR("x"), "step must be an integer"),
    "a step that is a fraction": (lambda: STEP_LR(0.5), "step must be an integer"),
    "a state of texts": (lambda: SGD.update(1.0, "x", 1.0), "needs a SGDState"),
    "parameters of texts": (lambda: SGD.init({"a": "x"}), "'a' must be an array or a number"),
    "a clip of integers": (
        lambda: ja.transforms.clip_grad_norm(1.0).init(np.ones(2, int)),
        "Only Tensors of floating point and complex dtype",
    ),
    "the norm of shapes": (
        lambda: ja.transforms.get_total_norm(jax.ShapeDtypeStruct((2,), np.float32)),
        "tensors is a jax",
    ),
    "the norm of keys": (lambda: ja.transforms.get_total_norm(KEY), "floating point or complex"),
    "a scale of a text": (lambda: GRADIENT_FN(1.0, (), 1.0, loss_scale="x"), "loss_scale must be"),
    "a batch of a text": (
        lambda: ja.training.accumulate(GRADIENT_FN, 2)(1.0, (), "x"),
        "batch is a builtins.str, 'x'",
    ),
    "a key of a text": (
        lambda: ja.training.accumulate(GRADIENT_FN, 2)(1.0, (), IMAGES, key="x"),
        "key must be a typed key, got 'x'",
    ),
    "a metric of a number": (lambda: losing({1: 1.0})(1.0, (), 1.0), "names of metrics must be"),
    "a metric of a text": (lambda: losing({"a": "x"})(1.0, (), 1.0), "metric 'a' is a"),
    "a loss of a text": (lambda: losing({}, "x")(1.0, (), 1.0), "loss is a builtins.str"),
    "no batches": (lambda: fit(lambda s, b: (s, {}), lambda epoch: None), "got None"),
    "no metrics": (lambda: fit(lambda s, b: None, lambda epoch: [IMAGES]), "(state, metrics), got"),
    "words of a text": (lambda: GENERATOR.words32("x"), "Generator.words32(): argument 'n'"),
    "a state with an argument": (lambda: GENERATOR.get_state("x"), "Generator.get_state() takes 0"),
    "a factor of infinity": (
        lambda: ja.functional.interpolate(IMAGES, scale_factor=float("inf")),
        "scale_factor must be made of finite numbers",
    ),
    "no axis of classes": (
        lambda: ja.functional.cross_entropy(IMAGES, np.zeros((2, 8, 8), int), class_axis=9),
        "class_axis=9 is not an axis",
    ),
    "targets that do not fit": (
        lambda: ja.functional.kl_div(IMAGES[0, 0], np.ones(3, np.float32), "sum"),
        "The size of tensor a (8) must match the size of tensor b (3)",
    ),
    "no heads": (
        lambda: ja.nn.MultiheadAttention(4, 0, rngs=GENERATOR),
        "num_heads",
    ),
    "the largest of bools": (
        lambda: ja.functional.max_pool2d(IMAGES > 0, 2),
        "max_pool2d() takes floating-point numbers or integers, got an input of bool",
    ),
    "the largest of complex numbers": (
        lambda: ja.functional.adaptive_max_pool2d(IMAGES.astype(np.complex64), 2),
        "adaptive_max_pool2d() takes floating-point numbers or integers, got an input of complex",
    ),
    "minus a mask": (lambda: ja.functional.softmin(IMAGES > 0, -1), "expected a floating point"),
    "a table of bools": (
        lambda: ja.functional.embedding_bag(np.zeros((2, 2), int), np.ones((3, 2), bool)),
        "Expected tensor for argument #1 'weight' to have one of the following scalar types: Half",
    ),
    "a table of one axis": (
        lambda: ja.functional.embedding_renorm(np.ones(3, np.float32), INTEGERS, 1.0, 2.0),
        "Expected 2-dimensional tensor, but got 1-dimensional tensor for argument #1 'self' (while",
    ),
    "norms of integers": (
        lambda: ja.functional.embedding_renorm(np.ones((3, 2), int), INTEGERS, 1.0, 2.0),
        "norm(): input dtype should be either floating point or complex. Got int64 instead.",
    ),
    "no axis of channels": (
        lambda: ja.functional.batch_norm(IMAGES, None, None, training=True, channel_axis=4),
        "channel_axis should be an axis of an input of 4 dimensions, got 4",
    ),
    "a nest as a leaf": (lambda: ja.optimizers.no_decay("a", (1, (2,))), "got (1, (2,)); give one"),
    "packed as another tree": (
        lambda: ja.training.packed_as(np.ones(2, np.float32), ()),
        "a tree to pack must have the structure of what is packed: Expected tuple",
    ),
    "a batch for batches": (
        lambda: evaluated(batches=np.float32(2)),
        "batches must be an iterable, one pass over the set",
    ),
    "a weight of nothing": (
        lambda: evaluated(weight=lambda batch: None),
        "weight(batch) must return an array of one number a row, got None",
    ),
    "evaluate inside of jit": (
        lambda: jax.jit(lambda p: evaluated(params=p))(1.0),
        "call it outside jax.jit",
    ),
}
"""What was raw inside of what a function makes, or of a value -> a part of our text."""


def test_what_a_function_makes_refuses_in_our_words():
    for why, (call, text) in MADE.items():
        with pytest.raises((TypeError, ValueError)) as raised:
            call()
        *_, last = traceback.walk_tb(raised.value.__traceback__)
        assert last[0].f_code.co_filename.startswith(LIBRARY), why
        assert text in str(raised.value), (why, str(raised.value))


def test_the_remedy_is_in_the_text():
    for why, (call, value, remedy) in REMEDIES.items():
        with pytest.raises((TypeError, ValueError)) as raised:
            call(value)
        assert remedy in str(raised.value), (why, str(raised.value))


def test_a_traced_switch_is_refused():
    x = np.ones(2, np.float32)
    with pytest.raises(TypeError, match="static_argnames"):
        jax.jit(lambda training: ja.functional.dropout(x, 0.5, training))(True)


VECTOR = np.ones(2, np.float32)
TRACED = {
    "hardtanh(): argument 'min_val'": lambda n: ja.functional.hardtanh(VECTOR, n),
    "huber_loss(): argument 'delta'": lambda n: ja.functional.huber_loss(VECTOR, VECTOR, delta=n),
    "Dropout(): argument 'p'": lambda n: ja.nn.Dropout(n),
    "uniform(): argument 'a'": lambda n: ja.init.uniform(n),
    "interpolate(): argument 'scale_factor'": lambda n: ja.functional.interpolate(
        IMAGES, scale_factor=n
    ),
    "embedding_renorm(): argument 'norm_type'": lambda n: ja.functional.embedding_renorm(
        IMAGES[0, 0], INTEGERS, 1.0, n
    ),
    "batch_norm(): argument 'momentum' or 'eps'": lambda n: ja.functional.batch_norm(
        IMAGES, None, None, training=True, momentum=n, eps=n
    ),
}


def test_a_traced_number_whose_value_is_asked_for_is_named():
    for text, call in TRACED.items():
        with pytest.raises(TypeError) as raised:
            jax.make_jaxpr(call)(0.5)
        assert str(raised.value).startswith(text), str(raised.value)
        assert "static_argnames" in str(raised.value)
        assert isinstance(raised.value.__cause__, jax.errors.ConcretizationTypeError)


def test_a_users_function_keeps_jaxs_error_for_a_traced_number():
    def loss_function(params, model_state, batch):
        return params if params > 0 else -params, (model_state, {})

    def step(scale):
        return ja.training.gradients(loss_function)(1.0, (), VECTOR, loss_scale=scale)

    with pytest.raises(jax.errors.ConcretizationTypeError):
        jax.make_jaxpr(step)(2.0)
