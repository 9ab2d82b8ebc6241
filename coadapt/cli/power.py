"""Print what a study can decide, and with which probability, before it is run.

Examples:
  coadapt power --std=0.2 --seeds=16
  coadapt power --std=0.35,0.19 --seeds=16 --max_seeds=64
  coadapt power --pilot=runs/pilot --seeds=32 --margin=0.2 --questions=3

A std is of runs that differ in their seed alone, in the task's unit, of A and of B; a
pilot's is read from its runs, and beside it stands what the true one is below in four
of five pilots. With --max_seeds arms are judged at doubling numbers of seeds from
--seeds on, as by coadapt sweep --until=decided. docs/tuning.md has more.
"""

import itertools
import sys
from collections.abc import Sequence

from absl import flags

from coadapt import power, references, sweep, taxonomy, verdict
from coadapt.cli import command
from coadapt.cli.values import Values, count, get, listed, positive
from coadapt.comparison import MARGIN, REFERENCE
from coadapt.report import verdicts
from coadapt.schema import ConfigError
from coadapt.stats import number
from coadapt.sweep import Sweep


def define(values: Values) -> None:
    """Flags that `power` and `sweep` have in common."""
    for name, about in (
        (
            "std",
            "of runs from seed to seed, in the task's unit: one, or A's and B's: "
            "0.35,0.19",
        ),
        ("pilot", "folder of results from which stds are taken"),
        (
            "margin",
            "what is no effect of note: in the reference's unit (0.1), or in returns "
            "where a task has no reference",
        ),
        ("max_seeds", "seeds of an arm at the last look, by which all is decided"),
        ("alpha", "two-sided error of each part of a verdict, over all looks (0.05)"),
    ):
        flags.DEFINE_string(name, None, about, flag_values=values)


def _define(values: Values) -> None:
    flags.DEFINE_string("seeds", "10", "of each arm (10)", flag_values=values)
    define(values)
    for name, about in (
        ("tasks", "that an effect is averaged over (1)"),
        ("questions", "of the study, which share alpha (1)"),
        ("failing", "share of the runs of each arm that fail (0)"),
        ("format", "text, markdown or csv (text)"),
    ):
        flags.DEFINE_string(name, None, about, flag_values=values)


def alpha(values: Values) -> float:
    """--alpha. Raises: ConfigError, unless it is between 0 and 0.5."""
    found = positive(values, "alpha") or 2 * verdict.ALPHA
    if found < 0.5:
        return found
    raise ConfigError(
        f"--alpha is {get(values, 'alpha')!r}: it must be above 0 and below 0.5."
    )


def stds(values: Values) -> list[float]:
    """Of --std; none where it is not given. Raises: ConfigError."""
    text = get(values, "std")
    found = []
    for part in listed(text):
        try:
            found.append(float(part))
        except ValueError:
            found.append(0.0)
    if text is not None and not (1 <= len(found) <= 2 and all(x > 0 for x in found)):
        raise ConfigError(
            f"--std is {text!r}: it must be a positive number, or two by comma, of A "
            "and of B."
        )
    return found


def _plan(values: Values) -> power.Plan:
    failing = get(values, "failing")
    share = 0.0 if failing in (None, "0") else positive(values, "failing") or 0
    if share >= 1:
        raise ConfigError(f"--failing is {failing!r}: it must be below 1.")
    most = get(values, "max_seeds")
    return power.plan(
        count(values, "seeds", least=2, most=verdict.MOST),
        margin=positive(values, "margin") or MARGIN,
        most=most and count(values, "max_seeds", most=verdict.MOST),
        alpha=alpha(values),
        questions=count(values, "questions", 1, most=1000),
        tasks=count(values, "tasks", 1, most=1000),
        failing=share,
    )


