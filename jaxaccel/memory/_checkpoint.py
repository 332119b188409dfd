"""Activation checkpointing: what a function computes is computed again in the backward pass."""

from __future__ import annotations

import contextlib
import functools
import inspect
from collections.abc import Callable, Sequence
from typing import Any

import jax
import numpy as np
from flax import errors, nnx

from jaxaccel._checked import checked
from jaxaccel._functions import name_of
from jaxaccel._operations import named_results
from jaxaccel.memory._checkpoint_policies import Policy, kept_by


@checked
def checkpoint(
    function: Callable[..., Any],
    *,
    policy: Policy | None = None,
    names: Sequence[str] | None = None,
    offload: bool = False,
    preserve_rng_state: bool = True,
) -> Callable[..., Any]:
    """Return a function that keeps its inputs, and computes the rest again for its gradient.

    Activations then need memory for one such function at a time, and the backward pass the
    arithmetic of one more forward pass. Values and gradients are the function's own. Checkpoints
    may be nested, and stand inside ``scan``, ``vmap``, ``shard_map`` and ``precision.autocast`` or
    around them.

    Args:
        function: A function of arrays, modules and anything else, or an nnx module or a method of
            one. Modules that it is, or is given, may change: running statistics and counts of masks
            move on once. A module that it only closes over may be read.
        policy: What is kept besides the inputs: ``"nothing"`` (the default); ``"dots"``, the
            results of matrix products and convolutions; ``"dots_with_no_batch_dims"``, those of
            products with weights and not those of attention; ``"everything"``; or a function of
            ``jax.checkpoint_policies``.
        names: What is kept besides: the results of PyTorch's operations by their names
            (``"linear"``, ``"conv2d"``, ``"scaled_dot_product_attention"``, ``"layer_norm"``: those
            of ``functional``), and what ``jax.ad_checkpoint.checkpoint_name`` has named.
            Functions whose results have no name (``"relu"``, ``"dropout"``) are warned of.
        offload: Whether what is kept waits in the host's pinned memory, not in the device's; for
            ``policy`` or ``names``.
        preserve_rng_state: Masks are those of the forward pass either way: a key is a value.

    Returns:
        A function of the same arguments. Those that are not arrays or modules (switches, Python's
        numbers, strings, ``None``) reach the function as they are.

    Raises:
        TypeError: ``function`` is a module of PyTorch.
        ValueError: ``policy`` is another word; ``names`` has an operation in another spelling
            (what may be one, or a name of your own, is warned of); there is nothing to offload;
            from a call, the function changes a module that it
            closes over, or gives one more variables.

    PyTorch:
        ``torch.utils.checkpoint.checkpoint(function, *args)``, of which this is the part before
        the arguments: ``checkpoint(function)(*args)``. ``context_fn`` with a list of operations to
        save is ``names``, ``torch.autograd.graph.save_on_cpu`` is ``policy="everything"`` with
        ``offload``. Left out: ``use_reentrant``, ``determinism_check``, ``debug`` and
        ``early_stop``: the program is traced once, and computes again what the gradient needs.
        With ``preserve_rng_state=False`` PyTorch draws other masks in the backward pass, and its
        gradients are those of no function; nothing here does that.

    Example:
        >>> import jax
        >>> import jax.numpy as jnp
        >>> import jaxaccel as ja
        >>> block = ja.memory.checkpoint(lambda x: jnp.sin(jnp.sin(x)))
        >>> print(f"{jax.grad(block)(1.0):.6f}")
        0.360039

    References:
        Chen, Xu, Zhang, Guestrin. Training Deep Nets with Sublinear Memory Cost. 2016.
        https://arxiv.org/abs/1604.06174
    """
    if any(each.__module__.partition(".")[0] == "torch" for each in inspect.getmro(type(function))):
        raise TypeError(
            f"function must be a function of arrays or an nnx module, got {type(function)!r}, a "
            "module of PyTorch; build it of nn's layers and take its weights over with "
            "nn.load_state_dict"
        )
    keeps = kept_by(policy, names, offload)

    @functools.wraps(function, updated=())
    def checkpointed(*args: Any, **kwargs: Any) -> Any:
        with contextlib.nullcontext() if names is None else named_results():
            return _call(function, keeps, args, kwargs)

    return checkpointed


def _call(function: Any, keeps: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    """Call a function behind a checkpoint, its modules and arrays among the inputs."""
    given = (_modules_of(function), args, kwargs)
    leaves, tree = jax.tree.flatten(given, is_leaf=_is_node)
    is_input = [_is_node(leaf) or isinstance(leaf, (jax.Array, np.ndarray)) for leaf in leaves]

    def inner(*inputs: Any) -> Any:
        own = iter(inputs)
        pairs = zip(leaves, is_input, strict=True)
        again = [next(own) if is_one else leaf for leaf, is_one in pairs]
        modules, args, kwargs = jax.tree.unflatten(tree, again)
        before = _variables_of(inputs)
        try:
            outputs = _with_modules(function, modules)(*args, **kwargs)
        except errors.TraceContextError as error:
            raise ValueError(
                f"checkpoint: {name_of(function)} changes a module that it closes over. Let it "
                "take the module: checkpoint(function)(module, x), or checkpoint the module itself"
            ) from error
        if _variables_of(inputs) != before:
            raise ValueError(
                f"checkpoint: {name_of(function)} gives a module variables that it did not have, "
                "which would be lost. Let it return them, or make them beforehand"
            )
        return outputs

    lifted = nnx.remat(inner, policy=keeps, graph=True, graph_updates=False)
    pairs = zip(leaves, is_input, strict=True)
    return lifted(*(leaf for leaf, is_one in pairs if is_one))


def _is_node(value: Any) -> bool:
    """Return whether a value holds variables, which are handed in as one graph."""
    return isinstance(value, (nnx.Pytree, nnx.Variable))


def _variables_of(inputs: Any) -> int:
    """Return how many variables the modules among some inputs hold."""
    modules = [value for value in inputs if isinstance(value, nnx.Module)]
    return sum(len(nnx.to_flat_state(nnx.state(module))) for module in modules)


def _modules_of(function: Any) -> Any:
    """Return the modules that a function is, or is a method of, or has among its arguments."""
    if isinstance(function, functools.partial):
        return _modules_of(function.func), function.args, function.keywords
    if isinstance(function, nnx.Module):
        return function
    own = getattr(function, "__self__", None)
    return own if isinstance(own, nnx.Module) else None


def _with_modules(function: Any, modules: Any) -> Callable[..., Any]:
    """Return a function with other modules in the places of its own."""
    if isinstance(function, functools.partial):
        inner, args, keywords = modules
        return functools.partial(_with_modules(function.func, inner), *args, **keywords)
    if isinstance(function, nnx.Module) or modules is None:
        return function if modules is None else modules
    return functools.partial(function.__func__, modules)
