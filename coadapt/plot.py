"""Learning curves, and what `diagnostics` finds.

Figures are made without pyplot, so no window system is touched, and in a style of their
own, which no matplotlibrc changes. What cannot be drawn is a ConfigError.
"""

import functools
import io
import math
import os
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, ParamSpec, Protocol, TypeVar

import numpy as np

from coadapt import curves as curves_of
from coadapt import stats
from coadapt.curves import Runs
from coadapt.forest import Forest
from coadapt.forest import Interval as Known
from coadapt.looks import COLORS, DASHES, Look
from coadapt.looks import looks as looks
from coadapt.schema import ConfigError, nearest, unknown

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.artist import Artist
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from matplotlib.lines import Line2D

COLUMNS = 3  # panels side by side
BESIDE, LONG = 16, 32  # names that stand beside the lines; more, or longer, stand below
_KEYS = ("task", "variant", "seed", "env_steps", "metric")
_COLUMNS = (*_KEYS, "value")
COLUMN, LETTERS = 3.3, 8.0  # inches and points, of a figure in a paper's column
NAMED = 3  # variants that a note in a picture names
_DEEP = 100.0  # heights of a picture to which a shade goes on below it

P = ParamSpec("P")
T = TypeVar("T")


def _in_own_style(draw: Callable[P, T]) -> Callable[P, T]:
    @functools.wraps(draw)
    def drawn(*args: P.args, **how: P.kwargs) -> T:
        from coadapt.figure import own_style  # and with it matplotlib

        with own_style():
            return draw(*args, **how)

    return drawn


@_in_own_style
def curves(
    frame: "pd.DataFrame",
    task: str,
    metric: str = "return",
    look: Mapping[str, Look] | None = None,
) -> "Figure":
    """Metric over env steps on one task: a line a variant, its mean over seeds.

    Shaded: one std (ddof=0) around it, where there are two seeds or more; thin lines:
    the seeds. One that has failed ends in a cross, and stays in the mean with its last
    value before, as in `stats.summary`. A mean ends where not all of its seeds have
    come. `look`: of all variants; None: of those on this task, in their order.
    """
    _require(frame, [task], [metric], look)
    figure = _figure(7.0, 4.2)
    axes = figure.subplots()
    drawn = _draw(axes, frame, task, metric, look)
    axes.set_title(task, loc="left")
    _label(axes, metric)
    names = [str(line.get_label()) for line in drawn]
    if len(drawn) > BESIDE or max(map(len, names)) > LONG:
        _below(figure, drawn, names)
    else:
        _beside(axes, drawn)
    return figure


@_in_own_style
def panel(
    frame: "pd.DataFrame", task: str, look: Mapping[str, Look], metric: str = "return"
) -> "Figure":
    """`curves` with no title and no legend, to stand in a page that has them."""
    _require(frame, [task], [metric], look)
    figure = _figure(4.4, 2.9)
    axes = figure.subplots()
    _draw(axes, frame, task, metric, look)
    axes.set_xlabel("environment steps")
    axes.set_ylabel(metric.replace("_", " "))
    return figure


@_in_own_style
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


def _require(
    frame: "pd.DataFrame",
    tasks: Iterable[str],
    metrics: Iterable[str],
    look: Iterable[str] | None = None,
) -> None:
    """Refuse what has no row. Raises: ConfigError.

    Each task, one of the metrics on it, and each variant that a look is given for.
    """
    missing = [name for name in _COLUMNS if name not in frame]
    if missing:
        raise ConfigError(
            f"frame has no column {missing[0]!r}: it must be of a run's rows, as "
            "store.read has them."
        )
    tasks, metrics = list(tasks), list(metrics)
    _require_some("tasks", tasks)
    _require_some("metrics", metrics)
    for task in tasks:
        if not (frame.task == task).any():
            raise unknown("task", task, "the rows have", frame.task.unique())
        there = frame.metric[frame.task == task].unique()
        if not set(metrics) & set(there):
            raise unknown("metric", metrics[0], f"rows on {task} have", there)
    for name in look or ():
        if not (frame.variant == name).any():
            raise unknown("variant", name, "the rows have", frame.variant.unique())
    rows = frame.loc[frame.task.isin(tasks) & frame.metric.isin(metrics)]
    stats.refuse_versions(rows)
    _refuse_twice(rows)


