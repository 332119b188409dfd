"""The convolutions."""

from __future__ import annotations

from jaxaccel.nn._convolution import Convolution


class Conv1d(Convolution):
    """Convolve sequences, channels last: (N, L, in_channels) to (N, L', out_channels).

    A sequence without a batch axis works too. ``weight`` is (kernel,
    in_channels / groups, out_channels), ``bias`` (out_channels,) or None.
    TPUs and many GPUs multiply float32 with fewer digits unless asked for all of them, by
    ``jax.default_matmul_precision("highest")``.

    Args:
        in_channels: Channels of the input, a multiple of ``groups``.
        out_channels: Channels of the output, a multiple of ``groups``.
        kernel_size: Size of the window.
        stride: Step of the window.
        padding: Points added on both sides;
            ``"valid"`` adds none, ``"same"`` as many as keep the size (stride 1 only; the odd one
            goes to the end).
        dilation: Distance of the window's points.
        groups: The channels fall into so many blocks that do not see each other; as many as there
            are input channels make it depthwise.
        bias: Whether to add a bias.
        padding_mode: What is added: ``"zeros"``, ``"reflect"``, ``"replicate"`` or ``"circular"``.
        dtype: Of the parameters and so of the input; None for float32.
        rngs: Draws ``weight``, then ``bias``, from PyTorch's default distribution
            (:func:`jaxaccel.init.default_weight`): the ``params`` stream of an ``nnx.Rngs``, or a
            :class:`jaxaccel.random.Generator` for PyTorch's own numbers.

    Raises:
        ValueError: a bad argument; from a call, an input of another shape or smaller than the
            window.
        TypeError: from a call, an input of another dtype than the parameters.

    PyTorch:
        ``torch.nn.Conv1d``: the same, but for the axes: channels are last, and the weight is in
        flax's layout (:func:`jaxaccel.nn.state_dict` gives PyTorch's). Left out: ``device`` (JAX
        places arrays). Where PyTorch raises ``RuntimeError``, and for many arguments only when the
        layer is called, this raises ``ValueError`` or ``TypeError``, at once where it can. The
        counterpart of ``jax.default_matmul_precision`` is
        ``torch.set_float32_matmul_precision``.

    Example:
        >>> import jax.numpy as jnp
        >>> from flax import nnx
        >>> import jaxaccel as ja
        >>> layer = ja.nn.Conv1d(3, 8, 3, stride=2, padding=1, rngs=nnx.Rngs(0))
        >>> layer(jnp.ones((4, 32, 3), jnp.float32)).shape
        (4, 16, 8)
    """

    axes = 1


class Conv2d(Convolution):
    """Convolve images, channels last: (N, H, W, in_channels) to (N, H', W', out_channels).

    An image without a batch axis works too. ``weight`` is (kernel height, kernel width,
    in_channels / groups, out_channels), ``bias`` (out_channels,) or None.
    TPUs and many GPUs multiply float32 with fewer digits unless asked for all of them, by
    ``jax.default_matmul_precision("highest")``.

    Args:
        in_channels: Channels of the input, a multiple of ``groups``.
        out_channels: Channels of the output, a multiple of ``groups``.
        kernel_size: Size of the window, one number or (height, width).
        stride: Step of the window, one number or (height, width).
        padding: Points added on both sides, one number or (height, width);
            ``"valid"`` adds none, ``"same"`` as many as keep the size (stride 1 only; the odd one
            goes to the end).
        dilation: Distance of the window's points, one number or (height, width).
        groups: The channels fall into so many blocks that do not see each other; as many as there
            are input channels make it depthwise.
        bias: Whether to add a bias.
        padding_mode: What is added: ``"zeros"``, ``"reflect"``, ``"replicate"`` or ``"circular"``.
        dtype: Of the parameters and so of the input; None for float32.
        rngs: Draws ``weight``, then ``bias``, from PyTorch's default distribution
            (:func:`jaxaccel.init.default_weight`): the ``params`` stream of an ``nnx.Rngs``, or a
            :class:`jaxaccel.random.Generator` for PyTorch's own numbers.

    Raises:
        ValueError: a bad argument; from a call, an input of another shape or smaller than the
            window.
        TypeError: from a call, an input of another dtype than the parameters.

    PyTorch:
        ``torch.nn.Conv2d``: the same, but for the axes: channels are last, and the weight is in
        flax's layout (:func:`jaxaccel.nn.state_dict` gives PyTorch's). Left out: ``device`` (JAX
        places arrays). Where PyTorch raises ``RuntimeError``, and for many arguments only when the
        layer is called, this raises ``ValueError`` or ``TypeError``, at once where it can. The
        counterpart of ``jax.default_matmul_precision`` is
        ``torch.set_float32_matmul_precision``.

    Example:
        >>> import jax.numpy as jnp
        >>> from flax import nnx
        >>> import jaxaccel as ja
        >>> layer = ja.nn.Conv2d(3, 8, 3, stride=2, padding=1, rngs=nnx.Rngs(0))
        >>> layer(jnp.ones((4, 32, 32, 3), jnp.float32)).shape
        (4, 16, 16, 8)
    """

    axes = 2


