"""Scores over the settings of a design, and what each field explains of them."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Protocol

import numpy as np

from coadapt.plot.canvas import (
    figure_of,
    in_own_style,
    legend_below,
    line_of,
    logarithmic_axis,
    plain_axes,
    require_some,
)
from coadapt.plot.estimates import Interval
from coadapt.plot.lines import COLUMN, LETTERS
from coadapt.plot.styles import COLORS, Look, looks

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure


class Scale(Protocol):
    """Of a field's range what is drawn."""

    @property
    def path(self) -> str: ...
    @property
    def log(self) -> bool: ...


class AtSetting(Protocol):
    """A variant's score where its fields have these values."""

    @property
    def values(self) -> tuple[float, ...]: ...
    @property
    def score(self) -> Interval: ...
    @property
    def chosen(self) -> bool: ...


class Settings(Protocol):
    """Of `designs.Design` what is drawn."""

    @property
    def variant(self) -> str: ...
    @property
    def task(self) -> str: ...
    @property
    def unit(self) -> str: ...
    @property
    def ranges(self) -> Sequence[Scale]: ...
    @property
    def settings(self) -> Sequence[AtSetting]: ...


@in_own_style
def settings(found: Sequence[Settings]) -> "Figure":
    """The score at each setting over each field, with its interval.

    A row a task, a column a field; a point has the colour of its variant, and a ring
    where the setting was chosen.
    """
    require_some("designs", found)
    tasks = list(dict.fromkeys(each.task for each in found))
    fields, drawn = found[0].ranges, looks([each.variant for each in found])
    figure = figure_of(3.1 * len(fields), 2.5 * len(tasks))
    grid = figure.subplots(len(tasks), len(fields), squeeze=False, sharey="row")
    for line, task in zip(grid, tasks, strict=True):
        here = [each for each in found if each.task == task]
        for i, (axes, field) in enumerate(zip(line, fields, strict=True)):
            for each in here:
                _points(axes, each.settings, i, drawn[each.variant].color)
            axes.set_xlabel(field.path, fontsize="small")
            axes.locator_params(axis="x", nbins=5)
            if field.log:
                logarithmic_axis(axes, "x")
            plain_axes(axes)
        line[0].set_title(task, loc="left", fontsize="medium")
        line[0].set_ylabel(f"score, {here[0].unit}", fontsize="small")
    legend_below(
        figure, [line_of(Look(x.color, "-")) for x in drawn.values()], [*drawn]
    )
    return figure


def _points(axes: "Axes", made: Sequence[AtSetting], field: int, color: str) -> None:
    for each in made:
        x, score = each.values[field], each.score
        if score.defined:
            axes.plot([x, x], [score.low, score.high], color=color, lw=0.9, alpha=0.6)
        axes.plot(x, score.value, "o", color=color, ms=4, zorder=3)
        if each.chosen:
            ring = {"mfc": "none", "mec": "black", "ms": 9, "zorder": 4}
            axes.plot(x, score.value, "o", **ring)


class Explained(Protocol):
    """Of `importance.Share` what is drawn."""

    @property
    def fields(self) -> tuple[str, ...]: ...
    @property
    def value(self) -> float: ...
    @property
    def null(self) -> float: ...
    @property
    def shown(self) -> bool: ...


@in_own_style
def importance(found: Mapping[str, Sequence[Explained]]) -> "Figure":
    """What fields and pairs of them explain: a panel each, by its title.

    A bar has the colour of the figure where it is above its null, the black mark, and
    is grey below it.
    """
    require_some("shares", found)
    sizes = [max(len(each), 1) for each in found.values()]
    figure = figure_of(4.6, sum(0.75 + 0.24 * size for size in sizes))
    grid = np.ravel(figure.subplots(len(found), 1, squeeze=False, height_ratios=sizes))
    for axes, (title, shares) in zip(grid, found.items(), strict=True):
        for i, each in enumerate(shares):
            axes.barh(i, each.value, color=COLORS[0] if each.shown else "0.8")
            axes.plot([each.null] * 2, [i - 0.4, i + 0.4], color="black", lw=1.6)
        axes.set_yticks(range(len(shares)), [" x ".join(x.fields) for x in shares])
        axes.set_ylim(len(shares) - 0.5, -0.5)
        axes.set_xlim(left=0)
        axes.set_title(title, loc="left", fontsize="medium")
        axes.tick_params(axis="y", length=0)
        axes.spines[["top", "right"]].set_visible(False)
    label = "share of the score's variance; mark: 95% of its null"
    figure.supxlabel(label, fontsize="small")
    return figure


class ByTask(Protocol):
    """Of `sensitivity.Sensitivity` what is drawn."""

    @property
    def own(self) -> float: ...
    @property
    def shared(self) -> float: ...


@in_own_style
def by_task(found: Mapping[str, ByTask]) -> "Figure":
    """Each task at its own best setting, and all at one: a line a variant between."""
    require_some("variants", found)
    figure = figure_of(COLUMN, 0.9 + 0.28 * len(found))
    axes, color = figure.subplots(), COLORS[0]
    for i, each in enumerate(found.values()):
        axes.plot([each.shared, each.own], [i, i], color=color, lw=1.6)
        axes.plot(each.shared, i, "o", mfc="white", mec=color, ms=5)
        axes.plot(each.own, i, "o", color=color, ms=5)
    axes.set_yticks(range(len(found)), list(found))
    axes.set_ylim(len(found) - 0.5, -0.5)
    axes.tick_params(labelsize=LETTERS)
    plain_axes(axes)
    label = "mean score: one setting for all tasks (hollow), its own for each"
    figure.supxlabel(label, fontsize="x-small")
    return figure
