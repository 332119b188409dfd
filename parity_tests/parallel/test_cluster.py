"""Who is who: what environments say, told from tables of them; nothing is started."""

import contextlib
import json
import re
import socket
import threading
import time

import jax
import pytest

import jaxaccel as ja
from jaxaccel.parallel._cluster import Cluster, cluster_of
from jaxaccel.parallel._initialize import _with_arguments
from jaxaccel.parallel._links import line_of, send
from jaxaccel.parallel._meeting import bound_at, meet
from parity_tests.harness.errors import assert_no_faults

TORCHRUN = {
    "MASTER_ADDR": "10.0.0.1",
    "MASTER_PORT": "29500",
    "RANK": "5",
    "WORLD_SIZE": "8",
    "LOCAL_RANK": "1",
    "LOCAL_WORLD_SIZE": "4",
}
AGENT = {"TORCHELASTIC_RUN_ID": "none", "TORCHELASTIC_USE_AGENT_STORE": "True"}
SLURM = {
    "SLURM_JOB_ID": "4242",
    "SLURM_STEP_NODELIST": "node[001-002]",
    "SLURM_NTASKS": "8",
    "SLURM_PROCID": "5",
    "SLURM_LOCALID": "1",
    "SLURM_STEP_TASKS_PER_NODE": "4(x2)",
}
BATCH_SCRIPT = {"SLURM_JOB_ID": "4242", "SLURM_NTASKS": "8", "SLURM_PROCID": "0"}
MPI = {
    "OMPI_COMM_WORLD_RANK": "1",
    "OMPI_COMM_WORLD_SIZE": "4",
    "OMPI_COMM_WORLD_LOCAL_RANK": "1",
    "OMPI_COMM_WORLD_LOCAL_SIZE": "2",
}
MPI_4 = {"OMPI_MCA_orte_hnp_uri": "1531576320.0;tcp://10.96.0.1:34911"}
MPI_HERE = MPI | {"OMPI_COMM_WORLD_LOCAL_SIZE": "4", "PMIX_NAMESPACE": "prterun-a-17@1"}
KUBERNETES = {"KUBERNETES_SERVICE_HOST": "10.0.0.10"}
JOB = KUBERNETES | {"JOB_COMPLETION_INDEX": "3"}
JAX = {
    "JAX_COORDINATOR_ADDRESS": "job-0.svc:1234",
    "JAX_NUM_PROCESSES": "4",
    "JAX_PROCESS_ID": "3",
}
ADDRESS = {"MASTER_ADDR": "10.0.0.1", "MASTER_PORT": "29500"}
TPU_HOSTS = {"TPU_WORKER_HOSTNAMES": "a,b,c,d", "TPU_WORKER_ID": "2"}
AT = "10.0.0.1:29500"

