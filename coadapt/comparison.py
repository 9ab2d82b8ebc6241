"""`coadapt.compare`: what a toggle does to one algorithm or to two, from rows.

The report, `coadapt effects`, the tutorial and the notebooks call it, so that one
question has one answer.
"""

import dataclasses
import itertools
import math
import os
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from coadapt import references, score, simulation, stats, store, verdict
from coadapt.schema import ConfigError, nearest, shown
from coadapt.score import METRICS, RULES, Arm, Rate
from coadapt.spending import Look
from coadapt.sweep import label
from coadapt.units import Unit
from coadapt.verdict import Effect, Verdict

if TYPE_CHECKING:
    import pandas as pd

MARGIN = 0.1  # of the unit, what is no effect of note
RETURNS, REFERENCE = "returns", "reference"
PAIRED = 0.3  # correlation of equal seeds, above which runs are paired
CLEAN, RARE = 59, 0.05  # an arm with 59 runs and no failure fails in less than 5%

Names = str | Sequence[str]
Arms = Mapping[tuple[str, str], Arm]  # (task, variant)


class Pair(NamedTuple):
    """Variants of an algorithm with a toggle and without, over which is averaged."""

    label: str
    on: tuple[str, ...]
    off: tuple[str, ...]


class Beside(NamedTuple):
    """What stands beside an effect on a task."""

    improvement: float  # P(a run with the toggle is better than one without)
    on: Rate  # of the runs with it, how many failed
    off: Rate


@dataclasses.dataclass(frozen=True)
class Comparison:
    """What a toggle does, in returns, in the unit, and in a word."""

    toggle: str
    labels: tuple[str, ...]  # of the algorithms: A, and B
    tasks: tuple[str, ...]  # that all variants have finished runs on
    metric: str
    returns: Mapping[str, tuple[Effect, ...]]  # task -> effect on A, and on B
    # over all tasks; empty where their returns have no unit in common
    effects: tuple[Effect, ...]
    gap: Effect | None  # effect on A less that on B
    unit: str  # 'returns', or 'reference': (score - random) / (reference - random)
    margin: float | None  # in the unit; None: none was given, in returns
    verdict: Verdict
    before: Verdict  # failed runs counting as their last score before
    rates: Mapping[tuple[str, bool], Rate]  # (algorithm, with the toggle)
    beside: Mapping[str, tuple["Beside", ...]]  # task -> of A, and of B
    # task -> effect on A less that on B, in returns; of one algorithm there is none
    gaps: Mapping[str, Effect] = dataclasses.field(default_factory=dict)
    paired: bool = False
    notes: tuple[str, ...] = ()  # what is to be known of it, a line each
    published: Verdict | None = None  # of the same question, on published means

    @property
    def word(self) -> str:
        """The verdict with the algorithms' names: 'co-adapted: helps SAC only'."""
        return verdict.named(self.verdict.word, self.labels)

    @property
    def detail(self) -> str:
        """What of the other algorithm, or why there is no verdict."""
        return verdict.named(self.verdict.detail, self.labels)

    def __str__(self) -> str:
        """One line."""
        where = " and ".join(self.labels)
        detail = f" ({self.detail})" if self.detail else ""
        found = zip(self.labels, self.effects, strict=False)
        parts = [f"{label} {interval(each, self.unit)}" for label, each in found]
        told = f": {', '.join(parts)}" if parts else ""
        return f"{self.toggle}, {where}: {self.word}{detail}{told}"


def interval(found: Effect, unit: str) -> str:
    """'+0.57 [+0.48, +0.66]', in returns '+741 [+684, +785]'; '+741' without one."""
    numbers = [found.value, *([found.low, found.high] if found.defined else [])]
    if unit == RETURNS:
        most = max(map(abs, numbers))
        value, *ends = (_signed(stats.number(x, most)) for x in numbers)
    else:
        value, *ends = (f"{round(x, 2) + 0.0:+.2f}" for x in numbers)
    return f"{value} [{', '.join(ends)}]" if ends else value


def _signed(text: str) -> str:
    return text if text.startswith("-") else f"+{text}"


# ---------------------------------------------------------------- the question


