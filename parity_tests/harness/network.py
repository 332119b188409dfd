"""Small networks and steps that the tests of training and of parallelism share."""

import jax.numpy as jnp
import numpy as np
import optax
import torch
from flax import nnx

import jaxaccel as ja
import torch_ref


def images_and_labels(count, size=8, channels=1, seed=0):
    """Return normal float64 images, channels last, and labels of ten classes."""
    rng = np.random.default_rng(seed)
    images = rng.normal(size=(count, size, size, channels))
    return images, rng.integers(0, 10, size=count).astype(np.int32)


def classification_loss(apply):
    """Return the loss function of a classifier, as ``training.gradients`` takes it."""

    def loss_fn(params, model_state, batch):
        images, labels = batch
        logits, model_state = apply(params, model_state, images, training=True)
        loss = optax.softmax_cross_entropy_with_integer_labels(logits, labels).mean()
        correct = jnp.mean((jnp.argmax(logits, axis=-1) == labels).astype(logits.dtype))
        return loss, (model_state, {"accuracy": correct})

    return loss_fn


def resnet(axis_name=None):
    """Return a tiny float64 ResNet-10 in jaxaccel and the same in PyTorch."""
    model = ja.models.resnet10(
        in_channels=1, width=2, dtype=jnp.float64, axis_name=axis_name, rngs=nnx.Rngs(0)
    )
    twin = torch_ref.models.resnet10(in_channels=1, width=2).double()
    load_into_torch(model, twin)
    return model, twin


def perceptron():
    """Return a small float64 perceptron in jaxaccel and the same in PyTorch."""
    model = ja.models.mlp(64, [16], 10, dtype=jnp.float64, rngs=nnx.Rngs(0))
    twin = torch_ref.models.mlp(64, [16], 10).double()
    load_into_torch(model, twin)
    return model, twin


def load_into_torch(model, twin):
    """Copy a jaxaccel model's numbers into its PyTorch twin."""
    twin.load_state_dict({k: torch.tensor(v) for k, v in ja.nn.state_dict(model).items()})


def torch_batch(images, labels):
    """Return a batch as PyTorch takes it: channels first, int64 labels."""
    return torch.tensor(images).permute(0, 3, 1, 2), torch.tensor(labels).long()


def weights_of(model, state):
    """Return a training state's weights and running statistics under PyTorch's names."""
    loaded = nnx.clone(model)
    nnx.update(loaded, state.params, state.model_state)
    return ja.nn.state_dict(loaded)
