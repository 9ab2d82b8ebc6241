"""Metrics over env steps: a line a variant, its mean over seeds."""

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np

from coadapt.analysis import curves as curves_of
from coadapt.analysis import stats
from coadapt.analysis.curves import Runs
from coadapt.plot.canvas import (
    BESIDE,
    LONG,
    figure_of,
    in_own_style,
    label_axes,
    legend_below,
    legend_beside,
    line_of,
    logarithmic_axis,
    plain_axes,
    require_some,
    thousands,
)
from coadapt.plot.styles import Look, looks
from coadapt.schema import ConfigError, unknown

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from matplotlib.lines import Line2D

COLUMNS = 3  # panels side by side
_KEYS = ("task", "variant", "seed", "env_steps", "metric")
_COLUMNS = (*_KEYS, "value")
COLUMN, LETTERS = 3.3, 8.0  # inches and points, of a figure in a paper's column
NAMED = 3  # variants that a note in a picture names
_DEEP = 100.0  # heights of a picture to which a shade goes on below it


@in_own_style
def curves(
    frame: "pd.DataFrame",
    task: str,
    metric: str = "return",
    look: Mapping[str, Look] | None = None,
) -> "Figure":
    """A metric over env steps on one task: for each variant its mean over seeds.

    The band is one std (ddof=0) around it, if there are at least two seeds; thin lines
    are seeds. The line of a failed seed ends in a cross, and its last value before the
    failure stays in the mean, as in `stats.summary`. A mean ends where not all seeds
    have values.

    Args:
        look: of all variants; None: of those on this task, in their order.
    """
    _require(frame, [task], [metric], look)
    figure = figure_of(7.0, 4.2)
    axes = figure.subplots()
    drawn = _draw(axes, frame, task, metric, look)
    axes.set_title(task, loc="left")
    label_axes(axes, metric)
    names = [str(line.get_label()) for line in drawn]
    if len(drawn) > BESIDE or max(map(len, names)) > LONG:
        legend_below(figure, drawn, names)
    else:
        legend_beside(axes, drawn)
    return figure


@in_own_style
def panel(
    frame: "pd.DataFrame", task: str, look: Mapping[str, Look], metric: str = "return"
) -> "Figure":
    """`curves` with no title and no legend, to stand in a page that has them."""
    _require(frame, [task], [metric], look)
    figure = figure_of(4.4, 2.9)
    axes = figure.subplots()
    _draw(axes, frame, task, metric, look)
    axes.set_xlabel("environment steps")
    axes.set_ylabel(metric.replace("_", " "))
    return figure


@in_own_style
def panels(
    frame: "pd.DataFrame",
    tasks: Sequence[str],
    look: Mapping[str, Look],
    metric: str = "return",
) -> "Figure":
    """The `curves` of several tasks in one figure, with one legend below them."""
    _require(frame, tasks, [metric], look)
    across = min(len(tasks), COLUMNS)
    down = math.ceil(len(tasks) / across)
    rows = frame.loc[frame.task.isin(list(tasks)) & (frame.metric == metric)]
    names = [v for v in look if (rows.variant == v).any()]
    figure = figure_of(3.6 * across, 2.6 * down)
    grid = np.ravel(figure.subplots(down, across, squeeze=False))
    for i, (axes, task) in enumerate(zip(grid, tasks, strict=False)):
        _draw(axes, frame, task, metric, look)
        axes.set_title(task, loc="left", fontsize="medium")
        if i + across >= len(tasks):  # nothing stands below
            axes.set_xlabel("environment steps")
        if i % across == 0:
            axes.set_ylabel(metric.replace("_", " "))
    for axes in grid[len(tasks) :]:
        axes.set_axis_off()
    legend_below(figure, [line_of(look[name]) for name in names], names)
    return figure


