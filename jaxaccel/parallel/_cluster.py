"""Which of how many processes this is, read off the environment: nothing connects here."""

from __future__ import annotations

import re
import zlib
from collections.abc import Iterable, Mapping
from typing import NamedTuple

TORCHRUN = ("MASTER_ADDR", "MASTER_PORT", "RANK", "WORLD_SIZE")
JAX = ("JAX_COORDINATOR_ADDRESS", "JAX_NUM_PROCESSES", "JAX_PROCESS_ID")
SLURM = ("SLURM_JOB_ID", "SLURM_STEP_NODELIST", "SLURM_NTASKS", "SLURM_PROCID", "SLURM_LOCALID")
OPEN_MPI = ("OMPI_COMM_WORLD_RANK", "OMPI_COMM_WORLD_SIZE")
LOCAL_OF_MPI = ("OMPI_COMM_WORLD_LOCAL_RANK", "OMPI_COMM_WORLD_LOCAL_SIZE")
TPU_HOSTS = ("TPU_PROCESS_ADDRESSES", "TPU_WORKER_HOSTNAMES")

Environment = Mapping[str, str]


class Cluster(NamedTuple):
    """The processes of a run, and which of them this one is."""

    source: str
    """Where it was found: ``"torchrun"``, ``"SLURM"``, ``"Open MPI"``, ``"Kubernetes"``, ..."""
    num_processes: int | None = 1
    """How many processes there are; ``None`` where only JAX's own detection can tell."""
    process_id: int | None = 0
    """Which of them this one is, from 0; ``None`` as above."""
    coordinator_address: str | None = None
    """Host and port of process 0, at which all meet; ``None`` as above, and for one process."""
    local_device_ids: tuple[int, ...] = ()
    """The only devices of the machine that this process uses; empty: all."""
    method: str | None = None
    """The name of JAX's detection (``cluster_detection_method``) that knows the rest."""

    def __str__(self) -> str:
        """Return one line to print."""
        if self.num_processes == 1:
            return f"one process ({self.source})"
        devices = ", ".join(map(str, self.local_device_ids)) or "all"
        return (
            f"process {self.process_id} of {self.num_processes} ({self.source}), coordinator "
            f"{self.coordinator_address}, local devices: {devices}"
        )


def cluster_of(environment: Environment, has_tpu: bool = False) -> Cluster:
    """Return what an environment says, the innermost launcher first; raise where it makes no sense.

    Args:
        environment: The variables.
        has_tpu: Whether the machine has TPU chips, of which pods on Google Cloud say nothing here.
    """
    torchrun = [name for name in TORCHRUN if environment.get(name)]
    jax = [name for name in JAX if environment.get(name)]
    address = _address_of(environment)
    if {"RANK", "WORLD_SIZE"} & {*torchrun}:
        return _of_torchrun(environment, address)
    if {"JAX_NUM_PROCESSES", "JAX_PROCESS_ID"} & {*jax}:
        return _of_jax(environment, address)
    if all(environment.get(name) for name in OPEN_MPI):
        return _of_open_mpi(environment, address)
    if all(environment.get(name) for name in SLURM):
        return _of_slurm(environment, address)
    if has_tpu and (found := _of_tpu(environment)) is not None:
        return found
    if environment.get("KUBERNETES_SERVICE_HOST") and environment.get("JOB_COMPLETION_INDEX"):
        index = _whole(environment, "JOB_COMPLETION_INDEX")
        return Cluster("Kubernetes", None, index, address, (), "k8s")
    if torchrun or "JAX_COORDINATOR_ADDRESS" in jax:
        found = [*torchrun, *jax]
        missing = "RANK, WORLD_SIZE" if torchrun else "JAX_NUM_PROCESSES, JAX_PROCESS_ID"
        raise ValueError(
            f"the environment has {_shown(environment, found)} but not {missing}; set those too, "
            f"start the script with torchrun or `python -m jaxaccel launch`, or unset "
            f"{', '.join(found)} to run one process"
        )
    if _whole(environment, "PMI_SIZE", 1) > 1:
        raise ValueError(
            f"the environment has {_shown(environment, ['PMI_SIZE', 'PMI_RANK'])}, of an MPI that "
            "does not say where process 0 is; set MASTER_ADDR, MASTER_PORT, RANK and WORLD_SIZE, "
            "or give coordinator_address=, num_processes= and process_id="
        )
    return Cluster(_alone(environment))