def _refuse_twice(rows: "pd.DataFrame") -> None:
    twice = rows.loc[rows.duplicated(list(_KEYS))]
    if len(twice):
        row = twice.iloc[0]
        raise ConfigError(
            f"rows of {row.variant} on {row.task} with seed {row.seed} are there twice "
            f"at {row.env_steps:,} env steps: name the variants of two runs apart."
        )


def _require_some(what: str, found: Collection) -> None:
    if not found:
        raise ConfigError(f"{what} are none: there must be one or more to draw.")


def _figure(width: float, height: float) -> "Figure":
    """In inches."""
    from coadapt.figure import OwnFigure

    return OwnFigure(figsize=(width, height), dpi=150, layout="constrained")


def _below(
    figure: "Figure", lines: list, names: list[str], letters: float | str = "small"
) -> None:
    """A legend, for which the figure grows, in as many columns as its width holds."""
    if not lines:
        return
    width, height = figure.get_size_inches()
    columns = max(1, int(width / (0.6 + 0.075 * max(map(len, names)))))
    figure.set_size_inches(width, height + 0.2 * math.ceil(len(names) / columns))
    place = {"loc": "outside lower center", "ncols": columns}
    figure.legend(lines, names, frameon=False, fontsize=letters, **place)


def _line(look: Look):
    from matplotlib.lines import Line2D

    return Line2D([], [], color=look.color, linestyle=look.dash, lw=1.8)


def _draw(
    axes: "Axes",
    frame: "pd.DataFrame",
    task: str,
    metric: str,
    look: Mapping[str, Look] | None,
    logarithmic: bool = False,
) -> "list[Line2D]":
    """Returns: the line of each variant, labelled as the legend has it."""
    from matplotlib.ticker import EngFormatter, MaxNLocator

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
    axes.xaxis.set_major_formatter(EngFormatter(sep=""))  # 50k, 3M
    axes.xaxis.set_major_locator(MaxNLocator(5, steps=[1, 2, 2.5, 5, 10]))
    _plain(axes)
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
                0.01, y, f"{side} the picture: {', '.join([*names[:NAMED], *more])}",
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


def _label(axes: "Axes", metric: str) -> None:
    axes.set_xlabel("environment steps")
    unit = " (sum of rewards of an episode)" if metric == "return" else ""
    axes.set_ylabel(f"{metric.replace('_', ' ')}{unit}")


# ---------------------------------------------------------------- for a paper


class Interval(Known, Protocol):
    """A number with the ends of its interval, as `stats.Estimate` is."""

    @property
    def defined(self) -> bool: ...


@_in_own_style
def intervals(found: Mapping[str, Interval], label: str) -> "Figure":
    """Estimates with their intervals, a line each, the first on top: one column wide.

    `label` is of the axis, with its unit. A dotted line stands at 0; an estimate that
    has no interval is a point alone, and one that is no number is said to be none.
    """
    _require_some("estimates", found)
    figure = _figure(3.5, 0.55 + 0.28 * len(found))
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


@_in_own_style
def best_of(curves: Mapping[str, np.ndarray]) -> "Figure":
    """The expected score of the best of n settings, against n: a line each.

    `curves`: arrays [n], from n = 1 on, by name: of `sensitivity.best_of`.
    """
    _require_some("curves", curves)
    figure = _figure(3.5, 2.6)
    axes, drawn = figure.subplots(), looks([*curves])
    for (name, values), look in zip(curves.items(), drawn.values(), strict=True):
        n = np.arange(1, len(values) + 1)
        axes.plot(n, values, color=look.color, ls=look.dash, marker=".", label=name)
    axes.set_xscale("log", base=2)
    axes.set_xlabel("settings tried, n", fontsize="small")
    axes.set_ylabel("score of the best of n", fontsize="small")
    axes.legend(fontsize="x-small", frameon=False)
    axes.spines[["top", "right"]].set_visible(False)
    return figure


@_in_own_style
def column(
    frame: "pd.DataFrame",
    task: str,
    metric: str = "return",
    look: Mapping[str, Look] | None = None,
) -> "Figure":
    """`curves` as wide as a column of a paper, the legend below, in letters of 8 pt."""
    _require(frame, [task], [metric], look)
    figure = _figure(COLUMN, 2.2)
    axes = figure.subplots()
    drawn = _draw(axes, frame, task, metric, look)
    axes.set_title(task, loc="left", fontsize=LETTERS)
    axes.set_xlabel("environment steps", fontsize=LETTERS)
    axes.set_ylabel(metric.replace("_", " "), fontsize=LETTERS)
    axes.tick_params(labelsize=LETTERS)
    _below(figure, drawn, [str(line.get_label()) for line in drawn], LETTERS)
    return figure


