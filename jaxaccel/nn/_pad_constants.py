"""The layers that pad with a constant."""

from __future__ import annotations

from collections.abc import Sequence

from jaxaccel._checked import checked
from jaxaccel.nn._pad_base import Pad


class _ConstantPad(Pad):
    """A pad with a constant."""

    _mode = "constant"

    @checked
    def __init__(self, padding: int | Sequence[int], value: float):
        super().__init__(padding)
        self.value = value

    def _value(self) -> float:
        return self.value


class ConstantPad2d(_ConstantPad):
    """Add a constant at the ends of images.

    :func:`jaxaccel.functional.pad`, channels last: (N, H, W, C) or (H, W, C).

    Args:
        padding: ``(left, right, top, bottom)``, or one number for all. Negative numbers take points
            off.
        value: The constant.

    Raises:
        ValueError: another number of lengths; from a call, an input without three or four axes, or
            more points taken off than there are.

    PyTorch:
        ``torch.nn.ConstantPad2d``: the same, channels last. PyTorch's takes arrays of any axes,
        and raises ``RuntimeError`` when the layer is called.

    Example:
        >>> import jax.numpy as jnp
        >>> import jaxaccel as ja
        >>> x = jnp.array([1.0, 2.0, 3.0]).reshape(1, 3, 1)
        >>> layer = ja.nn.ConstantPad2d((1, 1, 0, 0), 9.0)
        >>> layer(x).ravel().tolist()
        [9.0, 1.0, 2.0, 3.0, 9.0]
    """

    _axes = 2


class ConstantPad1d(_ConstantPad):
    """Add a constant at the ends of series.

    :func:`jaxaccel.functional.pad`, channels last: (N, L, C) or (L, C).

    Args:
        as :class:`ConstantPad2d`, with two lengths, left and right.

    Raises:
        as :class:`ConstantPad2d`, of an input without two or three axes.

    PyTorch:
        as :class:`ConstantPad2d`, of ``torch.nn.ConstantPad1d``.

    Example:
        >>> import jax.numpy as jnp
        >>> import jaxaccel as ja
        >>> ja.nn.ConstantPad1d(1, 9.0)(jnp.array([[1.0], [2.0], [3.0]])).ravel().tolist()
        [9.0, 1.0, 2.0, 3.0, 9.0]
    """

    _axes = 1


class ConstantPad3d(_ConstantPad):
    """Add a constant at the ends of volumes.

    :func:`jaxaccel.functional.pad`, channels last: (N, D, H, W, C) or (D, H, W, C).

    Args:
        as :class:`ConstantPad2d`, with six lengths, the last axis first.

    Raises:
        as :class:`ConstantPad2d`, of an input without four or five axes.

    PyTorch:
        as :class:`ConstantPad2d`, of ``torch.nn.ConstantPad3d``.

    Example:
        >>> import jax.numpy as jnp
        >>> import jaxaccel as ja
        >>> x = jnp.array([1.0, 2.0, 3.0]).reshape(1, 1, 3, 1)
        >>> layer = ja.nn.ConstantPad3d((1, 1, 0, 0, 0, 0), 9.0)
        >>> layer(x).ravel().tolist()
        [9.0, 1.0, 2.0, 3.0, 9.0]
    """

    _axes = 3


class ZeroPad2d(ConstantPad2d):
    """Add zeros at the ends of images.

    :func:`jaxaccel.functional.pad`, channels last: (N, H, W, C) or (H, W, C).

    Args:
        padding: ``(left, right, top, bottom)``, or one number for all. Negative numbers take points
            off.

    Raises:
        as :class:`ConstantPad2d`.

    PyTorch:
        as :class:`ConstantPad2d`, of ``torch.nn.ZeroPad2d``.

    Example:
        >>> import jax.numpy as jnp
        >>> import jaxaccel as ja
        >>> x = jnp.array([1.0, 2.0, 3.0]).reshape(1, 3, 1)
        >>> layer = ja.nn.ZeroPad2d((1, 1, 0, 0))
        >>> layer(x).ravel().tolist()
        [0.0, 1.0, 2.0, 3.0, 0.0]
    """

    @checked
    def __init__(self, padding: int | Sequence[int]):
        super().__init__(padding, 0.0)


class ZeroPad1d(ConstantPad1d):
    """Add zeros at the ends of series.

    :func:`jaxaccel.functional.pad`, channels last: (N, L, C) or (L, C).

    Args:
        as :class:`ZeroPad2d`, with two lengths, left and right.

    Raises:
        as :class:`ZeroPad2d`, of an input without two or three axes.

    PyTorch:
        as :class:`ZeroPad2d`, of ``torch.nn.ZeroPad1d``.

    Example:
        >>> import jax.numpy as jnp
        >>> import jaxaccel as ja
        >>> ja.nn.ZeroPad1d(1)(jnp.array([[1.0], [2.0], [3.0]])).ravel().tolist()
        [0.0, 1.0, 2.0, 3.0, 0.0]
    """

    @checked
    def __init__(self, padding: int | Sequence[int]):
        super().__init__(padding, 0.0)


class ZeroPad3d(ConstantPad3d):
    """Add zeros at the ends of volumes.

    :func:`jaxaccel.functional.pad`, channels last: (N, D, H, W, C) or (D, H, W, C).

    Args:
        as :class:`ZeroPad2d`, with six lengths, the last axis first.

    Raises:
        as :class:`ZeroPad2d`, of an input without four or five axes.

    PyTorch:
        as :class:`ZeroPad2d`, of ``torch.nn.ZeroPad3d``.

    Example:
        >>> import jax.numpy as jnp
        >>> import jaxaccel as ja
        >>> x = jnp.array([1.0, 2.0, 3.0]).reshape(1, 1, 3, 1)
        >>> layer = ja.nn.ZeroPad3d((1, 1, 0, 0, 0, 0))
        >>> layer(x).ravel().tolist()
        [0.0, 1.0, 2.0, 3.0, 0.0]
    """

    @checked
    def __init__(self, padding: int | Sequence[int]):
        super().__init__(padding, 0.0)
