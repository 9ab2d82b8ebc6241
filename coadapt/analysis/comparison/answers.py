"""The effect of a toggle on one algorithm, or on two."""

import dataclasses
import os
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING

from coadapt.analysis import stats, verdict
from coadapt.analysis.alpha_spending import Look
from coadapt.analysis.comparison.arms import Arms, arms_of, looks_note, margin_of
from coadapt.analysis.comparison.notes import notes_on
from coadapt.analysis.comparison.pairs import common_tasks, pairs_of, require_twins
from coadapt.analysis.comparison.question import (
    PAIRED,
    REFERENCE,
    RETURNS,
    Asked,
    Beside,
    unit_of,
)
from coadapt.analysis.comparison.rules import agreed, verdict_by
from coadapt.analysis.score import RULES, Rate, require_metric
from coadapt.analysis.verdict import Effect, Verdict
from coadapt.runs import store
from coadapt.tasks.units import Unit

if TYPE_CHECKING:
    import pandas as pd

MARGIN = 0.1  # of the unit, what is no effect of note


@dataclasses.dataclass(frozen=True)
class Comparison:
    """The effect of a toggle on an algorithm A, and on B if there are two."""

    toggle: str
    labels: tuple[str, ...]  # names of A and B
    tasks: tuple[str, ...]  # on which all variants have finished runs
    metric: str
    returns: Mapping[str, tuple[Effect, ...]]  # task -> effects on A and B, in returns
    # on A and B, over all tasks; empty if the tasks have no unit in common
    effects: tuple[Effect, ...]
    gap: Effect | None  # effect on A minus effect on B
    unit: str  # 'returns', or 'reference': (score - random) / (reference - random)
    margin: float | None  # in the unit; None: none was given, in returns
    verdict: Verdict
    before: Verdict  # the same if failed runs count as their last score before
    rates: Mapping[tuple[str, bool], Rate]  # (algorithm, with the toggle) -> failures
    # task -> of A and B: P(improvement), and the failed runs on either side
    beside: Mapping[str, tuple["Beside", ...]]
    # task -> effect on A minus effect on B, in returns; empty for one algorithm
    gaps: Mapping[str, Effect] = dataclasses.field(default_factory=dict)
    paired: bool = False
    notes: tuple[str, ...] = ()  # remarks, a line each
    published: Verdict | None = None  # on published means of the same question

    @property
    def word(self) -> str:
        """The verdict with the algorithms' names: 'co-adapted: helps SAC only'."""
        return verdict.named(self.verdict.word, self.labels)

    @property
    def detail(self) -> str:
        """What holds for the other algorithm, or why there is no verdict."""
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
    """The effect of a toggle on one algorithm or on two, with a verdict.

    Args:
        rows: a workdir, whose manifest has units and steps; rows, as `coadapt.train`
            and `coadapt.store.read` give them; or arms, as
            `coadapt.comparison.arms_of` gives them.
        toggle: a field of a grid, "g_estimate.critics"; with variants in `on`, any
            name.
        on: the field's value with the toggle; or, for each algorithm, the variants with
            and without it: {"sac": ("sac", "sac-single-q")}.
        off: the field's value without the toggle; None: the only other value.
        published: a verdict on published means, to be shown beside.
        margin: the largest effect that counts as negligible, in the task's unit, or in
            returns if a task has no reference. None: that of the run store's protocol,
            else 0.1 of the unit.
        metric: the score of a run, "final", "last" or "area": docs/statistics.md.
        tasks: tasks to average over; empty: all that every variant has.
        units: unit of each task; None: those of the run store's manifest.
        correlation: correlation of runs with equal seeds in a pilot
            (`coadapt.comparison.correlation`); above 0.3 runs are paired.
        looks: of a study that adds seeds, the looks so far with their levels: intervals
            have the level of the last. Empty: 95%.

    Returns:
        The effects, their difference and the verdict; `print` shows them in a line.

    Raises:
        ConfigError: if variants, tasks or values are not in the rows.
    """
    require_metric(metric)
    arms = arms_of(rows, units)
    notes = tuple[str, ...]()
    if isinstance(rows, str | os.PathLike):
        header = store.load(store.folder(rows))
        margin, notes = margin_of(header, margin), looks_note(header)
    pairs = pairs_of(toggle, on, off, list(dict.fromkeys(v for _, v in arms)))
    where = common_tasks(arms, pairs, tasks)
    paired = correlation is not None and correlation > PAIRED
    if paired:
        require_twins(pairs)
    asked = Asked(arms, tuple(pairs), where, metric, paired, tuple(looks))
    found = _answered(toggle, asked, margin, published)
    return dataclasses.replace(found, notes=(*found.notes, *notes))


MARGINS = (0.5, 1.0, 2.0)  # of the margin, under which a verdict is shown too
OTHERS = ("final", "area")  # metrics, too


def multiverse(
    rows: "pd.DataFrame | str | os.PathLike[str] | Arms",
    found: Comparison,
    on: object,
    judge: Callable[[Sequence[Effect], float], Verdict] = verdict.judge,
) -> dict[tuple[str, str, float], str]:
    """The word of a comparison under other choices: (metric, rule, margin) -> word.

    At half the margin and twice it, by `OTHERS`, and by both rules for failed runs.
    At the level of the comparison. Source: Steegen et al. 2016, multiverse analysis.

    Args:
        on: as `compare` had it: by algorithm, variants with the toggle and without.
        judge: the verdict on effects, given the margin.
    Raises: ConfigError.
    """
    arms = arms_of(rows)
    pairs = tuple(pairs_of(found.toggle, on, None, [v for _, v in arms]))
    if not found.unit or found.margin is None:
        return {}
    alpha = max((each.alpha for each in found.effects), default=verdict.ALPHA)
    made = {}
    for metric in OTHERS:
        looks = (Look(0, alpha),)
        asked = Asked(arms, pairs, found.tasks, metric, found.paired, looks)
        for rule in RULES:
            effects = asked.effects(found.unit, rule)
            for share in MARGINS:
                margin = share * found.margin
                said = judge(effects, margin)
                made[metric, rule, margin] = verdict.named(said.word, found.labels)
    return made


def _answered(
    toggle: str, asked: Asked, margin: float | None, published: Verdict | None
) -> Comparison:
    unit, reason = unit_of(asked, margin)
    if unit == REFERENCE and margin is None:
        margin = MARGIN
    first, second = (verdict_by(asked, unit, margin, rule, reason) for rule in RULES)
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
        verdict=agreed(first, second),
        before=second,
        rates=asked.rates(),
        beside={task: asked.beside(task) for task in asked.tasks},
        gaps=asked.gaps(),
        paired=asked.paired,
        notes=notes_on(asked),
        published=published,
    )
