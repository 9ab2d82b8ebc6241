"""What a report says of a study's protocol, and of what was done otherwise since."""

from collections.abc import Mapping, Sequence
from typing import Any

from coadapt.report import compare
from coadapt.report.compare import Answer
from coadapt.runs import manifest
from coadapt.runs.store import Header
from coadapt.studies import tuning, until

_LONGEST = 60  # letters of a value


def facts(header: Header) -> list[tuple[str, str]]:
    """Name and sentence of each; none without a protocol."""
    found = planned(header.protocol)
    found += [("protocol", each) for each in _rules(header.protocol)]
    found += [("tuning", each) for each in _tuning(header)]
    if header.protocol:
        digest = manifest.digest(header.protocol)
        found.append(("protocol", f"fixed before the first run, SHA-256 {digest}."))
    return found + [
        (
            "deviation",
            f"{each['at']}, {_changed(each['changed'])}; verdicts are of the protocol "
            "as it was first.",
        )
        for each in header.deviations
    ]


def planned(protocol: Mapping[str, Any]) -> list[tuple[str, str]]:
    """What an experiment says before it is run: its question, its rule and so on."""
    words = protocol.get("plan", {})
    return [(f"plan's {n.replace('_', ' ')}", text) for n, text in words.items()]


def _rules(protocol: Mapping[str, Any]) -> list[str]:
    plan = until.plan(protocol)
    if plan is None:
        return []
    sizes, number = ", ".join(map(str, plan.looks)), len(plan.questions)
    return [
        f"seeds until decided, looks at {sizes} seeds per arm ({until.SPENDING}), "
        f"alpha {plan.alpha:g} over {number} question{'s' * (number > 1)}, by Holm at "
        f"the end; margin {plan.margin:g}."
    ]


def _tuning(header: Header) -> list[str]:
    """How settings were chosen, at what cost, and what that says of the verdicts."""
    plan = tuning.of(header.protocol)
    if plan is None:
        return []
    cells = header.cells()
    spent, reported = tuning.cost(header), sum(map(header.steps_of, cells))
    by = "the best mean" if plan.rule == tuning.BEST else "successive halving"
    found = [
        f"each variant has the setting with {by} of {plan.budget} scrambled Sobol "
        f"points, {plan.seeds} seeds each, which are not those reported; it took "
        f"{spent:,} env steps, {spent / reported:.2g} times the reported runs'.",
        "verdicts rest on the chosen settings: their intervals are of fresh seeds, and "
        "conditional on what was chosen; tuning scores are no results.",
    ]
    if plan.steps is not None and plan.steps < header.steps:
        found.append(
            f"settings were chosen after {plan.steps:,} env steps of {header.steps:,}, "
            "which favours fast learners."
        )
    return found + [
        f"{each.variant} on {each.task}: {path} {each.values[path]:g} is the edge of "
        "what was tried; a wider range may be better."
        for each in tuning.choices(header)
        for path in each.edges
    ]


def moved(answers: Sequence[Answer]) -> list[str]:
    """Of which questions the verdict is another one at the presets."""
    by = {a.toggle: a for a in answers if a.found}
    pairs = {a.toggle: by.get(_at_presets(a)) for a in by.values()}
    return [
        f"tuning changes {name}: {compare.word(by[name])}, and at the presets "
        f"{compare.word(other)}"
        for name, other in pairs.items()
        if other is not None and compare.word(other) != compare.word(by[name])
    ]


def _at_presets(answer: Answer) -> str:
    toggle, tuned, rest = answer.toggle.partition(compare.TUNED)
    return f"{toggle}{compare.AT_PRESETS}{rest}" if tuned else ""


def _changed(what: Mapping[str, Any]) -> str:
    """'margin: 0.1, then 0.2'."""
    return "; ".join(
        f"{k}: {_cut(was)}, then {_cut(now)}" for k, (was, now) in what.items()
    )


def _cut(value: object) -> str:
    text = "none" if value is None else str(value)
    return text if len(text) <= _LONGEST else f"{text[:_LONGEST]}..."
