"""Processes that are killed, at any instant: nothing is lost, nothing differs.

`pytest -m faults` has twenty random instants and kills within every phase of a
checkpoint's write; the run of every day has a few.
"""

import functools
import itertools
import multiprocessing
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from coadapt import sweep
from coadapt.cli import sweep as command
from coadapt.runs import array_files, checkpoint, store
from coadapt.runs.checkpoint import ABOUT
from tests import test_store_model
from tests.recipes import cases, small
from tests.test_checkpoint import ALL, asked

ROOT = Path(__file__).parents[1]
NETS = ["--set=networks.policy.sizes=16,16", "--set=networks.critic.sizes=16,16"]
REPLAY = [
    *NETS,
    "--set=data.learning_starts=64",
    "--set=data.random_steps=64",
    "--set=data.batch_size=32",
]
ROLLOUT = [
    *NETS, "--set=data.update_every=60", "--set=data.batch_size=20",
    "--set=schedule.critic_steps=4", "--set=schedule.policy_steps=20",
]  # fmt: skip
KINDS = {
    "device-replay": ["--algorithms=sac", "--task=toy/lqr", *REPLAY],
    "device-rollout": ["--algorithms=ppo", "--task=toy/lqr", *ROLLOUT],
    "host-replay": ["--algorithms=sac", "--task=gym/Pendulum-v1", *REPLAY],
    "host-rollout": ["--algorithms=ppo", "--task=gym/Pendulum-v1", *ROLLOUT],
}
STEPS, EVERY = 400, 100


@pytest.fixture(scope="module", autouse=True)
def _two_devices():
    """Of each process: rounding hangs on their number."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("JAX_NUM_CPU_DEVICES", "2")
        yield


def words(kind: str, folder: Path) -> list[str]:
    """The sweep of a kind."""
    return [
        *KINDS[kind], "--grid=optim.policy.rate=1e-3,2e-3", "--seeds=2",
        f"--steps={STEPS}", f"--checkpoint_every={EVERY}", "--eval_every=150",
        "--eval_episodes=1", f"--workdir={folder}",
    ]  # fmt: skip


def begin(kind: str, folder: Path, script: str = "") -> subprocess.Popen[str]:
    """The sweep of a kind, in a process of its own; `script` runs in it before."""
    call = f"sys.exit(sweep.main({words(kind, folder)}))"
    run = f"import sys\n{script}\nfrom coadapt.cli import sweep\n{call}"
    return subprocess.Popen(
        [sys.executable, "-c", run], cwd=ROOT, text=True, start_new_session=True,
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
    )  # fmt: skip


def finish(kind: str, folder: Path) -> None:
    """Runs to the end, in this process, where what it compiles is kept."""
    assert command.main(words(kind, folder)) == 0


def timed(kind: str, folder: Path) -> float:
    """Seconds that a process of its own takes to the end."""
    began = time.monotonic()
    process = begin(kind, folder)
    out, _ = process.communicate(timeout=300)
    assert process.returncode == 0, out
    return time.monotonic() - began


def kill(process: subprocess.Popen[str]) -> None:
    os.killpg(process.pid, signal.SIGKILL)
    process.communicate()


def everything(folder: Path) -> dict[str, object]:
    """The rows, and each array of the last snapshots: parameters, replay, the rest."""
    lines = (folder / store.RESULTS).read_text().splitlines()
    # without the session: the code may be edited while processes come and go
    rows = [line.rpartition(",")[0] for line in lines]
    found: dict[str, object] = {"rows": rows}
    for record in checkpoint.records(folder):
        assert record.steps() == [STEPS]  # older ones are gone
        for name, array in array_files.read(record.at(STEPS)).items():
            found[f"{record.folder.name}/{name}"] = array
    assert any("/store/obs" in name for name in found)
    return found


def assert_same(one: dict[str, object], other: dict[str, object]) -> None:
    """To the bit: it is the same machine."""
    assert one.keys() == other.keys()
    for name, value in one.items():
        np.testing.assert_array_equal(value, other[name], err_msg=name)


@pytest.fixture(scope="module")
def whole(tmp_path_factory) -> Callable[[str], dict[str, object]]:
    """What the run of a kind leaves that nothing interrupts."""

    @functools.cache
    def find(kind: str):
        folder = tmp_path_factory.mktemp("whole") / "run"
        finish(kind, folder)
        return everything(folder)

    return find


@pytest.fixture(scope="module")
def seconds(whole, tmp_path_factory) -> Callable[[str], float]:
    """Of the run of a kind that nothing interrupts, once all is compiled."""

    @functools.cache
    def find(kind: str):
        expected, folder = whole(kind), tmp_path_factory.mktemp("again") / "run"
        took = timed(kind, folder)
        assert_same(everything(folder), expected)
        return took

    return find


def killed_after(kind: str, folder: Path, share: float, seconds: float) -> None:
    process = begin(kind, folder)
    time.sleep(share * seconds)
    kill(process)


@pytest.mark.faults
@pytest.mark.parametrize("kind", ["device-replay", "host-rollout"])
def test_killed_and_resumed_is_not_killed(kind, whole, seconds, tmp_path):
    share = random.Random(kind).uniform(0.5, 0.95)
    killed_after(kind, tmp_path, share, seconds(kind))
    finish(kind, tmp_path)
    assert_same(everything(tmp_path), whole(kind))


@pytest.mark.faults
@pytest.mark.parametrize("number", range(20))
def test_killed_at_a_random_instant(number, whole, seconds, tmp_path):
    """A kill, another one in the run that goes on, and then the end."""
    kind = list(KINDS)[number % len(KINDS)]
    instant = random.Random(number)
    for _ in range(2):
        killed_after(kind, tmp_path, instant.uniform(0.1, 1.0), seconds(kind))
    finish(kind, tmp_path)
    assert_same(everything(tmp_path), whole(kind))


# ---------------------------------------------------------------- many sessions


def session(folder: Path, asked: dict[str, object]) -> None:
    """In a process: the store, Orbax and the disk are real, the training is none."""
    with test_store_model.no_training():
        test_store_model.Model(folder).session(asked)


@pytest.fixture(scope="module")
def processes():
    """Processes that have imported all beforehand, and have no device yet."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload([test_store_model.__name__, "orbax.checkpoint"])
    return context


