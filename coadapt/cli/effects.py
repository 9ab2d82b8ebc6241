"""Print what a toggle does to two algorithms: helps both, or is co-adapted to one.

Examples:
  coadapt effects --published            the cells of the paper's tables
  coadapt effects --workdir=runs/quickstart \\
      --pairs=sac:sac-single-q,awac:awac-single-q   variants with it and without
  coadapt effects --workdir=runs/critics --toggle=g_estimate.critics=2,1
  coadapt effects --workdir=runs/grid --factorial=all

An effect is the mean with the toggle less that without, over tasks; a run's score is
the mean of its last tenth of evaluations, and a failed run counts as a random policy.
It is in the unit of the manifest, (score - random) / (reference - random), and in
returns where a task has no reference: then --margin is in returns too. With 95%
intervals, and at least 10 seeds an arm, the verdict is one of
  helps both, harms both, no effect on either
  co-adapted: helps A only, harms A only (or B)
  hangs on failures   another word, if a failed run counts as its last score before
  not decided         'seeds' says how many would decide what is seen
docs/statistics.md has the rules.
"""

import itertools
import math
import sys
from collections.abc import Sequence
from pathlib import Path

from absl import flags

from coadapt import comparison, stats, store, taxonomy, toggles
from coadapt.cli import command
from coadapt.cli.values import Values, get, listed, positive
from coadapt.comparison import Arms, Comparison, Pair, interval
from coadapt.experiments import published
from coadapt.report import verdicts
from coadapt.schema import ConfigError, nearest
from coadapt.verdict import Verdict, named

EVERY = "all"  # toggles of the variants


def _define(values: Values) -> None:
    def text(name: str, default: str | None, about: str) -> None:
        flags.DEFINE_string(name, default, about, flag_values=values)

    flags.DEFINE_boolean(
        "published", False, "the paper's own cells (ten seeds)", flag_values=values
    )
    text("workdir", None, "folder of the results")
    text("pairs", None, "variants with the toggle and without: a:b,c:d")
    text(
        "toggle",
        None,
        "a field of a grid, its values on and off, as names of variants have them: "
        "g_estimate.critics=2,1; with one value, those without are the variants as "
        "they were",
    )
    flags.DEFINE_multi_string(
        "factorial",
        [],
        "main effects and interactions: 'all', or a toggle with its levels off and on, "
        "g_estimate.critics=1,2; repeat for more",
        flag_values=values,
    )
    text("tasks", None, "tasks to average over (all that every variant has)")
    text(
        "margin",
        None,
        "what is no effect of note: in the reference's unit (0.1), or in returns where "
        "a task has no reference",
    )
    text("metric", "final", "final, last or area: see docs/statistics.md (final)")
    text("format", "text", "text, markdown or csv (text)")


def _run(values: Values) -> None:
    margin, style = positive(values, "margin"), get(values, "format")
    names = ("workdir", "pairs", "toggle", "factorial", "tasks")
    given = [name for name in names if get(values, name)]
    if get(values, "published"):
        if given:
            raise ConfigError(
                f"--published and --{given[0]} exclude each other: the paper's cells "
                "are in no run store."
            )
        lines = paper(comparison.MARGIN if margin is None else margin, style)
    else:
        workdir = store.folder(command.required(values, "workdir"))
        lines = stored(values, workdir, margin, style)
    print("\n".join(lines))


# ---------------------------------------------------------------- the paper's cells


def paper(margin: float, style: str) -> list[str]:
    """The verdicts on the paper's cells, and what they hang on."""
    rows, otherwise = [], []
    for each in published.COMPARISONS:
        first, second, gap, found = published.judged(each, margin=margin)
        ours, theirs = published.scaled(each)
        finite = published.judged(each, margin=margin, diverged=False).verdict
        labels = (each.first, each.second)
        rows.append(
            {
                "tables": _numbers(each.tables),
                "toggle": each.toggle,
                "A": each.first,
                "B": each.second,
                "effect on A": interval(first, ""),
                "effect on B": interval(second, ""),
                "A - B": interval(gap, ""),
                "verdict": _said(found, labels),
                "seeds": verdicts.count(found.seeds),
                "tasks A": _signs(published.signs(ours)),
                "tasks B": _signs(published.signs(theirs)),
                "-inf": str(int(ours.diverged.sum() + theirs.diverged.sum())),
                "paper": each.paper,
            }
        )
        if finite.word != found.word:
            otherwise.append(f"{each.toggle} of {each.first}, {each.second}")
    notes = [
        "effects of means of ten seeds with Welch's 95% intervals, on the range of "
        "each table, since the paper fixed no unit",
        "tasks: how many have an effect above 0, below 0, and not decided; A and B may "
        "have been run on different ones",
        "seeds: an arm, that would decide what is seen (power 0.8)",
        "-inf: tasks with a cell that diverged, which counts as the task's worst; "
        + (
            f"without them these verdicts change: {'; '.join(otherwise)}"
            if otherwise
            else "without them no verdict changes"
        ),
    ]
    return _lines(rows, style, notes)