def compare(
    rows: "pd.DataFrame | str | os.PathLike[str] | Arms",
    toggle: str,
    on: object,
    *,
    off: object = None,
    published: Verdict | None = None,
    margin: float | None = None,
    metric: str = "final",
    tasks: Sequence[str] = (),
    units: Mapping[str, Unit] | None = None,
    correlation: float | None = None,
    looks: Sequence[Look] = (),
) -> Comparison:
    """What a toggle does to one algorithm, or to two: in returns, and in a word.

    Args:
        rows: a run store's folder, which knows units and horizons; rows as
            `store.read` and `coadapt.train` give them; or what `score.arms` made.
        toggle: a field of a grid, 'g_estimate.critics'; or any words.
        on: the field's value with the toggle; or, of each algorithm, the variants with
            it and without: {"sac": ("sac", "sac-single-q")}.
        off: the field's value without; None: the one other that there is.
        published: a verdict on published means, to stand beside.
        margin: what is no effect of note, in the reference's unit (0.1), or in returns
            where a task has no reference.
        metric: 'final', 'last' or 'area': see score.py.
        tasks: to average over; all that every variant has.
        units: of tasks; None: what the run store's manifest has.
        correlation: of equal seeds, as a pilot's rows show it (`correlation`): above
            0.3 runs are paired.
        looks: of a study that grows, the looks so far, with their levels: intervals
            are of the last one. Of a fixed study there are none, and they are 95%.
    Raises: ConfigError.
    """
    arms = arms_of(rows, units)
    pairs = _pairs(toggle, on, off, list(dict.fromkeys(v for _, v in arms)))
    where = _common(arms, pairs, tasks)
    paired = correlation is not None and correlation > PAIRED
    asked = _Asked(arms, tuple(pairs), where, _metric(metric), paired, tuple(looks))
    return _answered(toggle, asked, margin, published)


MARGINS = (0.5, 1.0, 2.0)  # of the margin, under which a verdict is shown too
OTHERS = ("final", "area")  # metrics, too


def multiverse(
    rows: "pd.DataFrame | str | os.PathLike[str] | Arms", found: Comparison, on: object
) -> dict[tuple[str, str, float], str]:
    """The word of a comparison under other choices: (metric, rule, margin) -> word.

    At half the margin and twice it, by `OTHERS`, and by both rules for failed runs.
    At the level of the comparison. Source: Steegen et al. 2016, multiverse analysis.

    Args:
        on: as `compare` had it: by algorithm, variants with the toggle and without.
    Raises: ConfigError.
    """
    arms = arms_of(rows)
    pairs = tuple(_pairs(found.toggle, on, None, [v for _, v in arms]))
    if not found.unit or found.margin is None:
        return {}
    alpha = max((each.alpha for each in found.effects), default=verdict.ALPHA)
    made = {}
    for metric in OTHERS:
        looks = (Look(0, alpha),)
        asked = _Asked(arms, pairs, found.tasks, metric, found.paired, looks)
        for rule in RULES:
            effects = asked.effects(found.unit, rule)
            for share in MARGINS:
                margin = share * found.margin
                said = verdict.judge(effects, margin)
                made[metric, rule, margin] = verdict.named(said.word, found.labels)
    return made


def _metric(name: str) -> str:
    """Raises: ConfigError unless it is one."""
    if name in METRICS:
        return name
    raise ConfigError(
        f"metric is {shown(name)}: it must be one of {', '.join(METRICS)}"
        f"{nearest(name, METRICS)}"
    )


def _answered(
    toggle: str, asked: "_Asked", margin: float | None, published: Verdict | None
) -> Comparison:
    unit, reason = _unit(asked, margin)
    if unit == REFERENCE and margin is None:
        margin = MARGIN
    first, second = (_verdict(asked, unit, margin, rule, reason) for rule in RULES)
    return Comparison(
        toggle=toggle,
        labels=tuple(pair.label for pair in asked.pairs),
        tasks=asked.tasks,
        metric=asked.metric,
        returns={task: asked.of([task], RETURNS) for task in asked.tasks},
        effects=asked.effects(unit) if unit else (),
        gap=asked.gap(unit) if unit and len(asked.pairs) == 2 else None,
        unit=unit,
        margin=margin,
        verdict=_agreed(first, second),
        before=second,
        rates=asked.rates(),
        beside={task: asked.beside(task) for task in asked.tasks},
        gaps=asked.gaps(),
        paired=asked.paired,
        notes=_notes(asked),
        published=published,
    )


