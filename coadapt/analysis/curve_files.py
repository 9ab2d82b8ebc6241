"""Anyone's learning curves, read from files: published ones, beside one's own.

A file is a CSV, or an archive of arrays (.npz), which is read without pickle:
    plain               method, task, step, seed, return
    SimbaV2             exp_name, env_name, env_step, seed, metric (avg_return), value
    Open RL Benchmark   exp_name, env_id, global_step, seed, charts/episodic_return
    rliable             an array [runs, tasks] or [runs, tasks, frames] of each method,
                        with `tasks` (names) and, of frames, `frames` (env steps)
"""

import math
import zipfile
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from coadapt.metrics.registry import SCORE
from coadapt.schema import ConfigError, nearest

if TYPE_CHECKING:
    import pandas as pd

COLUMNS = ("method", "task", "step", "seed", "return")
LAYOUTS = {  # the columns of a CSV, in the order of ours
    "plain": COLUMNS,
    "SimbaV2": ("exp_name", "env_name", "env_step", "seed", "value"),
    "Open RL Benchmark": (
        "exp_name", "env_id", "global_step", "seed", "charts/episodic_return",
    ),
}  # fmt: skip
METRICS = {"SimbaV2": "avg_return"}  # which of the metrics that stand in a layout
TASKS, FRAMES = "tasks", "frames"


def read(
    path: Path, tasks: Iterable[str], *, every: int, steps: Mapping[str, int]
) -> "pd.DataFrame":
    """The curves of a file on some tasks, in `COLUMNS`.

    Args:
        tasks: those of a store. 'Hopper-v5' of a file is 'gym/Hopper-v5' of it.
        every: env steps between evaluations, to which returns are averaged where
            seeds were not measured at the same steps.
        steps: of each task, where a file has scores without their env steps.
    Raises: ConfigError.
    """
    rows = _archive(path, steps) if path.suffix == ".npz" else _table(path)
    known = _known(path, rows, list(tasks))
    rows = rows.assign(task=rows.task.map(known)).dropna(subset=["task"])
    import pandas as pd

    made = [
        group if _aligned(group) else _averaged(group, every)
        for _, group in rows.groupby(["method", "task"], sort=False)
    ]
    return pd.concat(made, ignore_index=True).reindex(columns=[*COLUMNS])


def as_rows(curves: "pd.DataFrame") -> "pd.DataFrame":
    """Curves in `COLUMNS` with the columns of a store's rows."""
    names = {"method": "variant", "step": "env_steps", "return": "value"}
    return curves.rename(columns=names).assign(metric=SCORE)


def _table(path: Path) -> "pd.DataFrame":
    import pandas as pd

    try:
        found = pd.read_csv(path, keep_default_na=False, dtype=str)
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else str(error)
        raise ConfigError(f"{str(path)!r} cannot be read: {reason}.") from None
    for name, columns in LAYOUTS.items():
        if set(columns) <= set(found.columns):
            if name in METRICS and "metric" in found:
                found = found.loc[found.metric == METRICS[name]]
            rows = found.reindex(columns=[*columns]).set_axis([*COLUMNS], axis=1)
            return rows.assign(**{n: _numbers(path, rows, n) for n in COLUMNS[2:]})
    known = "; ".join(f"{', '.join(c)} ({name})" for name, c in LAYOUTS.items())
    raise ConfigError(
        f"{str(path)!r} has the columns {', '.join(found.columns)}: it must have those "
        f"of a layout, which are {known}."
    )


def _numbers(path: Path, rows: "pd.DataFrame", column: str) -> np.ndarray:
    """Raises: ConfigError, which names the line."""
    found = np.empty(len(rows))
    for i, word in enumerate(rows[column]):
        try:
            found[i] = float(word or "nan")
        except ValueError:
            found[i] = math.inf if column != "return" else math.nan
            word = repr(word)
        if column == "return":
            continue
        if not float(found[i]).is_integer():
            raise ConfigError(
                f"{str(path)!r}: {column} is {word} in row {i + 1}: it must be a whole "
                "number."
            )
    return found if column == "return" else found.astype(np.int64)