def _require(
    frame: "pd.DataFrame",
    tasks: Iterable[str],
    metrics: Iterable[str],
    look: Iterable[str] | None = None,
) -> None:
    """Refuse what has no row.

    Raises: ConfigError.

    Each task, one of the metrics on it, and each variant that a look is given for.
    """
    missing = [name for name in _COLUMNS if name not in frame]
    if missing:
        raise ConfigError(
            f"frame has no column {missing[0]!r}: it must have the columns of a "
            "run's rows, as store.read returns them."
        )
    tasks, metrics = list(tasks), list(metrics)
    require_some("tasks", tasks)
    require_some("metrics", metrics)
    for task in tasks:
        if not (frame.task == task).any():
            raise unknown("task", task, "the rows have", frame.task.unique())
        there = frame.metric[frame.task == task].unique()
        if not set(metrics) & set(there):
            raise unknown("metric", metrics[0], f"rows on {task} have", there)
    for name in look or ():
        if not (frame.variant == name).any():
            raise unknown("variant", name, "the rows have", frame.variant.unique())
    for task in tasks if look else ():
        there = frame.variant[frame.task == task].unique()
        if not set(look or ()) & set(there):
            raise unknown(
                "variant", next(iter(look or ())), f"rows on {task} have", there
            )
    rows = frame.loc[frame.task.isin(tasks) & frame.metric.isin(metrics)]
    stats.refuse_versions(rows)
    _refuse_twice(rows)


def _refuse_twice(rows: "pd.DataFrame") -> None:
    twice = rows.loc[rows.duplicated(list(_KEYS))]
    if len(twice):
        row = twice.iloc[0]
        raise ConfigError(
            f"rows of {row.variant} on {row.task} with seed {row.seed} occur twice at "
            f"{row.env_steps:,} env steps: give the variants of the two runs "
            "different names."
        )


def _draw(
    axes: "Axes",
    frame: "pd.DataFrame",
    task: str,
    metric: str,
    look: Mapping[str, Look] | None,
    logarithmic: bool = False,
) -> "list[Line2D]":
    """Returns: the line of each variant, labelled as the legend has it."""
    from matplotlib.ticker import MaxNLocator

    here = frame.loc[frame.task == task]
    failed, drawn = curves_of.failed_in(here, metric), list["Line2D"]()
    rows = curves_of.until_failed(here.loc[here.metric == metric], failed)
    groups = {str(name): group for name, group in rows.groupby("variant", sort=False)}
    known = look or _looks_of(rows)
    groups = {name: groups[name] for name in known if name in groups}  # what is drawn
    height = None if logarithmic else curves_of.height(groups, metric)
    for name, group in groups.items():
        mine = {seed for seed in group.seed if (name, seed) in failed}
        line = _curve(axes, curves_of.runs(group, mine), known[name], height)
        line.set_label(f"{name} ({len(mine)} failed)" if mine else name)
        drawn.append(line)
    if height is not None:
        axes.set_ylim(height)
    _leave_out(axes, groups, height or (-math.inf, math.inf))
    axes.xaxis.set_major_formatter(thousands())
    axes.xaxis.set_major_locator(MaxNLocator(5, steps=[1, 2, 2.5, 5, 10]))
    plain_axes(axes)
    return drawn


def _looks_of(rows: "pd.DataFrame") -> dict[str, Look]:
    """Of the variants of some rows, by their algorithms where the rows have them."""
    names = rows.variant.astype(str)
    whose = rows.algorithm.astype(str) if "algorithm" in rows else names
    return looks(dict(zip(names, whose, strict=True)))


def _leave_out(
    axes: "Axes", groups: Mapping[str, "pd.DataFrame"], height: tuple[float, float]
) -> None:
    """Name what is not in the picture, which is too low or too high for it."""
    low, high = height
    out = {
        "below": [n for n, rows in groups.items() if _beyond(-rows.value, -low)],
        "above": [n for n, rows in groups.items() if _beyond(rows.value, high)],
    }
    for (side, names), y in zip(out.items(), (0.01, 0.99), strict=True):
        more = [f"and {len(names) - NAMED} more"] if len(names) > NAMED else []
        if names:
            axes.text(
                0.01, y, f"{side} the picture: {'; '.join([*names[:NAMED], *more])}",
                fontsize="x-small", transform=axes.transAxes, zorder=4,
                va="bottom" if side == "below" else "top",
            )  # fmt: skip


def _beyond(values: "pd.Series", end: float) -> bool:
    return bool(((values > end) | (values == math.inf)).any())


