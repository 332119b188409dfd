"""The transposed convolutions."""

from __future__ import annotations

from jaxaccel.nn._transposed_convolution import TransposedConvolution


class ConvTranspose1d(TransposedConvolution):
    """Apply a convolution's transpose to sequences, channels last.

    From (N, L, in_channels) to (N, L', out_channels). It is the gradient of a
    :class:`jaxaccel.nn.Conv1d` with respect to its input, and with a stride enlarges what it gets.
    A sequence without a batch axis works too. ``weight`` is (kernel, out_channels / groups,
    in_channels), ``bias`` (out_channels,) or None. ``layer(input, output_size)`` chooses among the
    sizes that the stride allows. Full precision on a TPU or GPU:
    ``jax.default_matmul_precision("highest")``.

    Args:
        in_channels: Channels of the input, a multiple of ``groups``.
        out_channels: Channels of the output, a multiple of ``groups``.
        kernel_size: Size of the window.
        stride: Step of the window in the output.
        padding: Points taken off both sides of the output.
        output_padding: Points added to the end of the output;
            smaller than the stride or the dilation.
        groups: The channels fall into so many blocks that do not see each other.
        bias: Whether to add a bias.
        dilation: Distance of the window's points.
        padding_mode: ``"zeros"``, nothing else.
        dtype: Of the parameters and so of the input; None for float32.
        rngs: Draws ``weight``, then ``bias``, from PyTorch's default distribution, whose fan_in is
            here out_channels / groups times the window: the ``params`` stream of an ``nnx.Rngs``,
            or a :class:`jaxaccel.random.Generator` for PyTorch's own numbers.

    Raises:
        ValueError: a bad argument; from a call, an input of another shape, no output, or an
            ``output_size`` out of reach.
        TypeError: ``padding`` is a string; from a call, an input of another dtype than the
            parameters.

    PyTorch:
        ``torch.nn.ConvTranspose1d``: the same, but for the axes: channels are last, and the weight
        is ``(*k, out_channels / groups, in_channels)`` (:func:`jaxaccel.nn.state_dict` gives
        PyTorch's). Left out: ``device`` (JAX places arrays). Where PyTorch raises
        ``RuntimeError``, and for many arguments only when the layer is called, this raises
        ``ValueError``, at once where it can. The counterpart of ``jax.default_matmul_precision``
        is ``torch.set_float32_matmul_precision``.

    Example:
        >>> import jax.numpy as jnp
        >>> from flax import nnx
        >>> import jaxaccel as ja
        >>> layer = ja.nn.ConvTranspose1d(3, 8, 2, stride=2, rngs=nnx.Rngs(0))
        >>> layer(jnp.ones((4, 8, 3), jnp.float32)).shape
        (4, 16, 8)
    """

    axes = 1


class ConvTranspose2d(TransposedConvolution):
    """Apply a convolution's transpose to images, channels last.

    From (N, H, W, in_channels) to (N, H', W', out_channels). It is the gradient of a
    :class:`jaxaccel.nn.Conv2d` with respect to its input, and with a stride enlarges what it gets.
    An image without a batch axis works too. ``weight`` is (kernel height, kernel width,
    out_channels / groups, in_channels), ``bias`` (out_channels,) or None. ``layer(input,
    output_size)`` chooses among the sizes that the stride allows. Full precision on a TPU or GPU:
    ``jax.default_matmul_precision("highest")``.

    Args:
        in_channels: Channels of the input, a multiple of ``groups``.
        out_channels: Channels of the output, a multiple of ``groups``.
        kernel_size: Size of the window, one number or (height, width).
        stride: Step of the window in the output, one number or (height, width).
        padding: Points taken off both sides of the output, one number or (height, width).
        output_padding: Points added to the end of the output, one number or (height, width);
            smaller than the stride or the dilation.
        groups: The channels fall into so many blocks that do not see each other.
        bias: Whether to add a bias.
        dilation: Distance of the window's points, one number or (height, width).
        padding_mode: ``"zeros"``, nothing else.
        dtype: Of the parameters and so of the input; None for float32.
        rngs: Draws ``weight``, then ``bias``, from PyTorch's default distribution, whose fan_in is
            here out_channels / groups times the window: the ``params`` stream of an ``nnx.Rngs``,
            or a :class:`jaxaccel.random.Generator` for PyTorch's own numbers.

    Raises:
        ValueError: a bad argument; from a call, an input of another shape, no output, or an
            ``output_size`` out of reach.
        TypeError: ``padding`` is a string; from a call, an input of another dtype than the
            parameters.

    PyTorch:
        ``torch.nn.ConvTranspose2d``: the same, but for the axes: channels are last, and the weight
        is ``(*k, out_channels / groups, in_channels)`` (:func:`jaxaccel.nn.state_dict` gives
        PyTorch's). Left out: ``device`` (JAX places arrays). Where PyTorch raises
        ``RuntimeError``, and for many arguments only when the layer is called, this raises
        ``ValueError``, at once where it can. The counterpart of ``jax.default_matmul_precision``
        is ``torch.set_float32_matmul_precision``.

    Example:
        >>> import jax.numpy as jnp
        >>> from flax import nnx
        >>> import jaxaccel as ja
        >>> layer = ja.nn.ConvTranspose2d(3, 8, 2, stride=2, rngs=nnx.Rngs(0))
        >>> layer(jnp.ones((4, 8, 8, 3), jnp.float32)).shape
        (4, 16, 16, 8)
    """

    axes = 2