@_in_own_style
def forest(found: Forest) -> "Figure":
    """Effects with their intervals, a group below the other: one column wide."""
    _require_some("groups", found.groups)
    sizes = [len(group.rows) for group in found.groups]
    figure = _figure(COLUMN, 0.35 + 0.55 * len(sizes) + 0.2 * sum(sizes))
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


@_in_own_style
def pdf(figure: "Figure") -> bytes:
    """A figure as the bytes of a PDF, the same for the same figure."""
    out = io.BytesIO()
    figure.savefig(out, format="pdf", metadata={"CreationDate": None})
    return out.getvalue()


@_in_own_style
def save(figure: "Figure", path: str | os.PathLike[str]) -> None:
    """Write a figure as its suffix says: .pdf, .svg, .png.

    Text stays text, in TrueType fonts as journals ask, and the same figure gives the
    same file, to the bit. Raises: ConfigError on another suffix; OSError.
    """
    dated = {".pdf": "CreationDate", ".svg": "Date", ".png": None}
    suffix = os.path.splitext(path)[1]
    if suffix not in dated:
        raise ConfigError(
            f"path is {str(path)!r}: it must end in {', '.join(dated)}"
            f"{nearest(suffix, dated) or '.'}"
        )
    date = dated[suffix]
    figure.savefig(path, metadata={date: None} if date else None)


@_in_own_style
def png(figure: "Figure") -> bytes:
    """A figure as the bytes of a PNG file."""
    out = io.BytesIO()
    figure.savefig(out, format="png")
    return out.getvalue()


# ---------------------------------------------------------------- diagnostics


class Landscape(Protocol):
    """Of `diagnostics.Slice` what is drawn: its axes, and [..., G, S] over them."""

    @property
    def axes(self) -> tuple[int, ...]: ...
    @property
    def grid(self) -> tuple[np.ndarray, ...]: ...
    @property
    def q(self) -> np.ndarray: ...
    @property
    def advantage(self) -> np.ndarray: ...
    @property
    def share(self) -> np.ndarray | None: ...
    @property
    def weight(self) -> np.ndarray | None: ...
    @property
    def posterior(self) -> np.ndarray | None: ...


class Bias(Protocol):
    """Of `diagnostics.Overestimation` what is drawn."""

    def along(self, name: str = "target") -> tuple[np.ndarray, np.ndarray]: ...
    def pairs(self, name: str = "target") -> tuple[np.ndarray, np.ndarray]: ...


class Weights(Protocol):
    """Of `diagnostics.EStep` what is drawn."""

    @property
    def weight(self) -> np.ndarray: ...
    @property
    def per_state(self) -> bool: ...


_SHARES = {  # how what adds up to 1 over a slice is called, and drawn
    "share": ("policy", Look(COLORS[0], "-")),
    "weight": ("weights, exp(Q/η)/Z", Look(COLORS[3], "--")),
    "posterior": ("posterior, πₚ exp(Q/η)/Z", Look(COLORS[2], "-.")),
}


@_in_own_style
def action_line(found: Landscape, state: int = 0) -> "list[Axes]":
    """Each critic over one dimension of the action, above; below, who acts there.

    Below are densities over the line: of the policy, of the E-step's weights, and of
    pi_q where it is the policy's density times these. Dotted: the box, where the line
    leaves it. Args: a slice along one axis; which of its states. Returns: 2 axes.
    """
    _require_state(found, state, axes=1)
    figure = _figure(5.0, 4.2)
    above, below = figure.subplots(2, 1, sharex=True, height_ratios=(3, 2))
    line, critics, actors = found.grid[0], [], []
    for k, q in enumerate(found.q[..., state]):
        color, dash = COLORS[4 + k], DASHES[k]
        critics += above.plot(
            line, q, dash, color=color, lw=1.8, label=f"critic {k + 1}"
        )
    above.set_ylabel("Q (reward units)")
    width = line[1] - line[0]
    for name, (label, look) in _SHARES.items():
        values = getattr(found, name)
        if values is not None:
            density = values[:, state] / width
            style = {"color": look.color, "lw": 1.8, "label": label}
            actors += below.plot(line, density, look.dash, **style)
            below.fill_between(line, density, color=look.color, alpha=0.12, lw=0)
    below.set_ylabel("density")
    below.set_ylim(bottom=0)
    below.set_xlabel(_dimension(found.axes[0]))
    for axes, lines in ((above, critics), (below, actors)):
        _plain(axes)
        _beside(axes, lines)
        for border in (-1.0, 1.0):
            if line[0] < border < line[-1]:
                axes.axvline(border, color="0.3", lw=1, ls=":", zorder=1)
    return [above, below]


