"""Run stores with made-up scores, written as a sweep writes them."""

import contextlib
import dataclasses
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from coadapt import runner, sweep
from coadapt.config import Config
from coadapt.experiments import load
from coadapt.experiments.base import scaled
from coadapt.runs import store
from coadapt.runs.store import Cell
from coadapt.sweep import Sweep, Variant
from coadapt.tasks.units import Unit
from tests import test_store_model

PROVIDER = "mujoco 3.17.0"
EVALUATIONS = 3
UNIT = Unit(0.0, 0.0, 20, 100.0, "made up")


@contextlib.contextmanager
def scored(score: Callable[[Config, int], float]) -> Iterator[None]:
    """Sweeps train nothing, and each agent of a config and a seed has this return."""

    def train(configs, seeds, *args, report, **how):
        pairs = list(zip(configs, seeds, strict=True))
        found = {"return": np.array([score(*pair) for pair in pairs])}
        return test_store_model.train(
            configs, seeds, *args, report=lambda r: report(r._replace(metrics=found)),
            **how,
        )  # fmt: skip

    with test_store_model.no_training(), pytest.MonkeyPatch.context() as patch:
        patch.setattr(runner, "train", train)
        yield


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
    unit: Unit = UNIT,
    protocol: Mapping[str, Any] = {},
) -> dict[Cell, float]:
    """Returns the last scores. `dead` cells fail after their first evaluation, `absent`
    ones have no row, and those that are `begun` have one of three evaluations."""
    asked = Sweep(
        experiment=experiment,
        variants=variants,
        seeds=range(seeds),
        steps=steps,
        eval_every=min(steps.values()) // EVALUATIONS,
        protocol=protocol,
    )
    units = dict.fromkeys(variants, unit)
    about = dataclasses.replace(sweep.header(asked), units=units)
    ends = dict[Cell, float]()
    rng = np.random.default_rng(0)
    with store.owned(folder), store.Store(folder, about) as out:
        for cell in about.cells():
            if cell not in absent:
                ends[cell] = score(cell) if score else 100 * rng.random()
        for task in variants:
            by = provider.get(task, PROVIDER)
            for is_begun in (False, True):
                mine = [c for c in ends if c.task == task and (c in begun) == is_begun]
                if mine:
                    _write(out, mine, steps[task], ends, dead, by, whole=not is_begun)
    parts = {cell: cell in begun or cell in dead for cell in ends}
    return {c: x / EVALUATIONS if parts[c] else x for c, x in ends.items()}


def _write(
    out: store.Store,
    cells: Sequence[Cell],
    steps: int,
    last: Mapping[Cell, float],
    dead: Sequence[Cell],
    provider: str,
    *,
    whole: bool,
) -> None:
    """A program of these cells, to its end or to its first evaluation."""
    with out.begin(out.note(cells, 1)) as attempt:
        for i in range(1, EVALUATIONS + 1 if whole else 2):
            values = [
                np.nan if i > 1 and cell in dead else last[cell] * i / EVALUATIONS
                for cell in cells
            ]
            at = steps * i // EVALUATIONS
            attempt.append(at, {"return": np.array(values)}, provider)
        for cell in cells:
            if cell in dead:
                attempt.fail(cell, 17, 3, "policy.net.kernel", "")
        if whole:
            attempt.finish(steps, 1.0)
