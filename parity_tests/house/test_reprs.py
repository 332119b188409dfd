"""What is printed is short: calls for what is called, shapes and dtypes for what holds arrays."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

import jaxaccel as ja
from jaxaccel._tree import short_repr

PARAMS = {"a": {"kernel": jnp.ones((3, 4)), "bias": jnp.ones(4, jnp.float32)}}
MANY = {f"layer{i}": jnp.ones((500, 10)) for i in range(20)}
LEAVES = "{a.bias: float32[4], a.kernel: float64[3, 4]}"

STATES = {
    "adam": (
        lambda: ja.optimizers.adam().init(PARAMS),
        f"AdamState(step=0, exp_avg={LEAVES}, exp_avg_sq={LEAVES}, max_exp_avg_sq=None)",
    ),
    "sgd": (lambda: ja.optimizers.sgd().init(PARAMS), "SGDState(step=0, momentum_buffer=None)"),
    "one array": (
        lambda: ja.optimizers.rprop().init(jnp.ones(3)),
        "RpropState(step=0, prev=float64[3], step_size=float64[3])",
    ),
    "many leaves": (
        lambda: ja.optimizers.sgd(momentum=0.9).init(MANY),
        "SGDState(step=0, momentum_buffer={20 arrays, 100,000 numbers})",
    ),
    "groups": (
        lambda: ja.optimizers.param_groups(ja.optimizers.sgd, [], lr=0.1).init(jnp.ones(3)),
        "ParamGroupsState(step=0, hyperparams=({dampening: 0, lr: 0.1, weight_decay: 0},), "
        "inner_states=(SGDState(step=0, momentum_buffer=None),))",
    ),
    "shapes": (
        lambda: jax.eval_shape(ja.optimizers.sgd().init, PARAMS),
        "SGDState(step=int32[], momentum_buffer=None)",
    ),
}


@pytest.mark.parametrize("name", STATES)
def test_a_state_prints_shapes_and_dtypes(name):
    make, expected = STATES[name]
    assert repr(make()) == str(make()) == expected


def test_every_state_is_short():
    """Of every optimizer and transform that stores anything, on a tree of many arrays."""
    states = [
        value
        for room in (ja.optimizers, ja.transforms, ja.schedules)
        for value in map(vars(room).get, room.__all__)
        if isinstance(value, type) and value.__name__.endswith("State") and value._fields
    ]
    assert len(states) > 20
    for kind in states:
        text = repr(kind(*[MANY] * len(kind._fields)))
        assert len(text) < 70 * len(kind._fields), text


def test_what_cannot_be_read_is_described():
    """A tracer, a deleted (donated) array, a key, another library's state inside."""
    texts = []
    jax.jit(lambda x: texts.append(repr(ja.optimizers.SGDState(x, None))))(jnp.int32(3))
    assert texts == ["SGDState(step=int32[], momentum_buffer=None)"]
    gone = jnp.int32(3)
    gone.delete()
    assert repr(ja.optimizers.SGDState(gone, None)) == texts[0]
    key = jax.random.key(0)
    assert repr(ja.optimizers.SGDState(key, [key])) == (
        "SGDState(step=key<fry>[], momentum_buffer=[key<fry>[]])"
    )
    inner = optax.trace(0.9).init(jnp.ones(2))
    assert repr(ja.optimizers.LookaheadState(np.int32(2), (), inner)) == (
        "LookaheadState(step=2, slow=(), inner_state=TraceState(trace=float64[2]))"
    )


def test_values_of_many_kinds():
    class Mixed(tuple):
        _fields = ("a", "b", "c", "d", "e")

        def _asdict(self):
            return dict(zip(self._fields, self, strict=True))

    node = Mixed([True, jnp.bool_(True), jnp.bfloat16(0.1), {}, (1.5, "text")])
    assert short_repr(node) == "Mixed(a=True, b=True, c=0.100098, d={}, e=(1.5, 'text'))"