def _archive(path: Path, steps: Mapping[str, int]) -> "pd.DataFrame":
    """Raises: ConfigError, where there is no such archive, or one of Python objects."""
    try:
        with np.load(path, allow_pickle=False) as file:
            arrays = {name: np.asarray(file[name]) for name in file.files}
    except (OSError, ValueError, zipfile.BadZipFile, EOFError) as error:
        raise ConfigError(
            f"{str(path)!r} cannot be read: {error}: it must be what numpy.savez "
            "writes of arrays of numbers and names; objects would need pickle, which "
            "runs what is in a file."
        ) from None
    names = [str(name) for name in arrays.pop(TASKS, np.zeros(0, str)).tolist()]
    frames = arrays.pop(FRAMES, None)
    if not names:
        raise ConfigError(
            f"{str(path)!r} has no array {TASKS!r}: add the names of the tasks, as in "
            "numpy.savez(file, tasks=['Hopper-v5'], SAC=scores)."
        )
    made = [
        _rows(path, m, scores, names, frames, steps) for m, scores in arrays.items()
    ]
    import pandas as pd

    return pd.DataFrame([row for rows in made for row in rows], columns=[*COLUMNS])


def _rows(
    path: Path,
    method: str,
    scores: np.ndarray,
    names: Sequence[str],
    frames: np.ndarray | None,
    steps: Mapping[str, int],
) -> list[tuple[str, str, int, int, float]]:
    wide = scores.ndim == 3
    shape = (len(names), *([] if frames is None or not wide else [len(frames)]))
    if scores.ndim not in (2, 3) or scores.shape[1:] != shape:
        raise ConfigError(
            f"{str(path)!r}: {method} has the shape {scores.shape}: it must be "
            f"[runs, {len(names)} tasks], or [runs, tasks, frames] with an array "
            f"{FRAMES!r} of their env steps."
        )
    curves = scores if wide else scores[..., None]
    return [
        (method, task, at, seed, float(curves[seed, i, k]))
        for seed in range(len(curves))
        for i, task in enumerate(names)
        for k, at in enumerate(
            map(int, frames) if wide and frames is not None else [_end(task, steps)]
        )
    ]


def _end(task: str, steps: Mapping[str, int]) -> int:
    return next((n for name, n in steps.items() if name.endswith(task)), 0)


def _known(path: Path, rows: "pd.DataFrame", tasks: Sequence[str]) -> dict[str, str]:
    """A file's tasks that the store has too, by its names.

    Raises: ConfigError.
    """
    ends: dict[str, list[str]] = {}
    for task in tasks:
        for name in {task, task.partition("/")[2]}:
            ends.setdefault(name, []).append(task)
    found = {}
    for name in rows.task.unique():
        there = [name] if name in tasks else ends.get(name, [])
        if len(there) > 1:
            raise ConfigError(
                f"{str(path)!r} has the task {name!r}, which may be "
                f"{' or '.join(there)}: write which."
            )
        found |= {name: there[0]} if there else {}
    if not found:
        first = next(iter(rows.task), "none")
        raise ConfigError(
            f"{str(path)!r} has no task of the store's, which are {', '.join(tasks)}"
            f"{nearest(first, tasks)}"
        )
    return found


def _aligned(rows: "pd.DataFrame") -> bool:
    """Whether all seeds were measured at the same env steps, once at each."""
    steps = {tuple(sorted(group.step)) for _, group in rows.groupby("seed")}
    return len(steps) == 1 and not rows.duplicated(["seed", "step"]).any()


def _averaged(rows: "pd.DataFrame", every: int) -> "pd.DataFrame":
    """Returns of episodes, averaged to evaluations as far as all seeds have come."""
    whole = int(rows.groupby("seed").step.max().min()) // every * every
    at = -(-rows.step // every) * every
    own = rows.assign(step=at).loc[lambda x: x.step <= max(whole, every)]
    keys = ["method", "task", "seed", "step"]
    return own.groupby(keys, sort=False, as_index=False)["return"].mean()
