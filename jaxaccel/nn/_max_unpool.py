"""The layers that undo maximum pools."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import ClassVar

import jax
from flax import nnx

from jaxaccel._checked import checked
from jaxaccel._reversed_windows import unpool_windows
from jaxaccel.functional import max_unpool1d, max_unpool2d, max_unpool3d


class _MaxUnpool(nnx.Module):
    """What they share; ``_unpool`` is the function of their ``_axes`` spatial axes."""

    _axes: ClassVar[int]
    _unpool: ClassVar[Callable[..., jax.Array]]

    @checked
    def __init__(
        self,
        kernel_size: int | Sequence[int],
        stride: int | Sequence[int] | None = None,
        padding: int | Sequence[int] = 0,
    ):
        name = self._unpool.__name__
        windows = unpool_windows(name, self._axes, kernel_size, stride, padding)
        self.kernel_size, self.stride, self.padding, _ = zip(*windows, strict=True)

    @checked
    def __call__(
        self, input: jax.Array, indices: jax.Array, output_size: Sequence[int] | None = None
    ) -> jax.Array:
        """Return the output, in the input's dtype."""
        window = (self.kernel_size, self.stride, self.padding)
        return self._unpool(input, indices, *window, output_size)


class MaxUnpool2d(_MaxUnpool):
    """Put the values of a maximum pool of images back where they were.

    :func:`jaxaccel.functional.max_unpool2d`, channels last. A call takes what the pool returned
    with ``return_indices=True``, and the size of the pool's input where the numbers leave it open:
    ``layer(y, indices, output_size=(9, 9))`` or the shape of the batch.

    Args:
        kernel_size: The pool's window, one number or (height, width).
        stride: The pool's step, one number or (height, width); None for ``kernel_size``.
        padding: The pool's padding, one number or (height, width).

    Raises:
        ValueError: a bad argument; from a call, an input without three or four axes, indices of
            another shape or outside the output, an ``output_size`` of another pool.
        TypeError: from a call, ``indices`` that are not integers.

    PyTorch:
        ``torch.nn.MaxUnpool2d``: the same, channels last. PyTorch raises ``RuntimeError``, when the
        layer is called.

    Example:
        >>> import jax.numpy as jnp
        >>> import jaxaccel as ja
        >>> x = jnp.array([[[[1.0], [5.0]], [[2.0], [3.0]]]])
        >>> y, indices = ja.nn.MaxPool2d(2, return_indices=True)(x)
        >>> ja.nn.MaxUnpool2d(2)(y, indices)[0, :, :, 0].tolist()
        [[0.0, 5.0], [0.0, 0.0]]
    """

    _axes = 2
    _unpool = staticmethod(max_unpool2d)


class MaxUnpool1d(_MaxUnpool):
    """Put the values of a maximum pool of series back where they were.

    :func:`jaxaccel.functional.max_unpool1d`, channels last. A call takes what the pool returned
    with ``return_indices=True``, and the size of the pool's input where the numbers leave it open:
    ``layer(y, indices, output_size=(9, 9))`` or the shape of the batch.

    Args:
        as :class:`MaxUnpool2d`, of one number each.

    Raises:
        as :class:`MaxUnpool2d`, of an input without two or three axes.

    PyTorch:
        as :class:`MaxUnpool2d`, of ``torch.nn.MaxUnpool1d``.

    Example:
        >>> import jax.numpy as jnp
        >>> import jaxaccel as ja
        >>> pool = ja.nn.MaxPool1d(2, return_indices=True)
        >>> y, indices = pool(jnp.array([[1.0], [4.0], [3.0], [2.0]]))
        >>> ja.nn.MaxUnpool1d(2)(y, indices).ravel().tolist()
        [0.0, 4.0, 3.0, 0.0]
    """

    _axes = 1
    _unpool = staticmethod(max_unpool1d)


class MaxUnpool3d(_MaxUnpool):
    """Put the values of a maximum pool of volumes back where they were.

    :func:`jaxaccel.functional.max_unpool3d`, channels last. A call takes what the pool returned
    with ``return_indices=True``, and the size of the pool's input where the numbers leave it open:
    ``layer(y, indices, output_size=(9, 9))`` or the shape of the batch.

    Args:
        as :class:`MaxUnpool2d`, of three numbers, or one each.

    Raises:
        as :class:`MaxUnpool2d`, of an input without four or five axes.

    PyTorch:
        as :class:`MaxUnpool2d`, of ``torch.nn.MaxUnpool3d``.

    Example:
        >>> import jax.numpy as jnp
        >>> import jaxaccel as ja
        >>> y, indices = jnp.full((1, 1, 1, 1), 7.0), jnp.full((1, 1, 1, 1), 5)
        >>> ja.nn.MaxUnpool3d(2)(y, indices).ravel().tolist()
        [0.0, 0.0, 0.0, 0.0, 0.0, 7.0, 0.0, 0.0]
    """

    _axes = 3
    _unpool = staticmethod(max_unpool3d)
