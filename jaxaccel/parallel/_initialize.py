"""The processes of a run, connected: ``init_process_group`` for JAX."""

from __future__ import annotations

import importlib.util
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import jax

from jaxaccel._checked import checked
from jaxaccel.parallel._cluster import Cluster, checked_address, cluster_of
from jaxaccel.parallel._meeting import bound_at, meet
from jaxaccel.parallel._watch import check_seconds
from jaxaccel.parallel._watch_thread import watch

_CPU_THREADS = 32


@checked
def initialize(
    coordinator_address: str | None = None,
    num_processes: int | None = None,
    process_id: int | None = None,
    *,
    local_device_ids: Sequence[int] | None = None,
    timeout: float = 300.0,
    watchdog: float | None = 45.0,
) -> Cluster:
    """Connect the processes of a run, as the environment or the arguments say; alone do nothing.

    It comes before anything that touches a device. What is not given is taken from the first of
    these that is there: torchrun's ``MASTER_ADDR``, ``MASTER_PORT``, ``RANK``, ``WORLD_SIZE``,
    ``LOCAL_RANK`` (``python -m jaxaccel launch`` sets the same), JAX's ``JAX_COORDINATOR_ADDRESS``,
    ``JAX_NUM_PROCESSES``, ``JAX_PROCESS_ID``, Open MPI, SLURM (``srun``), a TPU pod, an indexed
    Kubernetes job or JobSet. Where ``MASTER_ADDR`` and ``MASTER_PORT`` alone are set, they say
    where process 0 is, and the scheduler who is who. Without any of it the script runs as one
    process. From then on a process that dies, is stopped or raises ends the run everywhere, with a
    message that names it; :func:`watchdog` does so for one that hangs. On CPUs JAX gets more
    threads (``NPROC``) and waits for steps (``jax_cpu_enable_async_dispatch``): it can deadlock.

    Args:
        coordinator_address: Host and port of process 0, as all others reach it.
        num_processes: How many processes there are.
        process_id: Which of them this one is, from 0.
        local_device_ids: The GPUs of the machine that this process uses. Default: with one process
            a machine all, otherwise the one with the process's local number, where the launcher
            says it. JAX's own variables and arguments do not: give it there, or ``LOCAL_RANK``.
        timeout: Seconds within which all must have come; then it is said who is missing.
        watchdog: Seconds of silence after which another process counts as stopped; ``None``: nobody
            is watched, and JAX ends the run in its own time, without a message.

    Returns:
        What was found, one line when printed: ``process 1 of 4 (torchrun), coordinator ...``.

    Raises:
        ValueError: Variables or arguments are incomplete, wrong or contradict each other, between
            processes too; the port is taken.
        TimeoutError: Process 0 cannot be reached, or others did not come.
        RuntimeError: A device was touched before, or it was called already.
        ModuleNotFoundError: Kubernetes needs the package ``kubernetes`` to tell who is who.

    PyTorch:
        ``torch.distributed.init_process_group``, with ``env://`` or with ``rank=`` and
        ``world_size=``; the backend is JAX's own. PyTorch has no environment where this has one
        process, and raises there. ``torch.distributed.destroy_process_group`` is
        ``jax.distributed.shutdown``, which JAX calls at the end by itself.

    Example:
        >>> import jaxaccel as ja
        >>> print(ja.parallel.initialize(num_processes=1))
        one process (num_processes=1)
    """
    environment, given = os.environ, (coordinator_address, num_processes, process_id)
    _check_arguments(*given, timeout=timeout, watchdog=watchdog)
    if num_processes == 1:
        return Cluster("num_processes=1")
    found = _with_arguments(cluster_of(environment, _has_tpu()), given)
    if local_device_ids is not None:
        found = found._replace(local_device_ids=tuple(local_device_ids))
    if found.num_processes == 1:
        return found
    if jax.distributed.is_initialized():
        raise RuntimeError(
            "the processes are connected already; call initialize once, at the start"
        )
    _check_untouched()
    found = _completed(found, timeout)
    if found.num_processes == 1:
        return found
    links = meet(found, timeout)
    if watchdog is not None:  # a process may die before JAX has connected it, too
        watch(found, links, watchdog)
    _give_cpu_threads()
    bind = os.environ.get("JAX_COORDINATOR_BIND_ADDRESS")
    jax.distributed.initialize(
        found.coordinator_address,
        found.num_processes,
        found.process_id,
        found.local_device_ids,
        cluster_detection_method="deactivate",
        initialization_timeout=max(1, round(timeout)),
        coordinator_bind_address=bind or _bound_at(found.coordinator_address or ""),
        heartbeat_timeout_seconds=round(max(100.0, 2 * (watchdog or 0))),
    )
    return found


