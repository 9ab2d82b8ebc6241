"""A part of `coadapt sweep`: its tasks, and variants as --set and --steps have them."""

import dataclasses
from collections.abc import Sequence

from coadapt import sweep
from coadapt.cli import budget, configs
from coadapt.cli.values import Values, get, listed
from coadapt.schema import ConfigError
from coadapt.sweep import Variant


def tasks(values: Values) -> list[str]:
    if get(values, "task") and get(values, "tasks"):
        raise ConfigError("--task and --tasks are both given: give one.")
    found = listed(get(values, "tasks") or get(values, "task"))
    twice = [task for task in found if found.count(task) > 1]
    if twice:
        raise ConfigError(f"task {twice[0]!r} is given twice: give it once.")
    return found


def changed(values: Values, variants: Sequence[Variant]) -> list[Variant]:
    """With every --set, under the names that they have."""
    changes = configs.changes(values)
    found = [
        dataclasses.replace(v, config=sweep.change(v.config, changes)) for v in variants
    ]
    return budget.own_steps(values, found)
