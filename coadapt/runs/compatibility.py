"""Which sweeps fit into one folder: those that agree where they meet."""

import dataclasses
import functools
import json
from pathlib import Path
from typing import Any

from coadapt import schema
from coadapt.config import Config
from coadapt.runs.manifest import FORMAT, NAMELESS, Entry, Header, load
from coadapt.schema import ConfigError
from coadapt.tasks.units import GIVEN, Unit


def refuse_other(workdir: Path, old: Header | None, new: Header) -> None:
    """Refuse a folder that holds another sweep.

    Raises: ConfigError.
    """
    if old is None:
        return
    if new.experiment != old.experiment and not _nameless(old, new):
        raise ConfigError(
            f"workdir {str(workdir)!r} contains another sweep: its experiment is "
            f"{old.experiment!r}, not {new.experiment!r}; choose another workdir, "
            f"or continue with {_way_on(old)}."
        )
    for name in ("eval_every", "eval_episodes", "checkpoint_every"):
        ours, theirs = getattr(new, name), getattr(old, name)
        if ours != theirs:
            raise ConfigError(
                f"workdir {str(workdir)!r} contains another sweep: its {name} is "
                f"{theirs!r}, not {ours!r}; choose another workdir."
            )
    _refuse_reference(workdir, old, new)
    for task, variants in new.variants.items():
        for name, entry in variants.items():
            there = old.variants.get(task, {}).get(name, entry)
            if not _same(there.config, entry.config):
                raise ConfigError(
                    f"workdir {str(workdir)!r} contains another sweep: {name} on "
                    f"{task} "
                    f"is config {there.fingerprint} there, and {entry.fingerprint} is "
                    f"asked for ({_difference(there.config, entry.config)}); choose "
                    "another workdir, or another name."
                )
            _refuse_other_data(workdir, f"{name} on {task}", there, entry)


def _refuse_other_data(workdir: Path, who: str, old: Entry, new: Entry) -> None:
    """Raises: ConfigError, where a data set was replaced by another of its name."""
    if old.dataset and new.dataset and old.dataset != new.dataset:
        raise ConfigError(
            f"workdir {str(workdir)!r} holds {who} as it learns from other data: the "
            f"data set {new.config['data']['dataset']!r} has hash {old.dataset} there, "
            f"and {new.dataset} now; restore the data set as it was, or choose another "
            "workdir."
        )


def _nameless(*headers: Header) -> bool:
    """Whether none is an experiment by name, so that any goes on with another's."""
    return all(header.experiment in NAMELESS for header in headers)


def _way_on(header: Header) -> str:
    """What goes on with a store, by what it is of."""
    name, _, scale = header.experiment.partition("@")
    if header.experiment in NAMELESS:
        return "coadapt.train, coadapt train or coadapt sweep --algorithms"
    budget = f" --scale={scale}" if scale not in ("", "own") else ""
    return f"what began it, as coadapt sweep --experiment={name}{budget}"


def _refuse_reference(workdir: Path, old: Header, new: Header) -> None:
    """Refuse a reference that comes after the first run.

    Raises: ConfigError.
    """
    for task, unit in new.units.items():
        there = old.units.get(task, Unit()).reference
        given = unit.source == GIVEN and task in old.variants
        if given and unit.reference != there:
            said = "none" if there is None else f"{there:g}"
            raise ConfigError(
                f"reference of {task} is {unit.reference:g}, and workdir "
                f"{str(workdir)!r} has {said}, fixed before its first run: leave it "
                "out, or choose another workdir."
            )


def _same(old: dict[str, Any], new: dict[str, Any]) -> bool:
    """Whether two configs have equal values: a field may be missing in the old one."""
    if old == new:
        return True
    one, other = (_config(json.dumps(each)) for each in (old, new))
    return one is not None and one == other


@functools.lru_cache(maxsize=4096)
def _config(text: str) -> Config | None:
    try:
        return schema.from_dict(Config, json.loads(text))
    except ConfigError:
        return None


def _difference(old: object, new: object, path: str = "") -> str:
    """The first path at which two configs differ, 'a.b: 1 there, 2 here'."""
    if isinstance(old, dict) and isinstance(new, dict):
        for key in {**old, **new}:
            if old.get(key) != new.get(key):
                inner = f"{path}.{key}" if path else key
                return _difference(old.get(key), new.get(key), inner)
    return f"{path}: {_short(old)} there, {_short(new)} here"


def _short(value: object) -> str:
    return str(value.get("kind", "a group")) if isinstance(value, dict) else str(value)


def adopted(workdir: Path, new: Header) -> Header:
    """What is asked for, under the fingerprints that the store has where it has any.

    Raises:
        ConfigError: if the folder holds another sweep, or one of a version that
            goes on under its own code alone.
    """
    old = load(workdir)
    if old is None:
        return new
    if old.format != FORMAT:
        raise ConfigError(
            f"workdir {str(workdir)!r} was written by an older version of coadapt "
            f"(format {old.format}): it can be read and reported, and goes on under "
            "that version alone; choose another workdir."
        )
    refuse_other(workdir, old, new)
    variants = {
        task: {
            name: old.variants.get(task, {}).get(name, entry).completed(entry)
            for name, entry in named.items()
        }
        for task, named in new.variants.items()
    }
    units = {
        task: old.units.get(task, Unit()) if task in old.variants else unit
        for task, unit in new.units.items()
    }
    return dataclasses.replace(
        new, experiment=old.experiment, variants=variants, units=units
    )
