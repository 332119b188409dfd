"""How a step is called, and what its functions return or cannot do: what the texts name."""

import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import torch

import jaxaccel as ja


@ja.training.gradients
def gradients(params, model_state, batch):
    return jnp.mean((params - batch) ** 2), (model_state, {})


def call_step(*given, gradient_fn=gradients, rate=0.1, **extra):
    tx = ja.optimizers.sgd(rate)
    state = ja.training.train_state(jnp.ones(()), tx)
    ja.training.train_step(gradient_fn, tx)(state, *given, **extra)


def step_returning(returned, wrapped=lambda gradient_fn: gradient_fn):
    """Take a step with a model that has a state, whose loss function returns another."""
    apply, params, model_state = ja.training.split_model(ja.nn.BatchNorm1d(2))

    def loss_fn(params, model_state, batch):
        outputs, model_state = apply(params, model_state, batch, training=True)
        return outputs.mean(), returned(model_state)

    tx = ja.optimizers.sgd()
    state = ja.training.train_state(params, tx, model_state=model_state)
    step = ja.training.train_step(wrapped(ja.training.gradients(loss_fn)), tx)
    step(state, jnp.ones((4, 2), jnp.float32))


def in_parts(gradient_fn):
    return ja.training.accumulate(gradient_fn, 2)


WRONG = {
    "two arguments for a batch": (
        lambda: call_step(jnp.ones(2), jnp.ones(2)),
        ["got 3 arguments", "step(state, (x, y))"],
    ),
    "step without a batch": (call_step, ["batch is missing", "step(state, batch)"]),
    "step on a batch by other names": (
        lambda: call_step(x=jnp.ones(2)),
        ["batch is missing", "(x, y)"],
    ),
    "learning rate of a step": (
        lambda: call_step(jnp.ones(2), lr=1e-3),
        ["no lr=, got 0.001", "schedule", "set_hyperparams"],
    ),
    "mode of a step": (lambda: call_step(jnp.ones(2), training=True), ["training=, got True"]),
    "key of a step": (
        lambda: call_step(jnp.ones(2), key=jax.random.key(0)),
        ["no key=", "train_state(params, tx, key=key)"],
    ),
    "tensor for a step": (
        lambda: call_step(jnp.ones(2), value=torch.tensor(1.0)),
        ["extra argument 'value' is a torch.Tensor", "numpy()"],
    ),
    "no model state": (
        lambda: step_returning(lambda state: (None, {})),
        ["returned model_state as None", "given State {", "mean: float32[2]", "apply returned"],
    ),
    "an empty model state": (
        lambda: step_returning(lambda state: ({}, {})),
        ["returned model_state as {}", "given State {", "apply returned"],
    ),
    "an empty model state in parts": (
        lambda: step_returning(lambda state: ((), {}), in_parts),
        ["returned model_state as ()", "given State {", "apply returned"],
    ),
    "metrics before the model state": (
        lambda: step_returning(lambda state: ({"a": jnp.ones(())}, state)),
        ["returned model_state as {a: float", "(loss, (model_state, metrics))"],
    ),
    "a list as a metric": (
        lambda: step_returning(lambda state: (state, {"a": [1.0, 2.0]})),
        ["metric 'a' must be one number, got [1.0, 2.0]", "a name of its own"],
    ),
}


@pytest.mark.parametrize("wrong", WRONG)
def test_error_names_the_value_and_the_remedy(wrong):
    call, fragments = WRONG[wrong]
    with pytest.raises(TypeError) as raised:
        call()
    for fragment in fragments:
        assert fragment in str(raised.value)


def test_state_and_batch_may_be_named():
    tx = ja.optimizers.sgd()
    step = ja.training.train_step(gradients, tx, donate=False)
    state, batch = ja.training.train_state(jnp.ones(()), tx), jnp.zeros(2)
    expected = step(state, batch)[0].params
    assert step(state, batch=batch)[0].params == expected
    assert step(batch=batch, state=state)[0].params == expected


def test_an_untraceable_loss_function_is_told_what_to_write():
    """JAX's own error, and what to do instead."""
    asking = {
        "item": lambda loss: loss.item(),
        "float": float,
        "array": np.asarray,
        "if": lambda loss: loss if loss > 0 else -loss,
        "format": lambda loss: f"{loss:.2f}",
    }
    for name, ask in asking.items():

        def loss_fn(params, model_state, batch, ask=ask):
            loss = jnp.mean(params * batch)
            return loss, (model_state, {"loss": ask(loss)})

        with pytest.raises(TypeError) as raised:
            call_step(jnp.ones(2), gradient_fn=ja.training.gradients(loss_fn))
        notes = "".join(getattr(raised.value, "__notes__", []))
        for fragment in ("a loss function is traced", "loss.item()", "jnp.where", "metrics"):
            assert fragment in notes, (name, raised.value)


def test_an_untraceable_learning_rate_is_told_what_to_write():
    """Schedules that ask for the step's value: of an optimizer, of a group."""
    rates = {
        "if": lambda k: 0.1 if k < 3 else 0.2,
        "math": lambda k: math.cos(k),
        "numpy": lambda k: np.cos(k),
        "float": lambda k: 1.0 / (1.0 + float(k)),
        "list": lambda k: [0.1, 0.2][k],
        "dict": lambda k: {0: 0.1}[k],
    }
    for name, rate in rates.items():
        with pytest.raises(TypeError, match=r"lr=<lambda> cannot be traced") as raised:
            call_step(jnp.ones(2), rate=rate)
        for fragment in ("jnp.where(", "jnp.cos(k)", "jnp.asarray(values)[k]", "total_steps="):
            assert fragment in str(raised.value), name
        assert raised.value.__cause__ is not None, name
    tx = ja.optimizers.param_groups(ja.optimizers.sgd, [], lr=rates["if"])
    with pytest.raises(TypeError, match="lr=<lambda> cannot be traced"):
        jax.jit(lambda w: tx.update(w, tx.init(w), w))(jnp.ones(2))


@pytest.mark.quick
def test_a_step_is_lowered_without_arrays():
    tx = ja.optimizers.adamw(0.1)
    step = ja.training.train_step(gradients, tx)
    state, batch = ja.training.train_state(jnp.ones((4, 8)), tx), jnp.zeros((4, 8))
    shapes = jax.eval_shape(lambda: (state, batch))
    programs = [step.lowered(*given) for given in ((state, batch), shapes)]
    assert len({program.as_text() for program in programs}) == 1
    report = ja.aot.report(programs[1].compile())
    held = sum(leaf.nbytes for leaf in jax.tree.leaves(state))
    assert (report.argument_bytes, report.alias_bytes) == (held + batch.nbytes, held)
    kept = ja.training.train_step(gradients, tx, donate=False).lowered(*shapes).compile()
    assert ja.aot.report(kept).alias_bytes == 0
    with pytest.raises(TypeError, match="a step takes a TrainState, got ArrayImpl"):
        step.lowered(batch, batch)
    scaled = ja.training.train_step(gradients, tx, scaler=ja.precision.grad_scaler())
    with pytest.raises(TypeError, match="the step was made with a scaler"):
        scaled.lowered(*shapes)
    again = jax.jit(step).lower(*shapes).compile()
    assert ja.aot.report(again).alias_bytes == 0, (
        "a program of the user's own, which donates nothing"
    )
