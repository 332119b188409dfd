"""Indices as vectors of zeros and a one."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
from jax.core import Tracer

from jaxaccel._checked import checked
from jaxaccel._shapes import check_size


@checked
def one_hot(input: jax.Array, num_classes: int = -1) -> jax.Array:
    """Return a vector of zeros with a one at the index, for each index.

    Args:
        input: Integers, of any shape.
        num_classes: The length of the vectors; -1 for the largest index and one more, which a
            compiled program cannot know.

    Returns:
        The input's shape and one axis more, last, in the input's dtype. In a compiled program an
        index out of range makes a vector of zeros.

    Raises:
        ValueError: an index that is negative or not below ``num_classes``, where its value is
            known; -1 where it is not, or for an empty input.
        TypeError: ``input`` is not of integers.

    PyTorch:
        ``torch.nn.functional.one_hot``: the same, of any integer type, which the result keeps.
        PyTorch takes and returns int64 alone, and raises ``RuntimeError``.

    Example:
        >>> import jax.numpy as jnp
        >>> import jaxaccel as ja
        >>> ja.functional.one_hot(jnp.array([0, 2])).tolist()
        [[1, 0, 0], [0, 0, 1]]
    """
    if not jnp.issubdtype(input.dtype, jnp.integer):
        raise TypeError(f"one_hot is only applicable to integers, but got {input.dtype}")
    if not isinstance(input, Tracer):
        known = np.asarray(input)
        if known.size == 0 and num_classes <= 0:
            raise ValueError("Can not infer total number of classes from empty tensor.")
        if known.min(initial=0) < 0:
            raise ValueError("Class values must be non-negative.")
        if num_classes == -1:
            num_classes = int(known.max()) + 1
        elif known.size and known.max() >= num_classes:
            raise ValueError("Class values must be smaller than num_classes.")
    elif num_classes < 0:
        raise ValueError(
            f"one_hot() in a compiled program needs num_classes, as it cannot look for the largest "
            f"index: got {num_classes}"
        )
    check_size("shape with num_classes", (*input.shape, num_classes))
    classes = jnp.arange(num_classes, dtype=input.dtype)
    shown = jnp.expand_dims(input, -1)
    return (shown == classes.reshape((1,) * input.ndim + (-1,))).astype(input.dtype)
