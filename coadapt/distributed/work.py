"""One program of a run store as a unit of work, for one process of many.

    programs/<name>/job.json       what is asked of it: steps, snapshots, devices
    programs/<name>/failed.json    why nobody tries it any more
    stop                           in the workdir: all end at their next checkpoint

Whoever plans holds the workdir and writes these; a process that works holds its
program's lease, and writes attempts of it.
"""

import math
import time
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path
from typing import NamedTuple

from coadapt import devices, progress, schema, sweep
from coadapt.config import Config
from coadapt.runs import (
    attempts,
    checkpoint,
    files,
    leases,
    manifest,
    provenance,
    store,
)
from coadapt.schema import ConfigError
from coadapt.sweep import Agent, Checkpoints, Group, Planned, Sweep, Variant
from coadapt.system.deadline import Deadline

JOB, STOP = "job.json", "stop"


class Job(NamedTuple):
    """What is asked of a program, as job.json has it."""

    steps: int  # env steps
    devices: int  # that its process has to have
    log: tuple[str, ...] = ("default",)
    keep: int = 1
    share: float | None = None  # of the time, for snapshots; None: each is written
    allow_other_machine: bool = False
    until: float | None = None  # Unix time by which it has to have stopped
    origin: str = ""  # the program that it goes on from, where that is another
    places: tuple[int, ...] = ()  # of its agents, there
    tried: int = 0  # number of the newest attempt before it was asked

    @property
    def seconds(self) -> float:
        """That are left."""
        return math.inf if self.until is None else self.until - time.time()

    @property
    def checkpoints(self) -> Checkpoints:
        share = math.inf if self.share is None else self.share
        return Checkpoints(keep=self.keep, share=share)


class Unit(NamedTuple):
    """A program that is planned."""

    record: checkpoint.Record
    group: Group
    job: Job


def plan(
    asked: Sweep,
    path: Path,
    *,
    devices: int,
    memory: int | None = None,
    checkpoints: Checkpoints,
    until: float | None = None,
    allow_other_machine: bool = False,
) -> list[Unit]:
    """Write down what the store at `path` lacks, for others to run; computes nothing.

    The caller holds the folder (`store.owned`).

    Args:
        devices: of each process, at most; of a program that was begun, as it was.
        memory: bytes that a program may take.
        until: Unix time by which all have to have stopped.
    Raises:
        ConfigError: before anything is written.
        StoreError:
    """
    about = sweep.with_units(path, store.adopted(path, sweep.header(asked)))
    todo = sweep.planned(asked, path, about, memory, devices)
    share = None if math.isinf(checkpoints.share) else checkpoints.share
    found = []
    with store.Store(path, about, session=False) as out:
        (path / STOP).unlink(missing_ok=True)
        for each in todo:
            number = sweep.spread_over(each, devices)
            record = out.note(each.group.cells, number)
            other = each.origin is not None and each.origin.folder != record.folder
            job = Job(
                sweep.steps_in(asked, each.group), number, tuple(asked.log),
                checkpoints.keep, share, allow_other_machine, until,
                each.origin.folder.name if each.origin and other else "",
                each.places if other else (),
                max(leases.numbers(record.folder), default=0),
            )  # fmt: skip
            files.replace(record.folder / JOB, files.sealed(job._asdict()))
            (record.folder / attempts.FAILED).unlink(missing_ok=True)
            found.append(Unit(record, each.group, job))
    return found


def job(workdir: Path, program: str) -> Job:
    """What is asked of a program.

    Raises: ConfigError, StoreError.
    """
    folder = named(workdir, program).folder
    said = files.unsealed(folder / JOB)
    if said is None:
        raise ConfigError(
            f"--program is {program!r}: {str(folder)!r} has no {JOB}, which a sweep "
            "with --workers or --engine writes for those that work for it."
        )
    try:
        lists = {name: tuple(said[name]) for name in ("log", "places")}
        return Job(**{**said, **lists})
    except (KeyError, TypeError) as error:
        raise files.damaged(folder / JOB, repr(error)) from None


