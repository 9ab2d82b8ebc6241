"""Print how sensitive a variant is to its setting: best of n, or the score at each.

Examples:
  coadapt sensitivity --workdir=runs/random
  coadapt sensitivity --workdir=runs/random --figure=best.png
  coadapt sensitivity --workdir=runs/tuned --by_setting --figure=settings.png
  coadapt sensitivity --workdir=runs/grid --by_task --figure=tasks.png
  coadapt sensitivity --workdir=runs/scrambles --procedure=3

Without a switch: the score of the best of n settings against n, which is what a search
of n settings would have found; the best is selected on half of the seeds and scored on
the others. It needs a workdir of coadapt sweep --random. --by_setting also takes one of
--tune, and --by_task one of --grid (Adkins et al. 2024): docs/tuning.md.
"""

import sys
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

from coadapt import plot, taxonomy
from coadapt.analysis import sensitivity
from coadapt.analysis.stats import number
from coadapt.cli import by_procedure, by_setting, by_task, command, output
from coadapt.cli.by_setting import Shown
from coadapt.cli.values import Values, count, definers, get, refuse_both, required
from coadapt.runs import store
from coadapt.schema import ConfigError
from coadapt.studies import designs
from coadapt.studies.designs import Read

_OTHERS = {
    "by_setting": by_setting.shown,
    "by_task": by_task.shown,
    "procedure": by_procedure.shown,
}


def _define(values: Values) -> None:
    text, switch = definers(values)
    text(
        "workdir",
        "folder that was the --workdir of a random design, a grid or a tuned study",
    )
    switch(
        "by_setting",
        "print each setting's score with its interval, and draw it over each field",
    )
    switch(
        "by_task",
        "print what a single setting for all tasks loses, and how many fields must be "
        "tuned per task; needs two tasks with references",
    )
    text(
        "procedure",
        "print what a search with this number of tuning seeds per setting finds, from "
        "a workdir of coadapt sweep --random=16 --scrambles=4 --seeds=8",
    )
    text("figure", "file for a figure of what is printed, such as best.png")
    output.define_style(values)


def _run(values: Values) -> None:
    workdir = store.folder(required(values, "workdir"))
    style, path = output.style(values), output.figure(values)
    rows, notes, drawn = _shown(values)(workdir)
    print(taxonomy.render(rows, style))
    if style != "csv" and notes:
        print("", *notes, sep="\n")
    if path is not None:
        plot.save(drawn(), path)


def _shown(values: Values) -> Callable[[Path], Shown]:
    """What is asked for.

    Raises: ConfigError.
    """
    refuse_both(values, *_OTHERS)
    asked = [name for name in _OTHERS if get(values, name)]
    if asked == ["procedure"]:
        return partial(by_procedure.shown, tries=count(values, "procedure"))
    return _OTHERS[asked[0]] if asked else _best


# ---------------------------------------------------------------- best of n


def _best(workdir: Path) -> Shown:
    """Rows, notes, and what draws them.

    Raises:
        ConfigError: of another design.
    """
    found = designs.read(workdir)
    if not designs.is_random(found.header):
        raise ConfigError(
            "the best of n needs settings that were drawn at random, and a part of "
            "a Sobol sequence is not a random sample: run "
            f"{designs.HOW}, or ask for the score at each setting, --by_setting."
        )
    settings = _settings(found)
    curves = sensitivity.curves(found.arms, settings)
    more = len(found.header.variants) > 1
    notes = ["what one setting for all tasks loses: --by_task"] if more else []
    named = {f"{c.variant}, {c.task}": c.values for c in curves}
    return _rows(curves), notes, lambda: plot.best_of(named)


def _settings(found: Read) -> dict[str, list[str]]:
    """Of each variant its settings' names, which are the same on all tasks."""
    return {variant: names for (_, variant), names in designs.names(found).items()}


def _rows(curves: Sequence[sensitivity.Curve]) -> list[dict[str, str]]:
    longest = max(each.values.size for each in curves)
    return [
        {
            "variant": each.variant,
            "task": each.task,
            "unit": each.unit,
            **{
                f"best of {n + 1}": number(float(each.values[n]))
                if n < each.values.size
                else "-"
                for n in range(longest)
                if n + 1 in (1, 2, 4, 8, 16, 32, 64) or n + 1 == longest
            },
        }
        for each in curves
    ]


def main(argv: Sequence[str] | None = None) -> int:
    """Returns the exit status; `argv` without the program's name."""
    return command.execute(__doc__ or "", _define, _run, argv)


if __name__ == "__main__":
    sys.exit(main())