ALONE = Cluster("nothing says that there are more")
FOUND = {
    "nothing": ({}, ALONE),
    "torchrun": (TORCHRUN, Cluster("torchrun", 8, 5, AT, (1,))),
    "torchrun, whose agent has the port": (
        TORCHRUN | AGENT,
        Cluster("torchrun", 8, 5, "10.0.0.1:29501", (1,)),
    ),
    "torchrun, whose agent has the last port": (
        TORCHRUN | AGENT | {"MASTER_PORT": "65535"},
        Cluster("torchrun", 8, 5, "10.0.0.1:65534", (1,)),
    ),
    "torchrun, and another port": (
        TORCHRUN | AGENT | {"JAX_COORDINATOR_PORT": "1234"},
        Cluster("torchrun", 8, 5, "10.0.0.1:1234", (1,)),
    ),
    "torchrun, one process a machine": (
        TORCHRUN | {"LOCAL_RANK": "0", "LOCAL_WORLD_SIZE": "1"},
        Cluster("torchrun", 8, 5, AT),
    ),
    "torchrun's without the local ones": (
        ADDRESS | {"RANK": "0", "WORLD_SIZE": "2"},
        Cluster("torchrun", 2, 0, AT),
    ),
    "an address of six bytes": (
        TORCHRUN | {"MASTER_ADDR": "fe80::1"},
        Cluster("torchrun", 8, 5, "[fe80::1]:29500", (1,)),
    ),
    "each sees one GPU": (
        TORCHRUN | {"CUDA_VISIBLE_DEVICES": "3"},
        Cluster("torchrun", 8, 5, AT),
    ),
    "torchrun of one": (
        {"RANK": "0", "WORLD_SIZE": "1"},
        Cluster("torchrun: WORLD_SIZE=1"),
    ),
    "torchrun inside srun": (
        TORCHRUN | AGENT | SLURM | {"SLURM_PROCID": "1"},
        Cluster("torchrun", 8, 5, "10.0.0.1:29501", (1,)),
    ),
    "SLURM": (SLURM, Cluster("SLURM", 8, 5, None, (1,), "slurm")),
    "SLURM, one task a node": (
        SLURM | {"SLURM_STEP_TASKS_PER_NODE": "1(x8)", "SLURM_LOCALID": "0"},
        Cluster("SLURM", 8, 5, None, (), "slurm"),
    ),
    "SLURM, 1 task on one node, 7 on another": (
        SLURM | {"SLURM_STEP_TASKS_PER_NODE": "1,7"},
        Cluster("SLURM", 8, 5, None, (1,), "slurm"),
    ),
    "SLURM, and where process 0 is": (SLURM | ADDRESS, Cluster("SLURM", 8, 5, AT, (1,))),
    "SLURM of one": (
        SLURM | {"SLURM_NTASKS": "1", "SLURM_PROCID": "0"},
        Cluster("SLURM: one task"),
    ),
    "a batch script": (BATCH_SCRIPT, Cluster("a SLURM job, not started by srun")),
    "Open MPI 4": (MPI | MPI_4, Cluster("Open MPI", 4, 1, None, (1,), "ompi")),
    "Open MPI 5 on one machine": (MPI_HERE, Cluster("Open MPI", 4, 1, "127.0.0.1:65266", (1,))),
    "Open MPI, and where process 0 is": (MPI | ADDRESS, Cluster("Open MPI", 4, 1, AT, (1,))),
    "Open MPI inside SLURM": (
        MPI | ADDRESS | SLURM | {"SLURM_PROCID": "0"},
        Cluster("Open MPI", 4, 1, AT, (1,)),
    ),
    "Open MPI of one": (
        {"OMPI_COMM_WORLD_RANK": "0", "OMPI_COMM_WORLD_SIZE": "1"},
        Cluster("Open MPI: one process"),
    ),
    "a job of Kubernetes": (JOB, Cluster("Kubernetes", None, 3, None, (), "k8s")),
    "a job that PyTorch's operator started": (
        JOB | TORCHRUN,
        Cluster("torchrun", 8, 5, AT, (1,)),
    ),
    "JAX's, and which of the machine's": (
        JAX | {"LOCAL_RANK": "1", "LOCAL_WORLD_SIZE": "2"},
        Cluster("JAX's variables", 4, 3, "job-0.svc:1234", (1,)),
    ),
    "JAX's, and one process a machine": (
        JAX | {"LOCAL_RANK": "0", "LOCAL_WORLD_SIZE": "1"},
        Cluster("JAX's variables", 4, 3, "job-0.svc:1234"),
    ),
    "JAX's, started by mpirun": (
        JAX | MPI,
        Cluster("JAX's variables", 4, 3, "job-0.svc:1234", (1,)),
    ),
    "JAX's, started by srun": (
        JAX | SLURM | {"SLURM_NTASKS": "4", "SLURM_PROCID": "3", "SLURM_LOCALID": "3"},
        Cluster("JAX's variables", 4, 3, "job-0.svc:1234", (3,)),
    ),
    "JAX's, in a job of SLURM's of another size": (
        JAX | SLURM,
        Cluster("JAX's variables", 4, 3, "job-0.svc:1234"),
    ),
    "a job of Kubeflow": (JOB | JAX, Cluster("JAX's variables", 4, 3, "job-0.svc:1234")),
    "JAX's of one": (
        {"JAX_NUM_PROCESSES": "1", "JAX_PROCESS_ID": "0"},
        Cluster("JAX_NUM_PROCESSES=1"),
    ),
    "a pod": (KUBERNETES, Cluster("a pod without JOB_COMPLETION_INDEX")),
    "a TPU pod of GKE": (JOB | TPU_HOSTS, Cluster("a TPU pod", None, None, None, (), "gketpu")),
    "a TPU machine of GKE": (
        {"TPU_WORKER_HOSTNAMES": "localhost"},
        ALONE,
    ),
    "slices of one TPU machine each": (
        {"TPU_WORKER_HOSTNAMES": "a", "MEGASCALE_NUM_SLICES": "2"},
        Cluster("a TPU pod", None, None, None, (), "gketpu"),
    ),
    "a TPU pod of GCE": ({}, Cluster("a TPU pod", None, None, None, (), "gcetpu")),
    "a TPU machine that asks nobody": (
        {"TPU_SKIP_MDS_QUERY": "1"},
        ALONE,
    ),
    "hosts of chips that are not here": (
        TPU_HOSTS,
        ALONE,
    ),
}
"""Environment -> what it says. Those whose name has "a TPU" are machines with chips."""