@pytest.mark.faults
@pytest.mark.parametrize("number", range(50))
def test_sessions_that_are_killed_lose_nothing_that_was_seen(
    number, processes, tmp_path
):
    """A reader looks on; users extend, remove snapshots and edit tables meanwhile."""
    chance = random.Random(number)
    model = test_store_model.Model(tmp_path / "work")

    def run(asked: dict[str, object], seconds: float) -> bool:
        process = processes.Process(target=session, args=(model.folder, asked))
        process.start()
        end = time.monotonic() + seconds
        while time.monotonic() < end and process.is_alive():
            model.look_and_load()
            time.sleep(0.02)
        process.kill()
        process.join()
        assert process.exitcode in (0, -signal.SIGKILL)
        model.look_and_load()
        finished = process.exitcode == 0
        process.close()
        return finished

    every = test_store_model.ALL | {"looks": False}
    with test_store_model.no_training():
        for _ in range(chance.randint(2, 4)):
            asked = every | {
                "variants": chance.choice(
                    [("one",), ("two", "one"), every["variants"]]
                ),
                "seeds": chance.choice([(0,), (2, 0), (0, 1, 2)]),
                "steps": chance.choice([20, 40, 50, 60]),
                "keep": chance.choice([0, 1, 2]),
                "memory": chance.choice([None, 2]),
            }
            run(asked, chance.uniform(0.2, 4))
            chance.choice(
                [
                    lambda: None,
                    model.remove_snapshots,
                    lambda: model.edit("results.csv"),
                ]
            )()
        assert run(every, 120)
    assert set(model.done.values()) == {60} and len(model.done) == 9


# ---------------------------------------------------------------- within a write

# where the process stands still, to be killed there
WAIT = "import time; print('here', flush=True); time.sleep(600)"
PHASES = {
    # Orbax has renamed its folder, and about.json is not there yet
    "before-about": f"""
from coadapt.runs import array_files
real = array_files.checksums
def _checksums(folder):
    if folder.name == "300":
        {WAIT}
    return real(folder)
array_files.checksums = _checksums
""",
    # the new one is whole, the old one is still there
    "before-removal": f"""
from coadapt.runs.checkpoint import Writer
real = Writer._remove
def _remove(self, newest, **rest):
    if newest == 300:
        {WAIT}
    real(self, newest, **rest)
Writer._remove = _remove
""",
    # all snapshots are written, and no cell is finished
    "before-done": f"""
from coadapt.store import Attempt
def finish(self, *rest):
    {WAIT}
Attempt.finish = finish
""",
    # within Orbax, its own folder being half written
    "within-orbax": f"""
import orbax.checkpoint as ocp
real = ocp.PyTreeCheckpointHandler.finalize
def finalize(self, directory):
    if "300" in str(directory):
        {WAIT}
    return real(self, directory)
ocp.PyTreeCheckpointHandler.finalize = finalize
""",
}