def arms_of(
    rows: "pd.DataFrame | str | os.PathLike[str] | Arms",
    units: Mapping[str, Unit] | None = None,
) -> Arms:
    """The arms of a run store, or of a frame of rows. Raises: ConfigError."""
    if isinstance(rows, Mapping):
        return rows
    if not isinstance(rows, str | os.PathLike):
        stats.refuse_versions(rows)
        return score.arms(rows, units or {})
    frame, header, done = _read(rows)
    stats.refuse_versions(frame)
    return _arms(frame, header, done, units)


def by_version(workdir: str | os.PathLike[str]) -> dict[str, Arms]:
    """The arms of a run store, of each of `stats.versions`. Raises: ConfigError."""
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
            tasks=dict(zip(rows.task, frame.task[rows.index], strict=True)),
        )
        for version, rows in stats.versions(frame).items()
    }


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


def _pairs(toggle: str, on: object, off: object, variants: Sequence[str]) -> list[Pair]:
    """Raises: ConfigError unless there are one or two, of variants that have rows."""
    if isinstance(on, Mapping):
        pairs = [Pair(str(label), *map(_names, two)) for label, two in on.items()]
    else:
        pairs = named(toggle, on, off, variants)
    if not 1 <= len(pairs) <= 2:
        raise ConfigError(
            f"{toggle} is of {len(pairs)} algorithms ({_few(p.label for p in pairs)}): "
            "name one or two, as in on={'sac': ('sac', 'sac-single-q')}."
        )
    for name in (name for pair in pairs for name in (*pair.on, *pair.off)):
        if name not in variants:
            raise ConfigError(
                f"variant {name!r} has no rows of 'return'{nearest(name, variants)}."
            )
    return pairs


def _names(value: Names) -> tuple[str, ...]:
    return (value,) if isinstance(value, str) else tuple(value)


def _few(words: Iterable[str]) -> str:
    return ", ".join(words) or "none"


def named(path: str, on: object, off: object, variants: Sequence[str]) -> list[Pair]:
    """Of a grid's variants, those that differ in a field alone, by algorithm.

    Raises: ConfigError where none do, or where `off` could be several.
    """
    with_it, found = f"{path}={label(on)}", dict[str, tuple[list[str], list[str]]]()
    for name in variants:
        parts = name.split("/")
        if with_it not in parts:
            continue
        i = parts.index(with_it)
        rest = [*parts[:i], *parts[i + 1 :]]
        twins = [
            other
            for other in variants
            if other != name and _without(other, path) == rest
            if off is None or f"{path}={label(off)}" in other.split("/")
        ]
        if len(twins) > 1:
            raise ConfigError(
                f"{name} has {len(twins)} variants beside it ({_few(twins)}): say "
                "which with off=value."
            )
        for twin in twins:
            home = "/".join(part for part in rest if "=" not in part)
            ours = found.setdefault(home, ([], []))
            ours[0].append(name)
            ours[1].append(twin)
    if not found:
        raise ConfigError(
            f"{path} is {label(on)} in no variant with another beside it that differs "
            f"in it alone; there are {_few(variants)}."
        )
    return [Pair(home, tuple(a), tuple(b)) for home, (a, b) in found.items()]


def _without(name: str, path: str) -> list[str]:
    return [part for part in name.split("/") if not part.startswith(f"{path}=")]


def _common(arms: Arms, pairs: Sequence[Pair], asked: Sequence[str]) -> tuple[str, ...]:
    """Tasks on which all variants have finished runs. Raises: ConfigError."""
    names = [name for pair in pairs for name in (*pair.on, *pair.off)]
    there = list(dict.fromkeys(task for task, _ in arms))
    for task in asked:
        if task not in there:
            raise ConfigError(f"no row is of task {task!r}{nearest(task, there)}.")
    tasks = tuple(
        task
        for task in asked or there
        if all((task, n) in arms and arms[task, n].seeds for n in names)
    )
    if not tasks:
        raise ConfigError(
            f"no task has finished runs of all of {_few(dict.fromkeys(names))}."
        )
    return tasks


# ---------------------------------------------------------------- the numbers


