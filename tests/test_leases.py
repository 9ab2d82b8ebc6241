"""Leases: one process has a program, and who lost it writes nothing."""

import json
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from coadapt.runs import leases
from coadapt.runs.leases import HeldError, LostError

ELSEWHERE = {"process": 1, "machine": "another boot", "host": "far"}


def retold(attempt: Path, *, age: float = 0.0, **said: object) -> None:
    """The lease as another process would have written it, so many seconds ago."""
    path = attempt / leases.LEASE
    path.write_text(json.dumps(json.loads(path.read_text()) | said))
    then = time.time() - age
    os.utime(path, (then, then))


def begun(program: Path, **said: object) -> Path:
    """An attempt of another process, which does not end."""
    lease = leases.take(program, seconds=1000)
    lease._over.set()
    retold(lease.attempt, **(ELSEWHERE | said))
    return lease.attempt


@pytest.mark.parametrize(
    "said, free",
    [
        ({}, False),
        ({"age": 999}, False),
        ({"age": 1001}, True),
        ({"ended": leases.STOPPED}, True),
        # of this machine: a process that is none, and one that began at another time
        ({"machine": leases._machine(), "process": 2**22 + 1}, True),
        ({"machine": leases._machine(), "process": os.getppid(), "started": -9}, True),
    ],
    ids=["heard of", "not yet over", "run out", "ended", "dead", "another's id"],
)
def test_a_program_is_refused_while_another_process_is_heard_of(said, free, tmp_path):
    begun(tmp_path, **said)
    if free:
        assert leases.take(tmp_path).attempt.name == "0002"
        return
    with pytest.raises(HeldError, match=r"run by process 1 on far since .* wait until"):
        leases.take(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["0001"]


def test_a_process_of_this_machine_that_was_killed_holds_nothing(tmp_path):
    take = (
        "from coadapt.runs import leases; from pathlib import Path; import sys, time; "
    )
    take += "leases.take(Path(sys.argv[1])); print('here', flush=True); time.sleep(60)"
    process = subprocess.Popen(
        [sys.executable, "-c", take, str(tmp_path)], stdout=subprocess.PIPE
    )
    assert process.stdout.readline() == b"here\n"
    with pytest.raises(HeldError, match=f"process {process.pid}"):
        leases.take(tmp_path)
    process.kill()
    while leases.newest(tmp_path).holds(time.time()):  # a zombie holds nothing either
        time.sleep(0.01)
    process.communicate()
    assert leases.take(tmp_path).attempt.name == "0002"


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_a_clock_that_is_set_makes_no_process_another(tmp_path, monkeypatch):
    leases.take(tmp_path)
    monkeypatch.setattr(leases.psutil.Process, "create_time", lambda _: 9.0)
    assert leases.newest(tmp_path).holds(time.time())


def test_who_was_passed_stops_with_a_sentence(tmp_path):
    lease = leases.take(tmp_path, seconds=60)
    lease.require()
    (tmp_path / "0002").mkdir()
    with pytest.raises(
        LostError, match=r"taken over by another process, .* nothing more"
    ):
        lease.require()


def test_a_heartbeat_says_how_far_it_has_come_until_another_is_newer(tmp_path):
    lease = leases.take(tmp_path, seconds=0.06)
    lease.come(300)
    while leases.newest(tmp_path).steps != 300:
        time.sleep(0.005)
    (tmp_path / "0002").mkdir()
    time.sleep(0.1)
    before = leases.read(lease.attempt)
    time.sleep(0.1)
    assert leases.read(lease.attempt) == before


def test_of_all_that_want_a_program_each_gets_an_attempt_of_its_own(tmp_path):
    """Processes at once, none of which is heard of by the others."""
    take = (
        "from coadapt.runs import leases, files; from pathlib import Path; import sys; "
    )
    take += "leases.require_free = lambda program: None; sys.stdin.readline(); "
    take += "print(leases.take(Path(sys.argv[1])).attempt.name)"
    words = [sys.executable, "-c", take, str(tmp_path)]
    pipe = subprocess.PIPE
    found = [subprocess.Popen(words, stdin=pipe, stdout=pipe) for _ in range(4)]
    names = [process.communicate(b"\n")[0].decode().strip() for process in found]
    assert sorted(names) == ["0001", "0002", "0003", "0004"]


def test_a_lease_that_cannot_be_read_holds_nothing(tmp_path):
    attempt = begun(tmp_path)
    (attempt / leases.LEASE).write_text("{")
    assert leases.take(tmp_path).attempt.name == "0002"


def test_it_ends_once(tmp_path):
    lease = leases.take(tmp_path)
    lease.end(leases.FINISHED)
    lease.end(leases.FAILED, "too late")
    said = leases.newest(tmp_path)
    assert (said.ended, said.reason) == (leases.FINISHED, "")
