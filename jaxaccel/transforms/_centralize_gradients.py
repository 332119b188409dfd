"""Gradient centralization: the gradient of every output has mean zero."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import optax

from jaxaccel._call_repr import shows_call
from jaxaccel._check_packed import check_not_packed
from jaxaccel._check_trees import check_state
from jaxaccel._checked import checked_after
from jaxaccel._layout import Layouts, check_layouts, layout_at, output_axis
from jaxaccel._math import compute_dtype
from jaxaccel._stacked import check_not_stacked
from jaxaccel._tree import is_none, path_name
from jaxaccel._types import Params, State, Updates


@shows_call
@checked_after
def centralize_gradients(
    conv_only: bool = False, layout: Layouts = "flax"
) -> optax.GradientTransformationExtraArgs:
    r"""Subtract from the gradient of each output's weights its mean.

    .. math:: g_{o} \leftarrow g_{o} - \frac{1}{M} \sum_{m=1}^{M} g_{o, m}

    Here :math:`g_o` holds the :math:`M` entries of a kernel that lead to output :math:`o`. Biases,
    scales and other leaves of fewer than two dimensions pass.

    Args:
        conv_only: Only kernels of more than three dimensions (2-D convolutions), not matrices.
        layout: Where the output axis is: ``"flax"``, the last, ``"torch"``, the first; or a
            function of a leaf's path (``"encoder.embedding"``) that returns one of the two. An
            embedding table ``(tokens, features)`` has its outputs last in both.

    Returns:
        A transformation of gradients without state. Shapes and dtypes stay, half-precision leaves
        are centralized in float32, ``None`` leaves stay ``None``.

    Raises:
        ValueError: ``layout`` is, or returns, something other than ``"flax"`` or ``"torch"``.

    PyTorch:
        PyTorch has no such function; the numbers are the paper's formula. ``optax.centralize``
        takes the mean over all axes but the first, which on flax kernels is the mean over the
        outputs.

    Example:
        >>> import jax.numpy as jnp
        >>> import jaxaccel as ja
        >>> tx = ja.transforms.centralize_gradients()
        >>> g = jnp.array([[1.0, 10.0], [3.0, 30.0]])
        >>> centralized, _ = tx.update(g, tx.init(g))
        >>> print(centralized.tolist())
        [[-1.0, -10.0], [1.0, 10.0]]

    References:
        Yong, Huang, Hua, Zhang. Gradient Centralization: A New Optimization Technique for Deep
        Neural Networks. 2020. https://arxiv.org/abs/2004.01461
    """
    check_layouts(layout)
    fewest_dims = 4 if conv_only else 2

    def init(params: Params) -> State:
        del params
        return optax.EmptyState()

    def update(
        updates: Updates, state: State, params: Params | None = None, **extra: object
    ) -> tuple[Updates, State]:
        del params, extra
        check_state("centralize_gradients", optax.EmptyState, state)
        check_not_packed("centralize_gradients", updates)
        check_not_stacked("centralize_gradients", updates)

        def centralize(path, grad):
            if grad is None or grad.ndim < fewest_dims:
                return grad
            return _update_leaf(grad, output_axis(layout_at(layout, path_name(path))))

        return jax.tree.map_with_path(centralize, updates, is_leaf=is_none), state

    return optax.GradientTransformationExtraArgs(init, update)


def _update_leaf(grad, axis):
    """Return the gradient without its mean over all axes but one."""
    others = tuple(other for other in range(grad.ndim) if other != axis % grad.ndim)
    wide = grad.astype(compute_dtype(grad.dtype))
    return (wide - jnp.mean(wide, others, keepdims=True)).astype(grad.dtype)
