"""Processes of one machine, started by the command, by ``launch`` and by ``spawn``."""

import os
import re
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

import jaxaccel as ja
from jaxaccel.__main__ import _split
from jaxaccel.parallel import _ranks as ranks
from jaxaccel.parallel._launch import environment_of, free_port
from parity_tests.parallel import failing

ROOT = Path(ja.__file__).parents[1]
SECONDS = 120


def command(*arguments):
    """Return the command and the environment that it runs in."""
    environment = os.environ | {"PYTHONPATH": str(ROOT), "JAX_PLATFORMS": "cpu"}
    words = [sys.executable, "-m", "jaxaccel", "launch", *map(str, arguments)]
    return {"args": words, "env": environment, "text": True}


@pytest.mark.long
def test_a_run_that_hangs_is_stopped_or_fails_is_ended_and_started_again(tmp_path):
    """Each attempt ends for another reason, and names the process and where it was."""
    options = ("--nproc", 2, "--devices-per-process", 3, "--max-restarts", 2)
    done = subprocess.run(
        **command(*options, failing.__file__, tmp_path),
        capture_output=True,
        timeout=SECONDS,
        check=False,
    )
    said = done.stderr
    assert done.returncode == 1, said
    for rank in (0, 1):
        found = f"[{rank}] process {rank} of 2 (torchrun), coordinator 127.0.0.1:"
        assert done.stdout.count(found) == 3
    assert done.stdout.count("local devices, 6 in all\n") == 6
    hangs, stopped, fails = said.split("jaxaccel launch: rank")[1:]
    for text, reason, statuses in (
        (hangs, r"hangs: no step for \d s, since when it is at \S+failing.py:\d+ in hang", "75"),
        (stopped, r"has said nothing for \d s: it is stopped \(SIGSTOP\)", "137"),
    ):
        assert re.search(rf"process 1 of 2 {reason}", text), said
        assert f"its last step was 4; the last save: {tmp_path}/3\n" in text
        assert f"rank 1 {statuses}" in text or statuses == "75"
        assert re.match(r" \d ended first, with exit status 75", text), said
    assert re.search(r"its main thread is here:\n.*, line \d+, in hang\n", said, re.DOTALL)
    assert re.match(
        r" 1 ended first, with exit status 1, after .*; no restart is left\nTraceback", fails
    )
    assert "ArithmeticError: of process 1\nthe exit statuses of the others: rank 0 75" in fails
    assert "process 1 of 2 ends with ArithmeticError: of process 1\n" in said


@pytest.mark.quick
def test_the_status_is_that_of_the_first_that_failed(capfd):
    code = "import os, sys, time; rank = int(os.environ['RANK']);"
    for text, status, said in (
        ("", 0, ""),
        ("print(os.environ['LOCAL_RANK']); time.sleep(30 * (rank != 2)); sys.exit(7)", 7, "rank 2"),
        ("time.sleep(30 * rank); os.kill(os.getpid(), 9)", 137, "ended first, by SIGKILL"),
        ("sys.exit(75 if rank else time.sleep(0.3) or 5)", 5, "rank 0 ended first"),
        ("sys.exit(75)", 75, "with exit status 75 because of what it says below"),
        ("1 / 0 if rank == 1 else time.sleep(30)", 1, "ZeroDivisionError: division by zero\nthe "),
    ):
        begin = time.monotonic()
        assert ja.parallel.launch([sys.executable, "-c", code + text], 3) == status, text
        assert time.monotonic() - begin < 20, text
        out, err = capfd.readouterr()
        assert said in err, (text, err)
        assert "os.environ" not in text or "[2] 2\n" in out


LEAVES = """
import sys, time
import jaxaccel as ja
rank = ja.parallel.initialize(timeout=60).process_id
with ja.parallel.watchdog(timeout=60) as beat:
    time.sleep(0.5)
    sys.exit("out of data") if rank else time.sleep(100)
"""