class Conv3d(Convolution):
    """Convolve volumes, channels last: (N, D, H, W, in_channels) to (N, D', H', W', out_channels).

    A volume without a batch axis works too. ``weight`` is (kernel depth, height,
    width, in_channels / groups, out_channels), ``bias`` (out_channels,) or None.
    TPUs and many GPUs multiply float32 with fewer digits unless asked for all of them, by
    ``jax.default_matmul_precision("highest")``.

    Args:
        in_channels: Channels of the input, a multiple of ``groups``.
        out_channels: Channels of the output, a multiple of ``groups``.
        kernel_size: Size of the window, one number or (depth, height, width).
        stride: Step of the window, one number or (depth, height, width).
        padding: Points added on both sides, one number or (depth, height, width);
            ``"valid"`` adds none, ``"same"`` as many as keep the size (stride 1 only; the odd one
            goes to the end).
        dilation: Distance of the window's points, one number or (depth, height, width).
        groups: The channels fall into so many blocks that do not see each other; as many as there
            are input channels make it depthwise.
        bias: Whether to add a bias.
        padding_mode: What is added: ``"zeros"``, ``"reflect"``, ``"replicate"`` or ``"circular"``.
        dtype: Of the parameters and so of the input; None for float32.
        rngs: Draws ``weight``, then ``bias``, from PyTorch's default distribution
            (:func:`jaxaccel.init.default_weight`): the ``params`` stream of an ``nnx.Rngs``, or a
            :class:`jaxaccel.random.Generator` for PyTorch's own numbers.

    Raises:
        ValueError: a bad argument; from a call, an input of another shape or smaller than the
            window.
        TypeError: from a call, an input of another dtype than the parameters.

    PyTorch:
        ``torch.nn.Conv3d``: the same, but for the axes: channels are last, and the weight is in
        flax's layout (:func:`jaxaccel.nn.state_dict` gives PyTorch's). Left out: ``device`` (JAX
        places arrays). Where PyTorch raises ``RuntimeError``, and for many arguments only when the
        layer is called, this raises ``ValueError`` or ``TypeError``, at once where it can. The
        counterpart of ``jax.default_matmul_precision`` is
        ``torch.set_float32_matmul_precision``.

    Example:
        >>> import jax.numpy as jnp
        >>> from flax import nnx
        >>> import jaxaccel as ja
        >>> layer = ja.nn.Conv3d(3, 8, 3, stride=2, padding=1, rngs=nnx.Rngs(0))
        >>> layer(jnp.ones((4, 8, 8, 8, 3), jnp.float32)).shape
        (4, 4, 4, 4, 8)
    """

    axes = 3