def killed_within(phase: str, kind: str, folder: Path) -> None:
    process = begin(kind, folder, PHASES[phase])
    assert process.stdout is not None
    lines = []
    for line in process.stdout:
        lines.append(line)
        if line.strip() == "here":
            break
    else:
        pytest.fail("".join(lines))
    kill(process)


def standing(folder: Path) -> list[str]:
    """The snapshots and what is half of one, as the kill left them."""
    (record,) = checkpoint.records(folder)
    (attempt,) = record.attempts()
    return sorted(path.name for path in attempt.iterdir() if path.is_dir())


LEFT = {
    "before-about": ["200", "300"],
    "before-removal": ["200", "300"],
    "before-done": [str(STEPS)],
    "within-orbax": ["200", "300.orbax-checkpoint-tmp"],
}


WRITES = list(itertools.product(PHASES, KINDS))
EACH_TIME = ("within-orbax", "device-replay")


@pytest.mark.parametrize(
    "write", cases(WRITES, set(WRITES) - {EACH_TIME}, pytest.mark.faults), ids="-".join
)
def test_killed_within_a_write(write, whole, tmp_path):
    phase, kind = write
    expected = whole(kind)
    killed_within(phase, kind, tmp_path)
    found = standing(tmp_path)
    assert [name[: len("300.orbax-checkpoint-tmp")] for name in found] == LEFT[phase]
    (record,) = checkpoint.records(tmp_path)
    has_about = (record.attempts()[0] / "300" / ABOUT).exists()
    assert has_about == (phase == "before-removal")
    finish(kind, tmp_path)
    assert_same(everything(tmp_path), expected)


# ---------------------------------------------------------------- asked to stop


@pytest.mark.parametrize(
    "number",
    cases([signal.SIGINT, signal.SIGTERM], [signal.SIGTERM], pytest.mark.faults),
)
def test_asked_to_stop_it_stops_at_a_checkpoint(number, whole, tmp_path):
    kind = "device-replay"
    expected = whole(kind)
    slow = """
import time
from coadapt.runs import array_files
real = array_files.checksums
def _checksums(folder):
    print(f"at {folder.name}", flush=True)
    time.sleep(0.5)
    return real(folder)
array_files.checksums = _checksums
"""
    process = begin(kind, tmp_path, slow)
    assert process.stdout is not None
    for line in process.stdout:
        if line.strip() == "at 200":
            break
    process.send_signal(number)
    out = process.communicate(timeout=60)[0]
    assert process.returncode == 128 + number, out
    assert "stopping at the next checkpoint" in out
    assert (
        "run the same command again to continue from there" in out
        and "Traceback" not in out
    )
    (record,) = checkpoint.records(tmp_path)
    assert record.steps() in ([200], [300])
    finish(kind, tmp_path)
    assert_same(everything(tmp_path), expected)


# ---------------------------------------------------------------- no room

FULL = """
import resource, signal
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, ({limit}, {limit}))
"""


@pytest.mark.faults
@pytest.mark.parametrize("limit, where", [(15_000, "/programs/"), (500, "manifest")])
def test_a_full_disk_is_a_sentence_and_loses_nothing(limit, where, whole, tmp_path):
    """Files cannot grow beyond a limit: the first that has to is a checkpoint's."""
    kind = "device-replay"
    expected = whole(kind)
    process = begin(kind, tmp_path, FULL.format(limit=limit))
    out, _ = process.communicate(timeout=120)
    assert process.returncode == 1 and "Traceback" not in out, out
    (said,) = [line for line in out.splitlines() if line.startswith("error: ")]
    assert where in said and "cannot be written" in said
    finish(kind, tmp_path)
    assert_same(everything(tmp_path), expected)


def test_a_disk_without_room_is_known_before_it_is_written(tmp_path, monkeypatch):
    usage = type("usage", (), {"free": 10})
    monkeypatch.setattr(array_files.shutil, "disk_usage", lambda _: usage)
    work = asked("toy/lqr", small("sac"))
    with pytest.raises(store.StoreError, match="bytes are needed, and 10 are free"):
        sweep.run(work, tmp_path, checkpoints=ALL)
    monkeypatch.undo()
    assert [r.steps() for r in checkpoint.records(tmp_path)] == [[]]
    assert sweep.run(work, tmp_path, checkpoints=ALL) == 4
