"""Print what a toggle does to two algorithms: helps both, or is co-adapted to one.

Examples:
  coadapt effects --published            the cells of the paper's tables
  coadapt effects --workdir=runs/quickstart \\
      --pairs=sac:sac-single-q,awac:awac-single-q   variants with it and without
  coadapt effects --workdir=runs/critics --toggle=g_estimate.critics=2,1
  coadapt effects --workdir=runs/grid --factorial=all

An effect is the mean score with the toggle minus the mean without it, averaged over
tasks. A run's score is the mean of its last tenth of evaluations, at least three; a
failed run counts as a random policy. Effects are in the task's unit, (score - random) /
(reference - random), or in returns if a task has no reference; then --margin is in
returns too. With at least 10 seeds of each variant, the verdict is one of
  helps both, harms both, no effect on either
  co-adapted          helps A only, harms A only, or the same of B
  depends on failures the verdict differs if a failed run counts as its last score
  not decided         'seeds' is how many would decide the observed effects
docs/statistics.md has the rules.
"""

import itertools
import sys
from collections.abc import Sequence
from pathlib import Path

from absl import flags

from coadapt.analysis import comparison, stats
from coadapt.analysis.comparison import Arms
from coadapt.cli import command, factorials, output, pairs
from coadapt.cli.values import OF_PROTOCOL, Values, get, listed, positive, required
from coadapt.report import compare, effect_tables
from coadapt.runs import store
from coadapt.schema import ConfigError, nearest


def _define(values: Values) -> None:
    def text(name: str, default: str | None, about: str) -> None:
        flags.DEFINE_string(name, default, about, flag_values=values)

    flags.DEFINE_boolean(
        "published",
        False,
        "analyse the paper's own cells (ten seeds each), instead of a workdir",
        flag_values=values,
    )
    text("workdir", None, "folder that was the --workdir of a sweep")
    text("pairs", None, "variants with and without the toggle: with:without,...")
    text(
        "toggle",
        None,
        "a field of a grid and its values on and off, as in the variants' names: "
        "g_estimate.critics=2,1; with one value, off is the variant without it",
    )
    flags.DEFINE_multi_string(
        "factorial",
        [],
        "print main effects and interactions: 'all', or a toggle and its levels off "
        "and on, g_estimate.critics=1,2; repeat for more",
        flag_values=values,
    )
    text("tasks", None, "tasks to average over, by comma (all that every variant has)")
    text("margin", None, OF_PROTOCOL)
    text("metric", "final", "score: final, last or area: docs/statistics.md (final)")
    output.define_style(values)


def _run(values: Values) -> None:
    margin, style = positive(values, "margin"), output.style(values)
    names = ("workdir", "pairs", "toggle", "factorial", "tasks", "metric")
    given = [name for name in names if values[name].present]
    if get(values, "published"):
        if given:
            raise ConfigError(
                f"--published and --{given[0]} exclude each other: the paper's cells "
                "are not in a run store."
            )
        lines = effect_tables.paper(margin or comparison.MARGIN, style)
    else:
        workdir = store.folder(required(values, "workdir"))
        lines = stored(values, workdir, margin, style)
    print("\n".join(lines))


def stored(
    values: Values, workdir: Path, margin: float | None, style: str
) -> list[str]:
    """The verdicts on a run store's variants, or a ConfigError."""
    header, rows = store.load(workdir), []
    versions, notes = comparison.by_version(workdir), [*comparison.looks_note(header)]
    margin = comparison.margin_of(header, margin)
    asked = listed(get(values, "tasks"))
    tasks = dict.fromkeys(task for arms in versions.values() for task, _ in arms)
    tasks |= dict.fromkeys(stats.unversioned(task) for task in tasks)
    for task in (each for each in asked if each not in tasks):
        raise ConfigError(f"--tasks has {task!r}: it has no rows{nearest(task, tasks)}")
    for version, every in versions.items():
        arms = {
            (task, variant): arm
            for (task, variant), arm in every.items()
            if not asked or {task, stats.unversioned(task)} & set(asked)
        }
        if not arms:
            continue
        if get(values, "factorial"):
            found, said = factorials.table(values, workdir, arms)
        else:
            found, said = _paired(values, arms, margin)
        rows += [{"provider": version or "-", **row} for row in found]
        notes += said
    if len(versions) == 1:
        rows = [{k: row[k] for k in row if k != "provider"} for row in rows]
    return effect_tables.lines(rows, style, list(dict.fromkeys(notes)))


def _paired(
    values: Values, arms: Arms, margin: float | None
) -> tuple[list[dict[str, str]], list[str]]:
    """Rows of a table, and notes to it, or a ConfigError."""
    asked = pairs.named(values, list(dict.fromkeys(name for _, name in arms)))
    groups = itertools.combinations(asked, 2) if len(asked) > 1 else [tuple(asked)]
    found = [
        each
        for group in groups
        for each in compare.compared(
            arms,
            f"{group[0].on[0]} : {group[0].off[0]}",
            group,
            margin=margin,
            metric=get(values, "metric"),
        )
    ]
    notes = [compare.unit_note(found[0].unit)] if found[0].unit else []
    notes.append("seeds: per arm, to decide the observed effects (power 0.8)")
    notes += [note for each in found for note in each.notes]
    return [effect_tables.row(each) for each in found], notes


def main(argv: Sequence[str] | None = None) -> int:
    """Returns the exit status; `argv` without the program's name."""
    return command.execute(__doc__ or "", _define, _run, argv)


if __name__ == "__main__":
    sys.exit(main())
