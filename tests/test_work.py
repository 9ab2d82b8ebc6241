"""Programs as units of work: planned once, run by others, started again where they die.

The training is the number of test_store_model; the store and its leases are real.
"""

import contextlib
import json

import pytest
from rich.console import Console

from coadapt import runner, sweep
from coadapt.cli import board, report, status
from coadapt.cli import work as one_program
from coadapt.distributed import engines, pool, work
from coadapt.distributed.pool import Outcome, Pool
from coadapt.runner import Interrupted
from coadapt.runs import attempts, leases, manifest, store
from coadapt.runs.leases import HeldError, LostError
from coadapt.runs.store import Cell, StoreError
from coadapt.schema import ConfigError
from coadapt.sweep import Checkpoints, Sweep
from tests import test_store_model
from tests.test_store_model import CHECKPOINT, EVERY, TASK, VARIANTS, state

STEPS, ALWAYS = 60, Checkpoints(share=float("inf"))


class Crash(BaseException):
    """The process is no more."""


@pytest.fixture(autouse=True)
def _no_training():
    with test_store_model.stubs(test_store_model.Disk(lambda: None)):
        yield


def asked(steps: int = STEPS, variants=("one", "other"), seeds=(0, 1)) -> Sweep:
    return Sweep(
        experiment="model",
        variants={TASK: [VARIANTS[name] for name in variants]},
        seeds=seeds,
        steps=steps,
        eval_every=EVERY,
        checkpoint_every=CHECKPOINT,
    )


def planned(folder, sweep_of=None, **options) -> list[work.Unit]:
    with store.owned(folder):
        rules = {"devices": 2, "checkpoints": ALWAYS} | options
        return work.plan(sweep_of or asked(), folder, **rules)


def run(folder, unit, crash_at: int = 0, **options) -> int:
    """In this process; it dies when it tells of this env step."""

    @contextlib.contextmanager
    def show(_):
        def tell(event):
            if event.report and event.report.steps == crash_at:
                raise Crash

        yield tell

    return work.run(folder, unit.record.folder.name, show, **options)


def rows(folder) -> list[tuple]:
    frame = store.read(folder).drop(columns="session")
    return sorted(map(tuple, frame.to_dict("split")["data"]), key=str)


def names(units) -> list[str]:
    return [unit.record.folder.name for unit in units]


def test_units_leave_what_one_process_leaves(tmp_path):
    apart, whole = tmp_path / "apart", tmp_path / "whole"
    units = planned(apart)
    assert not [*apart.glob("programs/*/0001")]  # whoever plans computes nothing
    assert [run(apart, unit) for unit in reversed(units)] == [2, 2]
    sweep.run(asked(), whole, checkpoints=ALWAYS)
    assert rows(apart) == rows(whole) and len(rows(apart)) == 2 * 2 * 2 * STEPS // EVERY
    for unit in units:
        (path,) = unit.record.snapshots().values()
        name = path.relative_to(apart)
        same = [(f / name / "arrays.npz").read_bytes() for f in (apart, whole)]
        assert same[0] == same[1]
    assert planned(apart) == []
    assert run(apart, units[0]) == 0  # it is finished


def test_a_unit_goes_on_where_another_died(tmp_path):
    (unit,) = planned(tmp_path, asked(variants=("one",)))
    with pytest.raises(Crash):
        run(tmp_path, unit, crash_at=50)
    run(tmp_path, unit)
    second = json.loads((unit.record.folder / "0002/attempt.json").read_text())
    assert second["origin"]["steps"] == 40
    found = store.read(tmp_path)
    last = found[(found.env_steps == STEPS) & (found.metric == "return")]
    assert list(last.value) == [state(0, STEPS), state(1, STEPS)]


def test_a_part_of_a_program_goes_on_from_it(tmp_path):
    """Memory for one agent: the program is cut, and each part takes its own agent."""
    (unit,) = planned(tmp_path, asked(variants=("one",)))
    run(tmp_path, unit)
    longer = planned(tmp_path, asked(80, variants=("one",)), memory=1)
    assert [len(unit.group.agents) for unit in longer] == [1, 1]
    for unit in longer:
        run(tmp_path, unit)
    found = store.read(tmp_path)
    last = found[(found.env_steps == 80) & (found.metric == "return")]
    assert dict(zip(last.seed, last.value, strict=True)) == {
        seed: state(seed, 80) for seed in (0, 1)
    }


def test_it_stops_at_a_checkpoint_where_the_folder_says_so(tmp_path):
    (unit,) = planned(tmp_path, asked(variants=("one",)))
    (tmp_path / work.STOP).touch()
    with pytest.raises(Interrupted):
        run(tmp_path, unit)
    assert list(unit.record.snapshots()) == [CHECKPOINT]
    assert leases.newest(unit.record.folder).ended == leases.STOPPED
    planned(tmp_path, asked(variants=("one",)))
    run(tmp_path, unit)  # a new plan asks for it again