def _of_torchrun(environment: Environment, address: str | None) -> Cluster:
    """Return what torchrun's variables say, and those who set the same ones."""
    _check_complete(environment, ("RANK", "WORLD_SIZE"))
    rank, size = _pair(environment, "RANK", "WORLD_SIZE")
    if size == 1:
        return Cluster("torchrun: WORLD_SIZE=1")
    if address is None:
        _check_complete(environment, TORCHRUN)
    by_agent = environment.get("TORCHELASTIC_RUN_ID")
    for one, other in (("SLURM_PROCID", "SLURM_NTASKS"), OPEN_MPI):
        if not by_agent and _whole(environment, other, 0) == size:
            _check_same(environment, "RANK", one)
    for one, other in (("RANK", "JAX_PROCESS_ID"), ("WORLD_SIZE", "JAX_NUM_PROCESSES")):
        _check_same(environment, one, other)
    local = ()
    if environment.get("LOCAL_RANK"):
        index, count = _pair(environment, "LOCAL_RANK", "LOCAL_WORLD_SIZE", size)
        local = _devices(environment, index, count)
    return Cluster("torchrun", size, rank, address, local)


def _of_jax(environment: Environment, address: str | None) -> Cluster:
    """Return what JAX's own names say, which Kubeflow sets."""
    _check_complete(environment, JAX[1:])
    rank, size = _pair(environment, "JAX_PROCESS_ID", "JAX_NUM_PROCESSES")
    if size == 1:
        return Cluster("JAX_NUM_PROCESSES=1")
    if address is None:
        _check_complete(environment, JAX)
    return Cluster("JAX's variables", size, rank, address, _local_device(environment, size))


def _local_device(environment: Environment, size: int) -> tuple[int, ...]:
    """Return the device that a launcher gives this process; all, where none says which it is.

    JAX's own variables do not; a launcher's count if it has started as many processes.
    """
    if environment.get("LOCAL_RANK"):
        return _devices(environment, *_pair(environment, "LOCAL_RANK", "LOCAL_WORLD_SIZE", size))
    if _whole(environment, OPEN_MPI[1], 0) == size and environment.get(LOCAL_OF_MPI[0]):
        return _devices(environment, *_pair(environment, *LOCAL_OF_MPI, size))
    if _whole(environment, "SLURM_NTASKS", 0) == size and environment.get("SLURM_LOCALID"):
        return _of_task(environment)
    return ()


def _of_open_mpi(environment: Environment, address: str | None) -> Cluster:
    """Return what Open MPI says; since its fifth version not where the others are."""
    rank, size = _pair(environment, *OPEN_MPI)
    if size == 1:
        return Cluster("Open MPI: one process")
    index, count = _pair(environment, *LOCAL_OF_MPI, size)
    local, method = _devices(environment, index, count), None
    if address is None and environment.get("OMPI_MCA_orte_hnp_uri"):
        method = "ompi"
    elif address is None and count == size:
        job = environment.get("PMIX_NAMESPACE", "").encode()
        port = environment.get("JAX_COORDINATOR_PORT") or 61440 + zlib.crc32(job) % 4096
        address = checked_address(f"127.0.0.1:{port}", "JAX_COORDINATOR_PORT")
    elif address is None:
        raise ValueError(
            f"Open MPI says that this is process {rank} of {size}, but not where process 0 is; "
            "tell it: mpirun -x MASTER_ADDR=<its host> -x MASTER_PORT=<a free port> ..."
        )
    return Cluster("Open MPI", size, rank, address, local, method)


def _of_slurm(environment: Environment, address: str | None) -> Cluster:
    """Return what SLURM tells each task of ``srun``; the address is read by JAX, unless given."""
    rank, size = _pair(environment, "SLURM_PROCID", "SLURM_NTASKS")
    if size == 1:
        return Cluster("SLURM: one task")
    local = _of_task(environment)
    return Cluster("SLURM", size, rank, address, local, None if address else "slurm")


def _of_task(environment: Environment) -> tuple[int, ...]:
    """Return the device of a task; all, where a node has one task."""
    index = _whole(environment, "SLURM_LOCALID")
    on_nodes = environment.get("SLURM_STEP_TASKS_PER_NODE", environment.get("SLURM_TASKS_PER_NODE"))
    counts = {int(count) for count in re.findall(r"(?:^|,)(\d+)", on_nodes or "")}
    return () if counts == {1} else _devices(environment, index, 2)


