"""Hugging Face's GPT-2: its names and layouts, in and out."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

import numpy as np
from flax import nnx

from jaxaccel._checked import checked
from jaxaccel._host_arrays import host_array
from jaxaccel.nn import state_dict as state_dict_of

_INSIDE = re.compile(r"(?:transformer\.)?((?:wte|wpe|ln_f|h\.\d+)\..*)")
"""Names of the model without a head, which ``GPT2LMHeadModel`` puts ``transformer.`` before."""

_CONV1D = re.compile(r"\.(?:attn\.c_attn|attn\.c_proj|mlp\.c_fc|mlp\.c_proj)\.weight$")
"""Weights of its ``Conv1D``, which are (in, out)."""

_MASKS = re.compile(r"\.attn\.(?:bias|masked_bias)$")
"""Causal masks, which older files keep as buffers."""


@checked
def from_transformers_gpt2(state_dict: Mapping[str, Any]) -> dict[str, np.ndarray]:
    """Return a checkpoint of Hugging Face's GPT-2 under the names of a GPT here.

    A :func:`models.gpt <jaxaccel.models.gpt>` takes what is returned by
    :func:`nn.load_state_dict <jaxaccel.nn.load_state_dict>`, which names what is missing or not
    expected. The sizes of ``GPTConfig`` are those of the ``config.json`` beside the file:
    ``block_size`` is ``n_positions`` there, ``vocab_size`` 50257; the GELU is the default.

    .. list-table::
       :header-rows: 1

       * - in the file
         - in the model
       * - ``wte.weight``, ``h.0.ln_1.weight``, ... (GPT2Model), or with ``transformer.`` before it
         - ``transformer.wte.weight``, ``transformer.h.0.ln_1.weight``, ...
       * - weights of ``attn.c_attn``, ``attn.c_proj``, ``mlp.c_fc``, ``mlp.c_proj``, (in, out)
         - the same, transposed: those of a linear layer, (out, in)
       * - ``attn.bias``, ``attn.masked_bias`` of a layer, which are masks
         - none
       * - ``lm_head.weight``, which may be missing
         - the same array as ``transformer.wte.weight``

    Args:
        state_dict: Names and arrays of NumPy, JAX or PyTorch, of ``GPT2LMHeadModel`` or
            ``GPT2Model``: what ``safetensors.numpy.load_file("model.safetensors")`` returns.

    Returns:
        PyTorch's names and layouts of :func:`jaxaccel.models.gpt`, with NumPy arrays.

    Raises:
        TypeError: ``state_dict`` is not a mapping.
        ValueError: A weight of a ``Conv1D`` is not a matrix, a value is no array of numbers, or two
            names are one.

    PyTorch:
        ``transformers.GPT2LMHeadModel``. Other names are handed on as they are.

    Example:
        >>> import numpy as np
        >>> import jaxaccel as ja
        >>> checkpoint = {"h.0.mlp.c_fc.weight": np.zeros((2, 8)), "h.0.attn.bias": np.ones((4, 4))}
        >>> {name: a.shape for name, a in ja.interop.from_transformers_gpt2(checkpoint).items()}
        {'transformer.h.0.mlp.c_fc.weight': (8, 2)}

    References:
        https://huggingface.co/openai-community/gpt2
    """
    found: dict[str, np.ndarray] = {}
    for name, value in state_dict.items():
        if _MASKS.search(name):
            continue
        inside = _INSIDE.fullmatch(name)
        own = f"transformer.{inside[1]}" if inside else name
        if own in found:
            raise ValueError(f"from_transformers_gpt2: two arrays are {own!r}; one is {name!r}")
        found[own] = _turned(own, host_array(name, value))
    return found


@checked
def to_transformers_gpt2(model: nnx.Module | Mapping[str, Any]) -> dict[str, np.ndarray]:
    """Return the weights of a GPT as Hugging Face's ``GPT2LMHeadModel`` has them.

    :func:`save_safetensors` writes what is returned; with ``metadata={"format": "pt"}``
    ``from_pretrained`` reads the file. It needs biases: ``GPT2LMHeadModel`` always has them.

    Args:
        model: A :func:`jaxaccel.models.gpt`, or what ``nn.state_dict`` has returned of one.

    Returns:
        Hugging Face's names, and its layouts: weights of ``Conv1D`` are (in, out).

    Raises:
        TypeError: ``model`` is neither a model nor a mapping.
        ValueError: A weight of a ``Conv1D`` is not a matrix, or an array was donated.

    PyTorch:
        ``transformers.GPT2LMHeadModel.state_dict``.

    Example:
        >>> from flax import nnx
        >>> import jaxaccel as ja
        >>> config = ja.models.GPTConfig(vocab_size=5, block_size=4, n_layer=1, n_head=1, n_embd=2)
        >>> theirs = ja.interop.to_transformers_gpt2(ja.models.gpt(config, rngs=nnx.Rngs(0)))
        >>> theirs["transformer.h.0.mlp.c_fc.weight"].shape
        (2, 8)
    """
    arrays = state_dict_of(model) if isinstance(model, nnx.Module) else model
    return {name: _turned(name, host_array(name, value)) for name, value in arrays.items()}


def _turned(name: str, array: np.ndarray) -> np.ndarray:
    """Return a weight of a ``Conv1D`` as a linear layer's, or the other way round."""
    if not _CONV1D.search(name):
        return array
    if array.ndim != 2:
        raise ValueError(f"{name} of GPT-2 must be a matrix, got shape {array.shape}")
    return np.ascontiguousarray(array.T)
