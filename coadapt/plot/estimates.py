"""Estimates and effects with their intervals, for a paper's column."""

import math
from collections.abc import Mapping
from typing import TYPE_CHECKING, Protocol

import numpy as np

from coadapt.analysis.forest import Forest
from coadapt.analysis.forest import Interval as Known
from coadapt.plot.canvas import figure_of, in_own_style, logarithmic_axis, require_some
from coadapt.plot.lines import COLUMN, LETTERS
from coadapt.plot.styles import COLORS, looks

if TYPE_CHECKING:
    from matplotlib.figure import Figure


class Interval(Known, Protocol):
    """A number with the ends of its interval, as `stats.Estimate` is."""

    @property
    def defined(self) -> bool: ...


@in_own_style
def intervals(found: Mapping[str, Interval], label: str) -> "Figure":
    """Estimates with their intervals, a line each, the first on top: one column wide.

    `label` is of the axis, with its unit. A dotted line stands at 0; an estimate that
    has no interval is a point alone, and one that is no number is said to be none.
    """
    require_some("estimates", found)
    figure = figure_of(3.5, 0.55 + 0.28 * len(found))
    axes = figure.subplots()
    for i, each in enumerate(found.values()):
        if each.defined:
            ends = [each.low, each.high]
            axes.plot(ends, [i, i], color=COLORS[0], lw=1.6, solid_capstyle="butt")
        axes.plot(each.value, i, "o", color=COLORS[0], ms=4.5, clip_on=False)
        if not math.isfinite(each.value):
            place = {"transform": axes.get_yaxis_transform(), "va": "center"}
            axes.text(0.5, i, "no estimate", ha="center", fontsize="small", **place)
    axes.axvline(0.0, color="0.4", lw=0.8, ls=":", zorder=0)
    axes.set_yticks(range(len(found)), list(found))
    axes.set_ylim(len(found) - 0.5, -0.5)
    axes.tick_params(axis="y", length=0)
    axes.set_xlabel(label, fontsize="small")
    axes.spines[["top", "right", "left"]].set_visible(False)
    return figure


@in_own_style
def best_of(curves: Mapping[str, np.ndarray]) -> "Figure":
    """The expected score of the best of n settings, against n: a line each.

    `curves`: arrays [n], from n = 1 on, by name: of `sensitivity.best_of`.
    """
    require_some("curves", curves)
    figure = figure_of(3.5, 2.6)
    axes, drawn = figure.subplots(), looks([*curves])
    for (name, values), look in zip(curves.items(), drawn.values(), strict=True):
        n = np.arange(1, len(values) + 1)
        axes.plot(n, values, color=look.color, ls=look.dash, marker=".", label=name)
    logarithmic_axis(axes, "x", base=2)
    axes.set_xlabel("settings tried, n", fontsize="small")
    axes.set_ylabel("score of the best of n", fontsize="small")
    axes.legend(fontsize="x-small", frameon=False)
    axes.spines[["top", "right"]].set_visible(False)
    return figure


@in_own_style
def forest(found: Forest) -> "Figure":
    """Effects with their intervals, a group below the other: one column wide."""
    require_some("groups", found.groups)
    sizes = [len(group.rows) for group in found.groups]
    figure = figure_of(COLUMN, 0.35 + 0.55 * len(sizes) + 0.2 * sum(sizes))
    grid = np.ravel(figure.subplots(len(sizes), 1, squeeze=False, height_ratios=sizes))
    for axes, group in zip(grid, found.groups, strict=True):
        for i, row in enumerate(group.rows):
            color = row.color or "0.2"
            if len(row.known) == 3:
                ends = [row.low, row.high]
                axes.plot(ends, [i, i], color=color, lw=1.6, solid_capstyle="butt")
            if math.isfinite(row.value):
                axes.plot(row.value, i, "o", color=color, ms=4)
            else:
                axes.text(0, i, f" {row.text}", va="center", fontsize=LETTERS)
        axes.axvline(0.0, color="0.4", lw=0.8, ls=":", zorder=0)
        axes.set_xlim(group.ends)
        axes.set_ylim(len(group.rows) - 0.5, -0.5)
        axes.set_yticks(range(len(group.rows)), [row.label for row in group.rows])
        axes.set_title(group.title, loc="left", fontsize=LETTERS)
        axes.tick_params(labelsize=LETTERS)
        axes.tick_params(axis="y", length=0)
        axes.locator_params(axis="x", nbins=5)
        axes.spines[["top", "right", "left"]].set_visible(False)
    grid[-1].set_xlabel(f"effect, {found.unit}", fontsize=LETTERS)
    return figure
