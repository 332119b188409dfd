"""Strict JAX for every test: x64, 8 devices, no silent promotion of types or ranks."""

import os

import jax

# On the CPU unless the environment asks for another device (JAX_PLATFORMS=cuda,cpu).
if "JAX_PLATFORMS" not in os.environ:
    jax.config.update("jax_platforms", "cpu")
jax.config.update("jax_num_cpu_devices", 8)
jax.config.update("jax_enable_x64", True)
jax.config.update("jax_numpy_dtype_promotion", "strict")
jax.config.update("jax_numpy_rank_promotion", "raise")

import torch  # noqa: E402  (after the flags, which must be set before the first array)

torch.set_num_threads(1)