class _Asked(NamedTuple):
    """A question, and the arms that answer it."""

    arms: Arms
    pairs: tuple[Pair, ...]
    tasks: tuple[str, ...]
    metric: str
    paired: bool
    looks: tuple[Look, ...] = ()

    @property
    def alpha(self) -> float:
        """What lies beyond each end of an interval."""
        return self.looks[-1].alpha if self.looks else verdict.ALPHA

    def effects(self, unit: str, rule: str = "random") -> tuple[Effect, ...]:
        """On each algorithm, over all tasks."""
        return self.of(self.tasks, unit, rule)

    def of(
        self, tasks: Sequence[str], unit: str, rule: str = "random"
    ) -> tuple[Effect, ...]:
        return tuple(
            verdict.effect(
                self.parts(pair, tasks, unit, rule),
                self.g(pair, tasks, rule),
                self.alpha,
            )
            for pair in self.pairs
        )

    def gaps(self) -> dict[str, Effect]:
        """Of each task, in returns."""
        if len(self.pairs) < 2:
            return {}
        return {task: self._replace(tasks=(task,)).gap(RETURNS) for task in self.tasks}

    def gap(self, unit: str) -> Effect:
        """The effect on A less that on B."""
        first, second = (
            self.parts(pair, self.tasks, unit, "random") for pair in self.pairs
        )
        parts = [*first, *((-weight, x) for weight, x in second)]
        return verdict.effect(parts, alpha=self.alpha)

    def parts(
        self, pair: Pair, tasks: Sequence[str], unit: str, rule: str
    ) -> list[verdict.Part]:
        """Arms with their weights; of paired runs, their differences."""
        if self.paired:
            share = 1 / (len(tasks) * len(pair.on))
            return [
                (share / self.size(task, unit), self._apart(task, on, off, rule))
                for task in tasks
                for on, off in zip(pair.on, pair.off, strict=True)
            ]
        return [
            (
                sign / (len(tasks) * len(names) * self.size(task, unit)),
                self.scores(task, name, rule),
            )
            for task in tasks
            for sign, names in ((1.0, pair.on), (-1.0, pair.off))
            for name in names
        ]

    def size(self, task: str, unit: str) -> float:
        """What 1 of the unit is in returns."""
        size = self.unit(task).size if unit == REFERENCE else 1.0
        assert size is not None  # or the unit is none
        return size

    def unit(self, task: str) -> Unit:
        return self.arms[task, self.pairs[0].on[0]].unit

    def scores(self, task: str, name: str, rule: str = "random") -> np.ndarray:
        """[seeds], without runs of which nothing is known."""
        found = self.arms[task, name].scores(self.metric, rule)
        return found[~np.isnan(found)]

    def _apart(self, task: str, on: str, off: str, rule: str) -> np.ndarray:
        ours, theirs = self.arms[task, on], self.arms[task, off]
        both = sorted(set(ours.seeds) & set(theirs.seeds))
        first, second = (
            arm.scores(self.metric, rule)[[arm.seeds.index(s) for s in both]]
            for arm in (ours, theirs)
        )
        apart = first - second
        return apart[~np.isnan(apart)]

    def g(self, pair: Pair, tasks: Sequence[str], rule: str) -> float:
        """The mean of Hedges' g over tasks and pairs of variants."""
        return float(
            np.mean([
                verdict.hedges(self.scores(t, on, rule), self.scores(t, off, rule))
                for t in tasks
                for on in pair.on
                for off in pair.off
            ])
        )  # fmt: skip

    def beside(self, task: str) -> tuple[Beside, ...]:
        """Of each algorithm, the mean over pairs; a failed run is a random policy's."""
        found = []
        for pair in self.pairs:
            better = [
                float(stats.improvement(*(self.scores(task, n)[:, None] for n in two)))
                for two in zip(pair.on, pair.off, strict=False)
            ]
            sides = (self.failures([task], names) for names in (pair.on, pair.off))
            found.append(Beside(float(np.mean(better)), *sides))
        return tuple(found)

    def failures(self, tasks: Sequence[str], names: Sequence[str]) -> Rate:
        """Of the runs of these variants, how many failed."""
        failed = np.concatenate([self.arms[t, n].failed for t in tasks for n in names])
        return score.rate(int(failed.sum()), failed.size)

    def rates(self) -> dict[tuple[str, bool], Rate]:
        """Of the runs of each side of each pair, how many failed."""
        return {
            (pair.label, with_it): self.failures(self.tasks, names)
            for pair in self.pairs
            for with_it, names in ((True, pair.on), (False, pair.off))
        }

    @property
    def fewest(self) -> int:
        """Seeds of the smallest arm."""
        names = [name for pair in self.pairs for name in (*pair.on, *pair.off)]
        return min(self.scores(task, n).size for task in self.tasks for n in names)

    @property
    def failed(self) -> bool:
        return any(each.failed for each in self.rates().values())


