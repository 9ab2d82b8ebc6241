"""Print which fields a score depends on, and which pairs of them, from a random design.

Examples:
  coadapt importance --workdir=runs/random
  coadapt importance --workdir=runs/random --figure=importance.png

Functional ANOVA of random forests (Hutter et al. 2014): the share of the score's
variance over the searched ranges that a field explains alone, and that a pair explains
beyond its two fields. Shares above the 95% quantile of their permutation null are
shown. It needs a workdir of coadapt sweep --random with at least 10 settings per field:
docs/tuning.md.
"""

import sys
from collections.abc import Sequence

from coadapt import plot, taxonomy
from coadapt.analysis import importance
from coadapt.analysis.importance import Importance, Share
from coadapt.cli import command, output
from coadapt.cli.values import Values, count, definers, required
from coadapt.runs import store
from coadapt.schema import ConfigError
from coadapt.studies import designs
from coadapt.studies.designs import Design

FEWEST = 19  # permutations, of which the largest is the quantile


def _define(values: Values) -> None:
    text, _ = definers(values)
    text("workdir", "folder that was the --workdir of a random design")
    text(
        "permutations",
        f"permutations of each null distribution, {FEWEST} or more "
        f"({importance.PERMUTATIONS})",
    )
    text("figure", "file for a figure of the shares, such as importance.png")
    output.define_style(values)


def _run(values: Values) -> None:
    style, path = output.style(values), output.figure(values)
    found = designs.read(store.folder(required(values, "workdir")))
    if not designs.is_random(found.header):
        raise ConfigError(
            "importance is of settings that were drawn at random, whose permutations "
            "have a null, and these are points of a Sobol sequence: run "
            f"{designs.HOW}."
        )
    times = count(values, "permutations", importance.PERMUTATIONS, least=FEWEST)
    made = [(each, _of(each, times)) for each in designs.designs(found)]
    print(taxonomy.render([row for each in made for row in _rows(*each)], style))
    if style != "csv":
        print("", *(_note(*each) for each in made), sep="\n")
    if path is not None:
        named = {f"{d.variant}, {d.task}": each.shares for d, each in made}
        plot.save(plot.importance(named), path)


def _of(design: Design, permutations: int) -> Importance:
    return importance.importance(
        design.places, design.scores, design.fields, permutations=permutations
    )


def _rows(design: Design, found: Importance) -> list[dict[str, str]]:
    """What is above its null; a line without a number where nothing is."""
    shown = [each for each in found.shares if each.shown]
    return [
        {
            "variant": design.variant,
            "task": design.task,
            "fields": _name(each) if each else "none above its null",
            "importance": f"{each.value:.2f}" if each else "",
            "null, 95%": f"{each.null:.2f}" if each else "",
        }
        for each in shown or [None]
    ]


def _note(design: Design, found: Importance) -> str:
    """What is not above its null, and how a column of noise did."""
    rest = [_name(each) for each in found.shares if not each.shown]
    told = f"not above its null: {', '.join(rest)}; " if rest else ""
    return (
        f"{design.variant} on {design.task}, {found.points} settings: {told}a column "
        f"of noise explains {found.dummy:.2f}; R2 of settings that the forest did not "
        f"see: {found.fit:.2f}"
    )


def _name(share: Share) -> str:
    return " x ".join(share.fields)


def main(argv: Sequence[str] | None = None) -> int:
    """Returns the exit status; `argv` without the program's name."""
    return command.execute(__doc__ or "", _define, _run, argv)


if __name__ == "__main__":
    sys.exit(main())