def test_a_process_that_leaves_with_a_status_ends_the_run(capfd):
    """``sys.exit`` is heard of by no hook, and JAX's own end would wait for the others."""
    begin = time.monotonic()
    assert ja.parallel.launch([sys.executable, "-c", LEAVES], 2, devices_per_process=1) == 1
    assert time.monotonic() - begin < 50
    err = capfd.readouterr().err
    assert "process 1 of 2 ends with SystemExit: out of data" in err, err
    assert "[1] out of data\n" in err


DIES_BEFORE_JAX = """
import os, jax
import jaxaccel as ja
connect = jax.distributed.initialize
jax.distributed.initialize = lambda *a, **k: os._exit(9) if a[2] else connect(*a, **k)
ja.parallel.initialize(timeout=100)
"""


def test_a_process_that_dies_between_the_meeting_and_jax_ends_the_run():
    """On its own machine: JAX would wait for it as long as ``timeout``, and then abort."""
    begin, port = time.monotonic(), free_port()
    given = {"stderr": subprocess.PIPE, "text": True}
    zero, one = (
        subprocess.Popen(
            [sys.executable, "-c", DIES_BEFORE_JAX],
            env=os.environ | {"PYTHONPATH": str(ROOT)} | environment_of(rank, 2, port, 1),
            **given,
        )
        for rank in range(2)
    )
    try:
        _, err = zero.communicate(timeout=SECONDS)
    finally:
        for each in (zero, one):
            each.kill()
            each.communicate()
    assert (zero.returncode, one.returncode) == (75, 9), err
    assert time.monotonic() - begin < 50
    assert "jaxaccel watchdog: process 1 of 2 died: its connection closed" in err, err


ALONE = """
import time
import jaxaccel as ja
with ja.parallel.watchdog(timeout=60):
    with ja.parallel.watchdog(timeout=0.1, startup=60) as beat:
        beat(3, saved="run/3", next_within=60)
        time.sleep(1.2)
        beat(3)
    time.sleep(1.2)  # of this one there are 60 seconds again
time.sleep(1.2)  # and here nobody is in a hurry
print("well")
with ja.parallel.watchdog(timeout=0.1) as beat:
    beat(4)
    time.sleep(60)
"""


def test_one_process_has_a_watchdog_too(capfd):
    """The time is from beat to beat, as each says, and only inside."""
    begin = time.monotonic()
    assert ja.parallel.launch([sys.executable, "-c", ALONE], 1) == 75
    assert time.monotonic() - begin < 40
    out, err = capfd.readouterr()
    assert out == "[0] well\n"
    assert re.search(
        r"process 0 of 1 hangs: no step for \d s, since when it is at <string>:14", err
    )
    assert "its last step was 4; the last save: none was told\n" in err
    with ja.parallel.watchdog() as beat:
        for step in range(10_000):
            beat(step)


@pytest.mark.quick
def test_signals_are_handed_on_and_nothing_is_left(tmp_path):
    """A process that was told to end may say goodbye; if the launcher is killed, all are."""
    script = tmp_path / "script.py"
    script.write_text(
        "import os, signal, subprocess, sys, time\n"
        "def leave(*_):\n"
        "    time.sleep(.2); print('goodbye'); sys.exit(3)\n"
        "signal.signal(signal.SIGTERM, leave)\n"
        "child = subprocess.Popen(['sh', '-c', 'trap \"\" TERM; exec sleep 1000'])\n"
        "print('pid', os.getpid(), child.pid)\n"
        "while True: time.sleep(.1)\n"  # one long sleep may begin just behind the signal
    )
    for number, status in ((signal.SIGTERM, 143), (signal.SIGKILL, -9)):
        running = subprocess.Popen(
            **command("--nproc", 2, script, "--nproc", "its own"),
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
        )
        with running:
            lines = [running.stdout.readline() for _ in range(2)]
            pids = [int(pid) for line in lines for pid in line.split()[2:]]
            assert len(pids) == 4, lines
            running.send_signal(number)
            assert running.wait(30) == status
            rest = running.stdout.read() if number == signal.SIGTERM else ""
        assert rest.count("goodbye") == (2 if number == signal.SIGTERM else 0)
        # Of a launcher that is killed, the processes' own children are beyond it.
        ends = pids if number == signal.SIGTERM else pids[::2]
        until = time.monotonic() + 10
        while (left := [pid for pid in ends if is_alive(pid)]) and time.monotonic() < until:
            time.sleep(0.05)
        for pid in set(pids) - set(ends):
            os.kill(pid, signal.SIGKILL)
        assert not left


