"""DeepSpeed's three batch sizes, of which each follows from the others."""

from __future__ import annotations

from typing import Any, NamedTuple

from jaxaccel._checks import as_integer


class BatchSizes(NamedTuple):
    """Rows of a step, rows of a part on a device, and parts."""

    train: int
    micro: int
    parts: int


def batch_sizes(config: dict[str, Any], devices: int) -> BatchSizes:
    """Return DeepSpeed's batch sizes for a number of devices, in its own arithmetic.

    Raises:
        ValueError: They contradict each other, do not divide, or say too little.
    """
    names = ("train_batch_size", "train_micro_batch_size_per_gpu", "gradient_accumulation_steps")
    train, micro, parts = (_count(name, config.get(name)) for name in names)
    if train is None and micro is None:
        raise ValueError(
            "Either train_batch_size or train_micro_batch_size_per_gpu needs to be provided\n"
            "Write one into the configuration, or pass per_device_train_batch_size= beside 'auto'"
        )
    if train is None:
        parts = 1 if parts is None else parts
        train = (micro or 0) * parts * devices
    elif micro is None:
        parts = 1 if parts is None else parts
        micro = train // devices // max(parts, 1)
    elif parts is None:
        parts = train // max(micro, 1) // devices
    sizes = BatchSizes(train, micro or 0, parts or 0)
    _check(sizes, devices)
    return sizes


def _count(name: str, value: Any) -> int | None:
    if value is None:
        return None
    if (found := as_integer(value)) is None:
        raise TypeError(f"{name} must be a whole number, got {value!r}")
    return found


def _check(sizes: BatchSizes, devices: int) -> None:
    train, micro, parts = sizes
    remedy = f"world_size is {devices}, the number of devices that split the batch"
    if train <= 0:
        raise ValueError(f"Train batch size: {train} has to be greater than 0\n{remedy}")
    if micro <= 0:
        raise ValueError(f"Micro batch size per gpu: {micro} has to be greater than 0\n{remedy}")
    if parts <= 0:
        raise ValueError(f"Gradient accumulation steps: {parts} has to be greater than 0\n{remedy}")
    if train != micro * parts * devices:
        raise ValueError(
            "Check batch related parameters. train_batch_size is not equal to micro_batch_per_gpu "
            f"* gradient_acc_step * world_size {train} != {micro} * {parts} * {devices}\n{remedy}"
        )