def test_sessions_of_processes_that_share_a_store_are_one_where_they_are_equal(
    tmp_path, monkeypatch
):
    units, here = planned(tmp_path), manifest.provenance.here()
    run(tmp_path, units[0])
    monkeypatch.setattr(manifest.provenance, "here", lambda: here | {"host": "far"})
    run(tmp_path, units[1])
    found = manifest.sessions(tmp_path)
    assert [each["id"] for each in found] == ["1", "2"]
    assert found[1]["host"] == "far"
    assert set(store.read(tmp_path).session) == {"1", "2"}
    sweep.run(asked(80), tmp_path)  # the manifest takes them in
    assert [each["id"] for each in manifest.read(tmp_path)["sessions"]][:2] == [
        "1",
        "2",
    ]


@pytest.mark.parametrize("program", ["one-00000000", ""])
def test_a_program_that_is_none_is_refused(program, tmp_path):
    (unit,) = planned(tmp_path, asked(variants=("one",)))
    with pytest.raises(ConfigError, match="program"):
        work.run(tmp_path, program)
    name = unit.record.folder.name
    assert work.named(tmp_path, name.rpartition("-")[2]).folder.name == name


# ---------------------------------------------------------------- two at once


def test_a_program_that_runs_is_refused_to_others(tmp_path, monkeypatch):
    (unit,) = planned(tmp_path, asked(variants=("one",)))
    seen = []

    def look(event):
        with monkeypatch.context() as patch:
            patch.setattr(leases.os, "getpid", lambda: -1)  # as another process
            for other in (
                lambda: run(tmp_path, unit),
                lambda: sweep.run(asked(variants=("one",)), tmp_path),
            ):
                with pytest.raises(HeldError, match="is run by process"):
                    other()
        seen.append(event)

    work.run(tmp_path, names([unit])[0], lambda _: contextlib.nullcontext(look))
    assert len(seen) == 1 + STEPS // EVERY
    assert [path.name for path in unit.record.attempts()] == ["0001"]


def test_who_stood_still_for_longer_than_its_lease_publishes_nothing(tmp_path):
    """Another goes on from its snapshot and ends; then it wakes, and would write."""
    (unit,) = planned(tmp_path, asked(variants=("one",)))
    home, before = unit.record.folder, []

    def sleep(event):
        if event.report and event.report.steps == 30 and not before:
            before.append(True)  # ours is held by this process: it lets another in
            run(tmp_path, unit)
            before.append(snapshot_of(tmp_path))

    with pytest.raises(LostError, match="taken over by another process"):
        work.run(tmp_path, home.name, lambda _: contextlib.nullcontext(sleep))
    assert snapshot_of(tmp_path) == before[1]
    assert store.read(tmp_path).env_steps.max() == STEPS


def snapshot_of(folder) -> dict[str, bytes]:
    """All files but leases."""
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file() and not path.name.startswith(leases.LEASE)
    }


def test_who_lost_a_program_removes_no_snapshot_of_a_newer_attempt(tmp_path):
    (unit,) = planned(tmp_path, asked(variants=("one",)))
    with pytest.raises(Crash):
        run(tmp_path, unit, crash_at=30)
    writer = test_store_model.checkpoint.Writer(
        unit.record, unit.record.folder / "0001", 1
    )
    run(tmp_path, unit)
    writer._remove(STEPS, goes_on=True, ends=True)
    writer._remove(STEPS + CHECKPOINT, goes_on=True, ends=True)
    assert list(unit.record.snapshots()) == [STEPS]


# ---------------------------------------------------------------- the pool


class Inline:
    """An engine in this process. `fates` are of each program's starts, in order: an env
    step at which it dies, a status with words, or None."""

    def __init__(self, folder, fates=()):
        self.folder, self.fates = folder, {k: list(v) for k, v in dict(fates).items()}
        self.begun, self.done = list[str](), list[Outcome]()

    def room(self) -> bool:
        return True

    def start(self, unit) -> None:
        name = unit.record.folder.name
        self.begun.append(name)
        fate = (self.fates.get(name) or [None]).pop(0)
        if isinstance(fate, tuple):
            self.done.append(Outcome(name, *fate))
            return
        try:
            run(self.folder, unit, crash_at=fate or 0)
            self.done.append(Outcome(name, 0))
        except Crash:
            self.done.append(Outcome(name, -9, "its process was killed by signal 9"))
        except Interrupted:
            self.done.append(Outcome(name, pool.STOPPED))

    def ended(self, seconds: float) -> list[Outcome]:
        found, self.done = self.done, []
        return found

    def forget(self, program: str) -> None: ...

    def close(self) -> None: ...


