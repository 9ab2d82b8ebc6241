"""Run a sweep: the programs that its store lacks, one after the other.

A cell is a variant on a task with a seed: one agent. Variants whose configs have equal
structure share a program, and its agents are ordered variants x seeds. What a sweep
asks for, costs and goes on from is in `coadapt.sweeps`.
"""

import itertools
import os
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import NamedTuple, TypeVar

from coadapt import devices, rng, runner
from coadapt.changes import change as change
from coadapt.metrics import registry
from coadapt.runs import array_files, checkpoint, manifest, provenance
from coadapt.runs.store import Store, adopted, folder, owned, require_free
from coadapt.sweeps.asked import DEFAULT as DEFAULT
from coadapt.sweeps.asked import MOST as MOST
from coadapt.sweeps.asked import MOST_EPISODES as MOST_EPISODES
from coadapt.sweeps.asked import MOST_SEEDS as MOST_SEEDS
from coadapt.sweeps.asked import NEWEST
from coadapt.sweeps.asked import Agent as Agent
from coadapt.sweeps.asked import Checkpoints as Checkpoints
from coadapt.sweeps.asked import Group as Group
from coadapt.sweeps.asked import Sweep as Sweep
from coadapt.sweeps.asked import checkpoints as checkpoints
from coadapt.sweeps.asked import groups as groups
from coadapt.sweeps.asked import seeds_of as seeds_of
from coadapt.sweeps.asked import steps_in as steps_in
from coadapt.sweeps.header import header as header
from coadapt.sweeps.header import with_units as with_units
from coadapt.sweeps.job import Job as Job
from coadapt.sweeps.packing import Cost as Cost
from coadapt.sweeps.packing import available_memory as available_memory
from coadapt.sweeps.packing import cost_of as cost_of
from coadapt.sweeps.packing import human_bytes as human_bytes
from coadapt.sweeps.packing import packs as packs
from coadapt.sweeps.plan import Plan as Plan
from coadapt.sweeps.plan import Program as Program
from coadapt.sweeps.plan import notes as notes
from coadapt.sweeps.plan import plan as plan
from coadapt.sweeps.plan import plan_of as plan_of
from coadapt.sweeps.resume import OtherMachineError as OtherMachineError
from coadapt.sweeps.resume import Planned as Planned
from coadapt.sweeps.resume import devices_here, require_free_programs
from coadapt.sweeps.resume import done_of as done_of
from coadapt.sweeps.resume import planned as planned
from coadapt.sweeps.resume import refuse_other_machine as refuse_other_machine
from coadapt.sweeps.resume import spread_over as spread_over
from coadapt.sweeps.resume import start_of as start_of
from coadapt.sweeps.validation import validate as validate
from coadapt.system.deadline import Deadline
from coadapt.training import precompile
from coadapt.validation.foreseen import updates as updates
from coadapt.variants import Axes as Axes
from coadapt.variants import Variant as Variant
from coadapt.variants import distinct as distinct
from coadapt.variants import grid as grid
from coadapt.variants import label as label
from coadapt.variants import one_at_a_time as one_at_a_time
from coadapt.variants import presets as presets
from coadapt.variants import swap as swap
from coadapt.variants import vary as vary

T = TypeVar("T")


class Origin(NamedTuple):
    """Where a program begins, in env steps, and how far its rows had come before."""

    begin: int  # of the checkpoint that it goes on from; 0: of none
    reached: int  # of the furthest row of its cells


class Progress(NamedTuple):
    """What `run` calls back with: `report` is None when a program begins."""

    program: int  # counted from 1
    programs: int
    group: Group
    report: runner.Report | None
    origins: tuple[Origin, ...] = ()  # of each program
    sessions: str = ""  # in what those of the store differ, this one among them


