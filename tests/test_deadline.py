"""Programs that have to have stopped by some instant do so at a checkpoint before it.

The training is the number of test_store_model, each step of which takes a second.
"""

import pytest

from coadapt import sweep
from coadapt.cli import train
from coadapt.distributed import work
from coadapt.distributed.pool import STOPPED, TIME_OVER, Pool
from coadapt.learn import Clock
from coadapt.runner import Interrupted, Snapshot, TimeOver
from coadapt.runs import store
from coadapt.runs.checkpoint import records
from coadapt.sweep import Checkpoints
from coadapt.sweeps import job
from coadapt.system import deadline
from coadapt.system.deadline import Deadline
from tests import test_store_model
from tests.test_store_model import CHECKPOINT, EVERY
from tests.test_work import Inline, asked, names, planned, rows


@pytest.fixture
def clock(monkeypatch) -> list[float]:
    """Seconds, which pass where a test says so."""
    now = [1000.0]
    monkeypatch.setattr(deadline.time, "monotonic", lambda: now[0])
    return now


@pytest.fixture(autouse=True)
def _no_training():
    with test_store_model.stubs(test_store_model.Disk(lambda: None)):
        yield


@pytest.mark.parametrize(
    "before, intervals, writing, expected",
    [
        (0, [30, 10, 10, 10], 0, [False, False, False, False]),
        (0, [30, 10, 10, 41], 0, [False, False, False, True]),
        (0, [51], 0, [True]),  # compiling is in it, and nothing else is known
        (0, [50, 20, 20], 0, [True, False, True]),  # it was, and did not count after
        (0, [10, 10, 30, 26], 0, [False, False, False, True]),  # the longest counts
        (0, [40, 10, 35], 6, [False, False, True]),  # 15 are left: 10 and a snapshot
        (40, [10], 0, [False]),
    ],
)
def test_the_next_checkpoint_would_come_too_late(
    before, intervals, writing, expected, clock
):
    until, found = Deadline(100), []
    until.begin(before)
    for seconds in intervals:
        clock[0] += seconds
        found.append(until.reached(writing))
    assert found == expected


def test_a_program_is_not_begun_that_would_not_come_to_a_checkpoint(clock):
    until = Deadline(100)
    until.begin()
    clock[0] += 40
    assert not until.reached() and not until.near
    clock[0] += 20
    assert until.near  # 40 are left, and it takes as many


def run(folder, clock, seconds: float, per_step: float = 1.0) -> None:
    """A program after the other; steps take so many seconds each."""

    def tell(event):
        clock[0] += EVERY * per_step if event.report else 0

    found = Deadline(seconds)
    sweep.run(asked(), folder, tell, checkpoints=Checkpoints(share=0.0), deadline=found)


@pytest.mark.parametrize(
    "seconds, steps", [(1, 20), (39, 20), (41, 40), (59, 40), (61, 60), (79, 60)]
)
def test_it_stops_at_the_last_checkpoint_before(seconds, steps, clock, tmp_path):
    """60 steps, and a checkpoint every 20: in 61 s the first program is over, and the
    second is not begun, as it would come to none."""
    with pytest.raises(TimeOver) as stopped:
        run(tmp_path, clock, seconds)
    one, other = records(tmp_path)
    assert one.steps()[-1:] == [steps] and other.steps() == []
    assert stopped.value.steps == (0 if steps == 60 else steps)
    assert store.read(tmp_path).env_steps.max() == steps
    for again in (25, 35, 1e9):  # each comes to a checkpoint of its own
        with pytest.raises(TimeOver) if again < 1e9 else pytest.MonkeyPatch.context():
            run(tmp_path, clock, again)
    run(tmp_path / "whole", clock, float("inf"))
    assert rows(tmp_path) == rows(tmp_path / "whole")


def test_an_interval_is_known_from_before_it_was_stopped():
    """30 s for 60 steps, and a checkpoint every 20."""
    found = Snapshot(None, Clock(60, 60), {}, 30.0)
    assert job._interval(asked(), found) == 10.0
    assert job._interval(asked(), None) == 0.0


@pytest.mark.parametrize("call", range(3))
def test_what_it_stops_at_is_written_whenever_it_is_asked(call, tmp_path):
    """Snapshots take too much of the time, so that only the last is written; the
    signal comes at any call."""
    calls = iter(range(100))
    with pytest.raises(Interrupted) as stopped:
        sweep.run(
            asked(), tmp_path, checkpoints=Checkpoints(share=0.0),
            stop=lambda: next(calls) >= call,
        )  # fmt: skip
    newest = max(each.steps()[-1:] for each in records(tmp_path))
    assert newest == ([stopped.value.steps] if call else [])
    assert stopped.value.steps % CHECKPOINT == 0


# ---------------------------------------------------------------- many processes


@pytest.mark.parametrize(
    "status, begun, left", [(TIME_OVER, 2, 1), (STOPPED, 3, 0)], ids=str
)
def test_a_pool_starts_none_once_time_is_over_for_one(status, begun, left, tmp_path):
    """A process that was stopped alone is started again."""
    units = planned(tmp_path)
    engine = Inline(tmp_path, {names(units)[0]: [(status,)]})
    found = Pool(tmp_path, units, engine)
    found.run()
    assert len(engine.begun) == begun and len(found.waiting) == left
    assert not found.failed


def test_a_pool_begins_nothing_after_its_time(clock, tmp_path):
    units = planned(tmp_path)
    found = Pool(tmp_path, units, engine := Inline(tmp_path), deadline=Deadline(-1.0))
    found.run()
    assert not engine.begun and len(found.waiting) == 2


def test_workers_know_the_time(tmp_path, monkeypatch):
    (unit,) = planned(tmp_path, asked(variants=("one",)), until=1e9)
    monkeypatch.setattr(work.time, "time", lambda: 1e9 - 5)
    assert unit.job.seconds == 5
    with pytest.raises(TimeOver):
        work.run(tmp_path, unit.record.folder.name, seconds=0.0)


def test_the_command_says_how_to_go_on(tmp_path, capsys):
    flags = ["--algorithm=sac", "--task=toy/lqr", "--steps=60", "--quiet"]
    flags += [
        f"--workdir={tmp_path}",
        "--set=data.learning_starts=10",
        "--set=data.random_steps=10",
    ]
    assert train.main([*flags, "--max_hours=1e-9"]) == TIME_OVER == 79
    assert capsys.readouterr().err.endswith(
        "stopped, as the next checkpoint would come too late: run the same command "
        "again to continue from there\n"
    )
    assert train.main([*flags, "--max_hours=0"]) == 2
    assert "--max_hours is '0'" in capsys.readouterr().err
