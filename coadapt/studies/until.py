"""Seeds until decided: a study that grows, and ends where its questions are answered.

All arms run the seeds of the first look. At each look every open question is judged as
a report judges it, at the level that the look may spend: `alpha_spending`; the arms of
those that stay open run on to the next. Which runs are next is a function of the rows
that are there, so that a study which is killed goes on as if it had not been. All that
decides is in the protocol, in the manifest, before the first run.
"""

import dataclasses
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from coadapt import schema, sweep
from coadapt.analysis import alpha_spending, comparison, verdict
from coadapt.analysis.comparison import Arms, Comparison, Pair
from coadapt.analysis.score import Arm
from coadapt.analysis.verdict import Effect, Verdict
from coadapt.schema import ConfigError
from coadapt.sweep import Sweep
from coadapt.tasks import references

RULE = "until decided"
FIRST, MOST = 16, 64  # seeds of the first look and of the last, if not said otherwise
SPENDING = "Lan-DeMets, O'Brien-Fleming"
ABOVE, BELOW = "above 0", "below 0"  # of one algorithm: off zero, not off the margin


class Question(NamedTuple):
    """A toggle on one algorithm or two, on the tasks that it is averaged over."""

    toggle: str
    pairs: tuple[Pair, ...]
    tasks: tuple[str, ...]

    @property
    def variants(self) -> set[str]:
        return {n for pair in self.pairs for n in (*pair.on, *pair.off)}


class Settled(NamedTuple):
    """A question at the look that decided it, or at the last that there was."""

    question: Question
    found: Comparison | None  # None: not all of its arms have come to the first look
    seeds: int  # of each arm
    decided: bool
    left: bool  # whether there is another look
    # at each look so far; () where they could decide nothing
    effects: tuple[tuple[Effect, ...], ...] = ()


class Plan(NamedTuple):
    """What of a protocol decides."""

    questions: tuple[Question, ...]
    seeds: tuple[int, ...]  # of all looks, in order
    looks: tuple[int, ...]  # how many of them
    margin: float
    alpha: float  # two-sided, over all questions
    metric: str


# ---------------------------------------------------------------- the protocol


def protocol(
    asked: Sweep,
    questions: "Questions",
    *,
    margin: float | None = None,
    most: int = MOST,
    alpha: float = 2 * verdict.ALPHA,
    metric: str = "final",
) -> dict[str, Any]:
    """What is fixed before the first run, as JSON.

    Args:
        asked: the sweep, with the seeds of the first look.
        questions: each toggle, with its pairs of variants of one algorithm or two.
        most: seeds of each arm at the last look.
        alpha: two-sided error of a part of a verdict, shared by all questions.
    Raises: ConfigError.
    """
    first, named = len(asked.seeds), _pairs(questions)
    lacking = _refuse(asked, named, margin)
    tasks = list(asked.variants)
    apart = [[task] for task in tasks] if lacking else [tasks]
    return {
        "rule": RULE,
        "looks": list(alpha_spending.sizes(first, most)),
        "seeds": [*asked.seeds, *_more(asked.seeds, most - first)],
        "alpha": alpha,
        "spending": SPENDING,
        "margin": comparison.MARGIN if margin is None else margin,
        "metric": metric,
        "questions": [
            {"toggle": toggle, "tasks": where, "pairs": _written(pairs)}
            for toggle, pairs in named
            for where in apart
        ],
        **fixed(asked),
    }


Questions = Mapping[str, Sequence[Pair]] | Sequence[tuple[str, Sequence[Pair]]]


def _pairs(questions: Questions) -> list[tuple[str, Sequence[Pair]]]:
    return list(questions.items() if isinstance(questions, Mapping) else questions)


