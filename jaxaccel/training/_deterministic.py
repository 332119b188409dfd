"""The same bits in every run, where a machine would otherwise not give them."""

from __future__ import annotations

import os

import jax

from jaxaccel._checked import checked

FLAGS = ("--xla_gpu_deterministic_ops", "--xla_gpu_autotune_level")
"""Of XLA's GPU compiler; those for CPUs and TPUs have none, and need none."""


@checked
def set_deterministic(mode: bool = True) -> None:
    """Have GPUs give the same bits in every run, for this process and those that it starts.

    The compiler for GPUs may choose kernels by timing them, and sums whose order depends on which
    thread comes first (scatters: the gradient of an embedding or of an index). With this it does
    neither, at some cost in speed, and refuses a program that it knows no reproducible kernel for.
    Programs for CPUs and TPUs give the same bits in every run anyway, on the same number of cores
    or chips.

    It writes into ``XLA_FLAGS``, which XLA reads when the first array is made: so it stands at the
    start of a script. Seeds are another matter: :func:`set_seed`.

    Args:
        mode: False takes it back.

    Returns:
        Nothing.

    Raises:
        TypeError: ``mode`` is not a bool.
        RuntimeError: There are arrays already, or JAX was asked for its devices: XLA would not see
            the change.

    PyTorch:
        ``torch.use_deterministic_algorithms(True)`` with ``torch.backends.cudnn.deterministic =
        True`` and ``torch.backends.cudnn.benchmark = False``. Those can be set at any time, and
        there is no environment variable for cuBLAS to set here.

    Example:
        >>> import subprocess, sys
        >>> script = '''
        ... import os
        ... import jaxaccel as ja
        ... ja.training.set_deterministic()
        ... print("--xla_gpu_deterministic_ops=true" in os.environ["XLA_FLAGS"])
        ... '''
        >>> done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
        >>> print(done.stdout.strip())
        True
    """
    if _is_too_late():
        raise RuntimeError(
            "set_deterministic must come before the first array, as XLA reads its flags only once; "
            "call it at the start of the script, right after the imports"
        )
    others = [flag for flag in os.environ.get("XLA_FLAGS", "").split() if _name(flag) not in FLAGS]
    ours = [f"{FLAGS[0]}=true", f"{FLAGS[1]}=0"] if mode else []
    os.environ["XLA_FLAGS"] = " ".join([*others, *ours])


def _name(flag: str) -> str:
    """Return a flag without its value."""
    return flag.partition("=")[0]


def _is_too_late() -> bool:
    """Return whether JAX has made its devices, asked of a setting that it refuses from then on."""
    before = getattr(jax.config, "jax_num_cpu_devices")  # noqa: B009  (unknown to its types)
    try:
        jax.config.update("jax_num_cpu_devices", before + 2)  # any other number
    except RuntimeError:
        return True
    jax.config.update("jax_num_cpu_devices", before)
    return False
