"""count_recompiles beside what JAX says that it compiles."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import jaxaccel as ja

pytestmark = pytest.mark.quick


COMPILED = "/jax/core/compile/backend_compile_duration"


@pytest.fixture
def programs():
    """Return a list that grows by one with every program that JAX compiles."""
    found = []

    def listen(event, seconds, **facts):
        if event == COMPILED:
            found.append(facts)

    jax.monitoring.register_event_duration_secs_listener(listen)
    yield found
    jax.monitoring.unregister_event_duration_listener(listen)


def test_a_call_is_noted_where_jax_compiles(programs):
    compiled = jax.jit(lambda x, *, scale, name: x["a"] * scale, static_argnames="name")
    counted = ja.aot.count_recompiles(compiled, limit=None)

    def ones(shape, dtype=jnp.float32):
        return jnp.ones(shape, dtype)

    calls = [
        ({"a": ones(3)}, {"scale": 2.0, "name": "first"}),
        ({"a": ones(3)}, {"scale": 5.0, "name": "first"}),  # another number: the same program
        ({"a": ones(4)}, {"scale": 2.0, "name": "first"}),
        ({"a": ones(4, jnp.int32)}, {"scale": 2, "name": "first"}),
        ({"a": ones(4)}, {"scale": ones(()), "name": "first"}),
        ({"a": ones(4)}, {"scale": 2.0, "name": "second"}),
        ({"a": np.ones(4, np.float32)}, {"scale": 2.0, "name": "second"}),  # as an array of JAX's
        ({"a": ones(4), "b": ones(1)}, {"scale": 2.0, "name": "second"}),
        ({"a": jax.device_put(ones(4), jax.devices()[1])}, {"scale": 2.0, "name": "second"}),
        ({"a": ones(3)}, {"scale": 2.0, "name": "first"}),
    ]
    for args, kwargs in calls:
        noted, made = len(counted.recompiles), len(programs)
        with jax.numpy_dtype_promotion("standard"):
            counted(args, **kwargs)
        assert len(counted.recompiles) - noted == len(programs) - made
    assert [each.call for each in counted.recompiles] == [1, 3, 4, 5, 6, 8, 9]
    first, size, dtype, array, name, leaf, place = (each.changes for each in counted.recompiles)
    assert first == ()
    assert size == ("args[0]['a']: float32[4], was float32[3]",)
    assert dtype == (
        "args[0]['a']: int32[4], was float32[4]",
        "kwargs['scale']: int, was float",
    )
    assert array == ("kwargs['scale']: float32[], was float",)
    assert name == ("kwargs['name']: 'second', was 'first'",)
    assert leaf == ("args[0]['b']: float32[1], was nothing",)
    assert len(place) == 1
    assert "on SingleDeviceSharding" in place[0]


def test_it_is_compiled_as_the_function_that_it_counts():
    def fn(state, batch):
        return {"params": state["params"] + batch}, ()

    x = jax.ShapeDtypeStruct((4, 8), jnp.float32)
    for each in (fn, jax.jit(fn), jax.jit(fn, donate_argnums=0)):
        counted = ja.aot.count_recompiles(each)
        expected = ja.memory.report(each, {"params": x}, x)
        assert ja.memory.report(counted, {"params": x}, x)._replace(largest=()) == (
            expected._replace(largest=())
        )
        assert counted.lowered({"params": x}, x).as_text()
        assert counted.recompiles == []
        jax.eval_shape(lambda state, batch: counted(state, batch), {"params": x}, x)  # noqa: B023
        assert len(counted.recompiles) == 1


def test_one_warning_past_the_limit():
    counted = ja.aot.count_recompiles(jax.jit(jnp.sum), limit=2)
    for rows in (1, 2, 2, 1):
        counted(jnp.ones(rows))
    with pytest.warns(UserWarning, match=r"more than 2 programs [^@]*call 5: args\[0\]: float"):
        counted(jnp.ones(3))
    counted(jnp.ones(4))  # a second warning would be an error here


def test_wrong_arguments_are_refused():
    with pytest.raises(TypeError, match="fn must be a function"):
        ja.aot.count_recompiles(3)
    with pytest.raises(ValueError, match="limit must be at least 1"):
        ja.aot.count_recompiles(jnp.sum, limit=0)