def _check_arguments(
    address: str | None, count: int | None, process: int | None, **seconds: float | None
) -> None:
    """Raise for arguments that make no sense by themselves."""
    if address is not None:
        checked_address(address, "coordinator_address")
    if count is not None and not 1 <= count < 2**20:
        raise ValueError(f"num_processes must be from 1 to {2**20}, got {count}")
    if process is not None and not 0 <= process < 2**20:
        raise ValueError(f"process_id must be from 0 to num_processes - 1, got {process}")
    check_seconds(**seconds)


def _with_arguments(found: Cluster, given: tuple[str | None, int | None, int | None]) -> Cluster:
    """Return what was found with what is given in its place."""
    if given == (None, None, None):
        return found
    names = ("coordinator_address", "num_processes", "process_id")
    if found.num_processes == 1:
        found = Cluster("arguments", None, None)
    pairs = [*zip(names, given, strict=True)]
    values: list[Any] = [getattr(found, name) if mine is None else mine for name, mine in pairs]
    address, count, process = values
    missing = [name for name, value in zip(names, values, strict=True) if value is None]
    if missing and found.method is None:
        there = ", ".join(f"{name}={mine!r}" for name, mine in pairs if mine is not None)
        raise ValueError(
            f"got {there} without {', '.join(missing)}, which the environment does not say either; "
            "give all three, or none and start the script with torchrun or "
            "`python -m jaxaccel launch`"
        )
    if process is not None and count is not None and process >= count:
        raise ValueError(f"process_id must be below num_processes={count}, got {process}")
    return found._replace(coordinator_address=address, num_processes=count, process_id=process)


def _completed(found: Cluster, timeout: float) -> Cluster:
    """Return what was found with what JAX's own detection knows beyond it."""
    if found.method is None:
        return found
    if found.method == "k8s" and importlib.util.find_spec("kubernetes") is None:
        raise ModuleNotFoundError(
            "this is a pod of an indexed Kubernetes job, of which the package `kubernetes` asks "
            'how many there are and where the first is: pip install "jax[k8s]" and let the '
            "service account read pods and jobs; or set MASTER_ADDR, MASTER_PORT and WORLD_SIZE, "
            "with RANK from the annotation batch.kubernetes.io/job-completion-index"
        )
    # JAX offers no public way to ask it without connecting at once.
    from jax._src.clusters import ClusterEnv

    address, count, process, _ = ClusterEnv.auto_detect_unset_distributed_params(
        found.coordinator_address,
        found.num_processes,
        found.process_id,
        list(found.local_device_ids),
        found.method,
        max(1, round(timeout)),
    )
    if address is None or count is None or process is None:
        if found.method == "gcetpu":  # a TPU machine of another kind, alone
            return Cluster("a TPU machine by itself")
        raise ValueError(
            f"{found.source} was found, but JAX cannot read the whole of it: coordinator_address="
            f"{address!r}, num_processes={count}, process_id={process}; give all three"
        )
    return found._replace(coordinator_address=address, num_processes=count, process_id=process)


def _bound_at(address: str) -> str:
    """Return where JAX's own service listens in process 0, as process 0 did before it."""
    host, port = bound_at(address)
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def _give_cpu_threads() -> None:
    """Let the CPU's collectives not wait for each other.

    Each blocks a thread, and those of several devices and steps are more than there are cores: of
    eight runs of two processes with two devices each, four stood still.
    """
    os.environ.setdefault("NPROC", str(max(os.cpu_count() or 1, _CPU_THREADS)))
    jax.config.update("jax_cpu_enable_async_dispatch", False)


def _has_tpu() -> bool:
    """Return whether this machine has TPU chips that JAX would use."""
    platforms = (
        os.environ.get("JAX_PLATFORMS") or getattr(jax.config, "jax_platforms", None) or "tpu"
    )
    chips = (*Path("/dev").glob("accel[0-9]*"), *Path("/dev/vfio").glob("[0-9]*"))
    return "tpu" in platforms and bool(chips) and importlib.util.find_spec("libtpu") is not None


def _check_untouched() -> None:
    """Raise where devices are in use: here, before the others wait for this process."""
    from jax._src import xla_bridge

    if xla_bridge.backends_are_initialized():
        raise RuntimeError(
            "initialize must come before the first array, jax.devices() or random key: JAX has "
            "chosen its devices already; move it to the start of the script"
        )