def _unit(asked: _Asked, margin: float | None) -> tuple[str, str]:
    """The unit of the verdict, or '' and why there is none."""
    lacking = [task for task in asked.tasks if asked.unit(task).size is None]
    if not lacking:
        return REFERENCE, ""
    if len(asked.tasks) > 1:
        what = f"{lacking[0]} has" if len(lacking) == 1 else f"{_few(lacking)} have"
        return (
            "",
            f"returns of several tasks have no unit in common: {what} no reference",
        )
    if margin is None:
        return RETURNS, f"{lacking[0]} has no reference: give a margin in returns"
    return RETURNS, ""


def _verdict(
    asked: _Asked, unit: str, margin: float | None, rule: str, reason: str
) -> Verdict:
    """By one of the rules for failed runs."""
    if margin is not None:
        verdict.require_margin(margin)
    if reason or margin is None:
        few = verdict.too_few(asked.fewest)
        return Verdict(verdict.NONE, "; ".join(x for x in (few, reason) if x))
    unknown = [t for t in asked.tasks if asked.unit(t).random is None]
    if rule == "random" and asked.failed and unknown:
        reason = (
            f"runs failed, and a random policy's return on {_few(unknown)} is not known"
        )
        return Verdict(verdict.NONE, reason)
    found = verdict.judge(asked.effects(unit, rule), margin)
    if not found.decided:
        return found
    wrong = _wrong(asked, unit, found.word, margin)
    return dataclasses.replace(found, wrong_with_failures=wrong)


def _agreed(first: Verdict, second: Verdict) -> Verdict:
    """The first, unless the two rules for failed runs disagree."""
    if first.word == second.word or verdict.NONE in (first.word, second.word):
        return first
    detail = (
        f"{first.word} if a failed run counts as a random policy, {second.word} if it "
        "counts as its last score before"
    )
    return Verdict(verdict.HANGS, detail)


def _wrong(asked: _Asked, unit: str, word: str, margin: float) -> float | None:
    """How often the word is said where it is wrong, as arms fail or may fail.

    Arms that failed fail as often; of the others, each that was not seen in 59 runs
    without a failure fails in 5% of its runs, one at a time. None where no arm may, or
    where a random policy's return is not known.
    """
    rates = asked.rates()
    seen = {key: each.failed / each.runs for key, each in rates.items()}
    unclean = [k for k, r in rates.items() if not r.failed and r.runs < CLEAN]
    if not (any(seen.values()) or unclean):
        return None
    if any(asked.unit(task).random is None for task in asked.tasks):
        return None
    seeds = min(each.seeds for each in asked.effects(unit))
    looks, worst = asked.looks or (Look(seeds, verdict.ALPHA),), 0.0
    for key in unclean or [None]:
        failing = seen if key is None else {**seen, key: RARE}
        pairs = [_sources(asked, pair, unit, failing) for pair in asked.pairs]
        said = simulation.wrong(word, pairs, looks=looks, margin=margin)
        worst = max(worst, said)
    return worst


def _sources(
    asked: _Asked, pair: Pair, unit: str, failing: Mapping[tuple[str, bool], float]
) -> simulation.Sources:
    """What arms are drawn from: runs that did not fail, as they were."""
    return tuple(
        [
            _source(asked.arms[task, name], asked, unit, failing[pair.label, with_it])
            for task in asked.tasks
            for name in names
        ]
        for with_it, names in ((True, pair.on), (False, pair.off))
    )  # type: ignore[return-value]


def _source(arm: Arm, asked: _Asked, unit: str, failing: float) -> simulation.Source:
    whole = arm.before[asked.metric][~arm.failed]
    size, random = asked.size(arm.task, unit), arm.unit.random
    assert random is not None
    if whole.size < 2:  # all failed: it is what a failed run counts as
        return simulation.Source(random / size, 0.0)
    return simulation.Source(
        float(whole.mean()) / size,
        float(whole.std(ddof=1)) / size,
        failing,
        random / size,
    )


