"""Print how much a variant hangs on its setting, from a random design.

Examples:
  coadapt sensitivity --workdir=runs/random
  coadapt sensitivity --workdir=runs/random --figure=best.png

The best of n settings, against n: what a search of n settings would have found, if the
best is selected on half of the seeds and scored on the others. With two tasks or more
that have references, what one setting for all tasks loses (Adkins et al. 2024). The
design is that of coadapt sweep --random: docs/tuning.md.
"""

import sys
from collections.abc import Sequence

from absl import flags

from coadapt import comparison, plot, sensitivity, store, taxonomy, tuning
from coadapt.cli import command
from coadapt.cli.values import Values, get, required
from coadapt.schema import ConfigError
from coadapt.stats import number
from coadapt.store import Header


def _define(values: Values) -> None:
    for name, about in (
        ("workdir", "folder of the results of a random design"),
        ("figure", "a file for a picture of the curves, such as best.png"),
        ("format", "text, markdown or csv (text)"),
    ):
        flags.DEFINE_string(name, None, about, flag_values=values)


def _run(values: Values) -> None:
    workdir = store.folder(required(values, "workdir"))
    arms, header = comparison.arms_of(workdir), store.load(workdir)
    assert header is not None  # or its rows could not have been read
    settings = _settings(header)
    curves = sensitivity.curves(arms, settings)
    style = get(values, "format") or "text"
    print(taxonomy.render(_rows(curves), style))
    if style != "csv" and len(header.variants) > 1:
        print("", *_shared(arms, settings), sep="\n")
    if get(values, "figure"):
        named = {f"{c.variant}, {c.task}": c.values for c in curves}
        path = store.expanded(get(values, "figure"), "--figure")
        plot.save(plot.best_of(named), path)


def _settings(header: Header) -> dict[str, list[str]]:
    """Of each variant its settings' names. Raises: ConfigError, of another design."""
    if header.protocol.get("rule") != tuning.RANDOM:
        raise ConfigError(
            "the best of n is of settings that were drawn at random, and this store "
            "has none: run coadapt sweep --random=16 --vary=path=low..high."
        )
    first = next(iter(header.variants.values()))
    return {
        variant: [name for name in first if name.startswith(f"{variant}/")]
        for variant in dict.fromkeys(header.protocol["variants"])
    }


def _rows(curves: Sequence[sensitivity.Curve]) -> list[dict[str, str]]:
    longest = max(each.values.size for each in curves)
    return [
        {
            "variant": each.variant,
            "task": each.task,
            "unit": each.unit,
            **{
                f"best of {n + 1}": number(float(each.values[n]))
                for n in range(longest)
                if n + 1 in (1, 2, 4, 8, 16, 32, 64) or n + 1 == longest
            },
        }
        for each in curves
    ]


def _shared(arms: comparison.Arms, settings: dict[str, list[str]]) -> list[str]:
    """A line for each variant; why there is none."""
    try:
        found = sensitivity.shared(arms, settings)
    except ConfigError as error:
        return [str(error)]
    return [
        f"{variant}: {each.own:.2f} with each task at its own setting, "
        f"{each.shared:.2f} at one for all ({each.setting}): sensitivity "
        f"{each.value:.2f}"
        for variant, each in found.items()
    ]


def main(argv: Sequence[str] | None = None) -> int:
    """Returns the exit status; `argv` without the program's name."""
    return command.execute(__doc__ or "", _define, _run, argv)


if __name__ == "__main__":
    sys.exit(main())