def _of_tpu(environment: Environment) -> Cluster | None:
    """Return that this is a TPU pod, of which JAX knows the rest, or None for a single machine."""
    hosts = next((environment[name] for name in TPU_HOSTS if environment.get(name)), None)
    if hosts is not None:
        is_one = "," not in hosts and _whole(environment, "MEGASCALE_NUM_SLICES", 1) == 1
        return None if is_one else Cluster("a TPU pod", None, None, None, (), "gketpu")
    if environment.get("TPU_SKIP_MDS_QUERY"):
        return None
    return Cluster("a TPU pod", None, None, None, (), "gcetpu")


def _alone(environment: Environment) -> str:
    """Return why there is one process, where one may have expected more."""
    if environment.get("SLURM_JOB_ID"):
        return "a SLURM job, not started by srun"
    if environment.get("KUBERNETES_SERVICE_HOST"):
        return "a pod without JOB_COMPLETION_INDEX"
    return "nothing says that there are more"


def _address_of(environment: Environment) -> str | None:
    """Return the address that is given whoever started the processes.

    torchrun's agent has taken the port that it hands out; the next one is used.
    """
    if address := environment.get("JAX_COORDINATOR_ADDRESS"):
        return checked_address(address, "JAX_COORDINATOR_ADDRESS")
    host, port = environment.get("MASTER_ADDR"), environment.get("MASTER_PORT")
    if not host or not port:
        return None
    if environment.get("TORCHELASTIC_USE_AGENT_STORE", "").lower() in ("1", "true"):
        number = _whole(environment, "MASTER_PORT")
        port = environment.get("JAX_COORDINATOR_PORT") or number + (1 if number < 65535 else -1)
    return checked_address(f"[{host}]:{port}" if ":" in host else f"{host}:{port}", "MASTER_PORT")


def checked_address(address: str, what: str) -> str:
    """Return an address; raise unless it ends with a port."""
    host, _, port = address.rpartition(":")
    if not host or not port.isascii() or not port.isdigit() or not 0 < int(port) < 65536:
        raise ValueError(
            f"{what}: the address of process 0 must be host:port with a port from 1 to 65535, got "
            f"{address!r}"
        )
    return address


def _devices(environment: Environment, index: int, count: int) -> tuple[int, ...]:
    """Return the device of one of several processes of a machine; all, where it sees one."""
    visible = environment.get("CUDA_VISIBLE_DEVICES", environment.get("ROCR_VISIBLE_DEVICES"))
    sees_one = visible is not None and "," not in visible
    return () if count == 1 or sees_one else (index,)


def _pair(
    environment: Environment, index_name: str, count_name: str, default: int | None = None
) -> tuple[int, int]:
    """Return which of how many; raise unless it is one of them."""
    index, count = _whole(environment, index_name), _whole(environment, count_name, default)
    if count < 1 or not 0 <= index < count:
        raise ValueError(
            f"{index_name} must be from 0 to {count_name} - 1, got "
            f"{_shown(environment, [index_name, count_name])}"
        )
    return index, count


def _whole(environment: Environment, name: str, default: int | None = None) -> int:
    """Return a whole number; raise unless it is one."""
    text = environment.get(name) or (None if default is None else str(default))
    try:
        return int(text or "")
    except ValueError:
        raise ValueError(f"{name} must be a whole number, got {text!r}") from None


def _check_same(environment: Environment, one: str, other: str) -> None:
    """Raise where two variables say different numbers."""
    if environment.get(other) and _whole(environment, one) != _whole(environment, other):
        raise ValueError(
            f"{one}={environment[one]} contradicts {other}={environment[other]}; unset one of the "
            "two. A batch script that exports RANK does so once for all its tasks: leave RANK and "
            "WORLD_SIZE out, and only export MASTER_ADDR and MASTER_PORT"
        )


def _check_complete(environment: Environment, names: Iterable[str]) -> None:
    """Raise where some of the variables that belong together are missing."""
    names = [*names]
    missing = [name for name in names if not environment.get(name)]
    if missing:
        there = [name for name in (*TORCHRUN, *JAX) if environment.get(name)]
        raise ValueError(
            f"the environment has {_shown(environment, there)} but not {', '.join(missing)}; start "
            "the script with torchrun or `python -m jaxaccel launch`, set the missing ones, or "
            "unset all to run one process"
        )


def _shown(environment: Environment, names: Iterable[str]) -> str:
    """Return variables and their values."""
    return ", ".join(f"{name}={environment[name]}" for name in names if environment.get(name))
