"""Layers of one form, called one after the other by a scan over their stacked arrays."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx

from jaxaccel._checked import checked
from jaxaccel._filled import fills_on_host, on_device
from jaxaccel._stacked import LAYERS


class StackedLayers(nnx.Module):
    """Layers of one form as one layer: their arrays are stacked, and a scan calls them in order.

    A program has one layer in it, however many there are, and so compiles as fast as for one.
    Values and gradients are those of the layers called one by one. :func:`state_dict` and
    :func:`load_state_dict` have PyTorch's names, ``"0.weight"``, ``"1.weight"``, ..., as of a list.

    A call is ``stack(input, *others, **named)``: the first layer is given ``input``, every other
    what the one before it has returned, and all of them the others. An index returns one layer, a
    copy; ``len`` their number.

    What goes by whole parameters sees all layers as one: a rule by the number of axes
    (:func:`jaxaccel.optimizers.no_decay` goes by names too), and the optimizers Adafactor and Muon,
    which refuse them.

    Args:
        layers: Modules of one class, with the same attributes and shapes. They are copied.
        checkpoint: A function from a layer to what is called in its place, such as
            :func:`jaxaccel.memory.checkpoint`: the backward pass then computes each layer again.

    Raises:
        ValueError: there is no layer, or one differs from the first in more than its numbers; from
            a call, a layer returns something of another shape or dtype than it was given.

    PyTorch:
        ``torch.nn.ModuleList`` with a loop over it in the model's ``forward``: the same names.
        ``torch.func.stack_module_state`` stacks arrays in the same way.

    Example:
        >>> import jax.numpy as jnp
        >>> from flax import nnx
        >>> import jaxaccel as ja
        >>> rngs = nnx.Rngs(0)
        >>> stack = ja.nn.StackedLayers([ja.nn.Linear(4, 4, rngs=rngs) for _ in range(3)])
        >>> stack.layer.weight.shape, stack(jnp.ones((2, 4), jnp.float32)).shape
        ((3, 4, 4), (2, 4))
        >>> list(ja.nn.state_dict(stack))[:3]
        ['0.weight', '0.bias', '1.weight']
    """

    torch_stacked = "layer"

    @checked
    def __init__(self, layers: Sequence[nnx.Module], checkpoint: Callable[..., Any] | None = None):
        if len(layers) == 0:
            raise ValueError("layers must have at least one layer, got none")
        graphs, states = zip(*(nnx.split(layer) for layer in layers), strict=True)
        for index, (graph, state) in enumerate(zip(graphs, states, strict=True)):
            if graph != graphs[0] or _forms(state) != _forms(states[0]):
                raise ValueError(
                    f"layers must be alike but for their numbers, and layer {index}, "
                    f"{type(layers[index]).__name__}, differs from the first in its class, an "
                    "attribute or a shape; keep it apart"
                )
        stacked = jax.tree.map(lambda *leaves: _stack(leaves), *states)
        self._say_stacked(stacked, len(layers))
        self.layer: Any = nnx.merge(graphs[0], stacked)
        self.length = len(layers)
        self.checkpoint = checkpoint

    def __call__(self, input: Any, *others: Any, **named: Any) -> Any:
        """Return what the last layer returns."""
        graph, stacked = nnx.split(self.layer)
        self._check_stacked(stacked)
        changed: list[Any] = []

        def call(carry: Any, state: Any) -> tuple[Any, list[Any]]:
            layer = nnx.merge(graph, state)
            before = dict(_values(layer))
            output = (layer if self.checkpoint is None else self.checkpoint(layer))(
                carry, *others, **named
            )
            after = [(path, value) for path, value in _values(layer) if before[path] is not value]
            changed[:] = [path for path, _ in after]
            return output, [value for _, value in after]

        output, values = jax.lax.scan(call, input, stacked)
        nnx.update(self.layer, nnx.from_flat_state(zip(changed, values, strict=True)))
        return output

    def __len__(self) -> int:
        return self.length

    def __getitem__(self, index: int) -> Any:
        if not -len(self) <= index < len(self):
            raise IndexError(f"index {index} is out of range")
        graph, stacked = nnx.split(self.layer)
        one = jax.tree.map(lambda leaf: leaf[index], stacked)
        self._say_stacked(one, None)
        return nnx.merge(graph, one)

    def __iter__(self) -> Iterator[Any]:
        return (self[index] for index in range(len(self)))

    def set_view(self, rngs: nnx.Rngs | None = None) -> None:
        """Take part in ``nnx.view``: of a stream for all layers, give each one of its own."""
        for _, node in nnx.iter_graph(self.layer) if rngs is not None else ():
            if isinstance(node, nnx.RngStream) and node.key.ndim == 0:
                node.key.set_value(jax.random.split(node.key[...], len(self)))
                node.count.set_value(jnp.zeros(len(self), node.count.dtype))

    def _check_stacked(self, state: Any) -> None:
        """Raise for arrays that somebody has put there since, which count no layers."""
        for path, variable in nnx.to_flat_state(state):
            if variable.shape[:1] != (len(self),):
                raise ValueError(
                    f"{'.'.join(map(str, path))} of stacked layers must have a first axis of "
                    f"{len(self)} layers, got shape {variable.shape}; change the layers before "
                    "they are stacked"
                )

    @staticmethod
    def _say_stacked(state: Any, layers: int | None) -> None:
        """Let the variables of a state say how many layers they stack, or that they stack none."""
        for _, variable in nnx.to_flat_state(state):
            others = {k: v for k, v in variable.get_metadata().items() if k != LAYERS}
            variable.set_metadata(others if layers is None else others | {LAYERS: layers})


def _forms(state: Any) -> list[Any]:
    """Return the shapes and dtypes of a state's arrays."""
    return [(leaf.shape, leaf.dtype) for leaf in jax.tree.leaves(state)]


def _stack(leaves: Sequence[Any]) -> jax.Array:
    """Return arrays one over the other; those of a usual size without compiling a program."""
    is_key = jnp.issubdtype(leaves[0].dtype, jax.dtypes.extended)
    if not is_key and fills_on_host((len(leaves), *leaves[0].shape)):
        return on_device(np.stack([np.asarray(leaf) for leaf in leaves]))
    return jnp.stack(leaves)


def _values(layer: nnx.Module) -> list[tuple[Any, Any]]:
    """Return a layer's arrays with their paths."""
    return [(path, leaf.get_value()) for path, leaf in nnx.to_flat_state(nnx.state(layer))]
