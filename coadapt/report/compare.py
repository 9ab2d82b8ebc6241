"""What toggles do in a run store: verdicts on pairs of algorithms, and factorials."""

import dataclasses
import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from coadapt.analysis import (
    comparison,
    curve_files,
    effects,
    multiple_testing,
    score,
    stats,
    toggles,
    verdict,
)
from coadapt.analysis.comparison import Arms, Comparison, Pair, interval, margin_of
from coadapt.analysis.effects import FactorialEffect
from coadapt.analysis.stats import Estimate
from coadapt.analysis.toggles import Contrast, Factorial
from coadapt.analysis.verdict import Verdict
from coadapt.experiments import paper_comparison, published
from coadapt.runs.store import Entry, Header
from coadapt.schema import ConfigError
from coadapt.studies import tuning, until

if TYPE_CHECKING:
    import pandas as pd

TUNED, AT_PRESETS = ", tuned", ", at the presets"  # after a toggle's name
SEED = 0  # of the bootstrap: the same rows give the same intervals


class Question(NamedTuple):
    """A toggle on an algorithm, or on two; of the paper's, what it has said."""

    toggle: str
    pairs: tuple[Pair, ...]
    cells: Verdict | None = None  # on the paper's own cells
    paper: str = ""  # how its text reads them
    source: published.Comparison | None = None  # whose those cells are


class Answer(NamedTuple):
    """What `coadapt.compare` says; `reason`, where it has nothing to go by."""

    question: Question
    found: Comparison | None = None
    reason: str = ""
    task: str = ""  # where the answer is of one task of several
    look: str = ""  # of a study that grows: at which look it was decided
    seeds: tuple[int, ...] = ()  # of that look; none: all that there are

    @property
    def toggle(self) -> str:
        """The toggle, and on which task."""
        where = f" on {self.task}" if self.task else ""
        return f"{self.question.toggle}{where}"


class Contrasted(NamedTuple):
    """A factorial, and what came out."""

    of: Factorial
    found: tuple[FactorialEffect, ...] = ()
    unit: str = ""
    notes: tuple[str, ...] = ()
    reason: str = ""


# ---------------------------------------------------------------- questions


def questions(header: Header) -> list[Question]:
    """What a store's variants are made to answer: the paper's comparisons, or grids'.

    Every toggle that two algorithms have is asked of each two; one that only one has,
    of it alone. Of a tuned study each is asked at the chosen settings, on which the
    verdict rests, and at the presets.
    """
    if header.protocol.get("rule") in tuning.DESIGNS:
        return []  # its settings are no levels of a toggle
    asked = _at_presets(header)
    if tuning.of(header.protocol) is None:
        return asked
    there = entries_of(header)
    found = [tuned(each) for each in asked]
    return [
        *(
            q
            for q in found
            if all(n in there for p in q.pairs for n in (*p.on, *p.off))
        ),
        *(each._replace(toggle=f"{each.toggle}{AT_PRESETS}") for each in asked),
    ]


def tuned(question: Question) -> Question:
    """The same of the variants at their chosen settings."""

    def ends(names: Sequence[str]) -> tuple[str, ...]:
        return tuple(f"{name}{tuning.TUNED}" for name in names)

    return question._replace(
        toggle=f"{question.toggle}{TUNED}",
        pairs=tuple(Pair(p.label, ends(p.on), ends(p.off)) for p in question.pairs),
    )


def _at_presets(header: Header) -> list[Question]:
    entries = {
        name: entry
        for name, entry in entries_of(header).items()
        if not (header.protocol.get("tuning") and name.endswith(tuning.TUNED))
    }
    known = paper_comparison.of(header)
    twins = {} if known is None else known.experiment.twins
    twins = {row: variant for row, variant in twins.items() if variant in entries}
    theirs = paper_comparison.comparisons([*entries, *twins])
    if theirs:
        return [_asked(each, twins) for each in theirs]
    contrasts = toggles.contrasts(toggles.settings(entries))
    pairs = list(toggles.alike(contrasts))
    met = {id(each) for pair in pairs for each in pair}
    alone = [(each,) for each in contrasts if id(each) not in met]
    return [
        Question(_title(group[0]), tuple(Pair(c.algorithm, c.on, c.off) for c in group))
        for group in (*pairs, *alone)
    ]


