"""The layers that pad with what is there already."""

from __future__ import annotations

from jaxaccel.nn._pad_base import Pad


class ReflectionPad2d(Pad):
    """Add the inside, mirrored at the outermost points at the ends of images.

    :func:`jaxaccel.functional.pad`, channels last: (N, H, W, C) or (H, W, C).

    Args:
        as :class:`ZeroPad2d`.

    Raises:
        ValueError: another number of lengths; from a call, an input without three or four axes, or
            more points than there are to repeat.

    PyTorch:
        ``torch.nn.ReflectionPad2d``: the same, channels last. PyTorch raises ``RuntimeError`` or
        ``NotImplementedError``, when the layer is called.

    Example:
        >>> import jax.numpy as jnp
        >>> import jaxaccel as ja
        >>> x = jnp.array([1.0, 2.0, 3.0]).reshape(1, 3, 1)
        >>> layer = ja.nn.ReflectionPad2d((1, 1, 0, 0))
        >>> layer(x).ravel().tolist()
        [2.0, 1.0, 2.0, 3.0, 2.0]
    """

    _axes = 2
    _mode = "reflect"


class ReflectionPad1d(Pad):
    """Add the inside, mirrored at the outermost points at the ends of series.

    :func:`jaxaccel.functional.pad`, channels last: (N, L, C) or (L, C).

    Args:
        as :class:`ReflectionPad2d`, with two lengths, left and right.

    Raises:
        as :class:`ReflectionPad2d`, of an input without two or three axes.

    PyTorch:
        as :class:`ReflectionPad2d`, of ``torch.nn.ReflectionPad1d``.

    Example:
        >>> import jax.numpy as jnp
        >>> import jaxaccel as ja
        >>> ja.nn.ReflectionPad1d(1)(jnp.array([[1.0], [2.0], [3.0]])).ravel().tolist()
        [2.0, 1.0, 2.0, 3.0, 2.0]
    """

    _axes = 1
    _mode = "reflect"


class ReflectionPad3d(Pad):
    """Add the inside, mirrored at the outermost points at the ends of volumes.

    :func:`jaxaccel.functional.pad`, channels last: (N, D, H, W, C) or (D, H, W, C).

    Args:
        as :class:`ReflectionPad2d`, with six lengths, the last axis first.

    Raises:
        as :class:`ReflectionPad2d`, of an input without four or five axes.

    PyTorch:
        as :class:`ReflectionPad2d`, of ``torch.nn.ReflectionPad3d``.

    Example:
        >>> import jax.numpy as jnp
        >>> import jaxaccel as ja
        >>> x = jnp.array([1.0, 2.0, 3.0]).reshape(1, 1, 3, 1)
        >>> layer = ja.nn.ReflectionPad3d((1, 1, 0, 0, 0, 0))
        >>> layer(x).ravel().tolist()
        [2.0, 1.0, 2.0, 3.0, 2.0]
    """

    _axes = 3
    _mode = "reflect"


class ReplicationPad2d(Pad):
    """Add the outermost points at the ends of images.

    :func:`jaxaccel.functional.pad`, channels last: (N, H, W, C) or (H, W, C).

    Args:
        as :class:`ZeroPad2d`.

    Raises:
        ValueError: another number of lengths; from a call, an input without three or four axes, or
            more points than there are to repeat.

    PyTorch:
        ``torch.nn.ReplicationPad2d``: the same, channels last. PyTorch raises ``RuntimeError`` or
        ``NotImplementedError``, when the layer is called.

    Example:
        >>> import jax.numpy as jnp
        >>> import jaxaccel as ja
        >>> x = jnp.array([1.0, 2.0, 3.0]).reshape(1, 3, 1)
        >>> layer = ja.nn.ReplicationPad2d((1, 1, 0, 0))
        >>> layer(x).ravel().tolist()
        [1.0, 1.0, 2.0, 3.0, 3.0]
    """

    _axes = 2
    _mode = "replicate"