def _run(values: Values) -> None:
    given, pilot = stds(values), get(values, "pilot")
    if bool(given) == bool(pilot):
        raise ConfigError(
            "give --std=0.2, or --pilot=runs/x with runs to take it from, one of the "
            "two."
        )
    plan, notes = _plan(values), []
    if given:
        named = [(("A", given[0]), ("B", given[-1]))]
    else:
        named, notes = _from_pilot(values, pilot)
    rows = [row for pair in named for row in _rows(pair, plan)]
    style = get(values, "format") or "text"
    print(taxonomy.render(rows, style))
    if style != "csv":
        mark = "* " if style == "markdown" else ""
        print("", *(f"{mark}{note}" for note in [*notes, *_notes(plan)]), sep="\n")


Named = tuple[tuple[str, float], ...]  # algorithms with their stds


def _from_pilot(values: Values, pilot: str) -> tuple[list[Named], list[str]]:
    """Each two algorithms of it at the stds that are seen, and at their limits."""
    found, unit = power.spreads(pilot)
    if unit != REFERENCE and get(values, "margin") is None:
        raise ConfigError(
            "--margin is missing: the pilot's task has no reference, so that it is in "
            "returns."
        )
    notes = [
        f"{each.label}: std {each.std:.3g} of {each.freedom} degrees of freedom, below "
        f"{each.upper:.3g} in four of five pilots; {each.failing:.0%} of runs failed"
        for each in found
    ]
    pairs = list(itertools.combinations(found, 2)) or [(each,) for each in found]
    named = [
        tuple((each.label, getattr(each, kind)) for each in pair)
        for pair in pairs
        for kind in ("std", "upper")
    ]
    return named, notes


def _rows(named: Named, plan: power.Plan) -> list[dict[str, str]]:
    labels, sizes = zip(*named, strict=True)
    return [
        {
            "std": ", ".join(f"{x:.3g}" for x in dict.fromkeys(sizes)),
            "effect on A": _signed(each.effects[0]),
            "effect on B": _signed(each.effects[1]) if len(each.effects) > 1 else "-",
            "true verdict": verdict.named(each.word, labels),
            "found": f"{each.found:.2f}",
            "seeds": f"{each.seeds:.0f}",
            "seeds for 0.8": "-" if each.needed is None else f"{each.needed:,}",
        }
        for each in power.chances(sizes, plan).values()
    ]


# ---------------------------------------------------------------- of a sweep


def paragraph(values: Values, asked: Sweep) -> list[str]:
    """What a sweep can decide, for its plan: a line each; none without a question.

    Raises: ConfigError.
    """
    questions = verdicts.questions(sweep.header(asked))
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
    take = ", ".join(verdicts.count(by[gains].needed) for by in found)
    alone = "A alone gains" if two else "a gain of"
    return [
        f"power at std {who} with {plan.seeds} seed{'s' * (plan.seeds > 1)}: {alone} "
        f"{2 * plan.margin:g} is "
        f"found in {often[0]}; no effect in {often[1]}",
        f"seeds for a power of 0.8: {take}"
        + ("" if known else " (--std or --pilot has yours)"),
    ]


def _signed(value: float) -> str:
    return f"{value:+.3g}" if value else "0"


def _notes(plan: power.Plan) -> list[str]:
    sizes = ", ".join(str(look.seeds) for look in plan.looks)
    notes = [
        f"margin {number(plan.margin)}; {plan.tasks} task{'s' * (plan.tasks > 1)}; "
        f"seeds of each arm: {sizes}",
        "found: in how many of 2,000 simulated studies the true verdict is reached "
        "(to about 0.02)",
        "seeds: that an arm takes, the mean over studies; seeds for 0.8: of a study "
        "without looks, for a power of 0.8",
    ]
    if plan.seeds < verdict.LEAST:
        notes.append(f"nothing is found with fewer than {verdict.LEAST} seeds an arm")
    return notes


def main(argv: Sequence[str] | None = None) -> int:
    """Returns the exit status; `argv` without the program's name."""
    return command.execute(__doc__ or "", _define, _run, argv)


if __name__ == "__main__":
    sys.exit(main())
