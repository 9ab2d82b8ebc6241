"""Run a sweep as flags say: in this process, in others, or on Slurm; and report it."""

import importlib
import os
from collections.abc import Callable, Iterable, Sequence
from functools import partial
from pathlib import Path

import jax
import psutil

from coadapt import devices, progress, report, sweep
from coadapt.cli import command, compiled, feeds, planning, signals, slurm, workers
from coadapt.cli.values import Values, count, get, positive, required
from coadapt.distributed import engines
from coadapt.runner import Snapshot
from coadapt.runs import store
from coadapt.schema import ConfigError
from coadapt.sweep import Sweep
from coadapt.system.deadline import Deadline

Parts = Callable[[Path], Iterable[tuple[Sweep, Path]]]


def run_sweep(
    values: Values,
    asked: Sweep,
    ended: Callable[[sweep.Group, Snapshot], None] = lambda *_: None,
    about: Callable[[], Sequence[str]] = tuple,
    parts: Parts | None = None,
) -> int:
    """Print the plan, or run and report; `ended` as `sweep.run` has it.

    `about` has further lines of the plan, `parts` a study's sweeps with their folders.
    Returns the exit status.
    """
    keep = count(values, "keep", 1, least=0)
    rules = sweep.checkpoints(get(values, "checkpoint_every"), keep)
    workdir, margin = get(values, "workdir"), _margin(values, asked)
    planning.refuse_measure(values)
    others, deadline = workers.asked(values), workers.deadline(values)
    if others is not None:
        jax.config.update("jax_platforms", "cpu")  # GPUs are for those that compute
    elif workdir:  # rounding depends on their number
        devices.use_cores(store.devices(workdir))
    kept = compiled.folder_of(get(values, "compile_cache"))
    if "MPLBACKEND" in os.environ:  # of the report's figures, before they are due
        importlib.import_module("coadapt.plot.figure")
    plan = sweep.plan(asked, *(engines.room(others) if others else ()))
    if get(values, "dry_run"):
        print("\n".join([*planning.lines(values, asked, plan, others), *about()]))
        return 0
    folder = store.folder(required(values, "workdir")).absolute()  # it may change
    if others is None:
        compiled.keep_in(kept)
    elif _submitted(values, asked, folder, rules, others, parts):
        return 0
    todo = [(asked, folder)] if parts is None else parts(folder)

    def run(part: Sweep, place: Path) -> bool:
        if others is not None:
            return _run_elsewhere(values, part, place, rules, deadline, others)
        _run_here(values, part, place, rules, deadline, ended)
        return True

    whole = all(run(part, place) for part, place in todo)  # ends where one is not
    report.make(folder, printed=True, margin=margin)
    return 0 if whole else command.TROUBLE


def _margin(values: Values, asked: Sweep) -> float | None:
    """Of the verdicts, where the command has a --margin and no protocol fixes one."""
    if "margin" not in values or "margin" in asked.protocol:
        return None
    return positive(values, "margin")


def _run_here(
    values: Values,
    asked: Sweep,
    folder: Path,
    rules: sweep.Checkpoints,
    deadline: Deadline,
    ended: Callable[[sweep.Group, Snapshot], None],
) -> None:
    """Run it in this process."""
    show = progress.quiet if get(values, "quiet") else progress.shown
    since = psutil.Process().create_time()
    with (
        show(asked, since) as tell,
        signals.held() as stop,
        feeds.fed(values, folder) as feed,
    ):
        told = partial(feeds.tell_both, tell, feed)
        sweep.run(
            asked,
            folder,
            told,
            checkpoints=rules,
            ended=ended,
            stop=stop,
            deadline=deadline,
            allow_other_machine=get(values, "allow_other_machine"),
        )


def _submitted(
    values: Values,
    asked: Sweep,
    folder: Path,
    rules: sweep.Checkpoints,
    others: engines.Options,
    parts: Parts | None,
) -> bool:
    """Whether there is something that Slurm will run, which nobody waits for here.

    Raises:
        ConfigError: of a study whose next sweep depends on what the last has shown.
    """
    if others.engine != engines.SLURM:
        return False
    if parts is not None:
        raise ConfigError(
            "--engine=slurm is given, and a study that looks at its results before it "
            "goes on: it needs a process that stays, so use --engine=ray or --workers."
        )
    said = slurm.submit(values, others, asked, folder, rules)
    if said:
        print(said)
    return bool(said)


def _run_elsewhere(
    values: Values,
    asked: Sweep,
    folder: Path,
    rules: sweep.Checkpoints,
    deadline: Deadline,
    others: engines.Options,
) -> bool:
    """Run it in other processes. Returns whether no program failed."""
    with signals.held() as stop, feeds.fed(values, folder) as feed:
        units, failed = workers.run(
            values, asked, folder, others, rules, stop, deadline
        )
        feed.begin([cell for unit in units for cell in unit.record.cells])
    return not failed