def _said(found: Verdict, labels: Sequence[str]) -> str:
    detail = f" ({named(found.detail, labels)})" if found.detail else ""
    return f"{named(found.word, labels)}{detail}"


def _numbers(tables: Sequence[str]) -> str:
    """'3', '5-10', '11, 12'."""
    numbers = [table.removeprefix("table") for table in tables]
    return f"{numbers[0]}-{numbers[-1]}" if len(numbers) > 2 else ", ".join(numbers)


def _signs(signs: Sequence[int]) -> str:
    return f"{signs.count(1)}+ {signs.count(-1)}- {signs.count(0)}?"


# ---------------------------------------------------------------- a run store


def stored(
    values: Values, workdir: Path, margin: float | None, style: str
) -> list[str]:
    """The verdicts on a run store's variants. Raises: ConfigError."""
    versions, rows, notes = comparison.by_version(workdir), [], []
    asked = listed(get(values, "tasks"))
    tasks = dict.fromkeys(task for arms in versions.values() for task, _ in arms)
    tasks |= dict.fromkeys(stats.unversioned(task) for task in tasks)
    for task in asked:
        if task not in tasks:
            raise ConfigError(
                f"--tasks has {task!r}: no row is of it{nearest(task, tasks)}"
            )
    for version, every in versions.items():
        arms = {
            (task, variant): arm
            for (task, variant), arm in every.items()
            if not asked or {task, stats.unversioned(task)} & set(asked)
        }
        if not arms:
            continue
        if get(values, "factorial"):
            found, said = _factorials(values, workdir, arms)
        else:
            found, said = _paired(values, arms, margin)
        rows += [{"provider": version or "-", **row} for row in found]
        notes += said
    if len(versions) == 1:
        rows = [{k: row[k] for k in row if k != "provider"} for row in rows]
    return _lines(rows, style, list(dict.fromkeys(notes)))


def _paired(
    values: Values, arms: Arms, margin: float | None
) -> tuple[list[dict[str, str]], list[str]]:
    """Rows of a table, and notes to it. Raises: ConfigError."""
    pairs = _pairs(values, list(dict.fromkeys(name for _, name in arms)))
    groups = itertools.combinations(pairs, 2) if len(pairs) > 1 else [tuple(pairs)]
    found = [
        each
        for group in groups
        for each in verdicts.compared(
            arms, _title(group), group, margin=margin, metric=get(values, "metric")
        )
    ]
    notes = [verdicts.unit_note(found[0].unit)] if found[0].unit else []
    notes.append("seeds: an arm, that would decide what is seen (power 0.8)")
    return [_row(x) for x in found], [*notes, *(n for x in found for n in x.notes)]


def _title(group: Sequence[Pair]) -> str:
    return f"{group[0].on[0]} : {group[0].off[0]}"


def _pairs(values: Values, variants: Sequence[str]) -> list[Pair]:
    """What --pairs or --toggle names. Raises: ConfigError."""
    pairs, toggle = get(values, "pairs"), get(values, "toggle")
    if bool(pairs) == bool(toggle):
        raise ConfigError(
            "give --pairs=with:without,... or --toggle=field=on,off, one of the two."
        )
    return _toggled(toggle, variants) if toggle else _listed(pairs, variants)


def _listed(text: str, variants: Sequence[str]) -> list[Pair]:
    found = []
    for pair in listed(text):
        on, off = _halves(pair, variants)
        if not on or not off or on == off:
            raise ConfigError(
                f"--pairs has {pair!r}: it must be two variants, with the toggle and "
                "without, as in sac:sac-single-q."
            )
        for name in (on, off):
            if name not in variants:
                raise ConfigError(
                    f"--pairs has {name!r}: no row is of such a variant"
                    f"{nearest(name, variants)}"
                )
        found.append(Pair(on, (on,), (off,)))
    if not found:
        raise ConfigError("--pairs has none: write with:without,with:without.")
    return found


def _halves(pair: str, variants: Sequence[str]) -> tuple[str, str]:
    """Cut at the colon that leaves two variants, since a name may have one itself."""
    parts = pair.split(":")
    cuts = [(":".join(parts[:i]), ":".join(parts[i:])) for i in range(1, len(parts))]
    halves = [(on.strip(), off.strip()) for on, off in cuts] or [("", "")]
    known = [(on, off) for on, off in halves if on in variants and off in variants]
    return (known or halves)[0]


