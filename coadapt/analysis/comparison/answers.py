"""What a toggle does to one algorithm, or to two."""

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
        margin: what is no effect of note, in the reference's unit, or in returns where
            a task has no reference; None: what the run store's protocol fixed, else 0.1
            of the unit.
        metric: 'final', 'last' or 'area': see score.py.
        tasks: to average over; all that every variant has.
        units: of tasks; None: what the run store's manifest has.
        correlation: of equal seeds, as a pilot's rows show it (`correlation`): above
            0.3 runs are paired.
        looks: of a study that grows, the looks so far, with their levels: intervals
            are of the last one. Of a fixed study there are none, and they are 95%.
    Raises: ConfigError.
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