def _refuse(asked: Sweep, named: Sequence[object], margin: float | None) -> list[str]:
    """Tasks that have no reference.

    Raises:
        ConfigError: if nothing can be decided.
    """
    if len(asked.seeds) < verdict.LEAST:
        raise ConfigError(
            f"seeds are {len(asked.seeds)}: the first look takes {verdict.LEAST} or "
            "more, as no verdict is given below."
        )
    if not named:
        raise ConfigError(
            "no two variants differ in a toggle, so that there is nothing to decide: "
            "give a --grid, or an experiment that compares."
        )
    units = references.asked(asked.variants, asked.references)
    lacking = [task for task, unit in units.items() if unit.reference is None]
    if lacking and margin is None:
        raise ConfigError(
            f"{lacking[0]} has no reference, so that its margin is in returns: give "
            "--margin."
        )
    return lacking


def fixed(asked: Sweep) -> dict[str, Any]:
    """What any protocol fixes of a sweep: configs, lengths, and references."""
    units = references.asked(asked.variants, asked.references)
    return {
        "reference": {task: unit.reference for task, unit in units.items()},
        "evaluation": [asked.eval_every, asked.eval_episodes],
        "variants": {
            task: {
                v.name: [schema.fingerprint(v.config), asked.steps_of(task, v)]
                for v in variants
            }
            for task, variants in asked.variants.items()
        },
    }


def _more(seeds: Sequence[int], number: int) -> range:
    """So many that follow."""
    begin = max(seeds) + 1
    return range(begin, begin + number)


def _written(pairs: Sequence[Pair]) -> list[list[Any]]:
    return [[pair.label, list(pair.on), list(pair.off)] for pair in pairs]


def plan(protocol: Mapping[str, Any]) -> Plan | None:
    """That of a store's protocol; None where it has another, or none."""
    if protocol.get("rule") != RULE:
        return None
    questions = tuple(
        Question(
            each["toggle"],
            tuple(Pair(name, tuple(on), tuple(off)) for name, on, off in each["pairs"]),
            tuple(each["tasks"]),
        )
        for each in protocol["questions"]
    )
    own = (protocol[name] for name in ("margin", "alpha", "metric"))
    return Plan(questions, tuple(protocol["seeds"]), tuple(protocol["looks"]), *own)  # type: ignore[call-arg]


# ---------------------------------------------------------------- what is decided


def settle(arms: Arms, plan: Plan, question: Question, share: int) -> Settled:
    """The first look that decides a question, at a `share`-th of the plan's alpha."""
    alpha = plan.alpha / 2 / share
    levels = alpha_spending.looks(plan.looks, alpha)
    found, seeds, left = None, 0, True
    seen = list[tuple[Effect, ...]]()
    for i, number in enumerate(plan.looks):
        there = _until(arms, question, plan.seeds[:number])
        if there is None:
            break
        on = {pair.label: (pair.on, pair.off) for pair in question.pairs}
        found = comparison.compare(
            there,
            question.toggle,
            on,
            margin=plan.margin,
            metric=plan.metric,
            tasks=question.tasks,
            looks=levels[: i + 1],
        )
        said = _off_zero(found.verdict, found.effects)
        if said.wrong is not None:  # by this look or one before
            said = dataclasses.replace(said, wrong=alpha)
        found = dataclasses.replace(found, verdict=said)
        open_ = said.word in (verdict.HANGS, verdict.NONE)  # whatever effects say
        seen.append(() if open_ else found.effects)
        seeds, left = number, number < plan.looks[-1]
        if decides(found):
            break
    decided = found is not None and decides(found)
    return Settled(question, found, seeds, decided, left, tuple(seen))


def decides(found: Comparison) -> bool:
    """Whether a question with this answer is not open any more."""
    return found.verdict.decided or found.verdict.word in (ABOVE, BELOW)


def judge(effects: Sequence[Effect], margin: float) -> Verdict:
    """`verdict.judge`; of one algorithm also whether its effect is off zero."""
    return _off_zero(verdict.judge(effects, margin), effects)


def _off_zero(said: Verdict, effects: Sequence[Effect]) -> Verdict:
    """Of one algorithm that is off zero, but not off the margin or within it."""
    if said.word != verdict.UNDECIDED or len(effects) != 1 or not effects[0].sign:
        return said
    (effect,) = effects
    word = ABOVE if effect.sign > 0 else BELOW
    p = _p(word, effects, 0.0)
    return dataclasses.replace(said, word=word, p=p, wrong=effect.alpha)


