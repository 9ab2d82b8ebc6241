"""The verdict by both rules for failed runs, and how often it would be wrong."""

import dataclasses
from collections.abc import Mapping

from coadapt.analysis import simulation, verdict
from coadapt.analysis.alpha_spending import Look
from coadapt.analysis.comparison.pairs import Pair, listed
from coadapt.analysis.comparison.question import Asked
from coadapt.analysis.score import Arm
from coadapt.analysis.verdict import Verdict

CLEAN, RARE = 59, 0.05  # an arm with 59 runs and no failure fails in less than 5%


def verdict_by(
    asked: Asked, unit: str, margin: float | None, rule: str, reason: str
) -> Verdict:
    """By one of the rules for failed runs."""
    if margin is not None:
        verdict.require_margin(margin)
    if reason or margin is None:
        few = verdict.too_few(asked.fewest)
        return Verdict(verdict.NONE, "; ".join(x for x in (few, reason) if x))
    unknown = [t for t in asked.tasks if asked.unit(t).random is None]
    if rule == "random" and asked.failed and unknown:
        where = listed(unknown)
        reason = f"runs failed, and a random policy's return on {where} is not known"
        return Verdict(verdict.NONE, reason)
    found = verdict.judge(asked.effects(unit, rule), margin)
    if not found.decided:
        return found
    wrong = _wrong(asked, unit, found.word, margin)
    return dataclasses.replace(found, wrong_with_failures=wrong)


def agreed(first: Verdict, second: Verdict) -> Verdict:
    """The first, unless the two rules for failed runs disagree."""
    if first.word == second.word or verdict.NONE in (first.word, second.word):
        return first
    detail = (
        f"{first.word} if a failed run counts as a random policy, {second.word} if it "
        "counts as its last score before"
    )
    return Verdict(verdict.HANGS, detail)


def _wrong(asked: Asked, unit: str, word: str, margin: float) -> float | None:
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
    asked: Asked, pair: Pair, unit: str, failing: Mapping[tuple[str, bool], float]
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


def _source(arm: Arm, asked: Asked, unit: str, failing: float) -> simulation.Source:
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
