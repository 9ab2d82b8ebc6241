"""Flags of a study's power, and what they say of a sweep before it is run."""

import math

from absl import flags

from coadapt import sweep
from coadapt.analysis import verdict
from coadapt.analysis.comparison import MARGIN
from coadapt.cli.values import NEGLIGIBLE, Values, get, listed, positive
from coadapt.report import compare
from coadapt.schema import ConfigError
from coadapt.studies import power
from coadapt.sweep import Sweep
from coadapt.tasks import references


def define(values: Values) -> None:
    """Flags that `power` and `sweep` have in common."""
    for name, about in (
        (
            "std",
            "std of scores over seeds, in the task's unit: one number, or one for A "
            "and one for B: 0.35,0.19",
        ),
        ("pilot", "workdir of a sweep, from whose runs the stds are estimated"),
        ("margin", NEGLIGIBLE.format(f"{MARGIN:g} of the unit")),
        ("max_seeds", "seeds per arm at the last look of --until=decided"),
        ("alpha", "two-sided error of each part of a verdict, over all looks (0.05)"),
    ):
        flags.DEFINE_string(name, None, about, flag_values=values)


def alpha(values: Values) -> float:
    """--alpha.

    Raises:
        ConfigError: unless it is between 0 and 0.5.
    """
    found = positive(values, "alpha") or 2 * verdict.ALPHA
    if found < 0.5:
        return found
    raise ConfigError(
        f"--alpha is {get(values, 'alpha')!r}: it must be above 0 and below 0.5."
    )


def stds(values: Values) -> list[float]:
    """Of --std; none where it is not given.

    Raises: ConfigError.
    """
    text = get(values, "std")
    found = []
    for part in listed(text):
        try:
            found.append(float(part))
        except ValueError:
            found.append(0.0)
    if text is not None and not (
        1 <= len(found) <= 2 and all(0 < x < math.inf for x in found)
    ):
        raise ConfigError(
            f"--std is {text!r}: it must be a positive number, or two by comma, of A "
            "and of B."
        )
    return found


def paragraph(values: Values, asked: Sweep) -> list[str]:
    """What a sweep can decide, for its plan: a line each; none without a question.

    Raises: ConfigError.
    """
    questions = compare.questions(sweep.header(asked))
    if not questions:
        return []
    two = sum(len(each.pairs) > 1 for each in questions)
    kinds = [(two, "of two algorithms"), (len(questions) - two, "of one algorithm")]
    counted = " and ".join(f"{n} {what}" for n, what in kinds if n)
    looks = asked.protocol.get("looks", [])
    plan = power.plan(
        len(asked.seeds),
        margin=positive(values, "margin") or MARGIN,
        most=looks[-1] if looks else None,
        alpha=alpha(values),
        questions=len(asked.protocol.get("questions", [0])),
        tasks=1 if _returns(asked) else len(asked.variants),
    )
    return [f"questions: {counted}", *_power(values, plan, two > 0, _returns(asked))]


def _returns(asked: Sweep) -> bool:
    """Whether returns have no unit, so that each task is compared by itself."""
    units = references.asked(asked.variants, asked.references).values()
    return any(unit.reference is None for unit in units)


def _power(values: Values, plan: power.Plan, two: bool, returns: bool) -> list[str]:
    given, pilot = stds(values), get(values, "pilot")
    known = bool(given or pilot)
    if returns and not (known and get(values, "margin")):
        return ["power: needs --margin and --std, or --pilot, in returns: no reference"]
    if pilot:
        given = [each.std for each in power.spreads(pilot)[0]][:2]
    each = [given] if known else [[std] for std in power.USUAL]
    sets = [[pair[0], pair[-1]][: 1 + two] for pair in each]
    gains, nothing = ((2.0, 0.0), (0.0, 0.0)) if two else ((2.0,), (0.0,))
    found = [power.chances(pair, plan) for pair in sets]
    who = ", ".join("/".join(f"{x:.3g}" for x in dict.fromkeys(p)) for p in sets)
    often = [", ".join(f"{by[t].found:.2f}" for by in found) for t in (gains, nothing)]
    take = ", ".join(compare.count(by[gains].needed) for by in found)
    alone = "A alone gains" if two else "a gain of"
    return [
        f"power at std {who} with {plan.seeds} seed{'s' * (plan.seeds > 1)}: {alone} "
        f"{2 * plan.margin:g} is "
        f"found in {often[0]}; no effect in {often[1]}",
        f"seeds for a power of 0.8: {take}"
        + ("" if known else " (--std or --pilot has yours)"),
    ]
