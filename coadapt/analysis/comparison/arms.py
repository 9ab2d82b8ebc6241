"""The arms of a run store, or of a frame of rows."""

import dataclasses
import itertools
import math
import os
from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np

from coadapt.analysis import score, stats
from coadapt.analysis.score import Arm
from coadapt.runs import store
from coadapt.tasks import references
from coadapt.tasks.units import Unit

if TYPE_CHECKING:
    import pandas as pd


Arms = Mapping[tuple[str, str], Arm]  # (task, variant)


def arms_of(
    rows: "pd.DataFrame | str | os.PathLike[str] | Arms",
    units: Mapping[str, Unit] | None = None,
) -> Arms:
    """The arms of a run store, or of a frame of rows.

    Raises: ConfigError.
    """
    if isinstance(rows, Mapping):
        return rows
    if not isinstance(rows, str | os.PathLike):
        stats.refuse_versions(rows)
        return score.arms(rows, units or {})
    frame, header, done = _read(rows)
    stats.refuse_versions(frame)
    return _arms(frame, header, done, units)


def by_version(workdir: str | os.PathLike[str]) -> dict[str, Arms]:
    """The arms of a run store, of each of `stats.versions`.

    Raises: ConfigError.
    """
    return apart(*_read(workdir))


def apart(
    frame: "pd.DataFrame", header: store.Header, done: Mapping[store.Cell, int]
) -> dict[str, Arms]:
    """That of a store that was read; `done` is of `store.finished`."""
    return {
        version: _arms(
            rows,
            header,
            done,
            tasks=frame.task[rows.index].groupby(rows.task).first().to_dict(),
        )
        for version, rows in stats.versions(frame).items()
    }


def margin_of(header: store.Header | None, margin: float | None) -> float | None:
    """What is asked for; else what a protocol fixed before the study's first run."""
    if margin is not None or header is None:
        return margin
    return header.protocol.get("margin")


def looks_note(header: store.Header | None) -> tuple[str, ...]:
    """What is to be known of answers beside those of a study that grows."""
    looks = header.protocol.get("looks") if header else None
    if not looks:
        return ()
    return (
        f"the study's protocol has looks at {', '.join(map(str, looks))} seeds: these "
        "intervals are of all runs, as if there were none; its own verdicts are those "
        "of coadapt report",
    )


def _read(
    workdir: str | os.PathLike[str],
) -> tuple["pd.DataFrame", store.Header, dict[store.Cell, int]]:
    path = store.folder(workdir)
    frame, header = store.read(path), store.load(path)
    assert header is not None  # or read would have raised
    return frame, header, store.finished(path, header)


def _arms(
    frame: "pd.DataFrame",
    header: store.Header,
    done: Mapping[store.Cell, int],
    units: Mapping[str, Unit] | None = None,
    tasks: Mapping[str, str] | None = None,
) -> Arms:
    """The arms of rows whose tasks have these names, {name: as the header has it}.

    Where runs failed on a task whose random policy the store does not have, it is
    measured now.
    """
    tasks = {task: task for task in header.variants} if tasks is None else tasks
    names: dict[str, list[str]] = {}
    for name, task in tasks.items():
        names.setdefault(task, []).append(name)
    asked, ended = dict[store.Cell, int](), dict[store.Cell, int]()
    for cell in header.cells():
        for name in names.get(cell.task, []):
            named = cell._replace(task=name)
            asked[named], ended[named] = header.steps_of(cell), done.get(cell, 0)
    fixed = header.units if units is None else units
    known = {name: fixed.get(task, Unit()) for name, task in tasks.items()}
    found = score.arms(frame, known, asked, ended)
    unknown = {
        name
        for (name, _), arm in found.items()
        if arm.failed.any() and arm.unit.random is None
    }
    if units is not None or not unknown:
        return found
    now = {
        name: dataclasses.replace(references.measured(tasks[name], Unit()), now=True)
        for name in unknown
    }
    return score.arms(frame, {**known, **now}, asked, ended)


def correlation(rows: "pd.DataFrame | str | os.PathLike[str] | Arms") -> float:
    """Of equal seeds, the mean over all pairs of variants with three seeds or more."""
    arms, found = arms_of(rows), []
    for one, other in itertools.combinations(arms.values(), 2):
        both = sorted(set(one.seeds) & set(other.seeds))
        if one.task == other.task and len(both) > 2:
            x, y = (
                arm.scores()[[arm.seeds.index(s) for s in both]] for arm in (one, other)
            )
            if x.std() > 0 and y.std() > 0:  # false of NaN, too
                found.append(float(np.corrcoef(x, y)[0, 1]))
    return float(np.mean(found)) if found else math.nan
