"""The types that the whole library speaks: aliases and protocols, no behaviour."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import (
    Annotated,
    Any,
    NamedTuple,
    Protocol,
    TypeAlias,
    TypeVar,
    overload,
    runtime_checkable,
)

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import PartitionSpec
from jax.typing import ArrayLike

from jaxaccel._arrays import has_numbers, is_array
from jaxaccel._keys import is_one_key


class Meant(NamedTuple):
    """What the annotation of an argument says about it, where no class can."""

    what: str
    """In words, after "must be"."""
    fits: Callable[[Any], bool]
    """Whether a value is so."""


def is_dtype(value: Any) -> bool:
    """Return whether something is a dtype of numbers, by its name, its class or itself."""
    if not isinstance(value, (type, np.dtype, str)):
        return False
    try:
        dtype = jnp.dtype(value)
    except TypeError:
        return False
    # To NumPy every class and nobody's word is a dtype of objects.
    return has_numbers(dtype)


def _is_tree(value: Any) -> bool:
    # An iterator is a leaf to JAX, which warns of it.
    is_other = value is None or isinstance(value, Iterator)
    return not is_other and all(map(_is_leaf, jax.tree.leaves(value)))


def _is_leaf(value: Any) -> bool:
    return isinstance(value, jax.ShapeDtypeStruct) or (
        not isinstance(value, bool) and is_array(value)
    )


_Tree: TypeAlias = Annotated[Any, Meant("a pytree of arrays", _is_tree)]

Params: TypeAlias = _Tree
"""A pytree of arrays: the parameters of a model."""

Updates: TypeAlias = _Tree
"""A pytree like ``Params``: gradients on their way in, additive updates on their way out.

A leaf may be ``None``: no gradient reached it, and it is frozen.
"""

State: TypeAlias = Any
"""The state of a transformation: a NamedTuple whose fields have PyTorch's keys."""

DType: TypeAlias = Annotated[Any, Meant("a dtype such as jnp.float32", is_dtype)]
"""The dtype of new numbers: ``jnp.float32``, ``np.dtype("float32")``, ``"float32"``."""

Key: TypeAlias = Annotated[Any, Meant("a JAX key such as jax.random.key(0)", is_one_key)]
"""A JAX random key, typed (``jax.random.key``) or raw (``jax.random.PRNGKey``)."""

AxisName: TypeAlias = str | Sequence[str]
"""One or more mapped mesh axes over which a batch is spread."""


Scalar: TypeAlias = float | np.number | np.ndarray | jax.Array
"""A number that is known now: Python's, NumPy's, or an array of one element."""

Count: TypeAlias = int | np.integer
"""A whole number, Python's or NumPy's."""


@runtime_checkable
class Schedule(Protocol):
    """A hyperparameter as a function of the number of finished ``scheduler.step()`` calls.

    It returns the value after ``step`` calls. A Python or NumPy ``step`` is computed in NumPy
    double precision and gives a float or, for an array of steps, an array of float64; a traced
    ``step`` is computed in JAX's default float.
    """

    @overload
    def __call__(self, step: Count, /) -> float: ...
    @overload
    def __call__(self, step: np.ndarray, /) -> np.ndarray: ...
    @overload
    def __call__(self, step: jax.Array, /) -> jax.Array: ...


@runtime_checkable
class Generator(Protocol):
    """What draws PyTorch's bits: :class:`jaxaccel.random.Generator`, seen from other rooms.

    It is mutable: each draw moves it on. Shapes are PyTorch's, results are NumPy arrays.
    """

    def words32(self, n: int, /) -> np.ndarray:
        """Return the next ``n`` words of the stream, the draw under all others."""
        ...

    def uniform(self, shape: Any, a: float, b: float, dtype: Any, /) -> np.ndarray:
        """Draw from U[a, b) as ``Tensor.uniform_`` does."""
        ...

    def normal(self, shape: Any, mean: float, std: float, dtype: Any, /) -> np.ndarray:
        """Draw from N(mean, std^2) as ``Tensor.normal_`` does."""
        ...

    def trunc_normal(
        self, shape: Any, mean: float, std: float, a: float, b: float, dtype: Any, /
    ) -> np.ndarray:
        """Draw from N(mean, std^2) within [a, b] as ``torch.nn.init.trunc_normal_`` does."""
        ...

    def randperm(self, n: int, /) -> np.ndarray:
        """Draw a permutation of 0 to n - 1 as ``torch.randperm`` does."""
        ...


