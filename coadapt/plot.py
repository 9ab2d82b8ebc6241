"""Learning curves. Figures are made without pyplot, so no window system is touched."""

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Literal, NamedTuple

import numpy as np

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

# Okabe and Ito's colours, told apart with any colour vision; black last
COLORS = (
    "#0072B2", "#E69F00", "#009E73", "#D55E00", "#CC79A7", "#56B4E9", "#8C6D1F",
    "#000000",
)  # fmt: skip
Dash = Literal["-", "--", ":", "-."]
DASHES: tuple[Dash, ...] = ("-", "--", ":", "-.")  # once through the colours for each
COLUMNS = 3  # panels side by side
BESIDE, LONG = 16, 32  # names that stand beside the lines; more, or longer, stand below


class Look(NamedTuple):
    """How a variant is drawn, on every task alike."""

    color: str
    dash: Dash


def looks(variants: Iterable[str]) -> dict[str, Look]:
    """A look for each: 32 differ."""
    names = list(dict.fromkeys(variants))
    several = len(COLORS), len(DASHES)
    return {
        name: Look(COLORS[i % several[0]], DASHES[i // several[0] % several[1]])
        for i, name in enumerate(names)
    }


def curves(
    frame: "pd.DataFrame",
    task: str,
    metric: str = "return",
    look: Mapping[str, Look] | None = None,
) -> "Figure":
    """Metric over env steps on one task: a line a variant, its mean over seeds.

    Shaded: one std (ddof=0) around it; thin lines: the seeds. Where a seed has failed
    or has no row yet, its line ends, and the mean is of those that have one. `look`:
    of all variants; None: of those on this task, in their order.
    """
    figure = _figure(7.0, 4.2)
    axes = figure.subplots()
    _draw(axes, frame, task, metric, look)
    axes.set_title(task, loc="left")
    _label(axes, metric)
    lines, names = axes.get_legend_handles_labels()
    if len(lines) > BESIDE or max(map(len, names), default=0) > LONG:
        _below(figure, lines, names)
    elif lines:
        place = {"loc": "center left", "bbox_to_anchor": (1.0, 0.5)}
        axes.legend(frameon=False, fontsize="small", **place)
    return figure


def panel(
    frame: "pd.DataFrame", task: str, look: Mapping[str, Look], metric: str = "return"
) -> "Figure":
    """`curves` with no title and no legend, to stand in a page that has them."""
    figure = _figure(4.4, 2.9)
    axes = figure.subplots()
    _draw(axes, frame, task, metric, look)
    axes.set_xlabel("environment steps")
    axes.set_ylabel(metric.replace("_", " "))
    return figure


def panels(
    frame: "pd.DataFrame",
    tasks: Sequence[str],
    look: Mapping[str, Look],
    metric: str = "return",
) -> "Figure":
    """The `curves` of several tasks in one figure, with one legend below them."""
    across = min(len(tasks), COLUMNS)
    down = math.ceil(len(tasks) / across)
    names = [v for v in look if (frame.variant == v).any()]
    figure = _figure(3.6 * across, 2.6 * down)
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
    _below(figure, [_line(look[name]) for name in names], names)
    return figure


def _figure(width: float, height: float) -> "Figure":
    """In inches."""
    from matplotlib.figure import Figure

    return Figure(figsize=(width, height), dpi=150, layout="constrained")


def _below(figure: "Figure", lines: list, names: list[str]) -> None:
    """A legend, for which the figure grows, in as many columns as its width holds."""
    if not lines:
        return
    width, height = figure.get_size_inches()
    columns = max(1, int(width / (0.6 + 0.075 * max(map(len, names)))))
    figure.set_size_inches(width, height + 0.2 * math.ceil(len(names) / columns))
    place = {"loc": "outside lower center", "ncols": columns}
    figure.legend(lines, names, frameon=False, fontsize="small", **place)


def _line(look: Look):
    from matplotlib.lines import Line2D

    return Line2D([], [], color=look.color, linestyle=look.dash, lw=1.8)


def _draw(
    axes: "Axes",
    frame: "pd.DataFrame",
    task: str,
    metric: str,
    look: Mapping[str, Look] | None,
) -> None:
    from matplotlib.ticker import EngFormatter, MaxNLocator

    rows = frame.loc[(frame.task == task) & (frame.metric == metric)]
    groups = {str(name): group for name, group in rows.groupby("variant", sort=False)}
    for name, one in (look or looks(groups)).items():
        if name in groups:
            _curve(axes, groups[name], name, one)
    axes.xaxis.set_major_formatter(EngFormatter(sep=""))  # 50k, 3M
    axes.xaxis.set_major_locator(MaxNLocator(5, steps=[1, 2, 2.5, 5, 10]))
    axes.grid(True, color="0.9", lw=0.6)
    axes.set_axisbelow(True)
    axes.spines[["top", "right"]].set_visible(False)


def _curve(axes: "Axes", rows: "pd.DataFrame", name: str, look: Look) -> None:
    table = rows.pivot(index="env_steps", columns="seed", values="value")
    steps, values = table.index.to_numpy(), table.to_numpy(float)
    finite = np.isfinite(values)
    values = np.where(finite, values, np.nan)
    count = finite.sum(axis=1)
    some = count > 0
    total = np.where(finite, values, 0.0).sum(axis=1)
    mean = np.where(some, total / np.maximum(count, 1), np.nan)
    square = np.where(finite, np.square(values - mean[:, None]), 0.0).sum(axis=1)
    std = np.where(some, np.sqrt(square / np.maximum(count, 1)), np.nan)
    failed = rows.seed[~np.isfinite(rows.value)].nunique()
    label = f"{name} ({failed} failed)" if failed else name
    mark = "o" if len(steps) == 1 else None  # a line of one point cannot be seen
    color, dash = look
    thin = {"lw": 0.6, "alpha": 0.3, "zorder": 2}
    axes.fill_between(steps, mean - std, mean + std, color=color, alpha=0.15, lw=0)
    axes.plot(steps, values, dash, color=color, **thin)
    thick = {"lw": 1.8, "label": label, "marker": mark, "zorder": 3}  # on top of all
    axes.plot(steps, mean, dash, color=color, **thick)


def _label(axes: "Axes", metric: str) -> None:
    axes.set_xlabel("environment steps")
    unit = " (sum of rewards of an episode)" if metric == "return" else ""
    axes.set_ylabel(f"{metric.replace('_', ' ')}{unit}")
