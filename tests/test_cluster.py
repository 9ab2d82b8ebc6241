"""Programs in processes of their own: on this machine, and on a Ray cluster.

What they leave is, to the bit, what one process leaves that runs the same programs.
`pytest -m faults` kills workers, a node and the one that plans, and lets one stand
still for longer than its lease.
"""

import contextlib
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import numpy as np
import pytest

from coadapt import sweep
from coadapt.cli import board, workers
from coadapt.distributed import engines
from coadapt.runs import array_files, checkpoint, leases, manifest, store
from coadapt.sweep import Checkpoints, Group, Sweep, Variant
from tests.recipes import small

ROOT = Path(__file__).parents[1]
TASK, ALWAYS = "toy/lqr", Checkpoints(share=float("inf"))
NETS = {"networks__policy__sizes": (8, 8), "networks__critic__sizes": (8, 8)}
LEASE = 5.0  # seconds, where one is to run out: a busy machine may be silent for longer


def asked(seeds: int, steps: int = 200, every: int = 100) -> Sweep:
    """A program for each seed, all of which are compiled once."""
    return Sweep(
        experiment="cluster",
        variants={TASK: [Variant("sac", "sac", small("sac", **NETS))]},
        seeds=range(seeds),
        steps=steps,
        eval_every=every,
        eval_episodes=1,
        checkpoint_every=every,
    )


def memory(of: Sweep) -> int:
    """Of one agent, so that each is a program."""
    agent = sweep.Agent(of.variants[TASK][0], 0)
    return sweep.cost_of(Group(TASK, (agent,)), of).memory


def run(
    of: Sweep,
    folder: Path,
    engine: str,
    address: str | None = None,
    lease: float = leases.SECONDS,
) -> dict:
    """Returns the programs that failed."""
    flags = [f"--lease={lease}"]
    options = engines.Options(engine, 2, address, 0, memory(of), flags)
    _, failed = engines.run(
        of, folder, options, partial(workers.engine, options), checkpoints=ALWAYS,
        show=partial(board.shown, quiet=True),
    )  # fmt: skip
    return failed


def alone(of: Sweep, folder: Path) -> dict[str, object]:
    """What one process leaves."""
    sweep.run(of, folder, memory=memory(of), checkpoints=ALWAYS)
    return everything(folder)


def everything(folder: Path) -> dict[str, object]:
    """The rows but for their session; parameters, replay and all else of snapshots."""
    found: dict[str, object] = {}
    for line in store.read(folder).drop(columns="session").itertuples(index=False):
        found[repr(line[:-2][:7])] = line.value
    for record in checkpoint.records(folder):
        (steps,) = record.steps()
        for name, array in array_files.read(record.at(steps)).items():
            found[f"{record.folder.name}/{steps}/{name}"] = array
    assert any("/store/obs" in name for name in found)
    return found


def assert_same(one: dict[str, object], other: dict[str, object]) -> None:
    """To the bit: it is the same machine."""
    assert one.keys() == other.keys()
    for name, value in one.items():
        np.testing.assert_array_equal(value, other[name], err_msg=name)


@contextlib.contextmanager
def cluster() -> Iterator[tuple[str, list]]:
    """Two nodes of one CPU each, beside a head that computes nothing."""
    cluster_utils = pytest.importorskip("ray.cluster_utils")
    # not in pytest's folder, whose path is too long for Ray's sockets
    with (
        tempfile.TemporaryDirectory(prefix="ray", ignore_cleanup_errors=True) as home,
        pytest.MonkeyPatch.context() as patch,
    ):
        patch.setenv("RAY_TMPDIR", home)
        head = {"num_cpus": 0, "include_dashboard": False}
        made = cluster_utils.Cluster(initialize_head=True, head_node_args=head)
        try:
            nodes = [made.add_node(num_cpus=1) for _ in range(2)]
            yield made.address, [made, *nodes]
        finally:
            made.shutdown()


@pytest.mark.long  # two processes of this machine are what a usual run has
@pytest.mark.filterwarnings("ignore")  # Ray's own: forks, sockets that it leaves open
def test_two_nodes_leave_what_one_process_leaves(tmp_path):
    expected = alone(asked(3), tmp_path / "alone")  # its programs are read by those
    with cluster() as (address, _):
        assert run(asked(3), tmp_path / "ray", engines.RAY, address) == {}
    assert_same(everything(tmp_path / "ray"), expected)
    homes = [r.attempts() for r in checkpoint.records(tmp_path / "ray")]
    assert [len(each) for each in homes] == [1] * 3
    assert len({leases.read(home).process for (home,) in homes}) == 3  # one a program


def test_two_processes_leave_what_one_leaves(tmp_path):
    expected = alone(asked(2), tmp_path / "alone")
    assert run(asked(2), tmp_path / "two", engines.LOCAL) == {}
    assert_same(everything(tmp_path / "two"), expected)
    assert {each["devices"] for each in manifest.sessions(tmp_path / "two")} == {1}


