"""Print what a toggle does to two algorithms: transfers, or is co-adapted to one.

Examples:
  python -m launch.effects --published            the cells of the paper's tables
  python -m launch.effects --workdir=runs/quickstart \\
      --pairs=sac:sac-single-q,awac:awac-single-q   variants with it and without
  python -m launch.effects --workdir=runs/critics --toggle=g_estimate.critics=2,1
  python -m launch.effects --workdir=runs/grid --factorial=all

An effect is the mean over tasks of (score with - score without), paired by seed, on a
scale on which 0 is the worst variant of a task and 1 the best. With its 95% intervals
the verdict is
  transfers     both effects are on the same side of 0, or the same within the margin
  co-adapted    they differ, and the weaker one gains less than the margin, or loses
  not decided   otherwise; 'seeds' says how many would show an effect of the margin
"""

import itertools
import math
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from absl import flags

from coadapt import effects, stats, store, taxonomy, toggles
from coadapt.effects import Verdict
from coadapt.schema import ConfigError, nearest
from experiments import published
from launch import command, verdicts
from launch.command import Values, get
from launch.verdicts import SEED, Named, count, estimate

if TYPE_CHECKING:
    import pandas as pd

SCALES = ("range", "baseline")
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
        "scale",
        "range",
        "range: from the worst variant of a task to the best; baseline: in units of "
        "the first pair's mean with the toggle (range)",
    )
    text("margin", "0.1", "what is no effect of note, on that scale (0.1)")
    text("format", "text", "text, markdown or csv (text)")


def _run(values: Values) -> None:
    scale, margin, style = get(values, "scale"), _margin(values), get(values, "format")
    if scale not in SCALES:
        raise ConfigError(f"--scale is {scale!r}: it must be {' or '.join(SCALES)}.")
    names = ("workdir", "pairs", "toggle", "factorial", "tasks")
    given = [name for name in names if get(values, name)]
    if get(values, "published"):
        if given:
            raise ConfigError(
                f"--published and --{given[0]} exclude each other: the paper's cells "
                "are in no run store."
            )
        lines = paper(scale, margin, style)
    else:
        workdir = store.folder(command.required(values, "workdir"))
        lines = stored(values, workdir, scale, margin, style)
    print("\n".join(lines))


def _margin(values: Values) -> float:
    try:
        margin = float(get(values, "margin"))
    except ValueError:
        margin = math.nan
    if not 0 < margin < math.inf:
        raise ConfigError(
            f"--margin is {get(values, 'margin')!r}: it must be a positive number."
        )
    return margin


# ---------------------------------------------------------------- the paper's cells


def paper(scale: str, margin: float, style: str) -> list[str]:
    """The verdicts on the paper's cells, and what they hang on."""
    rows, otherwise = [], []
    for each in published.COMPARISONS:
        found = published.verdict(each, scale=scale, margin=margin)
        first, second = published.scaled(each, scale)
        finite = published.verdict(each, scale=scale, margin=margin, diverged=False)
        rows.append(
            {
                "tables": _numbers(each.tables),
                **_row(each.toggle, each.first, each.second, found),
                "tasks A": _signs(published.signs(first)),
                "tasks B": _signs(published.signs(second)),
                "-inf": str(int(first.diverged.sum() + second.diverged.sum())),
                "paper": each.paper,
            }
        )
        if finite.word != found.word:
            otherwise.append(f"{each.toggle} of {each.first}, {each.second}")
    notes = [
        "effects of means of ten seeds, unpaired, with Welch's 95% intervals",
        "tasks: how many have an effect above 0, below 0, and not decided; A and B may "
        "have been run on different ones",
        f"seeds: that would show {margin:g} on B, and between A and B (power 0.8)",
        "-inf: tasks with a cell that diverged, which counts as the task's worst; "
        + (
            f"without them these verdicts change: {'; '.join(otherwise)}"
            if otherwise
            else "without them no verdict changes"
        ),
    ]
    return _lines(rows, style, notes)


def _numbers(tables: Sequence[str]) -> str:
    """'3', '5-10', '11, 12'."""
    numbers = [table.removeprefix("table") for table in tables]
    return f"{numbers[0]}-{numbers[-1]}" if len(numbers) > 2 else ", ".join(numbers)


def _signs(signs: Sequence[int]) -> str:
    return f"{signs.count(1)}+ {signs.count(-1)}- {signs.count(0)}?"


# ---------------------------------------------------------------- a run store