def _toggled(text: str, variants: Sequence[str]) -> list[Pair]:
    path, equals, words = text.partition("=")
    settings = listed(words)
    if not path or not equals or len(settings) not in (1, 2):
        raise ConfigError(
            f"--toggle is {text!r}: it must be a field and its values on and off, as "
            "in g_estimate.critics=2,1."
        )
    on, off = f"{path}={settings[0]}", [f"{path}={word}" for word in settings[1:]]
    found = []
    for name in variants:
        parts = name.split("/")
        if on not in parts:
            continue
        i = parts.index(on)
        other = "/".join([*parts[:i], *off, *parts[i + 1 :]])
        if other in variants:
            label = "/".join([*parts[:i], *parts[i + 1 :]])
            found.append(Pair(label, (name,), (other,)))
    if not found:
        raise ConfigError(
            f"--toggle is {text!r}: no two variants differ in it alone, of "
            f"{', '.join(variants)}."
        )
    return found


# ---------------------------------------------------------------- factorials


def _factorials(
    values: Values, workdir: Path, arms: Arms
) -> tuple[list[dict[str, str]], list[str]]:
    """Main effects and interactions, of each algorithm; and notes.

    Raises: ConfigError.
    """
    for other in ("pairs", "toggle"):
        if get(values, other):
            raise ConfigError(
                f"--factorial and --{other} exclude each other: give one of them."
            )
    rows, notes = [], []
    for each in _designs(values, workdir, [name for _, name in arms]):
        found = verdicts.contrast(arms, each)
        if found.reason:
            raise ConfigError(found.reason)
        rows += verdicts.rows(found)
        notes += verdicts.legend(found)
    return rows, notes


def _designs(
    values: Values, workdir: Path, seen: Sequence[str]
) -> list[toggles.Factorial]:
    header = store.load(workdir)
    assert header is not None  # or its rows could not have been read
    entries = verdicts.entries_of(header)
    settings = toggles.settings({n: e for n, e in entries.items() if n in seen})
    asked = get(values, "factorial")
    if asked != [EVERY]:
        return toggles.factorials_of(settings, _levels(values))
    found = toggles.factorials(settings)
    if not found:
        raise ConfigError(
            "--factorial is 'all': no algorithm's variants are a factorial of two "
            "toggles or more, each of two levels and in balance; name the toggles, as "
            "in g_estimate.critics=1,2."
        )
    return found


def _levels(values: Values) -> dict[str, tuple[str, str]]:
    """Off and on of each --factorial. Raises: ConfigError."""
    found = {}
    for path, words in command.changes(values, "factorial").items():
        levels = listed(words)
        if len(set(levels)) != 2 or len(levels) != 2:
            raise ConfigError(
                f"--factorial is {f'{path}={words}'!r}: it must be 'all', or a toggle "
                "and its levels off and on, as in g_estimate.critics=1,2."
            )
        found[path] = (levels[0], levels[1])
    return found


# ---------------------------------------------------------------- tables


def _row(found: Comparison) -> dict[str, str]:
    shown = dict(zip("AB", found.labels, strict=False))
    row = {"toggle": found.toggle, **(shown if len(shown) > 1 else {})}
    many = len(found.tasks) > 2
    row |= {"tasks": str(len(found.tasks)) if many else ", ".join(found.tasks)}
    for name, each in zip(shown, found.effects, strict=False):
        title = f"effect on {name}" if len(shown) > 1 else "effect"
        row |= {title: interval(each, found.unit)}
    if found.gap:
        row |= {"A - B": interval(found.gap, found.unit)}
    p = found.verdict.p
    return row | {
        "verdict": _said(found.verdict, found.labels),
        "wrong": verdicts.wrong(found.verdict),
        "p": "-" if math.isnan(p) else f"{p:.3f}",
        "seeds": verdicts.count(found.verdict.seeds),
    }


def _lines(
    rows: Sequence[dict[str, str]], style: str, notes: Sequence[str]
) -> list[str]:
    """The table; what is to be known of it below, unless it is to be read by programs.

    Raises: ConfigError on a style that there is not.
    """
    shown = taxonomy.render(rows, style)
    if style == "csv":
        return [shown]
    mark = "* " if style == "markdown" else ""
    return [shown, "", *(f"{mark}{note}" for note in notes)]


def main(argv: Sequence[str] | None = None) -> int:
    """Returns the exit status; `argv` without the program's name."""
    return command.execute(__doc__ or "", _define, _run, argv)


if __name__ == "__main__":
    sys.exit(main())
