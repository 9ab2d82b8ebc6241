"""A part of `coadapt sensitivity`: the score at each setting of a design."""

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from coadapt import plot
from coadapt.analysis.stats import number
from coadapt.studies import designs, tuning
from coadapt.studies.designs import Design

if TYPE_CHECKING:
    from matplotlib.figure import Figure

# rows of a table, notes to it, and what draws it
Shown = tuple[list[dict[str, str]], list[str], "Callable[[], Figure]"]


def shown(workdir: Path) -> Shown:
    """Rows, notes, and what draws them.

    Raises: ConfigError.
    """
    found = designs.read(workdir)
    made = designs.designs(found)
    tuned = tuning.of(found.header.protocol) is not None
    rows = [row for each in made for row in _scores(each, tuned)]
    notes = [
        "an interval is Student's, 95%, over a setting's seeds; the highest of many is "
        "too high."
    ]
    if tuned:
        notes.append(
            "scores are of tuning, and no result of the study: its report has those of "
            "fresh seeds at the setting that was chosen (*)."
        )
    return rows, notes, lambda: plot.settings(made)


def _scores(design: Design, tuned: bool) -> list[dict[str, str]]:
    return [
        {
            "variant": design.variant,
            "task": design.task,
            **{
                path: f"{value:g}"
                for path, value in zip(design.fields, each.values, strict=True)
            },
            "seeds": str(each.score.seeds),
            "unit": design.unit,
            "score": number(each.score.value),
            "low": number(each.score.low),
            "high": number(each.score.high),
            **({"chosen": "*" if each.chosen else ""} if tuned else {}),
        }
        for each in design.settings
    ]
