"""Training from Python, as one call."""

import contextlib
import math
import os
import tempfile
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING

from coadapt import devices, store, sweep
from coadapt.config import Config
from coadapt.progress import quiet, shown
from coadapt.schema import ConfigError
from coadapt.schema import shown as text
from coadapt.sweep import Checkpoints, Progress, Sweep, Variant

if TYPE_CHECKING:
    import pandas as pd


def train(
    variants: Sequence[Variant | str] | Mapping[str, Config],
    *,
    task: str,
    seeds: int | Sequence[int] = 1,
    steps: int,
    eval_every: int = 20_000,
    eval_episodes: int = 10,
    checkpoint_every: int | None = None,
    keep: int = 1,
    log: Sequence[str] = ("default",),
    workdir: str | os.PathLike[str] | None = None,
    progress: Callable[[Progress], None] | bool | None = True,
) -> "pd.DataFrame":
    """Train every variant with every seed; returns the tidy rows of `store.read`.

    Args:
        variants: what `grid` and its like make, names of presets, or configs by name.
        seeds: how many (0, 1, ...), or which.
        steps: env steps of each agent.
        checkpoint_every: env steps between checkpoints, where running episodes end.
            Given, each is written; None: of 20,000, as many as take 5% of the time.
        keep: how many checkpoints of a program stay; 0: of a finished one its agents.
        log: metrics and groups of them, as docs/logging.md lists them.
        workdir: a run store, in which finished cells are not run again and whose other
            rows are returned too; None keeps nothing.
        progress: True shows it on stderr, as the commands do; None or False: nothing;
            a function is called when a program begins, and at each evaluation.
    Raises: ConfigError, before anything starts; store.StoreError, of the disk.
    """
    devices.use_cores()
    rules, every = Checkpoints(keep=keep), {}
    if checkpoint_every is not None:
        rules = Checkpoints(keep=keep, share=math.inf)
        every = {"checkpoint_every": checkpoint_every}
    asked = Sweep(
        experiment="train",
        variants={task: _chosen(variants, task)},
        seeds=sweep.seeds_of(seeds),
        steps=steps,
        eval_every=eval_every,
        eval_episodes=eval_episodes,
        log=log,
        **every,
    )
    with contextlib.ExitStack() as stack:
        if workdir is None:
            workdir, rules = stack.enter_context(tempfile.TemporaryDirectory()), None
        tell = stack.enter_context(_told(progress, asked))
        sweep.run(asked, workdir, tell, checkpoints=rules)
        return store.read(workdir)


def _told(
    progress: Callable[[Progress], None] | bool | None, asked: Sweep
) -> contextlib.AbstractContextManager[Callable[[Progress], None]]:
    """What `sweep.run` calls back. Raises: ConfigError."""
    if progress is None or isinstance(progress, bool):
        return shown(asked) if progress else quiet(asked)
    if not callable(progress):
        raise ConfigError(
            f"progress is {text(progress)}: it must be True, None or a function."
        )
    return contextlib.nullcontext(progress)


def _chosen(
    variants: Sequence[Variant | str] | Mapping[str, Config], task: str
) -> Sequence[Variant]:
    if isinstance(variants, Mapping):
        return tuple(Variant(name, name, c) for name, c in variants.items())
    return sweep.grid(variants, {}, task=task)