class ConvTranspose3d(TransposedConvolution):
    """Apply a convolution's transpose to volumes, channels last.

    From (N, D, H, W, in_channels) to (N, D', H', W', out_channels). It is the gradient of a
    :class:`jaxaccel.nn.Conv3d` with respect to its input, and with a stride enlarges what it gets.
    A volume without a batch axis works too. ``weight`` is (kernel depth, height, width,
    out_channels / groups, in_channels), ``bias`` (out_channels,) or None. ``layer(input,
    output_size)`` chooses among the sizes that the stride allows. Full precision on a TPU or GPU:
    ``jax.default_matmul_precision("highest")``.

    Args:
        in_channels: Channels of the input, a multiple of ``groups``.
        out_channels: Channels of the output, a multiple of ``groups``.
        kernel_size: Size of the window, one number or (depth, height, width).
        stride: Step of the window in the output, one number or (depth, height, width).
        padding: Points taken off both sides of the output, one number or (depth, height, width).
        output_padding: Points added to the end of the output, one number or (depth, height, width);
            smaller than the stride or the dilation.
        groups: The channels fall into so many blocks that do not see each other.
        bias: Whether to add a bias.
        dilation: Distance of the window's points, one number or (depth, height, width).
        padding_mode: ``"zeros"``, nothing else.
        dtype: Of the parameters and so of the input; None for float32.
        rngs: Draws ``weight``, then ``bias``, from PyTorch's default distribution, whose fan_in is
            here out_channels / groups times the window: the ``params`` stream of an ``nnx.Rngs``,
            or a :class:`jaxaccel.random.Generator` for PyTorch's own numbers.

    Raises:
        ValueError: a bad argument; from a call, an input of another shape, no output, or an
            ``output_size`` out of reach.
        TypeError: ``padding`` is a string; from a call, an input of another dtype than the
            parameters.

    PyTorch:
        ``torch.nn.ConvTranspose3d``: the same, but for the axes: channels are last, and the weight
        is ``(*k, out_channels / groups, in_channels)`` (:func:`jaxaccel.nn.state_dict` gives
        PyTorch's). Left out: ``device`` (JAX places arrays). Where PyTorch raises
        ``RuntimeError``, and for many arguments only when the layer is called, this raises
        ``ValueError``, at once where it can. The counterpart of ``jax.default_matmul_precision``
        is ``torch.set_float32_matmul_precision``.

    Example:
        >>> import jax.numpy as jnp
        >>> from flax import nnx
        >>> import jaxaccel as ja
        >>> layer = ja.nn.ConvTranspose3d(3, 8, 2, stride=2, rngs=nnx.Rngs(0))
        >>> layer(jnp.ones((4, 4, 4, 4, 3), jnp.float32)).shape
        (4, 8, 8, 8, 8)
    """

    axes = 3