@_in_own_style
def action_plane(found: Landscape, state: int = 0) -> "list[Axes]":
    """The advantage over two dimensions of the action, and who acts where.

    A contour holds half of what the policy, the E-step's weights, or their product has
    on the plane. Args: a slice along two axes; which of its states. Returns: one axes.
    """
    _require_state(found, state, axes=2)
    figure = _figure(5.2, 4.0)
    axes = figure.subplots()
    sizes = [len(one) for one in found.grid]
    table = found.advantage[:, state].reshape(sizes).T
    most = float(np.abs(table).max()) or 1.0
    style = {"cmap": "PuOr", "vmin": -most, "vmax": most, "shading": "gouraud"}
    cells = axes.pcolormesh(*found.grid, table, rasterized=True, **style)
    figure.colorbar(cells, label="advantage (reward units)", shrink=0.9)
    lines, names = [], []
    for name, (label, look) in _SHARES.items():
        values = getattr(found, name)
        if values is not None and np.isfinite(values[:, state]).all():
            share = values[:, state].reshape(sizes).T
            style = {"colors": look.color, "linestyles": look.dash, "linewidths": 1.8}
            axes.contour(*found.grid, share, levels=[half_level(share)], **style)
            lines.append(_line(look))
            names.append(f"half of the {label}")
    axes.set_xlabel(_dimension(found.axes[0]))
    axes.set_ylabel(_dimension(found.axes[1]))
    axes.set_aspect("equal")
    axes.locator_params(nbins=5)
    _below(figure, lines, names)
    return [axes]


def _require_state(found: Landscape, state: int, axes: int) -> None:
    """Raises: ConfigError."""
    if len(found.axes) != axes:
        ask = "action_plane" if axes == 1 else "action_line"
        raise ConfigError(
            f"the slice is along axes {found.axes}: plot.{ask} draws those, and here "
            f"{axes} must vary."
        )
    states = found.q.shape[-1]
    if not -states <= state < states:
        raise ConfigError(f"state is {state}: it must be of 0 to {states - 1}.")


def half_level(shares: np.ndarray) -> float:
    """The level at and above which half of what adds up to 1 lies."""
    most = np.sort(shares, axis=None)[::-1]
    return float(most[np.searchsorted(np.cumsum(most), 0.5 * most.sum())])


@_in_own_style
def calibration(found: Mapping[str, Bias], name: str = "target") -> "Axes":
    """Values beside the returns that followed, a colour an agent; the diagonal is true.

    Args: agents by the name in the legend; which of their critics.
    """
    _require_some("agents", found)
    axes, named = _figure(4.6, 3.6).subplots(), []
    drawn = looks(list(found)).values()
    for (label, one), look in zip(found.items(), drawn, strict=True):
        value, got = one.pairs(name)
        few = np.linspace(0, len(got) - 1, min(len(got), 1000)).astype(int)
        style = {"s": 8, "alpha": 0.35, "lw": 0, "rasterized": True}
        axes.scatter(got[few], value[few], color=look.color, **style)
        named.append(axes.scatter([], [], s=20, color=look.color, label=label))
    low, high = axes.get_xlim()
    axes.axline((low, low), (high, high), color="0.3", lw=1, ls="--", zorder=1)
    axes.set_xlabel("return that followed (discounted)")
    axes.set_ylabel("value that the critic gave")
    _plain(axes)
    _beside(axes, named)
    return axes


@_in_own_style
def overestimation(found: Mapping[str, Bias], name: str = "target") -> "Axes":
    """Value less return along an episode: mean and one std (ddof=0) over episodes.

    Args: agents by the name in the legend; which of their critics.
    """
    _require_some("agents", found)
    axes, lines = _figure(5.6, 3.2).subplots(), []
    drawn = looks(list(found)).values()
    for (label, one), look in zip(found.items(), drawn, strict=True):
        mean, std = one.along(name)
        steps, color = np.arange(len(mean)), look.color
        axes.fill_between(steps, mean - std, mean + std, color=color, alpha=0.15, lw=0)
        lines += axes.plot(steps, mean, look.dash, color=color, lw=1.8, label=label)
    axes.axhline(0, color="0.3", lw=1, ls="--", zorder=1)
    axes.set_xlabel("step of the episode")
    axes.set_ylabel("value - return (reward units)")
    _plain(axes)
    _beside(axes, lines)
    return axes