def stored(
    values: Values, workdir: Path, scale: str, margin: float, style: str
) -> list[str]:
    """The verdicts on a run store's variants. Raises: ConfigError."""
    frame = store.read(workdir)
    variants, tasks = list(dict.fromkeys(frame.variant)), set(frame.task)
    asked = command.listed(get(values, "tasks"))
    for task in asked:
        if task not in tasks:
            raise ConfigError(
                f"--tasks has {task!r}: no row is of it{nearest(task, tasks)}"
            )
    if asked:
        frame = frame.loc[frame.task.isin(asked)]
    versions, rows, notes = stats.versions(frame), [], []
    for version, part in versions.items():
        if get(values, "factorial"):
            found, said = _factorials(values, workdir, part)
        else:
            found, said = _paired(_pairs(values, variants), part, scale, margin)
        rows += [{"provider": version or "-", **row} for row in found]
        notes += said
    if len(versions) == 1:
        rows = [{k: row[k] for k in row if k != "provider"} for row in rows]
    return _lines(rows, style, list(dict.fromkeys(notes)))


def _paired(
    pairs: Sequence[Named], frame: "pd.DataFrame", scale: str, margin: float
) -> tuple[list[dict[str, str]], list[str]]:
    """Rows of a table, and notes to it. Raises: ConfigError."""
    names = [name for pair in pairs for name in (*pair.on, *pair.off)]
    known = verdicts.scored(frame, names, scale, pairs[0].on)
    first, *others = known.notes
    seeds = f"seeds: that would show an effect of {margin:g} (power 0.8)"
    return _compared(pairs, known, margin), [first, seeds, *others]


def _compared(
    pairs: Sequence[Named], known: verdicts.Scored, margin: float
) -> list[dict[str, str]]:
    scaled = [known.pair(pair) for pair in pairs]
    titles = [f"{pair.on[0]} : {pair.off[0]}" for pair in pairs]
    if len(pairs) == 1:
        alone = effects.effect(scaled[0], seed=SEED)
        needed = count(verdicts.seeds_alone(scaled[0], margin))
        return [{"toggle": titles[0], "effect": estimate(alone), "seeds": needed}]
    rows = []
    for i, j in itertools.combinations(range(len(pairs)), 2):
        found = effects.compare(scaled[i], scaled[j], seed=SEED, margin=margin)
        row = _row(titles[i], pairs[i].label, pairs[j].label, found)
        rows.append({**row, "p": "-" if math.isnan(found.p) else f"{found.p:.3f}"})
    return rows


def _pairs(values: Values, variants: Sequence[str]) -> list[Named]:
    """What --pairs or --toggle names. Raises: ConfigError."""
    pairs, toggle = get(values, "pairs"), get(values, "toggle")
    if bool(pairs) == bool(toggle):
        raise ConfigError(
            "give --pairs=with:without,... or --toggle=field=on,off, one of the two."
        )
    return _toggled(toggle, variants) if toggle else _listed(pairs, variants)


def _listed(text: str, variants: Sequence[str]) -> list[Named]:
    found = []
    for pair in command.listed(text):
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
        found.append(Named(on, (on,), (off,)))
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


def _toggled(text: str, variants: Sequence[str]) -> list[Named]:
    path, equals, words = text.partition("=")
    settings = command.listed(words)
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
            found.append(Named(label, (name,), (other,)))
    if not found:
        raise ConfigError(
            f"--toggle is {text!r}: no two variants differ in it alone, of "
            f"{', '.join(variants)}."
        )
    return found


# ---------------------------------------------------------------- factorials


def _factorials(
    values: Values, workdir: Path, frame: "pd.DataFrame"
) -> tuple[list[dict[str, str]], list[str]]:
    """Main effects and interactions, of each algorithm; and notes.

    Raises: ConfigError.
    """
    for other in ("pairs", "toggle"):
        if get(values, other):
            raise ConfigError(
                f"--factorial and --{other} exclude each other: give one of them."
            )
    if get(values, "scale") != "range":
        raise ConfigError("--scale is of pairs: a factorial is on the range's.")
    rows, notes = [], []
    for each in _designs(values, workdir, frame):
        found = verdicts.contrast(frame, each)
        if found.reason:
            raise ConfigError(found.reason)
        rows += verdicts.rows(found)
        notes += verdicts.legend(found)
    return rows, notes


def _designs(
    values: Values, workdir: Path, frame: "pd.DataFrame"
) -> list[toggles.Factorial]:
    header = store.load(workdir)
    assert header is not None  # or its rows could not have been read
    entries, seen = verdicts.entries_of(header), set(frame.variant)
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
        levels = command.listed(words)
        if len(set(levels)) != 2 or len(levels) != 2:
            raise ConfigError(
                f"--factorial is {f'{path}={words}'!r}: it must be 'all', or a toggle "
                "and its levels off and on, as in g_estimate.critics=1,2."
            )
        found[path] = (levels[0], levels[1])
    return found


# ---------------------------------------------------------------- tables


def _row(toggle: str, first: str, second: str, found: Verdict) -> dict[str, str]:
    return {
        "toggle": toggle,
        "A": first,
        "B": second,
        "effect on A": estimate(found.first),
        "effect on B": estimate(found.second),
        "A - B": estimate(found.gap),
        "verdict": found.word,
        "seeds": count(found.seeds),
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
