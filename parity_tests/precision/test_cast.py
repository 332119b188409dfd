"""A model function in bfloat16: what is cast, what is not, and against autocast."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import torch
from flax import nnx

import jaxaccel as ja

POLICY = ja.precision.Policy()


def test_parameters_and_inputs_are_cast_and_nothing_else():
    seen = {}

    def apply(params, model_state, x, *, mask, training, rate):
        seen.update(w=params["w"], state=model_state["mean"], x=x, mask=mask, rate=rate)
        assert training is True
        return {"logits": x @ params["w"], "classes": jnp.zeros(4, jnp.int32)}, model_state

    def loss_fn(params, model_state, batch):
        x, target, label = batch
        cast_apply = ja.precision.cast(apply, POLICY)
        outputs, model_state = cast_apply(
            params, model_state, x, mask=jnp.ones(4, bool), training=True, rate=0.1
        )
        seen.update(target=target, label=label, **outputs)
        return jnp.mean((outputs["logits"] - target) ** 2), (model_state, {})

    tx = ja.optimizers.adamw(lr=0.1)
    state = ja.training.train_state(
        {"w": jnp.ones((3, 1), jnp.float32)}, tx, {"mean": jnp.ones(3, jnp.float32)}
    )
    batch = jnp.ones((4, 3), jnp.float32), jnp.ones((4, 1), jnp.float32), jnp.zeros(4, jnp.int32)
    step = ja.training.train_step(ja.training.gradients(loss_fn), tx)
    state, metrics = step(state, batch)
    assert seen.pop("rate") == 0.1
    assert {name: str(array.dtype) for name, array in seen.items()} == {
        **dict.fromkeys(("w", "x"), "bfloat16"),
        **dict.fromkeys(("state", "logits", "target"), "float32"),
        **dict.fromkeys(("label", "classes"), "int32"),
        "mask": "bool",
    }
    kept = jax.tree.leaves((state.params, state.model_state, state.opt_state.exp_avg))
    assert {leaf.dtype for leaf in kept} == {jnp.dtype("float32")}
    assert metrics["loss"].dtype == jnp.float32


def test_targets_are_not_rounded():
    """A regression on targets that bfloat16 cannot tell apart: the loss is PyTorch's."""
    target = torch.tensor([[256.5], [257.25]])
    layer = ja.nn.Linear(1, 1, rngs=nnx.Rngs(0))
    twin = torch.nn.Linear(1, 1)
    twin.load_state_dict({k: torch.tensor(v) for k, v in ja.nn.state_dict(layer).items()})
    apply, params, model_state = ja.training.split_model(layer)
    outputs, _ = ja.precision.cast(apply, POLICY)(
        params, model_state, jnp.ones((2, 1), jnp.float32), training=True
    )
    with torch.autocast("cpu", dtype=torch.bfloat16):
        theirs = twin(torch.ones(2, 1))
    expected = torch.nn.functional.mse_loss(theirs.float(), target)
    found = ja.functional.mse_loss(outputs, jnp.asarray(target.numpy()))
    assert float(found) == expected.item()


def test_frozen_parameters_are_cast_too_and_come_back_as_they_were():
    model = ja.models.mlp(4, [3], 2, rngs=nnx.Rngs(0))
    apply, params, model_state = ja.training.split_model(model, "layers.1")
    outputs, new_state = ja.precision.cast(apply, POLICY._replace(output_dtype=jnp.bfloat16))(
        params, model_state, jnp.ones((2, 4), jnp.float32), training=True
    )
    twin_apply, all_params, rest = ja.training.split_model(model)
    expected, _ = ja.precision.cast(twin_apply, POLICY._replace(output_dtype=jnp.bfloat16))(
        all_params, rest, jnp.ones((2, 4), jnp.float32), training=True
    )
    assert np.array_equal(outputs, expected)
    pairs = zip(*map(jax.tree.leaves, (new_state, model_state)), strict=True)
    assert all(a.dtype == b.dtype and np.array_equal(a, b) for a, b in pairs)


def test_what_is_not_a_dtype_is_named():
    with pytest.raises(TypeError, match="bfloat17"):
        ja.precision.Policy(compute_dtype="bfloat17").cast_to_compute(jnp.ones(2))
    for name in ("param_dtype", "compute_dtype", "output_dtype"):
        for wrong in ("bfloat17", jnp.int32, None):
            with pytest.raises(TypeError, match=f"{name} of a Policy must be a floating"):
                ja.precision.cast(lambda p, s, x: (x, s), ja.precision.Policy(**{name: wrong}))