@_in_own_style
def weights(found: Weights) -> "Axes":
    """How much of an E-step's weight the best samples have: the diagonal, all alike.

    The median over states, and from the lowest tenth to the highest; of weights that
    are compared over a batch, the batch's.
    """
    table = np.asarray(found.weight, np.float64)
    table = np.sort(table if found.per_state else table.reshape(-1, 1), axis=0)[::-1]
    held = np.cumsum(table, axis=0) / table.sum(axis=0)
    held = np.concatenate([np.zeros((1, held.shape[1])), held])
    share = np.linspace(0, 1, len(held))
    low, middle, high = np.quantile(held, [0.1, 0.5, 0.9], axis=1)
    axes = _figure(4.0, 3.2).subplots()
    if found.per_state:
        style = {"alpha": 0.2, "lw": 0, "label": "states, 10% to 90%"}
        axes.fill_between(share, low, high, color=COLORS[0], **style)
    label = "median state" if found.per_state else "batch"
    axes.plot(share, middle, color=COLORS[0], lw=1.8, label=label)
    axes.plot([0, 1], [0, 1], color="0.3", lw=1, ls="--", label="all alike")
    axes.set_xlabel("share of the samples, best first")
    axes.set_ylabel("share of the weight")
    _plain(axes)
    axes.legend(frameon=False, fontsize="small", loc="lower right")
    return axes


@_in_own_style
def metrics(
    frame: "pd.DataFrame",
    task: str,
    names: Sequence[str] | Mapping[str, str],
    logarithmic: Sequence[str] = (),
) -> "list[Axes]":
    """A panel for each metric over env steps, drawn as `curves` draws a return.

    Args:
        names: metrics, or what stands above the panel of each. One without a row is
            left out, but not all of them.
        logarithmic: those of a logarithmic axis.
    """
    _require(frame, [task], names)
    rows = frame.loc[frame.task == task]
    labels = {name: name.replace("_", " ") for name in names}
    labels |= names if isinstance(names, Mapping) else {}
    there = [name for name in labels if (rows.metric == name).any()]
    look = _looks_of(rows.loc[rows.metric.isin(there)])
    across = min(max(len(there), 1), COLUMNS)
    down = math.ceil(max(len(there), 1) / across)
    figure = _figure(3.4 * across, 2.4 * down)
    grid = np.ravel(figure.subplots(down, across, squeeze=False))
    for i, (axes, name) in enumerate(zip(grid, there, strict=False)):
        positive = (rows.value[rows.metric == name] > 0).any()
        if name in logarithmic and positive:
            _draw(axes, rows, task, name, look, logarithmic=True)
            _logarithmic(axes)
        else:
            _draw(axes, rows, task, name, look)
        axes.set_title(labels[name], loc="left", fontsize="medium")
        if i + across >= len(there):
            axes.set_xlabel("environment steps")
    for axes in grid[len(there) :]:
        axes.set_axis_off()
    _below(figure, [_line(one) for one in look.values()], list(look))
    return list(grid[: len(there)])


def _logarithmic(axes: "Axes") -> None:
    """A logarithmic y axis with few and plain numbers."""
    from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter

    axes.set_yscale("log")
    axes.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5), numticks=8))
    axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    axes.yaxis.set_minor_formatter(NullFormatter())


def _dimension(axis: int) -> str:
    return f"action, dimension {axis} (agent units)"


def _plain(axes: "Axes") -> None:
    axes.grid(True, color="0.9", lw=0.6)
    axes.set_axisbelow(True)
    axes.spines[["top", "right"]].set_visible(False)


def _beside(axes: "Axes", lines: "Sequence[Artist]") -> None:
    """A legend on the right of what is drawn.

    Its lines are given: matplotlib itself leaves out one whose name begins with '_'.
    """
    place = {"loc": "center left", "bbox_to_anchor": (1.0, 0.5)}
    names = [str(line.get_label()) for line in lines]
    axes.legend(lines, names, frameon=False, fontsize="small", **place)