REFUSED = {
    "no rank": (
        {**ADDRESS, "WORLD_SIZE": "8"},
        "has MASTER_ADDR=10.0.0.1, MASTER_PORT=29500, WORLD_SIZE=8 but not RANK",
    ),
    "no address": ({"RANK": "1", "WORLD_SIZE": "2"}, "but not MASTER_ADDR, MASTER_PORT"),
    "no port": (
        {"RANK": "1", "WORLD_SIZE": "2", "MASTER_ADDR": "a"},
        "but not MASTER_PORT",
    ),
    "an address alone": (ADDRESS, "but not RANK, WORLD_SIZE"),
    "JAX's address alone": ({"JAX_COORDINATOR_ADDRESS": "a:1"}, "but not JAX_NUM_PROCESSES"),
    "JAX's without an id": (
        {k: v for k, v in JAX.items() if k != "JAX_PROCESS_ID"},
        "but not JAX_PROCESS_ID",
    ),
    "a rank that is a word": (
        TORCHRUN | {"RANK": "five"},
        "RANK must be a whole number, got 'five'",
    ),
    "a rank too large": (
        TORCHRUN | {"RANK": "8"},
        "RANK must be from 0 to WORLD_SIZE - 1, got RANK=8",
    ),
    "no process": (TORCHRUN | {"WORLD_SIZE": "0"}, "got RANK=5, WORLD_SIZE=0"),
    "a local rank too large": (
        TORCHRUN | {"LOCAL_RANK": "4"},
        "LOCAL_RANK must be from 0 to LOCAL_WORLD_SIZE - 1",
    ),
    "a port too large": (
        TORCHRUN | {"MASTER_PORT": "70000"},
        "MASTER_PORT: the address of process 0 must be host:port",
    ),
    "a port that is a word": (TORCHRUN | {"MASTER_PORT": "any"}, "got '10.0.0.1:any'"),
    "an address without a port": (JAX | {"JAX_COORDINATOR_ADDRESS": "a"}, "got 'a'"),
    "a rank that all tasks share": (
        SLURM | TORCHRUN | {"RANK": "0"},
        "RANK=0 contradicts SLURM_PROCID=5; unset one of the two. A batch script",
    ),
    "a rank against Open MPI's": (
        MPI | ADDRESS | {"RANK": "0", "WORLD_SIZE": "4"},
        "RANK=0 contradicts OMPI_COMM_WORLD_RANK=1",
    ),
    "a rank against JAX's": (
        JAX | ADDRESS | {"RANK": "0", "WORLD_SIZE": "4"},
        "RANK=0 contradicts JAX_PROCESS_ID=3",
    ),
    "Open MPI 5 on several machines": (MPI, "mpirun -x MASTER_ADDR=<its host>"),
    "another MPI": ({"PMI_SIZE": "4", "PMI_RANK": "1"}, "has PMI_SIZE=4, PMI_RANK=1, of an MPI"),
}
"""Environment -> a part of what is said."""