def run(
    sweep: Sweep,
    workdir: str | os.PathLike[str],
    progress: Callable[[Progress], None] = lambda _: None,
    memory: int | None = None,
    *,
    checkpoints: Checkpoints | None = NEWEST,
    ended: Callable[[Group, runner.Snapshot], None] = lambda *_: None,
    stop: Callable[[], bool] = lambda: False,
    deadline: Deadline | None = None,
    allow_other_machine: bool = False,
) -> int:
    """Run the cells that the store at `workdir` lacks; returns how many that were.

    A program that was cut short goes on from its newest snapshot, and ends as if it had
    not been; so does one whose cells are finished with fewer steps than are asked for
    now, or, where there is none to go on from, it starts again from 0, and its rows
    are there until the new ones have passed them.
    `checkpoints` None writes no snapshots; `ended` is called with what each program
    leaves, before the last snapshot is written: after a kill until then, again; where
    `stop` says so, the running one ends at its next checkpoint, and where the next
    would come after the `deadline`, at this one. `allow_other_machine`: go on also
    where what decides bits is not as it was.

    Raises:
        ConfigError: before anything compiles.
        store.StoreError:
        runner.Interrupted:
    """
    path, deadline = admitted(sweep, workdir), deadline or Deadline()
    # what is refused leaves nothing behind
    about = with_units(path, adopted(path, header(sweep)))
    with owned(path):
        todo = require_free_programs(planned(sweep, path, about, memory))
        refuse_other_machine([] if allow_other_machine else todo, path)
        starts = _one_ahead(start_of(sweep, each) for each in todo)
        with Store(path, about, session=bool(todo)) as store:
            # all at once: the next session finds the same programs
            records = [(each, _noted(store, each)) for each in todo]
            rest = store, checkpoints, stop, deadline, ended
            jobs = [Job(sweep, p.group, r, devices_here(p), *rest) for p, r in records]
            events = _events(todo, store)
            with precompile.Ahead(_to_compile(sweep, todo)) as others:
                for job, event in zip(jobs, events, strict=True):
                    job.require_time()
                    job.run(partial(_tell, progress, event), *next(starts))
                    others.turn()
    return sum(len(each.group.agents) for each in todo)


def admitted(sweep: Sweep, workdir: str | os.PathLike[str]) -> Path:
    """The folder of a sweep that can be run.

    Raises: ConfigError; store.StoreError.
    """
    rng.pin()  # before programs are compiled, too
    validate(sweep)
    path = folder(workdir).absolute()  # an environment may change the current folder
    array_files.require_path(path)
    return path


def require_admitted(
    sweep: Sweep,
    workdir: str | os.PathLike[str],
    memory: int | None = None,
    most: int | None = None,
    *,
    elsewhere: bool = False,
    allow_other_machine: bool = False,
) -> int:
    """Refuse what `run` would refuse, in its words; returns how many cells are done.

    Nothing is computed or written.

    Args:
        elsewhere: other processes compute, each of which looks at its own machine.
    Raises: ConfigError, StoreError.
    """
    path = admitted(sweep, workdir)
    about = adopted(path, header(sweep))
    require_free(path)
    todo = planned(sweep, path, about, memory, most)
    if not (elsewhere or allow_other_machine):
        refuse_other_machine(todo, path)
    return len(done_of(path, about))


def _one_ahead(items: Iterator[T]) -> Iterator[T]:
    """The same, the first one made at once."""
    return itertools.chain([*itertools.islice(items, 1)], items)


def _noted(store: Store, planned: Planned) -> checkpoint.Record:
    """The program that it is in the store."""
    cells = planned.group.cells
    return store.note(cells, devices_here(planned))


def _to_compile(sweep: Sweep, todo: Sequence[Planned]) -> list[precompile.Task | None]:
    """The programs after the first; None for one that is as one before it."""
    found: list[precompile.Task | None] = []
    known = set[object]()
    for each in todo:
        group, number = each.group, devices_here(each)
        configs = [agent.variant.config for agent in group.agents]
        configs = devices.filled(configs, number)
        steps = steps_in(sweep, group)
        task = (
            configs,
            group.task,
            steps,
            sweep.eval_episodes,
            registry.chosen(sweep.log),
        )
        key = group.program, number
        found.append(None if key in known else task)
        known.add(key)
    return found[1:]


def _tell(
    progress: Callable[[Progress], None],
    event: Progress,
    report: runner.Report | None,
) -> None:
    progress(event._replace(report=report))


def _events(todo: Sequence[Planned], store: Store) -> list[Progress]:
    """That each of the programs begins."""
    origins = tuple(_origin(each, store) for each in todo)
    differ = provenance.compared(manifest.sessions(store.workdir))
    return [
        Progress(number, len(todo), each.group, None, origins, differ)
        for number, each in enumerate(todo, 1)
    ]


def _origin(planned: Planned, store: Store) -> Origin:
    reached = max(store.reached.get(cell, 0) for cell in planned.group.cells)
    return Origin(planned.begin, reached)
