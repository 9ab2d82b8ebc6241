"""All that a report is made of: what a run store holds, and what it does not yet."""

from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from coadapt import plot
from coadapt.analysis import comparison, curve_files, stats, toggles
from coadapt.analysis.comparison import Arms
from coadapt.experiments import paper_comparison
from coadapt.experiments.paper_comparison import Beside
from coadapt.report.compare import entries_of
from coadapt.runs import store
from coadapt.runs.store import Cell, Header
from coadapt.schema import ConfigError

if TYPE_CHECKING:
    import pandas as pd

METRIC = "return"


class Score(NamedTuple):
    """A variant's on a task; see `stats.summary`."""

    mean: float
    std: float
    n: int  # seeds that have one
    failed: int
    env_steps: int  # of the seed that is furthest behind
    provider: str
    seeds: int  # that have rows


class Behind(NamedTuple):
    """A cell that is not finished."""

    task: str
    variant: str
    seed: int
    env_steps: int  # of its last row; 0 where it has none
    steps: int  # that are asked for


class Findings(NamedTuple):
    """A run store as it was read, tasks and variants in the order to be shown.

    Where several versions of a simulator made a task's rows, it has a name for each:
    see `stats.versions`. The header has its own.
    """

    header: Header
    versions: dict[str, "pd.DataFrame"]  # all rows
    summary: "pd.DataFrame"
    failed: "pd.DataFrame"
    behind: tuple[Behind, ...]
    beside: Beside | None
    tasks: dict[str, str]  # name -> as the header has it
    variants: tuple[str, ...]
    scores: dict[tuple[str, str], Score]  # (task, variant)
    labels: dict[str, str]  # variant -> a name as short as it can be
    sessions: tuple[dict[str, Any], ...]  # of which there are rows
    arms: dict[str, Arms]  # of each of `stats.versions`
    others: "pd.DataFrame | None" = None  # curves of others: `curve_files.COLUMNS`

    @property
    def frame(self) -> "pd.DataFrame":
        """All rows."""
        return _one(self.versions)

    def drawn(self) -> "pd.DataFrame":
        """All rows, variants under their short names, to be drawn; others' too."""
        import pandas as pd

        own = self.frame.assign(variant=self.frame.variant.map(self.labels))
        if self.others is None:
            return own
        return pd.concat([own, curve_files.as_rows(self.others)], ignore_index=True)

    def scored(self) -> "pd.DataFrame":
        """Those of them that are scores."""
        rows = self.drawn()
        return rows.loc[rows.metric == METRIC]

    @property
    def looks(self) -> dict[str, plot.Look]:
        """Of the short names that have rows, on every picture alike."""
        there = {self.labels[name] for name in self.frame.variant.unique()}
        whose = {n: e.algorithm for n, e in entries_of(self.header).items()}
        named = {self.labels[n]: whose.get(n, n) for n in self.labels}
        theirs = [] if self.others is None else list(self.others.method.unique())
        # what is called as an algorithm of ours has its colour
        every = plot.looks(named | {name: name.lower() for name in theirs})
        there |= set(theirs)
        return {name: look for name, look in every.items() if name in there}

    @property
    def drawn_tasks(self) -> list[str]:
        """Those that have scores."""
        there = set(self.frame.task[self.frame.metric == METRIC])
        return [task for task in self.tasks if task in there]

    @property
    def cells(self) -> int:
        """How many were asked for."""
        return len(self.header.cells())