STUBBORN = "import signal, time; signal.signal(15, signal.SIG_IGN); print('up'); time.sleep(20)"
POLITE = f"""trap : TERM; {sys.executable} -uc "
import signal, time
signal.signal(15, lambda *_: (print('goodbye'), exit()))
print('up')
while True: time.sleep(.05)" """


@pytest.mark.quick
def test_a_process_that_does_not_end_is_killed_and_its_children_are_asked(monkeypatch, capfd):
    """After some seconds, where one has failed; at once by a second signal from outside."""
    stubborn = [sys.executable, "-uc", STUBBORN]
    for command, caught, patience, status in (
        (stubborn, [], 0.1, -9),
        (stubborn, [signal.SIGTERM], 20.0, -9),
        (["sh", "-c", POLITE], [], 20.0, 0),
    ):
        monkeypatch.setattr(ranks, "PATIENCE", patience)
        rank, out, begin = ranks.start(command, 0, {}), "", time.monotonic()
        while "up" not in out and time.monotonic() < begin + 10:
            out += capfd.readouterr().out
        second = threading.Timer(0.2, caught.append, [signal.SIGTERM])
        if caught:
            second.start()
        ranks.end([rank], caught)
        assert time.monotonic() < begin + 15
        assert rank.process.returncode == status
        assert ("goodbye" in capfd.readouterr().out) == (status == 0)


def is_alive(pid):
    """Return whether a process runs; one that nobody has waited for does not."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


@pytest.mark.quick
def test_the_scripts_arguments_are_its_own():
    own = ["launch", "--nproc", "4", "--max-restarts=2"]
    assert _split([*own, "train.py", "--nproc", "-h"]) == (own, ["train.py", "--nproc", "-h"])
    assert _split(["launch", "--help"]) == (["launch", "--help"], [])
    assert _split(["info", "--json"]) == (["info", "--json"], [])


def told(rank, folder, text):
    if text == "fails" and rank == 0:
        signal.signal(signal.SIGTERM, lambda *_: sys.exit(Path(folder, "ended").touch()))
    Path(folder, str(rank)).write_text(f"{text} {os.environ['WORLD_SIZE']}")
    while text == "fails" and (rank == 0 or not Path(folder, "0").exists()):
        time.sleep(0.05)
    if text == "fails" and rank == 1:
        raise KeyError("of rank 1")
    if text == "dies":
        os.kill(os.getpid(), signal.SIGKILL)


def test_spawn_calls_a_function_in_processes(tmp_path):
    """PyTorch's call and texts."""
    with pytest.raises(RuntimeError) as raised:
        ja.parallel.spawn(told, args=(str(tmp_path), "fails"), nprocs=2)
    assert (tmp_path / "1").read_text() == "fails 2"
    assert str(raised.value).startswith(
        "\n\n-- Process 1 terminated with the following error:\nTraceback (most recent call last):"
    )
    assert str(raised.value).endswith("KeyError: 'of rank 1'\n")
    assert (tmp_path / "ended").exists()  # it was told to, and not killed
    with pytest.raises(RuntimeError, match="process 0 terminated with signal SIGKILL"):
        ja.parallel.spawn(told, (str(tmp_path), "dies"))
    assert "RANK" not in os.environ