@pytest.mark.quick
def test_environments_say_who_is_who():
    assert_no_faults(
        (why, f"{found}, and not {wanted}")
        for why, (environment, wanted) in FOUND.items()
        if (found := cluster_of(environment, "a TPU" in why or "of one TPU" in why)) != wanted
    )


@pytest.mark.quick
def test_environments_that_make_no_sense_are_refused():
    for why, (environment, text) in REFUSED.items():
        with pytest.raises(ValueError) as raised:
            cluster_of(environment)
        assert text in str(raised.value), why


@pytest.mark.quick
def test_arguments_take_the_place_of_what_was_found():
    alone, torchrun = Cluster("nothing"), FOUND["torchrun"][1]
    given = _with_arguments(alone, ("a:1", 2, 1))
    assert given == Cluster("arguments", 2, 1, "a:1")
    assert _with_arguments(torchrun, ("a:1", None, None)) == torchrun._replace(
        coordinator_address="a:1"
    )
    with pytest.raises(ValueError, match="got num_processes=4 without coordinator_address, proce"):
        _with_arguments(alone, (None, 4, None))
    with pytest.raises(ValueError, match="process_id must be below num_processes=2, got 5"):
        _with_arguments(torchrun, (None, 2, None))


def free_port():
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return found.getsockname()[1]


def meeting(processes, timeout=10.0, before=None):
    """Let processes, here threads, meet; return what each returned or raised."""
    found = {}

    def come(name, cluster):
        try:
            found[name] = meet(cluster, timeout)
        except Exception as error:
            found[name] = error

    threads = [threading.Thread(target=come, args=pair) for pair in processes.items()]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return found


def four(port, **others):
    """Return four processes, some of them different."""
    names = ("zero", "one", "two", "three")
    all_of_them = {
        name: Cluster("a test", 4, number, f"127.0.0.1:{port}") for number, name in enumerate(names)
    }
    return {name: others.get(name, cluster) for name, cluster in all_of_them.items()}


@pytest.mark.quick
def test_all_meet_or_all_are_told_why_not():
    """The connections are there; and what is wrong is said in process 0 and in the others."""
    port = free_port()
    found = meeting(four(port))
    assert set(found["zero"]) == {1, 2, 3}
    assert [set(found[name]) for name in ("one", "two", "three")] == [{0}] * 3
    for links in found.values():
        for link in links.values():
            link.close()
    at = f"127.0.0.1:{port}"
    for cluster, text in {
        Cluster("", 3, 2, at): "process 2 says that there are 3 processes, process 0 says 4",
        Cluster("", 4, 1, at): "two processes say that they are process 1 of 4",
    }.items():
        found = meeting(four(port, two=cluster))
        assert text in str(found["zero"])
        told = [str(found[name]) for name in ("one", "two", "three")]
        assert any(f"refused process {cluster.process_id}: {text}" in each for each in told), told
    missing = four(port)
    del missing["three"], missing["one"]
    found = meeting(missing, timeout=0.5)
    assert "processes 1, 3 of 4 did not come to process 0" in str(found["zero"])
    assert "within 0.5 s" in str(found["two"])
    assert isinstance(found["zero"], TimeoutError)


@pytest.mark.quick
def test_a_line_comes_whole_in_time_or_not_at_all():
    """What follows it stays for who reads next, and one that never ends is not read for ever."""

    def next_line(link):
        return line_of(link, time.monotonic() + 0.1)

    one, other = socket.socketpair()
    with one, other:
        send(one, {"a": 1})
        one.sendall(b"more\n")
        assert [next_line(other) for _ in range(3)] == [b'{"a": 1}\n', b"more\n", None]
        one.sendall(b"x" * 5000)
        assert next_line(other) == b""
        other.close()
        send(one, {"a": 1})  # to nobody
        assert next_line(one) == b""


def greeting(port, process):
    """Return a connection of a process that has come and waits."""
    link = socket.create_connection(("127.0.0.1", port), timeout=5)
    hello = {"process_id": process, "num_processes": 3, "jax": jax.__version__, "pid": 17}
    link.sendall(json.dumps(hello | {"host": "a-node"}).encode() + b"\n")
    return link