def read(workdir: Path, files: Sequence[Path] = ()) -> Findings:
    """What there is, beside files of others' curves.

    Raises:
        ConfigError: if there is no run store, or no score in it, or of a file.
    """
    frame, header = store.read(workdir), store.load(workdir)
    assert header is not None  # or read would have raised
    failed, done = store.failures(workdir), store.finished(workdir, header)
    if not (frame.metric == METRIC).any():
        raise ConfigError(
            f"workdir {str(workdir)!r} has no scores yet: none of its "
            f"{len(header.cells())} cells has reached its first evaluation, after "
            f"{header.eval_every:,} env steps."
        )
    known = paper_comparison.of(header)
    versions, made = stats.versions(frame), set(frame.session)
    tasks = _names(frame, versions, paper_comparison.tasks(header, known))
    variants = paper_comparison.variants(header, known)
    summary = _ordered(stats.summary(frame, METRIC), [*tasks], variants)
    return Findings(
        header,
        versions,
        summary,
        failed,
        _behind(header, frame, done),
        known._replace(tasks=tasks) if known else None,
        tasks,
        tuple(variants),
        _scores(_one(versions), summary),
        toggles.short(variants),
        tuple(each for each in store.sessions(workdir) if each.get("id") in made),
        comparison.apart(frame, header, done),
        _others(files, header, list(tasks), toggles.short(variants)),
    )


def _others(
    files: Sequence[Path], header: Header, tasks: list[str], labels: dict[str, str]
) -> "pd.DataFrame | None":
    """Others' curves; a method that is called as a variant says that it is another."""
    if not files:
        return None
    import pandas as pd

    steps = {task: header.steps_on(task) for task in header.variants}
    made = [
        curve_files.read(path, tasks, every=header.eval_every, steps=steps)
        for path in files
    ]
    rows = pd.concat(made, ignore_index=True)
    taken = {*labels, *labels.values()}
    names = {n: f"{n} (beside)" if n in taken else n for n in rows.method.unique()}
    return rows.assign(method=rows.method.map(names))


def _one(versions: dict[str, "pd.DataFrame"]) -> "pd.DataFrame":
    import pandas as pd

    first, *others = versions.values()
    return pd.concat([first, *others]) if others else first


def _names(
    frame: "pd.DataFrame", versions: dict[str, "pd.DataFrame"], tasks: list[str]
) -> dict[str, str]:
    """Each name of a task's, to the task, in their order."""
    shown: dict[str, list[str]] = {}
    for rows in versions.values():
        first = rows.drop_duplicates("task")
        for name, task in zip(first.task, frame.task[first.index], strict=True):
            shown.setdefault(task, []).append(name)
    return {name: task for task in tasks for name in shown.get(task, [task])}


def _ordered(
    summary: "pd.DataFrame", tasks: list[str], variants: list[str]
) -> "pd.DataFrame":
    """Task by task, as they are to be shown."""
    down, across = ({n: i for i, n in enumerate(each)} for each in (tasks, variants))
    places = [
        (down.get(task, len(down)), across.get(variant, len(across)))
        for task, variant in zip(summary.task, summary.variant, strict=True)
    ]
    order = sorted(range(len(places)), key=places.__getitem__)
    return summary.iloc[order].reset_index(drop=True)


def _scores(
    frame: "pd.DataFrame", summary: "pd.DataFrame"
) -> dict[tuple[str, str], Score]:
    seeds = Counter((row["task"], row["variant"]) for row in _ends(frame))
    found = {}
    for row in summary.to_dict("records"):
        key = row["task"], row["variant"]
        values = {name: row[name] for name in Score._fields if name in row}
        found[key] = Score(**values, seeds=seeds[key])
    return found


def _behind(
    header: Header, frame: "pd.DataFrame", done: dict[Cell, int]
) -> tuple[Behind, ...]:
    reached = {
        Cell(row["task"], row["variant"], row["seed"]): row["env_steps"]
        for row in _ends(frame)
    }
    return tuple(
        Behind(*cell, reached.get(cell, 0), header.steps_of(cell))
        for cell in header.cells()
        if done.get(cell, 0) < header.steps_of(cell)
    )


def _ends(frame: "pd.DataFrame") -> list[dict[str, Any]]:
    """The last row of each cell."""
    return stats.last(frame, METRIC).to_dict("records")
