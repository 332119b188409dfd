"""Mixup: each image is shown through the one before it."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np

from jaxaccel._checked import checked
from jaxaccel._types import Generator, Key
from jaxaccel.data._mixed import check_mixed, drawn_share, mixed, mixed_labels


@checked
def mixup(
    key: Key | Generator,
    images: jax.Array | np.ndarray,
    labels: jax.Array | np.ndarray,
    *,
    alpha: float = 1.0,
    num_classes: int | None = None,
) -> tuple[jax.Array, jax.Array]:
    r"""Mix each image, and its label, with the one before it in the batch.

    A pure function for the inside of a compiled step, behind ``normalize``. One share is drawn for
    the batch. The soft labels are what :func:`jaxaccel.functional.cross_entropy` takes in the place
    of classes, with ``label_smoothing`` or without. Of a batch that is sharded over devices, each
    device hands its last image to the next one.

    .. math::

        \lambda \sim \mathrm{Beta}(\alpha, \alpha), \qquad
        \tilde x_n = \lambda x_n + (1 - \lambda) x_{n-1}, \qquad
        \tilde y_n = \lambda y_n + (1 - \lambda) y_{n-1}

    Args:
        key: A JAX key: the same key gives the same share. Or a :class:`jaxaccel.random.Generator`,
            for PyTorch's own share, drawn on the host.
        images: Shape ``(N, height, width, channels)``, floating point, in random order.
        labels: Classes, integers of shape (N,), or probabilities, (N, num_classes).
        alpha: Of the beta distribution, above 0: near 0 most images stay what they are.
        num_classes: How many classes there are; not needed beside probabilities.

    Returns:
        ``(images, labels)``: of the shape and dtype of ``images``, and probabilities of shape
        (N, num_classes), float32 unless ``labels`` are of another floating dtype.

    Raises:
        TypeError: ``images`` are not floating point, or ``labels`` are neither integers nor
            probabilities.
        ValueError: ``images`` does not have four axes, a shape does not fit, ``num_classes`` is
            missing, or ``alpha`` is not above 0.

    PyTorch:
        ``torchvision.transforms.v2.MixUp``: the same pairs, the same share with a generator, and
        the same distribution with a key. Left out: ``labels_getter``.

    Example:
        >>> import jax
        >>> import jax.numpy as jnp
        >>> import jaxaccel as ja
        >>> images, labels = jnp.ones((2, 4, 4, 3), jnp.float32), jnp.array([0, 1])
        >>> images, labels = ja.data.mixup(ja.random.manual_seed(0), images, labels, num_classes=2)
        >>> [round(float(probability), 3) for probability in labels[0]]
        [0.864, 0.136]

    References:
        Zhang et al. mixup: Beyond Empirical Risk Minimization. 2017.
        https://arxiv.org/abs/1710.09412
    """
    check_mixed("mixup", images, labels, alpha, num_classes)
    if not jnp.issubdtype(images.dtype, jnp.floating):
        raise TypeError(
            f"mixup: images must be floating point, got {images.dtype}; mix behind normalize"
        )
    share = drawn_share(key, alpha)
    return mixed(jnp.asarray(images), share), mixed_labels(labels, share, num_classes)