def test_what_dies_is_started_again(tmp_path, capsys):
    """As often as it comes further: four deaths, each after a newer snapshot or one."""
    one, _ = units = planned(tmp_path)
    engine = Inline(tmp_path, {names(units)[0]: [10, 30, 30, 50]})
    found = Pool(tmp_path, units, engine)
    found.run()
    assert engine.begun.count(names([one])[0]) == 5
    assert sorted(found.finished) == sorted(names(units)) and not found.failed
    assert capsys.readouterr().err.count("is restarted: its process was kill") == 4
    assert rows(tmp_path) == whole(tmp_path / "whole")


def whole(folder) -> list[tuple]:
    sweep.run(asked(), folder)
    return rows(folder)


@pytest.mark.parametrize(
    "fates, starts",
    [
        ([(1, "no memory")] * 3, 3),
        ([(pool.OTHER_MACHINE, "no memory")] * 3, 3),
        ([(2, "no memory")], 1),
        ([None], 1),
    ],
    ids=["three tries", "other nodes", "a mistake", "none"],
)
def test_what_fails_for_its_own_reasons_is_given_up(fates, starts, tmp_path, capsys):
    one, _ = units = planned(tmp_path)
    engine = Inline(tmp_path, {names(units)[0]: fates})
    found = Pool(tmp_path, units, engine)
    found.run()
    assert engine.begun.count(names([one])[0]) == starts
    if fates == [None]:
        assert not found.failed
        return
    assert found.failed == {names([one])[0]: "no memory"}
    failed = store.failures(tmp_path)
    assert [Cell(*row[:3]) for row in failed.values] == list(one.record.cells)
    assert set(failed.cause) == {"no memory"} and set(failed.tensor) == {"program"}
    sweep_store(tmp_path)
    assert "no memory" in (tmp_path / "failures.csv").read_text()
    assert status.main([f"--workdir={tmp_path}"]) == 1
    said = capsys.readouterr().out
    assert "failed, 0 of 60 steps, 2 agents, no memory" in said
    assert "2 programs: 1 finished, 1 failed; 120 agent-steps are left" in said
    assert report.main([f"--workdir={tmp_path}"]) == 0
    assert "no memory" in capsys.readouterr().out
    again = planned(tmp_path)  # the same command tries it again
    assert names(again) == names([one]) and attempts.given_up(one.record.folder) is None


def sweep_store(folder) -> None:
    with store.owned(folder), store.Store(folder, store.load(folder), session=False):
        pass


def test_a_stop_reaches_all_and_the_same_plan_goes_on(tmp_path):
    units = planned(tmp_path)
    stopped = Pool(tmp_path, units, Inline(tmp_path), stop=lambda: True)
    stopped.run()
    assert not stopped.finished and len(stopped.waiting) == 2
    assert not (tmp_path / work.STOP).exists()  # nobody is left who would read it
    on = Pool(tmp_path, planned(tmp_path), Inline(tmp_path))
    on.run()
    assert sorted(on.finished) == sorted(names(units))


def test_one_that_another_process_has_is_tried_later(tmp_path, monkeypatch):
    monkeypatch.setattr(pool, "_AGAIN", 0.0)
    units = planned(tmp_path)
    engine = Inline(tmp_path, {names(units)[0]: [(pool.HELD,)] * 5})
    found = Pool(tmp_path, units, engine)
    found.run()
    assert not found.failed and len(found.finished) == 2


def test_a_process_that_is_not_heard_of_any_more_loses_its_place(tmp_path, monkeypatch):
    """By the clock of whoever looks."""
    (unit,) = planned(tmp_path, asked(variants=("one",)))
    engine = Inline(tmp_path, {names([unit])[0]: [(None,)]})
    now, forgotten = [1000.0], []
    found = Pool(tmp_path, [unit], engine)
    found._start()
    engine.done, engine.forget = [], forgotten.append
    leases.take(unit.record.folder)._over.set()
    monkeypatch.setattr(pool.time, "monotonic", lambda: now[0])
    for later in (0, 1, 60, 70):
        now[0] = 1000.0 + later
        found._miss()
        assert not forgotten
    now[0] += 10
    found._miss()
    assert forgotten == names([unit]) and list(found.waiting) == [unit]


