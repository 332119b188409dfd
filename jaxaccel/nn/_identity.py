"""The layer that does nothing."""

from __future__ import annotations

from typing import Any

from flax import nnx


class Identity(nnx.Module):
    """Return the input.

    Args:
        args: Not looked at.
        kwargs: Not looked at.

    PyTorch:
        ``torch.nn.Identity``: the same.

    Example:
        >>> import jaxaccel as ja
        >>> ja.nn.Identity(54, unused=True)(1.5)
        1.5
    """

    def __init__(self, *args: Any, **kwargs: Any):
        pass

    def __call__(self, input: Any) -> Any:
        """Return the input."""
        return input