def entries_of(header: Header) -> dict[str, Entry]:
    """Each variant of a store, as it is on the first task that has it."""
    found = {}
    for named in header.variants.values():
        for name, entry in named.items():
            found.setdefault(name, entry)
    return found


def _asked(each: published.Comparison, twins: Mapping[str, str]) -> Question:
    pairs = (
        Pair(name, (twins.get(on, on),), (twins.get(off, off),))
        for name, (on, off) in (
            (each.first, each.first_cells),
            (each.second, each.second_cells),
        )
    )
    return Question(
        each.toggle, tuple(pairs), published.judged(each).verdict, each.paper, each
    )


def _title(contrast: Contrast) -> str:
    on, off = contrast.levels
    return f"{contrast.toggle}: {on}, not {off}"


def compared(
    arms: Arms, toggle: str, pairs: Sequence[Pair], **options: Any
) -> list[Comparison]:
    """`coadapt.compare`, task by task where returns have no unit in common.

    Raises: ConfigError.
    """
    on = {pair.label: (pair.on, pair.off) for pair in pairs}
    found = comparison.compare(arms, toggle, on, **options)
    if found.unit:
        return [found]
    return [
        comparison.compare(arms, toggle, on, tasks=[task], **options)
        for task in found.tasks
    ]


def of(header: Header, arms: Arms, margin: float | None = None) -> list[Answer]:
    """The answers to a store's questions; by its protocol, where it has one."""
    asked, plan = questions(header), until.plan(header.protocol)
    margin = margin_of(header, margin)
    if plan is None:
        return [answer for each in asked for answer in answers(arms, each, margin)]
    if margin is not None:
        plan = plan._replace(margin=margin)
    known = {(each.toggle, each.pairs): each for each in asked}
    apart = len({each.tasks for each in plan.questions}) > 1
    found = [_settled(each, plan, known, apart) for each in until.decide(arms, plan)]
    of_plan = {(each.question.toggle, each.question.pairs) for each in found}
    rest = [q for q in asked if (q.toggle, q.pairs) not in of_plan]  # at the presets
    return found + [answer for q in rest for answer in answers(arms, q, margin)]


def _settled(
    each: until.Settled,
    plan: until.Plan,
    known: Mapping[tuple[str, tuple[Pair, ...]], Question],
    apart: bool,
) -> Answer:
    toggle, pairs, tasks = each.question
    question = known.get((toggle, pairs), Question(toggle, pairs))
    task = tasks[0] if apart else ""
    if each.found is None:
        reason = f"not all arms have the {plan.looks[0]} seeds of the first look"
        return Answer(question, None, reason, task)
    look = f"{'decided' if each.decided else 'open'} at {each.seeds} seeds per arm"
    found = dataclasses.replace(each.found, notes=(*each.found.notes, look))
    return Answer(question, found, "", task, look, plan.seeds[: each.seeds])


def answers(
    arms: Arms, question: Question, margin: float | None = None
) -> list[Answer]:
    """The verdict on the runs that are there; a task at a time, where it must be."""
    options = {"margin": margin, "published": question.cells}
    try:
        found = compared(arms, question.toggle, question.pairs, **options)
    except ConfigError as error:
        return [Answer(question, reason=str(error))]
    alone = len(found) > 1
    return [Answer(question, x, task=x.tasks[0] if alone else "") for x in found]


def contrast(arms: Arms, of: Factorial, metric: str = "final") -> Contrasted:
    """The main effects and interactions on the runs that are there."""
    try:
        scaled = comparison.in_unit(arms, of.variants, metric)
        scores = [[each[name] for each in scaled.scores] for name in of.variants]
        found = effects.factorial(of.design, scores)
    except ConfigError as error:
        return Contrasted(of, reason=str(error))
    return Contrasted(of, tuple(found), scaled.unit, scaled.notes)