def named(workdir: Path, program: str) -> checkpoint.Record:
    """The program whose name is, or ends, so.

    Raises: ConfigError, StoreError.
    """
    home = workdir / attempts.PROGRAMS
    names = files.names(home)
    if not names:
        store.header(workdir)  # what is no run store is refused as such
        raise ConfigError(
            f"workdir {str(workdir)!r} contains no program: run its sweep first."
        )
    for name in names:
        if program in (name, name.rpartition("-")[2]):
            record = attempts.program(home / name)
            if record is not None:
                return record
    raise schema.unknown("program", program, "the run store has", names)


# ---------------------------------------------------------------- working


def run(
    workdir: Path,
    program: str,
    show: Callable[[Sweep], AbstractContextManager[progress.Tell]] = progress.quiet,
    *,
    stop: Callable[[], bool] = lambda: False,
    lease: float = leases.SECONDS,
    seconds: float = math.inf,
) -> int:
    """Run or resume a program that was planned; returns how many agents it has.

    0, where it is finished. It stops at its next checkpoint where `stop` says so, or
    where the workdir has a file `stop`.

    Args:
        show: as `progress.shown`.
        lease: seconds without a word of this process, until another may take over.
        seconds: until it has to have stopped, where the plan does not say sooner.
    Raises:
        ConfigError:
        StoreError: of which HeldError, where another process runs it, and
            LostError, where another took it meanwhile.
        runner.Interrupted:
    """
    path = store.folder(workdir).absolute()
    header, record, asked = store.load(path), named(path, program), job(path, program)
    if header is None or _finished(record, asked.steps):
        return 0
    leases.require_free(record.folder)
    group, small = _of(header, record, asked)
    sweep.admitted(small, path)
    planned = _planned(path, header, record, asked, group)
    if not asked.allow_other_machine:
        sweep.refuse_other_machine([planned], path)
        _refuse_other_devices(record, asked, group)
    start, origin = sweep.start_of(small, planned)
    shared = store.Shared(path, header, lease=lease)
    differ = provenance.compared(manifest.sessions(path))
    origins = (sweep.Origin(planned.begin, planned.begin),)
    event = sweep.Progress(1, 1, group, None, origins, differ)
    todo = sweep.Job(
        small, group, record, asked.devices, shared, asked.checkpoints,
        lambda: stop() or (path / STOP).exists(),
        Deadline(min(seconds, asked.seconds)), lambda *_: None,
    )  # fmt: skip
    with show(small) as tell:
        todo.run(lambda report: tell(event._replace(report=report)), start, origin)
    return len(group.agents)


def _finished(record: checkpoint.Record, steps: int) -> bool:
    """Whether a program has come so far."""
    there = [(record, attempts.attempt(path)) for path in record.attempts()]
    done = attempts.finished(there).values()
    return any(each.done and each.done.steps >= steps for each in done)


def _of(
    header: store.Header, record: checkpoint.Record, asked: Job
) -> tuple[Group, Sweep]:
    """The agents of a program, and the sweep of them alone."""
    entries = {cell: header.entry(cell) for cell in record.cells}
    variants = {
        cell.variant: Variant(
            cell.variant, entry.algorithm, schema.from_dict(Config, entry.config)
        )
        for cell, entry in entries.items()
    }
    task = record.cells[0].task
    agents = tuple(Agent(variants[cell.variant], cell.seed) for cell in record.cells)
    small = Sweep(
        experiment=header.experiment,
        variants={task: tuple(variants.values())},
        seeds=tuple(dict.fromkeys(cell.seed for cell in record.cells)),
        steps=asked.steps,
        eval_every=header.eval_every,
        eval_episodes=header.eval_episodes,
        checkpoint_every=header.checkpoint_every,
        log=asked.log,
    )
    return Group(task, agents), small


