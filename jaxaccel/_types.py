"""The types that the whole library speaks: aliases and protocols, no behaviour."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Protocol, TypeAlias, runtime_checkable

import jax
import numpy as np

Params: TypeAlias = Any
"""A pytree of arrays: the parameters of a model."""

Updates: TypeAlias = Any
"""A pytree like ``Params``: gradients on their way in, additive updates on their way out.

A leaf may be ``None``: no gradient reached it, and it is frozen.
"""

State: TypeAlias = Any
"""The state of a transformation: a NamedTuple whose fields have PyTorch's keys."""

Key: TypeAlias = Any
"""A JAX random key, typed (``jax.random.key``) or raw (``jax.random.PRNGKey``).

An initializer takes a :class:`Generator` in its place.
"""

AxisName: TypeAlias = str | Sequence[str]
"""One or more mapped mesh axes over which a batch is spread."""


@runtime_checkable
class Schedule(Protocol):
    """A hyperparameter as a function of the number of finished ``scheduler.step()`` calls."""

    def __call__(self, step: Any, /) -> Any:
        """Return the value after ``step`` calls.

        A Python or NumPy ``step`` is computed in NumPy double precision and gives NumPy
        values; a traced ``step`` is computed in JAX's default float. Arrays of steps give
        arrays of values.
        """
        ...


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


Hyperparameter: TypeAlias = float | jax.Array | Callable[[Any], Any]
"""A Python number, a JAX scalar, or a schedule ``step -> value``."""


@runtime_checkable
class Initializer(Protocol):
    """A function that draws a new array: ``init(key, shape, dtype)``."""

    def __call__(self, key: Key, shape: tuple[int, ...], dtype: Any = ..., /) -> jax.Array:
        """Return a new array of ``shape`` and ``dtype`` drawn with ``key``.

        With a JAX key it has PyTorch's distribution, with a :class:`Generator` PyTorch's bits.
        """
        ...
