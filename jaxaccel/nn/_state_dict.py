"""PyTorch's names and layouts for a model's arrays: the way out."""

from __future__ import annotations

import numpy as np
from flax import nnx

from jaxaccel._checked import checked
from jaxaccel._host_arrays import host_array
from jaxaccel._layout import to_torch
from jaxaccel._named_arrays import named_arrays, paths_of_variables


@checked
def state_dict(model: nnx.Module, *, prefix: str = "") -> dict[str, np.ndarray]:
    """Return a model's parameters and buffers under PyTorch's names.

    Parameters are every ``nnx.Param``, buffers every variable of another kind: an
    ``nnx.BatchStat``, a plain ``nnx.Variable``, a kind of one's own. Left out are the state of
    random streams (``nnx.RngState``), an ``nnx.Cache`` (in PyTorch's words a buffer that is not
    persistent), an ``nnx.Intermediate``, and arrays that are not in a variable. An array that two
    layers share comes under both names.

    A class whose modules hold variables says in ``torch_transposed`` which of them are kernels
    ``(*k, I, O)``, that is ``(O, I, *k)`` in PyTorch; all layers of jaxaccel do. What only holds
    other modules need not say anything.

    Args:
        model: A model of jaxaccel's layers, and of others that have ``torch_transposed``; its lists
            are ``nnx.List``.
        prefix: What to put before every name: ``"module."`` for PyTorch's
            ``DistributedDataParallel``.

    Returns:
        ``{"layer1.0.conv1.weight": array, ...}`` in PyTorch's order and layout: kernels are
        ``(O, I, *k)``. The arrays are NumPy copies on the host. The order is that in which the
        attributes were first assigned, own parameters before own buffers before other modules; it
        survives ``nnx.split`` and ``nnx.merge``.

    Raises:
        TypeError: a module holds a variable and has no ``torch_transposed`` (one of flax's own
            layers), or a variable holds something else than an array.
        ValueError: an array was donated, other processes have parts of it, or a layer is a stack of
            several (``nnx.vmap``), for which PyTorch has no names.

    PyTorch:
        ``torch.nn.Module.state_dict``: the same names, order and shapes. Left out: ``destination``
        and ``keep_vars``. ``torch_model.load_state_dict({k: torch.from_numpy(v) for k, v
        in state_dict(model).items()})`` fills the same model in PyTorch; a bfloat16 array crosses
        as ``torch.from_numpy(v.view("int16")).view(torch.bfloat16)``.

    Example:
        >>> import jax.numpy as jnp
        >>> from flax import nnx
        >>> import jaxaccel as ja
        >>> {k: v.shape for k, v in ja.nn.state_dict(ja.nn.Linear(3, 2, rngs=nnx.Rngs(0))).items()}
        {'weight': (2, 3), 'bias': (2,)}
        >>> class Scale(nnx.Module):
        ...     torch_transposed = ()  # ("kernel",) if it had a kernel
        ...     def __init__(self):
        ...         self.factor = nnx.Param(jnp.ones(2, jnp.float32))
        >>> list(ja.nn.state_dict(Scale()))
        ['factor']
    """
    paths_of_variables(model)  # raises where layers cannot share what they share
    arrays = {}
    for array in named_arrays(model):
        value = array.part_of(host_array(array.name, array.variable.get_value()))
        value = to_torch(value) if array.layout == "flax" else value
        arrays[prefix + array.name] = np.array(value, order="C")
    return arrays
