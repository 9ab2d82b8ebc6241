"""Run stores with made-up scores, written as a sweep writes them."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import numpy as np

from coadapt import store, sweep
from coadapt.store import Cell
from coadapt.sweep import Sweep, Variant
from experiments import load
from experiments.base import scaled

PROVIDER = "mujoco 3.17.0"
EVALUATIONS = 3


def of_experiment(
    folder: Path, name: str, tasks: Sequence[str], scale: str = "reduced", **fields
) -> dict[Cell, float]:
    """A store of an experiment of the paper, on some of its tasks; see `build`."""
    found = scaled(load(name), scale)
    variants = {task: found.variants(task) for task in tasks}
    steps = {task: found.steps_on(task) for task in tasks}
    return build(folder, found.name, variants, steps, **fields)


def build(
    folder: Path,
    experiment: str,
    variants: Mapping[str, Sequence[Variant]],
    steps: Mapping[str, int],
    *,
    seeds: int = 3,
    score: Callable[[Cell], float] | None = None,
    dead: Sequence[Cell] = (),
    absent: Sequence[Cell] = (),
    begun: Sequence[Cell] = (),
    provider: Mapping[str, str] = {},
) -> dict[Cell, float]:
    """Returns the last scores. `dead` cells fail after their first evaluation, `absent`
    ones have no row, and those that are `begun` have one of three evaluations."""
    asked = Sweep(
        experiment=experiment,
        variants=variants,
        seeds=range(seeds),
        steps=steps,
        eval_every=min(steps.values()) // EVALUATIONS,
    )
    about, ends = sweep.header(asked), {}
    rng = np.random.default_rng(0)
    with store.owned(folder), store.Store(folder, about) as out:
        for cell in about.cells():
            if cell in absent:
                continue
            last = score(cell) if score else 100 * rng.random()
            for i in range(1, EVALUATIONS + 1):
                if i > 1 and cell in begun:
                    break
                value = np.nan if i > 1 and cell in dead else last * i / EVALUATIONS
                at = steps[cell.task] * i // EVALUATIONS
                by = provider.get(cell.task, PROVIDER)
                out.append([cell], at, {"return": np.array([value])}, by)
            part = 1 / EVALUATIONS if cell in begun or cell in dead else 1
            ends[cell] = last * part
            if cell in dead:
                out.fail(cell, 17, 3, "policy.net.kernel", "")
            if cell not in begun:
                out.finish([cell], steps[cell.task], 1.0)
    return ends