def test_where_tables_cannot_be_written_all_stop_at_a_checkpoint(tmp_path, monkeypatch):
    """What runs is not ended at once: its rows are its own."""

    class Late(Inline):
        def ended(self, seconds: float) -> list[Outcome]:
            looks.append(len(self.done))
            return super().ended(seconds) if len(looks) > 2 else []

    def full(self, *, always=True):
        if not always:
            raise StoreError("the disk is full.")

    looks = list[int]()
    monkeypatch.setenv("JAX_NUM_CPU_DEVICES", "2")  # as this process has
    monkeypatch.setattr(store.Store, "refresh", full)
    options = engines.Options(engines.LOCAL, 2, None, 0, None)
    with pytest.raises(StoreError, match="the disk is full"):
        engines.run(
            asked(), tmp_path, options, Late, checkpoints=ALWAYS,
            show=lambda _: contextlib.nullcontext(lambda _: None),
        )  # fmt: skip
    assert looks == [2, 2, 2]  # it waited for both


# ---------------------------------------------------------------- status


def test_status_says_what_runs_where(tmp_path, capsys):
    one, other = planned(tmp_path)

    def look(event):
        if event.report and event.report.steps == 30:
            assert status.main([f"--workdir={tmp_path}"]) == 0

    work.run(tmp_path, names([one])[0], lambda _: contextlib.nullcontext(look))
    said = capsys.readouterr().out.splitlines()
    assert len(said) == 3
    assert (
        f"{names([one])[0]}: running, " in said[0] and " 2 agents, process " in said[0]
    )
    assert said[1] == f"{names([other])[0]}: waiting, 0 of 60 steps, 2 agents"
    assert said[2].startswith("2 programs: 1 running, 1 waiting; ")


def test_status_of_no_store_is_a_mistake(tmp_path, capsys):
    assert status.main([f"--workdir={tmp_path / 'none'}"]) == 2
    assert "is not a run store" in capsys.readouterr().err


def test_a_failure_of_the_disk_is_the_attempts_reason(tmp_path, monkeypatch, capsys):
    (unit,) = planned(tmp_path, asked(variants=("one",)))

    def fail(*_, **__):
        raise StoreError("the disk is full.")

    monkeypatch.setattr(runner, "train", fail)
    with pytest.raises(StoreError):
        run(tmp_path, unit)
    said = leases.newest(unit.record.folder)
    assert (said.ended, said.reason) == (leases.FAILED, "the disk is full.")
    assert status.main([f"--workdir={tmp_path}"]) == 1
    assert "failed, 0 of 60 steps, 2 agents, the disk is" in capsys.readouterr().out


def test_exit_statuses_of_one_program_by_hand(tmp_path, capsys, monkeypatch):
    (unit,) = planned(tmp_path, asked(variants=("one",)))
    name = unit.record.folder.name

    def elsewhere(*_):
        raise sweep.OtherMachineError("it rounds otherwise.")

    def status_of(program: str = name) -> int:
        flags = [f"--workdir={tmp_path}", f"--program={program}", "--quiet"]
        return one_program.main(flags)

    assert status_of("none") == 2
    (tmp_path / work.STOP).touch()
    assert status_of() == pool.STOPPED == 75
    (tmp_path / work.STOP).unlink()
    lease = leases.take(unit.record.folder)
    with monkeypatch.context() as patch:
        patch.setattr(leases.os, "getpid", lambda: -1)  # as another process
        assert status_of() == pool.HELD == 69
    lease.end(leases.STOPPED)
    with monkeypatch.context() as patch:
        patch.setattr(sweep, "refuse_other_machine", elsewhere)
        assert status_of() == pool.OTHER_MACHINE == 78
    assert [status_of(), status_of(name.rpartition("-")[2])] == [0, 0]
    said = capsys.readouterr().err
    assert "program" in said and "is run by process" in said and "Traceback" not in said


def test_the_board_has_a_line_for_each_that_runs_and_the_sums(tmp_path, monkeypatch):
    one, other = units = planned(tmp_path)
    console = Console(width=120)
    found = Pool(tmp_path, [other], Inline(tmp_path))
    for unit in units:
        found.running[unit.record.folder.name] = pool.Running(unit, "", 0)
    now = [1000.0]
    monkeypatch.setattr(board.time, "monotonic", lambda: now[0])
    shown = board.Board(units)
    lease = leases.take(one.record.folder)
    for steps in (20, 40):  # the first look is not work of this session
        lease.come(steps)
        lease._write()
        now[0] += 4
        with console.capture() as said:
            console.print(shown.look(found))
    lease.end(leases.STOPPED)
    lines = [" ".join(line.split()) for line in said.get().splitlines()]
    assert lines[0].startswith("toy/lqr, one, 2 agents 40 of 60 steps on ")
    assert lines[1] == "toy/lqr, other, 2 agents starts"
    # 20 steps of 2 agents in 8 s; 20 and 60 are left
    assert lines[2] == "running 2, waiting 1; 5 agent-steps/s, 0:32 left"
