"""The arrays of a state where a placement says that they live."""

from __future__ import annotations

from typing import Any

import jax
from jax.sharding import Mesh

from jaxaccel._check_trees import check_arrays
from jaxaccel._checked import checked_but
from jaxaccel._functions import check_function
from jaxaccel._types import Placement
from jaxaccel.parallel._mesh import check_is_here, check_mesh
from jaxaccel.parallel._placement import place_of, put


@checked_but("state", "placement")
def distribute_state(state: Any, mesh: Mesh, placement: Placement) -> Any:
    """Return a training state with every array where a placement says.

    Of shapes (``jax.eval_shape``) it returns shapes with their places, for a program that is only
    compiled: ``aot.compile_for``, ``memory.report``; then the mesh may be of devices that are not
    here.

    Args:
        state: A training state, or another tree of arrays or of ``jax.ShapeDtypeStruct``.
        mesh: The mesh.
        placement: ``(path, array) -> PartitionSpec``, as :func:`fully_shard` and :func:`zero`
            return it.

    Returns:
        The same values; the arrays are new.

    Raises:
        ValueError: The mesh is of devices that are not here, the placement names axes that it does
            not have or that do not divide a dimension, or processes hand in different values.
        TypeError: A leaf is not an array, or ``placement`` not a function of two arguments.

    PyTorch:
        ``torch.distributed.tensor.distribute_tensor(tensor, device_mesh, placements)``, for all
        tensors of a run at once.

    Example:
        >>> import jax
        >>> import jax.numpy as jnp
        >>> import jaxaccel as ja
        >>> from jax.sharding import PartitionSpec
        >>> mesh = ja.parallel.make_mesh(devices=jax.devices()[:1])
        >>> def placement(path, array):
        ...     return PartitionSpec("data")
        >>> state = ja.parallel.distribute_state({"w": jnp.ones(4)}, mesh, placement)
        >>> print(state["w"].sharding.spec[0])
        data
    """
    check_mesh(mesh)
    check_function("distribute_state", "placement", placement, "(path, array) -> PartitionSpec", 2)
    leaves = jax.tree.leaves(state)
    if not leaves or not all(isinstance(leaf, jax.ShapeDtypeStruct) for leaf in leaves):
        check_is_here(mesh)
        check_arrays("state", state)
        return put(state, mesh, placement)

    def place(path: Any, leaf: Any) -> jax.ShapeDtypeStruct:
        where = place_of(path, leaf, mesh, placement)
        return jax.ShapeDtypeStruct(leaf.shape, leaf.dtype, sharding=where)

    return jax.tree_util.tree_map_with_path(place, state)
