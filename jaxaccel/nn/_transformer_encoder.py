"""A stack of encoder layers."""

from __future__ import annotations

from typing import Any

import jax
from flax import nnx


class TransformerEncoder(nnx.Module):
    """Several encoder layers, one after another, and a norm at the end.

    The layers are copies of one, and so start from the same weights, as in PyTorch. The first of
    their arrays are ``layers.0``. Their dropouts draw masks of their own.

    A call is ``encoder(src, mask=None, src_key_padding_mask=None, is_causal=None)``.

    Args:
        encoder_layer: The layer to copy, a :class:`~jaxaccel.nn.TransformerEncoderLayer` or a
            module that is called like one; it is not changed.
        num_layers: The number of copies.
        norm: A module that the output goes through, or None.

    PyTorch:
        ``torch.nn.TransformerEncoder``: the same. Left out: ``enable_nested_tensor`` and
        ``mask_check``; a batch with padding is computed as it is (PyTorch's fast path, which
        evaluation without gradients takes, sets the output at padded positions to zero).
        ``is_causal=None`` looks for a causal mask there, to be faster; here it is False, and the
        mask is used as it is.

    Example:
        >>> import jax.numpy as jnp
        >>> import jaxaccel as ja
        >>> layer = ja.nn.TransformerEncoderLayer(8, 2, 16, 0.0, rngs=ja.random.manual_seed(0))
        >>> encoder = ja.nn.TransformerEncoder(layer, 3, ja.nn.LayerNorm(8))
        >>> encoder(jnp.ones((4, 1, 8), jnp.float32)).shape
        (4, 1, 8)

    References:
        Vaswani et al. Attention Is All You Need. 2017. https://arxiv.org/abs/1706.03762
    """

    def __init__(self, encoder_layer: nnx.Module, num_layers: int, norm: nnx.Module | None = None):
        self.layers = nnx.List([_copy(encoder_layer, index) for index in range(num_layers)])
        self.num_layers = num_layers
        self.norm: Any = nnx.data(None) if norm is None else norm

    def __call__(
        self,
        src: jax.Array,
        mask: jax.Array | None = None,
        src_key_padding_mask: jax.Array | None = None,
        is_causal: bool | None = None,
    ) -> jax.Array:
        """Return the output, of the input's shape and dtype."""
        for layer in self.layers:
            src = layer(src, mask, src_key_padding_mask, bool(is_causal))
        return src if self.norm is None else self.norm(src)


def _copy(layer: nnx.Module, index: int) -> nnx.Module:
    """Return a copy with the same weights, whose random streams are its own."""
    copied = nnx.clone(layer)
    originals = dict(nnx.iter_modules(layer))
    for path, module in nnx.iter_modules(copied):
        # Cloning sorts the attributes by name; the order of construction is that of state_dict.
        attributes = vars(module)
        for name in vars(originals[path]):
            attributes[name] = attributes.pop(name)
    for _, stream in nnx.iter_graph(copied):
        if isinstance(stream, nnx.RngStream):
            stream.key[...] = jax.random.fold_in(stream.key[...], index)
    return copied
