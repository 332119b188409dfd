"""What is printed is short: calls for what is called, shapes and dtypes for what holds arrays."""

import copy
import functools
import pickle

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


def own_lr(step):
    return 0.1


CALLS = {
    "adamw()": ja.optimizers.adamw,
    "adam(lr=0.1, betas=(0.5, 0.9))": lambda: ja.optimizers.adam(0.1, (0.5, 0.9)),
    "cosine_annealing_lr(lr=0.1, T_max=100)": lambda: ja.schedules.cosine_annealing_lr(
        0.1, T_max=100
    ),
    "sgd(lr=step_lr(lr=0.5, step_size=2), momentum=own_lr)": lambda: ja.optimizers.sgd(
        ja.schedules.step_lr(0.5, 2), own_lr
    ),
    "sgd(lr=0.25, momentum=float64[1])": lambda: ja.optimizers.sgd(
        jnp.float32(0.25), np.array([0.5])
    ),
    "sequential_lr(schedulers=[constant_lr(lr=1), exponential_lr(lr=1, gamma=0.5)], "
    "milestones=[3])": lambda: ja.schedules.sequential_lr(
        [ja.schedules.constant_lr(1), ja.schedules.exponential_lr(1, 0.5)], [3]
    ),
    "param_groups(optimizer=adamw, groups=[{'params': 'bias$', 'lr': 0.5}, "
    "{'params': no_decay}], weight_decay=0.1)": lambda: ja.optimizers.param_groups(
        ja.optimizers.adamw,
        [{"params": "bias$", "lr": 0.5}, {"params": ja.optimizers.no_decay}],
        weight_decay=0.1,
    ),
    "lookahead(tx=sgd(lr=0.5), k=2)": lambda: ja.optimizers.lookahead(ja.optimizers.sgd(0.5), 2),
    "clip_grad_norm(max_norm=1.0)": lambda: ja.transforms.clip_grad_norm(1.0),
    "reduce_lr_on_plateau(lr=0.1, factor=0.5)": lambda: ja.schedules.reduce_lr_on_plateau(
        0.1, factor=0.5
    ),
    "stochastic_weight_average()": ja.transforms.stochastic_weight_average,
}


@pytest.mark.parametrize("expected", CALLS)
def test_what_a_factory_returns_prints_its_call(expected):
    made = CALLS[expected]()
    assert repr(made) == str(made) == repr(copy.copy(made)) == repr(copy.deepcopy(made)) == expected


def test_a_pickle_holds_the_call():
    """So that a configured optimizer or schedule goes to another process."""
    schedule = ja.schedules.one_cycle_lr(0.1, total_steps=10)
    groups = [{"params": "bias$", "weight_decay": 0.0}]
    tx = ja.optimizers.param_groups(ja.optimizers.adamw, groups, lr=schedule)
    for made in (schedule, tx):
        again = pickle.loads(pickle.dumps(made))
        assert repr(again) == repr(made)
        assert type(again) is type(made)
    updates = [each.update(PARAMS, each.init(PARAMS), PARAMS)[0] for each in (tx, again)]
    assert jax.tree.all(jax.tree.map(np.array_equal, *updates))


def test_every_factory_does():
    """Whatever returns a transformation, a schedule or a pair of functions."""
    silent = []
    for room in (ja.optimizers, ja.transforms, ja.schedules):
        for name in room.__all__:
            value = getattr(room, name)
            returned = getattr(value, "__annotations__", {}).get("return", "")
            words = ("GradientTransformation", "Schedule", "Plateau", "WeightAverage")
            if (
                any(word in returned for word in words)
                and "call_repr" not in value.__code__.co_filename
            ):
                silent.append(name)
    assert not silent


def test_a_transformation_stays_optaxs():
    tx = ja.optimizers.sgd(0.5)
    assert isinstance(tx, optax.GradientTransformationExtraArgs)
    assert type(tx).__name__ == "GradientTransformationExtraArgs"
    init, update = tx
    assert (tx.init, tx.update) == (init, update)
    replaced = tx._replace(update=optax.identity().update)
    assert isinstance(replaced, optax.GradientTransformationExtraArgs)
    assert repr(replaced).startswith("GradientTransformationExtraArgs(init=<function")
    leaves, treedef = jax.tree.flatten(tx)
    assert jax.tree.unflatten(treedef, leaves) == tx
    assert functools.partial(tx.update)(jnp.ones(()), tx.init(jnp.ones(())))[0] == -0.5


def test_a_generator_prints_its_seed_and_tells_states_apart():
    generator = ja.random.Generator(7)
    assert repr(generator) == "Generator(seed=7)"
    generator.rand((2,))
    twin = pickle.loads(pickle.dumps(generator))
    assert repr(twin) == repr(generator) != "Generator(seed=7)"
    assert repr(generator).startswith("Generator(seed=7, state=")
    twin.rand((1,))
    assert repr(twin) != repr(generator)
    assert len(repr(twin)) < 60
    # The second normal of a pair is waiting.
    waiting = ja.random.Generator(7)
    waiting.next_normal = 0.5
    assert repr(waiting) != "Generator(seed=7)"
