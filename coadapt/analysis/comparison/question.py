"""A question's arms, and the effects that they show, in returns or in the unit."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from coadapt.analysis import score, stats, verdict
from coadapt.analysis.alpha_spending import Look
from coadapt.analysis.comparison.arms import Arms
from coadapt.analysis.comparison.pairs import Pair, listed
from coadapt.analysis.score import Rate
from coadapt.analysis.verdict import Effect
from coadapt.tasks.units import Unit

RETURNS, REFERENCE = "returns", "reference"
PAIRED = 0.3  # correlation of equal seeds, above which runs are paired


class Beside(NamedTuple):
    """What stands beside an effect on a task."""

    improvement: float  # P(a run with the toggle is better than one without)
    on: Rate  # of the runs with it, how many failed
    off: Rate


class Asked(NamedTuple):
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
                for on, off in pair.twins
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
        """The mean of Hedges' g over tasks and twins."""
        return float(
            np.mean([
                verdict.hedges(self.scores(t, on, rule), self.scores(t, off, rule))
                for t in tasks
                for on, off in pair.twins
            ])
        )  # fmt: skip

    def beside(self, task: str) -> tuple[Beside, ...]:
        """Of each algorithm, the mean over twins; a failed run is a random policy's."""
        found = []
        for pair in self.pairs:
            better = [
                float(stats.improvement(*(self.scores(task, n)[:, None] for n in two)))
                for two in pair.twins
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


def unit_of(asked: Asked, margin: float | None) -> tuple[str, str]:
    """The unit of the verdict, or '' and why there is none."""
    lacking = [task for task in asked.tasks if asked.unit(task).size is None]
    if not lacking:
        return REFERENCE, ""
    if len(asked.tasks) > 1:
        what = f"{lacking[0]} has" if len(lacking) == 1 else f"{listed(lacking)} have"
        return (
            "",
            f"returns of several tasks have no unit in common: {what} no reference",
        )
    if margin is None:
        return RETURNS, f"{lacking[0]} has no reference: give a margin in returns"
    return RETURNS, ""