# ---------------------------------------------------------------- words


def count(seeds: int | None) -> str:
    return "-" if seeds is None else f"{seeds:,}"


def word(found: Answer) -> str:
    """'co-adapted: helps SAC only (MPO harmed)'; why there is none."""
    if found.found is None:
        return "not yet"
    detail = found.found.detail
    return f"{found.found.word} ({detail})" if detail else found.found.word


def p(value: float) -> str:
    return "-" if math.isnan(value) else f"{value:.2g}" if value >= 1e-4 else "<1e-4"


def holm(answers: Sequence[Answer]) -> list[float]:
    """p of each verdict, corrected for all of them; NaN where nothing is claimed."""
    return _corrected(answers, multiple_testing.holm)


def screened(answers: Sequence[Answer]) -> list[float]:
    """The same by Benjamini and Hochberg, for screens."""
    return _corrected(answers, multiple_testing.benjamini_hochberg)


def _corrected(
    answers: Sequence[Answer], rule: Callable[[Sequence[float]], np.ndarray]
) -> list[float]:
    ps = [each.found.verdict.p if each.found else math.nan for each in answers]
    found = rule(ps)
    return [
        math.nan if math.isnan(own) else float(each)
        for own, each in zip(ps, found, strict=True)
    ]


def multiverse(arms: Arms, answer: Answer) -> dict[tuple[str, str, float], str]:
    """The answer's word under other choices; {} where there is none."""
    found, pairs = answer.found, answer.question.pairs
    if found is None or found.verdict.word == verdict.NONE:
        return {}
    on = {pair.label: (pair.on, pair.off) for pair in pairs}
    if not answer.seeds:
        return comparison.multiverse(arms, found, on)
    then = {  # as of its look: other questions may have run the arms on
        key: until.limited(arm, answer.seeds)
        for key, arm in arms.items()
        if set(answer.seeds) <= set(arm.seeds)
    }
    return comparison.multiverse(then, found, on, until.judge)


def wrong(found: Verdict) -> str:
    """'at most 2.5%; 12% if arms fail'; '-' where nothing is claimed."""
    if found.wrong is None:
        return "-"
    said = f"at most {found.wrong:.1%}"
    if found.wrong_with_failures is not None:
        said += f"; {found.wrong_with_failures:.1%} as arms may fail"
    return said


def term(names: Sequence[str]) -> str:
    return " x ".join(names)


def aliases(found: FactorialEffect) -> str:
    """What a contrast cannot be told from: '- a x b'."""
    parts = [
        f"{'-' if part < 0 else '+'} {'' if abs(part) == 1 else f'{abs(part):g} '}"
        f"{term(names)}"
        for names, part in found.aliases.items()
    ]
    return ", ".join(parts)


def sentence(found: Answer) -> str:
    """The answer in a line."""
    if found.found is None:
        where = " and ".join(pair.label for pair in found.question.pairs)
        reason = found.reason.rstrip(".")
        return f"{found.question.toggle}, {where}: not yet ({reason})"
    told, said = str(found.found), found.found.verdict
    told = f"{found.task}: {told}" if found.task else told
    told += f"; {found.look}" if found.look else ""
    if said.decided or said.seeds is None or found.look.startswith("decided"):
        return told
    return f"{told}; {said.seeds:,} seeds per arm would decide the observed effects"


def rows(found: Contrasted) -> list[dict[str, str]]:
    """A factorial as lines of a table."""
    return [
        {
            "algorithm": found.of.algorithm or "all",
            "term": term(each.term),
            "effect": interval(each.estimate, found.unit),
            "not told from": aliases(each) or "-",
        }
        for each in found.found
    ]


