"""One epoch of batches, on the host."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import jax
import numpy as np

from jaxaccel._checked import checked, checked_but


@checked
def epoch_order(count: int, seed: int, epoch: int) -> np.ndarray:
    """Return a random order of ``count`` rows that depends on ``seed`` and ``epoch`` only.

    Any epoch can be drawn without those before it, so a run that is resumed sees the batches it
    would have seen.

    Args:
        count: The number of rows, at least 0.
        seed: The seed of the run, at least 0.
        epoch: The number of the epoch, at least 0.

    Returns:
        A permutation of ``0 .. count - 1``, int64, shape ``(count,)``.

    Raises:
        ValueError: An argument is negative.

    PyTorch:
        Stands where ``torch.utils.data.RandomSampler`` stands; the order is NumPy's (PCG64), not
        PyTorch's, which :func:`random_sampler` and :func:`data_loader_order` give.

    Example:
        >>> import jaxaccel as ja
        >>> ja.data.epoch_order(5, seed=0, epoch=0).tolist()
        [2, 4, 3, 0, 1]
    """
    for name, value in (("count", count), ("seed", seed), ("epoch", epoch)):
        if value < 0:
            raise ValueError(f"epoch_order: {name} must be at least 0, got {value}")
    return np.random.default_rng([seed, epoch]).permutation(count)


@checked_but("batch_size")
def batches(
    images: np.ndarray,
    labels: np.ndarray,
    batch_size: int = 1,
    order: Sequence[int] | np.ndarray | jax.Array | None = None,
    drop_last: bool = False,
) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Cut one epoch into batches of rows, as fresh arrays on the host.

    Args:
        images: Shape ``(N, ...)``, any dtype; uint8 is what ``normalize`` and ``augment`` want.
        labels: Shape ``(N, ...)``.
        batch_size: Rows per batch, at least 1.
        order: The rows of this epoch, integers from 0 to N - 1, such as ``epoch_order`` gives;
            a row may come more than once or never. None is ``0 .. N - 1``.
        drop_last: Whether to leave out a last batch that is smaller than ``batch_size``. A
            compiled step compiles anew for another batch size, and a sharded batch
            must divide by the devices: training usually drops it, evaluation does not.

    Returns:
        An iterator of pairs ``(images, labels)``.

    Raises:
        ValueError: ``batch_size`` is not a positive integer, ``images`` and ``labels`` differ in
            length, or ``order`` is not a list of row numbers.

    PyTorch:
        ``torch.utils.data.DataLoader(dataset, batch_size, sampler=order, drop_last=drop_last)``:
        the same batches. Left out: worker processes (slicing arrays needs none) and collating.

    Example:
        >>> import numpy as np
        >>> import jaxaccel as ja
        >>> rows = np.arange(5)
        >>> [labels.tolist() for _, labels in ja.data.batches(rows, rows, 2)]
        [[0, 1], [2, 3], [4]]
    """
    if isinstance(batch_size, bool) or not isinstance(batch_size, int) or batch_size <= 0:
        raise ValueError(
            f"batch_size should be a positive integer value, but got batch_size={batch_size}"
        )
    for name, array in (("images", images), ("labels", labels)):
        if not np.ndim(array):
            raise ValueError(f"batches: {name} must have an axis of rows, got {array!r:.80}")
    if len(images) != len(labels):
        raise ValueError(
            f"batches: images and labels differ in length: {len(images)} and {len(labels)}"
        )
    order = np.arange(len(images)) if order is None else np.asarray(order)
    if order.ndim != 1 or (order.size and not np.issubdtype(order.dtype, np.integer)):
        raise ValueError(
            f"batches: order must be a list of row numbers, got {order.dtype} of shape "
            f"{order.shape}"
        )
    if order.size and not 0 <= order.min() <= order.max() < len(images):
        raise ValueError(
            f"batches: order must hold row numbers from 0 to {len(images) - 1}, "
            f"got {order.min()} to {order.max()}"
        )
    stop = len(order) - len(order) % batch_size if drop_last else len(order)
    rows = (order[start : start + batch_size] for start in range(0, stop, batch_size))
    return ((images[row], labels[row]) for row in rows)