class ReplicationPad1d(Pad):
    """Add the outermost points at the ends of series.

    :func:`jaxaccel.functional.pad`, channels last: (N, L, C) or (L, C).

    Args:
        as :class:`ReplicationPad2d`, with two lengths, left and right.

    Raises:
        as :class:`ReplicationPad2d`, of an input without two or three axes.

    PyTorch:
        as :class:`ReplicationPad2d`, of ``torch.nn.ReplicationPad1d``.

    Example:
        >>> import jax.numpy as jnp
        >>> import jaxaccel as ja
        >>> ja.nn.ReplicationPad1d(1)(jnp.array([[1.0], [2.0], [3.0]])).ravel().tolist()
        [1.0, 1.0, 2.0, 3.0, 3.0]
    """

    _axes = 1
    _mode = "replicate"


class ReplicationPad3d(Pad):
    """Add the outermost points at the ends of volumes.

    :func:`jaxaccel.functional.pad`, channels last: (N, D, H, W, C) or (D, H, W, C).

    Args:
        as :class:`ReplicationPad2d`, with six lengths, the last axis first.

    Raises:
        as :class:`ReplicationPad2d`, of an input without four or five axes.

    PyTorch:
        as :class:`ReplicationPad2d`, of ``torch.nn.ReplicationPad3d``.

    Example:
        >>> import jax.numpy as jnp
        >>> import jaxaccel as ja
        >>> x = jnp.array([1.0, 2.0, 3.0]).reshape(1, 1, 3, 1)
        >>> layer = ja.nn.ReplicationPad3d((1, 1, 0, 0, 0, 0))
        >>> layer(x).ravel().tolist()
        [1.0, 1.0, 2.0, 3.0, 3.0]
    """

    _axes = 3
    _mode = "replicate"


class CircularPad2d(Pad):
    """Add the points of the other end at the ends of images.

    :func:`jaxaccel.functional.pad`, channels last: (N, H, W, C) or (H, W, C).

    Args:
        as :class:`ZeroPad2d`.

    Raises:
        ValueError: another number of lengths; from a call, an input without three or four axes, or
            more points than there are to repeat.

    PyTorch:
        ``torch.nn.CircularPad2d``: the same, channels last. PyTorch raises ``RuntimeError`` or
        ``NotImplementedError``, when the layer is called.

    Example:
        >>> import jax.numpy as jnp
        >>> import jaxaccel as ja
        >>> x = jnp.array([1.0, 2.0, 3.0]).reshape(1, 3, 1)
        >>> layer = ja.nn.CircularPad2d((1, 1, 0, 0))
        >>> layer(x).ravel().tolist()
        [3.0, 1.0, 2.0, 3.0, 1.0]
    """

    _axes = 2
    _mode = "circular"


class CircularPad1d(Pad):
    """Add the points of the other end at the ends of series.

    :func:`jaxaccel.functional.pad`, channels last: (N, L, C) or (L, C).

    Args:
        as :class:`CircularPad2d`, with two lengths, left and right.

    Raises:
        as :class:`CircularPad2d`, of an input without two or three axes.

    PyTorch:
        as :class:`CircularPad2d`, of ``torch.nn.CircularPad1d``.

    Example:
        >>> import jax.numpy as jnp
        >>> import jaxaccel as ja
        >>> ja.nn.CircularPad1d(1)(jnp.array([[1.0], [2.0], [3.0]])).ravel().tolist()
        [3.0, 1.0, 2.0, 3.0, 1.0]
    """

    _axes = 1
    _mode = "circular"


class CircularPad3d(Pad):
    """Add the points of the other end at the ends of volumes.

    :func:`jaxaccel.functional.pad`, channels last: (N, D, H, W, C) or (D, H, W, C).

    Args:
        as :class:`CircularPad2d`, with six lengths, the last axis first.

    Raises:
        as :class:`CircularPad2d`, of an input without four or five axes.

    PyTorch:
        as :class:`CircularPad2d`, of ``torch.nn.CircularPad3d``.

    Example:
        >>> import jax.numpy as jnp
        >>> import jaxaccel as ja
        >>> x = jnp.array([1.0, 2.0, 3.0]).reshape(1, 1, 3, 1)
        >>> layer = ja.nn.CircularPad3d((1, 1, 0, 0, 0, 0))
        >>> layer(x).ravel().tolist()
        [3.0, 1.0, 2.0, 3.0, 1.0]
    """

    _axes = 3
    _mode = "circular"