def _p(word: str, effects: Sequence[Effect], margin: float) -> float:
    """As `verdict.p_of`, of these words too."""
    if word in (ABOVE, BELOW):
        return effects[0].p("up" if word == ABOVE else "down", 0.0)
    return verdict.p_of(word, effects, margin)


def _until(arms: Arms, question: Question, seeds: Sequence[int]) -> Arms | None:
    """The question's arms with these seeds alone; None where not all are there."""
    found = {}
    for key in ((t, n) for t in question.tasks for n in question.variants):
        arm = arms.get(key)
        if arm is None or not set(seeds) <= set(arm.seeds):
            return None
        found[key] = limited(arm, seeds)
    return found


def limited(arm: Arm, seeds: Sequence[int]) -> Arm:
    """The arm with these of its seeds alone."""
    at = [arm.seeds.index(seed) for seed in seeds]
    return arm._replace(
        seeds=tuple(seeds),
        before={name: np.asarray(x)[at] for name, x in arm.before.items()},
        failed=np.asarray(arm.failed)[at],
        unfinished=0,
    )


def decide(arms: Arms, plan: Plan) -> list[Settled]:
    """Each question, at its share of alpha; at the end by Holm.

    While a question is open each has alpha / m. Once none can go on, what was decided
    leaves its share to the rest. Source: Holm 1979; Maurer and Bretz 2013.
    """
    return [_with_p(each, plan) for each in _decided(arms, plan)]


def _decided(arms: Arms, plan: Plan) -> list[Settled]:
    share = len(plan.questions)
    found = [settle(arms, plan, each, share) for each in plan.questions]
    if any(not each.decided and each.left for each in found):
        return found
    while any(not each.decided for each in found):
        rest = sum(not each.decided for each in found)
        if rest == share:
            break
        share = rest
        found = [
            each if each.decided else settle(arms, plan, each.question, share)
            for each in found
        ]
    return found


def _with_p(each: Settled, plan: Plan) -> Settled:
    """What was decided, with the p of all looks until then: that of the last alone
    says nothing of the chances before."""
    found = each.found
    if found is None or not each.decided or len(plan.looks) == 1:
        return each
    word, looks = found.verdict.word, each.effects
    ps = [_p(word, effects, plan.margin) if effects else 1.0 for effects in looks]
    p = alpha_spending.sequential_p(ps, plan.looks)
    said = dataclasses.replace(found.verdict, p=p)
    return each._replace(found=dataclasses.replace(found, verdict=said))


# ---------------------------------------------------------------- what runs next


def parts(asked: Sweep, workdir: Path) -> Iterator[Sweep]:
    """The sweeps of a study, one after the other: each is due once the last has run.

    `asked` is the first look's, with its protocol.

    Raises: ConfigError.
    """
    planned = plan(asked.protocol)
    assert planned is not None  # of the caller
    open_ = None
    for number in planned.looks:
        variants = _of_open(asked, open_)
        if not any(variants.values()):
            return
        yield dataclasses.replace(
            asked, seeds=planned.seeds[:number], variants=variants
        )
        arms, share = comparison.arms_of(workdir), len(planned.questions)
        open_ = [
            each.question
            for each in (settle(arms, planned, q, share) for q in planned.questions)
            if not each.decided or each.seeds > number
        ]


def _of_open(
    asked: Sweep, questions: Sequence[Question] | None
) -> dict[str, tuple[sweep.Variant, ...]]:
    """Variants of open questions, by task; all, before the first look."""
    if questions is None:
        return {task: tuple(found) for task, found in asked.variants.items()}
    found = {
        task: tuple(
            v
            for v in variants
            if any(task in q.tasks and v.name in q.variants for q in questions)
        )
        for task, variants in asked.variants.items()
    }
    return {task: variants for task, variants in found.items() if variants}
