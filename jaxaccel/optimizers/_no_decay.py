"""The usual choice of parameters without weight decay."""

from __future__ import annotations

from typing import Any

import numpy as np

from jaxaccel._arrays import is_array
from jaxaccel._checked import checked_after


@checked_after
def no_decay(path: str, leaf: Any) -> bool:
    """Return whether a parameter is a bias or a norm's scale, which weight decay usually spares.

    For a group's ``"params"`` in :func:`param_groups`.

    Args:
        path: The parameter's key path, names joined by dots.
        leaf: The parameter, or anything of its shape.

    Returns:
        True for arrays with at most one axis, and for whatever is named ``bias`` or ``scale``
        (layers that are stacked for a scan have one axis more).

    Raises:
        TypeError: ``leaf`` has no shape: it is a text, a list or another tree.

    PyTorch:
        The custom of two groups by ``p.ndim < 2`` or ``name.endswith("bias")``; a norm's
        ``weight`` has one axis there, and is named ``scale`` in flax.

    Example:
        >>> import jax.numpy as jnp
        >>> import jaxaccel as ja
        >>> print(ja.optimizers.no_decay("layers.0.bias", jnp.zeros((12, 64))))
        True
    """
    if not (leaf is None or _has_shape(leaf) or is_array(leaf)):
        raise TypeError(
            f"leaf must be a parameter, or anything of its shape, got {leaf!r:.80}; give one "
            "leaf of the tree and its path"
        )
    axes = 0 if leaf is None else len(np.shape(leaf))
    return axes <= 1 or path.rsplit(".", 1)[-1] in ("bias", "scale")


def _has_shape(leaf: Any) -> bool:
    """Return whether something has a shape, and not only a name for one."""
    return isinstance(getattr(leaf, "shape", None), tuple)
