"""What XLA's GPU compiler asks of a device, for GPUs that are not here."""

from __future__ import annotations

from typing import NamedTuple

_OF_ALL = {
    "threads_per_block_limit": 1024,
    "threads_per_warp": 32,
    "shared_memory_per_block": 49152,
    "threads_per_core_limit": 2048,
    "block_dim_limit_x": 2147483647,
    "block_dim_limit_y": 65535,
    "block_dim_limit_z": 65535,
    "registers_per_core_limit": 65536,
    "registers_per_block_limit": 65536,
    "thread_dim_limit_x": 1024,
    "thread_dim_limit_y": 1024,
    "thread_dim_limit_z": 64,
}


class Gpu(NamedTuple):
    """A GPU's name and compute capability, and the facts that differ between them."""

    name: str
    compute_capability: int
    facts: dict[str, float]


GPUS = {
    "a100": Gpu(
        "NVIDIA A100-SXM4-80GB",
        8,
        {
            "shared_memory_per_core": 167936,
            "shared_memory_per_block_optin": 166912,
            "core_count": 108,
            "fpus_per_core": 64,
            "memory_bandwidth": 2039040000000,
            "l2_cache_size": 41943040,
            "clock_rate_ghz": 1.41,
            "device_memory_size": 85100068864,
        },
    ),
    "h100": Gpu(
        "NVIDIA H100 80GB HBM3",
        9,
        {
            "shared_memory_per_core": 233472,
            "shared_memory_per_block_optin": 232448,
            "core_count": 132,
            "fpus_per_core": 128,
            "memory_bandwidth": 3352320000000,
            "l2_cache_size": 52428800,
            "clock_rate_ghz": 1.98,
            "device_memory_size": 84942979072,
        },
    ),
}


def target_config(gpu: Gpu) -> str:
    """Return a device as the text of XLA's protocol buffer, with CUDA 12.8 and cuDNN 9.10."""
    facts = " ".join(f"{name}: {value}" for name, value in {**_OF_ALL, **gpu.facts}.items())
    return (
        f"gpu_device_info {{ {facts} "
        f"cuda_compute_capability {{ major: {gpu.compute_capability} }} }} "
        'platform_name: "CUDA" dnn_version_info { major: 9 minor: 10 } '
        f'runtime_version {{ major: 12 minor: 8 }} device_description_str: "{gpu.name}"'
    )
