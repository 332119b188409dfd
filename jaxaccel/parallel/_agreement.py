"""What several processes must agree on before they share arrays; all of them ask together."""

from __future__ import annotations

import zlib
from typing import Any

import jax
import numpy as np
from jax.sharding import Mesh, NamedSharding, PartitionSpec

from jaxaccel._processes import SAMPLE, digest, is_global, of_all_processes
from jaxaccel._rows import count_rows


def check_same_values(tree: Any, mesh: Mesh) -> None:
    """Raise unless every process has the same values to be replicated."""
    if not _has_all_processes(mesh):
        return
    found = jax.tree_util.tree_leaves_with_path(tree)
    own = [(path, leaf) for path, leaf in found if not is_global(leaf)]
    form = str([(path, _form(leaf)) for path, leaf in own])
    _check_form(of_all_processes([_number(form)]), "trees")
    digests = of_all_processes([digest([leaf]) for _, leaf in own] or [0])
    for (path, _), column in zip(own, digests.T, strict=False):
        if len(set(column.tolist())) > 1:
            raise ValueError(
                f"processes differ in the values of {jax.tree_util.keystr(path) or 'the array'}, "
                "which are to be the same on all devices; draw them from the same seed in every "
                "process, or restore the same file"
            )


def check_rows(
    batch: Any, rows: list[int | None], mesh: Mesh, axes: tuple[str, ...], whole: bool | None
) -> None:
    """Raise unless what all processes hand in makes up one batch, in the way that is said."""
    count, leaves = count_rows(batch, rows) or 0, jax.tree.leaves(batch)
    if any(map(is_global, leaves)):
        return
    blocks, process = _blocks(mesh, axes), jax.process_index()
    if process not in blocks:
        raise ValueError(
            f"process {process} has no device in the mesh, which lies over {sorted(blocks)}; call "
            "this in those processes alone, or make the mesh of the devices of all"
        )
    if whole is not False and _has_all_processes(mesh):
        pairs = list(zip(leaves, rows, strict=True))
        form = str((jax.tree.structure(batch), [_form(leaf, axis) for leaf, axis in pairs]))
        of_rows = digest([leaf for leaf, axis in pairs if axis is not None], SAMPLE)
        others = digest([leaf for leaf, axis in pairs if axis is None], SAMPLE)
        table = of_all_processes([_number(form), count, of_rows, others])
        _check_form(table[:, :1], "batches")
        _check_table(table[:, 1:].T.tolist(), blocks, bool(whole))
    shares = len(frozenset().union(*blocks.values()) if whole else blocks[process])
    if count % shares:
        what = "the whole batch" if whole else f"process {process}'s part of a batch"
        raise ValueError(
            f"{what} has {count} rows, which cannot be split over {shares} devices of mesh axes "
            f"{axes}; drop the last, smaller batch or choose a multiple of {shares}"
        )


def _check_table(columns: list[list[int]], blocks: dict[int, frozenset[Any]], whole: bool) -> None:
    """Check each process's number of rows, their digest, and that of the leaves without rows."""
    counts, of_rows, others = columns
    shares = {count / (1 if whole else len(blocks[p])) for p, count in enumerate(counts)}
    if len(shares) > 1:
        raise ValueError(
            "the processes hand in different numbers of rows: "
            + ", ".join(f"process {p} {count}" for p, count in enumerate(counts))
            + "; each row would count for another share of the mean. Give each as many (as "
            "data.distributed_sampler does), filled up where a weight of 0 says so"
        )
    if len(set(others)) > 1:
        raise ValueError(
            "the processes differ in the values of leaves that have no rows, which every device is "
            "given whole; hand in the same, or name the axis of their rows in batch_axes"
        )
    same = len(set(of_rows)) == 1
    if whole and not same:
        raise ValueError(
            "whole=True says that every process is given the same whole batch, but their rows "
            "differ; leave it out where each hands in its own rows"
        )
    if not whole and same and counts[0] and len(set(blocks.values())) > 1:
        raise ValueError(
            f"all {len(counts)} processes hand in the same {counts[0]} rows, which would count "
            "several times. Give each process its own rows (data.distributed_sampler), or say "
            "whole=True where this is the whole batch, whole=False where own rows may be the same"
        )
    for p, block in blocks.items():
        twin = next(q for q in blocks if blocks[q] == block)
        if of_rows[p] != of_rows[twin]:
            raise ValueError(
                f"processes {twin} and {p} hold the same rows of the mesh (other axes split the "
                "rest) but hand in different ones; give both the same"
            )


def _check_form(table: np.ndarray, what: str) -> None:
    """Raise unless the processes, one a row, have found the same numbers."""
    if len(np.unique(table, axis=0)) > 1:
        raise ValueError(
            f"the processes hand in {what} of different structures, shapes or dtypes; each must "
            "hand in the same kind"
        )


def _blocks(mesh: Mesh, axes: tuple[str, ...]) -> dict[int, frozenset[Any]]:
    """Return for each process the numbers of the blocks of rows that its devices hold."""
    size = int(np.prod([mesh.shape[axis] for axis in axes]))
    sharding = NamedSharding(mesh, PartitionSpec(axes))
    found: dict[int, set[Any]] = {}
    for device, (index,) in sharding.devices_indices_map((size,)).items():
        found.setdefault(device.process_index, set()).add(index.start or 0)
    return {process: frozenset(found[process]) for process in sorted(found)}


def _has_all_processes(mesh: Mesh) -> bool:
    """Return whether every process of the program has devices in a mesh, and so takes part."""
    return len({device.process_index for device in mesh.devices.flat}) == jax.process_count()


def _form(leaf: Any, axis: int | None = None) -> Any:
    """Return the dtype and shape of a leaf, without the number of its rows."""
    shape = list(np.shape(leaf))
    if axis is not None:
        shape[axis] = -1
    return shape, str(jax.numpy.result_type(leaf))


def _number(text: str) -> int:
    """Return a number of 32 bits for a text."""
    return zlib.crc32(text.encode())