def legend(found: Contrasted) -> list[str]:
    """What there is to know of a factorial."""
    return [
        unit_note(found.unit),
        *found.notes,
        *(f"{name}: {on}, not {off}" for name, (on, off) in found.of.levels.items()),
        "an interaction is half of what one toggle's effect gains from the other",
    ]


def unit_note(unit: str, level: str = "95%") -> str:
    if unit == comparison.RETURNS:
        return f"in returns, with Welch's {level} intervals"
    return (
        "in the task's unit, (score - random) / (reference - random), which was fixed "
        f"before the first run; with Welch's {level} intervals"
    )


def level(found: Comparison) -> str:
    """Of its intervals: '95%', at a look '99.7%'."""
    alphas = [2 * each.alpha for each in found.effects]
    return f"{100 * (1 - max(alphas)):.5g}%"


# ---------------------------------------------------------------- over all tasks


class Aggregate(NamedTuple):
    """A variant over its tasks, with stratified bootstrap intervals."""

    variant: str
    mean: Estimate
    median: Estimate
    iqm: Estimate


class Aggregated(NamedTuple):
    """All variants; of one task without a reference in returns, else in the unit."""

    found: tuple[Aggregate, ...] = ()
    unit: str = ""
    tasks: int = 0
    notes: tuple[str, ...] = ()
    reason: str = ""  # why there is none


def aggregates(arms: Arms, names: Iterable[str]) -> Aggregated:
    """Mean, median and IQM of each, over the tasks that all of them have."""
    names = tuple(names)
    try:
        known = comparison.in_unit(arms, names)
    except ConfigError as error:
        return Aggregated(reason=str(error))
    found = []
    for name in names:
        runs = min(each[name].size for each in known.scores)
        scores = np.stack([each[name][:runs] for each in known.scores], 1)
        found.append(
            Aggregate(
                name,
                *(
                    stats.interval(statistic, scores, seed=SEED)
                    for statistic in (stats.mean, stats.median, stats.iqm)
                ),
            )
        )
    return Aggregated(tuple(found), known.unit, len(known.scores), known.notes)


# ---------------------------------------------------------------- returns


class Returns(NamedTuple):
    """A variant on a task: its metrics, in returns, and how often it failed."""

    task: str
    variant: str
    env_steps: int
    runs: int
    rate: comparison.Rate
    unfinished: int
    # by metric and rule: the mean of the runs, with Student's interval
    means: dict[tuple[str, str], verdict.Effect]


def returns(arms: Arms) -> list[Returns]:
    """Of each arm that has finished runs."""
    return [
        Returns(
            task,
            variant,
            arm.env_steps,
            len(arm.seeds),
            arm.rate,
            arm.unfinished,
            {
                (metric, rule): comparison.mean_of(arm, metric, rule)
                for metric in comparison.METRICS
                for rule in comparison.RULES
            },
        )
        for (task, variant), arm in arms.items()
        if arm.seeds
    ]


# ---------------------------------------------------------------- others' curves


class Besides(NamedTuple):
    """Curves of others under the same statistics."""

    returns: tuple[Returns, ...] = ()
    # task, variant, method, and the effect of the first less the second, in returns
    differences: tuple[tuple[str, str, str, verdict.Effect], ...] = ()


def besides(arms: Arms, others: "pd.DataFrame | None") -> Besides:
    """Others' scores, and each variant's less theirs, by Welch's t as all effects are.

    Args:
        others: in the columns of `curve_files.COLUMNS`.
    """
    if others is None:
        return Besides()
    rows = curve_files.as_rows(others)
    units = {task: arm.unit for (task, _), arm in arms.items()}
    theirs = score.arms(rows, units)
    found = []
    for (task, method), other in theirs.items():
        for (where, variant), arm in arms.items():
            ours, them = (x.scores()[~np.isnan(x.scores())] for x in (arm, other))
            if where == task and ours.size and them.size:
                g = verdict.hedges(ours, them)
                effect = verdict.effect([(1.0, ours), (-1.0, them)], g)
                found.append((task, variant, method, effect))
    return Besides(tuple(returns(theirs)), tuple(found))
