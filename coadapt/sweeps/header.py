"""What the store's manifest says of a sweep."""

import dataclasses
from pathlib import Path

from coadapt import envs, schema
from coadapt.config import Config, Offline
from coadapt.data import offline
from coadapt.runs.store import Cell, Entry, Header, load
from coadapt.sweeps.asked import Sweep
from coadapt.tasks import references


def header(sweep: Sweep) -> Header:
    """What the store's manifest says of this sweep."""
    steps = {
        task: max(sweep.steps_of(task, variant) for variant in variants)
        for task, variants in sweep.variants.items()
    }
    most = max(steps.values())
    return Header(
        experiment=sweep.experiment,
        steps=most,
        task_steps={task: n for task, n in steps.items() if n != most},
        seeds=tuple(sweep.seeds),
        eval_every=sweep.eval_every,
        eval_episodes=sweep.eval_episodes,
        checkpoint_every=sweep.checkpoint_every,
        variants={
            task: {
                v.name: Entry(
                    v.algorithm,
                    schema.fingerprint(v.config),
                    schema.to_dict(v.config),
                    _digest(v.config, task),
                )
                for v in variants
            }
            for task, variants in sweep.variants.items()
        },
        asked=_own_steps(sweep),
        units=references.asked(sweep.variants, sweep.references),
        protocol=sweep.protocol,
    )


def _own_steps(sweep: Sweep) -> dict[Cell, int]:
    """Env steps of each cell, where a variant has its own."""
    every = [(t, v) for t, variants in sweep.variants.items() for v in variants]
    if all(variant.steps is None for _, variant in every):
        return {}
    return {
        Cell(task, variant.name, seed): sweep.steps_of(task, variant)
        for task, variant in every
        for seed in sweep.seeds
    }


def _digest(config: Config, task: str) -> str:
    """Of the data set that it learns from; '' of none."""
    data = config.data
    name = data.dataset if isinstance(data, Offline) else data.begins_with
    return offline.digest(name, envs.spec(task)) if name else ""


def with_units(workdir: Path, about: Header) -> Header:
    """The units of tasks that are new to the store, measured before their first run.

    Raises: ConfigError.
    """
    old = load(workdir)
    units = {
        task: unit
        if old is not None and task in old.variants
        else references.measured(task, unit)
        for task, unit in about.units.items()
    }
    return dataclasses.replace(about, units=units)
