"""Training from Python, as one call."""

import contextlib
import os
import tempfile
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING

from coadapt import devices, store, sweep
from coadapt.config import Config
from coadapt.sweep import Progress, Sweep, Variant

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
    checkpoint_every: int = 20_000,
    keep: int = 1,
    log: Sequence[str] = ("default",),
    workdir: str | os.PathLike[str] | None = None,
    progress: Callable[[Progress], None] = lambda _: None,
) -> "pd.DataFrame":
    """Train every variant with every seed; returns the tidy rows of `store.read`.

    Args:
        variants: what `grid` and its like make, names of presets, or configs by name.
        seeds: how many (0, 1, ...), or which.
        steps: env steps of each agent.
        checkpoint_every: env steps between checkpoints, where running episodes end.
        keep: how many checkpoints of a program stay; 0: of a finished one its agents.
        log: metrics and groups of them, as docs/logging.md lists them.
        workdir: a run store, in which finished cells are not run again and whose other
            rows are returned too; None keeps nothing.
    Raises: ConfigError.
    """
    devices.use_cores()
    rules = sweep.Checkpoints(keep=keep)
    asked = Sweep(
        experiment="train",
        variants={task: _chosen(variants, task)},
        seeds=sweep.seeds_of(seeds),
        steps=steps,
        eval_every=eval_every,
        eval_episodes=eval_episodes,
        checkpoint_every=checkpoint_every,
        log=log,
    )
    with contextlib.ExitStack() as stack:
        if workdir is None:
            workdir, rules = stack.enter_context(tempfile.TemporaryDirectory()), None
        sweep.run(asked, workdir, progress, checkpoints=rules)
        return store.read(workdir)


def _chosen(
    variants: Sequence[Variant | str] | Mapping[str, Config], task: str
) -> Sequence[Variant]:
    if isinstance(variants, Mapping):
        return tuple(Variant(name, name, c) for name, c in variants.items())
    return sweep.grid(variants, {}, task=task)