def _planned(
    path: Path,
    header: store.Header,
    record: checkpoint.Record,
    asked: Job,
    group: Group,
) -> Planned:
    """From where it goes on: from its own newest snapshot, or from another program."""
    origin, places = record, tuple(range(len(record.cells)))
    begin = checkpoint.newest(record, asked.steps)
    if asked.origin:
        other = named(path, asked.origin)
        further = checkpoint.newest(other, asked.steps)
        if further > begin:
            origin, places, begin = other, asked.places, further
    prints = [header.entry(cell).fingerprint for cell in group.cells]
    checkpoint.refuse_other(origin, places, prints)
    return Planned(group, origin, places, begin)


def _refuse_other_devices(record: checkpoint.Record, asked: Job, group: Group) -> None:
    """Raises: ConfigError, where the process has not the devices of the plan."""
    number = devices.mesh(devices.slots(len(group.agents), asked.devices)).size
    if number != asked.devices:
        raise ConfigError(
            f"the program {record.folder.name!r} is planned for {asked.devices} "
            f"devices, and would run over {number} here: set "
            f"JAX_NUM_CPU_DEVICES={asked.devices} on a CPU, or give it as many GPUs."
        )


# ---------------------------------------------------------------- what comes of it


class State(NamedTuple):
    """How a program stands."""

    folder: Path
    agents: int
    variants: str  # 'toy/lqr, sac'; of many variants, the first and how many more
    word: str  # one of WORDS
    steps: int  # env steps that its rows have come to
    total: int  # that are asked for
    lease: leases.Said | None  # of its newest attempt
    reason: str  # why it failed, or its last attempt ended


FINISHED, RUNS, GIVEN_UP, LOST, STOPPED, WAITS = WORDS = (
    "finished", "running", "failed", "lost", "stopped", "waiting"
)  # fmt: skip


def states(workdir: Path, header: store.Header) -> list[State]:
    """Of all programs that are there, in their order.

    Raises: StoreError.
    """
    return [state(each, header) for each in attempts.programs(workdir, reading=True)]


def state(record: checkpoint.Record, header: store.Header) -> State:
    """Touches nothing.

    Raises: StoreError.
    """
    task = record.cells[0].task
    names = list(dict.fromkeys(cell.variant for cell in record.cells))
    more = f" and {len(names) - 1} more" if len(names) > 1 else ""
    said = attempts.unsealed(record.folder / JOB) or {}
    total = max(header.steps_of(c) for c in record.cells if c.variant in names)
    total = said.get("steps", total)
    lease, failed = leases.newest(record.folder), attempts.given_up(record.folder)
    done = _done(record)
    come = max(lease.steps if lease else 0, done, snapshot(record))
    word, reason = WAITS, ""
    if done >= total:
        word = FINISHED
    elif failed is not None:
        word, reason = GIVEN_UP, failed.reason
    elif lease is not None:
        word, reason = _word(lease), lease.reason
    return State(
        record.folder, len(record.cells), f"{task}, {names[0]}{more}", word,
        come, total, lease, reason,
    )  # fmt: skip


def _word(lease: leases.Said) -> str:
    if lease.ended:
        return GIVEN_UP if lease.ended == leases.FAILED else STOPPED
    return RUNS if leases.alive(lease) else LOST


def _done(record: checkpoint.Record) -> int:
    """Env steps of its finished attempts, at most."""
    said = (attempts.unsealed(home / attempts.DONE) for home in record.attempts())
    return max((each["steps"] for each in said if each), default=0)


def fruitless(record: checkpoint.Record) -> int:
    """How many of its newest attempts came to no newer snapshot, since it was planned.

    Raises: StoreError.
    """
    newest, number = snapshot(record), 0
    tried = (files.unsealed(record.folder / JOB) or {}).get("tried", 0)
    for home in reversed(record.attempts()):
        if int(home.name) <= tried:
            break
        origin = (files.unsealed(home / attempts.ATTEMPT) or {}).get("origin")
        if (origin["steps"] if origin else 0) < newest:
            break
        number += 1
    return number


def snapshot(record: checkpoint.Record) -> int:
    """Env steps of its newest whole snapshot, 0 without one.

    Raises: StoreError.
    """
    return max(record.steps(), default=0)
