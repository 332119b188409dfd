"""A gradient function on a mesh, as it is called: the checks, and the one compiled program."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from typing import Any

import jax
from jax.core import Tracer
from jax.sharding import AbstractMesh, AxisType, Mesh

from jaxaccel._check_trees import check_arrays, check_loss_scale
from jaxaccel._donated import check_not_donated
from jaxaccel._keys import check_random_key
from jaxaccel._processes import MAKE_GLOBAL, check_global
from jaxaccel._rows import row_axes
from jaxaccel._spread import Spread, with_spread
from jaxaccel._tracing import is_tracing
from jaxaccel._types import GradientFunction, Gradients, Params, Placement
from jaxaccel.parallel._per_device import check_keys
from jaxaccel.parallel._placement import check_batch_divides


def on_mesh(
    run: Callable[..., Gradients],
    mesh: Mesh | AbstractMesh,
    axes: tuple[str, ...],
    mode: str,
    batch_axes: Any,
    placement: Placement | None = None,
) -> GradientFunction:
    """Return ``run(rows, params, model_state, batch, scale, key)`` as a gradient function.

    ``placement`` says where it expects the arrays of a state.
    """

    @jax.jit
    def compiled(params: Params, model_state: Any, batch: Any, scale: Any, key: Any) -> Gradients:
        rows = row_axes(batch, batch_axes)
        check_batch_divides(batch, rows, mesh, axes)
        return run(rows, params, model_state, batch, scale, key)

    def parallel(
        params: Params, model_state: Any, batch: Any, *, loss_scale: Any = None, key: Any = None
    ) -> Gradients:
        given = {"params": params, "model_state": model_state, "batch": batch}
        leaves = jax.tree.leaves((given, loss_scale, key))
        is_multi_process = isinstance(mesh, Mesh) and mesh.is_multi_process
        if is_multi_process and not any(isinstance(leaf, Tracer) for leaf in leaves):
            check_global(MAKE_GLOBAL, **given)
        check_arrays("batch", batch)
        check_not_donated(params=params, model_state=model_state)
        check_loss_scale(loss_scale)
        check_random_key(key, may_be_raw=False)
        if mode != "jit":
            check_keys(model_state)
        with _entered(mesh, mode, leaves):
            return compiled(params, model_state, batch, loss_scale, key)

    return with_spread(parallel, Spread(axes, mesh.size, placement))


def _entered(mesh: Mesh | AbstractMesh, mode: str, leaves: list[Any]) -> Any:
    """Return the context in which arrays that are on no mesh come to one whose axes are types."""
    is_traced = is_tracing() or any(isinstance(leaf, Tracer) for leaf in leaves)
    is_explicit = AxisType.Explicit in mesh.axis_types
    if is_traced or not is_explicit or mode != "jit" or not isinstance(mesh, Mesh):
        return contextlib.nullcontext()
    return jax.set_mesh(mesh)