# ---------------------------------------------------------------- faults

PROGRAMS, LONG = 12, {"steps": 8000, "every": 800}
DRIVE = """
import sys
from pathlib import Path
from tests import test_cluster as t
folder, engine, address = sys.argv[1:]
asked = t.asked(t.PROGRAMS, **t.LONG)
failed = t.run(asked, Path(folder), engine, address or None, t.LEASE)
sys.exit(f"failed: {failed}" if failed else 0)
"""


@contextlib.contextmanager
def drive(folder: Path, engine: str, address: str = "") -> Iterator[subprocess.Popen]:
    """The one that plans, in a process of its own, which is killed in the end."""
    process = subprocess.Popen(
        [sys.executable, "-c", DRIVE, str(folder), engine, address], cwd=ROOT,
        text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
    )  # fmt: skip
    try:
        yield process
    finally:
        process.kill()
        process.communicate()


def running(folder: Path) -> list[leases.Said]:
    """The processes that work at this instant."""
    programs = (folder / "programs").glob("*")
    said = [leases.newest(path) for path in programs]
    return [each for each in said if each and leases.alive(each)]


def wait(until, seconds: float = 900.0):
    """What `until` finds, once it finds something: on a machine that others keep busy,
    a worker's first rows were not there after two minutes."""
    end = time.monotonic() + seconds
    while not (found := until()):
        assert time.monotonic() < end, until
        time.sleep(0.02)
    return found


def lives(said: leases.Said) -> bool:
    return leases._lives(said.process, said.started)


def working(folder: Path) -> leases.Said:
    """One that has come to some rows, and is not about to end."""

    def look() -> list[leases.Said]:
        most = LONG["steps"] // 2
        return [each for each in running(folder) if 0 < each.steps <= most]

    return wait(look)[0]


def kill(folder: Path, chance: random.Random) -> None:
    """A worker that works, at some instant."""
    said = working(folder)
    time.sleep(chance.uniform(0, 0.5))
    with contextlib.suppress(ProcessLookupError):
        os.kill(said.process, signal.SIGKILL)
    wait(lambda: not lives(said))


def freeze_and_wake(folder: Path) -> None:
    """One stands still until another has its program; when it wakes, it writes nothing.

    A lease and a file that it had half begun are no part of what is read.
    """
    said = working(folder)
    os.kill(said.process, signal.SIGSTOP)
    program, number = said.attempt.parent, int(said.attempt.name)
    wait(lambda: any(int(n) > number for n in os.listdir(program) if n.isdigit()))
    frozen = files_of(said.attempt)
    with contextlib.suppress(ProcessLookupError):  # Ray may have ended it
        os.kill(said.process, signal.SIGCONT)
    wait(lambda: not lives(said))
    after = files_of(said.attempt)
    assert after.items() <= frozen.items()  # the newer attempt may have removed some


def files_of(attempt: Path) -> dict[str, bytes]:
    found = {}
    for path in attempt.rglob("*"):
        with contextlib.suppress(FileNotFoundError, NotADirectoryError):
            if path.is_file() and not path.name.startswith(leases.LEASE):
                found[str(path.relative_to(attempt))] = path.read_bytes()
    return found


def end(folder: Path, engine: str, address: str = "") -> None:
    """The same command again, to its end."""
    with drive(folder, engine, address) as process:
        said, _ = process.communicate(timeout=1800)
        assert process.returncode == 0, said


@pytest.fixture(scope="module")
def expected(tmp_path_factory) -> dict[str, object]:
    folder = tmp_path_factory.mktemp("alone") / "run"
    return alone(asked(PROGRAMS, **LONG), folder)


@pytest.mark.faults
def test_processes_that_die_or_stand_still(expected, tmp_path):
    """Workers are killed, one stands still; the one that plans is killed while its
    workers go on, and the same command waits for those, and ends."""
    chance = random.Random(0)
    with drive(tmp_path, engines.LOCAL):
        for _ in range(2):
            kill(tmp_path, chance)
        freeze_and_wake(tmp_path)
    end(tmp_path, engines.LOCAL)
    assert_same(everything(tmp_path), expected)


@pytest.mark.faults
@pytest.mark.filterwarnings("ignore")
def test_a_cluster_whose_nodes_die(expected, tmp_path):
    """A worker is killed, one stands still, a node is removed, and the one that plans
    is killed and started again."""
    chance = random.Random(1)
    with cluster() as (address, (made, node, _)):
        with drive(tmp_path, engines.RAY, address):
            kill(tmp_path, chance)
            freeze_and_wake(tmp_path)
            working(tmp_path)
            made.remove_node(node, allow_graceful=False)
            made.add_node(num_cpus=1)
            working(tmp_path)
        end(tmp_path, engines.RAY, address)
    assert_same(everything(tmp_path), expected)
