"""What a report says of a study's protocol, and of what was done otherwise since."""

from collections.abc import Mapping
from typing import Any

from coadapt import manifest, until
from coadapt.store import Header

_LONGEST = 60  # letters of a value


def facts(header: Header) -> list[tuple[str, str]]:
    """Name and sentence of each; none without a protocol."""
    found = [("protocol", each) for each in _rules(header.protocol)]
    if found:
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


def _rules(protocol: Mapping[str, Any]) -> list[str]:
    plan = until.plan(protocol)
    if plan is None:
        return []
    sizes, number = ", ".join(map(str, plan.looks)), len(plan.questions)
    return [
        f"seeds until decided, looks at {sizes} seeds an arm ({until.SPENDING}), alpha "
        f"{plan.alpha:g} over {number} question{'s' * (number > 1)}, by Holm at the "
        f"end; margin {plan.margin:g}."
    ]


def _changed(what: Mapping[str, Any]) -> str:
    """'margin: 0.1, then 0.2'."""
    return "; ".join(
        f"{k}: {_cut(was)}, then {_cut(now)}" for k, (was, now) in what.items()
    )


def _cut(value: object) -> str:
    text = "none" if value is None else str(value)
    return text if len(text) <= _LONGEST else f"{text[:_LONGEST]}..."
