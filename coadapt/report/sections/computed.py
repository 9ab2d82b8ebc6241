"""All numbers of a report, of a store's rows."""

import dataclasses
from collections.abc import Iterable, Sequence
from typing import NamedTuple

from coadapt.analysis.comparison import Arms
from coadapt.analysis.toggles import factorials, settings
from coadapt.report import compare
from coadapt.report.compare import Aggregated, Answer, Besides, Contrasted, Returns
from coadapt.report.run_data import Findings
from coadapt.studies import tuning


class Report(NamedTuple):
    """What is computed from a store's findings."""

    of: Findings
    answers: tuple[Answer, ...]
    factorials: tuple[Contrasted, ...]
    aggregates: dict[str, Aggregated]  # of each of `stats.versions`
    returns: tuple[Returns, ...]
    # of each answer: (metric, rule, margin) -> word
    multiverse: tuple[dict[tuple[str, str, float], str], ...]
    besides: Besides = Besides()


def compute(found: Findings, margin: float | None = None) -> Report:
    """All numbers of the report; the same rows give the same.

    Args:
        margin: what is no effect of note; None: the protocol's, else 0.1 of the unit.
    """
    there = {variant for _, variant in found.scores}
    entries = compare.entries_of(found.header)
    names = [name for name in found.variants if name in there]
    rows = found.beside.experiment.readings if found.beside else ()
    tuned = {c.variant + tuning.TUNED for c in tuning.choices(found.header)}
    own = {name: entries[name] for name in names if name not in {*rows, *tuned}}
    every, versions = _everywhere(found, names), found.arms.items()
    answers = [
        (_named(answer, version, found), compare.multiverse(arms, answer))
        for version, arms in versions
        for answer in compare.of(found.header, arms, margin)
    ]
    return Report(
        found,
        tuple(answer for answer, _ in answers),
        tuple(
            compare.contrast(
                arms,
                each._replace(algorithm=of_version(each.algorithm, version, found)),
            )
            for version, arms in versions
            for each in factorials(settings(own))
        ),
        {
            version: compare.aggregates(arms, _there(arms, every))
            for version, arms in versions
        },
        _ordered(found, [x for _, arms in versions for x in compare.returns(arms)]),
        tuple(words for _, words in answers),
        compare.besides(
            {key: arm for _, arms in versions for key, arm in arms.items()},
            found.others,
        ),
    )


def _named(answer: Answer, version: str, found: Findings) -> Answer:
    """With the version of a simulator that it is of, where there are several."""
    toggle = of_version(answer.question.toggle, version, found)
    own = answer.found
    return answer._replace(
        question=answer.question._replace(toggle=toggle),
        found=None if own is None else dataclasses.replace(own, toggle=toggle),
    )


def _ordered(found: Findings, returns: Sequence[Returns]) -> tuple[Returns, ...]:
    """Task by task, as they are to be shown."""
    place = {name: i for i, name in enumerate((*found.tasks, *found.variants))}
    return tuple(sorted(returns, key=lambda x: (place[x.task], place[x.variant])))


def of_version(text: str, version: str, found: Findings) -> str:
    """The text, and of which version of a simulator it is, where there are several."""
    if len(found.versions) == 1:
        return text
    return f"{text} ({version or 'all other tasks'})".lstrip()


def _there(arms: Arms, names: Iterable[str]) -> list[str]:
    """Of these variants, those that have runs."""
    found = {name for _, name in arms}
    return [name for name in names if name in found]


def _everywhere(found: Findings, names: Sequence[str]) -> list[str]:
    """Variants that are asked for on all tasks; all, where there are none."""
    every = found.header.variants.values()
    return [n for n in names if all(n in named for named in every)] or list(names)
