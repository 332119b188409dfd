"""What the checks of arguments must let pass: numbers, arrays and functions of any make."""

import copy
import fractions
import functools
import pickle

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from flax import nnx

import jaxaccel as ja

X = np.ones((2, 3), np.float32)
SQUARE = jnp.ones((3, 3), jnp.float32)
IMAGE = np.ones((1, 4, 4, 1), np.float32)
F, S, OPT = ja.functional, ja.schedules, ja.optimizers


def linear(features=3):
    return ja.nn.Linear(features, features, rngs=ja.random.manual_seed(0))


def encoder(activation):
    return ja.nn.TransformerEncoderLayer(
        4, 2, 4, activation=activation, rngs=ja.random.manual_seed(0)
    )


def gradient_fn(mesh, mode):
    @ja.training.gradients
    def gradients(params, model_state, batch):
        return jnp.mean(params * batch), (model_state, {})

    return ja.parallel.data_parallel(gradients, mesh, mode=mode)


def lowered(mode):
    """Lower for devices that are not here."""
    mesh = ja.parallel.make_mesh().abstract_mesh
    shapes = jax.ShapeDtypeStruct((), jnp.float32), (), jax.ShapeDtypeStruct((8,), jnp.float32)
    traced = jax.jit(gradient_fn(mesh, mode)).trace(*shapes)
    return traced.lower(lowering_platforms=("tpu",)).as_text()


def over_layers():
    layers = nnx.vmap(lambda rngs: ja.nn.Linear(3, 3, rngs=rngs))(nnx.Rngs(0).split(2))
    step = nnx.scan(lambda layer, x: layer(x), in_axes=(0, nnx.Carry), out_axes=nnx.Carry)
    return step(layers, X)


INTEGERS = {"NumPy's": np.int64, "of no axes": np.array, "JAX's": jnp.array}
SWITCHES = {"NumPy's": np.bool_, "of no axes": np.array, "JAX's": jnp.array}
PAIRS = {"a list": list, "NumPy's": np.array, "JAX's": jnp.array}
TAKEN = {
    **{f"a size, {kind}": lambda of=of: linear(of(3)) for kind, of in INTEGERS.items()},
    **{
        f"a switch, {kind}": lambda of=of: F.dropout(X, 0.5, of(False))
        for kind, of in SWITCHES.items()
    },
    **{
        f"a pair, {kind}": lambda of=of: (
            F.interpolate(IMAGE, of([2, 2])),
            F.interpolate(IMAGE, scale_factor=of([2.0, 2.0])),
            ja.nn.MaxPool2d(of([2, 2]), padding=of([0, 0])),
            F.pad(X, of([0, 1])),
        )
        for kind, of in PAIRS.items()
    },
    "a count of a schedule that is a float": lambda: [
        S.cosine_annealing_lr(0.1, 10.0),
        S.step_lr(0.1, np.float32(3)),
        S.multi_step_lr(0.1, np.array([2.0, 3.0])),
        S.reduce_lr_on_plateau(0.1, patience=10.0),
    ],
    "an infinite norm as a text": lambda: [
        ja.transforms.get_total_norm(X, "inf"),
        ja.transforms.clip_grad_norm(1.0, "inf"),
    ],
    "variables": lambda: F.linear(*map(nnx.Param, (SQUARE, SQUARE, SQUARE[0]))),
    "a variable as a number": lambda: F.leaky_relu(X, nnx.Param(jnp.asarray(0.1))),
    "a dtype by name": lambda: F.softmax(X, -1, dtype="bfloat16"),
    "Python's float as a dtype": lambda: F.softmax(X, -1, dtype=float),
    "a scalar type as a dtype": lambda: F.softmax(X, -1, dtype=jnp.bfloat16),
    "a partial as an activation": lambda: encoder(functools.partial(jax.nn.gelu, approximate=True)),
    "a layer as an activation": lambda: encoder(ja.nn.ReLU()),
    "a schedule as lr": lambda: OPT.sgd(S.step_lr(0.1, 3)).init(X),
    "optax's schedule as lr": lambda: OPT.sgd(optax.constant_schedule(0.1)).init(X),
    "a partial as lr": lambda: OPT.sgd(functools.partial(lambda lr, step: lr, 0.1)).init(X),
    "inject_hyperparams": lambda: optax.inject_hyperparams(OPT.sgd)(lr=0.1).init(X),
    "shapes": lambda: OPT.adam().init(jax.ShapeDtypeStruct((2,), jnp.float32)),
    "a state in the abstract": lambda: jax.eval_shape(
        lambda x: ja.training.train_state(x, OPT.sgd()), X
    ),
    "a traced number": lambda: jax.eval_shape(F.leaky_relu, X, 0.1),
    "a traced probability": lambda: jax.jit(lambda p: F.dropout(X, p, key=jax.random.key(0)))(0.5),
    "a fraction as lr": lambda: OPT.sgd(fractions.Fraction(1, 10)).update(X, OPT.sgd().init(X), X),
    "a fraction as a slope": lambda: F.leaky_relu(X, fractions.Fraction(1, 10)),
    "a traced learning rate": lambda: jax.eval_shape(lambda lr: OPT.sgd(lr).init(X), 0.1),
    "mapped layers": over_layers,
    "a rematerialized layer": lambda: nnx.remat(lambda layer, x: layer(x))(linear(), X),
    "a copied layer": lambda: copy.deepcopy(linear()),
    "a pickled function": lambda: pickle.loads(pickle.dumps(F.relu)),
    **{
        f"{mode} on a mesh without devices": lambda mode=mode: lowered(mode)
        for mode in ("jit", "shard_map")
    },
}


@pytest.mark.parametrize("what", TAKEN)
def test_is_taken(what):
    TAKEN[what]()


def test_a_number_on_the_device_is_known_inside_of_a_program_too():
    half, two, key = jnp.float32(0.5), jnp.float32(2), jax.random.key(0)
    for ours, same in (
        (lambda x: F.dropout(x, half, key=key), lambda x: F.dropout(x, 0.5, key=key)),
        (lambda x: F.normalize(x, two), lambda x: F.normalize(x, 2.0)),
        (lambda x: F.layer_norm(x, (3,), eps=2**40), lambda x: F.layer_norm(x, (3,), eps=2.0**40)),
    ):
        np.testing.assert_array_equal(jax.jit(ours)(X), jax.jit(same)(X))


def test_a_variable_is_a_number_and_not_a_schedule():
    tx = OPT.sgd(nnx.Param(jnp.float32(0.25)))
    np.testing.assert_array_equal(tx.update(X, tx.init(X), X)[0], -0.25 * X)