@pytest.mark.quick
def test_who_comes_and_ends_before_all_are_there_is_named_and_may_return(capfd):
    """Process 1 ends while it waits: it is named at once, and is not taken for a second one."""
    for returns in (True, False):
        port, found = free_port(), {}
        zero = Cluster("a test", 3, 0, f"127.0.0.1:{port}")

        def host(zero=zero, found=found, seconds=10.0 if returns else 1.0):
            try:
                found["zero"] = meet(zero, seconds)
            except TimeoutError as error:
                found["zero"] = error

        thread = threading.Thread(target=host)
        thread.start()
        until = time.monotonic() + 5
        while "first" not in found and time.monotonic() < until:
            with contextlib.suppress(ConnectionRefusedError):
                found["first"] = greeting(port, 1)
        found["first"].close()
        text = ""
        while "process 1" not in text and time.monotonic() < until:
            text += capfd.readouterr().err
        assert "process 1 of 3 (pid 17 on a-node) came to process 0 at 127.0.0.1" in text
        assert "ended before all were there" in text
        others = [greeting(port, process) for process in ((1, 2) if returns else (2,))]
        thread.join()
        for link in others:
            assert b"go" in link.recv(4096) if returns else b"refused" in link.recv(4096)
            link.close()
        if returns:
            assert set(found["zero"]) == {1, 2}
            for link in found["zero"].values():
                link.close()
        else:
            told = "process 1 of 3 did not come .*; process 1 .pid 17 on a-node. had come, and ende"
            assert re.search(told, str(found["zero"]))


@pytest.mark.quick
def test_process_0_listens_where_it_is_reached_and_nowhere_else():
    """At a number of this machine; a name, or another machine's number, may lead to any."""
    everywhere = "::" if socket.has_dualstack_ipv6() else "0.0.0.0"
    for address, host in (
        ("127.0.0.1:80", "127.0.0.1"),
        ("localhost:80", "127.0.0.1"),
        ("192.0.2.1:80", everywhere),
        ("node-1.cluster:80", everywhere),
    ):
        assert bound_at(address) == (host, 80), address


@pytest.mark.quick
def test_nobody_is_waited_for_in_vain():
    port = free_port()
    alone = Cluster("a test", 2, 1, f"127.0.0.1:{port}")
    with pytest.raises(TimeoutError, match=r"process 1 cannot reach process 0 at .* within 0.3 s"):
        meet(alone, 0.3)
    unknown = Cluster("a test", 2, 1, "no-such-host.invalid:1234")
    with pytest.raises(TimeoutError, match="is MASTER_ADDR its host's name"):
        meet(unknown, 0.3)
    with socket.create_server(("127.0.0.1", port)) as other:
        with pytest.raises(ValueError, match=f"port {port} of process 0 is taken"):
            meet(alone._replace(process_id=0), 0.3)
        other.settimeout(5)

        def answer():
            link, _ = other.accept()
            with link:
                link.sendall(b"HTTP/1.1 400 Bad Request\n")

        thread = threading.Thread(target=answer)
        thread.start()
        with pytest.raises(ValueError, match="is another program, or process 0 has ended"):
            meet(alone, 2.0)
        thread.join()


@pytest.mark.quick
def test_one_process_connects_nothing(monkeypatch):
    for name in (*TORCHRUN, *SLURM, *MPI, *JOB, *JAX):
        monkeypatch.delenv(name, raising=False)
    found = ja.parallel.initialize()
    assert (found.num_processes, found.process_id) == (1, 0)
    assert str(found) == "one process (nothing says that there are more)"
    monkeypatch.setenv("RANK", "1")
    with pytest.raises(ValueError, match="has RANK=1 but not WORLD_SIZE"):
        ja.parallel.initialize()
    for name, value in TORCHRUN.items():
        monkeypatch.setenv(name, value)
    assert jax.devices()  # or it would try to connect
    with pytest.raises(RuntimeError, match="must come before the first array"):
        ja.parallel.initialize()
    with pytest.raises(ValueError, match=r"coordinator_address: .* got 'here'"):
        ja.parallel.initialize("here")
