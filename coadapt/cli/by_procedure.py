"""A part of `coadapt sensitivity`: what tuning is worth as a procedure."""

from pathlib import Path

import numpy as np

from coadapt import plot
from coadapt.analysis.stats import number
from coadapt.analysis.verdict import Effect
from coadapt.cli.by_setting import Shown
from coadapt.studies import designs, procedure
from coadapt.studies.designs import Design, Read


def shown(workdir: Path, tries: int) -> Shown:
    """Rows, notes, and what draws them.

    Raises:
        ConfigError: of another design.
    """
    found = designs.read(workdir)
    made = designs.designs(found)
    values = [_value(found, each, tries) for each in made]
    rows = [
        {
            "variant": design.variant,
            "task": design.task,
            "unit": design.unit,
            "scrambles": str(value.seeds),
            "score": number(value.value),
            "low": number(value.low),
            "high": number(value.high),
        }
        for design, value in zip(made, values, strict=True)
    ]
    notes = [
        f"the mean score of a run at the setting that a search chooses by {tries} "
        "seeds a setting, with Student's interval, 95%, over searches."
    ]
    named = {f"{d.variant}, {d.task}": v for d, v in zip(made, values, strict=True)}
    label = f"score of what tuning finds, {made[0].unit}"
    return rows, notes, lambda: plot.intervals(named, label)


def _value(found: Read, design: Design, tries: int) -> Effect:
    parts = designs.scrambles(found, design)
    fewest = min(each.runs.size for part in parts for each in part)
    runs = [np.array([each.runs[:fewest] for each in part]) for part in parts]
    return procedure.value(runs, tries)
