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


class ConvNet(nnx.Module):
    """Two convolutions with batch normalization, the second beside a residual, a linear layer."""

    def __init__(self, axis_name=None):
        options = {"dtype": jnp.float64, "rngs": nnx.Rngs(0)}
        for index, channels in enumerate((1, 2)):
            conv = ja.nn.Conv2d(channels, 2, 3, padding=1, stride=2 - index, bias=False, **options)
            setattr(self, f"conv{index}", conv)
            setattr(
                self, f"bn{index}", ja.nn.BatchNorm2d(2, axis_name=axis_name, dtype=jnp.float64)
            )
        self.fc = ja.nn.Linear(2, 10, **options)

    def __call__(self, x):
        x = jnp.maximum(self.bn0(self.conv0(x)), 0)
        x = jnp.maximum(x + self.bn1(self.conv1(x)), 0)
        return self.fc(jnp.mean(x, (1, 2)))


class TorchConvNet(torch.nn.Module):
    """The same in PyTorch."""

    def __init__(self):
        super().__init__()
        for index, channels in enumerate((1, 2)):
            conv = torch.nn.Conv2d(channels, 2, 3, padding=1, stride=2 - index, bias=False)
            setattr(self, f"conv{index}", conv)
            setattr(self, f"bn{index}", torch.nn.BatchNorm2d(2))
        self.fc = torch.nn.Linear(2, 10)

    def forward(self, x):
        x = torch.relu(self.bn0(self.conv0(x)))
        x = torch.relu(x + self.bn1(self.conv1(x)))
        return self.fc(x.mean((2, 3)))


def conv_net(axis_name=None):
    """Return a tiny float64 network with batch statistics in jaxaccel, and the same in PyTorch."""
    model, twin = ConvNet(axis_name), TorchConvNet().double()
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
