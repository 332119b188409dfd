"""Strict JAX for every test: x64, 8 devices, no silent promotion of types or ranks."""

import os

# On the CPU unless the environment asks for another device (JAX_PLATFORMS=cuda,cpu).
ON_CPU = "JAX_PLATFORMS" not in os.environ
if ON_CPU:
    # Compiling is what takes the time, and the formulas do not change. Where the last bit counts,
    # a test asks for harness.QUICK_COMPILE.
    os.environ.setdefault(
        "XLA_FLAGS", "--xla_backend_optimization_level=0 --xla_cpu_use_fusion_emitters=false"
    )

import jax  # noqa: E402

if ON_CPU:
    jax.config.update("jax_platforms", "cpu")
jax.config.update("jax_num_cpu_devices", 8)
jax.config.update("jax_enable_x64", True)
jax.config.update("jax_numpy_dtype_promotion", "strict")
jax.config.update("jax_numpy_rank_promotion", "raise")

import torch  # noqa: E402  (after the flags, which must be set before the first array)

torch.set_num_threads(1)

import pytest  # noqa: E402


@pytest.fixture
def no_draws(monkeypatch):
    """Compile no random generator for every shape of weights that are loaded anyway."""
    from jaxaccel.init import _draw

    for name in ("uniform", "normal", "trunc_normal"):
        monkeypatch.setattr(
            _draw, name, lambda key, shape, dtype, *_: jax.numpy.zeros(shape, dtype)
        )
