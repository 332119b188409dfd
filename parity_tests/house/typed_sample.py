# pyright: reportUnnecessaryTypeIgnoreComment=true
"""What a user's type checker sees: right calls without an error, wrong ones with the named one.

It is checked with the library's own files and run by ``test_array_likes``. A comment that silences
an error which is not there is an error itself.
"""

from typing import Any, NamedTuple, assert_type

import jax
import jax.numpy as jnp
import numpy as np
import optax
from flax import nnx

import jaxaccel as ja

params = {"kernel": jnp.ones((3, 2)), "bias": jnp.ones(2)}


class RunState(NamedTuple):
    """A state of the user's own, which comes back as what it is."""

    params: dict[str, jax.Array]
    opt_state: Any


def lion(
    lr: ja.optimizers.Hyperparameter = 1e-4, beta: ja.optimizers.DecayFactor = 0.9
) -> optax.GradientTransformationExtraArgs:
    """A factory of the user's own."""
    return ja.optimizers.sgd(lr, momentum=beta)


class LionState(NamedTuple):
    """A state that takes part in ``state_dict``."""

    step: jax.Array
    exp_avg: Any
    torch_fields = ja.optimizers.TorchFields(("exp_avg",), shared=("step",))


def schedules() -> None:
    """Values have the type of the step; array-likes are numbers."""
    lr = ja.schedules.cosine_annealing_lr(np.float32(0.1), T_max=np.int64(100), eta_min=0)
    assert_type(lr(3), float)
    assert_type(lr(np.arange(3)), np.ndarray)
    assert_type(lr(jnp.arange(3)), jax.Array)
    joint = ja.schedules.sequential_lr([lr, lambda step: 0.1], milestones=[5])
    assert_type(joint(np.int64(2)), float)
    ja.schedules.preview({"lr": lr, "betas": (0.9, 0.999)}, steps=3)
    plateau = ja.schedules.reduce_lr_on_plateau(jnp.float32(0.1))
    assert_type(plateau.init(), ja.schedules.PlateauState)
    assert_type(ja.schedules.scale_lr(0.1, 256, np.int32(512)), float)


def optimizers() -> None:
    """Numbers, NumPy's and JAX' scalars, schedules and plain functions are hyperparameters."""
    ja.optimizers.adamw(np.float32(0.1), betas=(jnp.float32(0.9), 0.999), weight_decay=np.array(0))
    ja.optimizers.sgd(
        lambda step: 0.1 / (1 + step), momentum=ja.schedules.constant_schedule_with_warmup(1.0, 10)
    )
    tx = ja.optimizers.param_groups(
        ja.optimizers.adamw, [{"params": ja.optimizers.no_decay, "weight_decay": 0.0}], lr=0.1
    )
    assert_type(tx, optax.GradientTransformationExtraArgs)
    ja.optimizers.param_groups(lion, [{"params": "bias", "beta": 0.5}])
    state = RunState(params, tx.init(params))
    state = ja.optimizers.set_hyperparams(state, group="default", lr=np.float32(0.5))
    assert_type(state, RunState)
    assert_type(ja.optimizers.has_hyperparams(state), bool)
    for group in ja.optimizers.get_hyperparams(state):
        assert_type(group["name"], Any)
    chained = optax.chain(ja.transforms.clip_grad_norm(np.float64(1.0)), tx)
    updates, _ = chained.update(params, chained.init(params), params)
    optax.apply_updates(params, updates)


def layers() -> None:
    """Layers are nnx modules; a generator or ``nnx.Rngs`` draws their weights."""
    net = ja.nn.Sequential(
        ja.nn.Linear(3, 4, rngs=ja.random.Generator(0)),
        ja.nn.ReLU(),
        ja.nn.Linear(4, 2, rngs=nnx.Rngs(0)),
    )
    assert_type(ja.random.manual_seed(0), ja.random.Generator)
    assert_type(ja.functional.relu(net(jnp.ones((5, 3), jnp.float32))), jax.Array)


def training() -> None:
    """A step goes from a state to a state; what it is made of has types of its own."""
    net = ja.nn.Linear(3, 2, rngs=ja.random.Generator(0))
    apply, weights, model_state = ja.training.split_model(net)

    def loss_fn(params: Any, model_state: Any, batch: jax.Array) -> Any:
        outputs, model_state = apply(params, model_state, batch, training=True)
        return ja.functional.mse_loss(outputs, jnp.zeros_like(outputs)), (model_state, {})

    half = ja.precision.cast(apply, ja.precision.Policy())
    for model_function in (apply, half):
        found = model_function(weights, model_state, jnp.ones((4, 3), jnp.float32), training=True)
        assert_type(found, tuple[Any, Any])
    gradient_fn = ja.training.accumulate(ja.training.gradients(loss_fn), np.int64(2))
    tx = ja.optimizers.param_groups(ja.optimizers.sgd, [], lr=0.1)
    state = ja.training.train_state(weights, tx, model_state)
    assert_type(state, ja.training.TrainState)
    batch = jnp.ones((4, 3), jnp.float32)
    assert_type(gradient_fn(weights, model_state, batch), ja.training.Gradients)
    step = ja.training.train_step(gradient_fn, tx, max_grad_norm=1.0)
    stepped = step(ja.optimizers.set_hyperparams(state, lr=0.5), batch, value=None)
    assert_type(stepped, tuple[ja.training.TrainState, dict[str, jax.Array]])
    fitted = ja.training.fit(step, stepped[0], lambda epoch: [batch], progress=False)
    assert_type(fitted, tuple[ja.training.TrainState, ja.training.History])


def loss_with_key(params: Any, model_state: Any, batch: Any, key: jax.Array) -> Any:
    """A loss function that draws."""
    return jax.random.normal(key, ()), (model_state, {})


def loss_alone(params: Any, model_state: Any, batch: Any) -> jax.Array:
    """A loss without the model's state and the metrics."""
    return jnp.ones(())


def wrong() -> None:
    """Calls that a type checker refuses; nobody makes them."""
    ja.schedules.step_lr("0.1", 3)  # pyright: ignore[reportArgumentType]
    ja.schedules.constant_schedule_with_warmup(1.0, 10)("3")  # pyright: ignore[reportCallIssue, reportArgumentType]
    ja.optimizers.adamw(betas=0.9)  # pyright: ignore[reportArgumentType]
    ja.optimizers.adamw(learning_rate=0.9)  # pyright: ignore[reportCallIssue]
    ja.optimizers.set_hyperparams(params, group=0.5)  # pyright: ignore[reportArgumentType]
    ja.training.gradients(loss_with_key)
    ja.training.gradients(loss_alone)  # pyright: ignore[reportArgumentType]
    ja.precision.cast(loss_alone, ja.precision.Policy())  # pyright: ignore[reportArgumentType]
    _ = ja.optimizers.AdamW  # pyright: ignore[reportAttributeAccessIssue]
    _ = ja.optim  # pyright: ignore[reportAttributeAccessIssue]
