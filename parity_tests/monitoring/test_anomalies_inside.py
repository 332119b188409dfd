"""Where it is inside of loops, branches, parts of a batch and devices."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import jaxaccel as ja

X = jnp.arange(1.0, 9.0).reshape(8, 1)
AT = 5
"""The row whose logarithm is infinite."""


def broken():
    return X.at[AT].set(0.0)


def scan(x):
    def step(carry, row):
        return carry + 1, carry * jnp.log(row)

    return jax.lax.scan(step, jnp.zeros(1) + 1, x)[1]


def carried(x):
    """Infinite in one iteration, NaN two later."""

    def step(carry, row):
        kept, last = carry
        return (kept + jnp.log(row), kept), kept - last

    return jax.lax.scan(step, (jnp.zeros(1), jnp.zeros(1)), x)[1]


def backwards(x):
    def step(carry, row):
        return carry + jnp.log(row), ()

    return jax.lax.scan(step, jnp.zeros(1), x, reverse=True)[0]


def loop(x):
    def step(state):
        index, total = state
        return index + 1, total + jnp.log(x[index])

    return jax.lax.while_loop(lambda state: state[0] < 8, step, (0, jnp.zeros(1)))[1]


def branch(x):
    return jax.lax.cond(x[0, 0] > 0, lambda x: jnp.log(x), lambda x: x, x)


def nested(x):
    compiled = jax.jit(jax.checkpoint(lambda x: jax.nn.relu(jnp.log(x) * -1)))
    return jax.lax.map(lambda rows: jax.vmap(compiled)(rows), x.reshape(4, 2, 1))


@jax.custom_vjp
def own_derivative(x):
    return jnp.log(x)


own_derivative.defvjp(lambda x: (jnp.log(x), x), lambda x, g: (g / x,))


PROGRAMS = {
    scan: (AT,),
    carried: (AT,),
    backwards: (AT,),
    loop: (AT,),
    branch: (),
    nested: (AT // 2,),
    own_derivative: (),
}


@pytest.mark.parity
@pytest.mark.parametrize("function", PROGRAMS, ids=lambda function: function.__name__)
def test_the_iteration_and_the_operation(function):
    found = ja.monitoring.find_anomaly(function, broken())
    assert found.argument is None
    assert (found.first.name, found.first.iterations) == ("log", PROGRAMS[function])
    assert "1 inf of" in found.first.output
    assert {*found.first.inputs} == {"finite"}
    assert found.first.line.function.startswith(function.__name__)
    assert (found.became_nan is not None) == (function in (carried,))
    if function is carried:
        assert found.became_nan.name == "sub"
    assert ja.monitoring.find_anomaly(function, X) is None


MASK = np.array([[0.0, -np.inf], [-np.inf, -np.inf]])


def less_its_largest(scores):
    return scores - jnp.max(scores, axis=1, keepdims=True)


@pytest.mark.quick
def test_the_infinities_of_a_mask_are_not_the_cause():
    """Where all of a row is masked the difference makes NaN, and the mask is as it should be."""
    for masked in (
        lambda x: less_its_largest(x + MASK),
        lambda x: less_its_largest(jax.lax.select(MASK == 0, x, jnp.full((2, 2), -jnp.inf))),
    ):
        found = ja.monitoring.find_anomaly(masked, jnp.ones((2, 2)))
        assert (found.argument, found.first.name, found.became_nan) == (None, "sub", None)
        assert found.first.inputs == ("3 inf of 4", "1 inf of 2")


def masked_in_a_scan(x):
    def step(carry, row):
        return carry + jnp.where(MASK[0] == 0, jnp.log(row), MASK[0]), None

    return jax.lax.scan(step, jnp.zeros(2), x)[0]


def masked_in_a_loop(x):
    return jax.lax.while_loop(
        lambda state: state[0] < 2,
        lambda state: (state[0] + 1, state[1] + jnp.where(MASK == 0, jnp.log(x), MASK)),
        (0, jnp.zeros((2, 2))),
    )[1]


@pytest.mark.quick
def test_a_constant_is_not_an_argument_and_does_not_hide_an_operation():
    """What a function closes over comes before its arguments, compiled or not."""
    masked = jax.jit(lambda mask, x: jnp.where(mask == 0, jnp.log(x), mask))
    for function in (lambda x: masked(MASK, x), lambda x: 2 * masked(MASK, x)):
        found = ja.monitoring.find_anomaly(function, jnp.zeros((2, 2)))
        assert (found.argument, found.first.name) == (None, "log")
    for function in (masked_in_a_scan, masked_in_a_loop):
        found = ja.monitoring.find_anomaly(function, jnp.zeros((2, 2)))
        assert (found.argument, found.first.name, found.first.iterations) == (None, "log", (0,))
    nan, one = jnp.array([jnp.nan, 1.0]), jnp.ones(2)
    found = ja.monitoring.find_anomaly(lambda x: x + nan, one)
    assert (found.argument, found.first) == ("a constant that the function holds", None)
    found = ja.monitoring.find_anomaly(lambda x, y: jnp.log(-x) + y * np.ones(2), one, nan)
    assert found.argument == "y"  # given before the logarithm made its own


def in_a_loop(x, limit):
    return jax.lax.while_loop(
        lambda state: state[0] < limit,
        lambda state: (state[0] + 1, state[1] + (x - x)),
        (0, jnp.zeros(2)),
    )[1]


def in_a_branch(x, other):
    return jax.lax.cond(other > 0, lambda a, b: b - b, lambda a, b: b, other, x)


@pytest.mark.quick
def test_the_argument_that_a_loop_or_a_branch_makes_nan_of():
    """Also where it is the first argument of a program whose first operation this is."""
    for function, other in ((in_a_loop, np.array(3)), (in_a_branch, np.array(3)), (in_a_branch, 3)):
        found = ja.monitoring.find_anomaly(function, jnp.array([1.0, jnp.inf]), other)
        assert (found.argument, found.first, found.became_nan.name) == ("x", None, "sub")


@pytest.mark.quick
def test_a_stacks_layer_is_counted_by_the_innermost_loop():
    """As where a stack runs for each part of a batch."""

    def layer(rows):
        with jax.named_scope("layer:h.*.fc:Linear"):
            return jnp.log(rows)

    found = ja.monitoring.find_anomaly(
        lambda x: jax.lax.map(lambda part: jax.lax.map(layer, part), x.reshape(4, 2, 1)), broken()
    )
    assert (found.first.layer, found.first.iterations) == ("h.1.fc", (2, 1))


def loss_fn(params, model_state, batch):
    return jnp.mean(jnp.log(batch) @ params["w"]), (model_state, {})


def made_of(wrap):
    """Return what is found in a step of a wrapped gradient function."""
    tx = ja.optimizers.sgd(lr=0.1)
    step = ja.training.train_step(wrap(ja.training.gradients(loss_fn)), tx)
    return step, tx


def test_the_part_of_a_batch():
    step, tx = made_of(lambda gradient_fn: ja.training.accumulate(gradient_fn, 4, unroll=False))
    found = ja.monitoring.find_anomaly(
        step, ja.training.train_state({"w": jnp.ones(1)}, tx), broken()
    )
    assert (found.first.name, found.first.phase) == ("log", "forward")
    assert found.first.iterations == (AT // 2 - 1,)  # the first part stands before the loop
    assert found.gradients == ("w",)


@pytest.mark.parity
@pytest.mark.parametrize("mode", ["jit", "shard_map"])
def test_on_devices(mode):
    """Of whole arrays, and of each device's own."""
    mesh = ja.parallel.make_mesh({"data": 8})
    step, tx = made_of(lambda gradient_fn: ja.parallel.data_parallel(gradient_fn, mesh, mode=mode))
    state = ja.training.train_state({"w": jnp.ones(1)}, tx, mesh=mesh)
    batch = ja.parallel.shard_batch(broken(), mesh)
    step = ja.monitoring.detect_anomaly(step)
    with pytest.raises(FloatingPointError) as caught:
        step(state, batch)
    found = caught.value.args[0]
    assert (found.first.name, found.first.phase) == ("log", "forward")
    assert found.first.devices == (8 if mode == "shard_map" else None)
    assert found.first.output == "1 inf of 8"
    state = ja.training.train_state({"w": jnp.ones(1)}, tx, mesh=mesh)
    state, metrics = step(state, ja.parallel.shard_batch(X, mesh))
    assert np.isfinite(metrics["loss"])
