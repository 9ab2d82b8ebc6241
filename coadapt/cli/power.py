"""Print what a study can decide, and with which probability, before it is run.

Examples:
  coadapt power --std=0.2 --seeds=16
  coadapt power --std=0.35,0.19 --seeds=16 --max_seeds=64
  coadapt power --pilot=runs/pilot --seeds=32 --margin=0.2 --questions=3

A std is over runs of A, and of B, that differ only in their seed, in the task's unit. A
pilot's stds are estimated from its runs, each also at an upper limit, below which the
true std is in four of five pilots. With --max_seeds, arms are tested at doubling
numbers of seeds from --seeds on, as by coadapt sweep --until=decided: docs/tuning.md.
"""

import itertools
import math
import sys
from collections.abc import Sequence

from absl import flags

from coadapt.analysis import verdict
from coadapt.analysis.comparison import MARGIN, REFERENCE
from coadapt.cli import command, output, power_flags
from coadapt.cli.values import Values, count, get, positive
from coadapt.report import effect_tables, power_tables
from coadapt.report.power_tables import Named
from coadapt.schema import ConfigError
from coadapt.studies import power


def _define(values: Values) -> None:
    flags.DEFINE_string("seeds", "10", "seeds per arm (10)", flag_values=values)
    power_flags.define(values)
    for name, about in (
        ("tasks", "number of tasks that an effect is averaged over (1)"),
        ("questions", "number of questions that share alpha (1)"),
        ("failing", "share of the runs of each arm that fail (0)"),
    ):
        flags.DEFINE_string(name, None, about, flag_values=values)
    output.define_style(values)


def _plan(values: Values) -> power.Plan:
    most = get(values, "max_seeds")
    return power.plan(
        count(values, "seeds", least=2, most=verdict.MOST),
        margin=positive(values, "margin") or MARGIN,
        most=most and count(values, "max_seeds", most=verdict.MOST),
        alpha=power_flags.alpha(values),
        questions=count(values, "questions", 1, most=1000),
        tasks=count(values, "tasks", 1, most=1000),
        failing=_failing(values),
    )


def _failing(values: Values) -> float:
    """Raises: ConfigError, of what is no share."""
    text = get(values, "failing") or "0"
    try:
        found = float(text)
    except ValueError:
        found = math.nan
    if 0 <= found < 1:
        return found
    raise ConfigError(f"--failing is {text!r}: it must be below 1, and 0 or more.")


def _run(values: Values) -> None:
    given, pilot = power_flags.stds(values), get(values, "pilot")
    if bool(given) == bool(pilot):
        raise ConfigError(
            "give --std=0.2, or --pilot=runs/x with runs to take it from, one of the "
            "two."
        )
    style, plan, notes = output.style(values), _plan(values), []
    if given:
        named = [(("A", given[0]), ("B", given[-1]))]
    else:
        named, notes = _from_pilot(values, pilot)
    rows = [row for pair in named for row in power_tables.rows(pair, plan)]
    notes += power_tables.notes(plan)
    print("\n".join(effect_tables.lines(rows, style, notes)))


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


def main(argv: Sequence[str] | None = None) -> int:
    """Returns the exit status; `argv` without the program's name."""
    return command.execute(__doc__ or "", _define, _run, argv)


if __name__ == "__main__":
    sys.exit(main())