def is_generator(value: Any) -> bool:
    """Return whether something draws PyTorch's bits."""
    # An nnx.Rngs has every attribute that it is asked for, its class only its own.
    return isinstance(value, Generator) and hasattr(type(value), "words32")


class Number(NamedTuple):
    """What the annotation of an optimizer's argument says about it: that it is a number."""

    decays: bool = False
    """Near 1 its distance from 1 counts, which ``param_groups`` therefore holds in its place."""
    has_buffer: bool = False
    """The number 0 leaves its buffer out of the state, so it cannot be changed later."""


_Value: TypeAlias = Scalar | Callable[[Any], Any]

Hyperparameter: TypeAlias = Annotated[_Value, Number()]
"""A number, a scalar of NumPy or JAX, or a schedule ``step -> value``.

A schedule is read at the number of finished updates, before this one is counted: at the state's own
``step``, or at ``update(..., schedule_step=)`` where the caller counts the calls of
``scheduler.step()``, as a loop does that skips some updates; with ``update(..., skipped_steps=)``
as many steps later as the loop has skipped so far. Wrappers hand both on.

``param_groups`` holds an argument with this annotation in its state, where it can be scheduled,
read and set.
"""

DecayFactor: TypeAlias = Annotated[_Value, Number(decays=True)]
"""The same for a factor such as a beta, of which ``1 - beta`` is the share of what is new.

``param_groups`` holds it as ``1 - beta``, which float32 keeps with all its digits. What the
factory is given there can be used as a number: in ``1 - beta``, in products and in powers.
"""

BufferDecay: TypeAlias = Annotated[_Value, Number(decays=True, has_buffer=True)]
"""The same for the factor of a buffer, a momentum, that is left out when the number is 0."""


@runtime_checkable
class Initializer(Protocol):
    """A function that draws a new array: ``init(key, shape, dtype)``."""

    def __call__(self, key: Key, shape: tuple[int, ...], dtype: Any = ..., /) -> jax.Array:
        """Return a new array of ``shape`` and ``dtype`` drawn with ``key``.

        With a JAX key it has PyTorch's distribution, with a :class:`Generator` PyTorch's bits.
        """
        ...


StateT = TypeVar("StateT")


class ModelFunction(Protocol):
    """A model as a pure function: what ``training.split_model`` makes and precision wraps."""

    # Positional and named inputs of any kind: every function that starts with the two fits.
    def __call__(
        self, params: Params, model_state: Any, /, *inputs: Any, **options: Any
    ) -> tuple[Any, Any]:
        """Return ``(outputs, model_state)``; that of a split model takes ``training=``."""
        ...


class Placement(Protocol):
    """Where the arrays of a training state live: what ``parallel`` makes."""

    def __call__(self, path: Any, array: Any, /) -> PartitionSpec:
        """Return the placement of the array at a path, as ``jax.tree_util`` has it or as a text."""
        ...


class LossFunction(Protocol):
    """A loss as a pure function: what ``training.gradients`` takes."""

    def __call__(
        self, params: Params, model_state: Any, batch: Any, /, *args: Any, **options: Any
    ) -> tuple[ArrayLike, tuple[Any, Mapping[str, Any]]]:
        """Return ``(loss, (model_state, metrics))``, means over the batch.

        Where the gradient function is given a ``key``, it is called with ``key=``.
        """
        ...


class Step(Protocol[StateT]):
    """A training step: what ``training.train_step`` makes and a loop calls."""

    def __call__(
        self, state: StateT, batch: Any, /, **extra: Any
    ) -> tuple[StateT, dict[str, jax.Array]]:
        """Return the state after a batch, and the metrics; ``extra`` goes to the optimizer."""
        ...


class Gradients(NamedTuple):
    """What a gradient function returns."""

    grads: Updates
    """Gradients of ``loss_scale`` times the loss, like the parameters; of complex ones conjugated,
    so that ``params - lr * grads`` descends, as in PyTorch."""
    model_state: Any
    """The model's state after the batch."""
    metrics: dict[str, jax.Array]
    """``"loss"`` and what the loss function adds: means over the batch, never scaled."""


class GradientFunction(Protocol):
    """The gradient of a loss: what the training step's wrappers take and return."""

    def __call__(
        self, params: Params, model_state: Any, batch: Any, *, loss_scale: Any = ..., key: Any = ...
    ) -> Gradients:
        """Return the gradients of ``loss_scale`` times the mean loss over a batch.

        ``loss_scale`` also carries what parts and devices weigh; ``None`` is 1. ``key`` is handed
        to the loss function when it is given.
        """
        ...
