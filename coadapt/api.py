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
    """Train every variant with every seed; returns the tidy rows of `store.read`.

    Args:
        variants: what `grid` and its like make, names of presets, or configs by name.
        seeds: how many (0, 1, ...), or which.
        eval_every: env steps; None: 20,000, or more with data.envs.
        checkpoint_every: env steps; None: as that, as often as takes 5% of the time.
        keep: how many checkpoints of a program stay; 0: of a finished one its agents.
        log: metrics and groups of them, as docs/logging.md lists them.
        reference: a return that is 1 in the task's unit; None: a standard task's own.
        workdir: a run store, whose other rows are returned too; None keeps nothing.
        progress: shown on stderr; None: nothing is; or a function of each event.
        allow_other_machine: go on also where numbers round otherwise: docs/runs.md.
    Raises:
        ConfigError: before anything starts.
        store.StoreError: of the disk.
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
