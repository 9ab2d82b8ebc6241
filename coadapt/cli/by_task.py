"""A part of `coadapt sensitivity`: a setting for each task against one for all."""

from pathlib import Path

from coadapt import plot
from coadapt.analysis import sensitivity
from coadapt.cli.by_setting import Shown
from coadapt.schema import ConfigError
from coadapt.studies import designs


def shown(workdir: Path) -> Shown:
    """Rows, notes, and what draws them: of a design's settings, or a grid's variants.

    Raises:
        ConfigError: where none has an answer.
    """
    arms, points = designs.points(workdir)
    names = {variant: list(found) for variant, found in points.items()}
    found = sensitivity.shared(arms, names)
    rows = [
        {
            "variant": variant,
            "settings": str(len(names[variant])),
            "own setting": f"{each.own:.2f}",
            "one for all": f"{each.shared:.2f}",
            "sensitivity": f"{each.value:.2f}",
            "fields": str(len(points[variant][each.setting])),
            "to tune": _dimensions(arms, points[variant], each.setting),
            "that one": each.setting.removeprefix(f"{variant}/"),
        }
        for variant, each in found.items()
    ]
    notes = [
        "own setting: the mean over tasks, each at its best; both are chosen and "
        "scored on the same runs, which flatters the first",
        "to tune: fields, others being as in the one for all, with which the mean is "
        "95% of the best (effective dimensionality); of a full grid alone, which "
        "coadapt sweep --grid=path=v1,v2 runs",
    ]
    return rows, notes, lambda: plot.by_task(found)


def _dimensions(
    arms: designs.Arms, points: dict[str, tuple[object, ...]], setting: str
) -> str:
    """'-' where settings are no full grid."""
    scores = sensitivity.on_tasks(arms, points)
    try:
        return str(sensitivity.effective(scores, points[setting]))
    except ConfigError:
        return "-"
