"""Training from Python, as one call."""

import os
import tempfile
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import TYPE_CHECKING

from coadapt import devices, sweep
from coadapt.config import Config
from coadapt.progress import quiet, shown
from coadapt.runs import store
from coadapt.schema import ConfigError
from coadapt.schema import shown as text
from coadapt.sweep import DEFAULT, Progress, Sweep, Variant

if TYPE_CHECKING:
    import pandas as pd


def train(
    variants: Sequence[Variant | str] | Mapping[str, Config],
    *,
    task: str,
    seeds: int | Sequence[int] = 1,
    steps: int,
    eval_every: int | None = None,
    eval_episodes: int = 10,
    checkpoint_every: int | None = None,
    keep: int = 1,
    log: Sequence[str] = ("default",),
    reference: float | None = None,
    workdir: str | os.PathLike[str] | None = None,
    progress: Callable[[Progress], None] | bool | None = True,
    allow_other_machine: bool = False,
) -> "pd.DataFrame":
    """Train every variant with every seed, and return their rows.

    The same call again resumes what was interrupted, and trains only what is missing.

    Args:
        variants: `Variant`s, as `grid` makes them; names of presets, such as "sac"; or
            a dict of configs by the names that they have in the results.
        task: "family/id", such as "gym/Hopper-v5": docs/tasks.md.
        seeds: a number of seeds, 4 for 0 to 3; or the seeds themselves, [4, 5].
        steps: env steps of each agent; with data=Offline, updates.
        eval_every: env steps between evaluations; None: 20,000, or the next multiple of
            data.envs.
        eval_episodes: greedy episodes of each evaluation.
        checkpoint_every: env steps between checkpoints; a snapshot is written at each.
            None: 20,000, or more with data.envs, at as many as take 5% of the time.
        keep: newest snapshots of each program to keep. With 0 a finished program keeps
            its agents without their replays.
        log: metrics and groups of metrics: docs/logging.md.
        reference: the return that counts as 1 in the task's unit, in which a random
            policy has 0; None: that of docs/statistics.md, if it has the task.
        workdir: folder of the run store; None: a temporary one, deleted at the end.
        progress: True: lines on stderr; None or False: none; or a function that is
            called with each `sweep.Progress`.
        allow_other_machine: also resume programs of another kind of machine, whose
            numbers round differently: docs/runs.md.

    Returns:
        A row for each agent, evaluation and metric, as `coadapt.store.read` gives them,
        with the rows that the workdir already had.

    Raises:
        ConfigError: before anything starts, if a value or a combination is not valid.
        store.StoreError: if the disk or the run store is at fault.
    """
    devices.use_cores(store.devices(workdir) if workdir is not None else None)
    rules = sweep.checkpoints(checkpoint_every, keep)
    asked = Sweep(
        experiment="train",
        variants={task: _chosen(variants, task)},
        seeds=sweep.seeds_of(seeds),
        steps=steps,
        eval_every=DEFAULT if eval_every is None else eval_every,
        eval_episodes=eval_episodes,
        checkpoint_every=DEFAULT if checkpoint_every is None else checkpoint_every,
        log=log,
        references={} if reference is None else {task: reference},
    )
    return _rows(asked, workdir, progress, rules, allow_other_machine)


def _rows(
    asked: Sweep,
    workdir: str | os.PathLike[str] | None,
    progress: Callable[[Progress], None] | bool | None,
    rules: sweep.Checkpoints,
    allow_other_machine: bool,
) -> "pd.DataFrame":
    """Those of the store once the sweep has run."""
    place = tempfile.TemporaryDirectory() if workdir is None else nullcontext(workdir)
    with place as folder, _told(progress, asked) as tell:
        sweep.run(
            asked,
            folder,
            tell,
            checkpoints=None if workdir is None else rules,
            allow_other_machine=allow_other_machine,
        )
        return store.read(folder)


def _told(
    progress: Callable[[Progress], None] | bool | None, asked: Sweep
) -> AbstractContextManager[Callable[[Progress], None]]:
    """What `sweep.run` calls back.

    Raises: ConfigError.
    """
    if progress is None or isinstance(progress, bool):
        return shown(asked) if progress else quiet(asked)
    if not callable(progress):
        raise ConfigError(
            f"progress is {text(progress)}: it must be True, None or a function."
        )
    return nullcontext(progress)


def _chosen(
    variants: Sequence[Variant | str] | Mapping[str, Config], task: str
) -> Sequence[Variant]:
    if isinstance(variants, Mapping):
        return tuple(Variant(name, name, c) for name, c in variants.items())
    return sweep.grid(variants, {}, task=task)
