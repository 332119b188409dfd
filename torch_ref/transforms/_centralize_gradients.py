"""Gradient centralization: the gradient of every output has mean zero."""

from torch.utils import _pytree as pytree

from torch_ref._layout import check_layouts, layout_at, output_axis
from torch_ref._math import compute_dtype
from torch_ref._tree import path_name
from torch_ref._types import GradientTransformation


def centralize_gradients(conv_only=False, layout="flax"):
    """Subtract from the gradient of each output's weights its mean."""
    check_layouts(layout)
    fewest_dims = 4 if conv_only else 2

    def init(params):
        del params
        return ()

    def update(updates, state, params=None):
        del params

        def centralize(path, grad):
            if grad is None or grad.ndim < fewest_dims:
                return grad
            return _update_leaf(grad, output_axis(layout_at(layout, path_name(path))))

        return pytree.tree_map_with_path(centralize, updates), state

    return GradientTransformation(init, update)


def _update_leaf(grad, axis):
    """Return the gradient without its mean over all axes but one."""
    others = tuple(other for other in range(grad.ndim) if other != axis % grad.ndim)
    wide = grad.to(compute_dtype(grad.dtype))
    return (wide - wide.mean(others, keepdim=True)).to(grad.dtype)