def correlation(rows: "pd.DataFrame | str | os.PathLike[str] | Arms") -> float:
    """Of equal seeds, the mean over all pairs of variants with three seeds or more."""
    arms, found = arms_of(rows), []
    for one, other in itertools.combinations(arms.values(), 2):
        both = sorted(set(one.seeds) & set(other.seeds))
        if one.task == other.task and len(both) > 2:
            x, y = (
                arm.scores()[[arm.seeds.index(s) for s in both]] for arm in (one, other)
            )
            if x.std() and y.std():
                found.append(float(np.corrcoef(x, y)[0, 1]))
    return float(np.mean(found)) if found else math.nan


# ---------------------------------------------------------------- arms in their unit


class InUnit(NamedTuple):
    """Scores of variants in one unit, of each task by variant, [seeds]."""

    unit: str
    scores: tuple[dict[str, np.ndarray], ...]
    notes: tuple[str, ...]


def in_unit(arms: Arms, names: Sequence[str], metric: str = "final") -> InUnit:
    """On the tasks that all variants have: in the reference's unit, or in returns.

    Raises: ConfigError where no task has all, or where returns of several tasks have no
    unit in common.
    """
    pair = Pair("", tuple(names), ())
    tasks = _common(arms, [pair], ())
    asked = _Asked(arms, (pair,), tasks, metric, False)
    unit, reason = _unit(asked, 1.0)
    if not unit:
        raise ConfigError(f"{reason}.")
    scores = []
    for task in tasks:
        zero = asked.unit(task).random if unit == REFERENCE else 0.0
        size = asked.size(task, unit)
        own = {n: (asked.scores(task, n) - (zero or 0.0)) / size for n in names}
        for name, each in own.items():
            if not each.size:
                raise ConfigError(f"no run of {name} on {task} has a score.")
        scores.append(own)
    return InUnit(unit, tuple(scores), _notes(asked))


def mean_of(arm: Arm, metric: str, rule: str) -> Effect:
    """The mean of an arm's returns, with Student's interval."""
    scores = arm.scores(metric, rule)
    known = scores[~np.isnan(scores)]
    if not known.size:
        return Effect(math.nan, math.nan, math.nan)
    return verdict.effect([(1.0, known)])


# ---------------------------------------------------------------- what is to be known


def _notes(asked: _Asked) -> tuple[str, ...]:
    names = dict.fromkeys(n for pair in asked.pairs for n in (*pair.on, *pair.off))
    arms = [asked.arms[t, n] for t in asked.tasks for n in names]
    notes = [f"horizon: {_horizons(arms)}"]
    left = sum(arm.unfinished for arm in arms)
    if left:
        notes.append(f"{_runs(left)} left out: not finished")
    few = [arm for arm in arms if arm.evaluations < score.FEWEST]
    if few and asked.metric == "final":
        least = min(arm.evaluations for arm in few)
        notes.append(
            f"a run has {least} evaluation{'s' * (least > 1)}, fewer than the "
            f"{score.FEWEST} that the score is the mean of"
        )
    for arm in (arm for arm in arms if arm.rate.failed):
        failed, runs, low, high = arm.rate
        notes.append(
            f"{arm.variant} on {arm.task}: {failed} of {runs} runs failed "
            f"[{low:.0%}, {high:.0%}]"
        )
    for task, unit in {arm.task: arm.unit for arm in arms if arm.rate.failed}.items():
        if unit.now and unit.random is not None:
            notes.append(
                f"a random policy on {task}, {stats.number(unit.random)}, was measured "
                "now, after the runs"
            )
    if asked.paired:
        notes.append(f"paired by seed: a pilot's correlation exceeds {PAIRED}")
    return tuple(notes)


def _horizons(arms: Sequence[Arm]) -> str:
    """'20,000 env steps', or of which variant on which task."""
    if len({arm.env_steps for arm in arms}) == 1:
        return f"{arms[0].env_steps:,} env steps"
    by_task: dict[str, set[int]] = {}
    for arm in arms:
        by_task.setdefault(arm.task, set()).add(arm.env_steps)
    if all(len(found) == 1 for found in by_task.values()):
        parts = [f"{task} {min(found):,}" for task, found in by_task.items()]
    else:
        parts = [f"{arm.variant} on {arm.task} {arm.env_steps:,}" for arm in arms]
    return f"{', '.join(parts)} env steps"


def _runs(number: int) -> str:
    return f"{number} run{'s' * (number > 1)}"