def _curve(
    axes: "Axes", runs: Runs, look: Look, height: tuple[float, float] | None
) -> "Line2D":
    """One variant. `height`: the ends of the axis, where it is cut."""
    count = (~np.isnan(runs.counted)).sum(axis=1)
    mean, std = np.full((2, len(count)), np.nan)
    with np.errstate(invalid="ignore"):  # inf - inf
        mean[count > 0] = np.nanmean(runs.counted[count > 0], axis=1)
        std[count > 1] = np.nanstd(runs.counted[count > 1], axis=1)  # of one: unknown
    mark = "o" if len(runs.whole) == 1 else None  # a line of one point is not seen
    color, dash = look
    low, high, alpha = mean - std, mean + std, 0.15
    if height is not None:  # the axis cuts it, but 1e12 is no place in a PDF
        reach = _DEEP * (height[1] - height[0])
        low, high = np.clip((low, high), height[0] - reach, height[1] + reach)
        if (mean < height[0]).any() or (mean > height[1]).any():
            alpha = 0.05  # it fills the picture, and is not to cover the others'
    axes.fill_between(runs.whole, low, high, color=color, alpha=alpha, lw=0)
    thin = {"lw": 0.6, "alpha": 0.3, "zorder": 2}
    axes.plot(runs.steps, runs.each, dash, color=color, **thin)
    if runs.ends:
        cross = {"marker": "x", "ms": 5, "lw": 0}
        axes.plot(*zip(*runs.ends, strict=True), color=color, **cross)
    thick = {"lw": 1.8, "marker": mark, "zorder": 3}  # on top of all
    return axes.plot(runs.whole, mean, dash, color=color, **thick)[0]


@in_own_style
def column(
    frame: "pd.DataFrame",
    task: str,
    metric: str = "return",
    look: Mapping[str, Look] | None = None,
) -> "Figure":
    """`curves` one column wide, with the legend below, in letters of 8 pt."""
    _require(frame, [task], [metric], look)
    figure = figure_of(COLUMN, 2.2)
    axes = figure.subplots()
    drawn = _draw(axes, frame, task, metric, look)
    axes.set_title(task, loc="left", fontsize=LETTERS)
    axes.set_xlabel("environment steps", fontsize=LETTERS)
    axes.set_ylabel(metric.replace("_", " "), fontsize=LETTERS)
    axes.tick_params(labelsize=LETTERS)
    legend_below(figure, drawn, [str(line.get_label()) for line in drawn], LETTERS)
    return figure


@in_own_style
def metrics(
    frame: "pd.DataFrame",
    task: str,
    names: Sequence[str] | Mapping[str, str],
    logarithmic: Sequence[str] = (),
) -> "list[Axes]":
    """A panel for each metric over env steps, drawn as by `curves`.

    Args:
        names: metrics, or a dict of metrics and the titles of their panels. A metric
            without rows is left out; at least one must have rows.
        logarithmic: metrics with a logarithmic axis.
    """
    _require(frame, [task], names)
    rows = frame.loc[frame.task == task]
    labels = {name: name.replace("_", " ") for name in names}
    labels |= names if isinstance(names, Mapping) else {}
    there = [name for name in labels if (rows.metric == name).any()]
    look = _looks_of(rows.loc[rows.metric.isin(there)])
    across = min(max(len(there), 1), COLUMNS)
    down = math.ceil(max(len(there), 1) / across)
    figure = figure_of(3.4 * across, 2.4 * down)
    grid = np.ravel(figure.subplots(down, across, squeeze=False))
    for i, (axes, name) in enumerate(zip(grid, there, strict=False)):
        positive = (rows.value[rows.metric == name] > 0).any()
        if name in logarithmic and positive:
            _draw(axes, rows, task, name, look, logarithmic=True)
            logarithmic_axis(axes, "y", (1, 2, 5))
        else:
            _draw(axes, rows, task, name, look)
        axes.set_title(labels[name], loc="left", fontsize="medium")
        if i + across >= len(there):
            axes.set_xlabel("environment steps")
    for axes in grid[len(there) :]:
        axes.set_axis_off()
    legend_below(figure, [line_of(one) for one in look.values()], list(look))
    return list(grid[: len(there)])
